"""`io=`, a wire and a clock of your own: here a service in memory, whose job takes ten hours."""

import json
from collections.abc import AsyncIterator, Iterator

import pytest

from gofer import AsyncClient, Client, RetrieveRequest, WaitTimeout
from gofer.transports import Head, Now, Request

TEN_HOURS = 10 * 3600.0


class Answer:
    """The body of an answer, in one piece."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def chunks(self) -> Iterator[bytes]:
        """Yield the body."""
        yield self.data

    def close(self) -> None:
        """Close nothing."""


class TenHours:
    """A wire that answers every request with the same job, and a clock that only sleeping moves."""

    def __init__(self) -> None:
        self.time, self.exchanges = 0.0, 0

    def now(self) -> Now:
        """Read both clocks, which are one here."""
        return Now(self.time, self.time)

    def sleep(self, seconds: float) -> None:
        """Put the clock forward."""
        self.time += seconds

    def open(self, request: Request, *, timeout: float, stall: float) -> tuple[Head, Answer]:
        """Answer a submission or a poll."""
        self.exchanges += 1
        status = "completed" if self.time >= TEN_HOURS else "searching"
        return Head(request.url, 200), Answer(json.dumps({"job_id": "1", "status": status}).encode())


class AwaitedAnswer(Answer):
    """The same for the awaited client."""

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body."""
        yield self.data

    async def close(self) -> None:
        """Close nothing."""


class AwaitedTenHours(TenHours):
    """The same for the awaited client."""

    async def sleep(self, seconds: float) -> None:
        """Put the clock forward."""
        super().sleep(seconds)

    async def open(self, request: Request, *, timeout: float, stall: float) -> tuple[Head, AwaitedAnswer]:
        """Answer a submission or a poll."""
        head, answer = super().open(request, timeout=timeout, stall=stall)
        return head, AwaitedAnswer(answer.data)


def test_ten_hours_pass_in_milliseconds() -> None:
    """The polling interval grows with the job: there are few polls, and the end is noticed after about a minute."""
    io = TenHours()
    Client("http://service.test", io=io).run(RetrieveRequest("10.5555/12345678"))
    assert TEN_HOURS <= io.time < TEN_HOURS + 70
    assert io.exchanges < 700


@pytest.mark.anyio
async def test_ten_hours_pass_in_milliseconds_when_awaited() -> None:
    """The awaited client notices the end as soon."""
    io = AwaitedTenHours()
    await AsyncClient("http://service.test", io=io).run(RetrieveRequest("10.5555/12345678"))
    assert TEN_HOURS <= io.time < TEN_HOURS + 70


def test_a_deadline_is_kept_to_the_second() -> None:
    """A wait of nine hours for a job of ten raises WaitTimeout in time, and says how long it polled."""
    io = TenHours()
    job = Client("http://service.test", io=io).submit(RetrieveRequest("10.5555/12345678"))
    with pytest.raises(WaitTimeout) as caught:
        job.wait(timeout=9 * 3600)
    assert 9 * 3600 - 1 < io.time <= 9 * 3600
    assert caught.value.spent["poll"] == pytest.approx(io.time)
