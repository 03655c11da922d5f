"""The second leg: looking at the job until it has ended.

Where the service holds a status request and proves it (`Preference-Applied`), the next one follows at once; else a
schedule decides the pause. A failed look never loses the job.
"""

from __future__ import annotations

import re
from typing import Any

from attrs import evolve

from gofer.contracts.base import Snapshot
from gofer.core import verbs
from gofer.core.exchange import AnyTrip, Tries, accept, exchange, follow, passes, peek, refused
from gofer.core.judging import retry_after
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

LONGEST_WORDS = 400
"""Characters of a failed job's reason that an error's message shows; its `error` has them all."""

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
        request = trip.contract.poll(trip.service.base, ref, hold=hold, etag=etag, seen=trip.known.status)
        exchanged = peek if trip.contract.peeks("poll") else follow
        try:
            reply = yield from exchanged(trip, request, hold + ANSWER_MARGIN if hold else trip.rules.timeout, "poll")
            if not trip.contract.reads("poll", reply.status):
                if reply.status == 304 and snapshot is not None:
                    return reply
                if reply.status == 404 and trip.known.vouched:
                    yield from absence.rest(refused(trip, reply))
                    continue
                raise refused(trip, reply)
            seen = trip.contract.polled(trip.service.base, ref, reply)
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


def set_off(trip: AnyTrip) -> Flow[None]:
    """Start a job that waits for a second request to start it; one that was started already is left as it is."""
    snapshot = trip.known.snapshot
    if snapshot is None or not snapshot.idle or trip.started:
        return
    request = trip.contract.start(trip.service.base, trip.ref)
    if request is None:
        return
    reply = yield from exchange(trip, request, Tries(trip, trip.rules.patience), leg="start")
    trip.started, trip.known.snapshot = True, evolve(snapshot, idle=False)
    if not trip.contract.reads("start", reply.status):
        refusal = refused(trip, reply)
        _ = yield from look(trip, trip.rules.patience)
        if trip.known.snapshot.idle:
            raise refusal  # else an earlier try had started it, and its answer was lost


def await_end(trip: AnyTrip) -> Flow[None]:
    """Look until the job has ended, well or not.

    Raises:
        BadReply: the service kept to a word that the contract does not know, for longer than the contract's grace.
    """
    began, rounds = trip.now.mono, 0
    strange: float | None = None  # since when the service's word is none that the contract knows
    while not trip.known.status.done:
        yield from set_off(trip)
        before, fresh = trip.known.status, trip.known.snapshot is None
        # A job nobody has seen yet is shown at once; held would be the second look, which knows what is news.
        hold = 0 if fresh else int(min(trip.hold, max(0.0, trip.left - trip.reserve)))
        reply = yield from look(trip, trip.rules.patience, hold=hold)
        rounds += 1
        if trip.known.status.done:
            break
        trip.move(Move.ACTIVE)
        strange = _strange(trip, strange)
        if hold and trip.contract.held(reply, hold=hold, took=trip.now.mono - trip.looked):
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


def _strange(trip: AnyTrip, since: float | None) -> float | None:
    """Return since when the job's word is unknown; raise `BadReply` when that is longer than the grace."""
    status, grace = trip.known.status, trip.contract.grace
    if status.state is not State.UNKNOWN or grace is None:
        return None
    if since is not None and trip.now.mono - since >= grace:
        raise BadReply(
            f"The service has called the job {str(status)!r} for {trip.now.mono - since:.0f} s: the contract knows no "
            "such word.",
            field="state",
        )
    return trip.looked if since is None else since


def in_a_line(words: str) -> str:
    """Return a service's words without terminal colours and line breaks; of a long log the end, where the reason is."""
    plain = " ".join(re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", words).split())
    return plain if len(plain) <= LONGEST_WORDS else f"… {plain[-LONGEST_WORDS:]}"


def failure(trip: AnyTrip) -> JobFailed:
    """Make the error for a job that ended without a result."""
    status, ended = trip.known.status, trip.known.snapshot
    kind = JobCancelled if status.state is State.CANCELLED else JobFailed
    code = f" with {status.error_code}" if status.error_code else ""
    words = f": {in_a_line(status.error)}" if status.error else "."
    return kind(
        f"The job ended as {status}{code}{words}",
        error_code=status.error_code,
        error=status.error,
        value=None if ended is None else ended.value,
    )


def cancel(trip: AnyTrip) -> Flow[bool]:
    """Ask the service to cancel the job; return whether it did or the job had ended.

    A service that has no cancellation (404, 405, 501, or none in its contract) leaves the job as it is: False.
    A job that is known to have ended is left alone: some services throw away the result of what they cancel. Where the
    answer shows no job, the job is looked at once, so that the status is not what was hoped for but what is.
    """
    if trip.known.status.done:
        return True
    request = trip.contract.cancellation(trip.service.base, trip.ref)
    if request is None:
        return False
    reply = yield from exchange(trip, request, Tries(trip, trip.rules.retry), leg="cancel")
    if reply.status in (404, 405, 501):
        return False
    snapshot = trip.contract.cancelled(trip.service.base, trip.ref, accept(trip, reply, "cancel"))
    if snapshot is None:
        try:
            snapshot = yield from _glimpse(trip)
        except (TransportError, ServiceError, BadReply):
            return True  # it took the request, and that is all that is known
    if snapshot is not None:
        _ = trip.saw(snapshot)
    return True


def _glimpse(trip: AnyTrip) -> Flow[Snapshot[Any] | None]:
    """Look at the job once, without another try; None where there is nothing to be seen (any more)."""
    contract, base, ref = trip.contract, trip.service.base, trip.ref
    request = contract.poll(base, ref, hold=0, etag=None, seen=trip.known.status)
    exchanged = peek if contract.peeks("poll") else follow
    reply = yield from exchanged(trip, request, trip.rules.timeout, "poll")
    return contract.polled(base, ref, reply) if contract.reads("poll", reply.status) else None
