"""The first leg: a submission that makes exactly one job.

The key is minted once and every try carries it with the same bytes. A try is repeated when it cannot have made a job:
the connection was never made, or the service said no (429, or 503 with Retry-After). A lost answer is repeated only
where the service replays keys; otherwise the caller is told, with the key.
"""

from __future__ import annotations

from functools import partial
from typing import Literal, TypeVar

from gofer.contracts.base import Snapshot
from gofer.core import verbs
from gofer.core.exchange import Tries, accept, describe, exchange, too_many
from gofer.core.judging import redirected
from gofer.core.run import Flow
from gofer.core.table import Move
from gofer.core.trip import Trip
from gofer.errors import AnswerLost, BadReply, GoferError, ServiceError, SubmitUncertain, TransportError, Unreachable
from gofer.events import Submitted
from gofer.wire import Reply, Request

In = TypeVar("In")
Out = TypeVar("Out")

ANSWER_MARGIN = 10.0
"""Seconds that an answer may take beyond the time the service was allowed to hold it."""


def submit(trip: Trip[In, Out], order: In, key: str, *, hold: int = 0, again: bool = False) -> Flow[None]:
    """Submit `order` and remember the job in the trip.

    With `hold`, the service may answer with the finished job. `again` says that the key has been sent before, by a
    submission whose fate is not known.
    """
    trip.key = key
    hold = int(min(hold, max(0.0, trip.left - 1.0)))
    build = partial(trip.contract.submission, trip.service.base, order, key=key, budget=trip.timeout)
    trip.submission = build(hold=0)
    trip.move(Move.SUBMIT)
    snapshot = yield from _deliver(trip, build(hold=hold), trip.submission, hold, again)
    trip.known.submitted, trip.known.vouched = trip.now.wall, True
    _ = trip.saw(snapshot)
    trip.move(Move.ACCEPTED)
    yield from verbs.tell(trip, Submitted(snapshot.ref.id, snapshot.status, trip.ticket))


def _deliver(trip: Trip[In, Out], request: Request, unheld: Request, hold: int, again: bool) -> Flow[Snapshot[Out]]:
    """Send the submission until it is answered, never so that it could make a second job."""
    tries = Tries(trip, trip.rules.retry)
    timeout = max(trip.rules.timeout, hold + ANSWER_MARGIN) if hold else trip.rules.timeout
    lost: GoferError | None = None  # the first try of ours that may have made a job
    while True:
        trip.at_risk, before = True, trip.at_risk or again
        try:
            reply = accept(trip, (yield from _hand_in(trip, request, timeout)), "submit")
            return trip.contract.submitted(trip.service.base, request, reply)
        except (TransportError, ServiceError, BadReply) as error:
            failure: GoferError = error
        if isinstance(failure, Unreachable):
            trip.at_risk = before
        match _fate(failure, repeated=again or lost is not None):
            case "refused":
                if lost is None:
                    raise failure
                raise _uncertain(trip, lost, "its answer was lost, and a later try was refused") from failure
            case "exists":
                if lost is None and (yield from replays_keys(trip)):
                    raise failure  # a service that replays keys has seen this one with another submission
                raise _uncertain(trip, failure, "the service knows its key already, so the job exists") from failure
            case "unsure" if lost is None:
                lost = failure
                if not (yield from replays_keys(trip)):
                    why = "its answer was lost or made no sense, and the service does not promise to replay keys"
                    raise _uncertain(trip, failure, why) from failure
                request, timeout = unheld, trip.rules.timeout  # something in between may cut what is held
            case _:
                pass  # nothing was made, or the same key finds what was
        try:
            yield from tries.rest(failure)
        except (TransportError, ServiceError, BadReply) as given_up:
            if lost is None:
                raise
            raise _uncertain(trip, lost, "its answer was lost, and no later try was answered") from given_up


def _hand_in(trip: Trip[In, Out], request: Request, timeout: float) -> Flow[Reply]:
    """Send the submission once, following redirects.

    A 303 means that the service has taken it, and where its answer is (RFC 9110, section 15.4.4).

    Raises:
        AnswerLost: after a 303, when there is no answer to be had where it points.
    """
    for _ in range(trip.rules.redirects + 1):
        reply = yield from verbs.send(trip, request, timeout)
        onward = None if trip.contract.reads("submit", reply.status) else redirected(request, reply)
        if onward is None:
            return reply
        if onward.method != request.method:
            try:
                return accept(trip, (yield from exchange(trip, onward, Tries(trip, trip.rules.retry), timeout)))
            except (TransportError, ServiceError) as error:
                raise AnswerLost(
                    f"The service took it, and its answer was not to be had ({describe(error)})."
                ) from error
        request = onward
    raise too_many(trip)


def _fate(failure: GoferError, *, repeated: bool) -> Literal["refused", "exists", "unsure", "not made"]:
    """Judge what a failed try means for the job; `repeated` says that its key had been sent before."""
    if isinstance(failure, Unreachable):
        return "not made"
    if not isinstance(failure, ServiceError):
        return "unsure"
    status = failure.status_code
    if repeated and status in (409, 422):
        return "not made" if status == 409 else "exists"  # 409: the first try is still being worked on
    if status == 429 or (status == 503 and failure.retry_after is not None):
        return "not made"
    return "unsure" if status >= 500 and status != 501 else "refused"


def replays_keys(trip: Trip[In, Out]) -> Flow[bool]:
    """Find out whether the same key gives the same job; asks the service only where the contract says so."""
    answer = trip.contract.replays_keys
    if answer != "ask":
        return answer == "yes"
    try:
        request = trip.contract.health(trip.service.base)
        if request is None:
            return False
        reply = yield from exchange(trip, request, Tries(trip, trip.rules.retry), timeout=5.0)
        return "idempotency-key" in trip.contract.capabilities(reply)
    except (TransportError, ServiceError, BadReply):
        return False


def _uncertain(trip: Trip[In, Out], failure: GoferError, why: str) -> SubmitUncertain:
    return SubmitUncertain(
        f"The submission may have made a job: {why} ({describe(failure)}). "
        "submit(request, key=error.key) repeats this very submission.",
        key=trip.key,
    )
