"""The service on a stand-in for the scholarly web: what it finds, what it refuses, and how it says so."""

import itertools
from collections.abc import Callable, Generator
from typing import Any

import httpx
import pytest
from tests.scholarly_web import ScholarlyWeb, scholarly_web
from tests.scholarly_web.resources import (
    JATS,
    LOGIN,
    METADATA,
    WALL,
    after_cookie,
    answer,
    busy,
    cut,
    document,
    epub_bytes,
    file,
    gzipped,
    links_to,
    page,
    pdf,
    pdf_bytes,
    redirect,
    stream,
)

from gofer.contracts.doi import normalize

from .conftest import finish
from .papers import flaws, service, settings_for

NUMBERS = itertools.count(1)
Setup = Callable[[ScholarlyWeb, str], None]


@pytest.fixture(scope="module")
def web() -> Generator[ScholarlyWeb]:
    """Run the stand-in web."""
    with scholarly_web() as running:
        yield running


@pytest.fixture(scope="module")
def http(web: ScholarlyWeb, tmp_path_factory: pytest.TempPathFactory) -> Generator[httpx.Client]:
    """Run a service with all sources; links may lead to the stand-in web."""
    settings = settings_for(web, max_bytes=300_000)
    with service(tmp_path_factory.mktemp("service"), settings, allow=[web.host, "127.0.0.1:9"]) as client:
        yield client


@pytest.fixture
def doi() -> str:
    """Give a DOI that no other test has."""
    return f"10.5555/paper.{next(NUMBERS)}"


def put(web: ScholarlyWeb, doi: str, *resources: Any) -> list[str]:
    """Put resources somewhere; return their URLs."""
    return [web.at(f"pub/{doi}/{number}.pdf", one) for number, one in enumerate(resources)]


def listed(*resources: Any) -> Setup:
    """List places in Unpaywall."""
    return lambda web, doi: web.unpaywall(doi, put(web, doi, *resources))


def landed(*resources: Any, how: str = "meta") -> Setup:
    """Have the DOI lead to a page that links to the first of these resources."""

    def set_up(web: ScholarlyWeb, doi: str) -> None:
        urls = put(web, doi, *resources)
        article = web.at(f"pub/{doi}", links_to(urls[0] if urls else "", how))
        web.at(f"doi/{doi}", redirect(article))

    return set_up


def in_epmc(web: ScholarlyWeb, doi: str, *files: Any, xml: Any = None) -> None:
    """List a paper in Europe PMC."""
    web.epmc(doi, put(web, doi, *files), f"PMC{doi.rpartition('.')[2]}", xml)


PDF = pdf_bytes()

FOUND: dict[str, tuple[Setup, str, str]] = {
    "an open copy": (listed(pdf()), "unpaywall", "pdf"),
    "an open copy in the second index": (lambda web, doi: web.openalex(doi, put(web, doi, pdf())), "openalex", "pdf"),
    "a file in an archive": (lambda web, doi: in_epmc(web, doi, pdf()), "europepmc", "pdf"),
    "the full text as XML, after an error": (
        lambda web, doi: in_epmc(web, doi, answer(500), xml=file(JATS, "application/xml")),
        "europepmc",
        "xml",
    ),
    "a copy after HTML that is named PDF": (
        listed(page("<html>Hello", kind="application/pdf"), pdf()),
        "unpaywall",
        "pdf",
    ),
    "a copy under another type": (listed(file(PDF, "application/octet-stream")), "unpaywall", "pdf"),
    "an EPUB": (listed(file(epub_bytes(), "application/epub+zip")), "unpaywall", "epub"),
    "a copy behind a cookie": (listed(after_cookie(pdf())), "unpaywall", "pdf"),
    "a copy after 429 and seconds": (listed(busy(1, pdf())), "unpaywall", "pdf"),
    "a copy after 503 and a date": (listed(busy(1, pdf(), date=True, status=503)), "unpaywall", "pdf"),
    "a copy that breaks off, and goes on": (listed(cut(PDF, 500)), "unpaywall", "pdf"),
    "a copy that breaks off, and starts over": (listed(cut(PDF, 500, ranges=False)), "unpaywall", "pdf"),
    "a page that names the file": (landed(pdf()), "landing", "pdf"),
    "a page that links to the file": (landed(pdf(), how="link"), "landing", "pdf"),
    "a page with JSON-LD": (landed(pdf(), how="json-ld"), "landing", "pdf"),
    "a page that refreshes to the file": (landed(pdf(), how="refresh"), "landing", "pdf"),
    "a page of an index that is the file": (
        lambda web, doi: web.unpaywall(doi, pages=put(web, doi, pdf())),
        "unpaywall",
        "pdf",
    ),
    "the page of an index": (
        lambda web, doi: web.unpaywall(doi, [None], [web.at(f"repo/{doi}", links_to(put(web, doi, pdf())[0]))]),
        "unpaywall",
        "pdf",
    ),
    "a link for text mining": (
        lambda web, doi: web.crossref(doi, (put(web, doi, pdf())[0], "application/pdf", "text-mining")),
        "crossref",
        "pdf",
    ),
    "a redirect to a redirect": (listed(redirect("1.pdf"), redirect("2.pdf"), pdf()), "unpaywall", "pdf"),
}


@pytest.mark.parametrize(("set_up", "source", "kind"), FOUND.values(), ids=FOUND.keys())
def test_a_paper_is_found(
    web: ScholarlyWeb, http: httpx.Client, doi: str, set_up: Setup, source: str, kind: str
) -> None:
    """The paper is found where it is, whatever else stands there, and the job says where."""
    set_up(web, doi)
    job = finish(http, doi)
    assert (job["status"], job.get("source"), job.get("file_format")) == ("completed", source, kind), job
    content = http.get(f"/jobs/{job['job_id']}/file").content
    assert content in (PDF, JATS, epub_bytes()) or kind == "epub"
    assert len(content) == job["file_size"]


NOT_FOUND: dict[str, tuple[Setup, list[tuple[str, str]]]] = {
    "gone": (listed(answer(404), answer(410)), [("unpaywall", "GONE"), ("unpaywall", "GONE")]),
    "for subscribers": (
        listed(answer(401), answer(402), answer(403)),
        [("unpaywall", "NO_ACCESS")] * 3,
    ),
    "a login page with 200": (listed(page(LOGIN)), [("unpaywall", "LOGIN_PAGE")]),
    "a login page with 403": (listed(page(LOGIN, 403)), [("unpaywall", "NO_ACCESS")]),
    "a login page that is named PDF": (listed(page(LOGIN, kind="application/pdf")), [("unpaywall", "NOT_THE_FILE")]),
    "a page": (listed(page("<html>Hello")), [("unpaywall", "NOT_THE_FILE")]),
    "packed, unasked": (listed(gzipped(PDF)), [("unpaywall", "NOT_THE_FILE")]),
    "metadata": (lambda web, doi: in_epmc(web, doi, xml=file(METADATA)), [("europepmc", "METADATA_ONLY")]),
    "null links": (listed(), []),
    "a page without a link": (landed(how="nothing"), [("landing", "NO_LINK")]),
    "a refresh to a page without a link": (
        lambda web, doi: landed(links_to("", "nothing"), how="refresh")(web, doi),
        [("landing", "NO_LINK")],
    ),
    "a refresh to itself": (
        lambda web, doi: web.at(f"doi/{doi}", links_to(f"{web.url}/doi/{doi}", "refresh")) and None,
        [],
    ),
    "links for plagiarism checks": (
        lambda web, doi: web.crossref(doi, (put(web, doi, pdf())[0], "application/pdf", "similarity-checking")),
        [],
    ),
}

ODD = (
    "http://[::1",
    "http://",
    "http://x:99999/",
    "http://me:secret@x/",
    "https://x:22/",
    "http://0x7f.1/",
    "http://127.1/a",
)


@pytest.mark.parametrize("url", ODD)
def test_a_link_that_is_no_usable_address(web: ScholarlyWeb, http: httpx.Client, doi: str, url: str) -> None:
    """A link that cannot be followed is noted, without its password, and the next place is tried."""
    web.unpaywall(doi, [url, *put(web, doi, pdf())])
    job = finish(http, doi)
    assert (job["status"], flaws(job)) == ("completed", [("unpaywall", "REFUSED_ADDRESS")])
    assert "secret" not in str(job)


STOPPED: dict[str, tuple[Setup, list[tuple[str, str]]]] = {
    "a bot wall with 200": (listed(page(WALL)), [("unpaywall", "BLOCKED")]),
    "a bot wall with 403": (listed(page(WALL, 403)), [("unpaywall", "BLOCKED")]),
    "a bot wall with 503": (listed(page(WALL, 503)), [("unpaywall", "BLOCKED")]),
    "an error": (listed(answer(500)), [("unpaywall", "HTTP_ERROR")]),
    "a host that is not there": (
        lambda web, doi: web.unpaywall(doi, ["http://127.0.0.1:9/a.pdf"]),
        [("unpaywall", "UNREACHABLE")],
    ),
    "a file without its end": (listed(file(PDF[:-20])), [("unpaywall", "TRUNCATED")]),
    "a body that always breaks off": (listed(cut(PDF, 20, ranges=False, whole=False)), [("unpaywall", "TRUNCATED")]),
    "a file that cannot be read": (listed(file(b"%PDF-1.4 no pages %%EOF")), [("unpaywall", "BROKEN_PDF")]),
    "an endless file": (listed(stream(b"%PDF-" + b"x" * 65536, 0.001)), [("unpaywall", "TOO_BIG")]),
    "an empty file": (listed(file(b"")), [("unpaywall", "EMPTY")]),
    "too many redirects": (listed(redirect("?again")), [("unpaywall", "HTTP_ERROR")]),
}


def of_places(job: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the attempts at places, without the sources that have no record and the resolver."""
    return [one for one in flaws(job) if one[1] != "UNKNOWN_DOI" and one != ("landing", "GONE")]


@pytest.mark.parametrize(("set_up", "tried"), NOT_FOUND.values(), ids=NOT_FOUND.keys())
def test_a_place_that_does_not_have_the_paper(
    web: ScholarlyWeb, http: httpx.Client, doi: str, set_up: Setup, tried: list[tuple[str, str]]
) -> None:
    """Places that do not have the paper, or do not give it, end as NOT_FOUND, and each says why."""
    set_up(web, doi)
    job = finish(http, doi)
    assert (job["error_code"], of_places(job)) == ("NOT_FOUND", tried)


@pytest.mark.parametrize(("set_up", "tried"), STOPPED.values(), ids=STOPPED.keys())
def test_a_place_that_has_the_paper_and_fails(
    web: ScholarlyWeb, http: httpx.Client, doi: str, set_up: Setup, tried: list[tuple[str, str]]
) -> None:
    """Where a copy is found and something stops it, the job ends as DOWNLOAD_FAILED, and the attempt says what."""
    set_up(web, doi)
    job = finish(http, doi)
    assert (job["error_code"], of_places(job)) == ("DOWNLOAD_FAILED", tried)


def test_another_paper_is_refused(web: ScholarlyWeb, http: httpx.Client, doi: str) -> None:
    """A supplement in the place of the paper is refused by its title, and the next place is tried."""
    web.unpaywall(doi, put(web, doi, pdf("Supplementary tables of measurements"), pdf("Lensing of quasars")))
    job = finish(http, doi, title="Lensing of quasars")
    assert job["status"] == "completed"
    assert flaws(job) == [("unpaywall", "WRONG_PAPER")]


def test_a_dripping_file_does_not_hold_a_job(web: ScholarlyWeb, http: httpx.Client, doi: str) -> None:
    """A file that comes a byte at a time ends with the time of the job."""
    listed(stream(b"%", 0.01))(web, doi)
    assert finish(http, doi, timeout_seconds=1)["error_code"] == "TIMEOUT"


def test_a_record_with_hundreds_of_places(web: ScholarlyWeb, http: httpx.Client, doi: str) -> None:
    """Six places of a source are tried, each once, however many it names."""
    web.unpaywall(doi, [*put(web, doi, *[answer(404)] * 300), *put(web, doi, answer(404))])
    job = finish(http, doi)
    assert of_places(job) == [("unpaywall", "GONE")] * 6


def test_a_place_that_two_sources_name_is_tried_once(web: ScholarlyWeb, http: httpx.Client, doi: str) -> None:
    """An address that failed for one source is not asked again for another."""
    (url,) = put(web, doi, answer(404))
    web.unpaywall(doi, [url])
    web.openalex(doi, [url])
    job = finish(http, doi)
    assert of_places(job) == [("unpaywall", "GONE")]
    assert web.paths().count(f"pub/{doi}/0.pdf") == 1


@pytest.mark.parametrize(
    "resource",
    [
        page("no JSON"),
        document([1]),
        document({"doi": "10.5555/other", "oa_locations": []}),
        answer(500),
        answer(503),
        file(b'{"a": "' + b"x" * 9_000_000 + b'"}', "application/json"),
        file(b"[" * 100_000, "application/json"),
        stream(b" " * 65536, 0.001),
    ],
    ids=["page", "list", "other", "500", "503", "huge", "deep", "endless"],
)
def test_an_index_that_fails_costs_only_itself(web: ScholarlyWeb, http: httpx.Client, doi: str, resource: Any) -> None:
    """An index that answers nonsense is noted, and the others are asked."""
    web.at(f"unpaywall/v2/{doi}", resource)
    web.openalex(doi, put(web, doi, pdf()))
    job = finish(http, doi)
    assert job["source"] == "openalex"
    assert flaws(job) == [("unpaywall", "SOURCE_DOWN")]


@pytest.mark.parametrize(
    "document_",
    [
        {"oa_locations": None},
        {"oa_locations": {}},
        {"oa_locations": [None, 3, [], {"url_for_pdf": 3}, {"url_for_pdf": ""}, {"url_for_pdf": "ftp://x/y"}]},
        {"oa_locations": [{"url_for_pdf": "http://" + "x" * 5000}]},
        {"best_oa_location": "no", "oa_locations": "no"},
    ],
)
def test_a_record_of_any_shape(web: ScholarlyWeb, http: httpx.Client, doi: str, document_: dict[str, Any]) -> None:
    """Members of a record that are missing, null or of another kind name no place, and nothing fails."""
    web.at(f"unpaywall/v2/{doi}", document({"doi": doi, **document_}))
    assert finish(http, doi)["error_code"] == "NOT_FOUND"


def test_arxiv_papers_are_asked_for_by_their_dois(web: ScholarlyWeb, http: httpx.Client) -> None:
    """A DOI of arXiv gives the address of the file; no index is asked."""
    web.at("arxiv/pdf/2101.00001", pdf())
    before = len(web.asked)
    job = finish(http, "arXiv:2101.00001")
    assert (job["source"], job["version"]) == ("arxiv", "submittedVersion")
    assert web.paths()[before:] == ["arxiv/pdf/2101.00001"]


SICI = "10.1002/(SICI)1097-0258(19980815)17:15/16<1661::AID-SIM968>3.0.CO;2-2"


@pytest.mark.parametrize("odd", [SICI, "10.5555/a?b#c", "10.5555/50%25", "10.5555/é"])
def test_dois_with_odd_characters(web: ScholarlyWeb, http: httpx.Client, odd: str) -> None:
    """Every DOI reaches the indexes and the resolver as it is."""
    before = len(web.asked)
    finish(http, odd)
    wanted = normalize(odd)
    asked = web.paths()[before:]
    assert {f"unpaywall/v2/{wanted}", f"openalex/works/doi:{wanted}", f"crossref/works/{wanted}"} <= set(asked)
    assert f"doi/{wanted}" in asked


def test_what_hosts_are_told(web: ScholarlyWeb, http: httpx.Client, doi: str) -> None:
    """Each request has one honest User-Agent with the contact; a link from a page names the page, and nothing else."""
    landed(pdf())(web, doi)
    before = len(web.asked)
    finish(http, doi)
    asked = web.asked[before:]
    agents = {one.headers["user-agent"] for one in asked}
    assert len(agents) == 1
    assert "library@example.org" in agents.pop()
    referers = {one.path: one.headers.get("referer") for one in asked if "referer" in one.headers}
    assert referers == {f"pub/{doi}/0.pdf": f"{web.url}/pub/{doi}"}


def test_cookies_live_for_one_walk(web: ScholarlyWeb, http: httpx.Client, doi: str) -> None:
    """What a host sets for one job is not sent for the next one."""
    listed(after_cookie(pdf()))(web, doi)
    finish(http, doi)
    before = len(web.asked)
    listed(pdf())(web, f"{doi}.next")
    finish(http, f"{doi}.next")
    assert not any("cookie" in one.headers for one in web.asked[before:])


def test_a_download_goes_on_where_it_broke_off(web: ScholarlyWeb, http: httpx.Client, doi: str) -> None:
    """The second request asks for the rest, by the entity tag."""
    listed(cut(PDF, 700))(web, doi)
    before = len(web.asked)
    finish(http, doi)
    again = [one.headers for one in web.asked[before:] if one.path.startswith("pub/")][1]
    assert (again["range"], again["if-range"]) == ("bytes=700-", '"one"')
