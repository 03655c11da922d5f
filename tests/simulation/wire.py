"""The wire between caller and service: a virtual clock, and the plan's faults, one for each request.

`Wire` is an `IO`, so the blocking driver runs on it; `AwaitedWire` is the same for the awaited driver. Only waiting
moves the clock, and no command takes longer than it may. Requests are kept, and what is wrong with them is noted.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from email.utils import formatdate
from typing import Any

import anyio
from anyio.lowlevel import checkpoint
from attrs import define, frozen

from gofer.core.commands import Now, Read, Send, Store
from gofer.errors import AnswerLost, Unreachable
from gofer.wire import Head, Request
from simulation.model import Answer, Model, sha256_field
from simulation.plan import NEVER, NO_FAULT, Break, Fault, Plan

EPOCH = 1_767_225_600.0  # 2026-01-01T00:00:00Z
LATENCY = 0.02
PIECE = 1500
SECRETS = ("authorization", "cookie", "x-caller")
PAGE = b"<!doctype html><html><body>Sign in to continue.</body></html>"


class Left(BaseException):
    """The caller leaves now."""


class Killed(BaseException):
    """The process is killed now."""


@define
class Sent:
    """A request that was sent: when, by which call and route, and the status of its answer (0 for none)."""

    at: float
    call: int
    route: str
    request: Request
    hops: int = 0
    status: int = 0
    body: str | None = None


@frozen
class OpenBody:
    """An open body: its pieces with the pause before each, and how it breaks off."""

    wire: Wire
    pieces: tuple[tuple[float, bytes], ...]
    broken: bool
    stall: float

    def chunks(self) -> Iterator[bytes]:
        """Yield the body in virtual time."""
        killed_at = len(self.pieces) // 2 if self.wire.killing else -1
        for at, (pause, data) in enumerate(self.pieces):
            if at == killed_at:
                raise Killed
            self.wire.wait(pause, self.stall)
            yield data
        if self.wire.killing:
            raise Killed
        if self.broken:
            raise AnswerLost("The body broke off.")

    def close(self) -> None:
        """Note that the body is closed."""
        self.wire.unclosed.discard(id(self))


class Wire:
    """The blocking wire of one plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.model = plan, Model(plan)
        self.mono = 1000.0
        self.sent: list[Sent] = []
        self.unclosed: set[int] = set()
        self.until: float | None = None
        self.leaving: Break | None = None
        self.killing = False
        self.room: int | None = None
        self.keep_fails = False
        self.named: set[tuple[str, int | str]] = set()
        self.checks: set[str] = set()
        self.wrong: list[str] = []
        self._redirect: tuple[str, str] | None = None
        self._faults = {
            "post": deque(plan.post),
            "poll": deque(plan.poll),
            "file": deque(plan.file),
            "other": deque(plan.other),
        }

    # --- the clock ---

    def now(self) -> Now:
        """Read the virtual clock."""
        return Now(self.mono, EPOCH + self.mono)

    def sleep(self, seconds: float) -> None:
        """Let virtual time pass."""
        if self.leaving is not None:
            self.leaving = None
            raise Left
        self.mono += seconds

    def wait(self, pause: float, stall: float) -> None:
        """Wait for the next piece of a body, no longer than `stall` or the deadline allows."""
        left = NEVER if self.until is None else self.until - self.mono
        if pause >= min(left, stall):
            self.mono += max(0.0, min(left, stall))
            raise AnswerLost("The body paused for too long.")
        self.mono += pause

    def note_deadline(self, command: object) -> None:
        """Note until when the next command lets a body come."""
        if isinstance(command, Store | Read):
            self.until = command.until
        elif isinstance(command, Send):
            self.until = self.mono + command.timeout

    @property
    def no_faults_left(self) -> bool:
        """Whether no request will meet a fault any more."""
        return not any(self._faults.values()) and self.model.restart is None

    def stop_faults(self) -> None:
        """Let no request meet a fault any more."""
        for faults in self._faults.values():
            faults.clear()
        self.model.restart, self.room, self.keep_fails = None, None, False

    # --- exchanges ---

    def open(self, request: Request, *, timeout: float, stall: float) -> tuple[Head, OpenBody]:
        """Exchange a request for a head and an unread body."""
        if self.unclosed:
            self.wrong.append("a body was still open when the next request was sent")
        answer, fault = self._exchange(request, timeout)
        data, broken, pause = answer.body, False, 0.0
        if _route(request) == "file":
            if answer.status in (200, 206):
                data, broken, pause = self._spoil(answer, fault)
            self._note_checks(answer)
        pieces = tuple((pause, data[at : at + PIECE]) for at in range(0, len(data), PIECE))
        body = OpenBody(self, pieces, broken, stall)
        self.unclosed.add(id(body))
        return Head(request.url, answer.status, answer.headers), body

    def _exchange(self, request: Request, timeout: float) -> tuple[Answer, Fault]:
        leaving, self.leaving = self.leaving, None
        if leaving is not None and not leaving.begun:
            raise Left
        route = _route(request)
        followed = self._redirect is not None and request.url.endswith(self._redirect[1])
        hops = self.sent[-1].hops + 1 if followed and self.sent[-1].status != 303 else 0  # 303 is an answer of its kind
        sent = Sent(self.mono, self.model.call, route, request, hops)
        self.sent.append(sent)
        self._check_request(request, timeout)
        faults = self._faults[route]
        fault = faults.popleft() if faults else NO_FAULT
        if fault.kind == "refused":
            self.mono += min(LATENCY, timeout)
            raise Unreachable("refused")
        answer = self._answer(request, fault)
        if leaving is not None:
            raise Left
        delay = LATENCY + answer.wait + fault.seconds * (fault.kind != "drip")
        if answer.wait >= self.plan.cutoff:
            answer, delay = Answer(504), self.plan.cutoff
        if delay >= timeout or fault.kind == "lost":
            self.mono += min(delay, timeout)
            raise AnswerLost("no answer came in time" if delay >= timeout else "cut")
        self.mono += delay
        self._note(sent, answer)
        return answer, fault

    def _answer(self, request: Request, fault: Fault) -> Answer:
        """Let the service answer if it received the request, and replace its answer as the fault says."""
        answer = self.model.answer(request, self.mono) if fault.received else Answer(500)
        route = _route(request)
        match fault.kind:
            case "status":
                after = {} if fault.after is None else {"retry-after": self._after(fault.after)}
                return Answer(fault.status, after, b'{"detail":"no"}')
            case "html" if route != "file" or (self.plan.format and answer.status == 200):
                return Answer(200, {"content-type": "text/html", "etag": '"page"'}, PAGE)
            case "garbled":
                return Answer(200, {}, b'{"job_id": "j1", "sta')
            case "empty":
                return Answer(200)
            case "no content":
                return Answer(204)
            case "nulls":
                return Answer(200, {}, b'{"job_id": null, "status": "pending"}')
            case "moved":
                return Answer(307, {"location": request.url.partition("?")[0] + "?moved"})
            case "loop":
                self._faults[route].extendleft([Fault("moved", False)] * 11)
                return Answer(302, {"location": request.url.partition("?")[0] + "?loop"})
            case "to cdn":
                return Answer(307, {"location": "https://cdn.test/1"})
            case "to plain cdn":
                return Answer(302, {"location": "http://cdn.test/1"})
            case "to http" if self.plan.base.startswith("https:"):
                return Answer(308, {"location": "http://service.test/jobs/j1"})
            case "see other" if answer.status == 202:
                return Answer(303, {"location": f"/jobs/{_job(answer)}"}, wait=answer.wait)
            case "other job" if route == "poll" and not any(sent.status == 303 for sent in self.sent):
                return Answer(200, {}, b'{"job_id":"someone-else","status":"completed"}')
            case "unknown status" | "older status" if answer.status == 200:
                job = self.model.jobs[request.url.partition("?")[0].rpartition("/")[2]]
                status = "daydreaming" if fault.kind == "unknown status" else "pending"
                if not self.model.ended(job, self.mono):
                    return self.model._json(200, self.model.document(job, self.mono, status))
            case "416":
                return Answer(416, {"content-range": "bytes */*"})
            case "change":
                self.model.file_version += 1
                return self.model.answer(request, self.mono)
            case "disk full" | "keep fails":
                self.room, self.keep_fails = (
                    (fault.at if fault.kind == "disk full" else None),
                    fault.kind == "keep fails",
                )
            case _:
                pass
        return answer

    def _after(self, text: str) -> str:
        name, _, seconds = text.partition(" ")
        return formatdate(EPOCH + self.mono + float(seconds), usegmt=True) if name == "date" else text

    def _spoil(self, answer: Answer, fault: Fault) -> tuple[bytes, bool, float]:
        """Damage a file's head or body: return its bytes, whether it breaks off, and the pause before each piece."""
        data, headers, pause = answer.body, answer.headers, fault.seconds if fault.kind == "drip" else 0.0
        complete = self.model.file()
        match fault.kind:
            case "cut":
                return data[: fault.at], fault.at < len(data), pause
            case "short":
                data = data[: fault.at]
            case "over":
                data += b"and more"
            case "unrequested range":
                answer.status, headers["content-range"] = 206, f"bytes 0-{len(complete) - 1}/{len(complete)}"
                data = complete
            case "no range" if answer.status == 206:
                del headers["content-range"]
            case "early range" if answer.status == 206:
                data, headers["content-range"] = complete, f"bytes 1-{len(complete) - 1}/{len(complete)}"
            case "late range" if answer.status == 206 and len(data) > 100:
                start, data = len(complete) - len(data) + 100, data[100:]
                headers["content-range"] = f"bytes {start}-{len(complete) - 1}/{len(complete)}"
                headers["content-length"] = str(len(data))
            case "other total" if answer.status == 206:
                headers["content-range"] = headers["content-range"] + "7"
            case "wrong digest":
                headers["repr-digest"] = sha256_field(b"something else")
            case "flip" if "repr-digest" in headers and data:
                data = data[:-1] + bytes([data[-1] ^ 1])
            case "gzip":
                headers["content-encoding"] = "gzip"
            case "odd length":
                headers["content-length"] = "-5"
            case _:
                pass
        return data, False, pause

    # --- what is noted ---

    def _note(self, sent: Sent, answer: Answer) -> None:
        sent.status = answer.status
        location = answer.headers.get("location")
        self._redirect = None if location is None else (sent.request.url.partition(":")[0], location)
        if answer.status == 200 and sent.route == "poll":
            sent.body = answer.body.decode(errors="replace")
        if sent.route in ("poll", "post") and answer.status in (200, 202):
            size = re.search(rb'"file_size": (\d+)', answer.body)
            self.named.update(() if size is None else (("size", int(size.group(1))),))

    def _note_checks(self, answer: Answer) -> None:
        """Note by what the file can be verified."""
        length = answer.headers.get("content-length", "")
        total = answer.headers.get("content-range", "").rpartition("/")[2]
        digest = answer.headers.get("repr-digest")
        named: set[tuple[str, int | str]] = {("length", int(text)) for text in (length, total) if text.isdecimal()}
        named.update(() if digest is None else (("digest", digest),))
        self.named |= named
        self.checks = {kind for kind, _ in named}

    def _check_request(self, request: Request, timeout: float) -> None:
        condition, dated = request.headers.get("if-range", '"'), (self.plan.etag, self.plan.date) == ("none", "strong")
        if not condition.startswith('"') and not dated:
            self.wrong.append(f"{condition} is no strong validator")
        if not timeout > 0:
            self.wrong.append(f"a request was allowed {timeout} seconds")
        if not request.url.startswith(f"{self.plan.base}/"):
            carried = [name for name in SECRETS if name in request.headers]
            if carried or not request.anonymous:
                self.wrong.append(f"{carried or 'the client'} went to {request.url}")
            if request.method != "GET" or request.body:
                self.wrong.append(f"a {request.method} went to {request.url}")
        elif request.anonymous or any(name not in request.headers for name in SECRETS):
            self.wrong.append(f"an unsigned request went to {request.url}")
        redirect, self._redirect = self._redirect, None
        if redirect == ("https", request.url) and request.url.startswith("http:"):
            self.wrong.append(f"a redirect was followed from https to {request.url}")
        if self.plan.base.startswith("https:") and request.url.startswith("http:"):
            self.wrong.append(f"an https errand went to {request.url}")


def _route(request: Request) -> str:
    """Return what a request is for."""
    if request.method == "POST":
        return "post"
    path = request.url.partition("?")[0]
    if request.method == "DELETE" or path.endswith("/health"):
        return "other"
    return "poll" if "/jobs/" in path and not path.endswith("/file") else "file"


def _job(answer: Answer) -> str:
    return answer.body.partition(b'"job_id": "')[2].partition(b'"')[0].decode()


@frozen
class AwaitedBody:
    """The same for the awaited driver."""

    body: OpenBody

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body in virtual time."""
        for data in self.body.chunks():
            await checkpoint()
            yield data

    async def close(self) -> None:
        """Note that the body is closed."""
        self.body.close()


@frozen
class AwaitedWire:
    """The same for the awaited driver; a caller who leaves is a task that is cancelled."""

    wire: Wire
    scope: anyio.CancelScope

    def now(self) -> Now:
        """Read the virtual clock."""
        return self.wire.now()

    async def sleep(self, seconds: float) -> None:
        """Let virtual time pass."""
        await self._or_cancel(lambda: self.wire.sleep(seconds))

    async def open(self, request: Request, *, timeout: float, stall: float) -> tuple[Head, AwaitedBody]:
        """Exchange a request for a head and an unread body."""
        head, body = await self._or_cancel(lambda: self.wire.open(request, timeout=timeout, stall=stall))
        return head, AwaitedBody(body)

    async def _or_cancel(self, step: Callable[[], Any]) -> Any:
        await checkpoint()
        try:
            return step()
        except Left:
            self.scope.cancel()
            await checkpoint()
            raise AssertionError("a cancelled task continued") from None
