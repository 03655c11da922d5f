"""Landing pages: the links to the paper that are read from them, and pages that are made to harm their reader."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from tests.scholarly_web.resources import pdf_bytes

from gofer.contracts.flaws import Flaw
from gofer_service import inspection
from gofer_service.inspect_file import MAX_LINKS, MAX_PAGE, MAX_URL, page_links
from gofer_service.inspection import PageLinks, Unfit, check, inspecting, page_flaw, read_links

pytestmark = pytest.mark.anyio
URL = "https://publisher.example.org/article/7?x=1"


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, as uvicorn does."""
    return "asyncio"


def meta(name: str, content: str) -> str:
    """Write a meta element."""
    return f'<meta name="{name}" content="{content}">'


def json_ld(document: object) -> str:
    """Write a script with JSON-LD."""
    return f'<script type="application/ld+json">{json.dumps(document)}</script>'


PAPER = "https://publisher.example.org/7.pdf"
WORK = {"@type": "ScholarlyArticle", "contentUrl": PAPER}
FILE = {"@type": "MediaObject", "contentUrl": PAPER}


@pytest.mark.parametrize(
    "page",
    [
        meta("citation_pdf_url", PAPER),
        meta("Citation_PDF_URL", "/7.pdf"),
        meta("citation_pdf_url", "../7.pdf"),
        meta("citation_pdf_url", "//publisher.example.org/7.pdf"),
        meta("citation_pdf_url", f" {PAPER}#page=2 "),
        meta("citation_pdf_url", "/7.pdf") * 5,
        meta("citation_xml_url", PAPER),
        '<base href="https://publisher.example.org/files/">' + meta("citation_pdf_url", "../7.pdf"),
        '<base href="/files/">' + meta("citation_pdf_url", "../7.pdf"),
        f'<link rel="alternate" type="application/pdf" href="{PAPER}">',
        f'<link rel="Alternate nofollow" type="application/epub+zip" href="{PAPER}">',
        json_ld(WORK),
        json_ld({**WORK, "@type": ["Thing", [], "Article"]}),
        json_ld([3, {"@graph": [None, WORK]}]),
        json_ld(
            {"@type": "WebPage", "mainEntity": {"@type": "Article", "encoding": [{**WORK, "@type": "MediaObject"}]}}
        ),
        "<body>" + meta("citation_pdf_url", PAPER),
        f"<META NAME=citation_pdf_url CONTENT={PAPER}>",
        "<html>" + "\0" * 50 + meta("citation_pdf_url", PAPER),
    ],
)
def test_a_link_to_the_paper(page: str) -> None:
    """Every usual way to name the file is read, relative to the page, and each address once."""
    assert page_links(page.encode(), URL) == {"links": [PAPER], "refresh": None}


@pytest.mark.parametrize(
    "target",
    [
        "",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "ftp://example.org/7.pdf",
        "http://me:secret@example.org/7.pdf",
        "http://[::1",
        "http://",
        "https://example.org/" + "x" * MAX_URL,
        "https://example.org/a b",
        "https://example.org/a\tb\x7f",
        "http://example.org:99999999/",
    ],
)
def test_what_is_no_link_to_the_paper(target: str) -> None:
    """Other schemes, credentials, lengths and characters are no links."""
    page = meta("citation_pdf_url", target) + f'<meta http-equiv="refresh" content="0; url={target}">'
    found = page_links(page.encode(), URL)
    assert found["links"] in ([], ["http://example.org:99999999/"])  # its port is refused by the wall
    assert found["refresh"] in (None, "http://example.org:99999999/")


def test_the_best_links_come_first() -> None:
    """The order is: citation_pdf_url, alternates, JSON-LD, XML; three at most."""
    page = meta("citation_xml_url", "/4") + json_ld({**WORK, "contentUrl": "/3"})
    page += '<link rel="alternate" type="application/pdf" href="/2">' + meta("citation_pdf_url", "/1")
    links = page_links(page.encode(), URL)["links"]
    assert links == [f"https://publisher.example.org/{number}" for number in (1, 2, 3)]
    assert len(links) == MAX_LINKS


@pytest.mark.parametrize("content", ["0;url=/next", "5; URL='/next'", '0 ; Url = "/next" ', "0;url=/next#x"])
def test_a_page_that_refreshes(content: str) -> None:
    """The target of a meta refresh is read, in all its spellings."""
    quote = "'" if '"' in content else '"'
    page = f"<meta http-equiv=Refresh content={quote}{content}{quote}>"
    assert page_links(page.encode(), URL)["refresh"] == "https://publisher.example.org/next"


@pytest.mark.parametrize("content", ["", "5", "0;", "0;url=", "0;uri=/x", "url=/x", "0;url=javascript:x"])
def test_a_page_that_does_not_refresh_elsewhere(content: str) -> None:
    """A refresh without an address that can be followed is none."""
    page = f'<meta http-equiv="refresh" content="{content}">'
    assert page_links(page.encode(), URL)["refresh"] in (None, URL)


HOSTILE = {
    "nested tags": b"<div>" * 400_000,
    "many metas": b"<meta name=citation_pdf_url content=/x>" * 50_000,
    "a long attribute": b'<meta name="citation_pdf_url" content="' + b"x" * MAX_PAGE,
    "deep JSON": b'<script type="application/ld+json">' + b"[" * 1_000_000,
    "wide JSON": b'<script type="application/ld+json">[' + b"{}," * 500_000 + b"{}]</script>",
    "nested graphs": b'<script type="application/ld+json">' + b'{"@graph":' * 900 + b"1" + b"}" * 900,
    "no text": bytes(range(256)) * 8000,
    "surrogates": b'<meta name=citation_pdf_url content="http://x/\xed\xa0\x80">',
    "many entities": b"&lt;" * 500_000,
    "open comments": b"<!--" * 500_000,
    "open tags": b"<a b=" * 400_000,
}


@pytest.mark.parametrize("page", HOSTILE.values(), ids=HOSTILE.keys())
async def test_a_page_that_is_made_to_harm(tmp_path: Path, page: bytes) -> None:
    """Whatever a page is, it is read within limits or refused, and the next one is read as ever."""
    hostile, usual = tmp_path / "hostile.html", tmp_path / "usual.html"
    hostile.write_bytes(page)
    usual.write_text(meta("citation_pdf_url", PAPER))
    async with inspecting():
        with suppress(Unfit):
            assert len((await read_links(hostile, URL)).links) <= MAX_LINKS
        assert await read_links(usual, URL) == PageLinks((PAPER,))


async def test_a_child_is_kept_for_the_next_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks one after the other have one child; one that is lost is replaced; outside of the block each has its own."""
    started = 0
    start = inspection._started

    async def count() -> inspection._Child:
        nonlocal started
        started += 1
        return await start()

    monkeypatch.setattr(inspection, "_started", count)
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf_bytes())
    async with inspecting():
        for _ in range(5):
            assert await check(path) == "pdf"
        assert started == 1
        (child,) = inspection._idle.get() or []
        child.process.kill()
        await child.process.wait()
        with pytest.raises(Unfit, match="TOO_COSTLY"):
            await check(path)
        assert await check(path) == "pdf"
        assert started == 2
    assert await check(path) == "pdf"
    assert started == 3
    assert child.process.returncode is not None


async def test_a_child_that_is_worn_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that says that it ends now is not used again."""
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\nfor line in sys.stdin:\n    print('pdf')\n    print('worn', flush=True)\n    break\n"
    )
    monkeypatch.setattr(inspection, "_PROGRAM", program)
    async with inspecting():
        for _ in range(3):
            assert await check(tmp_path / "x.pdf") == "pdf"
            assert inspection._idle.get() == []


@pytest.mark.parametrize(
    ("page", "flaw"),
    [
        (b"<html>Just a moment...", Flaw.BLOCKED),
        (b"<HTML>CAPTCHA", Flaw.BLOCKED),
        (b"<html>Sign in", Flaw.LOGIN_PAGE),
        (b"<html>Hello", None),
        (b"x" * 70_000 + b"captcha", None),
        (b"", None),
    ],
)
def test_what_a_page_in_the_place_of_a_paper_is(page: bytes, flaw: Flaw | None) -> None:
    """Words at the beginning of a page tell a bot wall and a login from other pages."""
    assert page_flaw(page) is flaw


async def test_a_pdf_with_a_password(tmp_path: Path) -> None:
    """A PDF that needs a password is refused; one that an empty password opens is a paper."""
    from pypdf import PdfReader, PdfWriter

    (tmp_path / "plain.pdf").write_bytes(pdf_bytes())
    for name, password in (("locked", "secret"), ("open", "")):
        writer = PdfWriter(clone_from=PdfReader(tmp_path / "plain.pdf"))
        writer.encrypt(password, "owner", algorithm="RC4-128")
        writer.write(tmp_path / f"{name}.pdf")
    assert await check(tmp_path / "open.pdf") == "pdf"
    with pytest.raises(Unfit, match="ENCRYPTED"):
        await check(tmp_path / "locked.pdf")
