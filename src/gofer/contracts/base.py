"""The `Contract` protocol: all that the core needs to know of a service, as pure functions.

A contract turns an input into a neutral `Request` and a neutral `Reply` into a `Snapshot`. It opens nothing, waits for
nothing and retries nothing; it raises `UsageError` for a wrong input and `BadReply` for an answer that does not follow
the contract. No flow, driver or face knows a path or a field name of any service: those live behind this protocol.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, Literal, Protocol, TypeVar

from attrs import field, frozen

from gofer.models import Status
from gofer.wire import Reply, Request

In_contra = TypeVar("In_contra", contravariant=True)
Out = TypeVar("Out")


@frozen
class Ref:
    """What a contract needs to find a job again: its id, and any links the service handed out. No secrets."""

    id: str
    links: Mapping[str, str] = field(factory=dict[str, str])


@frozen
class Snapshot(Generic[Out]):
    """A job as one reply showed it.

    Attributes:
        ref: where the job is.
        status: the service's word and its meaning.
        value: the whole document, read.
        etag: the document's entity tag, for the next conditional poll (RFC 9110, section 8.8.3).
        size: the file's size in bytes, where the service names it.
        format: the file's promised format, as in "pdf".
    """

    ref: Ref
    status: Status
    value: Out
    etag: str | None = None
    size: int | None = None
    format: str | None = None


@frozen
class Problem:
    """An error document, read: the service's code and words, either may be missing."""

    error_code: str | None = None
    detail: str | None = None


class Contract(Protocol[In_contra, Out]):
    """One service's API. Every method is pure; `base` is the service's address without a trailing slash."""

    @property
    def name(self) -> str:
        """The contract's name, written into tickets; a ticket of another name is refused."""
        ...

    @property
    def replays_keys(self) -> Literal["yes", "no", "ask"]:
        """Whether the same idempotency key gives the same job; "ask" makes the core look at `capabilities`."""
        ...

    def ref(self, job_id: str) -> Ref:
        """Return where the job of this id is, or raise `UsageError`."""
        ...

    def submission(self, base: str, order: In_contra, *, key: str, budget: float | None, hold: int) -> Request:
        """Build the submission of `order`.

        Args:
            base: the service's address.
            order: the caller's input; a wrong one raises `UsageError`.
            key: the idempotency key.
            budget: the errand's total in seconds, None without one.
            hold: whole seconds the service may hold the answer to give a finished job; 0 for an answer at once.
        """
        ...

    def submitted(self, base: str, reply: Reply) -> Snapshot[Out]:
        """Read the 2xx answer to a submission."""
        ...

    def poll(self, base: str, ref: Ref, *, hold: int, etag: str | None) -> Request:
        """Build a status request; with `hold` > 0, one that the service may hold so many seconds."""
        ...

    def polled(self, base: str, ref: Ref, reply: Reply) -> Snapshot[Out]:
        """Read the 2xx answer to a status request."""
        ...

    def held(self, reply: Reply) -> bool:
        """Tell whether this answer proves that the service holds status requests."""
        ...

    def result(self, base: str, ref: Ref) -> Request:
        """Build the request for the job's file, without any range."""
        ...

    def judge(self, promised: str | None, head: bytes) -> str | None:
        """Look at a file's first bytes: return why they cannot be the promised format, or None."""
        ...

    def cancellation(self, base: str, ref: Ref) -> Request | None:
        """Build the request that cancels the job; None where the service has none."""
        ...

    def cancelled(self, base: str, ref: Ref, reply: Reply) -> Snapshot[Out] | None:
        """Read the 2xx answer to a cancellation; None where it shows no job."""
        ...

    def health(self, base: str) -> Request:
        """Build the health request."""
        ...

    def capabilities(self, reply: Reply) -> frozenset[str]:
        """Read the extensions a health answer names; "idempotency-key" means that keys are replayed."""
        ...

    def problem(self, reply: Reply) -> Problem:
        """Read an error answer of any shape; never raises."""
        ...
