"""The errands themselves: the legs put together, one flow for each verb of the faces.

Every flow here is what one call of a client or a job does, from its first request to its value; faces only start it.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, TypeVar

from gofer.core import poll, verbs
from gofer.core.exchange import AnyTrip, Tries, accept, exchange, follow, refused
from gofer.core.policies import OnAbandon
from gofer.core.results import Target, bring, conclude, in_memory, survey, weakest
from gofer.core.run import Flow
from gofer.core.submit import replays_keys, submit
from gofer.core.table import Move, Stage
from gofer.core.trip import Trip
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
    trip: Trip[In, Out], order: In, key: str, target: Target | None, *, hold: int, again: bool = False
) -> Flow[Outcome[Out]]:
    """Submit, wait, download: the whole errand in one."""
    return _accompanied(trip, _whole(trip, order, key, target, hold, again), "cancel")


def _whole(
    trip: Trip[In, Out], order: In, key: str, target: Target | None, hold: int, again: bool
) -> Flow[Outcome[Out]]:
    if target is not None:
        target = yield from survey(target)  # an unwritable one is found out before a job is made
    yield from submit(trip, order, key, hold=hold, again=again)
    try:
        yield from poll.await_end(trip)
    except JobLost as lost:
        yield from _submit_again(trip, order, key, lost)
        yield from poll.await_end(trip)
    yield from conclude(trip)
    value = _value(trip)
    if target is None:
        trip.move(Move.FINISH)
        return Outcome(value, None, Verified.NONE, trip.ref.id)
    path, fetched = yield from bring(trip, target)
    return Outcome(value, path, weakest(fetched), trip.ref.id, fetched)


def _submit_again(trip: Trip[In, Out], order: In, key: str, error: JobLost) -> Flow[None]:
    """Replace a lost job, once: only with the same key, where keys are replayed, and if it is another job then."""
    lost = trip.ref
    if not (yield from replays_keys(trip)):
        raise error
    yield from submit(trip, order, key)
    if trip.ref == lost:
        raise error


def start(trip: Trip[In, Out], order: In, key: str, *, again: bool = False) -> Flow[Status]:
    """Submit only; `again` says that the key has been sent before."""
    yield from submit(trip, order, key, again=again)
    yield from poll.set_off(trip)
    return trip.known.status


def refresh(trip: Trip[In, Out]) -> Flow[Status]:
    """Look at the job once."""
    trip.move(Move.ATTACH)
    _ = yield from poll.look(trip, trip.rules.retry)
    return trip.known.status


def wait(trip: Trip[In, Out]) -> Flow[Status]:
    """Wait until the job has ended, well or not."""
    return _accompanied(trip, _wait(trip), "leave")


def _wait(trip: Trip[In, Out]) -> Flow[Status]:
    trip.move(Move.ATTACH)
    yield from poll.await_end(trip)
    return trip.known.status


def result(trip: Trip[In, Out]) -> Flow[Out]:
    """Wait for the job and return its document; a failed job raises."""
    return _accompanied(trip, _result(trip), "leave")


def _result(trip: Trip[In, Out]) -> Flow[Out]:
    _ = yield from _wait(trip)
    yield from conclude(trip)
    return _value(trip)


def download(trip: Trip[In, Out], target: Target) -> Flow[tuple[Path, tuple[Fetched, ...]]]:
    """Wait for the job and bring its file or files; return where they are."""
    return _accompanied(trip, _download(trip, target), "leave")


def _download(trip: Trip[In, Out], target: Target) -> Flow[tuple[Path, tuple[Fetched, ...]]]:
    target = yield from survey(target)
    _ = yield from _result(trip)
    return (yield from bring(trip, target))


def read(trip: Trip[In, Out], max_bytes: int) -> Flow[bytes]:
    """Wait for the job and bring its file as bytes."""
    return _accompanied(trip, _read(trip, max_bytes), "leave")


def _read(trip: Trip[In, Out], max_bytes: int) -> Flow[bytes]:
    _ = yield from _result(trip)
    return (yield from in_memory(trip, max_bytes))


def cancel(trip: Trip[In, Out]) -> Flow[bool]:
    """Ask the service to cancel the job; False where it offers no cancellation."""
    trip.move(Move.ATTACH)
    return (yield from poll.cancel(trip))


def check(trip: Trip[In, Out]) -> Flow[Out]:
    """Look at the job once and return its document."""
    _ = yield from refresh(trip)
    return _value(trip)


def ended(trip: Trip[In, Out]) -> Flow[Out]:
    """Wait until the job has ended, well or not, and return its document."""
    _ = yield from wait(trip)
    return _value(trip)


def optional(trip: AnyTrip, request: Request) -> Flow[Reply]:
    """Exchange a request for something that a service need not have."""
    reply = yield from exchange(trip, request, Tries(trip, trip.rules.retry))
    if reply.status in (404, 405, 501):
        raise refused(trip, reply, NotSupported)
    return accept(trip, reply)


def probe(trip: AnyTrip, request: Request) -> Flow[Reply]:
    """Exchange one request once, without retries, and return whatever came."""
    return (yield from follow(trip, request, trip.rules.timeout))


def _value(trip: Trip[Any, Out]) -> Out:
    assert trip.known.snapshot is not None  # noqa: S101  (a job that has ended was seen)
    return trip.known.snapshot.value


def _accompanied(trip: AnyTrip, flow: Flow[T], default: OnAbandon) -> Flow[T]:
    """Run a flow; when its caller leaves or its time is up, do with the job what `on_abandon` says."""
    try:
        return (yield from flow)
    except (OutOfTime, Abandoned, KeyboardInterrupt) as reason:
        policy = trip.rules.on_abandon or default
        if policy == "cancel" or (policy == "cancel-if-interrupted" and not isinstance(reason, OutOfTime)):
            yield from _farewell(trip)
        raise


def _farewell(trip: AnyTrip) -> Flow[None]:
    """Cancel the job nobody will come for; a submission still unanswered is first found again by its key."""
    trip.deadline = trip.now.mono + FAREWELL
    try:
        if trip.known.ref is None or trip.stage is Stage.SUBMITTING:  # a job that replaces a lost one
            if trip.submission is None or not trip.at_risk or not (yield from replays_keys(trip)):
                return
            reply = accept(trip, (yield from follow(trip, trip.submission, FAREWELL, "submit")), "submit")
            _ = trip.saw(trip.contract.submitted(trip.service.base, trip.submission, reply))
            yield from verbs.tell(trip, Submitted(trip.ref.id, trip.known.status, trip.ticket))
        if not trip.known.status.done:
            confirmed = yield from poll.cancel(trip)
            yield from verbs.tell(trip, CancelSent(trip.ref.id, trip.known.status, confirmed))
    except GoferError as error:
        _log.warning("The abandoned job %s may go on: it could not be cancelled: %s", trip.job_id or "", error)
