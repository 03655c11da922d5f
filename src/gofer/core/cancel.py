"""Cancelling a job: for a caller who asks for it, and for one who has left."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from gofer.contracts.base import Snapshot
from gofer.core.exchange import AnyErrand, Tries, accept, exchange, follow, read_if_document
from gofer.core.run import Flow
from gofer.errors import BadReply, OutOfTime, ServiceError, TransportError, UsageError


def cancel(errand: AnyErrand) -> Flow[bool]:
    """Ask the service to cancel the job; return whether it did or the job had ended.

    A job whose record has an end is left alone: some services throw away the result of what they cancel. Where the
    answer shows no job, the job is polled once. So the status is what the service shows and not what was hoped, and a
    refusal counts for nothing if the job has ended meanwhile. A service that has no cancellation (404, 405, 501, or
    none in its contract) keeps the job running: False. Any other refusal is raised.
    """
    contract, base, ref = errand.contract, errand.service.base, errand.ref
    if errand.record.status.done:
        return True
    request = contract.build_cancellation(base, ref)
    if request is None:
        return False
    poll, snapshot = errand.memory.next_poll(), None
    refusal: ServiceError | None = None
    try:
        reply = yield from exchange(errand, request, Tries(errand, errand.rules.retry), leg="cancel")
        snapshot = contract.read_cancellation(base, ref, accept(errand, reply, "cancel"))
    except ServiceError as error:
        refusal = error
    if snapshot is None:
        poll = errand.memory.next_poll()
        with suppress(TransportError, ServiceError, BadReply, OutOfTime, UsageError):
            snapshot = yield from _poll_without_retry(errand)
    if snapshot is not None:
        _ = errand.polled(snapshot, poll)
    if refusal is None or errand.record.status.done:
        return True
    if refusal.status_code in (404, 405, 501):
        return False
    raise refusal


def _poll_without_retry(errand: AnyErrand) -> Flow[Snapshot[Any] | None]:
    """Poll the job; None where the service shows nothing (any more)."""
    contract, base, ref = errand.contract, errand.service.base, errand.ref
    request = contract.build_poll(base, ref, hold=0, etag=None, seen=errand.record.status)
    exchanged = read_if_document if contract.may_be_file("poll") else follow
    reply = yield from exchanged(errand, request, errand.rules.timeout, "poll")
    return contract.read_poll(base, ref, reply) if contract.reads("poll", reply.status) else None
