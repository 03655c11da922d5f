"""What all tests of the command line share: a service, and a SIGINT that interrupts."""

import signal
from collections.abc import Generator
from pathlib import Path

import pytest

from gofer_service import embedded
from support.virtual_time import VirtualIO

from .mine import written

TOKEN = "s3cret-t0ken"


@pytest.fixture(scope="package")
def url() -> Generator[str]:
    """Run a service with the sample library; yield its address."""
    with embedded() as address:
        yield address


@pytest.fixture(scope="package")
def guarded_url() -> Generator[str]:
    """Run a service that asks for `TOKEN`; yield its address."""
    with embedded(token=TOKEN) as address:
        yield address


@pytest.fixture(autouse=True)
def ctrl_c_interrupts() -> Generator[None]:
    """Let child processes handle SIGINT as in a terminal, also under a runner that ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the commands that run in this process see a clock that only their pauses move, and make none."""
    monkeypatch.setattr("gofer.client.HttpxIO", VirtualIO)


@pytest.fixture
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder that has a declaration and an input, without gofer's environment variables."""
    written(tmp_path, "value", data={"a.txt": "words"})
    monkeypatch.chdir(tmp_path)
    for name in ("SERVICE_URL", "SERVICE_TOKEN", "GOFER_VAR_API_KEY"):
        monkeypatch.delenv(name, raising=False)
