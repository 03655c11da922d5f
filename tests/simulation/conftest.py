"""What the tests of the simulation share."""

import logging

import pytest


@pytest.fixture(autouse=True)
def quiet():
    """Silence the log: very many things go wrong on purpose."""
    log = logging.getLogger("gofer")
    log.disabled = True
    yield
    log.disabled = False
