"""What a job is, and what an engine promises about it.

The record, its states and the ``Engine`` protocol live here. How records are stored (`ledger`), how workers run
(`local_engine`), how a paper is found (`retrieval`) and how HTTP shows a job (`documents`) do not.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from typing import Any, Protocol

from attrs import frozen

Clock = Callable[[], float]
"""Wall time in seconds since 1970, UTC."""


class Status(StrEnum):
    """The states of a job, in the words of the API."""

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
"""The states that never change again."""


@frozen
class Submission:
    """What a caller asks for: a paper, and how many seconds the service may spend on it."""

    doi: str
    title: str | None = None
    authors: tuple[str, ...] = ()
    timeout_seconds: float = 120.0


@frozen
class Tried:
    """One place that was tried for the paper and did not give it."""

    source: str
    place: str
    failure: str


@frozen
class Result:
    """The file a job ended with. ``key`` is the store's name for it; ``size`` is in bytes, ``sha256`` in hex."""

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

    ``attempt`` counts how often a worker took the job and is the fencing token: a write that carries another one is
    refused. ``revision`` grows with every visible change; ``state_revision`` is its value when ``status`` last changed.
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

    @property
    def ended(self) -> bool:
        """Whether the job is completed or failed, for good."""
        return self.status in ENDED


class Failure(Exception):
    """Raised by a body: the job ends as failed, with this code and message."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class Fenced(Exception):
    """The job has ended or was taken by another attempt; the body that is told so must stop."""


class KeyReused(Exception):
    """The idempotency key belongs to a submission that asked for something else."""


class QueueFull(Exception):
    """Too many jobs are waiting already."""


class EngineLocked(RuntimeError):
    """Another process has the engine's file open."""


class Run(Protocol):
    """One attempt at a job, as its body sees it."""

    @property
    def job(self) -> Job:
        """The record as of the last report."""
        ...

    async def report(self, **changes: Any) -> None:
        """Write ``changes`` (fields of `Job`) to the record.

        Raises:
            Fenced: the job has ended or belongs to another attempt.
        """
        ...


Body = Callable[[Run], Awaitable[Result]]
"""The work of a job: returns what it found or raises `Failure`. It is cancelled when the job ends early."""

Discard = Callable[[str], Awaitable[None]]
"""Deletes the file of a result, by its key."""


@frozen
class Page:
    """A part of the job list, newest first; ``next`` is the cursor of the part after it."""

    jobs: tuple[Job, ...]
    next: int | None


class Engine(Protocol):
    """Keeps job records and runs their bodies."""

    def run(self, body: Body, discard: Discard) -> AbstractAsyncContextManager[None]:
        """Open the records and work on jobs until the block is left; unfinished ones stay for the next time.

        Raises:
            EngineLocked: another process has them open.
        """
        ...

    async def submit(self, submission: Submission, key: str | None = None) -> Job:
        """Add a job. The same key with the same submission gives the job that exists.

        Raises:
            KeyReused: the key came with another submission before.
            QueueFull: the limit of waiting jobs is reached.
        """
        ...

    async def get(self, job_id: str) -> Job | None:
        """Give the record; one past its deadline has ended by then. None when there is no such job."""
        ...

    async def wait(self, job_id: str, seen: int | None = None, seconds: float = 0.0) -> Job | None:
        """Give the record once it differs from revision ``seen`` (None: the present one), or after ``seconds``.

        A new state is given at once, mere progress when 2 s have passed, and a job that has ended at once.
        """
        ...

    async def cancel(self, job_id: str) -> Job | None:
        """End the job as failed and cancelled, unless it has ended, and give the record."""
        ...

    async def list(self, status: Status | None = None, limit: int = 50, cursor: int | None = None) -> Page:
        """Give up to ``limit`` jobs, newest first, from ``cursor`` on."""
        ...

    async def check(self) -> None:
        """Raise an exception if records cannot be written now."""
        ...
