"""What the tests of declared contracts share: the three faces, and a server for a function that answers."""

import contextlib
from collections.abc import Callable, Generator
from typing import Any

import pytest

from support.declared import Answer, service
from support.faces import MODES, Face, face
from support.raw_server import RawServer

Serve = Callable[[Answer], RawServer]


@pytest.fixture(params=MODES)
def any_face(request: pytest.FixtureRequest) -> Generator[Face]:
    """Give each face in turn: blocking, asyncio, trio."""
    with face(request.param, "httpx") as made:
        yield made


@pytest.fixture(params=MODES)
def virtual_face(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Generator[Face]:
    """Give each face in turn, in virtual time: its clients need the transport of an `Answering`."""
    with face(request.param, "httpx", monkeypatch) as made:
        yield made


@pytest.fixture
def blocking() -> Generator[Face]:
    """Give the blocking face, where the face makes no difference."""
    with face("blocking", "httpx") as made:
        yield made


@pytest.fixture
def serve() -> Generator[Any]:
    """Give a function that serves an answering function until the test ends."""
    with contextlib.ExitStack() as stack:
        yield lambda answer: stack.enter_context(service(answer))
