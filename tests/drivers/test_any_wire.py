"""The core decides what a reply means, so a call ends the same way through httpx and through a caller's own wire."""

import gzip
from collections.abc import AsyncIterator, Callable, Iterator

import httpx
import pytest
from attrs import frozen
from tenacity.stop import stop_after_attempt
from tenacity.wait import wait_fixed

from gofer import AsyncClient, BadReply, Client, GoferError, NotFound, Retry
from gofer.transports import Head, Now, Reply, Request


@frozen
class Chunks:
    """A body in pieces of 64 KiB."""

    data: bytes

    def chunks(self) -> Iterator[bytes]:
        """Yield the pieces."""
        yield from (self.data[at : at + 65536] for at in range(0, len(self.data), 65536))

    def close(self) -> None:
        """Close nothing."""


@frozen
class AwaitedChunks:
    """The same for the awaited client."""

    body: Chunks

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the pieces."""
        for chunk in self.body.chunks():
            yield chunk

    async def close(self) -> None:
        """Close nothing."""


class Wire:
    """A wire on which a function answers, and a clock that only sleeping moves."""

    def __init__(self, answer: Callable[[Request], Reply]) -> None:
        self.time, self.answer = 0.0, answer

    def now(self) -> Now:
        """Read both clocks, which are one here."""
        return Now(self.time, self.time)

    def sleep(self, seconds: float) -> None:
        """Put the clock forward."""
        self.time += seconds

    def open(self, request: Request, *, timeout: float, stall: float) -> tuple[Head, Chunks]:
        """Answer with a head and a body."""
        reply = self.answer(request)
        return Head(reply.url, reply.status, reply.headers), Chunks(reply.body)


class AwaitedWire(Wire):
    """The same for the awaited client."""

    async def sleep(self, seconds: float) -> None:
        """Put the clock forward."""
        super().sleep(seconds)

    async def open(self, request: Request, *, timeout: float, stall: float) -> tuple[Head, AwaitedChunks]:
        """Answer with a head and a body."""
        head, body = super().open(request, timeout=timeout, stall=stall)
        return head, AwaitedChunks(body)


LARGE = b" " * (2 << 20)
STATUS = b'{"job_id": "1", "status": "completed"}'
REPLIES = {
    "a long refusal counts by its status": (404, {}, LARGE, NotFound),
    "an encoded refusal counts by its status": (404, {"content-encoding": "gzip"}, gzip.compress(LARGE), NotFound),
    "a long document is a bad reply": (200, {}, LARGE, BadReply),
    "an encoded document is a bad reply": (200, {"content-encoding": "br"}, STATUS, BadReply),
    "a document in gzip is unpacked": (200, {"content-encoding": "gzip"}, gzip.compress(STATUS), None),
    "a document that unpacks to too much is a bad reply": (
        200,
        {"content-encoding": "x-gzip"},
        gzip.compress(STATUS + LARGE),
        BadReply,
    ),
    "a document that is only labelled gzip is read": (200, {"content-encoding": "gzip"}, STATUS, None),
    "a document with a label that is no coding is read": (200, {"content-encoding": "UTF-8, none"}, STATUS, None),
    "a document is read": (200, {}, STATUS, None),
}


@pytest.mark.parametrize("case", REPLIES)
@pytest.mark.anyio
async def test_a_reply_means_the_same_on_every_wire(case: str) -> None:
    """A reply on a caller's own wire ends a call as the same reply through httpx does, on both faces."""
    status, headers, body, kind = REPLIES[case]
    once = Retry(wait_fixed(0), stop_after_attempt(1))

    def answer(request: Request) -> Reply:
        return Reply(request.url, status, headers, body)

    def handle(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, headers=headers, stream=httpx.ByteStream(body))

    async def ended(client: Client | AsyncClient) -> type[GoferError] | None:
        try:
            refreshed = client.job("1").refresh()
            if isinstance(client, AsyncClient):
                await refreshed
        except GoferError as error:
            return type(error)
        return None

    for client in (
        Client("http://service.test", retry=once, transport=httpx.MockTransport(handle)),
        Client("http://service.test", retry=once, io=Wire(answer)),
        AsyncClient("http://service.test", retry=once, transport=httpx.MockTransport(handle)),
        AsyncClient("http://service.test", retry=once, io=AwaitedWire(answer)),
    ):
        assert await ended(client) is kind
