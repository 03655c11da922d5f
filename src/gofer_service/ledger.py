"""The job records in one SQLite file. Every method is one short transaction and blocks.

No threads, no event loop and no clock of its own: `local_engine` brings the three. The rules that must hold whatever
happens are kept here: one process per file, a key belongs to one job, an ended job never changes, and only the
present attempt may write.
"""

import fcntl
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from attrs import evolve
from cattrs.preconf.json import make_converter

from gofer_service.engine import ENDED, EngineLocked, ErrorCode, Job, KeyReused, Page, QueueFull, Status

MAX_CRASHES: Final = 3
"""After so many lost processes a job is held to be their cause."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    key TEXT UNIQUE,
    status TEXT NOT NULL,
    claimed INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0,
    purged INTEGER NOT NULL DEFAULT 0,
    deadline REAL NOT NULL,
    expires REAL,
    record TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS active ON jobs (deadline) WHERE status NOT IN ('completed', 'failed');
CREATE INDEX IF NOT EXISTS results ON jobs (expires) WHERE expires IS NOT NULL;
"""
_converter = make_converter()


class Ledger:
    """The records behind one `LocalEngine`. ``retention`` is how long a result is kept, in seconds."""

    def __init__(self, path: Path, *, retention: float) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._retention = retention
        self._lock = _lock(path.with_name(path.name + ".lock"))
        # The engine lets one thread in at a time, but not always the same one.
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        # A dead process loses nothing this way; a power cut may take the last moments with it.
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file and let another process have it."""
        self._db.close()
        self._lock.close()

    def recover(self, now: float) -> None:
        """Put the jobs that a dead process had in hand back in the queue, or end them if they seem to kill it."""
        with self._transaction():
            rows = self._db.execute(
                "SELECT record, crashes FROM jobs WHERE claimed AND status NOT IN ('completed', 'failed')"
            ).fetchall()
            for record, crashes in rows:
                job = _read(record)
                if crashes + 1 >= MAX_CRASHES:
                    error = f"the service stopped {MAX_CRASHES} times while it worked on this job"
                    self._end(job, now, status=Status.FAILED, error_code=ErrorCode.DOWNLOAD_FAILED, error=error)
                else:
                    self._requeue(job, now)
                self._db.execute("UPDATE jobs SET crashes = crashes + 1 WHERE id = ?", (job.id,))

    def add(self, job: Job, key: str | None, limit: int) -> Job:
        """Insert the job, or give the one that ``key`` already made.

        Raises:
            KeyReused: that one was made from another submission.
            QueueFull: ``limit`` jobs are pending.
        """
        with self._transaction():
            if key is not None and (
                row := self._db.execute("SELECT record FROM jobs WHERE key = ?", (key,)).fetchone()
            ):
                known = _read(row[0])
                if known.submission != job.submission:
                    raise KeyReused
                return known
            (pending,) = self._db.execute("SELECT count(*) FROM jobs WHERE status = 'pending'").fetchone()
            if pending >= limit:
                raise QueueFull
            self._db.execute(
                "INSERT INTO jobs (id, key, status, deadline, record) VALUES (?, ?, ?, ?, ?)",
                (job.id, key, job.status, job.deadline, _converter.dumps(job)),
            )
            return job

    def get(self, job_id: str) -> Job | None:
        """Give the record, or None."""
        row = self._db.execute("SELECT record FROM jobs WHERE id = ?", (job_id,)).fetchone()
        return _read(row[0]) if row else None

    def claim(self) -> Job | None:
        """Take the oldest waiting job in hand; its attempt grows by one. The record shows no change otherwise."""
        with self._transaction():
            row = self._db.execute(
                "SELECT record FROM jobs WHERE status = 'pending' AND NOT claimed ORDER BY seq LIMIT 1"
            ).fetchone()
            if row is None:
                return None
            job = _read(row[0])
            job = evolve(job, attempt=job.attempt + 1)
            self._save(job, claimed=True)
            return job

    def release(self, job_id: str, attempt: int, now: float) -> None:
        """Put a job in hand back in the queue; an orderly stop is not held against it."""
        with self._transaction():
            if (job := self.get(job_id)) and job.attempt == attempt and not job.ended:
                self._requeue(job, now)

    def report(self, job_id: str, attempt: int, now: float, changes: dict[str, Any]) -> Job | None:
        """Write ``changes`` for the attempt, or give None when it may not write any more."""
        with self._transaction():
            job = self.get(job_id)
            if job is None or job.ended or job.attempt != attempt:
                return None
            status = changes.get("status", job.status)
            if status in ENDED:
                return self._end(job, now, **changes)
            started = job.started if status is Status.PENDING else job.started or now
            return self._change(job, now, started=started, **changes)

    def cancel(self, job_id: str, now: float) -> Job | None:
        """End the job as cancelled unless it has ended; give the record, or None."""
        with self._transaction():
            job = self.get(job_id)
            if job is None or job.ended:
                return job
            error = "the job was cancelled"
            return self._end(job, now, status=Status.FAILED, error_code=ErrorCode.CANCELLED, error=error)

    def expire(self, now: float) -> list[Job]:
        """End the jobs whose deadline has passed, and give them."""
        with self._transaction():
            rows = self._db.execute(
                "SELECT record FROM jobs WHERE deadline <= ? AND status NOT IN ('completed', 'failed')", (now,)
            ).fetchall()
            return [
                self._end(
                    job,
                    now,
                    status=Status.FAILED,
                    error_code=ErrorCode.TIMEOUT,
                    error=f"not done within {job.submission.timeout_seconds:g} s",
                )
                for job in (_read(record) for (record,) in rows)
            ]

    def purge(self, now: float) -> list[str]:
        """Give the keys of the results to delete, each once; records are forgotten one retention later."""
        with self._transaction():
            rows = self._db.execute("SELECT record FROM jobs WHERE expires <= ? AND NOT purged", (now,)).fetchall()
            self._db.execute("UPDATE jobs SET purged = 1 WHERE expires <= ?", (now,))
            self._db.execute("DELETE FROM jobs WHERE expires <= ?", (now - self._retention,))
            return [job.result.key for job in (_read(record) for (record,) in rows) if job.result]

    def next_due(self) -> float | None:
        """Give the time of the next deadline or expiry, or None."""
        (due,) = self._db.execute(
            "SELECT min(due) FROM (SELECT min(deadline) AS due FROM jobs WHERE status NOT IN ('completed', 'failed')"
            " UNION ALL SELECT min(expires) FROM jobs WHERE expires IS NOT NULL AND NOT purged)"
        ).fetchone()
        return None if due is None else float(due)

    def list(self, status: Status | None, limit: int, cursor: int | None) -> Page:
        """Give up to ``limit`` jobs, newest first, below the sequence number ``cursor``."""
        rows = self._db.execute(
            "SELECT seq, record FROM jobs WHERE (?1 IS NULL OR status = ?1) AND (?2 IS NULL OR seq < ?2)"
            " ORDER BY seq DESC LIMIT ?3",
            (status, cursor, limit + 1),
        ).fetchall()
        page = rows[:limit]
        return Page(tuple(_read(record) for _, record in page), page[-1][0] if len(rows) > limit else None)

    def check(self) -> None:
        """Raise sqlite3.Error unless the file can be written."""
        with self._transaction():
            self._db.execute("DELETE FROM jobs WHERE seq < 0")

    def _requeue(self, job: Job, now: float) -> None:
        fresh = {
            "started": None,
            "progress": None,
            "bytes_done": None,
            "bytes_total": None,
            "message": None,
            "tried": (),
        }
        self._change(job, now, status=Status.PENDING, **fresh)
        self._db.execute("UPDATE jobs SET claimed = 0 WHERE id = ?", (job.id,))

    def _end(self, job: Job, now: float, **changes: Any) -> Job:
        return self._change(job, now, finished=now, expires=now + self._retention, **changes)

    def _change(self, job: Job, now: float, **changes: Any) -> Job:
        revision = job.revision + 1
        changed = evolve(job, updated=now, revision=revision, **changes)
        if changed.status is not job.status:
            changed = evolve(changed, state_revision=revision)
        self._save(changed, claimed=True)
        return changed

    def _save(self, job: Job, *, claimed: bool) -> None:
        self._db.execute(
            "UPDATE jobs SET status = ?, claimed = ?, expires = ?, record = ? WHERE id = ?",
            (job.status, claimed, job.expires, _converter.dumps(job), job.id),
        )

    @contextmanager
    def _transaction(self) -> Generator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


def _read(record: str) -> Job:
    return _converter.loads(record, Job)


def _lock(path: Path) -> IO[str]:
    lock = path.open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise EngineLocked(f"another gofer service is using {path.parent}; stop it or choose another folder") from None
    return lock
