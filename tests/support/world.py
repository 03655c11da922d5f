"""A world without I/O: performs commands against a scripted service, in virtual time, and keeps a list of them."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from attrs import evolve
from tenacity.stop import stop_after_attempt, stop_after_delay

from gofer.contracts.retrieve import RetrieveContract
from gofer.core.commands import (
    MANIFEST,
    Answered,
    Assemble,
    Command,
    Discard,
    Done,
    Drop,
    Failed,
    Keep,
    Look,
    Mark,
    Muster,
    Now,
    Open,
    Outcome,
    Part,
    Put,
    Read,
    Send,
    Sleep,
    Store,
    Stored,
    Tell,
    Weigh,
)
from gofer.core.errand import Errand, Service
from gofer.core.policies import Retry, Rules, wait_full_jitter, wait_retry_after, wait_share
from gofer.core.run import Flow, Run
from gofer.errors import GoferError, TargetError, WrongFile
from gofer.events import Event
from gofer.wire import Head, Reply, Request

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
    """Performs commands; `handler` answers requests and may look at the clock, which only it and sleeping move."""

    def __init__(self, handler: Handler, *, latency: float = 0.0) -> None:
        self.handler, self.latency = handler, latency
        self.mono = 1000.0
        self.commands: list[Command] = []
        self.events: list[Event] = []
        self.parts: dict[Path, tuple[bytes, Mark]] = {}
        self.files: dict[Path, bytes] = {}
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
    def naps(self) -> list[float]:
        """How long each pause was."""
        return [command.seconds for command in self.commands if isinstance(command, Sleep)]

    def service(self, **changes: Any) -> Service[Any, Any]:
        """The retrieval service at the end of this world."""
        contract = changes.pop("contract", RetrieveContract())
        sign = changes.pop("sign", lambda request: request)
        return Service(contract, BASE, rules(**changes), sign)

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
        """Carry out one command."""
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
            case Send(request, timeout, _):
                return self._exchange(request, timeout)
            case Open(request, timeout, _):
                whole = self._exchange(request, timeout)
                self.body = whole.body
                return Head(whole.url, whole.status, whole.headers)
            case Sleep(seconds):
                self.mono += seconds
            case Look(target):
                if target not in self.parts:
                    return None
                data, mark = self.parts[target]
                return Part(len(data), mark)
            case Store():
                return self._store(command)
            case Read(cap, _):
                body = self._take()
                if len(body) > cap:
                    raise WrongFile("too big", reason="too big")
                return body
            case Drop():
                self._take()
            case Weigh(target, hashed):
                return self._weigh(target, hashed)
            case Keep(target):
                self.files[target] = self.parts.pop(target)[0]
            case Discard(target):
                self.parts.pop(target, None)
            case Put(target, content):
                self.files[target] = content
            case Muster(folder, staging):
                if any(folder in path.parents for path in self.files):
                    raise TargetError(f"{folder} has something in it already.")
                return None if staging is None else self.files.get(staging / MANIFEST)
            case Assemble(staging, folder):
                for path in [path for path in self.files if staging in path.parents]:
                    self.files[folder / path.name] = self.files.pop(path)
            case Tell(event):
                self.events.append(event)
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
        kept = self.parts[command.target][0][: command.offset] if command.offset else b""
        data = kept + self._take()
        if len(data) > command.limit:
            raise WrongFile("more came", reason="size")
        self.parts[command.target] = (data, command.mark)
        cut, self.cut = self.cut, None
        if cut is not None:
            raise cut
        return self._weigh(command.target, command.hashed)

    def _weigh(self, target: Path, hashed: bool) -> Stored:
        data = self.parts[target][0]
        return Stored(len(data), hashlib.sha256(data).digest() if hashed else None, data[:4096])
