"""What a caller gets back: statuses and results, and the words they are made of.

Plain attrs classes and enums: no JSON, no HTTP, no I/O. How they are read from a service's replies is the contracts'
business.
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
    """What a service's own word for a job's status means to gofer."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"

    @property
    def ended(self) -> bool:
        """Whether a job in this state will never change again. UNKNOWN counts as still active."""
        return self in (State.SUCCEEDED, State.FAILED, State.CANCELLED)


class Verified(StrEnum):
    """How a downloaded file was checked, strongest first."""

    DIGEST = "digest"
    SIZE = "size"
    LENGTH = "length"
    NONE = "none"


class Status(str):
    """The service's own word for where a job is, with what else it said.

    It is a string, so `job.status == "completed"` reads as the service's documentation does; `state` is what gofer
    makes of that word.

    Attributes:
        state: the word's meaning.
        progress: the finished share, 0 to 1, if the service tells.
        message: the service's words on what it is doing.
        error: the service's words on what went wrong.
        error_code: the service's code for it.
    """

    state: State
    progress: float | None
    message: str | None
    error: str | None
    error_code: str | None

    def __new__(
        cls,
        word: str,
        state: State = State.UNKNOWN,
        *,
        progress: float | None = None,
        message: str | None = None,
        error: str | None = None,
        error_code: str | None = None,
    ) -> Status:
        """Make a status out of the service's word and its meaning."""
        self = super().__new__(cls, word)
        self.state, self.progress, self.message = state, progress, message
        self.error, self.error_code = error, error_code
        return self

    @property
    def done(self) -> bool:
        """Whether the job has ended, well or not."""
        return self.state.ended


@frozen
class Fetched:
    """A downloaded file: where it is, its size in bytes, and how it was verified."""

    path: Path
    size: int
    verified: Verified


@frozen
class ResultFile:
    """One file of a job's result, as the service named it.

    Attributes:
        name: the service's name for it. It may be anything: gofer never uses it as a path.
        url: where it is fetched; None where the service sent its content along.
        size: bytes, where the service named them.
        format: its promised format, as in "pdf" or "application/json", where the service named one.
        content: the bytes, where the service sent them along.
        method: how it is fetched.
        headers: sent with that request.
        body: sent with that request.
    """

    name: str
    url: str | None = field(default=None, repr=False)
    size: int | None = None
    format: str | None = None
    content: bytes | None = field(default=None, repr=False)
    method: str = field(default="GET", repr=False)
    headers: Mapping[str, str] = field(factory=dict[str, str], repr=False)
    body: bytes = field(default=b"", repr=False)


@frozen
class Outcome(Generic[T]):
    """What an errand brought back.

    Attributes:
        value: the job's final document, or what the contract makes of it.
        path: where the file is, or the folder of the files; None when none was asked for.
        verified: how the file was checked; of several, the weakest.
        job_id: the service's id of the job.
        files: what was brought, one by one.
    """

    value: T
    path: Path | None
    verified: Verified
    job_id: str
    files: tuple[Fetched, ...] = ()


# --- the user's own contract ---

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
    """A paper that is wanted.

    Attributes:
        doi: in any of its usual spellings (bare, doi:, https://doi.org/, arXiv:).
        title: helps the service to recognise the right paper.
        authors: their names.
        timeout_seconds: the service's own budget, in whole seconds; None takes nine tenths of the errand's.
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
    """One place the service tried for the paper: its source, the place, and why that did not serve."""

    source: str | None = None
    place: str | None = None
    failure: str | None = None


@frozen
class RetrieveResult:
    """A retrieval job as the service describes it.

    The first eight fields are the base contract's; the others are extensions and stay None or empty where the service
    does not send them. Times are RFC 3339 text, sizes are bytes.
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
        """What `status` means; a word this version does not know is UNKNOWN, which counts as still active."""
        if self.status == "failed" and self.error_code == "CANCELLED":
            return State.CANCELLED
        return _STATES.get(self.status, State.UNKNOWN)


@frozen
class JobPage:
    """One page of the service's jobs; `next` is the cursor of the page after it, None on the last."""

    jobs: tuple[RetrieveResult, ...] = ()
    next: str | None = None


@frozen
class HealthStatus:
    """How the service is.

    Attributes:
        status: the service's word: `healthy`, `degraded` or `unhealthy`.
        vpn_connected: whether its VPN is up; False also where none is configured.
        vpn_ip: the address it goes out by.
        capabilities: the extensions it offers, as in `idempotency-key`; empty where it does not say.
        contract: the version of the contract it speaks.
        version: the service's own version.
        checks: the single probes, as the service sent them.
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
        """Whether jobs can run; a service without a VPN is of use too."""
        return self.status in ("healthy", "degraded")
