"""The two faces are one machine: the same names, parameters, defaults and docstrings, and the same commands."""

import contextlib
import inspect
import itertools
import json
import random
import re
import shutil

import pytest
from anyio import to_thread

import gofer
from gofer import aclient, client
from gofer.core.commands import Now
from gofer.core.run import Run
from gofer.transports import adrive, base, drive
from gofer.transports.ahttpx_io import AsyncHttpxIO
from gofer.transports.httpx_io import HttpxIO
from gofer.wire import Head
from support.world import BASE, EPOCH, reply

PAIRS = [
    (gofer.Client, gofer.AsyncClient),
    (gofer.Job, gofer.AsyncJob),
    (gofer.Batch, gofer.AsyncBatch),
    (gofer.RetrieveClient, gofer.AsyncRetrieveClient),
    (gofer.RetrieveJob, gofer.AsyncRetrieveJob),
    (base.IO, base.AsyncIO),
    (base.Body, base.AsyncBody),
    (HttpxIO, AsyncHttpxIO),
]
NO_AWAIT = {"job", "attach", "watch", "now", "chunks", "batch", "map", "errands", "feed", "jobs"}
RENAMED = [
    (r"\bAsyncRetrieve", "Retrieve"),
    (r"\bAsync(Client|Job|Batch|IO|Body|HttpxIO|HttpxBody)\b", r"\1"),
    (r"\bAwaitedClient\b", "BlockingClient"),
    (r"\bAsyncBaseTransport\b", "BaseTransport"),
    (r"\bAsyncIterator\[", "Iterator["),
    (r"\bAsyncGenerator\[(.*), None\]", r"Iterator[\1]"),
    (r" \| AsyncIterable\[In\]", ""),
    (r"an async context manager\.", "a context manager, or call `close()`."),
    (r"\ban `Retrieve", "a `Retrieve"),
]


def plain(text):
    """Take the words away that may differ between the faces."""
    for pattern, word in RENAMED:
        text = re.sub(pattern, word, text)
    return text


def public(kind):
    """The public members of a class, and its constructor."""
    return {
        name: member
        for name, member in inspect.getmembers(kind)
        if name == "__init__" or (not name.startswith("_") and (callable(member) or isinstance(member, property)))
    }


@pytest.mark.parametrize(("blocking", "awaited"), PAIRS, ids=lambda kind: kind.__name__)
def test_both_faces_have_the_same_members(blocking, awaited):
    """Nothing exists in one face only."""
    assert public(blocking).keys() == public(awaited).keys()


@pytest.mark.parametrize(("blocking", "awaited"), PAIRS, ids=lambda kind: kind.__name__)
def test_both_faces_have_the_same_signatures_and_docstrings(blocking, awaited):
    """Parameters, defaults, annotations and words are equal, modulo await."""
    theirs = public(awaited)
    for name, member in public(blocking).items():
        twin = theirs[name]
        if isinstance(member, property):
            assert isinstance(twin, property), name
            member, twin = member.fget, twin.fget
        assert plain(str(inspect.signature(twin))) == str(inspect.signature(member)), name
        if name != "__init__" or member.__doc__ != object.__init__.__doc__:
            assert plain(twin.__doc__ or "") == (member.__doc__ or ""), name


@pytest.mark.parametrize(("blocking", "awaited"), PAIRS, ids=lambda kind: kind.__name__)
def test_every_verb_that_does_io_is_awaited_on_the_awaited_face(blocking, awaited):
    """Properties, job(), attach() and iterators are not coroutines; everything else is."""
    for name, member in public(awaited).items():
        if name == "__init__" or isinstance(member, property):
            continue
        loops = name in NO_AWAIT or (awaited is gofer.AsyncBatch and name == "run")
        assert inspect.iscoroutinefunction(member) != loops, name
        assert not inspect.iscoroutinefunction(public(blocking)[name]), name


def test_the_drivers_have_the_same_parts():
    """The two drivers define the same functions, under the same names."""

    def names(module):
        return {name.removeprefix("a") for name, made in vars(module).items() if inspect.isfunction(made)}

    own = {"flush", "_flush", "run_sync"}
    assert {name for name in names(adrive) if name not in own} >= {"drive", "watch", "_farewell"}
    assert names(drive) >= {"drive", "watch", "_farewell"}


# --- behaviour ---

PAPER = b"%PDF-1.7 " + bytes(range(256)) * 40
DONE = {"job_id": "j1", "status": "completed", "doi": "10.5555/12345678", "file_size": len(PAPER), "file_format": "pdf"}


def document(**more):
    """A reply with a job document."""
    return reply(200, json.dumps(DONE | more))


def busy(status="searching", **headers):
    """A reply with a job that has not ended."""
    return reply(200, json.dumps({"job_id": "j1", "status": status}), **headers)


FILE = reply(200, PAPER, etag='"1"', content_length=str(len(PAPER)))
ACCEPTED = reply(202, '{"job_id":"j1","status":"pending"}')
KEYS = reply(200, '{"status":"healthy","capabilities":["idempotency-key"]}')
LOST = gofer.AnswerLost("cut")

SCENARIOS = {
    "quick": ([document(), FILE], lambda c, to: c.retrieve_and_download("10.5555/12345678", to)),
    "polled": (
        [ACCEPTED, busy("pending"), busy(), busy("downloading", etag='"2"'), reply(304), document(), FILE],
        lambda c, to: c.retrieve_and_download("10.5555/12345678", to, timeout=60),
    ),
    "lost submission": (
        [LOST, KEYS, ACCEPTED, document(), FILE],
        lambda c, to: c.retrieve_and_download("10.5555/12345678", to),
    ),
    "uncertain": ([LOST, reply(404)], lambda c, to: c.retrieve("10.5555/12345678")),
    "refused pauses": (
        [reply(429, retry_after="3"), reply(503, retry_after="2"), ACCEPTED],
        lambda c, to: c.retrieve("10.5555/12345678"),
    ),
    "failed polls": (
        [LOST, reply(503), reply(429), busy(), document()],
        lambda c, to: c.wait_for_completion("j1"),
    ),
    "late": ([busy()] * 60, lambda c, to: c.wait_for_completion("j1", timeout=20)),
    "late and cancelled": (
        [ACCEPTED, *[busy()] * 60],
        lambda c, to: c.retrieve_and_download("10.5555/12345678", to, timeout=20),
    ),
    "cut download": (
        [
            ("cut", 1000, FILE),
            reply(206, PAPER[1000:], etag='"1"', content_range=f"bytes 1000-{len(PAPER) - 1}/{len(PAPER)}"),
        ],
        lambda c, to: c.download_file("j1", to),
    ),
    "wrong file": (
        [document(), reply(200, b"<html>sign in</html>")],
        lambda c, to: c.retrieve_and_download("10.5555/12345678", to),
    ),
    "failed job": (
        [ACCEPTED, document(status="failed", error_code="NOT_FOUND")],
        lambda c, to: c.retrieve_and_download("10.5555/12345678", to),
    ),
    "not found": ([reply(404)], lambda c, to: c.get_job_status("j1")),
    "bad reply": ([reply(200, "<html>")], lambda c, to: c.get_job_status("j1")),
    "health": ([KEYS], lambda c, to: c.get_health_status()),
    "list": ([reply(404)], lambda c, to: c.list_jobs()),
    "bad doi": ([], lambda c, to: c.retrieve("nonsense")),
    "directory": ([], lambda c, to: c.retrieve_and_download("10.5555/12345678", to.parent.parent)),
}


class Scripted:
    """A wire that answers from a list, with a clock that only sleeping and answering move."""

    def __init__(self, answers):
        self.answers, self.mono = list(answers), 100.0

    def now(self):
        """The virtual time."""
        return Now(self.mono, EPOCH + self.mono)

    def answer(self):
        """Take the next answer; a service that has nothing left to say accepts cancellations."""
        self.mono += 0.01
        given = self.answers.pop(0) if self.answers else reply(204)
        if isinstance(given, Exception):
            raise type(given)(str(given))
        return given

    def opened(self):
        """Take the next answer as a head and chunks; a cut one breaks off."""
        given = self.answer()
        after = None
        if isinstance(given, tuple):
            _, after, given = given
        return Head(given.url, given.status, given.headers), given.body, after


class Wire(Scripted):
    """The blocking one."""

    def sleep(self, seconds):
        """Move the clock."""
        self.mono += seconds

    def open(self, request, *, timeout, stall):
        """Answer with a head and a body."""
        head, data, after = self.opened()
        return head, Chunks(data, after)


class AwaitedWire(Scripted):
    """The awaited one."""

    async def sleep(self, seconds):
        """Move the clock."""
        self.mono += seconds

    async def open(self, request, *, timeout, stall):
        """Answer with a head and a body."""
        head, data, after = self.opened()
        return head, AwaitedChunks(data, after)


class Chunks:
    """A body in pieces of 400 bytes, which may break off."""

    def __init__(self, data, after):
        self.data, self.after = data, after

    def chunks(self):
        """Yield the pieces."""
        whole = self.data if self.after is None else self.data[: self.after]
        for at in range(0, len(whole), 400):
            yield whole[at : at + 400]
        if self.after is not None:
            raise gofer.AnswerLost("cut")

    def close(self):
        """Nothing to close."""


class AwaitedChunks(Chunks):
    """The same, awaited."""

    async def chunks(self):
        """Yield the pieces."""
        for chunk in Chunks.chunks(self):
            yield chunk

    async def close(self):
        """Nothing to close."""


@pytest.fixture
def recorded(monkeypatch):
    """Keep a list of every command and ending, whichever face drives."""
    seen = []

    class Recording(Run):
        def _step(self, value, **how):
            try:
                step = super()._step(value, **how)
            except BaseException as error:
                seen.append(f"raised {type(error).__name__}: {error}")
                raise
            seen.append(repr(step))
            return step

    monkeypatch.setattr(client, "Run", Recording)
    monkeypatch.setattr(aclient, "Run", Recording)
    return seen


def options():
    """The same seeds for every face."""
    keys = (f"key-{n}" for n in itertools.count(1))
    return {"rng": random.Random(5), "new_key": lambda: next(keys)}


def play_blocking(name, target):
    """Play a scenario with the blocking client."""
    answers, verb = SCENARIOS[name]
    with contextlib.suppress(gofer.GoferError):
        verb(gofer.RetrieveClient(base_url=BASE, io=Wire(answers), **options()), target)


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.anyio
async def test_both_faces_give_the_same_commands(name, recorded, tmp_path):
    """One scenario, one list of commands, whichever face plays it."""
    target = tmp_path / "folder" / "paper.pdf"
    await to_thread.run_sync(play_blocking, name, target)
    blocking = recorded.copy()
    recorded.clear()
    await to_thread.run_sync(shutil.rmtree, target.parent, True)
    answers, verb = SCENARIOS[name]
    with contextlib.suppress(gofer.GoferError):
        await verb(gofer.AsyncRetrieveClient(base_url=BASE, io=AwaitedWire(answers), **options()), target)
    assert recorded == blocking
    assert recorded
