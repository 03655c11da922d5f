"""Many jobs in one request: the feed of changes, which is held until a job has ended, or one look at many of them.

Neither is the only truth: a batch polls each of its jobs once after the feed has begun or was interrupted, and now and
then although it is silent. A list of jobs is made of the same looks.
"""

from __future__ import annotations

from typing import Any, TypeVar

from gofer.contracts.base import Changes
from gofer.core import verbs
from gofer.core.commands import Listening, Wake
from gofer.core.errand import Errand, News
from gofer.core.exchange import AnyErrand, Tries, accept, exchange, follow, is_transient, refused
from gofer.core.policies import pause_between
from gofer.core.poll import CLOSEST
from gofer.core.record import JobMemory, JobRecord
from gofer.core.run import Flow, ask
from gofer.core.submit import ANSWER_MARGIN
from gofer.errors import BadReply, NotSupported, ServiceError, TransportError

Out = TypeVar("Out")

GATHER = 0.03
"""Seconds between an answer of the feed and the next request: jobs that end about together come in one answer."""

MOST_PAGES = 1000
"""Pages of one look at most: a service may name the same page for ever."""

UNHELD = 1.0
"""Seconds between two requests to a feed that does not hold them."""


def follow_changes(errand: AnyErrand, news: News) -> Flow[None]:
    """Follow the feed for as long as the batch goes on; return where the service has none.

    The first request is not held: its answer proves that there is a feed, and has the cursor from which it tells.
    """
    cursor: str | None = None
    tries = Tries(errand, errand.rules.patience)
    while True:
        hold = errand.rules.hold if news.live else 0
        try:
            changes = yield from _ask(errand, cursor, hold)
        except (TransportError, ServiceError, BadReply) as error:
            if news.live:
                news.live = False
                yield from ask(Wake(None))  # whoever trusted the feed has to look for itself
            if cursor is None:
                return
            if isinstance(error, ServiceError) and error.status_code == 410:
                cursor = None  # too old: what has changed meanwhile is seen by the polls
                continue
            if not is_transient(errand, error):
                return
            yield from tries.back_off(error)
            continue
        if changes is None:
            return
        tries.reset()
        cursor = changes.cursor
        if not news.live:
            news.live = True
            yield from ask(Wake(None))  # polled once after there is a cursor, nothing is missed
        else:
            yield from ask(Wake(changes.ended))
        took = errand.now.mono - errand.polled_at
        if changes.more:
            yield from verbs.sleep(errand, GATHER)
        elif hold and not errand.contract.held(changes.reply, hold=hold, took=took):
            yield from verbs.sleep(errand, UNHELD)


def look_at_many(errand: AnyErrand, news: News) -> Flow[None]:
    """Look at all jobs that are waited for, some in each request, again and again; those that have ended wake up.

    The pauses are those of `poll=` of the client, and begin anew when another job is waited for.
    """
    news.live = True
    tries, before, rounds, began = Tries(errand, errand.rules.patience), frozenset[str](), 0, errand.now.mono
    while True:
        waited = frozenset((yield from ask(Listening())))
        if waited - before:
            rounds, began = 0, errand.now.mono
        before, rounds = waited, rounds + 1
        pause = pause_between(errand.rules.poll, attempt=rounds, began=began, now=errand.now.mono)
        yield from verbs.sleep(errand, max(pause, CLOSEST))
        try:
            yield from _look(errand)
        except (TransportError, ServiceError, BadReply) as error:
            news.live = False
            yield from ask(Wake(None))
            yield from tries.back_off(error)
            news.live = True
        else:
            tries.reset()


def _look(errand: AnyErrand) -> Flow[None]:
    contract, base = errand.contract, errand.service.base
    waited, most = (yield from ask(Listening())), contract.most_at_once
    for at in range(0, len(waited), most):
        some, page = waited[at : at + most], None
        for _ in range(MOST_PAGES):
            request = contract.build_many(base, some, page)
            if request is None:
                return
            reply = yield from follow(errand, request, errand.rules.timeout)
            if not 200 <= reply.status < 300:
                raise refused(errand, reply)
            look = contract.read_many(base, reply)
            if look is None:
                return
            yield from ask(Wake({one: None for one in some if one in look.jobs and look.jobs[one].status.done}))
            page = look.next
            if page is None:
                break


class Listing:
    """A list of all jobs of the caller, of which the pages up to `page` were read; `over` after the last one."""

    def __init__(self) -> None:
        self.page: str | None = None
        self.over = False
        self._asked = set[str]()

    def next(self, errand: Errand[Any, Out]) -> Flow[list[JobMemory[Out]]]:
        """Ask for the next page; return its jobs.

        Raises:
            NotSupported: the contract or the service has no such list.
            BadReply: the pages have no end.
        """
        contract, base = errand.contract, errand.service.base
        request = contract.build_many(base, (), self.page) if contract.lists_jobs else None
        if request is None:
            raise NotSupported(
                f"The contract {contract.name!r} cannot list jobs: keep their tickets for attach(), or their ids for "
                "job(). In a declaration, a [poll.many] without {ids} says where the list is."
            )
        if request.url in self._asked or len(self._asked) >= MOST_PAGES:
            raise BadReply(f"The list of jobs has no end: after {len(self._asked)} pages gofer stopped.", field="next")
        self._asked.add(request.url)
        reply = yield from exchange(errand, request, Tries(errand, errand.rules.retry))
        if reply.status == 404:
            raise refused(errand, reply, NotSupported)
        look = contract.read_many(base, accept(errand, reply))
        self.page = None if look is None else look.next
        self.over = self.page is None
        jobs = () if look is None else look.jobs.values()
        return [JobMemory(JobRecord(job.ref, accepted=True, listed=job.status)) for job in jobs]


def _ask(errand: AnyErrand, cursor: str | None, hold: int) -> Flow[Changes | None]:
    request = errand.contract.build_changes(errand.service.base, cursor, hold=hold)
    if request is None:
        return None
    errand.polled_at = errand.now.mono
    reply = yield from follow(errand, request, hold + ANSWER_MARGIN if hold else errand.rules.timeout)
    if not 200 <= reply.status < 300:
        raise refused(errand, reply)
    return errand.contract.read_changes(errand.service.base, reply)
