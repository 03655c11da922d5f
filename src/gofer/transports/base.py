"""What a driver needs of the world, as protocols: a clock and a wire (`IO`, `AsyncIO`), and a disk.

Implement `IO` (or `AsyncIO`) to carry gofer's errands over anything: `Client(url, io=mine)`. Raise `Unreachable` when
the request cannot have left, `AnswerLost` when it may have. Everything else is decided in the core: what a reply means,
how much of a body is read, and whether to retry.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any, Protocol, runtime_checkable

from gofer.core.commands import DiskAnswer, DiskCommand, Drop, Now, Open, Read, Send, Store, Stored
from gofer.errors import AnswerLost, GoferError, Unreachable, UsageError
from gofer.events import Downloading, Event
from gofer.wire import Head, Request

Listener = Callable[[Event], object]

_log = logging.getLogger("gofer")


class Body(Protocol):
    """The body of an opened reply."""

    def chunks(self) -> Iterator[bytes]:
        """Yield the body as it comes, in pieces of any size."""
        ...

    def close(self) -> None:
        """Let go of the connection; harmless the second time."""
        ...


class IO(Protocol):
    """A clock and a wire, for the blocking face. Safe for many threads at once."""

    def now(self) -> Now:
        """Read both clocks."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait for a number of seconds."""
        ...

    def open(self, request: Request, *, timeout: float, stall: float) -> tuple[Head, Body]:
        """Send a request and return the reply's head and its unread body.

        Args:
            request: what to send. Its redirects are not followed, and its reply is never unpacked. A body that is
                `Streamed` is read by `gofer.transports.inputs.blocks`.
            timeout: seconds until the head is there; those for sending a streamed body do not count.
            stall: seconds that the body may pause.

        Raises:
            Unreachable: the request cannot have left.
            AnswerLost: it may have left, and no head came.
            UsageError: a file of a streamed body has changed, and the request was not completed.
        """
        ...


class AsyncBody(Protocol):
    """The awaited twin of `Body`."""

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes, in pieces of any size."""
        ...

    async def close(self) -> None:
        """Let go of the connection; harmless the second time."""
        ...


class AsyncIO(Protocol):
    """The awaited twin of `IO`."""

    def now(self) -> Now:
        """Read both clocks."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for a number of seconds."""
        ...

    async def open(self, request: Request, *, timeout: float, stall: float) -> tuple[Head, AsyncBody]:
        """Send a request and return the reply's head and its unread body.

        Args:
            request: what to send. Its redirects are not followed, and its reply is never unpacked. A body that is
                `Streamed` is read by `gofer.transports.inputs.blocks`.
            timeout: seconds until the head is there; those for sending a streamed body do not count.
            stall: seconds that the body may pause.

        Raises:
            Unreachable: the request cannot have left.
            AnswerLost: it may have left, and no head came.
            UsageError: a file of a streamed body has changed, and the request was not completed.
        """
        ...


class Writer(Protocol):
    """A part file being written; blocking calls, made by one thread at a time."""

    def write(self, blocks: list[bytes]) -> int:
        """Append the blocks and return the part's size; over the limit is `WrongFile`."""
        ...

    def stored(self) -> Stored:
        """Return what is on disk now."""
        ...


class Disk(Protocol):
    """Where files are kept, for one errand. Blocking calls; the async driver makes them in a worker thread."""

    @property
    def holds(self) -> bool:
        """Whether `close` has something to let go of."""
        ...

    def perform(self, command: DiskCommand) -> DiskAnswer:
        """Carry out a command and return its answer; a target that cannot be written is a `TargetError`."""
        ...

    def writer(self, command: Store) -> Writer:
        """Begin to carry out `Store`."""
        ...

    def close(self) -> None:
        """Let go of what is open; the part stays."""
        ...


class signing:
    """Turns what the caller's own function raises into `Unreachable`: nothing was sent, and it may succeed later.

    Not a function that calls itself without end, as by a client with the same `auth=`: that would be tried for ever.
    """

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, RecursionError):
            raise UsageError("auth= calls itself without end. Nothing was sent.") from error
        if isinstance(error, Exception) and not isinstance(error, GoferError):
            raise Unreachable(f"auth= raised {type(error).__name__}, so nothing was sent.") from error


def not_awaitable(said: Any) -> object:
    """Return what a function of the caller's returned to a blocking client, which cannot await it.

    Raises:
        UsageError: it is an awaitable.
    """
    if not hasattr(said, "__await__"):
        return said
    if hasattr(said, "close"):
        said.close()  # Python warns of a coroutine that nobody awaits
    name = getattr(said, "__qualname__", type(said).__name__)
    raise UsageError(f"auth= returned an awaitable ({name}), and a blocking client cannot await. Nothing was sent.")


LAST_USE = (Send, Store, Read, Drop)
"""Commands after which no reply is open."""


class Progress:
    """Reports the bytes of one transfer, ten times a second at most, and always the last of them."""

    EVERY = 0.1

    def __init__(self, tell: Listener, command: Store) -> None:
        self._tell, self._job_id, self._mark = tell, command.job_id, command.mark
        self._last: float = -math.inf
        self._reported: int = -1

    def at(self, now: float, done: int, *, last: bool = False) -> None:
        """Note the number of bytes that are on disk."""
        if (last or now - self._last >= self.EVERY) and done != self._reported:
            self._last, self._reported = now, done
            self._tell(Downloading(self._job_id, done, self._mark.total))


class Pace:
    """Notices a body that crawls: a byte now and then keeps a connection open, but never completes a file."""

    def __init__(self, command: Open, now: float) -> None:
        self._least, self._every = command.least, command.stall
        self._until, self._came, self._crawls = now + command.stall, 0, False

    def at(self, now: float, size: int) -> None:
        """Note a number of bytes that came.

        Raises:
            AnswerLost: bytes came after a window that was too slow. The final bytes of a file never raise.
        """
        if self._crawls:
            raise AnswerLost(f"Fewer than {self._least} bytes of the body came in {self._every:.1f} s.")
        self._came += size
        if now >= self._until:
            self._crawls = self._came < self._least
            self._until, self._came = now + self._every, 0


@contextlib.contextmanager
def listening(listeners: tuple[Listener, ...]) -> Generator[Listener]:
    """Give one listener made of many, for one errand.

    One that raises is logged and not called again on this errand. The `end()` of one that has it is called at the end.
    """
    alive = list(listeners)

    def tell(event: Event) -> None:
        for listener in tuple(alive):
            try:
                _ = listener(event)
            except Exception:  # noqa: BLE001  (anything the caller's own function raises)
                _log.exception("A progress listener raised; it is not called again on this errand.")
                alive.remove(listener)

    try:
        yield tell
    finally:
        for listener in listeners:
            if isinstance(listener, Ending):
                listener.end()


@runtime_checkable
class Ending(Protocol):
    """A listener that wants to know when an errand is over."""

    def end(self) -> None:
        """Hear that the errand is over, well or not."""
        ...
