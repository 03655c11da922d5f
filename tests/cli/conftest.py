"""What all tests of the command line share: a service, and a SIGINT that interrupts."""

import signal
from collections.abc import Generator

import pytest

from gofer_service import embedded

TOKEN = "s3cret-t0ken"


@pytest.fixture(scope="package")
def url() -> Generator[str]:
    """Give the address of a service with the sample library."""
    with embedded() as address:
        yield address


@pytest.fixture(scope="package")
def guarded_url() -> Generator[str]:
    """Give the address of one that asks for `TOKEN`."""
    with embedded(token=TOKEN) as address:
        yield address


@pytest.fixture(autouse=True)
def ctrl_c_interrupts() -> Generator[None]:
    """Let children take SIGINT as a terminal's program does, also under a runner that has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
