"""A service in memory that keeps to its contract except in one place, where any text stands; and what must hold then.

A `Conversation` has a reply for each leg. `spots` lists its places: the headers that gofer reads on a leg, and each
field of its document. `play` makes a caller's call against it, on one face or more, and checks what came of it.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
from attrs import field, frozen
from tenacity.stop import stop_after_attempt
from tenacity.wait import wait_fixed

import gofer
from faults.hostile_texts import BASE
from gofer.core.commands import Now
from gofer.wire import Head, Request
from support import declared
from support.faces import Face
from support.virtual_time import AsyncVirtualIO, VirtualIO

TOKEN = "t0ken-of-mine"
BUDGET = 60.0
"""Seconds of virtual time for each call."""

FEW = gofer.Retry(wait_fixed(0), stop_after_attempt(3))
MARK = "@@"
"""Stands in a document for the hostile text, which need not be JSON."""

Answer = tuple[int, dict[str, str], bytes]


@frozen
class Route:
    """The reply of a leg: to requests whose method and path are like `asked`."""

    leg: str
    asked: str
    body: Any = b""
    status: int = 200
    headers: dict[str, str] = field(factory=dict[str, str])


@frozen
class Conversation:
    """A contract, by its name or None for the retrieval contract, an input for it, and a reply for each leg.

    The body of the leg "file" comes in two halves.
    """

    contract: str | None
    order: Any
    routes: tuple[Route, ...]


@frozen
class Spot:
    """One place: a header or a field (`where` is the way to it) of the reply on a leg."""

    leg: str
    kind: str
    where: tuple[Any, ...]

    def __str__(self) -> str:
        return f"{self.leg}-{'.'.join(map(str, (self.kind, *self.where)))}"


@frozen
class Change:
    """What is wrong: the text in a spot, perhaps with another status code, from the `since`-th reply of the leg on."""

    spot: Spot
    text: str
    status: int | None = None
    since: int = 1


def spots(conversation: Conversation, headers: Mapping[str, str]) -> Iterator[Spot]:
    """List the places of a conversation: for each leg these headers and every field."""
    for route in conversation.routes:
        yield from (Spot(route.leg, "header", (name,)) for name in headers.get(route.leg, "").split())
        yield from (Spot(route.leg, "field", where) for where in _places(route.body))


def _places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """List the ways into a document, or the numbers of the texts of an XML document; nothing for bytes."""
    if isinstance(value, str) and not above:
        yield from ((number,) for number in range(len(_texts_of(value))))
    elif not isinstance(value, bytes):
        yield above
        for name, inner in (
            value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ())
        ):
            yield from _places(inner, (*above, name))


def _texts_of(document: str) -> list[re.Match[str]]:
    """Find the texts and the attributes' values of an XML document."""
    return list(re.finditer(r'(?<=>)[^<>]+(?=<)|(?<==")[^"]*(?=")', document))


def _written(body: Any, where: tuple[Any, ...], text: str) -> bytes:
    """Write a document with this text in one place."""
    if isinstance(body, str):
        found = _texts_of(body)[where[0]]
        return f"{body[: found.start()]}{text}{body[found.end() :]}".encode("utf-8", "surrogatepass")
    return json.dumps(_replaced(body, where)).replace(f'"{MARK}"', text).encode("utf-8", "surrogatepass")


def _replaced(value: Any, where: tuple[Any, ...]) -> Any:
    if not where:
        return MARK
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[where[0]] = _replaced(value[where[0]], where[1:])
    return copy


@frozen
class Service:
    """Answers requests as a conversation says, but for one change."""

    conversation: Conversation
    change: Change | None = None
    asked: list[str] = field(factory=list[str])
    legs: list[str] = field(factory=list[str])

    def __call__(self, method: str, url: str, headers: Any) -> Answer:
        """Answer one request."""
        path = url.removeprefix(BASE)
        self.asked.append(f"{method} {path}")
        route = next((one for one in self.conversation.routes if re.match(one.asked, f"{method} {path}")), None)
        if route is None:
            return 404, {}, b""
        self.legs.append(route.leg)
        body = route.body if isinstance(route.body, bytes) else _body(route.body)
        status, named = route.status, dict(route.headers)
        if route.leg == "file":
            status, body = _piece(route.body, named, headers, half=self.legs.count("file") == 1)
        change = self.change
        if change is not None and change.spot.leg == route.leg and self.legs.count(route.leg) >= change.since:
            status = status if change.status is None else change.status
            if change.spot.kind == "header":
                named[change.spot.where[0]] = change.text
            else:
                body = _written(route.body, change.spot.where, change.text)
        return status, named, body


def _body(body: Any) -> bytes:
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


def _piece(file: bytes, named: dict[str, str], headers: Any, *, half: bool) -> tuple[int, bytes]:
    """A file, or half of it, or what is asked for of it."""
    asked = re.fullmatch(r"bytes=(\d+)-", headers.get("range", ""))
    if asked is None:
        named["content-length"] = str(len(file))
        return 200, file[: len(file) // 2] if half else file
    start = int(asked[1])
    named["content-range"] = f"bytes {start}-{len(file) - 1}/{len(file)}"
    return 206, file[start:]


# --- wires ---


def _raw(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _transport(service: Service) -> httpx.MockTransport:
    def answer(request: httpx.Request) -> httpx.Response:
        status, headers, body = service(request.method, str(request.url), request.headers)
        return httpx.Response(
            status, headers=[(name.encode(), _raw(text)) for name, text in headers.items()], stream=_Stream(body)
        )

    return httpx.MockTransport(answer)


class _Stream(httpx.SyncByteStream, httpx.AsyncByteStream):
    def __init__(self, body: bytes) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        yield self._body

    async def __aiter__(self) -> Any:
        yield self._body


class OwnWire:
    """A caller's own `IO`: it hands text to the core that no HTTP library would, and a clock that only sleep moves."""

    def __init__(self, service: Service) -> None:
        self.service, self.passed = service, 0.0

    def now(self) -> Now:
        """Read both clocks."""
        return Now(self.passed, 1.7e9 + self.passed)

    def sleep(self, seconds: float) -> None:
        """Put the clock forward."""
        self.passed += seconds

    def open(self, request: Request, *, timeout: float, stall: float) -> Any:
        """Answer with a head and a body."""
        status, headers, body = self.service(request.method, request.url, request.headers)
        return Head(request.url, status, headers), OwnBody(body)

    def close(self) -> None:
        """Nothing to close."""


class OwnBody:
    """A body in one piece."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def chunks(self) -> Iterator[bytes]:
        """Yield it."""
        yield self._body

    def close(self) -> None:
        """Nothing to close."""


class AwaitedOwnWire(OwnWire):
    """The awaited one."""

    async def sleep(self, seconds: float) -> None:  # type: ignore[override]
        """Put the clock forward."""
        self.passed += seconds

    async def open(self, request: Request, *, timeout: float, stall: float) -> Any:  # type: ignore[override]
        """Answer with a head and a body."""
        head, body = super().open(request, timeout=timeout, stall=stall)
        return head, AwaitedOwnBody(body)


class AwaitedOwnBody:
    """The awaited one."""

    def __init__(self, body: OwnBody) -> None:
        self._body = body

    async def chunks(self) -> Any:
        """Yield it."""
        for chunk in self._body.chunks():
            yield chunk

    async def close(self) -> None:
        """Nothing to close."""


def wire_of(service: Service, *, awaited: bool, own: bool) -> Any:
    """Make a wire to the service: through httpx, or a caller's own."""
    if own:
        return AwaitedOwnWire(service) if awaited else OwnWire(service)
    return (AsyncVirtualIO if awaited else VirtualIO)(transport=_transport(service))


# --- calls ---


def client_of(face: Face, wire: Any, contract: str | None, **options: Any) -> Any:
    """Make a client of a contract on this face, over this wire."""
    options = {"auth": TOKEN, "retry": FEW, "patience": FEW, "poll": wait_fixed(5), **options}
    if contract is None:
        return face.client(BASE, io=wire, **options)
    return declared.client_of(face, BASE, contract, io=wire, **options)


def outcome_of(call: Callable[[], Any], *, blames: bool = False) -> str:
    """Make a call and return how it ended: nothing but gofer's errors may come out.

    Unless it `blames` the caller rightly, the error is no usage error: what is wrong is the service's.
    """
    error = error_of(call)
    if error is None:
        return "done"
    assert not any(TOKEN in text for text in texts_of(error)), "a secret is in an error"
    str(error).encode()  # so that it can be printed
    rightly = blames or re.search("folder|no address for a status request", str(error))
    assert rightly or not isinstance(error, gofer.UsageError), f"the caller is blamed: {error}"
    return type(error).__name__


def error_of(call: Callable[[], Any]) -> gofer.GoferError | None:
    """Make a call; return gofer's error, if it ended in one."""
    try:
        call()
    except gofer.GoferError as error:
        return error
    return None


def texts_of(error: BaseException | None) -> Iterator[str]:
    """Yield all texts of an error and of its causes."""
    while error is not None:
        yield from (str(error), repr(error), repr(vars(error)))
        error = error.__cause__ or error.__context__


def fresh(root: Path) -> Path:
    """Empty a folder, and return the only one in it, for the targets."""
    shutil.rmtree(root, ignore_errors=True)
    (root / "out").mkdir(parents=True)
    return root / "out"


def check_folder(root: Path) -> None:
    """Check that nothing was written outside the folder for the targets, and no secret in it."""
    assert [place.name for place in root.iterdir()] == ["out"], "something was written elsewhere"
    for place in (root / "out").rglob("*"):
        assert place.is_dir() or TOKEN.encode() not in place.read_bytes(), "a secret is in a file"


def _handle(client: Any, about: Conversation) -> Any:
    """Submit, and read everything that the handle shows without a request."""
    job = client.submit(about.order)
    _ = (str(job.id), repr(job), job.status, job.files, job.done)
    return job


def _attached(client: Any, about: Conversation) -> Any:
    return client.attach(_handle(client, about).ticket)


Verb = Callable[[Any, Conversation, Path], Any]
VERBS: dict[str, Verb] = {
    "run": lambda client, about, out: client.run(about.order, to=f"{out}/new/{{job_id}}", timeout=BUDGET),
    "watch": lambda client, about, out: list(_handle(client, about).watch(timeout=BUDGET)),
    "read": lambda client, about, out: _handle(client, about).read(1 << 20, timeout=BUDGET),
    "download": lambda client, about, out: _attached(client, about).download(
        f"{out}/many/" if about.contract else out / "paper", timeout=BUDGET
    ),
    "result": lambda client, about, out: _attached(client, about).result(timeout=BUDGET),
    "refresh": lambda client, about, out: _handle(client, about).refresh(),
    "cancel": lambda client, about, out: _handle(client, about).cancel(),
    "health": lambda client, about, out: client.get_health_status(),
    "is healthy": lambda client, about, out: client.health_check(),
    "list": lambda client, about, out: client.list_jobs(),
}
LEGS = {
    "health": ("health", "is healthy"),
    "list": ("list",),
    "cancel": ("cancel",),
    "file": ("run", "read", "download"),
    "result": ("run", "download", "result", "read"),
}


def verbs_of(leg: str) -> tuple[str, ...]:
    """The verbs whose calls come to this leg."""
    return LEGS.get(leg, ("run", "download", "watch", "refresh", "result", "read"))


def play(
    faces: Mapping[str, Face], root: Path, about: Conversation, change: Change | None, verb: str, *, own: bool
) -> str:
    """Make a call on these faces against the changed conversation; return how it ended, on all alike."""
    ends = []
    for mode, face in faces.items():
        out, service = fresh(root), Service(about, change)
        with face.again() as again:
            wire = wire_of(service, awaited=mode != "blocking", own=own)
            client = client_of(again, wire, about.contract, new_key=lambda: "k-1")
            ends.append((outcome_of(lambda client=client, out=out: VERBS[verb](client, about, out)), service.asked))
            assert wire.passed <= 2 * BUDGET, "it did not end in time"
        check_folder(root)
    assert ends[0] == ends[-1], f"the faces differ: {ends}"
    return ends[0][0]
