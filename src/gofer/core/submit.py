"""The first leg: a submission that makes exactly one job.

The key is minted once and every try carries it with the same bytes. A try is repeated when it cannot have made a job:
the connection was never made, or the service asked to come later (429, 503 or 529 with Retry-After, or as the contract
says). A lost answer is repeated only
where the service replays keys or the method is idempotent; otherwise the caller gets an error that carries the key.
"""

from __future__ import annotations

import contextlib
from functools import partial
from typing import Literal, TypeVar

from gofer.contracts.base import Snapshot
from gofer.core import verbs
from gofer.core.errand import Errand
from gofer.core.exchange import Tries, accept, describe, exchange, follow, is_transient, means_later, too_many
from gofer.core.journal import Accepted, Sending, Unsent, mark_of
from gofer.core.judging import UNSUPPORTED, redirected
from gofer.core.run import Flow
from gofer.core.slots import Use
from gofer.core.table import Move, Stage
from gofer.errors import (
    AnswerLost,
    BadReply,
    Expired,
    GoferError,
    NotFound,
    Rejected,
    ServiceError,
    SubmitUncertain,
    TransportError,
    Unreachable,
    UsageError,
)
from gofer.events import Submitted
from gofer.wire import Reply, Request

In = TypeVar("In")
Out = TypeVar("Out")

EXISTS = frozenset({400, 409, 412, 422})
"""With what services refuse a submission whose job they have already."""

ANSWER_MARGIN = 10.0
"""Seconds that an answer may take beyond the time the service was allowed to hold it."""


def submit(errand: Errand[In, Out], request: In, key: str, *, hold: int = 0, again: bool = False) -> Flow[None]:
    """Submit `request` and remember the job in the errand.

    With `hold`, the service may answer with the finished job. `again` says that the key has been sent before, by a
    submission whose fate is unclear.

    Raises:
        UsageError: the key has been sent before, but the contract sends none, so this would be another submission;
            or a file of the body cannot be sent.
    """
    errand.use = Use.OTHER
    request = (yield from _upload(errand, request, key, again)) if errand.uploaded is None else errand.uploaded
    build = partial(errand.contract.build_submission, errand.service.base, request, key=key, budget=errand.timeout)
    unheld = yield from verbs.examined(errand, build(hold=0))
    if again and not (errand.contract.sends_key or errand.contract.is_idempotent(unheld)):
        raise UsageError(
            f"A key cannot repeat this submission: the contract {errand.contract.name!r} sends none (`sends_key`). "
            "Check at the service whether the job exists; submit without a key only if it does not."
        )
    errand.key = key
    errand.at_risk = errand.at_risk or again
    hold = int(min(hold, max(0.0, errand.left - 1.0))) if isinstance(unheld.body, bytes) else 0
    if hold and not errand.enter(Use.HELD):
        hold = 0  # too many requests are held already: polls follow by the schedule
    errand.submission = unheld
    if errand.stage is not Stage.SUBMITTING:
        errand.move(Move.SUBMIT)
    snapshot = yield from _deliver(errand, build(hold=hold) if hold else unheld, unheld, hold, again)
    errand.submitted(snapshot)
    errand.move(Move.ACCEPTED)
    if snapshot.ref.id or snapshot.ref.links:  # else it was finished at once, and cannot be found again
        yield from verbs.note(errand, Accepted(str(errand.ticket), snapshot.ref.id))
    yield from verbs.tell(errand, Submitted(snapshot.ref.id, snapshot.status, errand.ticket))


def _upload(errand: Errand[In, Out], request: In, key: str, again: bool) -> Flow[In]:
    """Send what goes before a submission; return the request with what was answered.

    Raises:
        UsageError: the key has been sent before, with what was uploaded then.
    """
    contract, base = errand.contract, errand.service.base
    while (upload := contract.build_upload(base, request, key=key)) is not None:
        if again:
            raise UsageError(
                "A key cannot repeat this submission: what is uploaded before it would be named anew, and the service "
                "would get another submission. Check at the service whether the job exists."
            )
        upload, tries = (yield from verbs.examined(errand, upload)), Tries(errand, errand.rules.retry)
        if errand.stage is not Stage.SUBMITTING:
            errand.move(Move.SUBMIT)
        while True:
            try:
                reply = accept(errand, (yield from follow(errand, upload, errand.rules.timeout)))
                errand.uploaded = request = contract.read_upload(base, request, reply)
                break
            except (TransportError, ServiceError, BadReply) as error:
                if not is_transient(errand, error):
                    raise
                yield from tries.back_off(error)
    return request


def _deliver(errand: Errand[In, Out], request: Request, unheld: Request, hold: int, again: bool) -> Flow[Snapshot[Out]]:
    """Send the submission until it is answered, never so that it could make a second job."""
    tries = Tries(errand, errand.rules.retry)
    timeout = max(errand.rules.timeout, hold + ANSWER_MARGIN) if hold else errand.rules.timeout
    lost: GoferError | None = None  # the first try of ours that may have made a job
    noted = False  # whether the journal has that the submission may have left
    while True:
        before = errand.at_risk
        if not noted:
            yield from verbs.note(errand, Sending(errand.key or "", mark_of(unheld), errand.now.wall))
            noted = True
        try:
            reply = yield from _hand_in(errand, request, timeout)
            if not errand.contract.reads("submit", reply.status):
                exists = errand.contract.existing(errand.service.base, request, reply)
                if exists is not None:
                    return exists
            reply = accept(errand, reply, "submit")
            return errand.contract.read_submission(errand.service.base, request, reply)
        except (TransportError, ServiceError, BadReply) as error:
            failure: GoferError = error
        except UsageError as error:  # this try was not sent, or never complete, as a file has changed
            if lost is None and not again:
                raise
            raise _uncertain(errand, error, "its answer was lost, and it cannot be sent again as it was") from error
        if lost is not None and request.method == "DELETE" and isinstance(failure, NotFound | Expired):
            # The first one has been done (RFC 9110, section 9.2.2).
            with contextlib.suppress(BadReply):  # a contract that needs an answer has none
                return errand.contract.read_submission(errand.service.base, request, Reply(request.url, 204))
        if (again or lost is not None) and getattr(failure, "status_code", None) in EXISTS:
            job = errand.contract.job_of(errand.service.base, request, errand.key or "")
            if job is not None:  # the first poll says whether it is there
                return job
        if isinstance(failure, Unreachable):
            errand.at_risk = before
        match _fate(errand, failure, repeated=again or lost is not None):
            case "refused":
                if lost is None:
                    raise failure
                raise _uncertain(errand, lost, "its answer was lost, and a later try was refused") from failure
            case "exists":
                if lost is None and (yield from replays_keys(errand)):
                    raise failure  # a service that replays keys has seen this one with another submission
                raise _uncertain(errand, failure, "the service knows its key already, so the job exists") from failure
            case "unsure" if lost is None:
                lost = failure
                if not (yield from may_repeat(errand)):
                    why = "its answer was lost or made no sense, and the service does not promise to replay keys"
                    raise _uncertain(errand, failure, why) from failure
                request, timeout = unheld, errand.rules.timeout  # something in between may cut what is held
            case _ if lost is None and not again:  # nothing was made
                yield from verbs.note(errand, Unsent())
                noted = False
            case _:
                pass  # the same key finds what was made
        try:
            yield from tries.back_off(failure)
        except (TransportError, ServiceError, BadReply) as given_up:
            if lost is None:
                raise
            raise _uncertain(errand, lost, "its answer was lost, and no later try was answered") from given_up


def _hand_in(errand: Errand[In, Out], request: Request, timeout: float) -> Flow[Reply]:
    """Send the submission once, following redirects.

    A 303 means that the service has taken it, and where its answer is (RFC 9110, section 15.4.4).

    Raises:
        AnswerLost: after a 303, when it points nowhere, or there is no answer to be had where it points.
        SubmitUncertain: after a 303, when no later try would be answered either.
    """
    errand.leg = "submit"
    for _ in range(errand.rules.redirects + 1):
        reply = yield from verbs.send(errand, request, timeout, submits=True)
        try:
            onward = None if errand.contract.reads("submit", reply.status) else redirected(request, reply)
        except Rejected as error:
            if reply.status != 303:
                raise
            raise AnswerLost(f"The service took it, and does not say where its answer is ({error}).") from error
        if onward is None:
            return reply
        if onward.method != request.method:
            try:
                return accept(errand, (yield from exchange(errand, onward, Tries(errand, errand.rules.retry), timeout)))
            except (TransportError, ServiceError) as error:
                raise AnswerLost(
                    f"The service took it, and its answer was not to be had ({describe(error)})."
                ) from error
            except BadReply as error:
                if is_transient(errand, error):
                    raise
                raise _uncertain(errand, error, "the service took it, and its answer is not to be had") from error
        request = onward
    raise too_many(errand)


def _fate(
    errand: Errand[In, Out], failure: GoferError, *, repeated: bool
) -> Literal["refused", "exists", "unsure", "not made"]:
    """Judge what a failed try means for the job; `repeated` says that its key had been sent before."""
    if isinstance(failure, Unreachable):
        return "not made"
    if not isinstance(failure, ServiceError):
        return "unsure"
    status = failure.status_code
    if failure.later is False and not means_later(errand, failure):
        return "refused"
    if repeated and status == 409:
        return "not made"  # the first try is still being worked on
    if repeated and status == 422 and errand.contract.sends_key:
        return "exists"
    asked_to_wait = failure.retry_after is not None
    if status == 429 or (status in (503, 529) and asked_to_wait) or means_later(errand, failure):
        return "not made"
    return "unsure" if status >= 500 and status not in UNSUPPORTED else "refused"


def may_repeat(errand: Errand[In, Out]) -> Flow[bool]:
    """Find out whether the submission sent once more is the same job: by its method, or by its key."""
    if errand.submission is not None and errand.contract.is_idempotent(errand.submission):
        return True
    return (yield from replays_keys(errand))


def replays_keys(errand: Errand[In, Out]) -> Flow[bool]:
    """Find out whether the same key gives the same job; asks the service only where the contract says so."""
    try:
        return (yield from promises_replay(errand))
    except (TransportError, ServiceError, BadReply):
        return False


def promises_replay(errand: Errand[In, Out]) -> Flow[bool]:
    """Find out the same, or raise what keeps the service from answering."""
    answer, request = errand.contract.replays_keys, errand.contract.build_health(errand.service.base)
    if answer != "ask" or request is None:
        return answer == "yes"
    reply = yield from exchange(errand, request, Tries(errand, errand.rules.retry), timeout=5.0)
    return "idempotency-key" in errand.contract.read_capabilities(reply)


def _uncertain(errand: Errand[In, Out], failure: GoferError, why: str) -> SubmitUncertain:
    if isinstance(failure, UsageError) or errand.uploaded is not None:
        advice = "Check at the service whether the job exists."
    elif errand.submission is not None and errand.contract.is_idempotent(errand.submission):
        advice = f"The same call may be made again: {errand.submission.method} makes no second job."
    elif errand.contract.sends_key:
        advice = "submit(request, key=error.key) repeats this very submission."
    else:
        advice = "No key was sent: check at the service whether the job exists, as the same call may make a second one."
    return SubmitUncertain(f"The submission may have made a job: {why} ({describe(failure)}). {advice}", key=errand.key)
