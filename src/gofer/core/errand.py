"""The state of one errand under way: its stage, its budget and where the time went, and the memory of its job.

Bookkeeping only. What to do next is decided by the flows.
"""

from __future__ import annotations

import logging
import math
from typing import Any, Generic, TypeVar

from attrs import define

from gofer.contracts.base import Leg, Ref, Snapshot
from gofer.core.commands import Now
from gofer.core.record import JobMemory, JobRecord
from gofer.core.service import Service
from gofer.core.slots import Use
from gofer.core.table import LEGS, TABLE, WAYS_OUT, Move, Stage
from gofer.errors import GoferError, OutOfTime, WaitTimeout
from gofer.models import State
from gofer.ticket import Ticket
from gofer.wire import Head, Request, Streamed

In = TypeVar("In")
Out = TypeVar("Out")


@define
class News:
    """Whether a feed tells of the jobs of a batch (`feed.py`), shared by its errands.

    Attributes:
        every: seconds after which a job is polled although the feed was silent.
        live: whether it tells now.
    """

    every: float
    live: bool = False


LAST_REQUEST = 0.5
"""Seconds of a budget kept back for one last request, or a tenth of it where that is less."""

_log = logging.getLogger("gofer")


class Errand(Generic[In, Out]):
    """One errand under way. `now` is the time of the last outcome; a `Run` keeps it."""

    def __init__(
        self,
        service: Service[In, Out],
        memory: JobMemory[Out] | None = None,
        *,
        timeout: float | None = None,
        heard: bool = True,
        entry: int | None = None,
        news: News | None = None,
    ) -> None:
        self.service = service
        self.rules = service.rules
        self.contract = service.contract
        self.memory: JobMemory[Out] = JobMemory() if memory is None else memory
        self.timeout = timeout
        self.heard = heard  # whether anybody listens to events
        self.news = news  # the feed of its batch
        self.entry = entry  # its number in the journal, if it is one of a batch
        self.stage = Stage.NEW
        self.attempts = 0
        self.hold = service.rules.hold  # becomes shorter where held requests fail
        self.polled_at = -math.inf  # when the last poll began
        self.key: str | None = None
        self.submission: Request | None = None
        self.uploaded: In | None = None  # the caller's request with what was uploaded before its submission
        self.bodies: dict[Streamed, Streamed] = {}  # streamed bodies as the contract made them, and as they were found
        self.started = False  # whether this errand has started the job by a second request
        self.at_risk = False  # whether the submission may have reached the service
        self.leg: Leg | None = None  # whose answer is awaited, if the contract reads it
        self.use = Use.OTHER  # what the next request is for
        self.fetches = False  # whether it brings the file of its result, and not the value only
        self.opened: tuple[Request, Head] | None = None  # a reply that is left open, as it is that file
        self.slot: Use | None = None  # the slot that is taken for it, or for the reply that is open
        self.spent: dict[str, float] = {}
        self.now = Now(math.nan, math.nan)
        self.deadline: float | None = None

    # --- time ---

    def begin(self, now: Now) -> None:
        """Start the clock: the timeout becomes a deadline."""
        self.now = now
        if self.timeout is not None:
            self.deadline = now.mono + self.timeout

    def at(self, now: Now) -> None:
        """Note the time of an outcome and book what has passed on the present leg."""
        leg = LEGS.get(self.stage)
        if leg is not None:
            self.spent[leg] = self.spent.get(leg, 0.0) + now.mono - self.now.mono
        self.now = now

    @property
    def left(self) -> float:
        """Seconds of the budget that remain; infinite without one."""
        return math.inf if self.deadline is None else self.deadline - self.now.mono

    @property
    def reserve(self) -> float:
        """Seconds of the budget kept back for one last request."""
        return LAST_REQUEST if self.timeout is None else min(LAST_REQUEST, 0.1 * self.timeout)

    def late(self, failure: GoferError | None = None) -> OutOfTime:
        """Make the error for a budget that ran out here; `failure` is what the last try met."""
        waiting = self.stage is Stage.POLLING
        did = f"the job was still {self.record.status or 'unknown'}" if waiting else "the errand was not done"
        total = sum(self.spent.values())
        where = ", ".join(f"{leg} {seconds:.1f} s" for leg, seconds in self.spent.items()) or "nothing sent"
        of = "" if self.timeout is None else f" of {self.timeout:g} s"
        last = "" if failure is None else f" The last try failed: {failure.message}"
        error = (WaitTimeout if waiting else OutOfTime)(f"Out of time: {did} after {total:.1f}{of} ({where}).{last}")
        if self.stage is Stage.SUBMITTING and self.at_risk:
            error.key = self.key
        return error

    # --- slots ---

    def enter(self, use: Use) -> bool:
        """Take a slot among the client's requests at once, if there is one."""
        if not self.service.slots.take(use):
            return False
        self.slot = use
        return True

    def leave(self) -> None:
        """Give the slot back; harmless without one."""
        slot, self.slot = self.slot, None
        if slot is not None:
            self.service.slots.give_back(slot)

    # --- stages ---

    def move(self, move: Move) -> None:
        """Go where the table says this move leads."""
        self.stage = TABLE[self.stage, move]
        _log.debug("%s -> %s", move, self.stage)

    def end(self, error: BaseException) -> None:
        """Leave by the way out that belongs to this error, and write on it what the errand has learned."""
        if isinstance(error, GoferError):
            error.leg = LEGS.get(self.stage)
            error.job_id = self.job_id
            error.ticket = None if self.record.ref is None else str(self.ticket)
            error.status = str(self.record.status) or None
            error.attempts, error.spent = self.attempts, dict(self.spent)
        move = next((way for kind, way in WAYS_OUT if isinstance(error, kind)), None)
        if move is not None and (self.stage, move) in TABLE:
            self.move(move)

    # --- the job ---

    @property
    def record(self) -> JobRecord[Out]:
        """The current record of the job."""
        return self.memory.record

    @property
    def ref(self) -> Ref:
        """Where the job is; only asked once the service has answered the submission."""
        assert self.record.ref is not None, "no job yet"  # noqa: S101  (a flow asked too early)
        return self.record.ref

    @property
    def job_id(self) -> str | None:
        """The service's id of the job, None before there is one."""
        return None if self.record.ref is None else self.record.ref.id

    @property
    def ticket(self) -> Ticket:
        """The ticket of the job; only asked once the service has answered the submission."""
        return self.service.ticket_of(self.record)

    def submitted(self, snapshot: Snapshot[Out]) -> None:
        """Remember the job that a submission has made, in place of any other."""
        _warn_of_unknown(snapshot, self.record)
        made = JobRecord(snapshot.ref, self.now.wall, accepted=True, seen=snapshot)
        _ = self.memory.update(lambda _: made)

    def polled(self, snapshot: Snapshot[Out], poll: int) -> tuple[JobRecord[Out], JobRecord[Out]]:
        """Remember the answer to a poll; return the record before it and the one after it."""
        before = self.record
        _warn_of_unknown(snapshot, before)
        return before, self.memory.update(lambda record: record.after_poll(snapshot, poll))


def _warn_of_unknown(snapshot: Snapshot[Any], before: JobRecord[Any]) -> None:
    if snapshot.status.state is State.UNKNOWN and snapshot.status != before.status:
        _log.warning("The service reports a status unknown to gofer, %r; taken as still active.", snapshot.status)
