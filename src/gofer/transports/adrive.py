"""The awaited driver, on asyncio and trio by anyio: performs a flow's commands. It decides nothing.

`drive.py` is its blocking twin; a change in one belongs in the other. The disk is used in worker threads, in blocks
of a mebibyte, so that a slow disk never holds up the event loop.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, TypeVar, assert_never

import anyio
from anyio.to_thread import run_sync

from gofer.core.commands import (
    Answer,
    Answered,
    Command,
    Discard,
    Done,
    Drop,
    Failed,
    Keep,
    Look,
    Open,
    Outcome,
    Read,
    Send,
    Sleep,
    Store,
    Stored,
    Tell,
    Weigh,
)
from gofer.core.errands import FAREWELL
from gofer.core.run import Run
from gofer.errors import AnswerLost, GoferError, WrongFile
from gofer.events import Event
from gofer.transports.base import AsyncBody, AsyncIO, Disk, Listener, Progress, Writer

T = TypeVar("T")

BLOCK = 1 << 20
"""Bytes that are gathered before one hop to a worker thread writes them."""

LINGER = 0.5
"""Seconds after which fewer bytes are written too, so that little is lost to kill -9 on a slow line."""


async def adrive(run: Run[T], io: AsyncIO, disk: Disk, tell: Listener) -> T:
    """Perform a run to its end and return its value, or raise the error it ends with."""
    async with contextlib.aclosing(_Hands(io, disk, tell)) as hands:
        try:
            step = run.start(io.now())
            while not isinstance(step, Done):
                step = run.advance(await hands.perform(step))
        except BaseException:
            if not run.over:
                await _farewell(run, hands)
            raise
        return step.value


async def awatch(run: Run[Any], io: AsyncIO, disk: Disk) -> AsyncGenerator[Event, None]:
    """Perform a run and yield the events it tells; leaving the iterator early does no I/O but closing."""
    async with contextlib.aclosing(_Hands(io, disk, _deaf)) as hands:
        step = run.start(io.now())
        while not isinstance(step, Done):
            if isinstance(step, Tell):
                yield step.event
            step = run.advance(await hands.perform(step))


async def _farewell(run: Run[Any], hands: _Hands) -> None:
    """Perform what the flow still wants done when its caller leaves, shielded and for a short time."""
    with anyio.move_on_after(FAREWELL + 0.5, shield=True), contextlib.suppress(GoferError):
        await hands.aclose()
        step = run.abandon(hands.io.now())
        while not isinstance(step, Done):
            step = run.advance(await hands.perform(step))


def _deaf(_: Event) -> None:
    """Listen to nothing."""


class _Hands:
    """The command performer of one run; holds the one reply that may be open."""

    def __init__(self, io: AsyncIO, disk: Disk, tell: Listener) -> None:
        self.io, self._disk, self._tell = io, disk, tell
        self._body: AsyncBody | None = None
        self._chunks: AsyncIterator[bytes] | None = None

    async def aclose(self) -> None:
        body, self._body, self._chunks = self._body, None, None
        if body is not None:
            with anyio.CancelScope(shield=True):
                await body.close()

    async def perform(self, command: Command) -> Outcome:
        try:
            answer = await self._answer(command)
        except GoferError as error:
            return Failed(self.io.now(), error)
        return Answered(self.io.now(), answer)

    async def _answer(self, command: Command) -> Answer:
        match command:
            case Send():
                return await self.io.send(command.request, timeout=command.timeout, cap=command.cap)
            case Sleep():
                await self.io.sleep(command.seconds)
            case Look():
                return await run_sync(self._disk.look, command.target)
            case Open():
                head, self._body = await self.io.open(command.request, timeout=command.timeout, stall=command.stall)
                self._chunks = self._body.chunks()
                return head
            case Store():
                return await self._store(command)
            case Read():
                return await self._read(command)
            case Drop():
                await self.aclose()
            case Weigh():
                return await run_sync(self._disk.weigh, command.target, command.hashed)
            case Keep():
                await run_sync(self._disk.keep, command.target)
            case Discard():
                await run_sync(self._disk.discard, command.target)
            case Tell():
                self._tell(command.event)
            case _:
                assert_never(command)
        return None

    async def _store(self, command: Store) -> Stored:
        progress = Progress(self._tell, command)
        async with contextlib.aclosing(self):
            writer = await run_sync(self._disk.writer, command)
            gathered: list[bytes] = []
            try:
                done, size, since = command.offset, 0, self.io.now().mono
                while (chunk := await self._chunk(command.until)) is not None:
                    gathered.append(chunk)
                    size += len(chunk)
                    if size >= BLOCK or self.io.now().mono - since >= LINGER:
                        done = await _flush(writer, gathered)
                        size, since = 0, self.io.now().mono
                        progress.at(since, done)
                done = await _flush(writer, gathered)
                progress.at(self.io.now().mono, done, last=True)
                return await run_sync(writer.stored)
            finally:
                with anyio.CancelScope(shield=True):
                    await _flush(writer, gathered)  # what came before a break is kept for the resume
                    await run_sync(writer.close)

    async def _read(self, command: Read) -> bytes:
        body = bytearray()
        async with contextlib.aclosing(self):
            while (chunk := await self._chunk(command.until)) is not None:
                body += chunk
                if len(body) > command.cap:
                    raise WrongFile(f"The body has more than {command.cap} bytes.", reason="too big")
        return bytes(body)

    async def _chunk(self, until: float | None) -> bytes | None:
        """Bring the next piece of the body, None at its end."""
        assert self._chunks is not None, "nothing is open"  # noqa: S101  (a flow out of order)
        try:
            with anyio.fail_after(math.inf if until is None else until - self.io.now().mono):
                return await anext(self._chunks)
        except StopAsyncIteration:
            return None
        except TimeoutError as error:
            raise AnswerLost("The body did not end in time.") from error


async def _flush(writer: Writer, gathered: list[bytes]) -> int:
    blocks = gathered.copy()
    gathered.clear()
    return await run_sync(writer.write, blocks)
