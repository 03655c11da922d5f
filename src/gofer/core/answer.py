"""Answering a job that waits for its caller. That it waits is noticed by `poll.py`; what it asks is the contract's."""

from __future__ import annotations

from gofer.core.exchange import AnyErrand, Tries, accept, follow, is_transient
from gofer.core.poll import poll_once
from gofer.core.run import Flow
from gofer.errors import BadReply, NotSupported, ServiceError, TransportError, UsageError
from gofer.models import State


def answer(errand: AnyErrand, value: object) -> Flow[None]:
    """Send what the caller answers to the job's question.

    An answer whose arrival is unclear is sent again only if the job still asks the same.

    Raises:
        UsageError: the job asks nothing.
        NotSupported: the contract has no answers.
    """
    contract, base = errand.contract, errand.service.base
    if errand.record.status.state is not State.WAITING:
        _ = yield from poll_once(errand, errand.rules.retry)
    asked = errand.record.status
    request = contract.build_answer(base, errand.ref, value, asked.question)
    if request is None:
        raise NotSupported(f"The contract {contract.name!r} says nothing of answers: its jobs ask nothing.")
    if asked.state is not State.WAITING:
        raise UsageError(f"The job asks nothing: it is {asked}.")
    tries, shown, poll = Tries(errand, errand.rules.retry), None, 0
    while True:
        poll = errand.memory.next_poll()
        try:
            reply = accept(errand, (yield from follow(errand, request, errand.rules.timeout, "answer")), "answer")
            shown = contract.read_answer(base, errand.ref, reply)
            break
        except (TransportError, ServiceError, BadReply) as error:
            if not is_transient(errand, error):
                raise
            failure = error
        yield from tries.back_off(failure)
        _ = yield from poll_once(errand, errand.rules.retry)
        now = errand.record.status
        if now.state is not State.WAITING or now.question != asked.question:
            break
    _ = errand.memory.update(lambda record: record.after_answer(asked.question, errand.now.mono))
    if shown is not None:
        _ = errand.polled(shown, poll)
