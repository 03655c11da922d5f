"""The feed of changes: one held request that shows which of the caller's jobs have ended, in place of one for each.

It is not the only truth: a batch polls each of its jobs once after the feed has begun or was interrupted, and now and
then although the feed is silent.
"""

from __future__ import annotations

from gofer.contracts.base import Changes
from gofer.core import verbs
from gofer.core.commands import Wake
from gofer.core.errand import News
from gofer.core.exchange import AnyErrand, Tries, follow, is_transient, refused
from gofer.core.run import Flow, ask
from gofer.core.submit import ANSWER_MARGIN
from gofer.errors import BadReply, ServiceError, TransportError

GATHER = 0.03
"""Seconds between an answer of the feed and the next request: jobs that end about together come in one answer."""

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


def _ask(errand: AnyErrand, cursor: str | None, hold: int) -> Flow[Changes | None]:
    request = errand.contract.build_changes(errand.service.base, cursor, hold=hold)
    if request is None:
        return None
    errand.polled_at = errand.now.mono
    reply = yield from follow(errand, request, hold + ANSWER_MARGIN if hold else errand.rules.timeout)
    if not 200 <= reply.status < 300:
        raise refused(errand, reply)
    return errand.contract.read_changes(errand.service.base, reply)
