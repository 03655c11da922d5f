"""Finding papers: the library folder, the judgement of bytes, the chain and the store."""

import gzip
import os
import zipfile
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from attrs import define, evolve, field

from gofer.contracts.flaws import Flaw
from gofer_service import sample_library
from gofer_service.engine import ErrorCode, Failure, Fenced, Job, Result, Status, Submission, Unavailable
from gofer_service.inspect_file import sniff
from gofer_service.inspection import Unfit, check
from gofer_service.retrieval import Retrieval
from gofer_service.sources.base import LocalFile, Paper, Source, Web
from gofer_service.sources.library import Library, Overview
from gofer_service.store import FolderStore
from gofer_service.vpn import Vpn
from gofer_service.walk import MAX_CANDIDATES

from .conftest import NoWeb, write_pdf

pytestmark = pytest.mark.anyio
DOI = "10.5555/a.b"


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, as uvicorn does."""
    return "asyncio"


async def named(folder: Path, doi: str = DOI) -> list[str]:
    """Give the labels of what the library names for the DOI."""
    return [candidate.label async for candidate in Library(folder).candidates(Paper(doi), NoWeb())]


async def test_files_are_found_by_name(tmp_path: Path) -> None:
    """A file named like the DOI is found whatever its case, in subfolders too, PDFs first."""
    (tmp_path / "sub").mkdir()
    for name in ("10.5555_A.B.EPUB", "sub/10.5555_a.b.pdf", "10.5555_a.b.txt", "10.5555_a.c.pdf"):
        (tmp_path / name).write_bytes(b"x")
    assert await named(tmp_path) == ["sub/10.5555_a.b.pdf", "10.5555_A.B.EPUB"]


async def test_the_index_is_read_past_its_mistakes(tmp_path: Path) -> None:
    """Lines that make no sense are skipped; those that do count."""
    (tmp_path / "one.pdf").write_bytes(b"x")
    (tmp_path / "index.jsonl").write_text(
        "not json\n[]\n{}\n"
        '{"doi": 1, "file": "one.pdf"}\n{"doi": "10.5555/a.b", "file": 7}\n{"doi": "10.5555/a.b", "file": "none.pdf"}\n'
        '{"doi": "10.5555/a.b", "file": "one\\u0000.pdf"}\n'
        + "[" * 100_000
        + '\n{"doi": "https://doi.org/10.5555/A.B", "file": "one.pdf", "version": "am"}\n'
    )
    found = [candidate async for candidate in Library(tmp_path).candidates(Paper(DOI), NoWeb())]
    assert [(candidate.label, candidate.version) for candidate in found] == [("one.pdf", "am")]


async def test_a_mistake_in_the_index_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A broken line is logged with its number, and so is one whose file is not there, but only once."""
    (tmp_path / "index.jsonl").write_text(f'\n{{"doi": "{DOI}", "file": "none.pdf"}}\nnot json\n')
    for library in (Library(tmp_path), Library(tmp_path)):
        assert [candidate async for candidate in library.candidates(Paper(DOI), NoWeb())] == []
    broken, missing = (record.getMessage() for record in caplog.records)
    assert broken.startswith(f"line 3 of {tmp_path}/index.jsonl is left out")
    assert missing == f"line 2 of {tmp_path}/index.jsonl: there is no file 'none.pdf' in the library"


def test_a_library_at_a_glance(tmp_path: Path) -> None:
    """The overview counts the files, each once, and names a DOI that leads to one: by file name, else by the index."""
    assert Library(tmp_path).overview() == Overview(0, None)
    (tmp_path / "some.pdf").write_bytes(b"x")
    (tmp_path / "notes.txt").write_bytes(b"x")
    assert Library(tmp_path).overview() == Overview(1, None)
    (tmp_path / "index.jsonl").write_text(f'{{"doi": "{DOI}", "file": "some.pdf"}}\n')
    assert Library(tmp_path).overview() == Overview(1, DOI)
    (tmp_path / "10.1234_A_b.xml").write_bytes(b"x")
    assert Library(tmp_path).overview() == Overview(2, "10.1234/a_b")


async def test_the_name_in_the_overview_leads_to_the_file(tmp_path: Path) -> None:
    """The DOI that is suggested finds its file."""
    (tmp_path / "10.1234_a_b.pdf").write_bytes(b"x")
    assert await named(tmp_path, Library(tmp_path).overview().doi or "") == ["10.1234_a_b.pdf"]


async def test_a_broken_pdf_is_named_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A PDF that cannot be read is named once; what pypdf says, without a name, is not printed."""
    (tmp_path / "broken.pdf").write_bytes(b"no header at all")
    library = Library(tmp_path)
    for _ in range(2):
        assert [candidate async for candidate in library.candidates(Paper(DOI), NoWeb())] == []
    (tmp_path / "bad.pdf").write_bytes(b"%PDF-1.4 no pages at all %%EOF")
    with pytest.raises(Unfit):
        await check(tmp_path / "bad.pdf")
    (record,) = caplog.records
    assert "broken.pdf' cannot be read as a PDF" in record.getMessage()


async def test_nothing_outside_the_folder_is_named(tmp_path: Path) -> None:
    """Paths that lead outside, by dots, by absolute names or by links, are ignored; links inside are fine."""
    folder = tmp_path / "library"
    folder.mkdir()
    secret = write_pdf(tmp_path / "secret.pdf", doi=DOI)
    (folder / "10.5555_a.b.pdf").symlink_to(secret)
    (folder / "loop.pdf").symlink_to(folder / "loop.pdf")
    (folder / "out").symlink_to(tmp_path)
    lines = ["../secret.pdf", str(secret), "out/secret.pdf", "loop.pdf", "."]
    (folder / "index.jsonl").write_text("".join(f'{{"doi": "{DOI}", "file": "{line}"}}\n' for line in lines))
    assert await named(folder) == []
    (folder / "real.bin").write_bytes(b"x")
    (folder / "10.5555_a.b.epub").symlink_to(folder / "real.bin")
    assert await named(folder) == ["10.5555_a.b.epub"]


async def test_a_pdf_is_found_by_what_it_says(tmp_path: Path) -> None:
    """A DOI in the metadata or on the first page leads to the PDF; broken files are passed over."""
    write_pdf(tmp_path / "meta.pdf", doi="10.5555/A.B")
    write_pdf(tmp_path / "page.pdf", pages="See https://doi.org/10.5555/a.b.")
    write_pdf(tmp_path / "other.pdf", doi="10.5555/other")
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.4 nothing %%EOF")
    assert await named(tmp_path) == ["meta.pdf", "page.pdf"]


async def test_new_and_changed_files_are_seen(tmp_path: Path) -> None:
    """The folder is read anew each time; a file is read again only when it has changed."""
    library = Library(tmp_path)

    async def count() -> int:
        return len([candidate async for candidate in library.candidates(Paper(DOI), NoWeb())])

    assert await count() == 0
    path = write_pdf(tmp_path / "new.pdf", doi=DOI)
    assert await count() == 1
    write_pdf(path, doi="10.5555/other.than.that")
    os.utime(path, ns=(1, 1))
    assert await count() == 0


async def test_a_missing_folder_is_an_empty_one(tmp_path: Path) -> None:
    """A library that is not there names nothing."""
    assert await named(tmp_path / "none") == []


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"", "empty"),
        (b"%PDF-1.7\n", "pdf"),
        (b"junk\n" * 100 + b"%PDF-1.4", "pdf"),
        (b"junk\n" * 300 + b"%PDF-1.4", "text"),
        (b"PK\x03\x04" + bytes(26) + b"mimetypeapplication/epub+zip", "epub"),
        (b"PK\x03\x04" + bytes(60), "zip"),
        (gzip.compress(b"x", mtime=0), "gzip"),
        (b"<?xml version='1.0'?><article/>", "xml"),
        (b"\xef\xbb\xbf\n <article>", "xml"),
        (b"<!DOCTYPE article PUBLIC>", "xml"),
        (b"<?xml version='1.0'?><html>", "html"),
        (b"<!doctype HTML>", "html"),
        (b"\xef\xbb\xbf<html>", "html"),
        (b"<!-- x --><p>", "html"),
        (b"<body>", "html"),
        (b"<script>", "html"),
        (b"plain words", "text"),
        (("é" * 1024).encode()[:2047], "text"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", "unknown"),
    ],
)
def test_bytes_tell_what_a_file_is(head: bytes, kind: str) -> None:
    """The kind of a file follows from its first bytes."""
    assert sniff(head) == kind


async def test_the_samples_are_sound() -> None:
    """Every paper of the sample library passes the check."""
    kinds = {path.suffix: await check(path) for path in sample_library().iterdir() if path.suffix != ".jsonl"}
    assert kinds == {".pdf": "pdf", ".xml": "xml", ".epub": "epub"}


@pytest.mark.parametrize(
    ("content", "flaw"),
    [
        (b"", Flaw.EMPTY),
        (b"<html>Just a moment...</html>", Flaw.BLOCKED),
        (b"<html>Please sign in</html>", Flaw.LOGIN_PAGE),
        (b"<html>Hello</html>", Flaw.NOT_THE_FILE),
        (b"plain", Flaw.NOT_THE_FILE),
        (b"<article><front/></article>", Flaw.METADATA_ONLY),
        (b"%PDF-1.4 cut off", Flaw.TRUNCATED),
        (b"%PDF-1.4 no pages at all %%EOF", Flaw.BROKEN_PDF),
        (b"PK\x03\x04" + bytes(26) + b"mimetypeapplication/epub+zip", Flaw.BROKEN_EPUB),
    ],
)
async def test_a_flawed_file_is_named_for_what_it_is(tmp_path: Path, content: bytes, flaw: Flaw) -> None:
    """Each kind of bad file is refused under its own name."""
    path = tmp_path / "file.pdf"
    path.write_bytes(content)
    with pytest.raises(Unfit) as refusal:
        await check(path)
    assert refusal.value.flaw is flaw


async def test_a_page_saved_in_the_library_is_a_paper(tmp_path: Path) -> None:
    """An HTML file is taken only where a page was wanted."""
    path = tmp_path / "page.html"
    path.write_text("<html><body>A paper</body></html>")
    assert await check(path, html=True) == "html"


async def test_a_damaged_epub_is_refused(tmp_path: Path) -> None:
    """An EPUB whose contents do not match their checksums is not taken."""
    path = tmp_path / "book.epub"
    with zipfile.ZipFile(path, "w") as book:
        book.writestr("mimetype", "application/epub+zip")
        book.writestr("text", "words " * 50)
    assert await check(path) == "epub"
    path.write_bytes(path.read_bytes().replace(b"words words", b"words wards", 1))
    with pytest.raises(Unfit, match="BROKEN_EPUB"):
        await check(path)


async def test_the_title_must_be_on_the_first_pages(tmp_path: Path) -> None:
    """Half the words of the title, accents aside, make the right paper; a scan without text is trusted."""
    path = write_pdf(tmp_path / "a.pdf", pages="Resume of the etudes on errands and parcels. " * 10)
    assert await check(path, "Résumé of études") == "pdf"
    with pytest.raises(Unfit, match="WRONG_PAPER"):
        await check(path, "Gravitational lensing of quasars")
    assert await check(write_pdf(tmp_path / "scan.pdf", pages="1"), "Gravitational lensing") == "pdf"


@define
class Listed(Source):
    """A source that names these files."""

    paths: list[Path]
    name: str = "listed"
    needs_vpn: bool = False

    async def candidates(self, paper: Paper, web: Web) -> AsyncGenerator[LocalFile, None]:
        """Name them in turn."""
        for path in self.paths:
            yield LocalFile(path, path.name)


@define
class Notes:
    """A run that writes its reports down."""

    job: Job = field(factory=lambda: Job("a", Submission(DOI), 60, 0, 0, attempt=1))
    states: list[Status] = field(factory=list)

    async def report(self, **changes: Any) -> None:
        """Keep the change."""
        self.job = evolve(self.job, **changes)
        if not self.states or self.states[-1] is not self.job.status:
            self.states.append(self.job.status)


async def retrieve(tmp_path: Path, *sources: Listed, vpn: Vpn | None = None) -> tuple[Notes, Result | Failure]:
    """Run the chain over the sources; give what was reported and the outcome."""
    notes = Notes()
    chain = Retrieval(sources, FolderStore(tmp_path / "files"), tmp_path / "incoming", vpn=lambda: vpn or Vpn())
    async with chain.running():
        try:
            return notes, await chain(notes)
        except Failure as failure:
            return notes, failure


async def test_the_chain_takes_the_first_sound_file(tmp_path: Path) -> None:
    """Bad candidates are noted and passed over, across sources; the first good one is stored."""
    cut = tmp_path / "cut.pdf"
    cut.write_bytes(b"%PDF-1.4 cut off")
    good = write_pdf(tmp_path / "good.pdf")
    notes, result = await retrieve(tmp_path, Listed([cut, cut, tmp_path / "gone.pdf"]), Listed([good], "second"))
    assert isinstance(result, Result)
    assert (result.source, result.key, result.format) == ("second", "a.1.pdf", "pdf")
    assert [(tried.place, tried.failure) for tried in notes.job.tried] == [
        ("cut.pdf", "TRUNCATED"),
        ("gone.pdf", "UNREACHABLE"),
    ]
    assert notes.states == [Status.SEARCHING, Status.DOWNLOADING]
    assert notes.job.bytes_total == good.stat().st_size
    assert (tmp_path / "files" / "a.1.pdf").read_bytes() == good.read_bytes()


@pytest.mark.parametrize(
    ("contents", "code"),
    [
        ([], ErrorCode.NOT_FOUND),
        ([b"<html>Hello"], ErrorCode.NOT_FOUND),
        ([b"<html>sign in", b"plain"], ErrorCode.NOT_FOUND),
        ([b"%PDF-1.4 cut off"], ErrorCode.DOWNLOAD_FAILED),
        ([b"<html>Hello", b"%PDF-1.4 no pages at all %%EOF"], ErrorCode.DOWNLOAD_FAILED),
        ([b"<html>captcha"], ErrorCode.DOWNLOAD_FAILED),
        ([b""], ErrorCode.DOWNLOAD_FAILED),
    ],
)
async def test_what_was_tried_decides_the_code(tmp_path: Path, contents: list[bytes], code: ErrorCode) -> None:
    """No paper anywhere is NOT_FOUND; a paper that could not be had is DOWNLOAD_FAILED."""
    paths = []
    for number, content in enumerate(contents):
        paths.append(tmp_path / f"{number}.pdf")
        paths[-1].write_bytes(content)
    _, failure = await retrieve(tmp_path, Listed(paths))
    assert isinstance(failure, Failure)
    assert failure.code is code


async def test_a_refused_file_is_not_denied(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where a file was found and refused the job says so, and the log names the file."""
    path = tmp_path / "10.5555_a.b.xml"
    path.write_bytes(b"<article><front/></article>")
    _, failure = await retrieve(tmp_path, Listed([path]))
    assert str(failure) == f"no source has a usable copy of {DOI}"
    assert f"{path}' is not taken for {DOI}: METADATA_ONLY, an XML file without <body>" in caplog.text
    _, failure = await retrieve(tmp_path, Listed([]))
    assert str(failure) == f"no source has {DOI}"


async def test_sources_behind_the_vpn_wait_for_it(tmp_path: Path) -> None:
    """While the VPN is down its sources are left out, and a paper not found elsewhere is a VPN_ERROR."""
    closed = Listed([write_pdf(tmp_path / "good.pdf")], "publisher", needs_vpn=True)
    _, failure = await retrieve(tmp_path, Listed([]), closed)
    assert isinstance(failure, Failure)
    assert failure.code is ErrorCode.VPN_ERROR
    _, result = await retrieve(tmp_path, closed, vpn=Vpn(configured=True, connected=True))
    assert isinstance(result, Result)


async def test_a_source_is_not_followed_without_end(tmp_path: Path) -> None:
    """At most six places of a source are tried."""
    notes, _ = await retrieve(tmp_path, Listed([tmp_path / f"{number}.pdf" for number in range(50)]))
    assert len(notes.job.tried) == MAX_CANDIDATES


async def test_a_fenced_body_leaves_no_file(tmp_path: Path) -> None:
    """When a job ends while its file is being written, the unfinished file is removed."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b"half"
        raise Fenced

    store = FolderStore(tmp_path)
    with pytest.raises(Fenced):
        await store.put("a.1.pdf", chunks())
    assert list(tmp_path.iterdir()) == []


async def test_a_new_attempt_clears_up_after_the_former(tmp_path: Path) -> None:
    """What earlier attempts at a job left, complete or not, is removed when the next one writes."""
    for name in ("a.1.pdf", "a.2.pdf.unfinished", "b.1.pdf"):
        (tmp_path / name).write_bytes(b"x")

    async def chunks() -> AsyncIterator[bytes]:
        yield b"whole"

    await FolderStore(tmp_path).put("a.3.pdf", chunks())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.3.pdf", "b.1.pdf"]


@pytest.mark.parametrize("key", ["", "../a.1.pdf", "a/b.1.pdf", "a", "a.1.pdf\0", "/etc/passwd"])
async def test_the_store_has_no_paths(tmp_path: Path, key: str) -> None:
    """A key that is not of the store's own form is refused."""
    with pytest.raises(ValueError, match="not a key of this store"):
        await FolderStore(tmp_path).delete(key)


async def test_records_that_cannot_be_read_do_not_stop_a_walk(tmp_path: Path) -> None:
    """If the engine cannot say what is kept, the paper is looked for as if nothing were."""

    async def kept(_: str) -> list[Job]:
        raise Unavailable

    source = Listed([write_pdf(tmp_path / "a.pdf")])
    chain = Retrieval([source], FolderStore(tmp_path / "files"), tmp_path / "incoming", kept=kept)
    async with chain.running():
        assert (await chain(Notes())).source == "listed"


async def test_a_stored_file_is_read_in_part(tmp_path: Path) -> None:
    """A span of a stored file is read as asked, however the chunks fall."""
    store = FolderStore(tmp_path)
    data = bytes(range(256)) * 1000

    async def chunks() -> AsyncIterator[bytes]:
        yield data

    stored = await store.put("a.1.pdf", chunks())
    assert stored.size == len(data)
    async with store.read("a.1.pdf", 1000, 100_000) as part:
        assert b"".join([chunk async for chunk in part]) == data[1000:101_000]
    with pytest.raises(FileNotFoundError):
        async with store.read("b.1.pdf", 0, 1):
            raise AssertionError
