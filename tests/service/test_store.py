"""The store of files, and the look-up of what it keeps: a file under a second key, and the jobs that have one."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from attrs import evolve

from gofer_service import ledger as ledger_module
from gofer_service.engine import Job, Result, Status, Submission
from gofer_service.headers import wants_fresh
from gofer_service.ledger import KEPT, NEXT, PENDING, Ledger
from gofer_service.store import FolderStore

pytestmark = pytest.mark.anyio
DOI = "10.5555/x"


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, as uvicorn does."""
    return "asyncio"


@pytest.mark.parametrize("links", [True, False])
async def test_a_file_under_a_second_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    """A file is there under both keys, also without links of the file system; earlier attempts leave nothing."""
    if not links:
        monkeypatch.setattr(Path, "hardlink_to", lambda *_: (_ for _ in ()).throw(OSError("no links")))
    store = FolderStore(tmp_path)
    (tmp_path / "a.1.pdf").write_bytes(b"content")
    for left in ("b.1.xml", "b.2.pdf.unfinished"):
        (tmp_path / left).write_bytes(b"of an earlier attempt")
    await store.copy("a.1.pdf", "b.2.pdf")
    await store.delete("a.1.pdf")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"b.2.pdf": b"content"}


async def test_a_file_that_is_gone_has_no_second_key(tmp_path: Path) -> None:
    """Copying what is not there is an error, and leaves nothing behind."""
    with pytest.raises(FileNotFoundError):
        await FolderStore(tmp_path).copy("a.1.pdf", "b.1.pdf")
    assert list(tmp_path.iterdir()) == []


def done(name: str, doi: str = DOI, **changes: object) -> tuple[Job, dict[str, object]]:
    """Make a job, and how it ends."""
    result = Result(f"{name}.1.pdf", 3, "pdf", "00", "unpaywall")
    return Job(name, Submission(doi), 60, 0, 0), {"status": Status.COMPLETED, "result": result, **changes}


def test_the_jobs_that_have_a_file(tmp_path: Path) -> None:
    """The newest completed jobs of a DOI are found as long as their files are kept, by an index."""
    ledger = Ledger(tmp_path / "jobs.sqlite3", retention=100)
    for number in range(7):
        job, end = done(f"j{number}")
        if number == 6:
            end = {"status": Status.FAILED, "error": "no"}
        ledger.add(job, None, 100)
        claimed = ledger.claim()
        assert claimed is not None
        ledger.report(job.id, 1, number, end)
    ledger.add(done("other", "10.5555/y")[0], None, 100)
    assert [job.id for job in ledger.kept(DOI, 50)] == ["j5", "j4", "j3", "j2", "j1"]
    assert [job.id for job in ledger.kept(DOI, 104)] == ["j5"]
    assert ledger.kept("10.5555/y", 0) == []
    ledger.purge(105)
    assert ledger.kept(DOI, 0) == []
    with closing(sqlite3.connect(tmp_path / "jobs.sqlite3")) as db:
        (plan,) = db.execute(f"EXPLAIN QUERY PLAN {KEPT}", (DOI, 0, 5)).fetchall()
    assert "USING INDEX kept" in plan[3]
    ledger.close()


@pytest.mark.parametrize("statement", [PENDING, NEXT])
def test_jobs_that_wait_are_found_by_an_index(tmp_path: Path, statement: str) -> None:
    """However many jobs have ended, none of them is looked at for a submission or a claim."""
    Ledger(tmp_path / "jobs.sqlite3", retention=100).close()
    with closing(sqlite3.connect(tmp_path / "jobs.sqlite3")) as db:
        (plan,) = db.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
    assert "INDEX pending" in plan[3]


async def test_a_first_attempt_does_not_look_through_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many files there are, storing one more takes the same time."""
    (tmp_path / "a.1.pdf").write_bytes(b"content")
    monkeypatch.setattr(Path, "glob", None)
    await FolderStore(tmp_path).copy("a.1.pdf", "b.1.pdf")
    assert (tmp_path / "b.1.pdf").read_bytes() == b"content"


def test_records_from_before_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records without the index and without later fields are read, and their papers are served again."""
    path = tmp_path / "jobs.sqlite3"
    with monkeypatch.context() as before:
        schema = "\n".join(line for line in ledger_module._SCHEMA.splitlines() if " kept " not in line)
        before.setattr(ledger_module, "_SCHEMA", schema)
        ledger = Ledger(path, retention=100)
        job, end = done("old")
        ledger.add(job, None, 100)
        ledger.claim()
        ledger.report("old", 1, 0, end)
        ledger.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE jobs SET record = json_remove(record, '$.submission.fresh')")
    ledger = Ledger(path, retention=100)
    (kept,) = ledger.kept(DOI, 50)
    assert (kept.id, kept.submission.fresh) == ("old", False)
    ledger.close()


def test_a_submission_is_the_same_however_fresh_it_must_be() -> None:
    """Whether a paper must be fetched anew is no part of what submissions are compared by."""
    assert evolve(Submission(DOI), fresh=True) == Submission(DOI)


@pytest.mark.parametrize(
    ("header", "fresh"),
    [
        ("", False),
        ("no-cache", True),
        ("NO-CACHE", True),
        ("max-age=0", True),
        ("no-store, no-cache", True),
        (" no-cache ,x", True),
        ("no-store", False),
        ("max-age=10", False),
        ("no-cachex", False),
        (",,,,", False),
    ],
)
def test_when_a_paper_is_fetched_anew(header: str, fresh: bool) -> None:
    """no-cache and max-age=0 in Cache-Control have a paper fetched anew, and nothing else does."""
    assert wants_fresh(header) is fresh
