"""The blocking driver: performs a flow's commands, one after the other. It decides nothing.

`adrive.py` is its awaited twin; a change in one belongs in the other.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Iterator
from typing import Any, TypeVar

from gofer.core import commands
from gofer.core.run import Run
from gofer.errors import AnswerLost, GoferError
from gofer.events import Event
from gofer.transports import base
from gofer.transports.base import IO, LAST_USE, Disk, Listener, Pace, Progress, not_awaitable, signing
from gofer.transports.deadline import within
from gofer.wire import Head, Reply, Request

T = TypeVar("T")


def drive(run: Run[T], io: IO, disk: Disk, tell: Listener) -> T:
    """Perform a run to its end and return its value, or raise the error it ends with."""
    with contextlib.closing(Hands(run, io, disk, tell)) as hands:
        try:
            step = run.start(io.now())
            while not isinstance(step, commands.Done):
                step = run.advance(hands.perform(step))
        except BaseException:
            if not run.over:
                _farewell(run, hands)
            raise
        return step.value


def watch(run: Run[Any], io: IO, disk: Disk) -> Iterator[Event]:
    """Perform a run and yield the events it tells; leaving the iterator early does no I/O but closing."""
    with contextlib.closing(Hands(run, io, disk, _deaf)) as hands:
        step = run.start(io.now())
        while not isinstance(step, commands.Done):
            if isinstance(step, commands.Tell):
                yield step.event
            step = run.advance(hands.perform(step))


def _farewell(run: Run[Any], hands: Hands) -> None:
    """Perform what the flow still wants done when its caller leaves; the flow keeps it short."""
    hands.drop()
    with contextlib.suppress(GoferError):
        step = run.abandon(hands.io.now())
        while not isinstance(step, commands.Done):
            step = run.advance(hands.perform(step))


def _deaf(_: Event) -> None:
    """Listen to nothing."""


class Hands:
    """The command performer of one run; holds the one reply that may be open."""

    def __init__(self, run: Run[Any], io: IO, disk: Disk, tell: Listener) -> None:
        self._run, self.io, self._disk, self._tell = run, io, disk, tell
        self._body: base.Body | None = None
        self._pace: Pace | None = None

    def close(self) -> None:
        """Let go of everything."""
        self.drop()
        self._run.close()
        self._disk.close()

    def drop(self) -> None:
        """Close the open reply, if there is one."""
        body, self._body = self._body, None
        if body is not None:
            body.close()

    def perform(self, command: commands.Command) -> commands.Outcome:
        """Carry out a command, and return what came of it."""
        try:
            answer = self._answer(command)
        except GoferError as error:
            return commands.Failed(self.io.now(), error)
        finally:
            if isinstance(command, LAST_USE):
                self.drop()
        return commands.Answered(self.io.now(), answer)

    def _answer(self, command: commands.Command) -> commands.Answer:
        match command:
            case commands.Send():
                return self._send(command)
            case commands.Open():
                head = self._open(command.request, command.timeout, command.stall)
                self._pace = Pace(command, self.io.now().mono)
                return head
            case commands.Store():
                return self._store(command)
            case commands.Read():
                return self._read(command.cap, command.until)
            case commands.Authorise():
                with signing():
                    return not_awaitable(command.call())
            case commands.Sleep():
                self.io.sleep(command.seconds)
            case commands.AwaitTurn():
                granted = threading.Event()
                command.turn.when_granted(granted.set)
                left = math.inf if command.until is None else command.until - self.io.now().mono
                return granted.wait(min(max(0.0, left), threading.TIMEOUT_MAX))
            case commands.Tell():
                self._tell(command.event)
            case commands.Drop() | commands.Note() | commands.Wake() | commands.AwaitNews() | commands.Listening():
                pass  # all but the first are a batch's
            case _:
                return self._disk.perform(command)
        return None

    def _send(self, command: commands.Send) -> Reply:
        began, request = self.io.now().mono, command.request
        with within(math.inf if command.until is None else command.until - began):
            head = self._open(request, command.timeout, command.timeout)
            began = began if isinstance(request.body, bytes) else self.io.now().mono
            body = self._read(command.cap, began + command.timeout)
        return Reply(head.url, head.status, head.headers, body.content, body.cut)

    def _open(self, request: Request, timeout: float, stall: float) -> Head:
        head, self._body = self.io.open(request, timeout=timeout, stall=stall)
        self._pace = None
        return head

    def _store(self, command: commands.Store) -> commands.Stored:
        progress = Progress(self._tell, command)
        writer = self._disk.writer(command)
        done = command.offset
        for chunk in self._chunks(command.until):
            done = writer.write([chunk])
            progress.at(self.io.now().mono, done)
        progress.at(self.io.now().mono, done, last=True)
        return writer.stored()

    def _read(self, cap: int, until: float | None) -> commands.Body:
        content = bytearray()
        for chunk in self._chunks(until):
            content += chunk
            if len(content) > cap:
                return commands.Body(bytes(content[:cap]), cut=True)
        return commands.Body(bytes(content))

    def _chunks(self, until: float | None) -> Iterator[bytes]:
        """Yield the opened body, but nothing after a monotonic time."""
        assert self._body is not None, "nothing is open"  # noqa: S101  (a flow out of order)
        with within(math.inf if until is None else until - self.io.now().mono):
            for chunk in self._body.chunks():
                if self._pace is not None:
                    self._pace.at(self.io.now().mono, len(chunk))
                yield chunk
                if until is not None and self.io.now().mono >= until:
                    raise AnswerLost("The body did not end in time.")
