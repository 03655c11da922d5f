"""When to retry and when to poll again: tenacity's strategies, asked as pure functions.

tenacity's own loops are never used: they sleep and read the clock. Here a strategy gets a fresh `RetryCallState` whose
times are the core's, and answers with a number of seconds. The strategies that tenacity lacks live here too.
"""

from __future__ import annotations

import random
from typing import Literal

import tenacity
from attrs import frozen
from tenacity.stop import stop_base
from tenacity.wait import wait_base

from gofer.errors import AnswerLost, BadReply, GoferError, NotFound, ServiceError, UntrustedCertificate

_OWNER = tenacity.Retrying()  # RetryCallState wants one; it is never run


LAST_HOPE = (10, 10.0)
"""A failure that time does not cure is raised after this many in a row, over this many seconds."""

LAST_HOPE_PAUSE = 1.25
"""Seconds between two tries, at most, after a failure that time does not cure."""


def may_heal(failure: GoferError) -> bool:
    """Tell whether time alone may cure a failure.

    It does not cure a sign-in page or half a document in the place of a complete one, malformed HTTP, an untrusted
    certificate, or an address that has nothing. A few of them may pass all the same: servers rewrite status files in
    place, and one server behind a balancer may be set up wrongly.
    """
    match failure:
        case AnswerLost():
            return not failure.malformed
        case BadReply() | NotFound() | UntrustedCertificate():
            return False
        case _:
            return True


class wait_full_jitter(wait_base):
    """Between 0 and `base * 2 ** (attempt - 1)` seconds, at most `cap`, drawn from a source that can be seeded.

    After a failure that time does not cure, such as a web page in the place of a document, the pause is 1.25 s at most,
    so that the error comes after ten tries and not after minutes.
    """

    def __init__(self, rng: random.Random, base: float = 0.5, cap: float = 20.0) -> None:
        self.rng, self.base, self.cap = rng, base, cap

    def __call__(self, retry_state: tenacity.RetryCallState) -> float:
        """Draw the pause before the next try."""
        error = retry_state.outcome.exception() if retry_state.outcome else None
        cap = self.cap if not isinstance(error, GoferError) or may_heal(error) else min(self.cap, LAST_HOPE_PAUSE)
        return self.rng.uniform(0.0, min(cap, self.base * 2.0 ** min(retry_state.attempt_number - 1, 30)))


class wait_retry_after(wait_base):
    """What `inner` says, but at least what the service asked for (`Retry-After`), of which `cap` seconds are heeded."""

    def __init__(self, inner: wait_base, cap: float = 120.0) -> None:
        self.inner, self.cap = inner, cap

    def __call__(self, retry_state: tenacity.RetryCallState) -> float:
        """Return the longer of the two pauses."""
        error = retry_state.outcome.exception() if retry_state.outcome else None
        asked = error.retry_after if isinstance(error, ServiceError) and error.retry_after is not None else 0.0
        return max(float(self.inner(retry_state)), min(asked, self.cap))


class wait_share(wait_base):
    """A share of the time already waited, between a floor and a ceiling, give or take a tenth.

    The delay in noticing the end of a job is then bounded relative to the job's length, and the number of polls grows
    with the logarithm of it.
    """

    def __init__(self, rng: random.Random, share: float = 0.17, floor: float = 0.5, ceiling: float = 60.0) -> None:
        self.rng, self.share, self.floor, self.ceiling = rng, share, floor, ceiling

    def __call__(self, retry_state: tenacity.RetryCallState) -> float:
        """Return the pause before the next poll."""
        waited = retry_state.seconds_since_start or 0.0
        return min(self.ceiling, max(self.floor, self.share * waited)) * self.rng.uniform(0.9, 1.1)


OnAbandon = Literal["cancel", "leave", "cancel-if-interrupted"]


@frozen
class Retry:
    """How long to wait after a failed exchange, and when to give up.

    Attributes:
        wait: a tenacity wait strategy.
        stop: a tenacity stop strategy; it sees the failures in a row and the time since the first of them.
    """

    wait: wait_base
    stop: stop_base


@frozen
class Rules:
    """Everything an errand may decide by. Times are in seconds, sizes in bytes.

    Attributes:
        retry: a failed exchange in which nothing is at stake yet (a submission, a health check).
        patience: a failed poll or download of a job that exists: by default five minutes of failures in a row. Whatever
            it says, ten failures in a row of one kind that time does not cure end it, if they took 10 s or more.
        poll: the pause between polls, where the service does not hold the request.
        grace: how long a status may stay that the contract does not declare; None takes the contract's own.
        hold: how long the service may hold a request; 0 asks it not to.
        discard: whether a job is thrown away after its result was brought.
        timeout: for one request.
        stall: how long a body may pause.
        crawl: fewer bytes than this in `stall` seconds count as a pause too (even the slowest modems sent 1 KiB/s).
        json_cap: for a reply that is read into memory.
        result_cap: for a result document, which may hold the result itself.
        file_cap: for a file.
        redirects: how many in a row are followed.
        on_abandon: what becomes of the job when the caller leaves; None: `run` cancels, the verbs of a handle leave it.
            "cancel-if-interrupted" cancels on Ctrl-C and cancellation and leaves at a deadline.
        verify: "require" refuses a file that could not be checked at all.
        encoded: "keep" takes a file that comes encoded unasked as it comes; "refuse" raises.
        downgrade: whether a redirect may lead from https to http; no request may have a secret in it then.
        hosts: where links and redirects may lead, besides the service's own origin (`core.hosts`); None: anywhere.
    """

    retry: Retry
    patience: Retry
    poll: wait_base
    grace: float | None = None
    hold: int = 20
    discard: bool = False
    timeout: float = 30.0
    stall: float = 60.0
    crawl: int = 1 << 10
    json_cap: int = 1 << 20
    result_cap: int = 64 << 20
    file_cap: int = 1 << 40
    redirects: int = 10
    on_abandon: OnAbandon | None = None
    verify: Literal["auto", "require"] = "auto"
    encoded: Literal["refuse", "keep"] = "refuse"
    downgrade: bool = False
    hosts: frozenset[str] | None = None


def pause_after(policy: Retry, failure: GoferError, *, attempt: int, began: float, now: float) -> float | None:
    """Ask a policy about the `attempt`-th failure in a row: seconds to wait, or None to give up."""
    state = _state(attempt, began, now)
    state.set_exception((type(failure), failure, None))
    state.outcome_timestamp = now
    state.upcoming_sleep = float(policy.wait(state))
    return None if policy.stop(state) else state.upcoming_sleep


def pause_between(poll: wait_base, *, attempt: int, began: float, now: float) -> float:
    """Ask a schedule for the pause after the `attempt`-th poll of a job, the first of which was at `began`."""
    state = _state(attempt, began, now)
    state.set_result(None)
    state.outcome_timestamp = now
    return float(poll(state))


def _state(attempt: int, began: float, now: float) -> tenacity.RetryCallState:
    state = tenacity.RetryCallState(_OWNER, fn=None, args=(), kwargs={})
    state.attempt_number, state.start_time, state.outcome_timestamp = attempt, began, now
    return state
