"""The awaited driver, on asyncio and trio by anyio: performs a flow's commands. It decides nothing.

`drive.py` is its blocking twin; a change in one belongs in the other. The disk is used in worker threads, in blocks
of some mebibytes, so that a slow disk never holds up the event loop.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator
from typing import Any, TypeVar, cast

import anyio
from anyio.lowlevel import current_token
from anyio.to_thread import run_sync

from gofer.core import commands
from gofer.core.flows import FAREWELL
from gofer.core.run import Run
from gofer.errors import AnswerLost, GoferError, Unreachable
from gofer.events import Event
from gofer.transports.base import LAST_USE, AsyncBody, AsyncIO, Disk, Listener, Pace, Progress, Writer, signing
from gofer.wire import Head, Reply, Request

T = TypeVar("T")

BLOCK = 4 << 20
"""Bytes that are gathered before one hop to a worker thread writes them: a hop costs as much as 64 KiB do."""

LATE = "The body did not end in time."

LINGER = 0.5
"""Seconds after which fewer bytes are written too, so that little is lost to kill -9 on a slow or silent line."""


async def adrive(run: Run[T], io: AsyncIO, disk: Disk, tell: Listener) -> T:
    """Perform a run to its end and return its value, or raise the error it ends with."""
    async with contextlib.aclosing(Hands(run, io, disk, tell)) as hands:
        try:
            step = run.start(io.now())
            while not isinstance(step, commands.Done):
                step = run.advance(await hands.perform(step))
        except BaseException:
            if not run.over:
                await _farewell(run, hands)
            raise
        return step.value


async def awatch(run: Run[Any], io: AsyncIO, disk: Disk) -> AsyncGenerator[Event, None]:
    """Perform a run and yield the events it tells; leaving the iterator early does no I/O but closing."""
    async with contextlib.aclosing(Hands(run, io, disk, _deaf)) as hands:
        step = run.start(io.now())
        while not isinstance(step, commands.Done):
            if isinstance(step, commands.Tell):
                yield step.event
            step = run.advance(await hands.perform(step))


async def _farewell(run: Run[Any], hands: Hands) -> None:
    """Perform what the flow still wants done when its caller leaves, shielded and for a short time."""
    with anyio.move_on_after(FAREWELL + 0.5, shield=True), contextlib.suppress(GoferError):
        await hands.drop()
        step = run.abandon(hands.io.now())
        while not isinstance(step, commands.Done):
            step = run.advance(await hands.perform(step))


def waking(event: anyio.Event) -> Callable[[], None]:
    """Return what sets this loop's event, from any thread: those who wait for each other may be in several loops."""
    here, loop = threading.get_ident(), current_token().native_token
    soon: Any = getattr(loop, "call_soon_threadsafe", None) or getattr(loop, "run_sync_soon", None)

    def wake() -> None:
        if threading.get_ident() == here:
            event.set()
        else:
            with contextlib.suppress(RuntimeError):  # that loop is over, and with it whoever waited
                soon(event.set)

    return wake


def _deaf(_: Event) -> None:
    """Listen to nothing."""


class Hands:
    """The command performer of one run; holds the one reply that may be open."""

    def __init__(self, run: Run[Any], io: AsyncIO, disk: Disk, tell: Listener) -> None:
        self._run, self.io, self._disk, self._tell = run, io, disk, tell
        self._body: AsyncBody | None = None
        self._chunks: AsyncIterator[bytes] | None = None
        self._pace: Pace | None = None

    async def aclose(self) -> None:
        """Let go of everything."""
        await self.drop()
        self._run.close()
        if self._disk.holds:  # letting go of a part is work for the disk: an empty one is removed
            with anyio.CancelScope(shield=True):
                await run_sync(self._disk.close)

    async def drop(self) -> None:
        """Close the open reply, if there is one."""
        body, chunks, self._body, self._chunks = self._body, self._chunks, None, None
        if body is not None:
            with anyio.CancelScope(shield=True):
                if isinstance(chunks, AsyncGenerator):  # one that is left half-way is closed by nobody else
                    await chunks.aclose()
                await body.close()

    async def perform(self, command: commands.Command) -> commands.Outcome:
        """Carry out a command, and return what came of it."""
        try:
            answer = await self._answer(command)
        except GoferError as error:
            return commands.Failed(self.io.now(), error)
        finally:
            if isinstance(command, LAST_USE):
                await self.drop()
        return commands.Answered(self.io.now(), answer)

    async def _answer(self, command: commands.Command) -> commands.Answer:
        match command:
            case commands.Send():
                return await self._send(command)
            case commands.Open():
                head = await self._open(command.request, command.timeout, command.stall)
                self._pace = Pace(command, self.io.now().mono)
                return head
            case commands.Store():
                return await self._store(command)
            case commands.Read():
                return await self._read(command.cap, command.until)
            case commands.Authorise():
                with signing():
                    said = command.call()
                    if not isinstance(said, Awaitable):
                        return said
                    with self._before(command.until):
                        return await cast("Awaitable[object]", said)
                    raise Unreachable("auth= did not end in time, so nothing was sent.")
            case commands.Sleep():
                await self.io.sleep(command.seconds)
            case commands.AwaitTurn():
                granted = anyio.Event()
                command.turn.when_granted(waking(granted))
                with anyio.move_on_after(math.inf if command.until is None else command.until - self.io.now().mono):
                    await granted.wait()
                return granted.is_set()
            case commands.Tell():
                self._tell(command.event)
            case commands.Drop() | commands.Note() | commands.Wake() | commands.AwaitNews() | commands.Listening():
                pass  # all but the first are a batch's
            case _:
                return await run_sync(self._disk.perform, command)
        return None

    async def _send(self, command: commands.Send) -> Reply:
        began, request = self.io.now().mono, command.request
        with self._before(command.until):
            head = await self._open(request, command.timeout, command.timeout)
            began = began if isinstance(request.body, bytes) else self.io.now().mono
            body = await self._read(command.cap, began + command.timeout)
            return Reply(head.url, head.status, head.headers, body.content, body.cut)
        raise AnswerLost("The request was not answered in time.")

    async def _open(self, request: Request, timeout: float, stall: float) -> Head:
        head, self._body = await self.io.open(request, timeout=timeout, stall=stall)
        self._chunks, self._pace = self._body.chunks(), None
        return head

    async def _store(self, command: commands.Store) -> commands.Stored:
        progress = Progress(self._tell, command)
        writer = _Behind(self._disk, command)
        gathered: list[bytes] = []
        left = math.inf if command.mark.total is None else command.mark.total - command.offset
        written = anyio.Event()
        written.set()

        async def write(blocks: list[bytes], done: anyio.Event) -> None:
            with anyio.CancelScope(shield=True):  # what was handed over is written, or the part would have a hole
                progress.at(self.io.now().mono, await run_sync(writer.write, blocks))
            done.set()

        async def hand_over() -> None:
            nonlocal written
            while not written.is_set():
                await written.wait()  # one block is written while the next one comes
            if gathered:
                blocks, written = gathered.copy(), anyio.Event()
                gathered.clear()
                behind.start_soon(write, blocks, written)

        async def linger() -> None:
            while True:
                await anyio.sleep(LINGER)
                await hand_over()

        try:
            with ungrouped(), self._before(command.until) as scope:
                async with anyio.create_task_group() as behind:
                    size, lingering = 0, False
                    async for chunk in self._opened():
                        self._keep_pace(chunk)
                        size = len(chunk) + (size if gathered else 0)
                        gathered.append(chunk)
                        left -= len(chunk)
                        if size >= BLOCK:
                            await hand_over()
                        elif not lingering and left > 0:  # a small file is complete with its first bytes
                            lingering = True
                            behind.start_soon(linger)
                    if lingering:
                        behind.cancel_scope.cancel()
            if scope.cancelled_caught:
                raise AnswerLost(LATE)
            stored = await run_sync(writer.finish, gathered)
            progress.at(self.io.now().mono, stored.size, last=True)
            return stored
        finally:
            if gathered:  # what came before a break is kept for the resume
                with anyio.CancelScope(shield=True):
                    await run_sync(writer.flush, gathered)

    async def _read(self, cap: int, until: float | None) -> commands.Body:
        content = bytearray()
        with self._before(until):
            async for chunk in self._opened():
                self._keep_pace(chunk)
                content += chunk
                if len(content) > cap:
                    return commands.Body(bytes(content[:cap]), cut=True)
            await self._close_read()
            return commands.Body(bytes(content))
        raise AnswerLost(LATE)

    async def _close_read(self) -> None:
        """Close a body that was read to its end. That waits for nothing, so it needs no shield, which `drop` has."""
        if self._body is not None:
            await self._body.close()
        self._body = self._chunks = None

    def _opened(self) -> AsyncIterator[bytes]:
        assert self._chunks is not None, "nothing is open"  # noqa: S101  (a flow out of order)
        return self._chunks

    def _keep_pace(self, chunk: bytes) -> None:
        if self._pace is not None:
            self._pace.at(self.io.now().mono, len(chunk))

    def _before(self, until: float | None) -> anyio.CancelScope:
        """Return a scope that is left at a monotonic time of the wire's clock."""
        if until is None:
            return anyio.CancelScope()
        return anyio.CancelScope(deadline=anyio.current_time() + until - self.io.now().mono)


@contextlib.contextmanager
def ungrouped() -> Generator[None]:
    """Raise the error that ended a task group, instead of the group."""
    try:
        yield
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None


class _Behind:
    """Writes a body in worker threads, one call at a time. The first call opens the part: each hop costs something."""

    def __init__(self, disk: Disk, command: commands.Store) -> None:
        self._disk, self._command = disk, command
        self._writer: Writer | None = None

    def write(self, blocks: list[bytes]) -> int:
        """Write these blocks; return the bytes that are in the part."""
        if self._writer is None:
            self._writer = self._disk.writer(self._command)
        return self._writer.write(blocks)

    def flush(self, gathered: list[bytes]) -> int:
        """Write what was gathered."""
        blocks = gathered.copy()
        gathered.clear()
        return self.write(blocks)

    def finish(self, gathered: list[bytes]) -> commands.Stored:
        """Write the last of a body and return what is there."""
        _ = self.flush(gathered)
        assert self._writer is not None, "nothing was opened"  # noqa: S101  (`write` opens it)
        return self._writer.stored()
