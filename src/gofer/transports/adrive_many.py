"""The awaited driver of a batch, on asyncio and trio by anyio: one task that asks what is next, and others that perform
it. It decides nothing.

`drive_many.py` is its blocking twin; a change in one belongs in the other. Facts for the journal are written in a
worker thread: all that have come up while it was writing go into the next commit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
from anyio.abc import TaskGroup
from anyio.to_thread import run_sync
from attrs import evolve

from gofer.core import commands
from gofer.core.batch import BatchRun, Consult, Finish, Load, Retract, Step
from gofer.core.flows import FAREWELL
from gofer.core.journal import Entry
from gofer.core.schedule import Task
from gofer.errors import JournalError
from gofer.transports.adrive import Hands, waking
from gofer.transports.base import AsyncIO, Listener
from gofer.transports.disk import LocalDisk
from gofer.transports.drive_many import Again, facts_of
from gofer.transports.journal import Journal


class AsyncDriveMany:
    """Drives one pass over a journal, in the task that awaits `run`; `wake` is for any thread, the rest for its loop.

    Args:
        io: the wire and the clock.
        journal: where everything is written down.
        tell: hears the events.
        show: is called with each errand that has ended, after that is in the journal.
        again: the caller's own `again=`, or None.
        new_key: makes idempotency keys.
        own_clock: whether the clock is the wire's own, and may move by `io.sleep` alone.
    """

    def __init__(
        self,
        io: AsyncIO,
        journal: Journal,
        tell: Listener,
        show: Callable[[Finish], None],
        again: Again | None,
        new_key: Callable[[], str],
        *,
        own_clock: bool,
    ) -> None:
        self._io, self._journal, self._tell, self._show = io, journal, tell, show
        self._again, self._new_key, self._own_clock = again, new_key, own_clock
        self._inbox = deque[Callable[[], None]]()
        self._news = anyio.Event()
        self._set_news: Callable[[], None] = waking(self._news)
        self._hands = dict[int, Hands]()
        self._bunch = list[Step]()
        self._writing, self._busy = False, set[int]()

    async def run(self, batch: BatchRun[Any, Any], timeout: float | None) -> None:
        """Perform everything until the batch is over, or its time is."""
        self._batch = batch
        until = None if timeout is None else self._io.now().mono + timeout
        leave: float | None = None
        try:
            async with anyio.create_task_group() as group:
                while not batch.over:
                    await self._hand_out(group)
                    now = self._io.now().mono
                    if until is not None and now >= until:
                        batch.late(timeout)
                    if batch.stopping:
                        leave = now + FAREWELL if leave is None else leave
                        if now >= leave:
                            batch.abandon()
                            break
                    await self._wait(min((at for at in (batch.due(), until, leave) if at is not None), default=None))
                group.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                for hands in list(self._hands.values()):
                    await hands.aclose()

    def wake(self) -> None:
        """Have it look again for what may go on."""
        self._set_news()

    def stop(self) -> None:
        """Have it begin nothing any more."""
        self._put(lambda: self._batch.stop())

    def more(self) -> None:
        """Tell it that the journal has new entries."""
        self._put(lambda: self._batch.more())

    def _put(self, message: Callable[[], None]) -> None:
        self._inbox.append(message)
        self._news.set()

    async def _hand_out(self, group: TaskGroup) -> None:
        batch = self._batch
        while (step := batch.next(self._io.now())) is not None:
            match step:
                case Task(command=commands.Tell(event)):
                    self._tell(event)
                    batch.advance(step, commands.Answered(self._io.now(), None))
                case Task(command=commands.Note()) | Load() | Finish() | Retract():
                    self._bunch.append(step)
                case Consult(seat, error):
                    pause = None if self._again is None else self._again(error, seat.entry.attempt)
                    self._bunch.append(batch.decided(step, pause, self._io.now()))
                case Task():
                    self._busy.add(step.seat.entry.number)
                    group.start_soon(self._perform, step)
        if self._bunch and not self._writing:
            bunch, self._bunch, self._writing = self._bunch, [], True
            group.start_soon(self._write, bunch)

    async def _wait(self, until: float | None) -> None:
        """Wait for whatever comes first: an outcome, a message, or a time."""
        left = None if until is None else max(0.0, until - self._io.now().mono)
        if left and self._own_clock and not self._writing and not self._busy and not self._inbox:
            await self._io.sleep(left)
        else:
            with anyio.move_on_after(left):
                await self._news.wait()
        self._news = anyio.Event()
        self._set_news = waking(self._news)
        while self._inbox:
            self._inbox.popleft()()

    async def _perform(self, task: Task) -> None:
        """Perform a command, in a task of its own."""
        number = task.seat.entry.number
        hands = self._hands.get(number)
        if hands is None:
            hands = self._hands[number] = Hands(task.seat.run, self._io, LocalDisk(), self._tell)
        outcome = await hands.perform(task.command)
        if task.seat.run.over:  # it was closed meanwhile
            await self._forget(task.seat.entry)
        self._put(partial(self._landed, task, outcome))

    def _landed(self, task: Task, outcome: commands.Outcome) -> None:
        self._busy.discard(task.seat.entry.number)
        self._batch.advance(task, outcome)

    async def _write(self, bunch: list[Step]) -> None:
        """Write a bunch into the journal and load from it."""
        loaded = dict[int, list[Entry]]()
        failure: JournalError | None = None
        try:
            with anyio.CancelScope(shield=True):
                await run_sync(self._journal.write, facts_of(bunch))
                for at, step in enumerate(bunch):
                    if isinstance(step, Load):
                        entries = await run_sync(self._journal.load, step.count, step.numbers)
                        loaded[at] = [one if one.key else evolve(one, key=self._new_key()) for one in entries]
        except JournalError as error:
            failure = error
        for step in bunch:
            if isinstance(step, Finish):
                await self._forget(step.entry)
        self._put(lambda: self._written(bunch, loaded, failure))

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
                    if failure is None:
                        self._show(step)
                case Retract():
                    self._batch.finished()
                case Consult():
                    pass

    async def _forget(self, entry: Entry) -> None:
        hands = self._hands.pop(entry.number, None)
        if hands is not None:
            await hands.aclose()
