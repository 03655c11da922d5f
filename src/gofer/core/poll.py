"""The second leg: polling the job until it has ended.

Where the service holds a status request and proves it (`Preference-Applied`), the next one follows at once; else a
schedule decides the pause. A failed poll never loses the job.
"""

from __future__ import annotations

from types import MappingProxyType

from gofer.core import verbs
from gofer.core.commands import AwaitNews
from gofer.core.exchange import (
    BRIEFLY,
    AnyErrand,
    Tries,
    exchange,
    follow,
    in_a_line,
    is_transient,
    read_if_document,
    refused,
)
from gofer.core.judging import retry_after
from gofer.core.policies import Retry, pause_between
from gofer.core.run import Flow, ask
from gofer.core.slots import Use
from gofer.core.submit import ANSWER_MARGIN
from gofer.core.table import Move
from gofer.errors import BadReply, JobLost, NeedsInput, NotFound, ServiceError, TransportError
from gofer.events import Changed
from gofer.models import State, Status
from gofer.wire import Reply, Request, may_be_sent, shown

FRESH = {"cache-control": "no-cache"}
"""Sent with every poll unless the contract says otherwise: a cache may have an old status (RFC 9111, 5.2.1.4)."""

CLOSEST = 0.25
"""Seconds between the starts of two polls of a job whose state did not change, whatever the service does."""

RETRY_AFTER_CAP = 120.0
"""Seconds of a Retry-After on a status document that are heeded."""


ANSWER_SEEN = 10.0
"""Seconds for which a job may still show a question that was answered."""


def poll_once(errand: AnyErrand, policy: Retry, *, hold: int = 0, anew: bool = False) -> Flow[Reply]:
    """Poll the job once, retrying by the policy after a failure, and remember what the service showed.

    With `anew` the document is asked for even if it has not changed: links in it may be new for every reader.

    Only the first try asks the service to hold the request. If it fails, the next poll asks for half as long, since
    something in between may cut requests that are held for too long.
    """
    contract, base, ref, seen = errand.contract, errand.service.base, errand.ref, errand.record.seen
    etag = None if seen is None or anew or not may_be_sent(seen.etag) else seen.etag
    exchanged = read_if_document if contract.may_be_file("poll") else follow
    tries = Tries(errand, policy)
    patient = seen is not None and policy is errand.rules.patience
    absent = Tries(errand, policy if patient else BRIEFLY)  # the 404s in a row about an accepted job
    errand.use = Use.POLL
    if hold and not errand.enter(Use.HELD):
        hold = 0  # too many requests are held already: the schedule decides when to poll again
    while True:
        errand.polled_at, number = errand.now.mono, errand.memory.next_poll()
        request = contract.build_poll(base, ref, hold=hold, etag=etag, seen=errand.record.status)
        request = Request(request.method, request.url, MappingProxyType({**FRESH, **request.headers}), request.body)
        try:
            timeout = hold + ANSWER_MARGIN if hold and contract.holds else errand.rules.timeout
            reply = yield from exchanged(errand, request, timeout, "poll")
            if not contract.reads("poll", reply.status):
                if reply.status == 304 and seen is not None:
                    errand.use = Use.OTHER
                    return reply
                raise refused(errand, reply)
            snapshot = contract.read_poll(base, ref, reply)
            if snapshot.status.state is not State.SUCCEEDED:
                yield from verbs.let_go(errand)
        except (TransportError, ServiceError, BadReply) as error:
            yield from verbs.let_go(errand)
            if isinstance(error, NotFound) and errand.record.accepted:
                yield from absent.back_off(_lost(request, error), at_least=_distance(errand))
                continue
            if not (is_transient(errand, error) or _is_passing(errand, error)):
                raise
            absent.reset()
            if hold:
                errand.hold, hold = errand.hold // 2, 0
            yield from tries.back_off(error, at_least=_distance(errand))
        else:
            break
    errand.use = Use.OTHER
    before, after = (record.status for record in errand.polled(snapshot, number))
    if (after, after.progress, after.message) != (before, before.progress, before.message):
        yield from verbs.tell(errand, Changed(ref.id, after))
    return reply


def _is_passing(errand: AnyErrand, error: Exception) -> bool:
    """Tell whether a status document without a state comes among others that had one."""
    return isinstance(error, BadReply) and error.stateless and errand.record.poll > 0


def start_if_idle(errand: AnyErrand) -> Flow[None]:
    """Start a job that waits for a second request to start it; a job that was started already stays as it is."""
    seen = errand.record.seen
    if seen is None or not seen.idle or errand.started:
        return
    request = errand.contract.build_start(errand.service.base, errand.ref)
    if request is None:
        return
    reply = yield from exchange(errand, request, Tries(errand, errand.rules.patience), leg="start")
    errand.started = True
    _ = errand.memory.update(lambda record: record.after_start())
    if not errand.contract.reads("start", reply.status):
        refusal = refused(errand, reply)
        _ = yield from poll_once(errand, errand.rules.patience)
        if errand.record.seen is not None and errand.record.seen.idle:
            raise refusal  # else an earlier try had started it, and its answer was lost


def await_end(errand: AnyErrand) -> Flow[None]:
    """Poll until the job has ended, well or not.

    Raises:
        BadReply: the service kept to a status that the contract does not declare, for longer than the grace.
    """
    began, rounds = errand.now.mono, 0
    unknown_since: float | None = None
    if errand.record.seen is not None and not errand.record.status.done:
        yield from start_if_idle(errand)
        _ = yield from _await_news(errand)  # the submission has shown the job, and the feed shows what comes after
    while not errand.record.status.done:
        yield from start_if_idle(errand)
        before, first = errand.record.status, errand.record.seen is None
        # The first poll is not held: it shows the job as it is, and its entity tag makes a held poll wait for news.
        fed = errand.news is not None and errand.news.live
        hold = 0 if first or fed else int(min(errand.hold, max(0.0, errand.left - errand.reserve)))
        reply = yield from poll_once(errand, errand.rules.patience, hold=hold)
        rounds += 1
        if errand.record.status.done:
            break
        errand.move(Move.ACTIVE)
        _raise_if_asked(errand)
        unknown_since = _unknown_since(errand, unknown_since)
        if (yield from _await_news(errand)):
            continue
        if hold and errand.contract.held(reply, hold=hold, took=errand.now.mono - errand.polled_at):
            pause = 0.0
        else:
            pause = pause_between(errand.rules.poll, attempt=rounds, began=began, now=errand.now.mono)
            asked = None if errand.record.seen is None else errand.record.seen.pause
            pause = pause if asked is None else max(CLOSEST, min(asked, RETRY_AFTER_CAP))
            if first and errand.hold and errand.record.seen is not None and errand.record.seen.etag is not None:
                pause = 0.0  # a service that tags its documents may well hold the next request
            pause = max(pause, min(retry_after(reply, errand.now.wall) or 0.0, RETRY_AFTER_CAP))
        if errand.record.status == before:
            pause = max(pause, _distance(errand))
        yield from verbs.sleep(errand, _with_last_poll(errand, pause))
    if errand.record.status.state is State.SUCCEEDED:
        errand.move(Move.SUCCEEDED)


def _raise_if_asked(errand: AnyErrand) -> None:
    """Raise `NeedsInput` where the job waits for its caller, unless that is a question which was just answered."""
    status, answered = errand.record.status, errand.record.answered
    if status.state is not State.WAITING:
        return
    if answered is not None and answered[0] == status.question and errand.now.mono - answered[1] < ANSWER_SEEN:
        return
    raise NeedsInput(
        f"The job waits for its caller: it is {status}{_asks(status)}. Use job.answer(...), then wait for it again.",
        question=status.question,
    )


def _asks(status: Status) -> str:
    text = status.message or (status.question if isinstance(status.question, str) else None)
    return f" ({in_a_line(text)})" if text else ""


def _await_news(errand: AnyErrand) -> Flow[bool]:
    """Wait until the feed of the batch shows the end of the job, or for long; False at once where there is no feed."""
    news = errand.news
    if news is None or not news.live:
        return False
    errand.move(Move.ACTIVE)
    shown = yield from ask(AwaitNews(news.every))
    if shown is not None:
        before, after = (record.status for record in errand.polled(shown, errand.memory.next_poll()))
        if after != before:
            yield from verbs.tell(errand, Changed(errand.ref.id, after))
    return True


def _distance(errand: AnyErrand) -> float:
    """Return the seconds until the job may be polled again."""
    return CLOSEST - (errand.now.mono - errand.polled_at)


def _lost(request: Request, refusal: ServiceError) -> JobLost:
    """Make the error for an accepted job that the service no longer has."""
    where, code = shown(request.url), refusal.status_code
    lost = JobLost(f"The service has lost this job, though it had accepted it: {where} answers {code}.")
    lost.__cause__ = refusal
    return lost


def _with_last_poll(errand: AnyErrand, pause: float) -> float:
    """Shorten a pause that would use up the budget, so that the job is polled once more."""
    edge = errand.left - errand.reserve
    return edge if pause > edge > CLOSEST else max(pause, 0.0)


def _unknown_since(errand: AnyErrand, since: float | None) -> float | None:
    """Return since when the job's status is unknown; raise `BadReply` when that is longer than the grace."""
    status, grace = errand.record.status, errand.contract.grace if errand.rules.grace is None else errand.rules.grace
    if status.state is not State.UNKNOWN or grace is None:
        return None
    if since is not None and errand.now.mono - since >= grace:
        raise BadReply(
            f"The service has reported the status {str(status)!r} for {errand.now.mono - since:.0f} s, "
            "and the contract does not declare it.",
            field="state",
        )
    return errand.polled_at if since is None else since
