"""What the tests of the simulation share."""

import logging

import pytest


@pytest.fixture(autouse=True)
def quiet():
    """Say nothing of the many things that go wrong."""
    log = logging.getLogger("gofer")
    log.disabled = True
    yield
    log.disabled = False
