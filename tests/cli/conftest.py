"""A service that all tests of the command line share."""

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
