"""The blocking face of a batch: `Batch`, which `Client.batch` makes.

`abatch.py` is its awaited twin, written by hand; parity tests compare the two.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from os import PathLike
from queue import SimpleQueue
from types import TracebackType
from typing import Generic, Self

from gofer import setup
from gofer.batches import CHUNK, BatchOptions, Book, ended, recorded
from gofer.core.batch import Finish
from gofer.core.journal import Fate
from gofer.core.service import Service
from gofer.errors import BatchStopped, UsageError
from gofer.models import BatchErrand
from gofer.setup import In, Out
from gofer.transports.base import IO, Listener, listening
from gofer.transports.drive_many import DriveMany


class Batch(Generic[In, Out]):
    """Many errands of one service, written down in a journal. Use it as a context manager, or call `close()`.

    It comes from `Client.batch`. Whatever ends the process, a batch of the same journal goes on where this one was: no
    job is made twice, and no file that is there is fetched again.
    """

    def __init__(
        self,
        service: Service[In, Out],
        io: IO,
        listeners: tuple[Listener, ...],
        new_key: Callable[[], str],
        journal: str | PathLike[str] | None,
        options: BatchOptions,
        *,
        own_clock: bool,
    ) -> None:
        self._book = Book(service, journal, options)
        self._io, self._listeners, self._new_key, self._own_clock = io, listeners, new_key, own_clock
        self._drive: DriveMany | None = None
        self._added = False  # whether something was added since the last pass began

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._book.service.base!r}, {self.counts})"

    @property
    def counts(self) -> dict[str, int]:
        """How many errands are "waiting", "open", "done", "failed" and "uncertain"."""
        return self._book.journal.counts()

    def add(self, requests: Iterable[In] | Iterable[str]) -> int:
        """Write down what is to be done, also while `run` is under way; nothing is sent.

        Args:
            requests: what the contract takes, as plain JSON; DOIs for a `RetrieveClient`. One that is there
                already is left out. They are read one by one, and may be more than fit into memory.

        Returns:
            How many are new.

        Raises:
            UsageError: a request is wrong, or two errands would write to one path.
            TargetError: with `exists="refuse"`, something is at the target already.
            JournalError: the journal cannot be written.
        """
        count = 0
        for rows in self._book.chunks(requests):
            count += self._book.journal.add(rows)
            self._added = True
            if self._drive is not None:
                self._drive.more()
        return count

    def retry(self, state: str) -> int:
        """Have the "failed" or the "uncertain" errands wait again, and return how many; `run` tries them.

        A failed one goes on with its job, if that may still give a result; else another one is made. An uncertain one
        is submitted again by its key: at a service that replays no keys this may make a second job.
        """
        return self._book.retry(state)

    def errands(self, *states: str) -> Iterator[BatchErrand[Out]]:
        """Yield the errands as the journal has them, in their order; those of some states only, if states are named."""
        for line in self._book.journal.lines([Fate(state) for state in states] or tuple(Fate)):
            yield recorded(line)

    def run(self, timeout: float | None = None) -> Iterator[BatchErrand[Out]]:
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
            yield from self._pass(None if until is None else max(0.001, until - self._io.now().mono))

    def _pass(self, seconds: float | None) -> Iterator[BatchErrand[Out]]:
        shown, failures = SimpleQueue[Finish | None](), list[BaseException]()
        options, total = self._book.options, self._book.service.slots.total
        with listening(self._listeners) as tell:
            drive = self._drive = DriveMany(
                self._io, self._book.journal, tell, shown.put, options.again, self._new_key,
                threads=total + self._book.limits.downloads, own_clock=self._own_clock,
            )  # fmt: skip
            batch = self._book.run(drive.wake, heard=bool(self._listeners))

            def work() -> None:
                try:
                    drive.run(batch, seconds)
                except BaseException as error:  # noqa: BLE001  (raised where the caller sees it)
                    failures.append(error)
                finally:
                    shown.put(None)

            thread = threading.Thread(target=work, name="gofer-batch", daemon=True)
            thread.start()
            try:
                while (finish := shown.get()) is not None:
                    yield ended(finish)
            finally:
                drive.stop()
                thread.join()
                self._drive = None
        for failure in failures:
            raise failure
        if batch.reason is not None:
            raise BatchStopped.because(batch.reason)

    def feed(self, requests: Iterable[In] | Iterable[str], timeout: float | None = None) -> Iterator[BatchErrand[Out]]:
        """Add requests as there is room, and run them: they may be more than fit into memory, or without end.

        Args:
            requests: as in `add`.
            timeout: as in `run`.

        Raises:
            UsageError, TargetError: as in `add`; what was added before is left.
            BatchStopped, OutOfTime, JournalError: as in `run`.
        """
        source = self._book.source(requests)
        left = self.add(islice(source, CHUNK))
        for errand in self.run(timeout):
            yield errand
            left -= errand.state != "waiting"
            if left < CHUNK // 2:
                left += self.add(islice(source, CHUNK))

    def close(self) -> None:
        """Close the journal. A second call does nothing."""
        self._book.journal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
