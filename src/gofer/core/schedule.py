"""`Schedule`: many runs side by side, as one machine with the shape of `Run`.

    schedule.add(seat, now)
    task = schedule.next(now)                   # a command of one of them that may be performed now, or None
    schedule.advance(task, outcome)             # what came of it

It holds their flows, a heap of the times at which they go on, and the limits of one service: the rate, and how many
downloads are open. A run that sleeps or waits for a slot is an entry here; it costs no thread and no task. It has no
clock: every call says what time it is. Drivers perform what it hands out, and decide nothing.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from itertools import count
from typing import Any

from attrs import define, frozen

from gofer.contracts.base import Snapshot
from gofer.core.commands import (
    Answered,
    Authorise,
    AwaitNews,
    AwaitTurn,
    Command,
    Done,
    Drop,
    Listening,
    Note,
    Now,
    Open,
    Outcome,
    Read,
    Send,
    Sleep,
    Store,
    Wake,
)
from gofer.core.errand import Errand
from gofer.core.journal import Entry, Sending, Unsent
from gofer.core.pace import Pace
from gofer.core.run import Run
from gofer.core.table import LEGS, Stage

MOST_EARLY = 10_000
"""Jobs that the feed has named and that no run waits for: others of the same caller's are among them."""


@frozen
class Limits:
    """What one batch may take of a service and of this machine.

    Attributes:
        jobs: unfinished jobs at the service.
        downloads: results that come at the same time.
        per_second: requests to the service; None for as many as there are.
    """

    jobs: int = 20
    downloads: int = 8
    per_second: float | None = None


@define(eq=False)
class Seat:
    """One run in the schedule, with what it came to when it is over: a value or an error.

    The entry of the run that follows the feed has the number 0; it is no job.
    """

    entry: Entry
    run: Run[Any]
    errand: Errand[Any, Any]
    step: Command | None = None  # the command that waits to be handed out
    busy: bool = False  # whether one was handed out that has no outcome yet
    counts: bool = False  # whether it counts as an unfinished job
    paced: bool = False  # whether its next request may leave without another turn
    submits: bool = False  # whether a submission of it was handed out, and none is noted as unsent since
    downloads: bool = False  # whether it has one of the open downloads
    value: Any = None
    error: Exception | None = None
    asleep: int = -1  # which of the sleeps in the heap is its present one
    news: Any = None  # what the feed has shown of its job


@frozen
class Task:
    """A command to be performed for one run."""

    seat: Seat
    command: Command


class Schedule:
    """The runs of one batch. Not for two threads or tasks at once.

    `wake` is called, from any thread, when a run may go on that waited for another errand of the client. `ended` has
    the runs that are over, and `stopped` those that `stop` has closed, for whoever takes them out.
    """

    def __init__(self, limits: Limits, wake: Callable[[], None]) -> None:
        self.limits = limits
        self.seats = set[Seat]()
        self.ended = deque[Seat]()
        self.stopped = deque[Seat]()
        self.unfinished = 0
        """How many jobs may be unfinished at the service."""
        self._wake, self._pace, self._order = wake, Pace(limits.per_second), count()
        self._due = list[tuple[float, int, Seat]]()
        self._ready, self._granted = deque[Seat](), deque[Seat]()
        self._wire, self._fetching = deque[Seat](), deque[Seat]()
        self._downloads, self._stopping = 0, False
        self._listening = dict[str, Seat]()  # runs that sleep until there is news, by their jobs
        self._early = dict[str, Snapshot[Any] | None]()  # what the feed has shown while nobody listened

    def add(self, seat: Seat, now: Now) -> None:
        """Take a run in, and begin it."""
        self.seats.add(seat)
        self._advance(seat, partial(seat.run.start, now))

    def next(self, now: Now) -> Task | None:
        """Return a command that is to be performed now; None if there is none."""
        while self._due and self._due[0][0] <= now.mono:
            _, number, seat = heapq.heappop(self._due)
            if number == seat.asleep:  # else it was woken before
                news, seat.news = seat.news, None
                _ = self._listening.pop(seat.errand.job_id or "", None)
                self._advance(seat, partial(seat.run.advance, Answered(now, news)))
        while self._granted:
            seat = self._granted.popleft()
            self._advance(seat, partial(seat.run.advance, Answered(now, True)))
        while self._fetching and self._downloads < self.limits.downloads:
            seat = self._fetching.popleft()
            if seat in self.seats:
                seat.downloads, self._downloads = True, self._downloads + 1
                self._queue_of(seat).append(seat)
        if self._wire and self._pace.free_at <= now.mono:
            task = self._taken(self._wire)
            if task is not None:
                self._pace.sent(now.mono)
                return task
        return self._taken(self._ready)

    def due(self) -> float | None:
        """Return the monotonic time at which a command may come up by itself; None if only outcomes bring one."""
        times = [self._due[0][0]] if self._due else []
        times += [self._pace.free_at] if self._wire else []
        return min(times, default=None)

    def advance(self, task: Task, outcome: Outcome) -> None:
        """Take in what came of a command."""
        seat, command, seat.busy = task.seat, task.command, False
        if isinstance(command, Send | Open) and isinstance(outcome, Answered) and not command.request.anonymous:
            head: Any = outcome.answer
            self._pace.heard(head, outcome.now.mono, outcome.now.wall)
        if isinstance(command, Store | Read | Drop) or (
            isinstance(command, Open) and not isinstance(outcome, Answered)
        ):
            self._end_download(seat)
        self._advance(seat, partial(seat.run.advance, outcome))

    def stop(self) -> None:
        """Begin no request any more: runs that have none under way are closed, the others end with its outcome.

        What an answer says is still written into the journal, and a file that is complete takes its place.
        """
        self._stopping = True
        for seat in [seat for seat in self.seats if not seat.busy and _needs_the_service(seat.step)]:
            self._stop(seat)

    def close(self, seat: Seat) -> None:
        """End a run where it is; its job goes on at the service."""
        self.seats.discard(seat)
        self._settle(seat)
        seat.run.close()

    def _stop(self, seat: Seat) -> None:
        self.close(seat)
        self.stopped.append(seat)

    def _taken(self, queue: deque[Seat]) -> Task | None:
        while queue:
            seat = queue.popleft()
            if seat in self.seats and seat.step is not None:
                task, seat.step, seat.busy = Task(seat, seat.step), None, True
                if isinstance(task.command, Note):
                    seat.submits = seat.submits and not isinstance(task.command.fact, Unsent)
                elif isinstance(task.command, Send) and seat.errand.stage is Stage.SUBMITTING:
                    seat.submits = seat.errand.submission is not None  # else it is an upload
                return task
        return None

    def _advance(self, seat: Seat, call: Callable[[], Command | Done[Any]]) -> None:
        if seat not in self.seats:
            return  # it was closed meanwhile
        try:
            step = call()
        except Exception as error:  # noqa: BLE001  (a contract of the caller's may raise anything)
            seat.error = error
            self._over(seat)
            return
        if isinstance(step, Done):
            seat.value = step.value
            self._over(seat)
            return
        self._settle(seat)
        if self._stopping and _needs_the_service(step):
            self._stop(seat)
            return
        match step:
            case Sleep():
                self._sleep(seat, step.seconds)
            case AwaitNews():
                self._listen(seat, step.seconds)
            case Wake():
                self._wake_up(step.jobs)
                self._advance(seat, partial(seat.run.advance, Answered(seat.errand.now, None)))
            case Listening():
                self._advance(seat, partial(seat.run.advance, Answered(seat.errand.now, tuple(self._listening))))
            case AwaitTurn():
                step.turn.when_granted(partial(self._grant, seat))
            case _:
                seat.step = step
                self._queue_of(seat).append(seat)

    def _sleep(self, seat: Seat, seconds: float) -> None:
        seat.asleep = next(self._order)
        heapq.heappush(self._due, (seat.errand.now.mono + seconds, seat.asleep, seat))

    def _listen(self, seat: Seat, seconds: float) -> None:
        job = seat.errand.job_id or ""
        if job in self._early:  # the feed was quicker than the answer that named the job, or than a poll
            seat.news, seconds = self._early.pop(job), 0.0
        else:
            self._listening[job] = seat
        self._sleep(seat, seconds)

    def _wake_up(self, jobs: Mapping[str, Snapshot[Any] | None] | None) -> None:
        """Have runs go on that wait for news of these jobs; news of any other is kept for a while."""
        for job in list(self._listening) if jobs is None else jobs:
            seat = self._listening.pop(job, None)
            news = None if jobs is None else jobs[job]
            if seat is None:
                self._early[job] = news
            elif seat in self.seats:
                seat.news = news
                self._sleep(seat, -math.inf)
        while len(self._early) > MOST_EARLY:
            del self._early[next(iter(self._early))]

    def _queue_of(self, seat: Seat) -> deque[Seat]:
        if isinstance(seat.step, Note) and isinstance(seat.step.fact, Sending):
            seat.paced = True  # it is written down when its turn has come: what is, is taken for sent after a crash
            return self._wire
        if not isinstance(seat.step, Send | Open):
            return self._ready
        if isinstance(seat.step, Open) and LEGS.get(seat.errand.stage) == "download" and not seat.downloads:
            return self._fetching
        paced, seat.paced = seat.paced, False
        return self._ready if seat.step.request.anonymous or paced else self._wire

    def _grant(self, seat: Seat) -> None:
        self._granted.append(seat)
        self._wake()

    def _over(self, seat: Seat) -> None:
        self.seats.discard(seat)
        self._settle(seat)
        self.ended.append(seat)

    def _settle(self, seat: Seat) -> None:
        """Count the seat's job as unfinished, or not any more."""
        there = seat in self.seats
        counts = there and seat.entry.number > 0 and not seat.errand.record.status.done
        self.unfinished += counts - seat.counts
        seat.counts = counts
        if not there:
            self._end_download(seat)

    def _end_download(self, seat: Seat) -> None:
        self._downloads -= seat.downloads
        seat.downloads = False


def _needs_the_service(step: Command | None) -> bool:
    """Tell whether a run cannot go on without asking the service, or waits."""
    if isinstance(step, Note):
        return isinstance(step.fact, Sending)
    return step is None or isinstance(step, Send | Open | Sleep | AwaitNews | AwaitTurn | Authorise)
