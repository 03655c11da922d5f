"""Any text in the place of a declaration, and any answers: they are read, or refused in gofer's errors.

Seeded and bounded: the same examples each time, some seconds of them.
"""

import contextlib
import json
import math
import re

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tenacity.stop import stop_after_attempt
from tenacity.wait import wait_fixed

import gofer
from gofer.contracts.base import Snapshot
from gofer.contracts.declared import shipped, toml
from gofer.contracts.declared.contract import DeclaredContract
from gofer.models import State, Status
from gofer.wire import Reply, Request
from support.declared import DECLARATIONS
from support.matrices import EVERY_CASE
from support.virtual_time import VirtualIO

BASE = "http://service.test"
NAMES = shipped.names()
TEXTS = {name: shipped.shipped(name).text for name in NAMES}
TEXTS |= {path.stem: path.read_text() for path in DECLARATIONS.glob("*.toml")}
READ = {
    name: DeclaredContract(toml.parse(text, name), {"api_key": "k"} if "{api_key}" in text else {})
    for name, text in TEXTS.items()
}

few = settings(
    max_examples=400 if EVERY_CASE else 60,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)


def refused(call, *args, **named):
    """Call a function; return gofer's error, or what it gave. Any other error is a failure of the test."""
    try:
        return None, call(*args, **named)
    except gofer.GoferError as error:
        return error, None


# --- declarations ---

PIECES = ["[", "]", "{", "}", "=", "#", ",", ".", "[[", "]]", "true", "-1", "nan", "1e999", "9" * 30, '"', "'", '"""']
PIECES += [
    "{base}",
    "{id}",
    "{input.x}",
    "{values.x}",
    "/a",
    "name:",
    "header:",
    "code:",
    "~2",
    " ~ (",
    "\\u0000",
    "\\",
]
PIECES += ["= {}", "= []", "= 1979-05-27", "é", "poll", "states", "result.files", '["/a"]', "\n", "\0", "\x7f"]


@st.composite
def mutated(draw):
    """A declaration in which some pieces were cut out, doubled, exchanged, or put in the place of others."""
    text = draw(st.sampled_from(sorted(TEXTS.values())))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        match draw(st.integers(0, 3)):
            case 0:
                text = text[:start] + draw(st.sampled_from(PIECES)) + text[end:]
            case 1:
                text = text[:start] + text[end:]
            case 2:
                lines = text.split("\n")
                one, two = draw(st.integers(0, len(lines) - 1)), draw(st.integers(0, len(lines) - 1))
                lines[one], lines[two] = lines[two], lines[one]
                text = "\n".join(lines)
            case _:
                text = text[:end] + text[start:end] + text[end:]
    return text


@few
@given(mutated())
def test_a_mutated_declaration_is_read_or_refused(text):
    """Nothing but `DeclarationError`, and one with a line where there is one to name."""
    fault, read = refused(toml.parse, text, "mine.toml")
    assert isinstance(fault, gofer.DeclarationError | None)
    if fault is None:
        assert read.digest
    else:
        assert fault.line is None or 1 <= fault.line <= text.count("\n") + 1


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 600)
    | st.floats()
    | st.sampled_from(["", "{base}", "/a", "name:", "{x}"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["url", "state", "x", "202"]), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = ["name", "about", "origins", "grace", "variables", "every", "start", "status", "states", "refusal", "reason"]
KEYS += ["cancel", "poll", "result"]


def written(value):
    """Write a value as TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)} = {written(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(written(inner) for inner in value) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    return json.dumps("null" if value is None else value)


@few
@given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4), VALUES)
def test_a_declaration_of_any_shape_is_read_or_refused(parts, submit):
    """Right TOML with wrong kinds of values, everywhere."""
    whole = {"name": "x", "poll": {"url": "{base}", "state": "/s"}, **parts, "submit": submit}
    text = "\n".join(f"{name} = {written(value)}" for name, value in whole.items())
    fault, _ = refused(toml.parse, text, "mine.toml")
    assert isinstance(fault, gofer.DeclarationError | None)
    assert fault is None or fault.key


# --- replies ---

DEEP = 600
HOSTILE = [
    b"",
    b"<",
    b"{",
    b"null",
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"9" * 5000,
    b'"\\ud800"',
    b"\xff\xfe\x00",
    b"\xef\xbb\xbf<a/>",
    b"[" * 100_000,
    b"[" * DEEP + b"]" * DEEP,
    b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    b"<a>" * 100_000,
    b"<a>" * DEEP + b"</a>" * DEEP,
    b"<a>" * 60 + b"</a>" * 60,
    b"<a><b></a></b>",
    b"<a xmlns:x='u' x:y='1' y='2'/>",
    b"<a>&undefined;</a>",
    b"<?xml version='1.0' encoding='no-such'?><a/>",
    b"<?xml version='1.0' encoding='utf-32'?><a/>",
    b"<!DOCTYPE a [<!ENTITY b 'bb'>]><a>&b;</a>",
    b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><job><phase>&b;</phase></job>",
    b"<!DOCTYPE lolz [<!ENTITY a 'lol'>"
    + b"".join(b"<!ENTITY %c '%s'>" % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9))
    + b"]><a>&j;</a>",
    b"<a>" + b"&#x10FFFF;" * 1000 + b"</a>",
    b"<a " + b" ".join(b"a%d='1'" % n for n in range(5000)) + b"/>",
]
WORDS = ["status", "state", "phase", "done", "error", "id", "jobID", "name", "run_id", "task-id", "results", "outputs"]
WORDS += [
    "links",
    "urls",
    "get",
    "href",
    "location",
    "message",
    "code",
    "response",
    "result",
    "output",
    "files",
    "size",
]
WORDS += [
    "selfLink",
    "progress",
    "percentComplete",
    "request_id",
    "status_url",
    "response_url",
    "Status",
    "Job",
    "Body",
]
ODD = [
    "http://[",
    "http://x:99999/",
    "//",
    "\ud800",
    "\0",
    "²",
    "9" * 5000,
    "../..",
    "gs://b",
    "http://a/b c",
    "?",
    " ",
    "é",
]
ODD += [
    "succeeded",
    "COMPLETED",
    "successful",
    "SUCCESS",
    "Succeeded",
    "COMPLETE",
    "true",
    f"{BASE}/x",
    "/x",
    "1e999",
    "nan",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(ODD) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*WORDS, "@href", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


def as_xml(value, name="job"):
    """Write any value as elements; what XML cannot have stays in, for the parser to refuse."""
    if isinstance(value, dict):
        inner = "".join(as_xml(one, key.lstrip("@")) for key, one in value.items())
    elif isinstance(value, list):
        inner = "".join(as_xml(one, "item") for one in value)
    else:
        inner = str(value).replace("&", "&amp;")
    return f"<{name}>{inner}</{name}>"


FIELDS = ["content-type", "location", "operation-location", "content-length", "content-disposition", "link"]
LINES = [
    "application/json",
    "text/xml",
    "image/png",
    "",
    ";",
    "²",
    "http://[",
    "//x",
    "/jobs/1",
    "<x>",
    "<",
    "9" * 5000,
]
LINES += ['attachment; filename="a\\b"', "attachment; filename*=utf-8''%ff%00/..", "-1", "é", "http://x:y/"]
HEADERS = st.dictionaries(st.sampled_from([*FIELDS, "retry-after"]), st.sampled_from(LINES), max_size=4)
STATUSES = st.sampled_from([200, 200, 200, 200, 201, 202, 204, 299, 303, 400, 404, 422, 500])
POINTERS = {name: re.findall(r"""["'](/[\w/@-]+)(?: ~ |["'])""", text) for name, text in TEXTS.items()}


@st.composite
def aimed(draw, name):
    """A document that has something at many of the places that the declaration points at."""
    whole = {}
    for pointer in POINTERS[name]:
        *above, last = pointer.strip("/").split("/")
        place = whole
        for step in above:
            place = place.setdefault(step, {}) if isinstance(place, dict) else {}
        if isinstance(place, dict) and draw(st.integers(0, 3)):
            place[last] = draw(st.sampled_from(ODD) | JSON)
    return draw(st.sampled_from([json.dumps(whole).encode(), as_xml(whole).encode("utf-8", "surrogatepass")]))


@st.composite
def conversation(draw, length):
    """A declaration's name, and `length` answers: code, headers, body."""
    name = draw(st.sampled_from(sorted(READ)))
    bodies = st.one_of(
        aimed(name),
        aimed(name),
        st.sampled_from(HOSTILE),
        st.binary(max_size=40),
        JSON.map(lambda value: json.dumps(value).encode()),
    )
    return name, [draw(st.tuples(STATUSES, HEADERS, bodies)) for _ in range(length)]


ENDED = Status("done", State.SUCCEEDED)


@few
@given(conversation(2))
def test_any_answer_is_read_or_refused_by_the_contract(given):
    """The answer to any request is read, or ends in one of gofer's errors."""
    name, answers = given
    contract = READ[name]
    (first, second) = (Reply(f"{BASE}/x", status, headers, body) for status, headers, body in answers)
    refs = [contract.ref("1")]
    fault, made = refused(contract.read_submission, BASE, Request("PUT", f"{BASE}/x"), first)
    assert not isinstance(fault, gofer.UsageError)
    refs += [] if made is None else [made.ref]
    for ref in refs:
        for step in (
            lambda ref=ref: contract.file_of_value(polled(contract, ref, second)),
            lambda ref=ref: gathered(contract, Snapshot(ref, ENDED, None), second),
            lambda ref=ref: contract.read_cancellation(BASE, ref, second),
            lambda ref=ref: contract.build_cancellation(BASE, ref),
            lambda: contract.read_problem(second),
        ):
            with contextlib.suppress(gofer.GoferError):
                step()


def polled(contract, ref, reply):
    """Read a status document, as after the request for it."""
    contract.build_poll(BASE, ref, hold=0, etag=None, seen=Status("x"))
    return contract.read_poll(BASE, ref, reply)


def gathered(contract, snapshot, reply):
    """Read a result, from a document of its own or from the status document, and pack it."""
    asked = contract.build_results(BASE, snapshot)
    ended = contract.read_results(BASE, snapshot, reply) if isinstance(asked, Request) else asked
    contract.file_of_value(ended)
    seen = polled(contract, snapshot.ref, reply)
    contract.build_results(BASE, Snapshot(seen.ref, ENDED, seen.value))


@settings(few, max_examples=200 if EVERY_CASE else 30)
@given(conversation(6))
def test_any_answers_end_an_errand_in_a_value_or_an_error_of_gofers(tmp_path_factory, given):
    """From the submission to the folder, over an adapter, whatever each answer is."""
    name, answers = given
    left = iter(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        status, headers, body = next(left, (404, {}, b""))
        sent = {name: value.encode("latin-1", "replace") for name, value in headers.items() if name != "content-length"}
        return httpx.Response(status, headers=list(sent.items()), content=body)

    order = {"input_file_id": "x", "endpoint": "x", "completion_window": "x"}
    order |= {"path": "x", "process": "x", "task": "x", "workflow_url": "x", "model": "x", "arguments": {}, "name": "x"}
    order |= {"text": "x", "what": "x", "media": "x", "version": "x", "tool": "x", "parts": []}
    folder = tmp_path_factory.mktemp("any")
    once = gofer.Retry(wait_fixed(0), stop_after_attempt(1))
    wire = VirtualIO()
    wire._transport = httpx.MockTransport(answer)
    with gofer.Client(BASE, contract=READ[name], io=wire, retry=once, patience=once, on_abandon="leave") as client:
        fault, _ = refused(client.run, order, to=f"{folder}/out/", timeout=30)
    wire.close()
    assert not isinstance(fault, gofer.UsageError)
    assert (folder / "out").exists() is (fault is None)


@pytest.mark.parametrize(
    "body", [body for body in HOSTILE if b"<!DOCTYPE" in body], ids=["internal", "external", "bomb"]
)
def test_a_document_type_is_refused(body):
    """Also one whose entity is harmless, or is never used: nothing is expanded, and nothing fetched."""
    contract = shipped.declared("uws")
    for answer in (body, body.replace(b"<a>", b"<job><phase>QUEUED</phase><a>").replace(b"</a>", b"</a></job>")):
        with pytest.raises(gofer.BadReply):
            contract.read_poll(BASE, contract.ref("1"), Reply(BASE, 200, {}, answer))


@pytest.mark.parametrize(("depth", "read"), [(50, True), (100, False)])
def test_elements_are_read_to_a_depth(depth, read):
    """As deep as documents are, and no deeper."""
    body = b"<job><phase>QUEUED</phase>" + b"<a>" * depth + b"</a>" * depth + b"</job>"
    fault, _ = refused(READ["uws"].read_poll, BASE, READ["uws"].ref("1"), Reply(BASE, 200, {}, body))
    assert (fault is None) is read
