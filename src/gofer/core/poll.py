"""The second leg: looking at the job until it has ended.

Where the service holds a status request and proves it (`Preference-Applied`), the next one follows at once; else a
schedule decides the pause. A failed look never loses the job.
"""

from __future__ import annotations

from gofer.core import verbs
from gofer.core.exchange import AnyTrip, Tries, accept, exchange, follow, passes, refused
from gofer.core.judging import PASSING, retry_after
from gofer.core.policies import Retry, pause_between
from gofer.core.run import Flow
from gofer.core.submit import ANSWER_MARGIN
from gofer.core.table import Move
from gofer.errors import BadReply, JobCancelled, JobFailed, JobLost, ServiceError, TransportError
from gofer.events import Changed
from gofer.models import State
from gofer.wire import Reply

CLOSEST = 0.25
"""Seconds between the starts of two looks at a job whose state did not change, whatever the service does."""

GONE_AFTER = (3, 5.0)
"""A job the service had accepted is lost when it has answered 404 so many times over so many seconds."""

RETRY_AFTER_CAP = 120.0
"""Seconds of a Retry-After on a status document that are heeded."""


class Absence:
    """The 404s in a row about a job that the service had accepted: a blip at first, then `JobLost`."""

    def __init__(self, trip: AnyTrip) -> None:
        self._trip, self._times, self._since = trip, 0, 0.0

    def rest(self, refusal: ServiceError) -> Flow[None]:
        """Pause before asking again, or raise `JobLost`."""
        times, seconds = GONE_AFTER
        now = self._trip.now.mono
        self._since = self._since if self._times else now
        self._times += 1
        if self._times >= times and now - self._since >= seconds:
            raise JobLost("The service no longer knows this job, though it had accepted it.") from refusal
        yield from verbs.sleep(self._trip, seconds / (times - 1))


def look(trip: AnyTrip, policy: Retry, *, hold: int = 0) -> Flow[Reply]:
    """Look at the job once, trying again by the policy after a failure; remember what it showed.

    Only the first try asks the service to hold the request, and if it fails the next look asks for half as long:
    where something in between cuts such requests, the others come through.
    """
    ref, snapshot = trip.ref, trip.known.snapshot
    etag = None if snapshot is None else snapshot.etag
    tries, absence = Tries(trip, policy), Absence(trip)
    while True:
        trip.looked = trip.now.mono
        request = trip.contract.poll(trip.service.base, ref, hold=hold, etag=etag)
        try:
            reply = yield from follow(trip, request, hold + ANSWER_MARGIN if hold else trip.rules.timeout)
            if reply.status == 304 and snapshot is not None:
                return reply
            if reply.status == 404 and trip.known.vouched:
                yield from absence.rest(refused(trip, reply))
                continue
            if reply.status in PASSING:
                raise refused(trip, reply)
            seen = trip.contract.polled(trip.service.base, ref, accept(trip, reply))
        except (TransportError, ServiceError, BadReply) as error:
            if not passes(error):
                raise
            if hold:
                trip.hold, hold = trip.hold // 2, 0
            yield from tries.rest(error, at_least=CLOSEST - (trip.now.mono - trip.looked))
        else:
            break
    before = trip.known.status
    new = trip.saw(seen)
    trip.known.vouched = True
    if new or (seen.status.progress, seen.status.message) != (before.progress, before.message):
        yield from verbs.tell(trip, Changed(ref.id, seen.status))
    return reply


def await_end(trip: AnyTrip) -> Flow[None]:
    """Look until the job has ended, well or not."""
    began, rounds = trip.now.mono, 0
    while not trip.known.status.done:
        before, fresh = trip.known.status, trip.known.snapshot is None
        # A job nobody has seen yet is shown at once; held would be the second look, which knows what is news.
        hold = 0 if fresh else int(min(trip.hold, max(0.0, trip.left - trip.reserve)))
        reply = yield from look(trip, trip.rules.patience, hold=hold)
        rounds += 1
        if trip.known.status.done:
            break
        trip.move(Move.ACTIVE)
        if hold and trip.contract.held(reply):
            pause = 0.0
        else:
            pause = pause_between(trip.rules.poll, attempt=rounds, began=began, now=trip.now.mono)
            if fresh and trip.hold and trip.known.snapshot is not None and trip.known.snapshot.etag is not None:
                pause = 0.0  # a service that tags its documents may well hold the next request
            pause = max(pause, min(retry_after(reply, trip.now.wall) or 0.0, RETRY_AFTER_CAP))
        if trip.known.status == before:
            pause = max(pause, CLOSEST - (trip.now.mono - trip.looked))
        yield from verbs.sleep(trip, _with_last_look(trip, pause))


def _with_last_look(trip: AnyTrip, pause: float) -> float:
    """Shorten a pause that would use up the budget, so that the job is looked at once more."""
    edge = trip.left - trip.reserve
    return edge if pause > edge > CLOSEST else max(pause, 0.0)


def settle(trip: AnyTrip) -> None:
    """Move on by how the job ended.

    Raises:
        JobFailed, JobCancelled: it ended without a result.
    """
    status, ended = trip.known.status, trip.known.snapshot
    if status.state is State.SUCCEEDED:
        trip.move(Move.SUCCEEDED)
        return
    kind = JobCancelled if status.state is State.CANCELLED else JobFailed
    code = f" with {status.error_code}" if status.error_code else ""
    words = f": {status.error}" if status.error else "."
    raise kind(
        f"The job ended as {status}{code}{words}",
        error_code=status.error_code,
        error=status.error,
        value=None if ended is None else ended.value,
    )


def cancel(trip: AnyTrip) -> Flow[bool]:
    """Ask the service to cancel the job; return whether it did or the job had ended.

    A service that has no cancellation (404, 405, 501, or none in its contract) leaves the job as it is: False.
    """
    request = trip.contract.cancellation(trip.service.base, trip.ref)
    if request is None:
        return False
    reply = yield from exchange(trip, request, Tries(trip, trip.rules.retry))
    if reply.status in (404, 405, 501):
        return False
    snapshot = trip.contract.cancelled(trip.service.base, trip.ref, accept(trip, reply))
    if snapshot is not None:
        _ = trip.saw(snapshot)
    return True
