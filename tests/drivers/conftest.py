"""A test that asks for `driver` runs on six drivers: blocking, asyncio and trio, over httpx and httpx2."""

import itertools

import pytest

from support.faces import FAMILIES, MODES, face

SIX = list(itertools.product(MODES, FAMILIES))


@pytest.fixture(params=SIX, ids="-".join)
def driver(request):
    """Give one of the six."""
    with face(*request.param) as made:
        yield made


@pytest.fixture(params=SIX, ids="-".join)
def virtual_driver(request, monkeypatch):
    """Give one of the six, in virtual time: its clients need a transport that answers at once."""
    with face(*request.param, monkeypatch) as made:
        yield made
