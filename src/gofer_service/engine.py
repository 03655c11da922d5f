"""The record of a job, its states, and the ``Engine`` protocol.

How records are stored is in `ledger`, how workers run in `local_engine`, how a paper is found in `retrieval`, and how
HTTP shows a job in `documents`.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from attrs import field, frozen

from gofer.contracts.retrieve import SERVICE_BUDGET

Clock = Callable[[], float]
"""Wall time in seconds since 1970, UTC."""


class Status(StrEnum):
    """The states of a job, as the API names them."""

    PENDING = "pending"
    SEARCHING = "searching"
    DOWNLOADING = "downloading"
    COMPLETED = "completed"
    FAILED = "failed"


class ErrorCode(StrEnum):
    """Why a job failed."""

    NOT_FOUND = "NOT_FOUND"
    DOWNLOAD_FAILED = "DOWNLOAD_FAILED"
    VPN_ERROR = "VPN_ERROR"
    TIMEOUT = "TIMEOUT"
    CANCELLED = "CANCELLED"


ENDED = frozenset({Status.COMPLETED, Status.FAILED})
"""The final states."""


@frozen
class Submission:
    """The request of a caller.

    Attributes:
        doi: the paper, normalised.
        title: as the caller has it, or None.
        authors: as the caller has them.
        timeout_seconds: seconds that the service may spend on it.
        fresh: whether the paper must be fetched anew. It is no part of what two submissions are compared by.
    """

    doi: str
    title: str | None = None
    authors: tuple[str, ...] = ()
    timeout_seconds: float = SERVICE_BUDGET
    fresh: bool = field(default=False, eq=False)


@frozen
class Tried:
    """A place that was tried and did not have a usable copy of the paper."""

    source: str
    place: str
    failure: str


@frozen
class Result:
    """The file of a completed job. ``key`` is its name in the store, ``size`` is in bytes, ``sha256`` in hex."""

    key: str
    size: int
    format: str
    sha256: str
    source: str
    version: str | None = None
    licence: str | None = None


@frozen
class Job:
    """The record of a job. Times are seconds since 1970, UTC.

    ``owner`` is the caller who submitted it: the name of a token, empty where tokens have none.

    ``attempt`` counts how often a worker has started the job. It is the fencing token: a write with another number is
    refused. ``revision`` grows with every visible change. ``state_revision`` is the revision of the last change of
    ``status``.
    """

    id: str
    submission: Submission
    deadline: float
    created: float
    updated: float
    status: Status = Status.PENDING
    attempt: int = 0
    revision: int = 1
    state_revision: int = 1
    started: float | None = None
    finished: float | None = None
    expires: float | None = None
    progress: float | None = None
    bytes_done: int | None = None
    bytes_total: int | None = None
    message: str | None = None
    tried: tuple[Tried, ...] = ()
    result: Result | None = None
    error: str | None = None
    error_code: ErrorCode | None = None
    owner: str = ""

    @property
    def ended(self) -> bool:
        """Whether the job is completed or failed; both are final."""
        return self.status in ENDED


class Failure(Exception):
    """Raised by the body of a job: the job ends as failed, with this code and message."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class Fenced(Exception):
    """The job has ended, or another attempt has taken it; the body that gets this must stop."""


class KeyReused(Exception):
    """The idempotency key belongs to another submission."""


class QueueFull(Exception):
    """Too many jobs are waiting already."""


class Unavailable(Exception):
    """The records cannot be read or written now, and nothing was changed: they are locked, or the disk is full."""


class EngineUnusable(RuntimeError):
    """The engine cannot start; the message says why and what to do."""


class EngineLocked(EngineUnusable):
    """Another process has the file of the engine open."""


class Run(Protocol):
    """One attempt at a job, for the body of the job."""

    @property
    def job(self) -> Job:
        """The record, as it was after the last report."""
        ...

    async def report(self, **changes: Any) -> None:
        """Write ``changes`` (fields of `Job`) to the record.

        Raises:
            Fenced: the job has ended, or belongs to another attempt.
        """
        ...


Body = Callable[[Run], Awaitable[Result]]
"""The work of a job: returns a result, or raises `Failure`. It is cancelled if the job ends before."""


@runtime_checkable
class Prepared(Protocol):
    """A body that holds something open while jobs run, as connections."""

    def running(self) -> AbstractAsyncContextManager[None]:
        """Hold it open until the block is left."""
        ...


Discard = Callable[[str], Awaitable[None]]
"""Deletes the file of a result, by its key."""


@frozen
class Changes:
    """Jobs whose state has changed, as they are now, in the order of the changes; ``next`` is the cursor after them."""

    jobs: tuple[Job, ...]
    next: int


class CursorGone(Exception):
    """The engine cannot tell what has changed since this cursor."""


@frozen
class Page:
    """A page of the job list, newest first. ``next`` is the cursor of the next page; None on the last one."""

    jobs: tuple[Job, ...]
    next: int | None


class Engine(Protocol):
    """Keeps job records and runs their bodies. Each method except `run` raises `Unavailable` if it cannot do so now."""

    def run(self, body: Body, discard: Discard) -> AbstractAsyncContextManager[None]:
        """Open the records and run jobs until the block is left. Unfinished jobs stay for the next run.

        Raises:
            EngineUnusable: another process has them open, or they are damaged.
        """
        ...

    async def submit(self, submission: Submission, key: str | None = None, owner: str = "") -> Job:
        """Add a job. The same key of the same owner with the same submission returns the job that exists.

        Raises:
            KeyReused: the key belongs to another submission.
            QueueFull: too many jobs are waiting.
        """
        ...

    async def get(self, job_id: str) -> Job | None:
        """Return the record, or None if there is no such job. A job past its deadline has ended."""
        ...

    async def wait(self, job_id: str, seen: int | None = None, seconds: float = 0.0) -> Job | None:
        """Return the record as soon as it differs from revision ``seen`` (None: the current one), or after ``seconds``.

        A new state ends the wait at once. Progress alone ends it after 2 s. A job that has ended is returned at once.
        """
        ...

    async def cancel(self, job_id: str) -> Job | None:
        """Cancel the job unless it has ended, and return the record. The job is then failed with ``CANCELLED``."""
        ...

    async def list(
        self, status: Status | None = None, limit: int = 50, cursor: int | None = None, owner: str = ""
    ) -> Page:
        """Return up to ``limit`` jobs of an owner, newest first, starting at ``cursor``."""
        ...

    async def changes(self, owner: str, since: int | None, limit: int, seconds: float) -> Changes:
        """Return the owner's jobs whose state has changed since a cursor, once there is one or ``seconds`` are over.

        Each job comes once, as it is now. Without ``since`` there is none, and the cursor is that of now.

        Raises:
            CursorGone: the cursor is of other records.
        """
        ...

    async def kept(self, doi: str) -> Sequence[Job]:
        """Return a few completed jobs for a DOI whose files are still kept, newest first."""
        ...

    async def check(self) -> None:
        """Do nothing if records can be written.

        Raises:
            Unavailable: they cannot.
        """
        ...
