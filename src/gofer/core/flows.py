"""The errands themselves: the legs put together, one flow for each verb of the faces.

Every flow here is what one call of a client or a job does, from its first request to its value; faces only start it.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, TypeVar

from gofer.core import poll, verbs
from gofer.core.errand import Errand
from gofer.core.exchange import AnyErrand, Tries, accept, exchange, follow, refused
from gofer.core.policies import OnAbandon
from gofer.core.results import Target, bring, conclude, in_memory, survey, weakest
from gofer.core.run import Flow
from gofer.core.submit import replays_keys, submit
from gofer.core.table import Move, Stage
from gofer.errors import Abandoned, GoferError, JobLost, NotSupported, OutOfTime
from gofer.events import CancelSent, Submitted
from gofer.models import Fetched, Outcome, Status, Verified
from gofer.wire import Reply, Request

In = TypeVar("In")
Out = TypeVar("Out")
T = TypeVar("T")

FAREWELL = 2.0
"""Seconds in which an abandoned errand may still cancel its job."""

_log = logging.getLogger("gofer")


def run(
    errand: Errand[In, Out], request: In, key: str, target: Target | None, *, hold: int, again: bool = False
) -> Flow[Outcome[Out]]:
    """Submit, wait, download: the whole errand in one."""
    return _accompanied(errand, _whole(errand, request, key, target, hold, again), "cancel")


def _whole(
    errand: Errand[In, Out], request: In, key: str, target: Target | None, hold: int, again: bool
) -> Flow[Outcome[Out]]:
    if target is not None:
        target = yield from survey(target)  # an unwritable one is found out before a job is made
    yield from submit(errand, request, key, hold=hold, again=again)
    try:
        yield from poll.await_end(errand)
    except JobLost as lost:
        yield from _submit_again(errand, request, key, lost)
        yield from poll.await_end(errand)
    yield from conclude(errand)
    value = _value(errand)
    if target is None:
        errand.move(Move.FINISH)
        return Outcome(value, None, Verified.NONE, errand.ref.id)
    path, fetched = yield from bring(errand, target)
    return Outcome(value, path, weakest(fetched), errand.ref.id, fetched)


def _submit_again(errand: Errand[In, Out], request: In, key: str, error: JobLost) -> Flow[None]:
    """Replace a lost job, once: only with the same key, where keys are replayed, and if it is another job then."""
    lost = errand.ref
    if not (yield from replays_keys(errand)):
        raise error
    yield from submit(errand, request, key)
    if errand.ref == lost:
        raise error


def start(errand: Errand[In, Out], request: In, key: str, *, again: bool = False) -> Flow[Status]:
    """Submit only; `again` says that the key has been sent before."""
    yield from submit(errand, request, key, again=again)
    yield from poll.set_off(errand)
    return errand.known.status


def refresh(errand: Errand[In, Out]) -> Flow[Status]:
    """Look at the job once."""
    errand.move(Move.ATTACH)
    _ = yield from poll.look(errand, errand.rules.retry)
    return errand.known.status


def wait(errand: Errand[In, Out]) -> Flow[Status]:
    """Wait until the job has ended, well or not."""
    return _accompanied(errand, _wait(errand), "leave")


def _wait(errand: Errand[In, Out]) -> Flow[Status]:
    errand.move(Move.ATTACH)
    yield from poll.await_end(errand)
    return errand.known.status


def result(errand: Errand[In, Out]) -> Flow[Out]:
    """Wait for the job and return its document; a failed job raises."""
    return _accompanied(errand, _result(errand), "leave")


def _result(errand: Errand[In, Out]) -> Flow[Out]:
    _ = yield from _wait(errand)
    yield from conclude(errand)
    return _value(errand)


def download(errand: Errand[In, Out], target: Target) -> Flow[tuple[Path, tuple[Fetched, ...]]]:
    """Wait for the job and bring its file or files; return where they are."""
    return _accompanied(errand, _download(errand, target), "leave")


def _download(errand: Errand[In, Out], target: Target) -> Flow[tuple[Path, tuple[Fetched, ...]]]:
    target = yield from survey(target)
    _ = yield from _result(errand)
    return (yield from bring(errand, target))


def read(errand: Errand[In, Out], max_bytes: int) -> Flow[bytes]:
    """Wait for the job and bring its file as bytes."""
    return _accompanied(errand, _read(errand, max_bytes), "leave")


def _read(errand: Errand[In, Out], max_bytes: int) -> Flow[bytes]:
    _ = yield from _result(errand)
    return (yield from in_memory(errand, max_bytes))


def cancel(errand: Errand[In, Out]) -> Flow[bool]:
    """Ask the service to cancel the job; False where it offers no cancellation."""
    errand.move(Move.ATTACH)
    return (yield from poll.cancel(errand))


def check(errand: Errand[In, Out]) -> Flow[Out]:
    """Look at the job once and return its document."""
    _ = yield from refresh(errand)
    return _value(errand)


def ended(errand: Errand[In, Out]) -> Flow[Out]:
    """Wait until the job has ended, well or not, and return its document."""
    _ = yield from wait(errand)
    return _value(errand)


def optional(errand: AnyErrand, request: Request) -> Flow[Reply]:
    """Exchange a request for something that a service need not have."""
    reply = yield from exchange(errand, request, Tries(errand, errand.rules.retry))
    if reply.status in (404, 405, 501):
        raise refused(errand, reply, NotSupported)
    return accept(errand, reply)


def probe(errand: AnyErrand, request: Request) -> Flow[Reply]:
    """Exchange one request once, without retries, and return whatever came."""
    return (yield from follow(errand, request, errand.rules.timeout))


def _value(errand: Errand[Any, Out]) -> Out:
    assert errand.known.snapshot is not None  # noqa: S101  (a job that has ended was seen)
    return errand.known.snapshot.value


def _accompanied(errand: AnyErrand, flow: Flow[T], default: OnAbandon) -> Flow[T]:
    """Run a flow; when its caller leaves or its time is up, do with the job what `on_abandon` says."""
    try:
        return (yield from flow)
    except (OutOfTime, Abandoned, KeyboardInterrupt) as reason:
        policy = errand.rules.on_abandon or default
        if policy == "cancel" or (policy == "cancel-if-interrupted" and not isinstance(reason, OutOfTime)):
            yield from _farewell(errand)
        raise


def _farewell(errand: AnyErrand) -> Flow[None]:
    """Cancel the job nobody will come for; a submission still unanswered is first found again by its key."""
    errand.deadline = errand.now.mono + FAREWELL
    try:
        if errand.known.ref is None or errand.stage is Stage.SUBMITTING:  # a job that replaces a lost one
            if errand.submission is None or not errand.at_risk or not (yield from replays_keys(errand)):
                return
            reply = accept(errand, (yield from follow(errand, errand.submission, FAREWELL, "submit")), "submit")
            _ = errand.saw(errand.contract.read_submission(errand.service.base, errand.submission, reply))
            yield from verbs.tell(errand, Submitted(errand.ref.id, errand.known.status, errand.ticket))
        if not errand.known.status.done:
            confirmed = yield from poll.cancel(errand)
            yield from verbs.tell(errand, CancelSent(errand.ref.id, errand.known.status, confirmed))
    except GoferError as error:
        _log.warning("The abandoned job %s may go on: it could not be cancelled: %s", errand.job_id or "", error)
