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
from gofer.core.exchange import AnyErrand, Tries, accept, exchange, follow, passes, peek, refused
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

    def __init__(self, errand: AnyErrand) -> None:
        self._errand, self._times, self._since = errand, 0, 0.0

    def rest(self, refusal: ServiceError) -> Flow[None]:
        """Pause before asking again, or raise `JobLost`."""
        times, seconds = GONE_AFTER
        now = self._errand.now.mono
        self._since = self._since if self._times else now
        self._times += 1
        if self._times >= times and now - self._since >= seconds:
            raise JobLost("The service no longer knows this job, though it had accepted it.") from refusal
        yield from verbs.sleep(self._errand, seconds / (times - 1))


def look(errand: AnyErrand, policy: Retry, *, hold: int = 0) -> Flow[Reply]:
    """Look at the job once, trying again by the policy after a failure; remember what it showed.

    Only the first try asks the service to hold the request, and if it fails the next look asks for half as long:
    where something in between cuts such requests, the others come through.
    """
    ref, snapshot = errand.ref, errand.known.snapshot
    etag = None if snapshot is None else snapshot.etag
    tries, absence = Tries(errand, policy), Absence(errand)
    while True:
        errand.looked = errand.now.mono
        request = errand.contract.build_poll(errand.service.base, ref, hold=hold, etag=etag, seen=errand.known.status)
        exchanged = peek if errand.contract.may_be_file("poll") else follow
        try:
            reply = yield from exchanged(
                errand, request, hold + ANSWER_MARGIN if hold else errand.rules.timeout, "poll"
            )
            if not errand.contract.reads("poll", reply.status):
                if reply.status == 304 and snapshot is not None:
                    return reply
                if reply.status == 404 and errand.known.vouched:
                    yield from absence.rest(refused(errand, reply))
                    continue
                raise refused(errand, reply)
            seen = errand.contract.read_poll(errand.service.base, ref, reply)
        except (TransportError, ServiceError, BadReply) as error:
            if not passes(error):
                raise
            if hold:
                errand.hold, hold = errand.hold // 2, 0
            yield from tries.rest(error, at_least=CLOSEST - (errand.now.mono - errand.looked))
        else:
            break
    before = errand.known.status
    new = errand.saw(seen)
    errand.known.vouched = True
    if new or (seen.status.progress, seen.status.message) != (before.progress, before.message):
        yield from verbs.tell(errand, Changed(ref.id, seen.status))
    return reply


def set_off(errand: AnyErrand) -> Flow[None]:
    """Start a job that waits for a second request to start it; one that was started already is left as it is."""
    snapshot = errand.known.snapshot
    if snapshot is None or not snapshot.idle or errand.started:
        return
    request = errand.contract.build_start(errand.service.base, errand.ref)
    if request is None:
        return
    reply = yield from exchange(errand, request, Tries(errand, errand.rules.patience), leg="start")
    errand.started, errand.known.snapshot = True, evolve(snapshot, idle=False)
    if not errand.contract.reads("start", reply.status):
        refusal = refused(errand, reply)
        _ = yield from look(errand, errand.rules.patience)
        if errand.known.snapshot.idle:
            raise refusal  # else an earlier try had started it, and its answer was lost


def await_end(errand: AnyErrand) -> Flow[None]:
    """Look until the job has ended, well or not.

    Raises:
        BadReply: the service kept to a word that the contract does not know, for longer than the contract's grace.
    """
    began, rounds = errand.now.mono, 0
    strange: float | None = None  # since when the service's word is none that the contract knows
    while not errand.known.status.done:
        yield from set_off(errand)
        before, fresh = errand.known.status, errand.known.snapshot is None
        # A job nobody has seen yet is shown at once; held would be the second look, which knows what is news.
        hold = 0 if fresh else int(min(errand.hold, max(0.0, errand.left - errand.reserve)))
        reply = yield from look(errand, errand.rules.patience, hold=hold)
        rounds += 1
        if errand.known.status.done:
            break
        errand.move(Move.ACTIVE)
        strange = _strange(errand, strange)
        if hold and errand.contract.held(reply, hold=hold, took=errand.now.mono - errand.looked):
            pause = 0.0
        else:
            pause = pause_between(errand.rules.poll, attempt=rounds, began=began, now=errand.now.mono)
            if fresh and errand.hold and errand.known.snapshot is not None and errand.known.snapshot.etag is not None:
                pause = 0.0  # a service that tags its documents may well hold the next request
            pause = max(pause, min(retry_after(reply, errand.now.wall) or 0.0, RETRY_AFTER_CAP))
        if errand.known.status == before:
            pause = max(pause, CLOSEST - (errand.now.mono - errand.looked))
        yield from verbs.sleep(errand, _with_last_look(errand, pause))


def _with_last_look(errand: AnyErrand, pause: float) -> float:
    """Shorten a pause that would use up the budget, so that the job is looked at once more."""
    edge = errand.left - errand.reserve
    return edge if pause > edge > CLOSEST else max(pause, 0.0)


def _strange(errand: AnyErrand, since: float | None) -> float | None:
    """Return since when the job's word is unknown; raise `BadReply` when that is longer than the grace."""
    status, grace = errand.known.status, errand.contract.grace
    if status.state is not State.UNKNOWN or grace is None:
        return None
    if since is not None and errand.now.mono - since >= grace:
        raise BadReply(
            f"The service has reported the status {str(status)!r} for {errand.now.mono - since:.0f} s, "
            "and the contract does not declare it.",
            field="state",
        )
    return errand.looked if since is None else since


def in_a_line(words: str) -> str:
    """Return a service's words without terminal colours and line breaks; of a long log the end, where the reason is."""
    plain = " ".join(re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", words).split())
    return plain if len(plain) <= LONGEST_WORDS else f"… {plain[-LONGEST_WORDS:]}"


def failure(errand: AnyErrand) -> JobFailed:
    """Make the error for a job that ended without a result."""
    status, ended = errand.known.status, errand.known.snapshot
    kind = JobCancelled if status.state is State.CANCELLED else JobFailed
    code = f" with {status.error_code}" if status.error_code else ""
    words = f": {in_a_line(status.error)}" if status.error else "."
    return kind(
        f"The job ended as {status}{code}{words}",
        error_code=status.error_code,
        error=status.error,
        value=None if ended is None else ended.value,
    )


def cancel(errand: AnyErrand) -> Flow[bool]:
    """Ask the service to cancel the job; return whether it did or the job had ended.

    A service that has no cancellation (404, 405, 501, or none in its contract) leaves the job as it is: False.
    A job that is known to have ended is left alone: some services throw away the result of what they cancel. Where the
    answer shows no job, the job is looked at once, so that the status is not what was hoped for but what is.
    """
    if errand.known.status.done:
        return True
    request = errand.contract.build_cancellation(errand.service.base, errand.ref)
    if request is None:
        return False
    reply = yield from exchange(errand, request, Tries(errand, errand.rules.retry), leg="cancel")
    if reply.status in (404, 405, 501):
        return False
    snapshot = errand.contract.read_cancellation(errand.service.base, errand.ref, accept(errand, reply, "cancel"))
    if snapshot is None:
        try:
            snapshot = yield from _glimpse(errand)
        except (TransportError, ServiceError, BadReply):
            return True  # it took the request, and that is all that is known
    if snapshot is not None:
        _ = errand.saw(snapshot)
    return True


def _glimpse(errand: AnyErrand) -> Flow[Snapshot[Any] | None]:
    """Look at the job once, without another try; None where there is nothing to be seen (any more)."""
    contract, base, ref = errand.contract, errand.service.base, errand.ref
    request = contract.build_poll(base, ref, hold=0, etag=None, seen=errand.known.status)
    exchanged = peek if contract.may_be_file("poll") else follow
    reply = yield from exchanged(errand, request, errand.rules.timeout, "poll")
    return contract.read_poll(base, ref, reply) if contract.reads("poll", reply.status) else None
