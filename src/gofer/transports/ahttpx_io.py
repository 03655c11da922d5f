"""The awaited adapter: `AsyncIO` over an async httpx (or httpx2) client, its own or a borrowed one.

`httpx_io.py` is its blocking twin; a change in one belongs in the other.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from types import ModuleType
from typing import Any

import anyio
import httpx
from anyio.lowlevel import current_token
from anyio.to_thread import run_sync

from gofer.core.commands import Now
from gofer.errors import AnswerLost, UsageError
from gofer.transports import quiet
from gofer.transports.family import (
    AwaitedClient,
    NativeResponse,
    Sending,
    allow_pauses,
    check_transport,
    family_of,
    head_of,
    native,
    open_client,
    translated,
)
from gofer.transports.inputs import blocks, check
from gofer.wire import Head, Request, Streamed

MARGIN = 0.05
"""Seconds the total timeout waits beyond httpx's own, which can tell whether a connection was ever made."""


class AsyncHttpxIO:
    """A wire over httpx. Opens its own client on first use, and again after `close`; a borrowed one is never closed."""

    def __init__(
        self,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        client: AwaitedClient | None = None,
        max_connections: int = 100,
    ) -> None:
        check_transport(transport, awaited=True)
        quiet.hush()
        self._transport, self._borrowed, self._most = transport, client, max_connections
        self._family = httpx if client is None else family_of(client, awaited=True)
        self._own: httpx.AsyncClient | None = None
        self._loop: object = None

    def now(self) -> Now:
        """Read both clocks."""
        return Now(anyio.current_time(), time.time())

    async def sleep(self, seconds: float) -> None:
        """Wait for a number of seconds."""
        await anyio.sleep(seconds)

    async def close(self) -> None:
        """Close the own client, if there is one; it opens again on use."""
        own, self._own, self._loop = self._own, None, None
        if own is not None:
            await own.aclose()

    def _client(self) -> AwaitedClient:
        loop = current_token()
        if self._loop is None:
            self._loop = loop
        elif self._loop != loop:
            raise UsageError(
                "This awaited client belongs to another event loop; make one client per loop, or close it."
            )
        if self._borrowed is not None:
            return self._borrowed
        own = self._own
        if own is None:
            own = self._own = open_client(httpx.AsyncClient, self._transport, self._most)
        return own

    async def _let_go(self, client: Any) -> None:
        """Close again a client that was closed during a request: its connection may have been made after that."""
        if client is not self._borrowed and client is not self._own:
            with anyio.CancelScope(shield=True):
                await client.__aexit__()  # a second `aclose` would do nothing

    async def _send(
        self, client: Any, request: Request, timeout: float, stall: float, sending: Sending, renew: Callable[[], None]
    ) -> NativeResponse:
        streamed = None if isinstance(request.body, bytes) else await run_sync(AsyncBlocks, request.body, renew)
        own = self._borrowed is None
        message, how = native(client, self._family, request, timeout, own=own, streamed=streamed)

        if request.method != "GET":  # whether it was sent matters for a submission, and each event takes time

            async def trace(event: str, _: dict[str, Any]) -> None:
                sending.note(event)

            message.extensions["trace"] = trace
        token = quiet.ours.set(True)
        try:
            response: NativeResponse = await client.send(message, stream=True, follow_redirects=False, **how)
        finally:
            quiet.ours.reset(token)
        allow_pauses(message, stall)
        return response

    async def open(self, request: Request, *, timeout: float, stall: float) -> tuple[Head, AsyncHttpxBody]:
        """Send a request and return the reply's head and its unread body."""
        client, sending, scope = self._client(), Sending(), anyio.CancelScope()

        def renew() -> None:
            scope.deadline = anyio.current_time() + timeout + MARGIN

        renew()
        try:
            with scope, translated(self._family, request.url):
                response = await self._send(client, request, timeout, stall, sending, renew)
                let_go = partial(self._let_go, client)
                return head_of(response, request), AsyncHttpxBody(self._family, request.url, response, let_go)
            raise AnswerLost(f"No answer after {timeout:.1f} s.")
        except BaseException as error:
            await self._let_go(client)
            if isinstance(error, AnswerLost):
                sending.check(error)
            raise


class AsyncBlocks:
    """The awaited twin of `Blocks`: each block is read in a worker thread."""

    def __init__(self, body: Streamed, renew: Callable[[], None]) -> None:
        check(body)
        self._body, self._renew = body, renew

    def __aiter__(self) -> AsyncBlocks:
        self._blocks = blocks(self._body)
        return self

    async def __anext__(self) -> bytes:
        self._renew()
        block = await run_sync(next, self._blocks, None)
        if block is None:
            raise StopAsyncIteration
        return block


class AsyncHttpxBody:
    """The unread body of one response."""

    def __init__(
        self, family: ModuleType, url: str, response: NativeResponse, let_go: Callable[[], Awaitable[None]]
    ) -> None:
        self._family, self._url, self._response, self._let_go = family, url, response, let_go
        self._source: Any = _chunks(response)

    def chunks(self) -> AsyncIterator[bytes]:
        """Return the body as it comes: this object, which is its own iterator."""
        return self

    def __aiter__(self) -> AsyncHttpxBody:
        return self

    async def __anext__(self) -> bytes:
        with translated(self._family, self._url):
            return await anext(self._source)

    async def close(self) -> None:
        """Let go of the connection."""
        await self._source.aclose()
        await self._response.aclose()
        await self._let_go()


def _chunks(response: NativeResponse) -> Any:
    """Yield the body undecoded; a mock's that was read already has only its bytes."""
    return response.aiter_bytes() if response.is_stream_consumed else response.aiter_raw()
