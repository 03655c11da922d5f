"""The verbs flows are written in: each yields one command and returns its answer with a precise type.

A verb also clips the command to what is left of the budget. What a reply means is judged elsewhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from gofer.core.commands import (
    Assemble,
    Discard,
    Drop,
    Keep,
    Look,
    Mark,
    Muster,
    Open,
    Part,
    Put,
    Read,
    Send,
    Sleep,
    Store,
    Stored,
    Tell,
    Weigh,
)
from gofer.core.run import Flow
from gofer.core.trip import Trip
from gofer.events import Event
from gofer.wire import Head, Reply, Request

A = TypeVar("A")


def _expect(answer: object, kind: type[A]) -> A:
    if not isinstance(answer, kind):
        raise TypeError(f"The driver answered with {type(answer).__name__} where {kind.__name__} was due.")
    return answer


def _seconds(trip: Trip[Any, Any], wanted: float) -> float:
    if trip.left <= 0:
        raise trip.late()
    return min(wanted, trip.left)


def send(trip: Trip[Any, Any], request: Request, timeout: float) -> Flow[Reply]:
    """Exchange one small request and reply."""
    seconds = _seconds(trip, timeout)
    trip.attempts += 1
    return _expect((yield Send(trip.service.dress(request, trip.known.ref), seconds, trip.rules.json_cap)), Reply)


def open_body(trip: Trip[Any, Any], request: Request, timeout: float | None = None) -> Flow[Head]:
    """Send a request and bring the head of its reply; the body waits to be stored, read or dropped."""
    seconds = _seconds(trip, trip.rules.timeout if timeout is None else timeout)
    trip.attempts += 1
    stall = min(trip.rules.stall, trip.left)
    return _expect((yield Open(trip.service.dress(request, trip.known.ref), seconds, stall, trip.rules.crawl)), Head)


def sleep(trip: Trip[Any, Any], seconds: float) -> Flow[None]:
    """Let time pass, or raise `OutOfTime` at once when the budget would not outlive it."""
    if seconds >= trip.left:
        raise trip.late()
    if seconds > 0:
        yield Sleep(seconds)


def look(target: Path) -> Flow[Part | None]:
    """See what a former try left."""
    answer = yield Look(target)
    return None if answer is None else _expect(answer, Part)


def store(trip: Trip[Any, Any], target: Path, offset: int, mark: Mark, *, limit: int, hashed: bool) -> Flow[Stored]:
    """Bring the opened body to disk."""
    return _expect((yield Store(target, offset, mark, limit, trip.deadline, hashed, trip.job_id)), Stored)


def read(trip: Trip[Any, Any], cap: int) -> Flow[bytes]:
    """Bring the opened body as bytes."""
    return _expect((yield Read(cap, trip.deadline)), bytes)


def drop() -> Flow[None]:
    """Close the opened reply."""
    yield Drop()


def weigh(target: Path, *, hashed: bool) -> Flow[Stored]:
    """Measure the part that is whole already."""
    return _expect((yield Weigh(target, hashed)), Stored)


def put(target: Path, content: bytes) -> Flow[None]:
    """Write a small file in one step."""
    yield Put(target, content)


def muster(folder: Path, staging: Path | None = None) -> Flow[bytes | None]:
    """See whether a folder can be filled; return the manifest that a former try left in its staging folder, if any."""
    answer = yield Muster(folder, staging)
    return None if answer is None else _expect(answer, bytes)


def assemble(staging: Path, folder: Path) -> Flow[None]:
    """Put a staging folder in the folder's place."""
    yield Assemble(staging, folder)


def keep(target: Path) -> Flow[None]:
    """Put the part in the target's place."""
    yield Keep(target)


def discard(target: Path) -> Flow[None]:
    """Remove the part."""
    yield Discard(target)


def tell(trip: Trip[Any, Any], event: Event) -> Flow[None]:
    """Report an event, if anybody listens."""
    if trip.heard:
        yield Tell(event)
