"""The flows of complete errands: the legs put together, one flow for each verb of the faces.

Every flow here is what one call of a client or a job does, from its first request to its value; faces only start it.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, TypeVar

from gofer.contracts.base import Snapshot
from gofer.core import verbs
from gofer.core.answer import answer as answer_job
from gofer.core.cancel import cancel as cancel_job
from gofer.core.deliver import Only, deliver, deliver_to_memory
from gofer.core.errand import Errand
from gofer.core.exchange import AnyErrand, Tries, accept, describe, exchange, follow, refused
from gofer.core.folder import own_folder, weakest
from gofer.core.policies import OnAbandon
from gofer.core.poll import await_end, poll_once, start_if_idle
from gofer.core.results import read_partial, read_results
from gofer.core.run import Flow
from gofer.core.slots import Use
from gofer.core.submit import may_repeat, replays_keys, submit
from gofer.core.table import Move, Stage
from gofer.core.target import Target, check_target
from gofer.errors import (
    Abandoned,
    BadReply,
    GoferError,
    JobLost,
    NotSupported,
    OutOfTime,
    ServiceError,
    TransportError,
    UsageError,
)
from gofer.events import CancelSent, Submitted
from gofer.models import Fetched, Outcome, State, Status, Verified
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
    """Submit, wait, download: all legs in one."""
    return _accompanied(errand, _run(errand, request, key, target, hold, again), "cancel")


def _run(
    errand: Errand[In, Out], request: In, key: str, target: Target | None, hold: int, again: bool
) -> Flow[Outcome[Out]]:
    if target is not None:
        target = yield from check_target(target)  # before a job is made
    yield from submit(errand, request, key, hold=hold, again=again)
    return (yield from complete(errand, request, key, target))


def complete(errand: Errand[In, Out], request: In, key: str, target: Target | None) -> Flow[Outcome[Out]]:
    """Wait for a job that was submitted, and bring its result to a checked target.

    A job that the service has lost is submitted once more, by the same key, where keys are replayed.
    """
    errand.fetches = target is not None
    try:
        yield from await_end(errand)
    except JobLost as lost:
        yield from _submit_again(errand, request, key, lost)
        yield from await_end(errand)
    results = yield from read_results(errand)
    if target is None:
        errand.move(Move.FINISH)
        return Outcome(results.value, None, Verified.NONE, errand.ref.id)
    path, fetched = yield from deliver(errand, results, target)
    yield from _discard(errand)
    return Outcome(results.value, path, weakest(fetched), errand.ref.id, fetched)


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
    try:
        yield from submit(errand, request, key, again=again)
    except (Abandoned, KeyboardInterrupt):
        _warn_if_unanswered(errand)
        raise
    yield from start_if_idle(errand)
    return errand.record.status


def refresh(errand: Errand[In, Out]) -> Flow[Status]:
    """Poll the job once."""
    errand.move(Move.ATTACH)
    _ = yield from poll_once(errand, errand.rules.retry)
    return errand.record.status


def wait(errand: Errand[In, Out]) -> Flow[Status]:
    """Wait until the job has ended, well or not."""
    return _accompanied(errand, _wait(errand), "leave")


def _wait(errand: Errand[In, Out]) -> Flow[Status]:
    errand.move(Move.ATTACH)
    yield from await_end(errand)
    return errand.record.status


def result(errand: Errand[In, Out]) -> Flow[Out]:
    """Wait for the job and return its value; a failed job raises."""
    return _accompanied(errand, _result(errand), "leave")


def _result(errand: Errand[In, Out]) -> Flow[Out]:
    return (yield from _results(errand)).value


def _results(errand: Errand[In, Out]) -> Flow[Snapshot[Out]]:
    _ = yield from _wait(errand)
    return (yield from read_results(errand))


def download(errand: Errand[In, Out], target: Target, only: Only = None) -> Flow[tuple[Path, tuple[Fetched, ...]]]:
    """Wait for the job and download its file or files, or those that `only` names; return where they are."""
    return _accompanied(errand, _download(errand, target, only), "leave")


def _download(errand: Errand[In, Out], target: Target, only: Only) -> Flow[tuple[Path, tuple[Fetched, ...]]]:
    target, errand.fetches = (yield from check_target(target, own_folder(errand))), True
    results = yield from _results(errand)
    brought = yield from deliver(errand, results, target, only)
    if only is None:
        yield from _discard(errand)
    return brought


def _discard(errand: AnyErrand) -> Flow[None]:
    """Throw the job away whose result was brought, if the client wants that; whatever comes of it is only logged."""
    if not errand.rules.discard:
        return
    try:
        request = errand.contract.build_discard(errand.service.base, errand.ref)
        if request is None:
            return
        _ = accept(errand, (yield from follow(errand, request, min(errand.rules.timeout, FAREWELL))))
    except (OutOfTime, TransportError, ServiceError, BadReply, UsageError) as error:
        _log.warning("The job %s was not thrown away: %s", errand.job_id, describe(error))


def partial(errand: Errand[In, Out], target: Target, only: Only = None) -> Flow[Outcome[Out]]:
    """Download the files that there are of a job that has not succeeded; it is polled once if it has not ended."""
    return _accompanied(errand, _partial(errand, target, only), "leave")


def _partial(errand: Errand[In, Out], target: Target, only: Only) -> Flow[Outcome[Out]]:
    errand.move(Move.ATTACH)
    errand.fetches = True
    results = yield from read_partial(errand)
    target = yield from check_target(target, own_folder(errand, results.status))
    path, fetched = yield from deliver(errand, results, target, only)
    return Outcome(results.value, path, weakest(fetched), errand.ref.id, fetched, partial=True)


def read(errand: Errand[In, Out], max_bytes: int) -> Flow[bytes]:
    """Wait for the job and return its file as bytes."""
    return _accompanied(errand, _read(errand, max_bytes), "leave")


def _read(errand: Errand[In, Out], max_bytes: int) -> Flow[bytes]:
    errand.fetches = True
    results = yield from _results(errand)
    return (yield from deliver_to_memory(errand, results, max_bytes))


def cancel(errand: Errand[In, Out]) -> Flow[bool]:
    """Ask the service to cancel the job; False where it offers no cancellation."""
    errand.move(Move.ATTACH)
    return (yield from cancel_job(errand))


def answer(errand: Errand[In, Out], value: object) -> Flow[None]:
    """Answer a job that waits for its caller."""
    errand.move(Move.ATTACH)
    yield from answer_job(errand, value)


def check(errand: Errand[In, Out]) -> Flow[Out]:
    """Poll the job once and return its document."""
    _ = yield from refresh(errand)
    return _document(errand)


def ended(errand: Errand[In, Out]) -> Flow[Out]:
    """Wait until the job has ended, well or not, and return its document."""
    _ = yield from wait(errand)
    return _document(errand)


def optional(errand: AnyErrand, request: Request) -> Flow[Reply]:
    """Exchange a request for something that a service need not have."""
    reply = yield from exchange(errand, request, Tries(errand, errand.rules.retry))
    if reply.status == 404:  # as 405 and 501 are anyway
        raise refused(errand, reply, NotSupported)
    return accept(errand, reply)


def probe(errand: AnyErrand, request: Request) -> Flow[Reply]:
    """Exchange one request once, without retries, and return whatever came."""
    return (yield from follow(errand, request, errand.rules.timeout))


def _document(errand: Errand[Any, Out]) -> Out:
    assert errand.record.seen is not None  # noqa: S101  (the job was polled)
    return errand.record.seen.value


def _accompanied(errand: AnyErrand, flow: Flow[T], default: OnAbandon) -> Flow[T]:
    """Run a flow; when its caller leaves or its time is up, do with the job what `on_abandon` says."""
    try:
        return (yield from flow)
    except (OutOfTime, Abandoned, KeyboardInterrupt) as reason:
        policy = errand.rules.on_abandon or default
        if policy == "cancel" or (policy == "cancel-if-interrupted" and not isinstance(reason, OutOfTime)):
            yield from _farewell(errand)
            if isinstance(reason, OutOfTime):
                reason.cancelled = errand.record.status.state in (State.CANCELLED, State.FAILED)
        elif not isinstance(reason, OutOfTime):  # whose error has the key
            _warn_if_unanswered(errand)
        raise


def _farewell(errand: AnyErrand) -> Flow[None]:
    """Cancel the job that its caller has left; a submission without an answer is first found again by its key."""
    errand.deadline, request, errand.use = errand.now.mono + FAREWELL, errand.submission, Use.FAREWELL
    unanswered = _unanswered(errand)
    if unanswered and not errand.at_risk:
        return  # nothing was sent
    try:
        if unanswered and request is not None:
            if not (yield from may_repeat(errand)):
                _log.warning(_uncancelled(errand))
                return
            reply = accept(errand, (yield from follow(errand, request, FAREWELL, "submit")), "submit")
            errand.submitted(errand.contract.read_submission(errand.service.base, request, reply))
            yield from verbs.tell(errand, Submitted(errand.ref.id, errand.record.status, errand.ticket))
            unanswered = False
        if not errand.record.status.done:
            confirmed = yield from cancel_job(errand)
            yield from verbs.tell(errand, CancelSent(errand.ref.id, errand.record.status, confirmed))
    except GoferError as error:
        why = f"no answer within {FAREWELL:g} s" if isinstance(error, OutOfTime) else describe(error)
        if unanswered:
            _log.warning("%s (%s)", _uncancelled(errand), why)
        else:
            _log.warning("The abandoned job %s may go on: it could not be cancelled (%s).", errand.job_id, why)


def _unanswered(errand: AnyErrand) -> bool:
    """Tell whether no submission was answered yet, or not the one that replaces a lost job."""
    return errand.record.ref is None or errand.stage is Stage.SUBMITTING


def _warn_if_unanswered(errand: AnyErrand) -> None:
    """Log a submission that its caller has left, and that may have made a job."""
    if _unanswered(errand) and errand.at_risk:
        _log.warning(_uncancelled(errand))


def _uncancelled(errand: AnyErrand) -> str:
    """Say that a submission whose caller has left may have made a job, and how to find it."""
    find = f" submit(request, key={errand.key!r}) may find it." if errand.contract.sends_key else ""
    return f"The caller left before the submission was answered; it may have made a job, which was not cancelled.{find}"
