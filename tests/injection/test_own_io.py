"""The third door, `io=`: a wire and a clock of your own, in three methods. Here services in memory."""

import gzip
import json
from collections.abc import AsyncIterator, Callable, Iterator

import httpx
import pytest
from attrs import frozen
from tenacity.stop import stop_after_attempt
from tenacity.wait import wait_fixed

from gofer import AsyncClient, BadReply, Client, GoferError, NotFound, RetrieveRequest, Retry, WaitTimeout
from gofer.transports import Head, Now, Reply, Request

TEN_HOURS = 10 * 3600.0
PAPER = RetrieveRequest("10.5555/12345678")


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
    """A wire that a function answers on, and a clock that only sleeping moves."""

    def __init__(self, answer: Callable[[Request, float], Reply]) -> None:
        self.time, self.exchanges, self.answer = 0.0, 0, answer

    def now(self) -> Now:
        """Read both clocks, which are one here."""
        return Now(self.time, self.time)

    def sleep(self, seconds: float) -> None:
        """Put the clock forward."""
        self.time += seconds

    def open(self, request: Request, *, timeout: float, stall: float) -> tuple[Head, Chunks]:
        """Answer with a head and a body."""
        self.exchanges += 1
        reply = self.answer(request, self.time)
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


def ten_hours(request: Request, time: float) -> Reply:
    """Answer about a job that takes ten hours."""
    status = "completed" if time >= TEN_HOURS else "searching"
    return Reply(request.url, 200, {}, json.dumps({"job_id": "1", "status": status}).encode())


def test_ten_hours_pass_in_milliseconds() -> None:
    """Polling slows down as the job goes on: there are few polls, and its end is noticed within a minute or so."""
    io = Wire(ten_hours)
    Client("http://service.test", io=io).run(PAPER)
    assert TEN_HOURS <= io.time < TEN_HOURS + 70
    assert io.exchanges < 700


@pytest.mark.anyio
async def test_ten_hours_pass_in_milliseconds_when_awaited() -> None:
    """The awaited client keeps the same time."""
    io = AwaitedWire(ten_hours)
    await AsyncClient("http://service.test", io=io).run(PAPER)
    assert TEN_HOURS <= io.time < TEN_HOURS + 70


def test_a_deadline_is_kept_to_the_second() -> None:
    """A wait of nine hours for ten hours' work ends in time, and says where the time went."""
    io = Wire(ten_hours)
    job = Client("http://service.test", io=io).submit(PAPER)
    with pytest.raises(WaitTimeout) as caught:
        job.wait(timeout=9 * 3600)
    assert 9 * 3600 - 1 < io.time <= 9 * 3600
    assert caught.value.spent["poll"] == pytest.approx(io.time)


LARGE = b" " * (2 << 20)
STATUS = b'{"job_id": "1", "status": "completed"}'
REPLIES = {
    "a long refusal counts by its status": (404, {}, LARGE, NotFound),
    "an encoded refusal counts by its status": (404, {"content-encoding": "gzip"}, gzip.compress(LARGE), NotFound),
    "a long document is a bad reply": (200, {}, LARGE, BadReply),
    "an encoded document is a bad reply": (200, {"content-encoding": "br"}, STATUS, BadReply),
    "a document is read": (200, {}, STATUS, None),
}


@pytest.mark.parametrize("case", REPLIES)
@pytest.mark.anyio
async def test_a_reply_means_the_same_whichever_wire_it_comes_by(case: str) -> None:
    """A wire of one's own decides nothing about a reply, so it ends as a reply through httpx does, in both faces."""
    status, headers, body, kind = REPLIES[case]
    once = Retry(wait_fixed(0), stop_after_attempt(1))

    def answer(request: Request, _: float) -> Reply:
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
