"""A world without I/O: it performs commands against a scripted service, in virtual time, and keeps a list of them."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, TypeVar

from attrs import evolve
from tenacity.stop import stop_after_attempt, stop_after_delay

from gofer.contracts.retrieve import RetrieveContract
from gofer.core.commands import (
    Answered,
    Authorise,
    AwaitTurn,
    Body,
    Command,
    Done,
    Drop,
    Failed,
    Now,
    Open,
    Outcome,
    Read,
    Send,
    Sleep,
    Store,
    Stored,
    Tell,
)
from gofer.core.errand import Errand
from gofer.core.policies import Retry, Rules, wait_full_jitter, wait_retry_after, wait_share
from gofer.core.run import Flow, Run
from gofer.core.service import Service
from gofer.errors import GoferError
from gofer.events import Event
from gofer.wire import Head, Reply, Request
from support.disk import Memory, MemoryDisk

T = TypeVar("T")

BASE = "http://service.test"
EPOCH = 1_767_225_600.0  # 2026-01-01T00:00:00Z

Answer = Reply | GoferError
Handler = Callable[[Request, "World"], Answer]


def rules(**changes: Any) -> Rules:
    """The default policies with a seeded source of jitter."""
    rng = random.Random(7)
    wait = wait_retry_after(wait_full_jitter(rng))
    made = Rules(Retry(wait, stop_after_attempt(4)), Retry(wait, stop_after_delay(300)), wait_share(rng))
    return evolve(made, **changes)


def reply(status: int = 200, body: bytes | str = b"", **headers: str) -> Reply:
    """A reply; underscores in header names are dashes."""
    data = body.encode() if isinstance(body, str) else body
    return Reply(BASE, status, {name.replace("_", "-"): value for name, value in headers.items()}, data)


class World:
    """Performs commands; `handler` answers requests and may move the clock, as sleeping does."""

    def __init__(self, handler: Handler, *, latency: float = 0.0) -> None:
        self.handler, self.latency = handler, latency
        self.mono = 1000.0
        self.commands: list[Command] = []
        self.events: list[Event] = []
        self.disk = MemoryDisk(memory := Memory())
        self.parts, self.files = memory.parts, memory.files
        self.body: bytes | None = None
        self.cut: GoferError | None = None

    @property
    def now(self) -> Now:
        """The virtual time."""
        return Now(self.mono, EPOCH + self.mono)

    @property
    def requests(self) -> list[Request]:
        """What was sent, in order."""
        return [command.request for command in self.commands if isinstance(command, Send | Open)]

    @property
    def pauses(self) -> list[float]:
        """How long each pause was, in seconds."""
        return [command.seconds for command in self.commands if isinstance(command, Sleep)]

    def service(self, **changes: Any) -> Service[Any, Any]:
        """The retrieval service at the end of this world."""
        contract = changes.pop("contract", RetrieveContract())
        named = {name: changes.pop(name) for name in ("signer", "slots") if name in changes}
        return Service(contract, BASE, rules(**changes), **named)

    def play(self, flow: Flow[T], errand: Errand[Any, Any], *, leave_at: int | None = None) -> T:
        """Perform a flow to its end; with `leave_at`, the caller leaves in place of that command."""
        run = Run(flow, errand)
        step = run.start(self.now)
        while not isinstance(step, Done):
            if leave_at is not None and len(self.commands) == leave_at:
                leave_at = None
                step = run.abandon(self.now)
                continue
            step = run.advance(self.perform(step))
        return step.value

    def perform(self, command: Command) -> Outcome:
        """Perform one command."""
        self.commands.append(command)
        try:
            return (
                Answered(self.now, answer)
                if (answer := self._answer(command)) is not None
                else Answered(self.now, None)
            )
        except GoferError as error:
            return Failed(self.now, error)

    def _answer(self, command: Command) -> Any:
        match command:
            case Authorise(call):
                return call()
            case Send(request, timeout, cap):
                complete = self._exchange(request, timeout)
                return evolve(complete, body=complete.body[:cap], cut=len(complete.body) > cap)
            case Open(request, timeout, _):
                complete = self._exchange(request, timeout)
                self.body = complete.body
                return Head(complete.url, complete.status, complete.headers)
            case Sleep(seconds):
                self.mono += seconds
            case AwaitTurn(turn, _):
                return turn.granted
            case Store():
                return self._store(command)
            case Read(cap, _):
                body = self._take()
                return Body(body[:cap], cut=len(body) > cap)
            case Drop():
                self._take()
            case Tell(event):
                self.events.append(event)
            case _:
                return self.disk.perform(command)
        return None

    def _exchange(self, request: Request, timeout: float) -> Reply:
        self.mono += self.latency
        answer = self.handler(request, self)
        if isinstance(answer, GoferError):
            raise answer
        return answer

    def _take(self) -> bytes:
        assert self.body is not None, "nothing is open"
        body, self.body = self.body, None
        return body

    def _store(self, command: Store) -> Stored:
        writer = self.disk.writer(command)
        writer.write([self._take()])
        cut, self.cut = self.cut, None
        if cut is not None:
            raise cut
        return writer.stored()
