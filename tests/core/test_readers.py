"""What a service, a ticket or a note says is read in linear time: eight times the text takes about eight times as long.

Each reader gets texts that repeat a few pieces, between other pieces, since most traps need both: what is repeated, and
what then does not fit.
"""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gofer import GoferError
from gofer.contracts import doi, formats, payload
from gofer.contracts.base import Ref
from gofer.contracts.declared import markup, media, results, shipped, urls
from gofer.contracts.declared.contract import DeclaredContract
from gofer.contracts.declared.selectors import LONGEST, Reading, Selector
from gofer.contracts.retrieve import RetrieveContract
from gofer.core import digests, folder, hosts, judging, names, resume
from gofer.core.results import in_a_line
from gofer.models import ResultFile
from gofer.ticket import Ticket
from gofer.transports import family, folders
from gofer.wire import Head, Reply, Request, may_be_id, origin, shown
from support.linear import is_linear

BASE = "http://service.test"
RETRIEVAL = RetrieveContract()
GET = Request("GET", f"{BASE}/x")


def head(name: str, read: Callable[[Head], Any], status: int = 200) -> Callable[[str], Any]:
    """A reader of a reply with this header."""
    return lambda text: read(Head(GET.url, status, {name: text}))


def body(read: Callable[[Reply], Any], around: str = "{}", kind: str = "application/json") -> Callable[[str], Any]:
    """A reader of a reply whose body has the text in place of {}."""
    start, end = around.encode().split(b"{}")
    return lambda text: read(Reply(GET.url, 200, {"content-type": kind}, start + text.encode() + end))


def in_json(read: Callable[[Reply], Any], **more: Any) -> Callable[[str], Any]:
    """A reader of a reply with a document of texts: those that are None are the text."""
    return lambda text: read(
        Reply(GET.url, 200, {}, json.dumps({name: text if it is None else it for name, it in more.items()}).encode())
    )


def cookies(text: str) -> None:
    """Have the HTTP library read a cookie."""
    transport = httpx.MockTransport(lambda _: httpx.Response(200, headers=[(b"set-cookie", text.encode("latin-1"))]))
    with family.open_client(httpx.Client, transport, 1) as client:
        client.get(GET.url)


def link(text: str) -> None:
    """Have the HTTP library parse an address that a service gave."""
    family.native(None, httpx, Request("GET", f"http://{text}", anonymous=True), 1.0, own=True)


def submission(name: str) -> Callable[[Reply], Any]:
    """The reader of a dialect's answer to a submission."""
    contract: DeclaredContract = shipped.declared(name)
    return lambda reply: contract.read_submission(BASE, Request("POST", BASE), reply)


def polled(name: str) -> Callable[[Reply], Any]:
    """The reader of a dialect's status document."""
    contract: DeclaredContract = shipped.declared(name)
    return lambda reply: contract.read_poll(BASE, Ref("1", {"operation": f"{BASE}/1"}), reply)


def outcome(name: str) -> Callable[[Reply], Any]:
    """The reader of what a dialect's job came to."""
    contract: DeclaredContract = shipped.declared(name)
    snapshot = contract.read_poll(BASE, Ref("1"), Reply(GET.url, 200, {}, b'{"status": "successful"}'))
    return lambda reply: contract.read_results(BASE, snapshot, reply)


HEADERS: dict[str, Callable[[str], Any]] = {
    "Retry-After": head("retry-after", lambda it: judging.retry_after(it, 0.0)),
    "a date": judging.http_date,
    "Content-Range": head("content-range", judging.content_range),
    "Content-Length": head("content-length", judging.content_length),
    "Content-Encoding": head("content-encoding", judging.encoding_of),
    "Content-Type": head("content-type", lambda it: (media.is_data(it), media.is_file(it), media.is_page(it))),
    "Content-Disposition": head("content-disposition", lambda it: results.file_at(GET, it)),
    "Location": head("location", lambda it: judging.redirected(GET, it), 302),
    "Set-Cookie": cookies,
    "ETag": head("etag", lambda it: resume.mark_of(GET, it)),
    "Last-Modified": head("last-modified", lambda it: resume.mark_of(GET, it)),
    "Repr-Digest": head("repr-digest", digests.digest_of),
    "Content-MD5": head("content-md5", digests.digest_of),
    "x-goog-hash": head("x-goog-hash", digests.digest_of),
    "x-amz-checksum": head("x-amz-checksum-sha256", digests.digest_of),
    "Preference-Applied": head(
        "preference-applied", lambda it: RETRIEVAL.held(Reply(it.url, 200, it.headers), hold=1, took=1)
    ),
    "a job's Location (uws)": head("location", lambda it: submission("uws")(Reply(it.url, 303, it.headers))),
    "a job's Location (ogc)": head("location", lambda it: submission("ogc-processes")(Reply(it.url, 201, it.headers))),
    "Operation-Location": head(
        "operation-location", lambda it: submission("azure-lro")(Reply(it.url, 202, it.headers))
    ),
    "Link": head("link", lambda it: outcome("ogc-processes")(Reply(it.url, 204, it.headers))),
}
TEXTS: dict[str, Callable[[str], Any]] = {
    "a URL": origin,
    "a URL, shown": shown,
    "a URL of the HTTP library's": link,
    "a link": lambda text: urls.resolve(GET.url, text),
    "a link's last part": urls.last_part,
    "a link's parameters": lambda text: urls.without(f"?{text}", frozenset({"a"})),
    "a host": lambda text: hosts.allows(frozenset({"*.a", "a"}), text),
    "an id": may_be_id,
    "a DOI": doi.normalize,
    "a file's name": names.safe_name,
    "files of one name": lambda text: folder.safe_names([ResultFile(one) for one in text.split("/")]),
    "a format": lambda text: (
        formats.suffix_of(text),
        formats.unlike(text, b""),
        judging.is_stored_in("gzip", text, [text]),
    ),
    "a file's first bytes": lambda text: formats.is_page_instead("a.csv", (text,), text.encode()),
    "a reason": in_a_line,
    "a ticket": Ticket.parse,
    "a ticket's body": lambda text: Ticket.parse(str(Ticket(text, text, text, {text: text}))),
    "a manifest": lambda text: (folder._noted(text.encode()), folders._listed(text.encode())),
    "a cursor": lambda text: RETRIEVAL.build_listing(BASE, status=text, limit=1, cursor=text),
}
DOCUMENTS: dict[str, Callable[[str], Any]] = {
    "JSON": body(payload.document),
    "a JSON text": body(payload.document, '{"a": "{}"}'),
    "a JSON list": body(payload.document, '{"a": [{}]}'),
    "XML": lambda text: markup.parse(f"<a>{text}</a>".encode()),
    "an XML attribute": lambda text: markup.parse(f'<a b="{text}"/>'.encode()),
    "a text": body(payload.read_problem, kind="text/plain"),
    "a problem": in_json(RETRIEVAL.read_problem, detail=None, error_code=None),
    "a job": in_json(
        lambda reply: RETRIEVAL.read_submission(BASE, GET, reply), job_id="1", status=None, error=None, source=None
    ),
    "a job's id": in_json(lambda reply: RETRIEVAL.read_submission(BASE, GET, reply), job_id=None, status="pending"),
    "a job (aip)": in_json(submission("aip-151"), name="1", selfLink=None, status=None),
    "a status (azure)": in_json(polled("azure-lro"), status=None, percentComplete=None, resourceLocation=None),
    "a result (flower)": in_json(polled("flower"), state="FAILURE", result=None),
    "an error (uws)": body(shipped.declared("uws").read_problem, "<a><b>{}</b></a>", "text/xml"),
    "outputs (ogc)": in_json(outcome("ogc-processes"), a=None, b={"href": "/x", "type": "x"}),
}
READERS = HEADERS | TEXTS | DOCUMENTS
PIECES = [*'a19=,;: "\\/.-+@#?&%<>()[]{}!*\x1b', "25", "2f", "W/", "\u0301", "\u0323", "é", "a=", "a/", "/..", "json"]
PIECES += ["xml", "bytes ", "filename=", "filename*=utf-8''", "https://", "/jobs/", "<a>", "<a/>", "</a>", "&lt;"]
PIECES += ['{"a":', "[1,", ":=:", "sha-256=:", "Jan 1 ", "00:", "\x1b[0", "gzip, ", "expires=", "; path=", "user@"]
PIECES += ["application/"]
ENDS = ["", *PIECES]


@pytest.mark.parametrize("name", READERS)
def test_a_reader_takes_linear_time(name: str) -> None:
    """Whatever is repeated, and whatever stands around it."""

    @settings(max_examples=20, deadline=None, database=None, derandomize=True)
    @given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=3).map("".join), *[st.sampled_from(ENDS)] * 2)
    def check(piece: str, before: str, after: str) -> None:
        linear = is_linear(READERS[name], piece, GoferError, before=before, after=after)
        assert linear, f"{before!r}, many {piece!r}, {after!r} take more than linear time"

    check()


TRAPS = {
    "Content-Type": ("application/", "json.", "/"),
    "Link": ("", "<", ""),
    "a job's Location (uws)": ("", "a", "//"),
    "a job's Location (ogc)": ("", "/jobs/a?", "\n\n"),
    "Location": ("x:", "a", ""),
    "a URL": ("x:", "a", "/"),
    "a file's name": ("", "a", ""),
    "files of one name": ("", "a/", ""),
    "Repr-Digest": ("", 'a="', ""),
    "Content-Disposition": ("", "filename*=utf-8'", ""),
    "a reason": ("", "\x1b[", "0"),
    "Set-Cookie": ("a=b; expires=", "1 ", ""),
    "a DOI": ("10.1000/", "%25", "2f"),
}


@pytest.mark.parametrize("name", TRAPS)
def test_a_known_trap_takes_linear_time(name: str) -> None:
    """The texts that take the square of their length if a reader is written without care."""
    before, piece, after = TRAPS[name]
    assert is_linear(READERS[name], piece, GoferError, before=before, after=after)


def test_a_regular_expression_is_tried_on_texts_up_to_a_length() -> None:
    """A longer text has no match, since what a declaration's author wrote may take the square of the length."""
    place = Selector.parse("text: ~ a(.)$")
    found = [place.read(Reading(Reply(GET.url, 200, {}, b"x" * more + b"ab"))) for more in (LONGEST - 2, LONGEST - 1)]
    assert found[0] == "b"
    assert not found[1]


DEEPEST = payload.DEEPEST


@pytest.mark.parametrize("pair", ["[]", '{"a":}'])
@pytest.mark.parametrize(("depth", "read"), [(DEEPEST - 1, True), (DEEPEST + 2, False), (900, False), (100_000, False)])
def test_a_document_is_read_to_a_depth(pair: str, depth: int, read: bool) -> None:
    """What is nested deeper is a bad reply, so that nothing that works on a document has to give up."""
    value = pair[:-1] * depth + '"x"' + pair[-1] * depth
    reply = Reply(GET.url, 200, {}, f'{{"a": {value}}}'.encode())
    assert [is_read(reading, reply) for reading in (payload.document, lambda it: Reading(it).document)] == [read, read]


def is_read(reading: Callable[[Reply], Any], reply: Reply) -> bool:
    """Tell whether a reply is read, and not refused."""
    try:
        reading(reply)
    except GoferError:
        return False
    return True
