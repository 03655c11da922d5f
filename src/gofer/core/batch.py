"""`BatchRun`: the errands of a journal, as many at a time as the limits allow, until all have ended.

It has the shape of `Run`: a driver asks for the next step, performs it, and hands in what came of it.

    Load(count, numbers)     -> entries of the journal, given to `loaded`
    Consult(...)             -> what the caller's `again=` says of a failure, given to `decided`
    Finish(...)              -> written into the journal, then shown to the caller; then `finished`
    Retract(entry)           -> written into the journal; then `finished`
    Task(seat, command)      -> an outcome, given to `advance`

A failure is an errand's. What concerns every errand stops the batch, and all that is not done stays in the journal.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from attrs import evolve, frozen

from gofer import errors
from gofer.core.commands import Now, Outcome
from gofer.core.errand import Errand, News
from gofer.core.feed import follow_changes, look_at_many
from gofer.core.going_on import Prepare, go_on
from gofer.core.journal import Ending, Entry, Fate
from gofer.core.record import JobMemory
from gofer.core.run import Run
from gofer.core.schedule import Limits, Schedule, Seat, Task
from gofer.core.service import Service

In = TypeVar("In")
Out = TypeVar("Out")

MOST_LOADED = 500
"""Entries that are taken out of the journal at once, at most."""


@frozen
class Load:
    """Take entries out of the journal: up to `count` that wait, or those of these numbers."""

    count: int
    numbers: tuple[int, ...] = ()


@frozen
class Consult:
    """Ask the caller whether a failed errand is worth another job."""

    seat: Seat
    error: errors.GoferError


@frozen
class Finish:
    """Write down how an errand ended, or that it is to be tried again; then show it to the caller."""

    entry: Entry
    ending: Ending
    value: Any = None
    error: Exception | None = None
    path: str | None = None
    job_id: str | None = None
    ticket: str | None = None


@frozen
class Retract:
    """Write down that the submission of an errand that was closed has not left."""

    entry: Entry


Step = Load | Consult | Finish | Retract | Task


class BatchRun(Generic[In, Out]):
    """One pass over a journal. Not for two threads or tasks at once."""

    def __init__(
        self,
        service: Service[In, Out],
        limits: Limits,
        prepare: Prepare[In],
        wake: Callable[[], None],
        *,
        heard: bool = False,
        asks_again: bool = False,
        stop_after: int | None = None,
        look_every: float = 900.0,
    ) -> None:
        # A submission is sent again for as long as a poll is: thousands of errands are not to fail of one restart.
        self._service = evolve(service, rules=evolve(service.rules, retry=service.rules.patience))
        self._limits, self._prepare, self._heard = limits, prepare, heard
        self._asks_again, self._stop_after = asks_again, stop_after
        self._schedule = Schedule(limits, wake)
        self._news = News(look_every)
        self._feed: Seat | None = None
        self._decided = False  # whether it is certain if there is a feed
        self._loading, self._exhausted, self._more, self._stopping = False, False, False, False
        self._finishing = 0  # steps about errands that are over, and have not been written down yet
        self._later = list[tuple[float, int]]()  # errands that are tried again, and when
        self._alike = 0  # failures in a row
        self.reason: errors.GoferError | None = None
        """Why the batch has stopped before its end."""

    @property
    def stopping(self) -> bool:
        """Whether nothing is begun any more."""
        return self._stopping

    @property
    def over(self) -> bool:
        """Whether nothing is under way and nothing is left to be begun."""
        if self._runs or self._schedule.ended or self._schedule.stopped or self._loading or self._finishing:
            return False
        return self._stopping or (self._exhausted and not self._later)

    def next(self, now: Now) -> Step | None:
        """Return the next step that is to be performed now; None if there is none before `due`, or an outcome."""
        if self._feed is None:
            self._feed = self._begin_feed()
            self._schedule.add(self._feed, now)
        while self._schedule.ended:
            step = self._judge(self._schedule.ended.popleft())
            if step is not None:
                self._finishing += 1
                return step
        while self._schedule.stopped:
            seat = self._schedule.stopped.popleft()
            if _is_unsent(seat):
                self._finishing += 1
                return Retract(seat.entry)
        if self._may_load():
            load = self._load(now)
            if load is not None:
                self._loading, self._more = True, False
                return load
        task = self._schedule.next(now)
        if task is None and (self._schedule.ended or self._schedule.stopped):
            return self.next(now)
        return task

    def due(self) -> float | None:
        """Return the monotonic time at which a step may come up by itself; None if only outcomes bring one."""
        times = [self._later[0][0]] if self._later and self._may_load() and self._room > 0 else []
        mine = self._schedule.due()
        return min(times if mine is None else [*times, mine], default=None)

    def more(self) -> None:
        """Hear that the journal has new entries; entries that are being loaded may not have them."""
        self._exhausted, self._more = False, True

    def loaded(self, load: Load, entries: Sequence[Entry], now: Now) -> None:
        """Take in entries; fewer than were asked for means that no others wait."""
        self._loading = False
        if not load.numbers:
            self._exhausted = len(entries) < load.count and not self._more
        for entry in () if self._stopping else entries:
            self._schedule.add(self._seat(entry), now)

    def advance(self, task: Task, outcome: Outcome) -> None:
        """Take in what came of a command."""
        self._schedule.advance(task, outcome)

    def decided(self, consult: Consult, pause: float | None, now: Now) -> Finish:
        """Take in whether a failed errand is tried again, and after how many seconds; return the step to perform."""
        if pause is None:
            return self._failed(consult.seat, consult.error)
        entry = consult.seat.entry
        heapq.heappush(self._later, (now.mono + max(0.0, pause), entry.number))
        words = Ending(Fate.WAITING, error=type(consult.error).__name__, message=str(consult.error))
        return _finish(consult.seat, words, error=consult.error)

    def finished(self) -> None:
        """Hear that an ending was written down, or that a submission has not left."""
        self._finishing -= 1

    def stop(self, reason: errors.GoferError | None = None) -> None:
        """Begin nothing any more; what is under way ends with its next answer."""
        self.reason = self.reason or reason
        if not self._stopping:
            self._stopping = True
            self._schedule.stop()

    def late(self, timeout: float | None) -> None:
        """Stop because the caller's time is up."""
        self.stop(errors.OutOfTime(f"Out of time: the batch was not done after {timeout:g} s."))

    def abandon(self) -> None:
        """End every run where it is, as whoever stopped the batch waits no longer."""
        for seat in list(self._schedule.seats):
            self._schedule.close(seat)

    def _may_load(self) -> bool:
        """Tell whether errands may be begun: not before the feed has its cursor, or has proved to be none."""
        self._decided = self._decided or self._news.live or self._feed not in self._schedule.seats
        return self._decided and not self._stopping and not self._loading

    @property
    def _room(self) -> int:
        """How many more errands may be begun."""
        # Downloads do not count as jobs; the bound on all runs keeps a slow disk from filling the memory.
        runs = self._limits.jobs + 4 * self._limits.downloads - self._runs
        return min(self._limits.jobs - self._schedule.unfinished, runs, MOST_LOADED)

    def _load(self, now: Now) -> Load | None:
        room, numbers = self._room, list[int]()
        while self._later and self._later[0][0] <= now.mono and len(numbers) < room:
            numbers.append(heapq.heappop(self._later)[1])
        if numbers:
            return Load(len(numbers), tuple(numbers))
        return None if self._exhausted or room <= 0 else Load(room)

    def _seat(self, entry: Entry) -> Seat:
        service = self._service
        memory = JobMemory[Out]()
        if entry.accepted is not None:
            memory = JobMemory(service.record_of(entry.accepted.ticket))
        errand = Errand(service, memory, heard=self._heard, entry=entry.number, news=self._news)
        # Held submissions only where every job may have one: else they would queue for connections.
        hold = service.rules.hold if self._limits.jobs <= service.slots.most_held else 0
        return Seat(entry, Run(go_on(errand, entry, self._prepare, hold=hold), errand), errand)

    def _begin_feed(self) -> Seat:
        """Begin to follow the service's feed; nothing is loaded before its cursor is there, or it proves to be none."""
        errand = Errand(self._service, heard=False)
        many = self._service.contract.most_at_once > 0
        flow = look_at_many(errand, self._news) if many else follow_changes(errand, self._news)
        return Seat(Entry(0, None, None, Fate.OPEN, ""), Run(flow, errand), errand)

    @property
    def _runs(self) -> int:
        return len(self._schedule.seats) - (self._feed in self._schedule.seats)

    def _judge(self, seat: Seat) -> Consult | Finish | None:
        """Return what is to be done about a run that is over; None if its errand stays as the journal has it."""
        if seat is self._feed:
            return None
        error = seat.error
        if error is None:
            self._alike = 0
            return _finish(seat, _good(seat))
        if not isinstance(error, errors.GoferError):
            return _finish(seat, Ending(Fate.FAILED, error=type(error).__name__, message=str(error)), error=error)
        if _concerns_all(error, accepted=seat.errand.record.ref is not None):
            self.stop(error)
            return None
        if self._asks_again and not isinstance(error, errors.SubmitUncertain):
            return Consult(seat, error)
        return self._failed(seat, error)

    def _failed(self, seat: Seat, error: errors.GoferError) -> Finish:
        self._alike += 1
        if self._stop_after is not None and self._alike >= self._stop_after:
            self.stop(error)
        fate = Fate.UNCERTAIN if isinstance(error, errors.SubmitUncertain) else Fate.FAILED
        return _finish(seat, Ending(fate, error=type(error).__name__, message=str(error)), error=error)


def _good(seat: Seat) -> Ending:
    outcome = seat.value
    path = None if outcome.path is None else str(outcome.path)
    return Ending(Fate.DONE, path, None if path is not None else outcome.value)


def _finish(seat: Seat, ending: Ending, error: Exception | None = None) -> Finish:
    record = seat.errand.record
    return Finish(
        seat.entry,
        ending,
        None if seat.value is None else seat.value.value,
        error,
        ending.path,
        None if record.ref is None else record.ref.id,
        None if record.ref is None else str(seat.errand.ticket),
    )


def _is_unsent(seat: Seat) -> bool:
    """Tell whether the journal may say of a run that was closed that its submission has left, and it has not."""
    return seat.errand.submission is not None and seat.errand.record.ref is None and not seat.submits


def _concerns_all(error: errors.GoferError, *, accepted: bool) -> bool:
    """Tell whether an error is no errand's own: every other one would meet it, too."""
    match error:
        case errors.JournalError() | errors.UntrustedCertificate():
            return True
        case errors.ServiceError():
            return error.status_code == 401
        case errors.TargetError():
            return error.full
        case errors.Unreachable():
            return not accepted
        case _:
            return False
