"""The world without I/O for plans: it performs commands on a wire and a disk, breaks calls off, and keeps a list.

The disk is a `Disk` as the drivers use it, such as the one in memory (`support.disk`).
"""

from __future__ import annotations

import contextlib
from typing import Any, Protocol

from attrs import define, field

from gofer.core.commands import (
    Answered,
    Authorise,
    AwaitTurn,
    Body,
    Command,
    DiskAnswer,
    DiskCommand,
    Done,
    Drop,
    Failed,
    Keep,
    Open,
    Read,
    Send,
    Sleep,
    Store,
    Stored,
    Tell,
)
from gofer.core.errand import Errand
from gofer.core.run import Flow, Run
from gofer.errors import GoferError, TargetError
from gofer.events import Submitted
from gofer.transports.base import Disk, Writer
from gofer.wire import Reply
from simulation.plan import Break
from simulation.wire import Killed, Left, OpenBody, Wire

ENOUGH = 3000
"""The most commands of one call; a call with more has no end."""


class TooManyCommands(AssertionError):
    """A call does not end."""


class KillableDisk(Disk, Protocol):
    """A disk whose process may be killed."""

    def kill(self) -> None:
        """Close only what the system closes for a process that is killed."""
        ...


@define
class FaultyDisk:
    """A disk that fails when the plan says so."""

    disk: KillableDisk
    wire: Wire

    @property
    def holds(self) -> bool:
        """Whether a part is open."""
        return self.disk.holds

    def perform(self, command: DiskCommand) -> DiskAnswer:
        """Perform the command, unless the plan makes it fail."""
        if isinstance(command, Keep):
            fails, self.wire.keep_fails = self.wire.keep_fails, False
            if fails:
                raise TargetError("The disk is gone.")
        return self.disk.perform(command)

    def writer(self, command: Store) -> Writer:
        """Open a part, in the room that the plan leaves."""
        room, self.wire.room = self.wire.room, None
        writer = self.disk.writer(command)
        return writer if room is None else LimitedWriter(writer, room - command.offset)

    def close(self) -> None:
        """Close the disk."""
        self.disk.close()

    def kill(self) -> None:
        """Close only what the system closes for a process that is killed."""
        self.disk.kill()


@define
class LimitedWriter:
    """A part on a disk with room for a number of bytes."""

    writer: Writer
    room: int

    def write(self, blocks: list[bytes]) -> int:
        """Write while there is room."""
        self.room -= sum(map(len, blocks))
        if blocks and self.room < 0:
            raise TargetError("The disk is full.")
        return self.writer.write(blocks)

    def stored(self) -> Stored:
        """Return what was stored."""
        return self.writer.stored()


@define
class Call:
    """One call of a face: its flow and errand, and where it is broken off."""

    flow: Flow[Any]
    errand: Errand[Any, Any]
    broken: Break | None = None


@define
class End:
    """How a call ended: its value or its error, or neither if the process was killed."""

    value: Any = None
    error: GoferError | None = None
    how: str = "ended"
    commands: list[Command] = field(factory=list)
    ticket: str | None = None
    no_faults_left: bool = False
    started: float = 0.0
    ended: float = 0.0


def play(call: Call, wire: Wire, disk: KillableDisk) -> End:
    """Perform a call to its end, or to where it is broken off."""
    end = End(started=wire.mono)
    hands = _Hands(wire, disk)
    run = Run(call.flow, call.errand)
    try:
        step = run.start(wire.now())
        while not isinstance(step, Done):
            at = len(end.commands)
            if at > ENOUGH:
                raise TooManyCommands(f"{ENOUGH} commands, and the last was {step}")
            if isinstance(step, Tell) and isinstance(step.event, Submitted):
                end.ticket = step.event.ticket
            end.commands.append(step)
            if call.broken is None or at != call.broken.at:
                step = run.advance(hands.perform(step))
            elif call.broken.how == "kill":
                end.how = "killed"
                hands.kill(step, call.broken)
                break
            else:
                end.how, end.no_faults_left = "left", wire.no_faults_left
                hands.leave(step, call.broken)
                end.no_faults_left = end.no_faults_left and not wire.unclosed
                step = run.abandon(wire.now())
        else:
            end.value = step.value
    except GoferError as error:
        end.error = error
    end.ended = wire.mono
    if end.how == "killed":
        call.flow.close()
        disk.kill()
    else:
        if hands.body is not None:
            wire.wrong.append("a body was left open")
        disk.close()
    wire.unclosed.clear()
    return end


class _Hands:
    """Performs commands one by one."""

    def __init__(self, wire: Wire, disk: KillableDisk) -> None:
        self.wire, self.disk = wire, disk
        self.body: OpenBody | None = None

    def perform(self, command: Command) -> Answered | Failed:
        """Perform a command."""
        try:
            answer = self._answer(command)
        except GoferError as error:
            return Failed(self.wire.now(), error)
        return Answered(self.wire.now(), answer)

    def kill(self, command: Command, broken: Break) -> None:
        """Perform as much of a command as a process does that is killed in it; nothing is closed."""
        if broken.begun:
            self.wire.killing = isinstance(command, Store)
            with contextlib.suppress(Killed):
                _ = self.perform(command)
            self.wire.killing = False

    def leave(self, command: Command, broken: Break) -> None:
        """Begin a command and be interrupted in it; then close what is open."""
        if isinstance(command, Send | Open):
            self.wire.leaving = broken
            with contextlib.suppress(Left):
                _ = self.perform(command)
        elif isinstance(command, Store):
            self.kill(command, broken)
        self._close()

    def _answer(self, command: Command) -> Any:
        self.wire.note_deadline(command)
        match command:
            case Authorise(call):
                return call()
            case Send(request, timeout, cap):
                head, self.body = self.wire.open(request, timeout=timeout, stall=timeout)
                try:
                    body = self._read(cap)
                finally:
                    self._close()
                return Reply(head.url, head.status, head.headers, body.content, body.cut)
            case Open(request, timeout, stall):
                head, self.body = self.wire.open(request, timeout=timeout, stall=stall)
                return head
            case Store() | Read():
                try:
                    return self._store(command) if isinstance(command, Store) else self._read(command.cap)
                finally:
                    self._close()
            case Drop():
                self._close()
            case Sleep(seconds):
                self.wire.sleep(seconds)
            case AwaitTurn(turn, _):
                return turn.granted
            case Tell():
                pass
            case _:
                return self.disk.perform(command)
        return None

    def _store(self, command: Store) -> Stored:
        writer = self.disk.writer(command)
        for data in self._chunks():
            _ = writer.write([data])
        return writer.stored()

    def _read(self, cap: int) -> Body:
        body = b"".join(self._chunks())
        return Body(body[:cap], cut=len(body) > cap)

    def _chunks(self) -> Any:
        assert self.body is not None, "nothing is open"
        return self.body.chunks()

    def _close(self) -> None:
        body, self.body = self.body, None
        if body is not None:
            body.close()
