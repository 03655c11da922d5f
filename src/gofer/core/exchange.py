"""One exchange with the service, retried until there is an answer to judge: redirects, retries, Retry-After, budget.

For requests that may be sent twice without harm. Submissions have rules of their own (`submit.py`).
"""

from __future__ import annotations

from typing import Any

from gofer import errors
from gofer.contracts.base import Leg
from gofer.core import verbs
from gofer.core.errand import Errand
from gofer.core.judging import REDIRECTS, TRANSIENT, redirected, refusal
from gofer.core.policies import Retry, pause_after
from gofer.core.run import Flow
from gofer.core.table import LEGS
from gofer.events import Retrying
from gofer.models import State
from gofer.wire import Head, Reply, Request

AnyErrand = Errand[Any, Any]

GONE_AFTER = (3, 5.0)
"""An accepted job is lost after this many answers of 404 in a row, over this many seconds."""


class Tries:
    """The failures in a row of one exchange, and what the policy says to them."""

    def __init__(self, errand: AnyErrand, policy: Retry) -> None:
        self._errand, self._policy = errand, policy
        self.reset()

    def reset(self) -> None:
        """Forget the failures: something went well in between."""
        self._failures, self._since = 0, 0.0

    def back_off(self, failure: errors.GoferError, *, at_least: float = 0.0) -> Flow[None]:
        """Pause before the next try, for `at_least` seconds or longer.

        Raises:
            GoferError: `failure` itself, when the policy gives up.
            OutOfTime: from `failure`, when the budget leaves no time for another try.
        """
        errand = self._errand
        if isinstance(failure, errors.UntrustedCertificate):
            raise failure
        if self._failures == 0:
            self._since = errand.now.mono
        self._failures += 1
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


class Absence:
    """The 404s in a row about a job that the service had accepted: a transient fault at first, then `JobLost`."""

    def __init__(self, errand: AnyErrand) -> None:
        self._errand, self._times, self._since = errand, 0, 0.0

    def back_off(self, refusal: errors.ServiceError) -> Flow[None]:
        """Pause before asking again, or raise `JobLost`."""
        times, seconds = GONE_AFTER
        now = self._errand.now.mono
        self._since = self._since if self._times else now
        self._times += 1
        if self._times >= times and now - self._since >= seconds:
            raise errors.JobLost("The service has lost this job, though it had accepted it.") from refusal
        yield from verbs.sleep(self._errand, seconds / (times - 1))


def describe(error: BaseException) -> str:
    """Return an error's message, or its class where it has none."""
    return str(error) or type(error).__name__


def follow(errand: AnyErrand, request: Request, timeout: float, leg: Leg | None = None) -> Flow[Reply]:
    """Exchange a request, following redirects except those that the contract reads on this leg."""
    for _ in range(errand.rules.redirects + 1):
        reply = yield from verbs.send(errand, request, timeout)
        onward = None if leg is not None and errand.contract.reads(leg, reply.status) else redirected(request, reply)
        if onward is None:
            return reply
        request = onward
    raise too_many(errand)


def follow_open(
    errand: AnyErrand, request: Request, leg: Leg | None = None, timeout: float | None = None
) -> Flow[Head]:
    """Open a body, following redirects except those that the contract reads on this leg."""
    for _ in range(errand.rules.redirects + 1):
        head = yield from verbs.open_body(errand, request, timeout)
        if head.status not in REDIRECTS or (leg is not None and errand.contract.reads(leg, head.status)):
            return head
        yield from verbs.drop(errand)
        onward = redirected(request, head)
        if onward is None:
            raise refused(errand, Reply(head.url, head.status, head.headers))
        request = onward
    raise too_many(errand)


def read_if_document(errand: AnyErrand, request: Request, timeout: float, leg: Leg) -> Flow[Reply]:
    """Exchange a request whose answer may be the file itself; the body of a file is left unread."""
    head = yield from follow_open(errand, request, leg, timeout)
    if errand.contract.reads(leg, head.status) and not errand.contract.is_document(errand.ref, leg, head):
        yield from verbs.drop(errand)
        return Reply(head.url, head.status, head.headers)
    return (yield from verbs.read_document(errand, head))


def too_many(errand: AnyErrand) -> errors.ServiceError:
    """Make the error for redirects without end."""
    most = errand.rules.redirects
    return errors.Rejected(f"The service redirected more than {most} times in a row.", status_code=302)


def is_transient(error: errors.GoferError) -> bool:
    """Tell whether a failed exchange may succeed later: silence, a transient refusal, or no document at all."""
    match error:
        case errors.ServiceError():
            return error.status_code in TRANSIENT
        case errors.BadReply():
            return error.field is None
        case _:
            return isinstance(error, errors.TransportError)


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
            if reply.status not in TRANSIENT or (leg is not None and errand.contract.reads(leg, reply.status)):
                tries.reset()
                return reply
            failure = refused(errand, reply)
        yield from tries.back_off(failure)


def refused(errand: AnyErrand, reply: Reply, kind: type[errors.ServiceError] | None = None) -> errors.ServiceError:
    """Make the error for a reply that is no success."""
    return refusal(reply, errand.contract.read_problem(reply), errand.now.wall, kind)


def accept(errand: AnyErrand, reply: Reply, leg: Leg | None = None) -> Reply:
    """Return a reply that the contract reads on this leg (off the legs: a 2xx one); any other is raised."""
    if 200 <= reply.status < 300 if leg is None else errand.contract.reads(leg, reply.status):
        return reply
    raise refused(errand, reply)


def retry_or_raise(errand: AnyErrand, head: Head, tries: Tries, absence: Absence) -> Flow[None]:
    """Back off after a transient refusal of what a job gave, or raise the refusal."""
    reply = yield from verbs.read_document(errand, head)
    if reply.status == 404 and errand.record.accepted:
        yield from absence.back_off(refused(errand, reply))
        return
    if reply.status == 409:
        failure = refused(errand, reply, errors.NotReady)
        transient = errand.record.status.state is State.SUCCEEDED  # it is ready: a replica of the service lags behind
    else:
        failure, transient = refused(errand, reply), reply.status in TRANSIENT
    if not transient:
        raise failure
    yield from tries.back_off(failure)
