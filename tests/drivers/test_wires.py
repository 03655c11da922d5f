"""What a driver owes a wire of one's own: its body is closed whatever happens, and a budget holds without timeouts."""

import json
from collections.abc import AsyncIterator, Iterator

import pytest

from gofer import AsyncClient, Client, OutOfTime, Ref, RetrieveRequest
from gofer.contracts.base import Leg
from gofer.contracts.retrieve import RetrieveContract
from gofer.transports import Head, Now, Request


class Answer:
    """The body of an answer, in one piece."""

    def __init__(self, io: "Wire") -> None:
        self.io = io

    def chunks(self) -> Iterator[bytes]:
        """Yield the body."""
        yield json.dumps({"job_id": "1", "status": "searching"}).encode()

    def close(self) -> None:
        """Count it."""
        self.io.closed += 1


class Wire:
    """A wire that answers every request with the same job, and a clock that only sleeping moves."""

    def __init__(self) -> None:
        self.time, self.closed = 0.0, 0

    def now(self) -> Now:
        """Read both clocks, which are one here."""
        return Now(self.time, self.time)

    def sleep(self, seconds: float) -> None:
        """Let the time pass."""
        self.time += seconds

    def open(self, request: Request, *, timeout: float, stall: float) -> tuple[Head, Answer]:
        """Answer a submission or a poll."""
        return Head(request.url, 200), Answer(self)


class AwaitedAnswer(Answer):
    """The awaited body."""

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body."""
        for chunk in super().chunks():
            yield chunk

    async def close(self) -> None:
        """Count it."""
        super().close()


class AwaitedWire(Wire):
    """The awaited wire."""

    async def sleep(self, seconds: float) -> None:
        """Let the time pass."""
        super().sleep(seconds)

    async def open(self, request: Request, *, timeout: float, stall: float) -> tuple[Head, AwaitedAnswer]:
        """Answer a submission or a poll."""
        return Head(request.url, 200), AwaitedAnswer(self)


class Puzzled(RetrieveContract):
    """A contract of one's own that has a fault."""

    def may_be_file(self, leg: Leg) -> bool:
        """Have every answer judged by its head."""
        return True

    def is_document(self, ref: Ref, leg: Leg, head: Head) -> bool:
        """Fail."""
        raise ZeroDivisionError


@pytest.mark.anyio
async def test_a_fault_of_a_contract_leaves_no_body_open() -> None:
    """The error is the contract's own, and the connection is free again."""
    blocking, awaited = Wire(), AwaitedWire()
    with pytest.raises(ZeroDivisionError):
        Client("http://service.test", io=blocking, contract=Puzzled()).job("1").refresh()
    with pytest.raises(ZeroDivisionError):
        await AsyncClient("http://service.test", io=awaited, contract=Puzzled()).job("1").refresh()
    assert blocking.closed == awaited.closed == 1


class Drip:
    """A body that brings a byte a second, and does not end for an hour."""

    def __init__(self, io: Wire) -> None:
        self.io = io

    def chunks(self) -> Iterator[bytes]:
        """Yield a byte at a time."""
        for _ in range(3600):
            self.io.sleep(1.0)
            yield b" "

    def close(self) -> None:
        """Close nothing."""


class Dripping(Wire):
    """A wire whose every body drips."""

    def open(self, request: Request, *, timeout: float, stall: float) -> tuple[Head, Drip]:
        """Answer any request."""
        return Head(request.url, 200), Drip(self)


def test_a_body_that_drips_ends_with_the_budget_on_a_wire_without_timeouts() -> None:
    """The blocking driver looks at the wire's clock after each piece of a body."""
    io = Dripping()
    with pytest.raises(OutOfTime):
        Client("http://service.test", io=io).attach(job_of(Wire())).wait(timeout=20)
    assert io.time <= 21


def job_of(io: Wire) -> str:
    """Submit a job; return its ticket."""
    return Client("http://service.test", io=io).submit(RetrieveRequest("10.5555/12345678")).ticket
