"""A test that asks for `driver` runs on six drivers: blocking, asyncio and trio, over httpx and httpx2."""

import itertools

import pytest

from support.faces import FAMILIES, MODES, face


@pytest.fixture(params=list(itertools.product(MODES, FAMILIES)), ids="-".join)
def driver(request):
    """Give one of the six."""
    with face(*request.param) as made:
        yield made
