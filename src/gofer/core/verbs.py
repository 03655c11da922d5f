"""The verbs that flows are written in: each yields commands and returns the answer with a precise type.

A verb clips its command to what is left of the budget, and prepares requests for where they go. What a reply means is
judged elsewhere. One rule holds for every document and is applied here: it comes complete and unencoded (`judging`).
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, cast

from attrs import evolve

from gofer.core.commands import (
    AwaitTurn,
    Body,
    Drop,
    Examine,
    Mark,
    Note,
    Open,
    Read,
    Send,
    Sleep,
    Store,
    Stored,
    Tell,
)
from gofer.core.errand import Errand
from gofer.core.hosts import allows
from gofer.core.journal import Fact
from gofer.core.judging import as_document
from gofer.core.run import Flow, ask
from gofer.core.signing import are_refused, sign, sign_anew
from gofer.errors import BadReply, Unreachable
from gofer.events import Event
from gofer.wire import Head, Reply, Request, origin, shown

_log = logging.getLogger("gofer")


def _seconds(errand: Errand[Any, Any], wanted: float) -> float:
    if errand.left <= 0:
        raise errand.late()
    return min(wanted, errand.left)


def _refuse_host(errand: Errand[Any, Any], request: Request) -> None:
    """Refuse a request to a host that `allow_hosts` does not name; only links and redirects lead to another origin.

    Raises:
        BadReply: it is refused. The same answer would lead there again, so this is not transient.
    """
    hosts = errand.rules.hosts
    if hosts is not None and request.anonymous and not allows(hosts, host := origin(request.url)[1]):
        raise BadReply(
            f"The service points to the host {host!r}, which allow_hosts= does not name; nothing was sent there.",
            field="url",
        )


def _queue(errand: Errand[Any, Any]) -> Flow[None]:
    """Wait for a slot. That costs the budget only: nothing was sent, so no timeout of a request runs."""
    slots = errand.service.slots
    turn = slots.queue(errand.use)
    try:
        granted = yield from ask(AwaitTurn(turn, errand.deadline))
    except BaseException:
        slots.give_up(turn)
        raise
    if not granted:
        slots.give_up(turn)
        raise errand.late(Unreachable(f"Nothing was sent: max_connections={slots.total} requests were under way."))
    errand.slot = errand.use


def examined(errand: Errand[Any, Any], request: Request) -> Flow[Request]:
    """Look at the files of a request's body, once for the errand: whatever is sent later has the bytes of then."""
    body = request.body
    if isinstance(body, bytes):
        return request
    if body not in errand.bodies:
        hashed = not request.anonymous and (errand.service.signer is not None or errand.entry is not None)
        errand.bodies[body] = yield from ask(Examine(body, hashed))
    return evolve(request, body=errand.bodies[body])


def send(errand: Errand[Any, Any], request: Request, timeout: float, *, submits: bool = False) -> Flow[Reply]:
    """Exchange one small request and reply; `submits` says that it may make a job."""
    yield from let_go(errand)
    ready = errand.service.ready(request, errand.record.ref)
    if errand.service.signer is None or ready.anonymous:
        return (yield from _send_signed(errand, ready, timeout, submits))
    signed, before = (yield from sign(errand, ready)), errand.at_risk
    reply = yield from _send_signed(errand, signed.request, timeout, submits)
    if are_refused(errand, reply):
        errand.at_risk = before  # whoever refuses the credentials has made no job
        again = yield from sign_anew(errand, ready, signed, reply)
        if again is not None:
            reply = yield from _send_signed(errand, again, timeout, submits)
    return reply


def _send_signed(errand: Errand[Any, Any], request: Request, timeout: float, submits: bool) -> Flow[Reply]:
    _refuse_host(errand, request)
    if errand.slot is None and not errand.enter(errand.use):
        yield from _queue(errand)
    try:
        seconds = _seconds(errand, timeout)
        errand.attempts += 1
        errand.at_risk = errand.at_risk or submits
        until = None if isinstance(request.body, bytes) else errand.deadline
        reply = cast("Reply", (yield Send(request, seconds, errand.rules.json_cap, until)))
    finally:
        errand.leave()
    _log_reply(request, reply)
    return as_document(reply, errand.rules.json_cap)


def open_body(errand: Errand[Any, Any], request: Request, timeout: float | None = None) -> Flow[Head]:
    """Send a request and return the head of its reply; the body waits to be stored, read or dropped.

    A refusal may have been read already: then it is a `Reply`.
    """
    yield from let_go(errand)
    ready = errand.service.ready(request, errand.record.ref)
    if errand.service.signer is None or ready.anonymous:
        return (yield from _open_signed(errand, ready, timeout))
    signed = yield from sign(errand, ready)
    head = yield from _open_signed(errand, signed.request, timeout)
    if head.status < 400 or head.status == 416:
        return head
    reply = yield from read_document(errand, head)  # its slot is free while others wait for new credentials
    if are_refused(errand, reply):
        again = yield from sign_anew(errand, ready, signed, reply)
        if again is not None:
            return (yield from _open_signed(errand, again, timeout))
    return reply


def _open_signed(errand: Errand[Any, Any], request: Request, timeout: float | None) -> Flow[Head]:
    _refuse_host(errand, request)
    if errand.slot is None and not errand.enter(errand.use):
        yield from _queue(errand)
    try:
        seconds = _seconds(errand, errand.rules.timeout if timeout is None else timeout)
        errand.attempts += 1
        command = Open(request, seconds, min(errand.rules.stall, errand.left), errand.rules.crawl)
        head = cast("Head", (yield command))
    except BaseException:
        errand.leave()
        raise
    _log_reply(request, head)
    return head


def drop(errand: Errand[Any, Any]) -> Flow[None]:
    """Close the opened reply unread."""
    try:
        yield Drop()
    finally:
        errand.leave()


def leave_open(errand: Errand[Any, Any], request: Request, head: Head) -> Flow[Reply]:
    """Return an opened reply without its body, which is the file: left open if the errand fetches it, else closed."""
    if errand.fetches:
        errand.opened = request, head
    else:
        yield from drop(errand)
    return Reply(head.url, head.status, head.headers)


def let_go(errand: Errand[Any, Any]) -> Flow[None]:
    """Close the reply that was left open for its file, if there is one."""
    if errand.opened is not None:
        errand.opened = None
        yield from drop(errand)


def _log_reply(request: Request, head: Head) -> None:
    if _log.isEnabledFor(logging.DEBUG):
        _log.debug("%s %s: %d", request.method, shown(request.url), head.status)


def read(errand: Errand[Any, Any], cap: int) -> Flow[Body]:
    """Read the opened body into memory."""
    try:
        return cast("Body", (yield Read(cap, errand.deadline)))
    finally:
        errand.leave()


def read_document(errand: Errand[Any, Any], head: Head, cap: int | None = None) -> Flow[Reply]:
    """Read the opened body as a document of at most `cap` bytes; a refusal that was read already is it."""
    if isinstance(head, Reply):
        return head
    most = errand.rules.json_cap if cap is None else cap
    body = yield from read(errand, most)
    return as_document(Reply(head.url, head.status, head.headers, body.content, body.cut), most)


def store(
    errand: Errand[Any, Any],
    target: Path,
    offset: int,
    mark: Mark,
    *,
    overlap: int,
    limit: int,
    hashed: str | None,
    room: int,
) -> Flow[Stored]:
    """Write the opened body to disk."""
    command = Store(target, offset, overlap, mark, limit, errand.deadline, hashed, errand.job_id, room)
    try:
        return cast("Stored", (yield command))
    finally:
        errand.leave()


def sleep(errand: Errand[Any, Any], seconds: float) -> Flow[None]:
    """Wait, or raise `OutOfTime` at once when the budget ends before."""
    if seconds >= errand.left:
        raise errand.late()
    if seconds > 0:
        yield Sleep(seconds)


def note(errand: Errand[Any, Any], fact: Fact) -> Flow[None]:
    """Write a fact into the journal, if the errand is one of a batch; whatever depends on it comes after this."""
    if errand.entry is not None:
        yield from ask(Note(errand.entry, fact))


def tell(errand: Errand[Any, Any], event: Event) -> Flow[None]:
    """Report an event, if anybody listens."""
    if errand.heard:
        yield Tell(event)
