"""Files are inspected in a child process, which has limits and does not outlive its caller."""

import os
import zipfile
import zlib
from collections.abc import Callable
from contextlib import aclosing, suppress
from pathlib import Path

import anyio
import httpx
import pytest

from gofer.contracts.flaws import Flaw
from gofer_service import inspection, local_app, running
from gofer_service.inspection import PdfDoi, Unfit, check, inspecting, read_dois
from gofer_service.sources.base import Paper
from gofer_service.sources.library import Library

from .conftest import AS_TASK, NoWeb, finish, write_pdf

pytestmark = pytest.mark.anyio

WRITE_PID = "import os, pathlib, sys, time; pathlib.Path(sys.argv[2] + '.pid').write_text(str(os.getpid())); "
HANG = WRITE_PID + "time.sleep(1000)"

Program = Callable[[str], None]


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, as uvicorn does."""
    return "asyncio"


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Give a function that puts another program in the place of the one that inspects files."""

    def replace(code: str) -> None:
        path = tmp_path / "program.py"
        path.write_text(AS_TASK + code)
        monkeypatch.setattr(inspection, "_PROGRAM", path)

    return replace


def is_running(pid: int) -> bool:
    """Tell whether a process exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("said", ["../../x", "PDF", "", "pdf\\n../../x"])
async def test_an_answer_that_is_no_verdict(tmp_path: Path, program: Program, said: str) -> None:
    """What the child prints is a format or a flaw; anything else is no sound file, and ends the child."""
    path = write_pdf(tmp_path / "a.pdf")
    program(WRITE_PID + f"print('{said}'); print('done', flush=True); time.sleep(1000)")
    async with inspecting():
        with pytest.raises(Unfit, match="TOO_COSTLY"):
            await check(path)
        assert not is_running(await pid_of(path))


async def pid_of(path: Path) -> int:
    """Wait for the process that inspects the file, and give its number."""
    note = Path(f"{path}.pid")
    with anyio.fail_after(20):
        while not note.exists() or not note.read_text():
            await anyio.sleep(0.01)
    return int(note.read_text())


async def gone(pid: int) -> None:
    """Wait until a process has ended."""
    with anyio.fail_after(20):
        while is_running(pid):
            await anyio.sleep(0.01)


async def refusal(path: Path) -> Flaw:
    """Give the reason why a file is refused."""
    with pytest.raises(Unfit) as unfit:
        await check(path)
    return unfit.value.flaw


async def test_a_check_that_takes_too_long_is_ended(
    tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file whose check does not end is refused when its time is over, and the child is gone."""
    monkeypatch.setattr(inspection, "SECONDS", 1.0)
    program(HANG)
    assert await refusal(tmp_path / "x.pdf") is Flaw.TOO_COSTLY
    assert not is_running(await pid_of(tmp_path / "x.pdf"))


@pytest.mark.parametrize(
    "code",
    [
        "while True: print('x' * 100, end='')",
        "",
        "import os; os.abort()",
        "import sys; sys.exit('no')",
    ],
)
async def test_a_child_that_fails_costs_only_its_file(tmp_path: Path, program: Program, code: str) -> None:
    """Endless output, a crash or no answer at all mean that the file cannot be checked."""
    program(code)
    assert await refusal(tmp_path / "x.pdf") is Flaw.TOO_COSTLY


async def test_a_cancelled_check_kills_its_child(tmp_path: Path, program: Program) -> None:
    """When the caller is cancelled, the child is gone."""
    program(HANG)
    path = tmp_path / "x.pdf"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(check, path)
        pid = await pid_of(path)
        assert is_running(pid)
        tasks.cancel_scope.cancel()
    assert not is_running(pid)


async def test_an_epub_that_unpacks_to_too_much_is_not_unpacked(tmp_path: Path) -> None:
    """An EPUB whose directory states more than 1 GiB is refused by this statement."""
    path = tmp_path / "book.epub"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("mimetype", "application/epub+zip", zipfile.ZIP_STORED)
        book.writestr("text", b"\0" * 1_234_567)
    huge = (2**31 - 1).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace((1_234_567).to_bytes(4, "little"), huge))
    assert await refusal(path) is Flaw.TOO_COSTLY


async def test_a_file_that_needs_too_much_memory_is_refused(tmp_path: Path) -> None:
    """A file that does not fit into the child's memory costs the service no memory."""
    path = tmp_path / "large.xml"
    with path.open("wb") as file:
        file.write(b"<article>")
        file.truncate(3 * 1024**3)  # it is sparse, so that it takes no space
    assert await refusal(path) is Flaw.TOO_COSTLY


async def test_a_pdf_that_cannot_be_read_does_not_hide_the_next(tmp_path: Path, program: Program) -> None:
    """When the child ends at a PDF, that one counts as unreadable, and the library reads the others."""
    program(
        "import json, sys\n"
        "for path in sys.argv[2:]:\n"
        "    if 'bad' in path: sys.exit(1)\n"
        "    print(json.dumps({'doi': '10.5555/found', 'readable': True}), flush=True)\n"
        "print('done')\n"
    )
    for name in ("a.pdf", "bad.pdf", "c.pdf"):
        (tmp_path / name).write_bytes(b"x")
    async with aclosing(read_dois([tmp_path / "a.pdf", tmp_path / "bad.pdf"])) as pdfs:
        assert [pdf async for pdf in pdfs] == [
            PdfDoi(tmp_path / "a.pdf", "10.5555/found", readable=True),
            PdfDoi(tmp_path / "bad.pdf"),
        ]
    found = [candidate.label async for candidate in Library(tmp_path).candidates(Paper("10.5555/found"), NoWeb())]
    assert found == ["a.pdf", "c.pdf"]


def test_a_deadline_and_a_stop_end_a_check(tmp_path: Path, program: Program) -> None:
    """A job whose file takes for ever ends at its deadline and frees its worker; so does a stop of the service."""
    library = tmp_path / "library"
    library.mkdir()
    first, second = (write_pdf(library / f"10.5555_{name}.pdf") for name in ("first", "second"))
    program(HANG)
    with running(local_app(library, tmp_path / "data", concurrency=1)) as url, httpx.Client(base_url=url) as http:
        assert finish(http, "10.5555/first", timeout_seconds=2)["error_code"] == "TIMEOUT"
        anyio.run(gone, anyio.run(pid_of, first))
        http.post("/retrieve", json={"doi": "10.5555/second", "timeout_seconds": 600})
        pid = anyio.run(pid_of, second)
        assert is_running(pid)
    assert not is_running(pid)


def pdf_of(*objects: bytes, root: bytes = b"1 0 R", extra: bytes = b"") -> bytes:
    """Make a PDF of these objects, sound or not."""
    out, offsets = bytearray(b"%PDF-1.5\n"), []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    trailer = b"<< /Size %d /Root %s %s >>" % (len(objects) + 1, root, extra)
    return bytes(out + b"trailer\n%s\nstartxref\n%d\n%%%%EOF\n" % (trailer, start))


def deflated(content: bytes, times: int = 1) -> bytes:
    """Make a stream that unpacks to this, packed several times over."""
    for _ in range(times):
        content = zlib.compress(content, 9)
    filters = b"/FlateDecode " * times
    return b"<< /Length %d /Filter [%s] >>\nstream\n%s\nendstream" % (len(content), filters, content)


CATALOG = b"<< /Type /Catalog /Pages 2 0 R >>"
PAGES = b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>"
HARMFUL = {
    "pages within themselves": pdf_of(CATALOG, b"<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 2 >>"),
    "a catalog that is itself": pdf_of(b"1 0 R"),
    "tables that lead to each other": pdf_of(CATALOG, PAGES, extra=b"/Prev 9"),
    "a table that leads to itself": pdf_of(CATALOG, PAGES, extra=b"/Prev 130"),
    "text that unpacks to a gigabyte": pdf_of(
        CATALOG, PAGES, b"<< /Type /Page /Parent 2 0 R /Contents 4 0 R >>", deflated(b"(x) Tj " * 1_000_000, 3)
    ),
    "a thousand pages of one text": pdf_of(
        CATALOG, b"<< /Type /Pages /Kids [%s] /Count 1000 >>" % (b"3 0 R " * 1000), b"<< /Type /Page /Parent 2 0 R >>"
    ),
    "brackets without end": pdf_of(b"<< /Type /Catalog /Pages " + b"[" * 200_000 + b" >>"),
    "a hundred thousand objects": pdf_of(CATALOG, PAGES, *[b"null"] * 100_000),
    "a count that is a lie": pdf_of(CATALOG, b"<< /Type /Pages /Kids [] /Count 99999999999 >>"),
}


@pytest.mark.parametrize("content", HARMFUL.values(), ids=HARMFUL.keys())
async def test_a_pdf_that_is_made_to_harm(tmp_path: Path, content: bytes) -> None:
    """Whatever is in a PDF, it is judged within limits, and the next file is judged as ever."""
    (tmp_path / "harmful.pdf").write_bytes(content)
    usual = write_pdf(tmp_path / "usual.pdf")
    async with inspecting():
        with suppress(Unfit):
            assert await check(tmp_path / "harmful.pdf", "On errands") == "pdf"
        assert await check(usual) == "pdf"
