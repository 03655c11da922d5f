"""The verbs that flows are written in: each yields commands and returns the answer with a precise type.

A verb clips its command to what is left of the budget, and prepares requests for where they go. What a reply means is
judged elsewhere. One rule holds for every document and is applied here: it comes complete and unencoded (`judging`).
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, TypeVar, cast

from gofer.core.commands import (
    Asks,
    Authorise,
    AwaitTurn,
    Body,
    Command,
    Drop,
    Mark,
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
from gofer.core.judging import as_document
from gofer.core.run import Flow
from gofer.errors import BadReply, Unreachable, UsageError
from gofer.events import Event
from gofer.wire import Head, Reply, Request, may_be_sent, origin, shown

A = TypeVar("A")

_log = logging.getLogger("gofer")


def ask(command: Asks[A]) -> Flow[A]:
    """Yield a command as it is, and return its answer."""
    return cast("A", (yield cast("Command", command)))


def _seconds(errand: Errand[Any, Any], wanted: float) -> float:
    if errand.left <= 0:
        raise errand.late()
    return min(wanted, errand.left)


def _prepared(errand: Errand[Any, Any], request: Request) -> Flow[Request]:
    """Authorise a request to the service's own origin; take every secret out of any other."""
    service = errand.service
    if not service.owns(request.url):
        return service.for_elsewhere(request)
    request = service.for_own_origin(request, errand.record.ref)
    if service.signer is None:
        return request
    signed = yield from ask(Authorise(service.signer, request))
    if not isinstance(signed, Request):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"auth= must return the signed request, not {type(signed).__name__}.")
    for name, value in signed.headers.items():
        if not may_be_sent(value):
            raise UsageError(f"auth= returned a header {name!r} with a character that no header may have (not shown).")
    return signed


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


def _signed_anew(errand: Errand[Any, Any], request: Request, signed: Request, head: Head) -> Flow[Request | None]:
    """Ask the caller's function once more after credentials were refused; None if its signature is the same as before.

    That is a 401, or a 403 that says `invalid_token` (RFC 6750, section 3.1): a token may have been replaced meanwhile.
    """
    refused = head.status == 401 or (head.status == 403 and "invalid_token" in head.headers.get("www-authenticate", ""))
    if not refused or errand.service.signer is None or signed.anonymous:
        return None
    again = yield from _prepared(errand, request)
    return None if again == signed else again


def send(errand: Errand[Any, Any], request: Request, timeout: float, *, submits: bool = False) -> Flow[Reply]:
    """Exchange one small request and reply; `submits` says that it may make a job."""
    signed = yield from _prepared(errand, request)
    reply = yield from _send_signed(errand, signed, timeout, submits)
    again = yield from _signed_anew(errand, request, signed, reply)
    if again is not None:
        reply = yield from _send_signed(errand, again, timeout, submits)
    return as_document(reply, errand.rules.json_cap)


def _send_signed(errand: Errand[Any, Any], request: Request, timeout: float, submits: bool) -> Flow[Reply]:
    _refuse_host(errand, request)
    if errand.slot is None and not errand.enter(errand.use):
        yield from _queue(errand)
    try:
        seconds = _seconds(errand, timeout)
        errand.attempts += 1
        errand.at_risk = errand.at_risk or submits
        reply = cast("Reply", (yield Send(request, seconds, errand.rules.json_cap)))
    finally:
        errand.leave()
    _log_reply(request, reply)
    return reply


def open_body(errand: Errand[Any, Any], request: Request, timeout: float | None = None) -> Flow[Head]:
    """Send a request and return the head of its reply; the body waits to be stored, read or dropped."""
    signed = yield from _prepared(errand, request)
    head = yield from _open_signed(errand, signed, timeout)
    again = yield from _signed_anew(errand, request, signed, head)
    if again is not None:
        yield from drop(errand)
        head = yield from _open_signed(errand, again, timeout)
    return head


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
    """Read the opened body as a document of at most `cap` bytes."""
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


def tell(errand: Errand[Any, Any], event: Event) -> Flow[None]:
    """Report an event, if anybody listens."""
    if errand.heard:
        yield Tell(event)
