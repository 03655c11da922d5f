"""The stand-in web itself, by plain httpx: only what is intricate, and what a service could be wrong about."""

import contextlib
import email.utils
import threading
import time
from collections.abc import Callable, Generator
from io import BytesIO
from urllib.parse import quote

import httpx
import pytest
from pypdf import PdfReader
from starlette.types import Message, Scope
from tests.scholarly_web import ScholarlyWeb, scholarly_web
from tests.scholarly_web.resources import (
    LOGIN,
    Resource,
    busy,
    cut,
    file,
    page,
    pdf,
    pdf_bytes,
    ranged,
    slowly,
    stream,
    when,
)
from tests.scholarly_web.server import KEY

DOI = "10.5555/a"
PDF = pdf_bytes()
SIZE = len(PDF)


@pytest.fixture
def web() -> Generator[ScholarlyWeb]:
    """Run the stand-in web."""
    with scholarly_web() as running:
        yield running


@pytest.fixture
def http(web: ScholarlyWeb) -> Generator[httpx.Client]:
    """Give a client of it that waits for no slow host."""
    with httpx.Client(base_url=web.url, timeout=10) as client:
        yield client


def received(http: httpx.Client, url: str) -> tuple[int, bool]:
    """Return how many bytes come, and whether that is all that the reply named."""
    count = 0
    with http.stream("GET", url) as reply, contextlib.suppress(httpx.RemoteProtocolError):
        for chunk in reply.iter_raw():
            count += len(chunk)
    return count, count == int(reply.headers["content-length"])


# --- files that break off ---

TAG = '"one"'


@pytest.mark.parametrize("resource", [ranged(PDF), cut(PDF, SIZE)], ids=["ranged", "cut"])
@pytest.mark.parametrize(
    ("headers", "status", "span", "content"),
    [
        ({}, 200, None, PDF),
        ({"Range": "bytes=0-"}, 206, f"bytes 0-{SIZE - 1}/{SIZE}", PDF),
        ({"Range": "bytes=100-", "If-Range": TAG}, 206, f"bytes 100-{SIZE - 1}/{SIZE}", PDF[100:]),
        ({"Range": "bytes=100-199"}, 206, f"bytes 100-199/{SIZE}", PDF[100:200]),
        ({"Range": "bytes=100-99999"}, 206, f"bytes 100-{SIZE - 1}/{SIZE}", PDF[100:]),
        ({"Range": "bytes=100-", "If-Range": '"two"'}, 200, None, PDF),
        ({"Range": f"bytes={SIZE}-", "If-Range": TAG}, 416, f"bytes */{SIZE}", b""),
        ({"Range": "pages=1-2"}, 200, None, PDF),
    ],
)
def test_ranges(
    web: ScholarlyWeb,
    http: httpx.Client,
    resource: Resource,
    headers: dict[str, str],
    status: int,
    span: str | None,
    content: bytes,
) -> None:
    """A host with ranges sends what is asked for, and all of the file to those who have another version of it."""
    reply = http.get(web.at("pub/a.pdf", resource), headers=headers)
    assert (reply.status_code, reply.headers.get("content-range"), reply.content) == (status, span, content)
    assert reply.headers["etag"] == TAG


def test_a_host_without_ranges(web: ScholarlyWeb, http: httpx.Client) -> None:
    """A host without ranges has no tag, and sends all of the file whatever is asked for."""
    reply = http.get(web.at("pub/a.pdf", cut(PDF, SIZE, ranges=False)), headers={"Range": "bytes=100-"})
    assert (reply.status_code, reply.content, "etag" in reply.headers) == (200, PDF, False)


@pytest.mark.parametrize(("whole", "second"), [(True, (SIZE, True)), (False, (100, False))])
def test_a_file_breaks_off(web: ScholarlyWeb, http: httpx.Client, whole: bool, second: tuple[int, bool]) -> None:
    """A cut reply names all bytes and ends too early; the next one is complete, unless each is cut."""
    url = web.at("pub/a.pdf", cut(PDF, 100, whole=whole))
    assert [received(http, url), received(http, url)] == [(100, False), second]


# --- asking to wait ---


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("date", [False, True])
def test_both_forms_of_retry_after(web: ScholarlyWeb, http: httpx.Client, date: bool, status: int) -> None:
    """A busy host names seconds or a date in the future, and then has the file."""
    url, before = web.at("pub/a.pdf", busy(600, pdf(), date=date, status=status)), time.time()
    first, second = http.get(url), http.get(url)
    after = first.headers["retry-after"]
    if date:
        # A date has whole seconds.
        assert before + 599 <= email.utils.parsedate_to_datetime(after).timestamp() <= time.time() + 600
    else:
        assert after == "600"
    assert (first.status_code, second.content) == (status, PDF)


# --- what is counted ---


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that the server's thread does."""
    for _ in range(4000):
        if condition():
            return
        threading.Event().wait(0.005)
    raise AssertionError


def test_requests_under_way_are_counted(web: ScholarlyWeb, http: httpx.Client) -> None:
    """Requests at the same time are counted for each area and the host, and each says when and how it came."""
    go_on = threading.Event()
    urls = [web.at(path, when(go_on, pdf())) for path in ("pub/a", "pub/b", "repo/c")]
    before, threads = time.monotonic(), [threading.Thread(target=http.get, args=(url,)) for url in urls]
    for thread in threads:
        thread.start()
    until(lambda: len(web.asked) == 3)
    go_on.set()
    for thread in threads:
        thread.join()
    assert (web.most, dict(web.most_in)) == (3, {"pub": 2, "repo": 1})
    assert {(one.method, one.peer, before <= one.at <= time.monotonic()) for one in web.asked} == {
        ("GET", "127.0.0.1", True)
    }
    web.clear()
    http.head(urls[0])
    assert ([one.method for one in web.asked], web.most) == (["HEAD"], 1)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("how", ["complete", "empty", "streamed"])
async def test_a_request_is_over_with_its_last_byte(how: str) -> None:
    """A caller who sends its next request with the last byte of an answer in hand still has one at a time."""
    done = threading.Event()
    done.set()
    web = ScholarlyWeb("localhost")
    web.at("pub/a", {"complete": pdf(), "empty": file(b""), "streamed": slowly(PDF, done, 100)}[how])
    sent: list[bytes] = []
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "method": "GET",
        "path": "/pub/a",
        "query_string": b"",
        "headers": [],
        "client": ("127.0.0.1", 1),
    }

    async def nothing() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def swallow(message: Message) -> None:
        pass

    async def send(message: Message) -> None:
        sent.append(message.get("body", b""))
        if message["type"] == "http.response.body" and len(b"".join(sent)) in (SIZE, 0):
            await web(scope, nothing, swallow)

    await web(scope, nothing, send)
    assert len(web.asked) > 1
    assert web.most == 1


@pytest.mark.parametrize("resource", [when(threading.Event(), pdf()), stream(b"%", 0.005)], ids=["slow", "dripping"])
def test_a_caller_who_has_gone_is_not_counted(web: ScholarlyWeb, http: httpx.Client, resource: Resource) -> None:
    """A request that its caller gave up ends at the host too."""
    url = web.at("pub/a", resource)
    with contextlib.suppress(httpx.ReadTimeout), http.stream("GET", url, timeout=0.2) as reply:
        next(reply.iter_raw())
    other = web.at("pub/b", pdf())

    def alone() -> bool:
        web.clear()
        http.get(other)
        return web.most == 1

    until(alone)


# --- what the APIs want ---


@pytest.mark.parametrize("email", ["", "nobody", "me@example.com", "YOUR_EMAIL@host.org"])
def test_unpaywall_refuses_placeholders(web: ScholarlyWeb, http: httpx.Client, email: str) -> None:
    """An address that is none, or an example, is answered 422, also for a paper that is there."""
    web.unpaywall(DOI)
    assert http.get(f"/unpaywall/v2/{DOI}", params={"email": email}).status_code == 422
    assert http.get(f"/unpaywall/v2/{DOI}", params={"email": "library@example.org"}).json()["doi"] == DOI


def test_openalex_sends_what_is_selected(web: ScholarlyWeb, http: httpx.Client) -> None:
    """OpenAlex wants its key, and leaves out members that were not selected."""
    web.openalex(DOI)
    url = f"/openalex/works/doi:{DOI}"
    assert http.get(url, params={"api_key": "another"}).status_code == 401
    assert set(http.get(url, params={"api_key": KEY, "select": "id,locations"}).json()) == {"id", "locations"}
    assert "best_oa_location" in http.get(url, params={"api_key": KEY}).json()


def test_europe_pmc_has_several_forms(web: ScholarlyWeb, http: httpx.Client) -> None:
    """Without its two parameters, Europe PMC sends XML, or results that name no files; no result is no error."""
    web.epmc(DOI, ["http://host/a.pdf"])
    core = {"query": f'DOI:"{DOI}"', "format": "json", "resultType": "core"}
    asked = [core, core | {"resultType": "lite"}, core | {"query": 'DOI:"10.5555/none"'}]
    results = [http.get("/epmc/search", params=one).json()["resultList"]["result"] for one in asked]
    assert [["fullTextUrlList" in one for one in several] for several in results] == [[True], [False], []]
    assert http.get("/epmc/search", params=core | {"format": "xml"}).headers["content-type"] == "application/xml"


@pytest.mark.parametrize(
    ("query", "agent", "pool"),
    [("", "x", "public"), ("?mailto=a@b.org", "x", "polite"), ("", "x (mailto:a@b.org)", "polite")],
)
def test_crossref_tells_the_pool(web: ScholarlyWeb, http: httpx.Client, query: str, agent: str, pool: str) -> None:
    """Callers who say who they are, either way, are in the polite pool."""
    web.crossref(DOI)
    reply = http.get(f"/crossref/works/{DOI}{query}", headers={"User-Agent": agent})
    assert (reply.headers["x-api-pool"], reply.json()["message-type"]) == (pool, "work")


@pytest.mark.parametrize("doi", ["10.5555/a/b", "10.5555/a?b#c", "10.5555/50%25", "10.1/(SICI)1<2::A>3.0.CO;2-2"])
def test_encoded_dois_are_found(web: ScholarlyWeb, http: httpx.Client, doi: str) -> None:
    """A DOI is found in either spelling of its slash, and is decoded once."""
    web.crossref(doi)
    for safe in ("", "/"):
        assert http.get(f"/crossref/works/{quote(doi, safe=safe)}").json()["message"]["DOI"] == doi


def test_the_publisher_turns_others_away(web: ScholarlyWeb, http: httpx.Client) -> None:
    """Who is not entitled gets 403 from the publisher, or the page that a test puts there."""
    url = web.at("paywalled/a.pdf", pdf())
    seen = [http.get(url)]
    web.entitled = False
    seen.append(http.get(url))
    web.paywall = page(LOGIN)
    seen.append(http.get(url))
    assert [(one.status_code, one.content) for one in seen] == [(200, PDF), (403, b""), (200, LOGIN.encode())]


def test_the_text_of_a_pdf() -> None:
    """A title with parentheses is the text of the PDF as it is, and more than 200 characters follow."""
    text = PdfReader(BytesIO(pdf_bytes("On :) and (, a\\b"))).pages[0].extract_text()
    assert text.startswith("On :) and (, a\\b. ")
    assert len(text) > 200
