"""Whatever a ticket, a note on disk, a caller's own function or a caller's user brings: a value, or gofer's error.

As in `test_hostile_text.py`: texts that have broken something before, and a few of any others (`HOSTILE_EXAMPLES=500`).
"""

import base64
import json
import shutil
import zlib

import httpx
import pytest
from attrs import evolve
from hypothesis import given

from faults.conversations import CONVERSATIONS, PAPER, PAPERS
from faults.hostile import (
    BUDGET,
    FEW,
    TOKEN,
    Change,
    Service,
    Spot,
    check_folder,
    client_of,
    fresh,
    outcome_of,
    wire_of,
)
from faults.hostile_texts import BASE, examples, headers, raw
from gofer import JobFailed, RetrieveRequest, UsageError
from gofer.wire import Request
from support.faces import face
from support.raw_server import http, raw_server
from support.virtual_time import AsyncVirtualIO, VirtualIO

seeded = examples(6)
RETRIEVAL = CONVERSATIONS["retrieval"]


@pytest.fixture(params=["blocking", "asyncio"])
def one(request):
    """Give a face."""
    with face(request.param, "httpx") as made:
        yield made


def client(face, name="retrieval", change=None, *, own=False, **options):
    """Make a client of one of the conversations."""
    about = CONVERSATIONS[name]
    wire = wire_of(Service(about, change), awaited=face.mode != "blocking", own=own)
    return client_of(face, wire, about.contract, **options)


# --- tickets ---


def ticket_of(body):
    """Make a ticket whose checksum is right, whatever is in it."""
    packed = body.encode("utf-8", "surrogatepass")
    return f"gofer1.{base64.urlsafe_b64encode(zlib.crc32(packed).to_bytes(4, 'big') + packed).decode()}"


@pytest.mark.parametrize("fact", ["c", "o", "i", "l", "t", None])
@pytest.mark.parametrize("name", ["retrieval", "azure", "uws"])
def test_any_ticket_finds_a_job_or_is_refused(one, tmp_path, name, fact):
    """Also one whose checksum is right; and whatever is asked for, a ticket leads to no other service."""
    right = client(one, name).job("1").ticket
    facts = json.loads(base64.urlsafe_b64decode(right.split(".")[1] + "==")[4:])
    facts |= {"l": {"operation": f"{BASE}/op/1"}, "t": 1.5}

    @seeded
    @given(raw)
    def check(text):
        body = text if fact is None else json.dumps({**facts, fact: "@@"}).replace('"@@"', text)
        out = fresh(tmp_path / "root")
        with one.again() as again:
            made = client(again, name)
            for call in (
                lambda job: (repr(job), job.id, job.ticket, job.refresh()),
                lambda job: job.cancel(),
                lambda job: job.download(out / "x", timeout=BUDGET),
            ):
                outcome_of(lambda call=call: call(made.attach(ticket_of(body))), blames=True)
        check_folder(tmp_path / "root")

    check()


# --- what lies on disk ---

CUT = Spot("file", "header", ("x-nothing",))
JOBS = {"retrieval": "j1", "wes": "1"}
NOTES = {  # a conversation, from which request for a file on it is refused, the note that this leaves
    ".x.part.json": ("retrieval", 2, "x"),
    "manifest.json": ("wes", 3, "many/"),
}
FIELDS = ["source", "etag", "total", "digest", "modified", "dated", "query", "coding", "kind", "no such field", None]
ENTRY = ["file", "name", "size", "verified", "from", "job", "files", None]


@pytest.mark.parametrize(
    ("note", "where"), [*((".x.part.json", it) for it in FIELDS), *(("manifest.json", it) for it in ENTRY)]
)
def test_any_note_on_disk_costs_no_file(one, tmp_path, note, where):
    """What something has damaged counts as none: the file is fetched again, and is right."""
    name, since, to = NOTES[note]
    root, left = tmp_path / "root", tmp_path / "left"
    with one.again() as again:
        target = f"{fresh(root)}/{to}"
        cut = client(again, name, Change(CUT, "", 401, since)).job(JOBS[name])
        assert outcome_of(lambda: cut.download(target, timeout=BUDGET)) == "Unauthorized"
    shutil.copytree(root, left)
    (place,) = root.rglob(note)
    noted = json.loads(place.read_bytes())

    @seeded
    @given(raw)
    def check(text):
        shutil.rmtree(root)
        shutil.copytree(left, root)
        damaged = noted
        if where in noted or "files" not in noted:
            damaged = {**noted, where: "@@"}
        elif where is not None:
            damaged = {**noted, "files": [{**noted["files"][0], where: "@@"}]}
        written = text if where is None else json.dumps(damaged).replace('"@@"', text)
        place.write_bytes(written.encode("utf-8", "surrogatepass"))
        with one.again() as again:
            job = client(again, name).job(JOBS[name])
            assert outcome_of(lambda: job.download(target, timeout=BUDGET)) == "done"
        files = [
            file.read_bytes() for file in (root / "out").rglob("*") if file.is_file() and file.name != "manifest.json"
        ]
        assert files == ([PAPER] if name == "retrieval" else [b"a,b\n" * 3000] * 2)
        check_folder(root)

    check()


# --- a caller's own function ---


def failing(error):
    """A signing function that raises this."""

    def sign(request):
        raise error

    return sign


RETURNED = {
    **{repr(it): lambda request, it=it: it for it in (None, 5, "x", [], Request)},
    **{
        f"{part} {str(it)[:20]!r}": lambda request, part=part, it=it: evolve(request, **{part: it})
        for part, many in {
            "method": (None, 5, "", "G T", "é", "\ud800", "\r\n"),
            "url": (None, 5, "", "x:y", "/", "http://[", "http://999.0.0.1/", f"{BASE}/\0", f"{BASE}/\ud800"),
            "headers": (
                None,
                5,
                {5: "x"},
                {"": "x"},
                {"a": None},
                {"a": "é"},
                {"a": "\r\nb: c"},
                {"é": "a"},
                {"\n": "a"},
            ),
            "body": (None, 5, "text"),
        }.items()
        for it in many
    },
}
RAISED = [
    ValueError("x"),
    KeyError("\ud800"),
    StopIteration(1),
    StopAsyncIteration(),
    RecursionError(),
    MemoryError(),
]
RAISED += [
    OSError(5, "x"),
    UnicodeDecodeError("x", b"", 0, 1, ""),
    ExceptionGroup("x", [ValueError()]),
    TimeoutError(),
]
RAISED += [AssertionError(), NotImplementedError(), UsageError("no"), JobFailed("no")]
SIGNERS = RETURNED | {f"raises {type(error).__name__}": failing(error) for error in RAISED}


@pytest.mark.parametrize("sign", SIGNERS)
def test_any_signing_function_ends_in_gofers_error_or_is_harmless(one, tmp_path, sign):
    """What it returns or raises comes out of no verb, and nothing that it says is shown."""
    for own in (False, True):
        with one.again() as again:
            made = client(again, auth=SIGNERS[sign], own=own)
            out = fresh(tmp_path / "root")
            outcome_of(lambda made=made, out=out: made.run(PAPERS, to=out / "x", timeout=BUDGET), blames=True)
            outcome_of(made.job("j1").cancel, blames=True)
            outcome_of(made.list_jobs, blames=True)
            check_folder(tmp_path / "root")


# --- a caller's user ---

NOWHERE = httpx.MockTransport(lambda request: httpx.Response(404))
TAKEN = {
    "an id": lambda face, text, out: client(face).job(text).download(out / "x", timeout=BUDGET),
    "an id to cancel": lambda face, text, out: client(face, "uws").job(text).cancel(),
    "an id that is a path": lambda face, text, out: client(face, "aip").job(text).refresh(),
    "a ticket": lambda face, text, out: client(face).attach(text),
    "a packed ticket": lambda face, text, out: client(face).attach(f"gofer1.{text}"),
    "a DOI": lambda face, text, out: client(face).retrieve(text),
    "a title": lambda face, text, out: client(face).retrieve("10.5555/1", title=text, authors=[text]),
    "a key": lambda face, text, out: client(face).submit(PAPERS, key=text),
    "a made key": lambda face, text, out: client(face, new_key=lambda: text).submit(PAPERS),
    "a header": lambda face, text, out: client(face, headers={"x-a": text}).submit(PAPERS),
    "a header's name": lambda face, text, out: client(face, headers={text: "a"}).submit(PAPERS),
    "a token": lambda face, text, out: client(face, auth=text).submit(PAPERS),
    "a cursor": lambda face, text, out: client(face).list_jobs(cursor=text, status=text),
    "an address": lambda face, text, out: face.client(text, transport=NOWHERE).retrieve("10.5555/1"),
    "a path": lambda face, text, out: face.client(f"{BASE}/{text}", transport=NOWHERE).retrieve("10.5555/1"),
    "an input in a path": lambda face, text, out: client(face, "ogc").submit({"process": text}),
    "an input that is a path": lambda face, text, out: client(face, "aip").submit({"path": text}),
    "an input in a form": lambda face, text, out: client(face, "uws").submit({"QUERY": text, text: text}),
    "an input in parts": lambda face, text, out: client(face, "wes").submit(
        {"workflow_url": text, "workflow_attachment": {text: text}}
    ),
    "a method": lambda face, text, out: client(face, "azure").submit({"path": "x", "method": text}),
    "a target's name": lambda face, text, out: client(face).run(
        PAPERS, to=out / text.replace("/", "_").replace("..", "_"), timeout=BUDGET
    ),
    "a title in a target": lambda face, text, out: client(face).run(
        RetrieveRequest("10.5555/1", title=text), to=f"{out}/{{title}}.{{format}}", timeout=BUDGET
    ),
    "a request": lambda face, text, out: client(face).submit(RetrieveRequest(text, authors=text)),
}


@pytest.mark.parametrize("what", TAKEN)
def test_any_text_of_a_callers_user_is_taken_or_refused(one, tmp_path, what):
    """A program that passes on what its user types needs to catch nothing else than gofer's errors."""

    @seeded
    @given(headers)
    def check(text):
        out = fresh(tmp_path / "root")
        with one.again() as again:
            outcome_of(lambda: TAKEN[what](again, text.replace("ROOT", str(tmp_path)), out), blames=True)
        check_folder(tmp_path / "root")

    check()


# --- bytes that HTTP libraries refuse ---

PLACES = {
    "a value": b"HTTP/1.1 200 X\r\netag: a%cb\r\nlocation: /%c\r\ncontent-length: 36\r\n\r\n",
    "a name": b"HTTP/1.1 200 X\r\ne%ctag: a\r\ncontent-length: 36\r\n\r\n",
    "a cookie": b"HTTP/1.1 200 X\r\nset-cookie: a=%c; path=%c; max-age=%c\r\ncontent-length: 36\r\n\r\n",
    "a reason": b"HTTP/1.1 200 X%c\r\ncontent-length: 36\r\n\r\n",
    "a code": b"HTTP/1.1 2%c0 X\r\ncontent-length: 36\r\n\r\n",
    "a version": b"HTTP/1.%c 200 X\r\ncontent-length: 36\r\n\r\n",
    "a length": b"HTTP/1.1 200 X\r\ncontent-length: 36%c\r\n\r\n",
    "a chunk's size": b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n2%c\r\n",
    "a redirect": b"HTTP/1.1 302 X\r\nlocation: /%c/..%c\r\ncontent-length: 36\r\n\r\n",
    "a document": b'HTTP/1.1 200 X\r\ncontent-length: 42\r\n\r\n{"job_id"%c"',
}
BYTES = [*range(14), 27, 31, 32, 34, 92, 127, 128, 133, 160, 195, 233, 255]


@pytest.mark.parametrize("where", PLACES)
def test_any_byte_in_a_reply_ends_in_a_value_or_in_gofers_error(one, where):
    """As it comes from the socket, before an HTTP library has looked at it."""
    job = b'{"job_id": "j1", "status":"pending"}'

    def answer(call):
        number = int(call.path.rpartition("/")[2].split("?")[0] or 0) if call.path.startswith("/jobs/") else 0
        return [PLACES[where].replace(b"%c", bytes([BYTES[number % len(BYTES)]])) + job, http(200, job)]

    io = VirtualIO() if one.mode == "blocking" else AsyncVirtualIO()
    with one.again() as again, raw_server(answer) as server:
        made = again.client(server.url, auth=TOKEN, retry=FEW, io=io)
        for at in range(len(BYTES)):
            outcome_of(lambda at=at: made.get_job_status(str(at)))
        _ = io.close() if one.mode == "blocking" else again.call(io.close)
