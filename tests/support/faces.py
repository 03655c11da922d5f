"""One way to call all faces (blocking, asyncio and trio, over httpx and httpx2), so that a test runs on all six.

`Face.client(...)` returns an object with the client's verbs. On the awaited faces, each call runs in an event loop in
another thread. Under asyncio, a blocking call inside the loop raises (blockbuster).
"""

from __future__ import annotations

import contextlib
import copy
import inspect
from collections.abc import Generator, Iterator
from typing import Any

import httpx
import httpx2
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from blockbuster import blockbuster_ctx

import gofer
from support.virtual_time import VirtualIO, jumping

FAMILIES = {"httpx": httpx, "httpx2": httpx2}
MODES = ("blocking", "asyncio", "trio")


class Face:
    """A mode and a family of HTTP client. In virtual time, requests need a transport that answers at once."""

    def __init__(
        self, mode: str, family: str, stack: contextlib.ExitStack, virtual: pytest.MonkeyPatch | None = None
    ) -> None:
        self.mode, self.family, self._stack = mode, FAMILIES[family], stack
        self.portal: BlockingPortal | None = None
        if mode != "blocking":
            if mode == "asyncio":
                stack.enter_context(blockbuster_ctx("gofer", excluded_modules=["gofer_service"]))
            _, options = (mode, None) if virtual is None else jumping(mode, virtual)
            self.portal = stack.enter_context(start_blocking_portal(mode, options))
        elif virtual is not None:
            virtual.setattr("gofer.client.HttpxIO", VirtualIO)

    @contextlib.contextmanager
    def again(self) -> Generator[Face]:
        """The same face, for clients that are closed before the face is."""
        with contextlib.ExitStack() as stack:
            other = copy.copy(self)
            other._stack = stack
            yield other

    def http_client(self, **options: Any) -> Any:
        """An HTTP client of the family, closed at the end of the test."""
        kind = self.family.Client if self.portal is None else self.family.AsyncClient
        made = kind(**options)
        self._stack.callback(made.close if self.portal is None else lambda: self.call(made.aclose))
        return made

    def client(self, url: str, **options: Any) -> Any:
        """A retrieval client; over httpx its own, over httpx2 a borrowed one."""
        if self.family is httpx2 and not options.keys() & {"transport", "io", "http_client"}:
            options["http_client"] = self.http_client()
        if self.portal is None:
            client: Any = gofer.RetrieveClient(base_url=url, **options)
            self._stack.callback(client.close)
            return client
        client = Blocked(self, gofer.AsyncRetrieveClient(base_url=url, **options))
        self._stack.callback(client.close)
        return client

    def call(self, function: Any, *args: Any, **named: Any) -> Any:
        """Call a function in the event loop and wait for its result."""

        async def awaited() -> Any:
            value = function(*args, **named)
            return await value if inspect.isawaitable(value) else value

        assert self.portal is not None
        return self.portal.call(awaited)


class Blocked:
    """An awaited client or job, called as if it were a blocking one."""

    def __init__(self, face: Face, inner: Any) -> None:
        self._face, self.inner = face, inner

    def __getattr__(self, name: str) -> Any:
        if not callable(value := getattr(self.inner, name)):
            return value

        def call(*args: Any, **named: Any) -> Any:
            if inspect.isasyncgenfunction(value) or name == "watch":
                return self._iterate(value(*args, **named))
            result = self._face.call(value, *args, **named)
            return Blocked(self._face, result) if isinstance(result, gofer.AsyncJob) else result

        return call

    def _iterate(self, events: Any) -> Iterator[Any]:
        async def step() -> Any:
            return await anext(events, None)

        while (event := self._face.call(step)) is not None:
            yield Blocked(self._face, event) if isinstance(event, gofer.AsyncJob) else event


@contextlib.contextmanager
def face(mode: str, family: str, virtual: pytest.MonkeyPatch | None = None) -> Generator[Face]:
    """Make a face, and close it with all its clients; with `virtual`, which it patches, its time is virtual."""
    with contextlib.ExitStack() as stack:
        yield Face(mode, family, stack, virtual)
