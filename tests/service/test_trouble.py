"""Records that are locked, on a full disk, or only read: what callers see, and what is written."""

import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from gofer_service import ledger, running
from gofer_service.engine import Job, Status, Submission
from gofer_service.ledger import Ledger

from .conftest import assemble
from .test_connections import linger

POST = {"doi": "10.5555/x"}


@contextmanager
def locked(path: Path) -> Generator[None]:
    """Hold the records as a backup program does."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait only a moment for a lock."""
    monkeypatch.setattr(ledger, "BUSY", 0.1)


def assert_unavailable(reply: httpx.Response) -> None:
    """Check for a 503 that says when to try again."""
    assert (reply.status_code, reply.json()["error_code"]) == (503, "UNAVAILABLE")
    assert int(reply.headers["retry-after"]) > 0


def test_locked_records_are_503_for_who_writes_and_nothing_for_who_reads(quick: None, tmp_path: Path) -> None:
    """While another program has the records, a submission is told to come again, and a poll is answered as ever."""
    with running(assemble(tmp_path, linger)) as url, httpx.Client(base_url=url, timeout=20) as http:
        location = http.post("/retrieve", json=POST).headers["location"]
        while http.get(location).json()["status"] != "pending" or not _claimed(tmp_path):
            pass
        with locked(tmp_path / "jobs.sqlite3"):
            assert_unavailable(http.post("/retrieve", json=POST, headers={"Idempotency-Key": '"k"'}))
            assert_unavailable(http.delete(location))
            assert http.get(location).status_code == 200
            assert len(http.get("/jobs").json()["jobs"]) == 1
            assert http.get(location, headers={"Prefer": "wait=1"}).headers["preference-applied"] == "wait=1"
        assert http.post("/retrieve", json=POST, headers={"Idempotency-Key": '"k"'}).status_code == 202
        assert len(http.get("/jobs").json()["jobs"]) == 2


def _claimed(data: Path) -> bool:
    with closing(sqlite3.connect(data / "jobs.sqlite3")) as other:
        return bool(other.execute("SELECT count(*) FROM jobs WHERE claimed").fetchone()[0])


def test_a_full_disk_is_503_and_heals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When records cannot grow, submissions are told to come again; the next one is taken once there is space."""
    ledgers: list[Ledger] = []
    connect = Ledger.__init__

    def connected(self: Ledger, *args: Any, **named: Any) -> None:
        connect(self, *args, **named)
        ledgers.append(self)

    monkeypatch.setattr(Ledger, "__init__", connected)
    with running(assemble(tmp_path, linger)) as url, httpx.Client(base_url=url, timeout=20) as http:
        pages = ledgers[0]._db.execute("PRAGMA page_count").fetchone()[0]
        ledgers[0]._db.execute(f"PRAGMA max_page_count = {pages}")
        body = {"doi": "10.5555/x", "title": "x" * 20_000}
        for _ in range(2):
            assert_unavailable(http.post("/retrieve", json=body))
        assert http.get("/jobs").json()["jobs"] == []
        ledgers[0]._db.execute("PRAGMA max_page_count = 100000")
        assert http.post("/retrieve", json=body).status_code == 202


def test_reading_a_job_writes_nothing(tmp_path: Path) -> None:
    """Polls and lists begin no transaction that writes, however many they are."""
    app = assemble(tmp_path, linger, concurrency=0)
    statements: list[str] = []
    with running(app) as url, httpx.Client(base_url=url) as http:
        location = http.post("/retrieve", json=POST).headers["location"]
        records: Ledger = app.state.engine._ledger
        with closing(sqlite3.connect(tmp_path / "jobs.sqlite3")) as other:
            before = other.execute("PRAGMA data_version").fetchone()
            records._reader.set_trace_callback(statements.append)
            for _ in range(10):
                http.get(location)
                http.get("/jobs")
            http.get(location, headers={"Prefer": "wait=1"})
            records._reader.set_trace_callback(None)
            assert other.execute("PRAGMA data_version").fetchone() == before
    assert len(statements) >= 22
    assert {statement.split()[0] for statement in statements} == {"SELECT"}


def test_a_commit_that_fails_does_not_stop_the_next(quick: None, tmp_path: Path) -> None:
    """After a transaction that could not be ended, the records can be written again."""
    records = Ledger(tmp_path / "jobs.sqlite3", retention=60)
    try:
        db = records._db

        class Failing:
            in_transaction = property(lambda self: db.in_transaction)

            def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
                if statement == "COMMIT":
                    raise sqlite3.OperationalError("database is locked")
                return db.execute(statement, *values)

        records._db = Failing()  # type: ignore[assignment]
        with pytest.raises(sqlite3.OperationalError):
            records.add(Job("a", Submission("10.5555/x"), 60, 0, 0), None, 10)
        records._db = db
        assert records.add(Job("b", Submission("10.5555/x"), 60, 0, 0), None, 10).id == "b"
        assert records.get("a") is None
    finally:
        records.close()


def test_a_late_job_has_ended_for_who_reads_it(tmp_path: Path) -> None:
    """A job past its deadline is shown as failed, also before the service has noticed by itself."""
    now = 1000.0
    app = assemble(tmp_path, linger, concurrency=0, clock=lambda: now)
    with running(app) as url, httpx.Client(base_url=url) as http:
        location = http.post("/retrieve", json={**POST, "timeout_seconds": 5}).headers["location"]
        now = 2000.0
        assert [job["error_code"] for job in http.get("/jobs").json()["jobs"]] == ["TIMEOUT"]
        assert http.get(location).json()["status"] == Status.FAILED
