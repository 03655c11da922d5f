"""One exchange with the service, retried until there is an answer to judge: redirects, retries, Retry-After, budget.

For requests that may be sent twice without harm. Submissions have rules of their own (`submit.py`).
"""

from __future__ import annotations

import re
from typing import Any

from tenacity.stop import stop_after_delay
from tenacity.wait import wait_fixed

from gofer import errors
from gofer.contracts.base import Leg
from gofer.core import verbs
from gofer.core.errand import Errand
from gofer.core.judging import REDIRECTS, is_transient_code, redirected, refusal
from gofer.core.policies import LAST_HOPE, Retry, may_heal, pause_after
from gofer.core.run import Flow
from gofer.core.table import LEGS
from gofer.events import Retrying
from gofer.models import State
from gofer.wire import Head, Reply, Request

AnyErrand = Errand[Any, Any]

BRIEFLY = Retry(wait_fixed(2.5), stop_after_delay(5))
"""How long a service may answer 404 for a job that it has not shown yet: three answers over 5 s."""


LONGEST_REASON = 400
"""Characters of a failed job's reason that an error's message shows; its `error` has them all."""


class Tries:
    """The failures in a row of one exchange, and what the policy says to them."""

    def __init__(self, errand: AnyErrand, policy: Retry) -> None:
        self._errand, self._policy = errand, policy
        self.reset()

    def reset(self) -> None:
        """Forget the failures: something went well in between."""
        self._failures, self._since = 0, 0.0
        self._kind: type[errors.GoferError] | None = None  # of the last failure, if time does not cure it
        self._alike, self._alike_since = 0, 0.0

    def back_off(self, failure: errors.GoferError, *, at_least: float = 0.0) -> Flow[None]:
        """Pause before the next try, for `at_least` seconds or longer.

        Raises:
            GoferError: `failure` itself, when the policy gives up, or when time does not cure it (`LAST_HOPE`).
            OutOfTime: from `failure`, when the budget leaves no time for another try.
        """
        errand = self._errand
        if isinstance(failure, errors.UntrustedCertificate) and errand.record.ref is None:
            raise failure  # no job would be lost
        if self._failures == 0:
            self._since = errand.now.mono
        self._failures += 1
        if self._is_hopeless(failure):
            raise failure
        pause = pause_after(self._policy, failure, attempt=self._failures, began=self._since, now=errand.now.mono)
        if errand.left <= 0:
            raise errand.late(failure) from failure
        if pause is None:
            raise failure
        pause = max(pause, at_least)
        if pause >= errand.left:
            asked = failure.retry_after if isinstance(failure, errors.ServiceError) else None
            # time for one last try, unless the service asked to be left alone for longer
            pause = max(errand.left - errand.reserve, at_least)
            if not 0 < pause < errand.left or (asked is not None and asked >= errand.left):
                raise errand.late(failure) from failure
        yield from verbs.tell(
            errand, Retrying(errand.job_id, LEGS.get(errand.stage, "service"), pause, describe(failure))
        )
        yield from verbs.sleep(errand, pause)

    def _is_hopeless(self, failure: errors.GoferError) -> bool:
        """Count the failures in a row of one kind that time does not cure; tell whether they are enough."""
        now, kind = self._errand.now.mono, None if may_heal(failure) else type(failure)
        if kind is not self._kind:
            self._kind, self._alike, self._alike_since = kind, 0, now
        self._alike += 1
        times, seconds = LAST_HOPE
        return kind is not None and self._alike >= times and now - self._alike_since >= seconds


def describe(error: BaseException) -> str:
    """Return an error's message, or its class where it has none."""
    return str(error) or type(error).__name__


def in_a_line(text: str) -> str:
    """Return a service's text without terminal colours and line breaks; of a long log the end, where the reason is."""
    plain = " ".join(re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text).split())
    return plain if len(plain) <= LONGEST_REASON else f"… {plain[-LONGEST_REASON:]}"


def follow(errand: AnyErrand, request: Request, timeout: float, leg: Leg | None = None) -> Flow[Reply]:
    """Exchange a request, following redirects except those that the contract reads on this leg."""
    errand.leg = leg
    for _ in range(errand.rules.redirects + 1):
        reply = yield from verbs.send(errand, request, timeout)
        if leg is not None and errand.contract.reads(leg, reply.status):
            return reply
        onward = redirected(request, reply, downgrade=errand.rules.downgrade)
        if onward is None:
            return reply
        request = onward
    raise too_many(errand)


def follow_open(
    errand: AnyErrand, request: Request, leg: Leg | None = None, timeout: float | None = None
) -> Flow[Head]:
    """Open a body, following redirects except those that the contract reads on this leg."""
    errand.leg = leg
    for _ in range(errand.rules.redirects + 1):
        head = yield from verbs.open_body(errand, request, timeout)
        if head.status not in REDIRECTS or (leg is not None and errand.contract.reads(leg, head.status)):
            return head
        yield from verbs.drop(errand)
        onward = redirected(request, head, downgrade=errand.rules.downgrade)
        if onward is None:
            raise refused(errand, Reply(head.url, head.status, head.headers))
        request = onward
    raise too_many(errand)


def read_if_document(errand: AnyErrand, request: Request, timeout: float, leg: Leg) -> Flow[Reply]:
    """Exchange a request whose answer may be the file itself, which is not read."""
    head = yield from follow_open(errand, request, leg, timeout)
    if errand.contract.reads(leg, head.status) and not errand.contract.is_document(errand.ref, leg, head):
        return (yield from verbs.leave_open(errand, request, head))
    return (yield from verbs.read_document(errand, head))


def too_many(errand: AnyErrand) -> errors.ServiceError:
    """Make the error for redirects without end."""
    most = errand.rules.redirects
    return errors.Rejected(f"The service redirected more than {most} times in a row.", status_code=302)


def is_transient(errand: AnyErrand, error: errors.GoferError) -> bool:
    """Tell whether a failed exchange may succeed later: silence, a transient refusal, or no document at all."""
    match error:
        case errors.ServiceError():
            asked = error.retry_after is not None
            transient = error.later is None and is_transient_code(error.status_code, asked_to_wait=asked)
            return transient or means_later(errand, error)
        case errors.BadReply():
            # A service may show the end of a job before it shows what the job made.
            return error.field is None or isinstance(error, errors.NoResult)
        case _:
            return isinstance(error, errors.TransportError)


def means_later(errand: AnyErrand, error: errors.ServiceError) -> bool:
    """Tell whether the contract says that this refusal is for now only, and that nothing was done."""
    return error.later is True or errand.contract.means_later(error.status_code, error.error_code)


def exchange(
    errand: AnyErrand, request: Request, tries: Tries, timeout: float | None = None, leg: Leg | None = None
) -> Flow[Reply]:
    """Exchange a request that is safe to repeat until an answer comes that is no transient refusal."""
    while True:
        try:
            reply = yield from follow(errand, request, errand.rules.timeout if timeout is None else timeout, leg)
        except errors.TransportError as error:
            failure: errors.GoferError = error
        else:
            failure = refused(errand, reply)
            read = reply.status < 400 or (leg is not None and errand.contract.reads(leg, reply.status))
            if read or not is_transient(errand, failure):
                tries.reset()
                return reply
        yield from tries.back_off(failure)


def refused(errand: AnyErrand, reply: Reply, kind: type[errors.ServiceError] | None = None) -> errors.ServiceError:
    """Make the error for a reply that is no success."""
    meant = None if errand.leg is None else errand.contract.refusal_of(errand.leg, reply)
    error = refusal(reply, errand.contract.read_problem(reply), errand.now.wall, kind if meant is None else meant[0])
    error.later = None if meant is None else meant[1]
    return error


def accept(errand: AnyErrand, reply: Reply, leg: Leg | None = None) -> Reply:
    """Return a reply that the contract reads on this leg (off the legs: a 2xx one); any other is raised."""
    if 200 <= reply.status < 300 if leg is None else errand.contract.reads(leg, reply.status):
        return reply
    raise refused(errand, reply)


def retry_or_raise(errand: AnyErrand, head: Head, tries: Tries) -> Flow[None]:
    """Back off after a transient refusal of what a job gave, or raise the refusal; its body may have been read."""
    yield from tries.back_off((yield from transient_refusal(errand, head)))


def transient_refusal(errand: AnyErrand, head: Head) -> Flow[errors.ServiceError]:
    """Return a refusal of what a job gave if it may be over later, else raise it.

    What a job gave is there: a 409 or a 404 comes from a replica of the service that lags behind, or from a balancer
    without backends, and a 2xx without the content says that it is being fetched.
    """
    reply = head if isinstance(head, Reply) else (yield from verbs.read_document(errand, head))
    failure = refused(errand, reply, errors.NotReady if reply.status < 300 or reply.status == 409 else None)
    if isinstance(failure, errors.NotReady):
        transient = reply.status < 300 or errand.record.status.state is State.SUCCEEDED
    else:
        ended = errand.record.status.done and errand.record.status.state is not State.SUCCEEDED
        missing = isinstance(failure, errors.NotFound) and errand.record.accepted and not ended
        transient = missing or is_transient(errand, failure)
    if not transient:
        raise failure
    return failure
