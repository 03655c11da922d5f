"""The awaited face of a batch, on asyncio and trio: `AsyncBatch`, which `AsyncClient.batch` makes.

`batch.py` is its blocking twin, written by hand; parity tests compare the two.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, aclosing, suppress
from itertools import islice
from os import PathLike
from types import TracebackType
from typing import Any, Generic, Self

import anyio
from anyio.abc import TaskGroup
from anyio.to_thread import run_sync

from gofer import setup
from gofer.batches import CHUNK, BatchOptions, Book, ended, recorded
from gofer.core.batch import Finish
from gofer.core.journal import Fate
from gofer.core.service import Service
from gofer.errors import BatchStopped, UsageError
from gofer.models import BatchErrand
from gofer.setup import In, Out
from gofer.transports.adrive import ungrouped
from gofer.transports.adrive_many import AsyncDriveMany
from gofer.transports.base import AsyncIO, Listener, listening


class AsyncBatch(Generic[In, Out]):
    """Many errands of one service, written down in a journal. Use it as an async context manager.

    It comes from `AsyncClient.batch`. Whatever ends the process, a batch of the same journal goes on where this one
    was: no job is made twice, and no file that is there is fetched again.
    """

    def __init__(
        self,
        service: Service[In, Out],
        io: AsyncIO,
        listeners: tuple[Listener, ...],
        new_key: Callable[[], str],
        journal: str | PathLike[str] | None,
        options: BatchOptions,
        *,
        own_clock: bool,
    ) -> None:
        _ = options.limits()
        self._open: Callable[[], Book[In, Out]] = lambda: Book(service, journal, options)
        self._opened: Book[In, Out] | None = None
        self._io, self._listeners, self._new_key, self._own_clock = io, listeners, new_key, own_clock
        self._drive: AsyncDriveMany | None = None
        self._added = False  # whether something was added since the last pass began
        self._stack = AsyncExitStack()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._book.service.base!r}, {self.counts})"

    @property
    def _book(self) -> Book[In, Out]:
        if self._opened is None:
            raise UsageError("An AsyncBatch is open within `async with` only.")
        return self._opened

    @property
    def counts(self) -> dict[str, int]:
        """How many errands are "waiting", "open", "done", "failed" and "uncertain"."""
        return self._book.journal.counts()

    async def add(self, requests: Iterable[In] | Iterable[str] | AsyncIterable[In]) -> int:
        """Write down what is to be done, also while `run` is under way; nothing is sent.

        Args:
            requests: what the contract takes, as plain JSON; DOIs for an `AsyncRetrieveClient`. One that is there
                already is left out. They are read one by one, and may be more than fit into memory.

        Returns:
            How many are new.

        Raises:
            UsageError: a request is wrong, or two errands would write to one path.
            TargetError: with `exists="refuse"`, something is at the target already.
            JournalError: the journal cannot be written.
        """
        count, book = 0, self._book
        if isinstance(requests, AsyncIterable):
            async for request in requests:
                count += await run_sync(book.journal.add, [book.row(request)])
                self._more()
            return count
        chunks = book.chunks(requests)
        while (rows := await run_sync(next, chunks, None)) is not None:
            count += await run_sync(book.journal.add, rows)
            self._more()
        return count

    async def retry(self, state: str) -> int:
        """Have the "failed" or the "uncertain" errands wait again, and return how many; `run` tries them.

        A failed one goes on with its job, if that may still give a result; else another one is made. An uncertain one
        is submitted again by its key: at a service that replays no keys this may make a second job.
        """
        return await run_sync(self._book.retry, state)

    async def errands(self, *states: str) -> AsyncIterator[BatchErrand[Out]]:
        """Yield the errands as the journal has them, in their order; those of some states only, if states are named."""
        lines = self._book.journal.lines([Fate(state) for state in states] or tuple(Fate))
        while (line := await run_sync(next, lines, None)) is not None:
            yield recorded(line)

    async def run(self, timeout: float | None = None) -> AsyncGenerator[BatchErrand[Out], None]:
        """Do everything that waits, and yield each errand as it ends, well or not.

        If you leave the loop early, the jobs go on at the service, and the next `run` goes on with them.

        Args:
            timeout: seconds in total; None for no deadline.

        Raises:
            BatchStopped: something concerns every errand, such as refused credentials; what is not done is left.
            OutOfTime: the timeout ended; what is not done is left.
            JournalError: the journal cannot be written.
        """
        until = None if (seconds := setup.budget(timeout)) is None else self._io.now().mono + seconds
        if self._drive is not None:
            raise UsageError("This batch is run already, in another loop.")
        self._added = True
        while self._added:  # also what was added since the last errand has ended
            self._added = False
            left = None if until is None else max(0.001, until - self._io.now().mono)
            async with aclosing(self._pass(left)) as ended:
                async for errand in ended:
                    yield errand

    async def _pass(self, seconds: float | None) -> AsyncGenerator[BatchErrand[Out], None]:
        book = self._book
        send, shown = anyio.create_memory_object_stream[Finish](math.inf)

        def show(finish: Finish) -> None:
            with suppress(anyio.BrokenResourceError):  # the caller has left the loop
                send.send_nowait(finish)

        with listening(self._listeners) as tell:
            drive = self._drive = AsyncDriveMany(
                self._io, book.journal, tell, show, book.options.again, self._new_key,
                own_clock=self._own_clock,
            )  # fmt: skip
            batch = await run_sync(lambda: book.run(drive.wake, heard=bool(self._listeners)))
            over = anyio.Event()

            async def work() -> None:
                try:
                    with ungrouped(), send:
                        await drive.run(batch, seconds)
                finally:
                    self._drive = None
                    over.set()

            self._group.start_soon(work)
            try:
                async for finish in shown:
                    yield ended(finish)
            finally:
                shown.close()
                drive.stop()
                with anyio.CancelScope(shield=True):
                    await over.wait()
        if batch.reason is not None:
            raise BatchStopped.because(batch.reason)

    async def feed(
        self, requests: Iterable[In] | Iterable[str] | AsyncIterable[In], timeout: float | None = None
    ) -> AsyncGenerator[BatchErrand[Out], None]:
        """Add requests as there is room, and run them: they may be more than fit into memory, or without end.

        Args:
            requests: as in `add`.
            timeout: as in `run`.

        Raises:
            UsageError, TargetError: as in `add`; what was added before is left.
            BatchStopped, OutOfTime, JournalError: as in `run`.
        """
        awaited = aiter(requests) if isinstance(requests, AsyncIterable) else None
        source: Iterator[Any] = iter(()) if isinstance(requests, AsyncIterable) else self._book.source(requests)

        async def more() -> int:
            if awaited is None:
                return await self.add(islice(source, CHUNK))
            found = list[In]()
            while len(found) < CHUNK and (request := await anext(awaited, None)) is not None:
                found.append(request)
            return await self.add(found)

        left = await more()
        async with aclosing(self.run(timeout)) as ended:
            async for errand in ended:
                yield errand
                left -= errand.state != "waiting"
                if left < CHUNK // 2:
                    left += await more()

    async def close(self) -> None:
        """Close the journal. A second call does nothing."""
        if self._drive is not None:
            self._drive.stop()
        await self._stack.aclose()

    async def __aenter__(self) -> Self:
        self._opened = await run_sync(self._open)
        _ = self._stack.push_async_callback(run_sync, self._opened.journal.close)
        _ = self._stack.enter_context(ungrouped())
        self._group: TaskGroup = await self._stack.enter_async_context(anyio.create_task_group())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        if self._drive is not None:
            self._drive.stop()
        return await self._stack.__aexit__(kind, error, traceback)

    def _more(self) -> None:
        self._added = True
        if self._drive is not None:
            self._drive.more()
