"""The journal of a batch: every errand, what was written down of it, and how it ended, in one SQLite file.

It is written ahead (WAL) and each commit is on the disk before the next step (`synchronous=FULL`): after kill -9 or a
power cut it says what may have been sent. One process runs a journal at a time; others may read it meanwhile. The lock
is on a file beside the journal, because SQLite's own locks fall when any descriptor of the journal is closed. What the
facts mean is decided in `core/`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from attrs import asdict, frozen, has

from gofer.core.journal import Accepted, Ending, Entry, Fact, Fate, Keeping, Sending, Unsent
from gofer.errors import JournalError, UsageError
from gofer.transports.journal_file import APPLICATION, check_file, hold, making, release

VERSION = 1
"""The version of the tables. A later gofer reads earlier ones."""

_TABLES = f"""
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
CREATE TABLE batch (contract TEXT NOT NULL, base TEXT NOT NULL);
CREATE TABLE errand (
    number INTEGER PRIMARY KEY, request TEXT NOT NULL, digest BLOB NOT NULL UNIQUE, target TEXT, place TEXT UNIQUE,
    fate TEXT NOT NULL DEFAULT 'waiting', attempt INTEGER NOT NULL DEFAULT 1,
    key TEXT, mark TEXT, sent REAL, ticket TEXT, job TEXT,
    kept_at TEXT, kept_size INTEGER, kept_digest TEXT, verified TEXT, path TEXT, value TEXT, error TEXT, message TEXT
);
CREATE INDEX open ON errand (fate, number);
CREATE TABLE attempt (
    errand INTEGER NOT NULL, number INTEGER NOT NULL, key TEXT, job TEXT, ticket TEXT, error TEXT, message TEXT
);
CREATE INDEX attempts ON attempt (errand);
"""

_ENTRY = (
    "number, request, target, fate, attempt, key, mark, sent, ticket, job,"
    " kept_at, path, kept_size, kept_digest, verified"
)

_ANEW = (
    "fate = 'waiting', attempt = attempt + 1,"
    " key = NULL, mark = NULL, sent = NULL, ticket = NULL, job = NULL, kept_at = NULL"
)
"""What another attempt sets: nothing of the last one counts for it."""


@frozen
class Line:
    """One errand of a journal, as it stands: for reports."""

    number: int
    request: Any
    fate: Fate
    path: str | None
    value: Any
    job_id: str | None
    ticket: str | None
    error: str | None
    message: str | None
    attempt: int


class Journal:
    """An open journal; any thread may use it. Without a path it is in memory, and gone with the process.

    Raises:
        JournalError: it is damaged, another service's, in use, or cannot be written. Nothing of it was changed.
    """

    def __init__(self, path: Path | None, *, contract: str, base: str) -> None:
        self.path = path
        self._lock = threading.Lock()  # one statement after the other
        self._open_ones, self._after = list[int](), 0  # what was open at first; the last waiting one that was loaded
        self._again = set[int]()  # what waits for another attempt of this process: it is loaded by its number only
        self._held = None if path is None else hold(path)
        try:
            with self._writing():
                self._db = _connect(path)
                try:
                    self._open(contract, base)
                except BaseException:
                    self._db.close()
                    raise
        except BaseException:
            self._release()
            raise

    def close(self) -> None:
        """Close it; of a file that was written ahead only the journal is left."""
        with self._lock:
            self._db.close()
            self._release()

    def add(self, rows: Sequence[tuple[str, str | None, str | None]]) -> int:
        """Write down these requests (as canonical JSON), their targets, and the places that no two may share.

        All in one commit; returns how many are new. A request for the path of a failed errand takes its place.

        Raises:
            UsageError: two errands would write to one path; none of these rows was written.
        """
        with self._lock, self._writing(), self._db:
            before = self._db.total_changes
            for request, target, place in rows:
                digest = hashlib.sha256(request.encode(errors="surrogatepass")).digest()
                added = self._db.execute(
                    "INSERT INTO errand (request, digest, target, place) SELECT ?, ?, ?, ?"
                    " WHERE NOT EXISTS (SELECT 1 FROM errand WHERE digest = ? OR place = ?)",
                    (request, digest, target, place, digest, place),
                ).rowcount
                if not added and place is not None:
                    self._replace(request, digest, place)
            return self._db.total_changes - before

    def _replace(self, request: str, digest: bytes, place: str) -> None:
        """Put a request in the place of a failed errand of the same path; what is there already stays.

        Raises:
            UsageError: the errand of this path has not failed.
        """
        there = self._db.execute(
            "SELECT number, fate, request, digest FROM errand WHERE place = ?", (place,)
        ).fetchone()
        if there is None or there[3] == digest:
            return
        number, fate, other, _ = there
        if fate != Fate.FAILED:
            raise UsageError(
                f"Two errands would write to {place}: number {number} ({fate}), which is {other[:200]}, and "
                f"{request[:200]}. Put a field that sets them apart into the target, as in '{{doi}}.pdf'."
            )
        change = f"UPDATE errand SET {_ANEW}, request = ?, digest = ?, error = NULL, message = NULL WHERE number = ?"
        _ = self._db.execute(change, (request, digest, number))

    def load(self, count: int, numbers: Sequence[int] = ()) -> list[Entry]:
        """Take out up to `count` entries that were not loaded yet, open ones first; or those of these numbers."""
        with self._lock, self._writing():
            if numbers:
                return self._numbered(numbers)
            first, self._open_ones = self._open_ones[:count], self._open_ones[count:]
            found = self._numbered(first)
            waiting = "fate = 'waiting' AND number > ? ORDER BY number LIMIT ?"
            while len(found) < count:
                fresh = self._entries(waiting, (self._after, count - len(found)))
                if not fresh:
                    break
                self._after = fresh[-1].number
                found += [entry for entry in fresh if entry.number not in self._again]
            return found

    def rewind(self) -> None:
        """Load again from the beginning."""
        with self._lock, self._writing():
            rows = self._db.execute("SELECT number FROM errand WHERE fate = 'open' ORDER BY number")
            self._open_ones, self._after = [number for (number,) in rows], 0
            self._again.clear()

    def write(self, facts: Iterable[tuple[int, Fact | Ending]]) -> None:
        """Write facts and endings of errands, in one commit that is on the disk when this returns."""
        with self._lock, self._writing(), self._db:
            for number, fact in facts:
                self._write(number, fact)

    def counts(self) -> dict[str, int]:
        """Return how many errands there are of each fate."""
        with self._lock, self._writing():
            found = dict(self._db.execute("SELECT fate, count(*) FROM errand GROUP BY fate"))
        return {str(fate): found.get(str(fate), 0) for fate in Fate}

    def lines(self, fates: Sequence[Fate] = tuple(Fate)) -> Iterator[Line]:
        """Yield the errands of these fates as they stand, by their numbers."""
        after, marks = 0, ",".join("?" * len(fates))
        while True:
            with self._lock, self._writing():
                rows = self._db.execute(
                    "SELECT number, request, fate, path, value, job, ticket, error, message, attempt"
                    f" FROM errand WHERE fate IN ({marks}) AND number > ? ORDER BY number LIMIT 500",
                    (*fates, after),
                ).fetchall()
            if not rows:
                return
            for number, request, fate, path, value, *rest in rows:
                read = None if value is None else json.loads(value)
                yield Line(number, json.loads(request), Fate(fate), path, read, *rest)
            after = rows[-1][0]

    def retry(self, fate: Fate, *, anew: Sequence[str]) -> int:
        """Have failed or uncertain errands wait again; return how many.

        A failed one goes on with its job where its error is none of `anew`; else it gets a new key. An uncertain one
        keeps its key.
        """
        with self._lock, self._writing(), self._db:
            if fate is Fate.UNCERTAIN:
                change = "UPDATE errand SET fate = 'waiting', mark = NULL, sent = NULL WHERE fate = 'uncertain'"
                return self._db.execute(change).rowcount
            marks = ",".join("?" * len(anew))
            again = f"fate = 'failed' AND (ticket IS NULL OR error IN ({marks}))"
            count = self._db.execute(f"UPDATE errand SET {_ANEW} WHERE {again}", anew).rowcount
            return count + self._db.execute("UPDATE errand SET fate = 'open' WHERE fate = 'failed'").rowcount

    def _open(self, contract: str, base: str) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise self._refused(f"it was written by a later gofer (version {version} of its tables)")
        _check(self._db, self.path)
        made_for = self._db.execute("SELECT contract, base FROM batch").fetchone()
        if made_for is None:
            with self._db:
                _ = self._db.execute("INSERT INTO batch VALUES (?, ?)", (contract, base))
        elif made_for != (contract, base):
            raise self._refused(
                f"it is for the contract {made_for[0]!r} at {made_for[1]}, "
                f"and this client is for {contract!r} at {base}"
            )

    def _numbered(self, numbers: Sequence[int]) -> list[Entry]:
        marks = ",".join("?" * len(numbers))
        return self._entries(f"number IN ({marks}) ORDER BY number", tuple(numbers))

    def _entries(self, where: str, values: tuple[object, ...]) -> list[Entry]:
        rows = self._db.execute(f"SELECT {_ENTRY} FROM errand WHERE {where}", values).fetchall()
        return [_entry(row) for row in rows]

    def _write(self, number: int, fact: Fact | Ending) -> None:
        match fact:
            case Sending():
                change = "fate = 'open', key = ?, mark = ?, sent = coalesce(sent, ?)"
                values: tuple[object, ...] = (fact.key, fact.mark, fact.at)
            case Unsent():
                self._again.add(number)
                change, values = "fate = 'waiting', mark = NULL, sent = NULL", ()
            case Accepted():
                change, values = "ticket = ?, job = ?", (fact.ticket, fact.job_id)
            case Keeping():
                change = "kept_at = ?, path = ?, kept_size = ?, kept_digest = ?, verified = ?"
                values = (fact.at, fact.path, fact.size, fact.digest, fact.verified)
            case Ending(fate=Fate.DONE):
                change = "fate = 'done', path = ?, value = ?, error = NULL, message = NULL"
                values = (fact.path, _plain(fact.value))
            case Ending(fate=Fate.WAITING):
                self._note_attempt(number, fact)
                self._again.add(number)
                change, values = f"{_ANEW}, error = ?, message = ?", (fact.error, fact.message)
            case Ending():
                self._note_attempt(number, fact)
                change, values = "fate = ?, error = ?, message = ?", (fact.fate, fact.error, fact.message)
        _ = self._db.execute(f"UPDATE errand SET {change} WHERE number = ?", (*values, number))

    def _note_attempt(self, number: int, ending: Ending) -> None:
        _ = self._db.execute(
            "INSERT INTO attempt SELECT number, attempt, key, job, ticket, ?, ? FROM errand WHERE number = ?",
            (ending.error, ending.message, number),
        )

    def _refused(self, why: str) -> JournalError:
        return JournalError(f"The journal {self.path} cannot be used: {why}.")

    @contextlib.contextmanager
    def _writing(self) -> Generator[None]:
        try:
            yield
        except (sqlite3.Error, ValueError) as error:
            if isinstance(error, UsageError):
                raise
            where = "in memory" if self.path is None else str(self.path)
            raise JournalError(f"The journal {where} cannot be read or written: {error}.") from error

    def _release(self) -> None:
        if self._held is not None and self.path is not None:
            release(self.path, self._held)
            self._held = None


class Reader(Journal):
    """A journal that is only read, also while another process runs it."""

    def __init__(self, path: Path) -> None:
        self.path, self._held, self._lock = path, None, threading.Lock()
        check_file(path)
        with self._writing():
            how = "mode=rw" if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK) else "mode=ro&immutable=1"
            self._db = sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, check_same_thread=False)
            try:
                _check(self._db, path)
                self.contract, self.base = self._db.execute("SELECT contract, base FROM batch").fetchone()
            except BaseException:
                self._db.close()
                raise


def _connect(path: Path | None) -> sqlite3.Connection:
    if path is None:
        db = sqlite3.connect(":memory:", check_same_thread=False)
        _make(db)
        return db
    with making(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    db = sqlite3.connect(path, check_same_thread=False, timeout=10)
    try:
        _ = db.execute("PRAGMA synchronous = FULL")
        (application,), (pages,) = (
            db.execute(f"PRAGMA {name}").fetchone() for name in ("application_id", "page_count")
        )
        if pages and application != APPLICATION:
            raise JournalError(f"{path} is no journal of gofer's; name another file. It was not changed.")
        _make(db)  # before it is written ahead, so that the file itself has the application id from its first page on
        mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise JournalError(
                f"The journal {path} cannot be written ahead on this file system; put it on a local disk."
            )
    except BaseException:
        db.close()
        raise
    return db


def _make(db: sqlite3.Connection) -> None:
    """Make the tables, in one step, unless they are there."""
    if db.execute("PRAGMA user_version").fetchone()[0] == 0:
        _ = db.executescript(f"BEGIN IMMEDIATE; {_TABLES} COMMIT;")


def _check(db: sqlite3.Connection, path: Path | None) -> None:
    found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise JournalError(f"The journal {path} is damaged: {found}.")


def _entry(row: Sequence[Any]) -> Entry:
    number, request, target, fate, attempt, key, mark, sent, ticket, job, at, path, size, digest, verified = row
    return Entry(
        number,
        json.loads(request),
        target,
        Fate(fate),
        key or "",
        None if sent is None else Sending(key, mark, sent),
        None if ticket is None else Accepted(ticket, job),
        None if at is None else Keeping(at, path, size, digest, verified),
        attempt,
    )


def _plain(value: Any) -> str | None:
    """Return a value as JSON text; what is no JSON, and no attrs class of it, is not kept."""
    if value is None:
        return None
    kind = cast("type[object]", type(value))
    try:
        return json.dumps(asdict(value) if has(kind) else value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return None
