"""The first leg: a submission that makes exactly one job.

The key is minted once and every try carries it with the same bytes. A try is repeated when it cannot have made a job:
the connection was never made, or the service said no (429, or 503 with Retry-After). A lost answer is repeated only
where the service replays keys; otherwise the caller is told, with the key.
"""

from __future__ import annotations

from typing import TypeVar

from gofer.core import verbs
from gofer.core.exchange import Tries, accept, describe, exchange, follow, refused
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


def submit(trip: Trip[In, Out], order: In, key: str, *, hold: int = 0) -> Flow[None]:
    """Submit `order` and remember the job in the trip; with `hold`, let the service answer with the finished job."""
    trip.key = key
    hold = int(min(hold, max(0.0, trip.left - 1.0)))
    request = trip.contract.submission(trip.service.base, order, key=key, budget=trip.timeout, hold=hold)
    trip.submission = request
    trip.move(Move.SUBMIT)
    reply = yield from _deliver(trip, request, hold)
    snapshot = trip.contract.submitted(trip.service.base, reply)
    trip.known.submitted, trip.known.vouched = trip.now.wall, True
    _ = trip.saw(snapshot)
    trip.move(Move.ACCEPTED)
    yield from verbs.tell(Submitted(snapshot.ref.id, snapshot.status, trip.ticket or ""))


def _deliver(trip: Trip[In, Out], request: Request, hold: int) -> Flow[Reply]:
    """Send the submission until it is answered, never so that it could make a second job."""
    tries = Tries(trip, trip.rules.retry)
    timeout = max(trip.rules.timeout, hold + ANSWER_MARGIN)
    lost: GoferError | None = None  # the first try whose answer may have been a job
    while True:
        try:
            reply = yield from follow(trip, request, timeout)
        except Unreachable as error:
            failure: GoferError = error
        except TransportError as error:
            lost, failure = lost or error, error
        else:
            if reply.status == 409 and lost is not None:
                failure = refused(trip, reply)  # the first try is still being worked on
            elif reply.status == 422 and lost is not None:
                raise _uncertain(trip, lost, "and it knows the key already, so the job exists") from lost
            elif reply.status == 429 or (reply.status == 503 and "retry-after" in reply.headers):
                failure = refused(trip, reply)
            elif reply.status >= 500 and reply.status != 501:
                failure = refused(trip, reply)
                lost = lost or failure
            else:
                return accept(trip, reply)
        if lost is failure and not (yield from replays_keys(trip)):
            raise _uncertain(trip, failure, "and the service does not promise to replay keys") from failure
        try:
            yield from tries.rest(failure)
        except (TransportError, ServiceError) as given_up:
            if lost is None:
                raise
            raise _uncertain(trip, lost, "and no later try was answered") from given_up


def replays_keys(trip: Trip[In, Out]) -> Flow[bool]:
    """Find out whether the same key gives the same job; asks the service only where the contract says so."""
    answer = trip.contract.replays_keys
    if answer != "ask":
        return answer == "yes"
    try:
        request = trip.contract.health(trip.service.base)
        reply = yield from exchange(trip, request, Tries(trip, trip.rules.retry), timeout=5.0)
        return "idempotency-key" in trip.contract.capabilities(reply)
    except (TransportError, ServiceError, BadReply):
        return False


def _uncertain(trip: Trip[In, Out], lost: GoferError, why: str) -> SubmitUncertain:
    how = "broke off" if isinstance(lost, AnswerLost) else "failed"
    return SubmitUncertain(
        f"The submission may have made a job: its answer {how} ({describe(lost)}), {why}. "
        "submit(request, key=error.key) repeats this very submission.",
        key=trip.key,
    )
