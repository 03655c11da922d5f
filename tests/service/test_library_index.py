"""The index of a library: what a job costs in it, and which changes it notices."""

import os
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import pytest

from gofer_service import inspection
from gofer_service.sources import folder_index
from gofer_service.sources.base import Paper
from gofer_service.sources.library import Library

from .conftest import AS_TASK, NoWeb, write_pdf

pytestmark = pytest.mark.anyio
DOI = "10.5555/a.b"


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, as uvicorn does."""
    return "asyncio"


async def named(library: Library, doi: str = DOI) -> list[str]:
    """Give the labels of what the library names for the DOI."""
    return [candidate.label async for candidate in library.candidates(Paper(doi), NoWeb())]


async def calls(library: Library, doi: str, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count the calls of the system that ask about files, during one search that takes all it finds."""
    counted: Counter[str] = Counter()
    lock = threading.Lock()

    def count(name: str) -> None:
        call = getattr(os, name)

        def counting(*args: Any, **named: Any) -> Any:
            with lock:
                counted[name] += 1
            return call(*args, **named)

        context.setattr(os, name, counting)

    with monkeypatch.context() as context:
        for name in ("stat", "lstat", "scandir", "listdir", "open", "readlink"):
            count(name)
        await named(library, doi)
    return counted


@pytest.mark.parametrize("doi", ["10.5555/paper.3", "10.5555/inside.3", "10.5555/listed.3", "10.5555/missing"])
async def test_two_thousand_papers_cost_a_job_what_ten_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, doi: str
) -> None:
    """However many files the library has, a search asks the system the same few times, found or not."""
    program = tmp_path / "program.py"
    program.write_text(
        AS_TASK + "import json, os, sys\n"
        "for path in sys.argv[2:]:\n"
        "    number = os.path.splitext(os.path.basename(path))[0].rpartition('-')[2]\n"
        "    print(json.dumps({'doi': '10.5555/inside.' + number, 'readable': True}), flush=True)\n"
        "print('done')\n"
    )
    monkeypatch.setattr(inspection, "_PROGRAM", program)
    monkeypatch.setattr(folder_index, "SETTLED", 0.0)
    monkeypatch.setattr(folder_index, "LOOK_EVERY", 0.0)
    costs = []
    for size in (10, 2000):
        folder = tmp_path / str(size)
        (folder / "sub").mkdir(parents=True)
        for number in range(size):
            (folder / f"10.5555_paper.{number}.xml").touch()
        for number in range(size // 50 + 4):
            (folder / "sub" / f"scan-{number}.pdf").touch()
        (folder / "any.xml").touch()
        (folder / "index.jsonl").write_text(
            "".join(f'{{"doi": "10.5555/listed.{number}", "file": "any.xml"}}\n' for number in range(size))
        )
        library = Library(folder)
        for _ in range(2):
            await named(library, doi)
        costs.append(await calls(library, doi, monkeypatch))
    assert costs[0] == costs[1]
    assert costs[0].total() < 100


async def test_a_paper_that_was_just_copied_is_found(tmp_path: Path) -> None:
    """The folders were checked a moment ago, and are checked once more before a paper is not found."""
    library = Library(tmp_path)
    assert await named(library) == []
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "10.5555_a.b.xml").touch()
    assert await named(library) == ["new/10.5555_a.b.xml"]
    (tmp_path / "index.jsonl").write_text('{"doi": "10.5555/listed", "file": "new/10.5555_a.b.xml"}\n')
    assert await named(library, "10.5555/listed") == ["new/10.5555_a.b.xml"]
    (tmp_path / "new" / "10.5555_a.b.xml").unlink()
    assert await named(library) == []


async def test_a_folder_that_changes_twice_in_a_moment_is_listed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a file system with coarse times a second change leaves the same time, and is noticed all the same."""
    library = Library(tmp_path)
    os.utime(tmp_path, ns=(10**18, 10**18))
    assert await named(library) == []
    (tmp_path / "10.5555_a.b.xml").touch()
    os.utime(tmp_path, ns=(10**18, 10**18))
    assert await named(library) == ["10.5555_a.b.xml"]


async def test_a_folder_at_rest_is_not_listed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once its time has been the same for long enough, a folder costs one call and is not listed."""
    monkeypatch.setattr(folder_index, "SETTLED", 0.0)
    library = Library(tmp_path)
    for _ in range(2):
        await named(library)
    assert (await calls(library, DOI, monkeypatch))["scandir"] == 0


async def test_a_pdf_that_was_read_while_it_was_copied_is_read_again(tmp_path: Path) -> None:
    """A PDF that could not be read is read again once it has changed, although its folder has not."""
    whole = write_pdf(tmp_path / "whole.bin", doi=DOI).read_bytes()
    library = Library(tmp_path)
    with (tmp_path / "scan.pdf").open("wb") as file:
        file.write(whole[:100])
        file.flush()
        assert await named(library) == []
        file.write(whole[100:])
    assert await named(library) == ["scan.pdf"]


async def test_a_pdf_that_was_replaced_is_read_again(tmp_path: Path) -> None:
    """A PDF under the same name with another DOI in it is found by that DOI, and no longer by the former one."""
    library = Library(tmp_path)
    write_pdf(tmp_path / "scan.pdf", doi="10.5555/former")
    assert await named(library, "10.5555/former") == ["scan.pdf"]
    write_pdf(tmp_path / "scan.new", doi="10.5555/another").replace(tmp_path / "scan.pdf")
    assert await named(library, "10.5555/another") == ["scan.pdf"]
    assert await named(library, "10.5555/former") == []


async def test_jobs_that_search_at_once_read_each_pdf_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several searches share what is read, and each of them finds its paper."""
    program, note = tmp_path / "program.py", tmp_path / "read.txt"
    program.write_text(
        AS_TASK + "import json, pathlib, sys\n"
        "for path in sys.argv[2:]:\n"
        f"    with open({str(note)!r}, 'a') as note: note.write(path + chr(10))\n"
        "    print(json.dumps({'doi': '10.5555/' + pathlib.Path(path).stem, 'readable': True}), flush=True)\n"
        "print('done')\n"
    )
    monkeypatch.setattr(inspection, "_PROGRAM", program)
    folder = tmp_path / "library"
    folder.mkdir()
    for number in range(40):
        (folder / f"scan-{number}.pdf").touch()
    library = Library(folder)
    found: dict[int, list[str]] = {}

    async def search(number: int) -> None:
        found[number] = await named(library, f"10.5555/scan-{number}")

    async with anyio.create_task_group() as tasks:
        for number in (0, 20, 39):
            tasks.start_soon(search, number)
    assert found == {number: [f"scan-{number}.pdf"] for number in (0, 20, 39)}
    assert len(note.read_text().splitlines()) == 40


async def test_a_slow_pdf_does_not_keep_others_from_being_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PDF that outlasts a job comes last for the next one."""
    program, note = tmp_path / "program.py", tmp_path / "waits"
    program.write_text(
        AS_TASK + "import json, pathlib, sys, time\n"
        "for path in sys.argv[2:]:\n"
        "    if 'a-slow' in path:\n"
        f"        pathlib.Path({str(note)!r}).touch()\n"
        "        time.sleep(1000)\n"
        "    print(json.dumps({'doi': '10.5555/' + pathlib.Path(path).stem, 'readable': True}), flush=True)\n"
        "print('done')\n"
    )
    monkeypatch.setattr(inspection, "_PROGRAM", program)
    folder = tmp_path / "library"
    folder.mkdir()
    for name in ("a-slow", "b-quick"):
        (folder / f"{name}.pdf").touch()
    library = Library(folder)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(named, library, "10.5555/b-quick")
        with anyio.fail_after(20):
            while not note.exists():
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()
    with anyio.fail_after(20):
        async for candidate in library.candidates(Paper("10.5555/b-quick"), NoWeb()):
            assert candidate.label == "b-quick.pdf"
            break
