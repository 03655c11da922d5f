"""The blocking driver of a batch: one thread that asks what is next, and others that perform it. It decides nothing.

`adrive_many.py` is its awaited twin; a change in one belongs in the other. Facts for the journal are written by one
thread: all that have come up while it was writing go into the next commit.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from attrs import evolve

from gofer.core import commands
from gofer.core.batch import BatchRun, Consult, Finish, Load, Retract, Step
from gofer.core.flows import FAREWELL
from gofer.core.journal import Ending, Entry, Fact, Unsent
from gofer.core.schedule import Task
from gofer.errors import GoferError, JournalError
from gofer.events import Event
from gofer.transports.base import IO, Listener
from gofer.transports.disk import LocalDisk
from gofer.transports.drive import Hands
from gofer.transports.journal import Journal

Again = Callable[[GoferError, int], float | None]
"""What `again=` is: of a failure and the number of the attempt, the seconds until another one; None for no other."""


class DriveMany:
    """Drives one pass over a journal, in the thread that calls `run`; the other methods are for any thread.

    Args:
        batch: what decides.
        io: the wire and the clock.
        journal: where everything is written down.
        tell: hears the events, in one thread at a time.
        show: is called with each errand that has ended, after that is in the journal.
        again: the caller's own `again=`, or None.
        new_key: makes idempotency keys.
        threads: requests and files that are worked on at the same time, at most.
        own_clock: whether the clock is the wire's own, and may move by `io.sleep` alone.
    """

    def __init__(
        self,
        io: IO,
        journal: Journal,
        tell: Listener,
        show: Callable[[Finish], None],
        again: Again | None,
        new_key: Callable[[], str],
        *,
        threads: int,
        own_clock: bool,
    ) -> None:
        self._io, self._journal, self._tell, self._show = io, journal, tell, show
        self._again, self._new_key, self._own_clock = again, new_key, own_clock
        self._inbox = SimpleQueue[Callable[[], None]]()
        self._workers = _Workers(threads, self._failed)
        self._telling = threading.Lock()
        self._hands = dict[int, Hands]()
        self._bunch = list[Step]()
        self._writing, self._busy = False, set[int]()
        self._leaving, self._over, self._performed = threading.Lock(), False, set[int]()

    def run(self, batch: BatchRun[Any, Any], timeout: float | None) -> None:
        """Perform everything until the batch is over, or its time is."""
        self._batch = batch
        until = None if timeout is None else self._io.now().mono + timeout
        leave: float | None = None
        try:
            while not batch.over:
                self._hand_out()
                now = self._io.now().mono
                if until is not None and now >= until:
                    batch.late(timeout)
                if batch.stopping:
                    leave = now + FAREWELL if leave is None else leave
                    if now >= leave:
                        batch.abandon()
                        return
                self._wait(min((at for at in (batch.due(), until, leave) if at is not None), default=None))
        finally:
            with self._leaving:
                self._over = True
                idle = [hands for number, hands in self._hands.items() if number not in self._performed]
            self._workers.close()
            for hands in idle:  # a thread closes what it works with
                hands.close()

    def wake(self) -> None:
        """Have it look again for what may go on."""
        self._inbox.put(_nothing)

    def stop(self) -> None:
        """Have it begin nothing any more."""
        self._inbox.put(lambda: self._batch.stop())

    def more(self) -> None:
        """Tell it that the journal has new entries."""
        self._inbox.put(lambda: self._batch.more())

    def _hand_out(self) -> None:
        batch = self._batch
        while (step := batch.next(self._io.now())) is not None:
            match step:
                case Task(command=commands.Tell(event)):
                    self._hear(event)
                    batch.advance(step, commands.Answered(self._io.now(), None))
                case Task(command=commands.Note()) | Load() | Finish() | Retract():
                    self._bunch.append(step)
                case Consult(seat, error):
                    pause = None if self._again is None else self._again(error, seat.entry.attempt)
                    self._bunch.append(batch.decided(step, pause, self._io.now()))
                case Task():
                    self._busy.add(step.seat.entry.number)
                    self._workers.put(partial(self._perform, step))
        if self._bunch and not self._writing:
            bunch, self._bunch, self._writing = self._bunch, [], True
            self._workers.put(lambda: self._write(bunch))

    def _wait(self, until: float | None) -> None:
        """Wait for whatever comes first: an outcome, a message, or a time."""
        left = None if until is None else max(0.0, until - self._io.now().mono)
        if left and self._own_clock and not self._writing and not self._busy and self._inbox.empty():
            self._io.sleep(left)
            return
        with contextlib.suppress(Empty):
            self._inbox.get(timeout=left)()
            while True:
                self._inbox.get_nowait()()

    def _perform(self, task: Task) -> None:
        """Perform a command, in a thread of its own; nothing is begun once `run` has been left."""
        number = task.seat.entry.number
        with self._leaving:
            if self._over:
                return
            self._performed.add(number)
            hands = self._hands.get(number)
            if hands is None:
                hands = self._hands[number] = Hands(task.seat.run, self._io, LocalDisk(), self._hear)
        try:
            outcome = hands.perform(task.command)
        finally:
            with self._leaving:
                self._performed.discard(number)
                over = self._over
            if over:
                hands.close()
        self._inbox.put(lambda: self._landed(task, outcome))

    def _landed(self, task: Task, outcome: commands.Outcome) -> None:
        self._busy.discard(task.seat.entry.number)
        self._batch.advance(task, outcome)
        if task.seat.run.over:
            self._forget(task.seat.entry)

    def _write(self, bunch: list[Step]) -> None:
        """Write a bunch into the journal and load from it, in a thread of its own."""
        loaded = dict[int, list[Entry]]()
        failure: JournalError | None = None
        try:
            self._journal.write(facts_of(bunch))
            for at, step in enumerate(bunch):
                if isinstance(step, Load):
                    entries = self._journal.load(step.count, step.numbers)
                    loaded[at] = [one if one.key else evolve(one, key=self._new_key()) for one in entries]
        except JournalError as error:
            failure = error
        self._inbox.put(lambda: self._written(bunch, loaded, failure))

    def _written(self, bunch: list[Step], loaded: dict[int, list[Entry]], failure: JournalError | None) -> None:
        self._writing, now = False, self._io.now()
        if failure is not None:
            self._batch.stop(failure)
        for at, step in enumerate(bunch):
            match step:
                case Task() if failure is not None:
                    self._batch.advance(step, commands.Failed(now, failure))
                case Task():
                    self._batch.advance(step, commands.Answered(now, None))
                case Load():
                    self._batch.loaded(step, loaded.get(at, []), now)
                case Finish():
                    self._batch.finished()
                    self._forget(step.entry)
                    if failure is None:
                        self._show(step)
                case Retract():
                    self._batch.finished()
                case Consult():
                    pass

    def _failed(self, error: BaseException) -> None:
        """Have the thread that calls `run` raise what a worker met: an adapter or a listener of the caller's broke."""

        def fail() -> None:
            raise error

        self._inbox.put(fail)

    def _forget(self, entry: Entry) -> None:
        hands = self._hands.pop(entry.number, None)
        if hands is not None:
            hands.close()

    def _hear(self, event: Event) -> None:
        with self._telling:
            self._tell(event)


class _Workers:
    """Threads that perform what is put; a new one is started if none is idle, up to a number."""

    def __init__(self, most: int, failed: Callable[[BaseException], None]) -> None:
        self._failed = failed
        self._jobs = SimpleQueue[Callable[[], None] | None]()
        self._most, self._threads, self._idle = most, 0, threading.Semaphore(0)

    def put(self, job: Callable[[], None]) -> None:
        self._jobs.put(job)
        if not self._idle.acquire(blocking=False) and self._threads < self._most:
            self._threads += 1
            threading.Thread(target=self._work, name="gofer-batch", daemon=True).start()

    def close(self) -> None:
        """Let the threads end, each after what it does now; nothing waits for them."""
        for _ in range(self._threads):
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except BaseException as error:  # noqa: BLE001  (raised where the caller sees it)
                self._failed(error)
            self._idle.release()


def facts_of(bunch: list[Step]) -> list[tuple[int, Fact | Ending]]:
    """Return what of these steps is to be written down, in their order."""
    facts = list[tuple[int, Fact | Ending]]()
    for step in bunch:
        if isinstance(step, Finish):
            facts.append((step.entry.number, step.ending))
        elif isinstance(step, Retract):
            facts.append((step.entry.number, Unsent()))
        elif isinstance(step, Task) and isinstance(step.command, commands.Note):
            facts.append((step.command.number, step.command.fact))
    return facts


def _nothing() -> None:
    """Do nothing: whoever takes this out of the inbox is awake."""
