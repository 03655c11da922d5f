"""The values that callers pass and get back: requests, statuses, results.

Plain attrs classes and enums: no JSON, no HTTP, no I/O. The contracts read them from a service's replies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from attrs import field, frozen

T = TypeVar("T")


class State(StrEnum):
    """The meaning of a service's own word for a job's status."""

    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"

    @property
    def ended(self) -> bool:
        """Whether a job in this state never changes again. UNKNOWN counts as still active, WAITING needs its caller."""
        return self in (State.SUCCEEDED, State.FAILED, State.CANCELLED)


class Verified(StrEnum):
    """How a downloaded file was checked, strongest first."""

    DIGEST = "digest"
    SIZE = "size"
    LENGTH = "length"
    NONE = "none"


class Status(str):
    """The status of a job: a string, the service's own word, with attributes.

    You can compare it with the words of the service's documentation: `job.status == "completed"`.

    Attributes:
        state: the meaning of the word.
        progress: the finished part of the job, from 0 to 1; None if the service does not send it.
        message: the service's text about what it is doing; None if it sent none.
        error: the service's text about what went wrong; None if it sent none.
        error_code: the service's code for what went wrong; None if it sent none.
        question: what the service asks its caller, as plain JSON, if the job waits for that; else None.
    """

    state: State
    progress: float | None
    message: str | None
    error: str | None
    error_code: str | None
    question: Any

    def __new__(
        cls,
        word: str,
        state: State = State.UNKNOWN,
        *,
        progress: float | None = None,
        message: str | None = None,
        error: str | None = None,
        error_code: str | None = None,
        question: Any = None,
    ) -> Status:
        """Make a status from the service's word and its meaning."""
        self = super().__new__(cls, word)
        self.state, self.progress, self.message = state, progress, message
        self.error, self.error_code, self.question = error, error_code, question
        return self

    @property
    def done(self) -> bool:
        """Whether the job has ended, with success or without."""
        return self.state.ended


@frozen
class Fetched:
    """A downloaded file: its path, its size in bytes, and how it was verified."""

    path: Path
    size: int
    verified: Verified


@frozen
class ResultFile:
    """One file of a job's result, as the service describes it.

    Attributes:
        name: the service's name for it. It may be any text; gofer never uses it as a path.
        url: where to download it; None if its content is in the result document.
        size: its size in bytes; None if the service did not send it.
        format: its promised format, for example "pdf" or "application/json"; None if the service did not send it.
        content: the bytes, if they are in the result document; else None.
        method: the HTTP method of the download.
        headers: sent with the download's request.
        body: sent with the download's request.
        linked: whether the job's document gave `url`. If it is refused, gofer reads the document again for a new one.
    """

    name: str
    url: str | None = field(default=None, repr=False)
    size: int | None = None
    format: str | None = None
    content: bytes | None = field(default=None, repr=False)
    method: str = field(default="GET", repr=False)
    headers: Mapping[str, str] = field(factory=dict[str, str], repr=False)
    body: bytes = field(default=b"", repr=False)
    linked: bool = field(default=True, repr=False, eq=False)


@frozen
class Outcome(Generic[T]):
    """The result of an errand.

    Attributes:
        value: the job's final document, or what the contract reads from it.
        path: the path of the file, or of the folder with the files; None if `to` was None.
        verified: how the file was verified; the weakest way, if there are several files.
        job_id: the service's id of the job.
        files: the downloaded files.
        partial: whether the job has not succeeded, so that this is not its result but what there is of it.
    """

    value: T
    path: Path | None
    verified: Verified
    job_id: str
    files: tuple[Fetched, ...] = ()
    partial: bool = False


@frozen
class BatchErrand(Generic[T]):
    """One errand of a batch that has ended, well or not.

    Attributes:
        number: its number in the batch, from 1.
        request: what was asked for, as plain JSON: {"doi": "10.5555/12345678"}.
        state: "done", "failed", "uncertain" (its submission may have made a job), or "waiting" if `again=` has it tried
            once more.
        path: where its file or folder is; None if there is none.
        value: the job's final document; None if it failed, or if only the file was found.
        error: why it failed, a `GoferError`; None if it is done.
        job_id: the service's id of the job; None if there was none.
        ticket: identifies the job for `client.attach`; None if there was none.
        attempt: the number of the job that was made for it, from 1.
    """

    number: int
    request: Any
    state: str
    path: Path | None = None
    value: T | None = None
    error: Exception | None = None
    job_id: str | None = None
    ticket: str | None = field(default=None, repr=False)
    attempt: int = 1


# --- the retrieval contract ---

_STATES: Mapping[str, State] = MappingProxyType(
    {
        "pending": State.PENDING,
        "searching": State.RUNNING,
        "downloading": State.RUNNING,
        "completed": State.SUCCEEDED,
        "failed": State.FAILED,
    }
)


@frozen
class RetrieveRequest:
    """The request for a paper.

    Attributes:
        doi: in any of its usual spellings (10.1000/182, doi:…, https://doi.org/…, arXiv:…).
        title: helps the service to recognise the right paper.
        authors: their names.
        timeout_seconds: seconds that the service may spend on the job, a whole number; None sends nine tenths of the
            errand's own timeout.
    """

    doi: str
    title: str | None = None
    authors: Sequence[str] | None = None
    timeout_seconds: int | None = None


class RetrieveJobResponse:
    """What `retrieve` returns: the id of the job, and its status in the service's last answer.

    It is the common base class of `RetrieveJob` and `AsyncRetrieveJob`, the handles of a retrieval.
    """

    @property
    def id(self) -> str:
        """The service's id of the job."""
        raise NotImplementedError

    @property
    def job_id(self) -> str:
        """The service's id of the job."""
        return self.id

    @property
    def status(self) -> Status:
        """The status in the service's last answer, "" before the first one."""
        raise NotImplementedError


@frozen
class Attempt:
    """One place where the service searched for the paper: the source, the place, and why it failed there."""

    source: str | None = None
    place: str | None = None
    failure: str | None = None


@frozen
class RetrieveResult:
    """A retrieval job as the service describes it.

    The first eight fields are the base contract's. The others are extensions: None or empty if the service does not
    send them. Times are RFC 3339 text, sizes are in bytes, and `progress` is from 0 to 1.
    """

    job_id: str
    status: str
    doi: str | None = None
    file_path: str | None = None
    file_size: int | None = None
    file_format: str | None = None
    error: str | None = None
    error_code: str | None = None
    progress: float | None = None
    bytes_done: int | None = None
    bytes_total: int | None = None
    message: str | None = None
    source: str | None = None
    version: str | None = None
    licence: str | None = None
    created: str | None = None
    started: str | None = None
    updated: str | None = None
    finished: str | None = None
    expires: str | None = None
    attempts: tuple[Attempt, ...] = ()

    @property
    def state(self) -> State:
        """The meaning of `status`; a word that this version does not have is UNKNOWN, which counts as still active."""
        if self.status == "failed" and self.error_code == "CANCELLED":
            return State.CANCELLED
        return _STATES.get(self.status, State.UNKNOWN)


@frozen
class JobPage:
    """One page of the service's jobs; `next` is the cursor of the next page, None on the last page."""

    jobs: tuple[RetrieveResult, ...] = ()
    next: str | None = None


@frozen
class HealthStatus:
    """The health of the service.

    Attributes:
        status: the service's word: `healthy`, `degraded` or `unhealthy`.
        vpn_connected: whether its VPN is up; False also if it has no VPN.
        vpn_ip: the address of its VPN; None if it did not send one.
        capabilities: the extensions it offers, for example `idempotency-key`; empty if it did not send them.
        contract: the version of its contract; None if it did not send one.
        version: the service's own version; None if it did not send one.
        checks: the single checks, as the service sent them.
    """

    status: str
    vpn_connected: bool = False
    vpn_ip: str | None = None
    capabilities: tuple[str, ...] = ()
    contract: str | None = None
    version: str | None = None
    checks: Mapping[str, Any] = field(factory=dict[str, Any])

    @property
    def can_run(self) -> bool:
        """Whether jobs can run. Services without a VPN can run jobs too."""
        return self.status in ("healthy", "degraded")
