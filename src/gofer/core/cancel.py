"""Cancelling a job: for a caller who asks for it, and for one who has left."""

from __future__ import annotations

from typing import Any

from gofer.contracts.base import Snapshot
from gofer.core.exchange import AnyErrand, Tries, accept, exchange, follow, read_if_document
from gofer.core.run import Flow
from gofer.errors import BadReply, ServiceError, TransportError


def cancel(errand: AnyErrand) -> Flow[bool]:
    """Ask the service to cancel the job; return whether it did or the job had ended.

    A service that has no cancellation (404, 405, 501, or none in its contract) leaves the job as it is: False.
    A job whose record has an end is left alone: some services throw away the result of what they cancel. Where the
    answer shows no job, the job is polled once, so that the status is what the service shows and not what was hoped.
    """
    if errand.record.status.done:
        return True
    request = errand.contract.build_cancellation(errand.service.base, errand.ref)
    if request is None:
        return False
    poll = errand.memory.next_poll()
    reply = yield from exchange(errand, request, Tries(errand, errand.rules.retry), leg="cancel")
    if reply.status in (404, 405, 501):
        return False
    accepted = accept(errand, reply, "cancel")
    snapshot = errand.contract.read_cancellation(errand.service.base, errand.ref, accepted)
    if snapshot is None:
        poll = errand.memory.next_poll()
        try:
            snapshot = yield from _poll_without_retry(errand)
        except (TransportError, ServiceError, BadReply):
            return True  # the service took the request, and nothing more was learned
    if snapshot is not None:
        _ = errand.polled(snapshot, poll)
    return True


def _poll_without_retry(errand: AnyErrand) -> Flow[Snapshot[Any] | None]:
    """Poll the job; None where the service shows nothing (any more)."""
    contract, base, ref = errand.contract, errand.service.base, errand.ref
    request = contract.build_poll(base, ref, hold=0, etag=None, seen=errand.record.status)
    exchanged = read_if_document if contract.may_be_file("poll") else follow
    reply = yield from exchanged(errand, request, errand.rules.timeout, "poll")
    return contract.read_poll(base, ref, reply) if contract.reads("poll", reply.status) else None
