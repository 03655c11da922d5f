"""The blocking adapter: `IO` over an httpx (or httpx2) client, its own or a borrowed one.

`ahttpx_io.py` is its awaited twin; a change in one belongs in the other.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from types import ModuleType
from typing import Any

import httpx

from gofer.core.commands import Now
from gofer.errors import AnswerLost
from gofer.transports import deadline, quiet
from gofer.transports.family import (
    BlockingClient,
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
from gofer.transports.inputs import Blocks
from gofer.wire import Head, Request


class HttpxIO:
    """A wire over httpx. Opens its own client on first use, and again after `close`; a borrowed one is never closed."""

    def __init__(
        self,
        *,
        transport: httpx.BaseTransport | None = None,
        client: BlockingClient | None = None,
        max_connections: int = 100,
    ) -> None:
        check_transport(transport, awaited=False)
        quiet.hush()
        self._transport, self._borrowed, self._most = transport, client, max_connections
        self._family = httpx if client is None else family_of(client, awaited=False)
        self._own: dict[int, httpx.Client] = {}  # by process: a fork must not share its parent's connections

    def now(self) -> Now:
        """Read both clocks."""
        return Now(time.monotonic(), time.time())

    def sleep(self, seconds: float) -> None:
        """Wait for a number of seconds."""
        time.sleep(seconds)

    def close(self) -> None:
        """Close the own client, if there is one; it opens again on use."""
        own = self._own.pop(os.getpid(), None)
        if own is not None:
            own.close()

    def _client(self) -> BlockingClient:
        if self._borrowed is not None:
            return self._borrowed
        own = self._own.get(os.getpid())
        if own is not None:
            return own
        made: httpx.Client = open_client(httpx.Client, self._transport, self._most)
        kept = self._own.setdefault(os.getpid(), made)  # one step, so that two threads agree without a lock
        if kept is not made and self._transport is None:
            made.close()
        return kept

    def _let_go(self, client: Any) -> None:
        """Close again a client that was closed during a request: its connection may have been made after that."""
        if client is not self._borrowed and client is not self._own.get(os.getpid()):
            client.__exit__()  # a second `close` would do nothing

    def _send(
        self, client: Any, request: Request, timeout: float, stall: float, sending: Sending, renew: Callable[[], None]
    ) -> NativeResponse:
        streamed = None if isinstance(request.body, bytes) else Blocks(request.body, renew)
        own = self._borrowed is None
        message, how = native(client, self._family, request, timeout, own=own, streamed=streamed)

        def trace(event: str, info: dict[str, Any]) -> None:
            sending.note(event)
            deadline.trace(event, info)

        message.extensions["trace"] = trace
        token = quiet.ours.set(True)
        try:
            response: NativeResponse = client.send(message, stream=True, follow_redirects=False, **how)
        finally:
            quiet.ours.reset(token)
        deadline.clip(response)
        allow_pauses(message, stall)
        return response

    def open(self, request: Request, *, timeout: float, stall: float) -> tuple[Head, HttpxBody]:
        """Send a request and return the reply's head and its unread body."""
        client, sending = self._client(), Sending()
        try:
            with deadline.within(timeout) as limit, translated(self._family, request.url):
                response = self._send(client, request, timeout, stall, sending, limit.renew)
        except BaseException as error:
            self._let_go(client)
            if isinstance(error, AnswerLost):
                sending.check(error)
            raise
        return head_of(response, request), HttpxBody(self._family, request.url, response, partial(self._let_go, client))


class HttpxBody:
    """The unread body of one response."""

    def __init__(self, family: ModuleType, url: str, response: NativeResponse, let_go: Callable[[], None]) -> None:
        self._family, self._url, self._response, self._let_go = family, url, response, let_go

    def chunks(self) -> Iterator[bytes]:
        """Yield the body as it comes."""
        with translated(self._family, self._url):
            yield from _chunks(self._response)

    def close(self) -> None:
        """Let go of the connection."""
        self._response.close()
        self._let_go()


def _chunks(response: NativeResponse) -> Iterator[bytes]:
    """Yield the body undecoded; a mock's that was read already has only its bytes."""
    return response.iter_bytes() if response.is_stream_consumed else response.iter_raw()
