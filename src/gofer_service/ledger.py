"""The job records in one SQLite file. Every method is one short transaction, and blocks. `get` and `list` only read.

There is no thread, event loop or clock here; `local_engine` has all three. The rules that must always hold are enforced
here: one process per file, one job per key, an ended job never changes, and only the current attempt may write.
"""

import fcntl
import sqlite3
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from attrs import evolve
from cattrs.preconf.json import make_converter

from gofer_service.engine import (
    ENDED,
    Changes,
    CursorGone,
    EngineLocked,
    EngineUnusable,
    ErrorCode,
    Job,
    KeyReused,
    Page,
    QueueFull,
    Status,
)

MAX_CRASHES: Final = 3
"""A job that was running at this number of crashes is taken for their cause, and ends as failed."""

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
CREATE TABLE IF NOT EXISTS changes (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    job TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS told ON changes (owner, seq);
CREATE INDEX IF NOT EXISTS active ON jobs (deadline) WHERE status NOT IN ('completed', 'failed');
CREATE INDEX IF NOT EXISTS pending ON jobs (seq) WHERE status = 'pending';
CREATE INDEX IF NOT EXISTS results ON jobs (expires) WHERE expires IS NOT NULL;
CREATE INDEX IF NOT EXISTS kept ON jobs (json_extract(record, '$.submission.doi'), seq) WHERE status = 'completed';
"""

PENDING: Final = "SELECT count(*) FROM jobs WHERE status = 'pending'"
"""How many jobs wait: asked at each submission."""

NEXT: Final = "SELECT record FROM jobs WHERE status = 'pending' AND NOT claimed ORDER BY seq LIMIT 1"
"""The statement of `Ledger.claim`."""

KEPT: Final = (
    "SELECT record FROM jobs WHERE json_extract(record, '$.submission.doi') = ? AND status = 'completed'"
    " AND expires > ? AND NOT purged ORDER BY seq DESC LIMIT ?"
)
"""The statement of `Ledger.kept`."""

MAX_TOLD: Final = 1 << 19
"""Characters of the records that one reply tells of; the documents made of them are smaller."""

MAX_KEPT: Final = 5
"""Jobs that `Ledger.kept` returns at most."""

BUSY: Final = 1.0
"""Seconds to wait for another program that has locked the file, such as a backup; then the call fails."""

_converter = make_converter()


class Ledger:
    """The records behind one `LocalEngine`. ``retention`` is how long a result is kept, in seconds."""

    def __init__(self, path: Path, *, retention: float) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._retention = retention
        self._lock = _lock(path.with_name(path.name + ".lock"))
        try:
            self._db = _connect(path)
            # A second connection reads while the first waits for a lock.
            self._reader = _connect(path)
            try:
                self._prepare()
            except BaseException:
                self._close()
                raise
        except sqlite3.Error as error:
            self._lock.close()
            raise EngineUnusable(_trouble(path, error)) from error

    def _prepare(self) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        # A crash of the process loses nothing this way; a power cut may lose the last writes.
        self._db.execute("PRAGMA synchronous = NORMAL")
        (found,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(found)
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file and release its lock."""
        self._close()
        self._lock.close()

    def _close(self) -> None:
        self._reader.close()
        self._db.close()

    def recover(self, now: float) -> None:
        """Requeue the jobs that were running when the process died. End those that seem to have caused it."""
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
        """Insert the job, or return the job that ``key`` has made before.

        Raises:
            KeyReused: that job has another submission.
            QueueFull: ``limit`` jobs are pending.
        """
        if key is not None and job.owner:
            key = f"{job.owner} {key}"  # a name of a token has no blank
        with self._transaction():
            # In SQL no key equals NULL, so a submission without a key finds no job.
            for existing in self._jobs("SELECT record FROM jobs WHERE key = ?", key):
                if existing.submission != job.submission:
                    raise KeyReused
                return existing
            (pending,) = self._db.execute(PENDING).fetchone()
            if pending >= limit:
                raise QueueFull
            self._note_change(job)
            self._db.execute(
                "INSERT INTO jobs (id, key, status, deadline, record) VALUES (?, ?, ?, ?, ?)",
                (job.id, key, job.status, job.deadline, _converter.dumps(job)),
            )
            return job

    def get(self, job_id: str) -> Job | None:
        """Return the record, or None. It may run beside the methods that write."""
        return _one(self._reader, job_id)

    def claim(self) -> Job | None:
        """Claim the oldest pending job. Its attempt grows by one; nothing else of the record changes."""
        with self._transaction():
            for job in self._jobs(NEXT):
                claimed = evolve(job, attempt=job.attempt + 1)
                self._save(claimed, claimed=True)
                return claimed
            return None

    def release(self, job_id: str, attempt: int, now: float) -> None:
        """Requeue a claimed job. A regular stop does not count as a crash."""
        with self._transaction():
            if (job := _one(self._db, job_id)) and job.attempt == attempt and not job.ended:
                self._requeue(job, now)

    def report(self, job_id: str, attempt: int, now: float, changes: dict[str, Any]) -> Job | None:
        """Write ``changes`` for the attempt; None if the attempt may no longer write."""
        with self._transaction():
            job = _one(self._db, job_id)
            if job is None or job.ended or job.attempt != attempt:
                return None
            status = changes.get("status", job.status)
            if status in ENDED:
                return self._end(job, now, **changes)
            started = job.started if status is Status.PENDING else job.started or now
            return self._change(job, now, started=started, **changes)

    def cancel(self, job_id: str, now: float) -> Job | None:
        """Cancel the job unless it has ended; return the record, or None."""
        with self._transaction():
            job = _one(self._db, job_id)
            if job is None or job.ended:
                return job
            error = "the job was cancelled"
            return self._end(job, now, status=Status.FAILED, error_code=ErrorCode.CANCELLED, error=error)

    def expire(self, now: float) -> list[Job]:
        """End the jobs whose deadline has passed, and return them."""
        with self._transaction():
            return [
                self._end(
                    job,
                    now,
                    status=Status.FAILED,
                    error_code=ErrorCode.TIMEOUT,
                    error=f"not done within {job.submission.timeout_seconds:g} s",
                )
                for job in self._jobs(
                    "SELECT record FROM jobs WHERE deadline <= ? AND status NOT IN ('completed', 'failed')", now
                )
            ]

    def purge(self, now: float) -> list[str]:
        """Return the keys of the expired files, each once. Records are deleted one retention later."""
        with self._transaction():
            expired = self._jobs("SELECT record FROM jobs WHERE expires <= ? AND NOT purged", now)
            self._db.execute("UPDATE jobs SET purged = 1 WHERE expires <= ?", (now,))
            gone = (now - self._retention,)
            self._db.execute("DELETE FROM changes WHERE job IN (SELECT id FROM jobs WHERE expires <= ?)", gone)
            self._db.execute("DELETE FROM jobs WHERE expires <= ?", gone)
            return [job.result.key for job in expired if job.result]

    def next_due(self) -> float | None:
        """Return the time of the next deadline or expiry, or None."""
        (due,) = self._db.execute(
            "SELECT min(due) FROM (SELECT min(deadline) AS due FROM jobs WHERE status NOT IN ('completed', 'failed')"
            " UNION ALL SELECT min(expires) FROM jobs WHERE expires IS NOT NULL AND NOT purged)"
        ).fetchone()
        return None if due is None else float(due)

    def list(self, status: Status | None, limit: int, cursor: int | None, owner: str = "") -> Page:
        """Return up to ``limit`` jobs, newest first, below the sequence number ``cursor``. It may run as `get`."""
        rows = self._reader.execute(
            "SELECT seq, record FROM jobs WHERE (?1 IS NULL OR status = ?1) AND (?2 IS NULL OR seq < ?2)"
            " AND coalesce(json_extract(record, '$.owner'), '') = ?4 ORDER BY seq DESC LIMIT ?3",
            (status, cursor, limit + 1, owner),
        ).fetchall()
        page = rows[:limit]
        return Page(tuple(_read(record) for _, record in page), page[-1][0] if len(rows) > limit else None)

    def changes(self, owner: str, since: int | None, limit: int) -> Changes:
        """Return the owner's jobs whose state has changed since a cursor. It may run as `get`.

        A change has its number within the transaction that makes it, and there is one writer: no number is passed over.

        Raises:
            CursorGone: no change has had that number yet, so it is of other records.
        """
        self._reader.execute("BEGIN")  # so that the cursor is of the same moment as the jobs
        try:
            (last,) = self._reader.execute(
                "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'changes'), 0)"
            ).fetchone()
            if since is None:
                return Changes((), last)
            if since > last:
                raise CursorGone
            rows = self._reader.execute(
                "SELECT changes.seq, record FROM changes JOIN jobs ON jobs.id = changes.job"
                " WHERE changes.owner = ? AND changes.seq > ? ORDER BY changes.seq LIMIT ?",
                (owner, since, limit),
            ).fetchall()
        finally:
            self._reader.execute("COMMIT")
        jobs, size, told = list[Job](), 0, since
        for seq, record in rows:
            size += len(record)
            if jobs and size > MAX_TOLD:
                return Changes(tuple(jobs), told)
            jobs.append(_read(record))
            told = int(seq)
        return Changes(tuple(jobs), told if len(rows) == limit else last)

    def kept(self, doi: str, now: float) -> Sequence[Job]:
        """Return the newest completed jobs for a DOI whose files have not expired. It may run as `get`."""
        rows = self._reader.execute(KEPT, (doi, now, MAX_KEPT)).fetchall()
        return [_read(record) for (record,) in rows]

    def check(self) -> None:
        """Raise sqlite3.Error unless the file can be written."""
        with self._transaction():
            self._db.execute("DELETE FROM jobs WHERE seq < 0")

    def _jobs(self, query: str, *values: object) -> tuple[Job, ...]:
        return tuple(_read(record) for (record,) in self._db.execute(query, values).fetchall())

    def _requeue(self, job: Job, now: float) -> None:
        fresh = dict.fromkeys(("started", "progress", "bytes_done", "bytes_total", "message"))
        self._change(job, now, status=Status.PENDING, tried=(), **fresh)
        self._db.execute("UPDATE jobs SET claimed = 0 WHERE id = ?", (job.id,))

    def _end(self, job: Job, now: float, **changes: Any) -> Job:
        return self._change(job, now, finished=now, expires=now + self._retention, **changes)

    def _change(self, job: Job, now: float, **changes: Any) -> Job:
        revision = job.revision + 1
        changed = evolve(job, updated=now, revision=revision, **changes)
        if changed.status is not job.status:
            changed = evolve(changed, state_revision=revision)
            self._note_change(job)
        self._save(changed, claimed=True)
        return changed

    def _note_change(self, job: Job) -> None:
        """Give the change of a job's state the next number; the number of its last change is gone then."""
        self._db.execute("INSERT OR REPLACE INTO changes (job, owner) VALUES (?, ?)", (job.id, job.owner))

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
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # SQLite has ended it already if the disk is full
                self._db.execute("ROLLBACK")
            raise


def _connect(path: Path) -> sqlite3.Connection:
    # The engine uses a connection from one thread at a time, but not always from the same one.
    return sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)


def _one(db: sqlite3.Connection, job_id: str) -> Job | None:
    row = db.execute("SELECT record FROM jobs WHERE id = ?", (job_id,)).fetchone()
    return None if row is None else _read(row[0])


def _read(record: str) -> Job:
    return _converter.loads(record, Job)


def _trouble(path: Path, error: sqlite3.Error) -> str:
    why = " ".join(str(error).split())
    if isinstance(error, sqlite3.OperationalError):
        return f"the records in {path} cannot be opened ({why}); close other programs that use them, or free space"
    return f"the records in {path} are damaged ({why}); put back a copy, or move it away to start without records"


def _lock(path: Path) -> IO[str]:
    lock = path.open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise EngineLocked(f"another gofer service is using {path.parent}; stop it or choose another folder") from None
    return lock
