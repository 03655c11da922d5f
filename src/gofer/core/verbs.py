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
from gofer.core.errand import Errand
from gofer.core.run import Flow
from gofer.events import Event
from gofer.wire import Head, Reply, Request

A = TypeVar("A")


def _expect(answer: object, kind: type[A]) -> A:
    if not isinstance(answer, kind):
        raise TypeError(f"The driver answered with {type(answer).__name__} where {kind.__name__} was due.")
    return answer


def _seconds(errand: Errand[Any, Any], wanted: float) -> float:
    if errand.left <= 0:
        raise errand.late()
    return min(wanted, errand.left)


def send(errand: Errand[Any, Any], request: Request, timeout: float) -> Flow[Reply]:
    """Exchange one small request and reply."""
    seconds = _seconds(errand, timeout)
    errand.attempts += 1
    return _expect((yield Send(errand.service.dress(request, errand.known.ref), seconds, errand.rules.json_cap)), Reply)


def open_body(errand: Errand[Any, Any], request: Request, timeout: float | None = None) -> Flow[Head]:
    """Send a request and bring the head of its reply; the body waits to be stored, read or dropped."""
    seconds = _seconds(errand, errand.rules.timeout if timeout is None else timeout)
    errand.attempts += 1
    stall = min(errand.rules.stall, errand.left)
    return _expect(
        (yield Open(errand.service.dress(request, errand.known.ref), seconds, stall, errand.rules.crawl)), Head
    )


def sleep(errand: Errand[Any, Any], seconds: float) -> Flow[None]:
    """Let time pass, or raise `OutOfTime` at once when the budget would not outlive it."""
    if seconds >= errand.left:
        raise errand.late()
    if seconds > 0:
        yield Sleep(seconds)


def look(target: Path) -> Flow[Part | None]:
    """See what a former try left."""
    answer = yield Look(target)
    return None if answer is None else _expect(answer, Part)


def store(errand: Errand[Any, Any], target: Path, offset: int, mark: Mark, *, limit: int, hashed: bool) -> Flow[Stored]:
    """Bring the opened body to disk."""
    return _expect((yield Store(target, offset, mark, limit, errand.deadline, hashed, errand.job_id)), Stored)


def read(errand: Errand[Any, Any], cap: int) -> Flow[bytes]:
    """Bring the opened body as bytes."""
    return _expect((yield Read(cap, errand.deadline)), bytes)


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


def tell(errand: Errand[Any, Any], event: Event) -> Flow[None]:
    """Report an event, if anybody listens."""
    if errand.heard:
        yield Tell(event)
