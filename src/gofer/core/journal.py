"""What a journal remembers of the errands of a batch, and what each of them writes into it before it goes on.

Values only. Where they are kept is the driver's business (`transports/journal.py`). A fact is written, and synced to
disk, before the step that depends on it: the key before the POST leaves, the digest before a file takes its place.
"""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum

from attrs import field, frozen

from gofer.wire import Request


class Fate(StrEnum):
    """Where an errand of a batch is."""

    WAITING = "waiting"
    """Nothing of it was sent."""
    OPEN = "open"
    """Its submission has left, or will as soon as its key is written down; its job may be at the service."""
    DONE = "done"
    """It has its result."""
    FAILED = "failed"
    """It ended without one; the error says why."""
    UNCERTAIN = "uncertain"
    """Its submission may have made a job, and sending it again could make a second one."""


@frozen
class Sending:
    """A submission is about to leave.

    Attributes:
        key: its idempotency key.
        mark: a digest of what is sent, so that a later process can tell whether it makes the same bytes again.
        at: wall time.
    """

    key: str = field(repr=False)
    mark: str
    at: float


@frozen
class Unsent:
    """No submission of it has made a job: the last one has not left, or was refused for now."""


@frozen
class Accepted:
    """The service has answered the submission: the job is found by its ticket from now on."""

    ticket: str = field(repr=False)
    job_id: str


@frozen
class Keeping:
    """A file is complete and verified, and takes its place next.

    Attributes:
        at: the absolute path of the file that tells whether all is there: the file itself, or a folder's manifest.
        path: what the caller gets: the file, or the folder.
        size: of the file at `at`, in bytes.
        digest: its SHA-256, in hexadecimal digits.
        verified: how what came was verified.
    """

    at: str
    path: str
    size: int
    digest: str
    verified: str


Fact = Sending | Unsent | Accepted | Keeping


@frozen
class Entry:
    """One errand as the journal has it.

    Attributes:
        number: its place in the journal, from 1.
        request: what it asks for, as plain JSON.
        target: where its result goes, with what the request says filled in; None without a file.
        fate: where it is.
        key: the idempotency key of its present attempt.
        sent: what was written before its submission left; None if none has.
        accepted: what was written when the service had answered; None before.
        keeping: what was written before its file took its place; None before.
        attempt: the number of its present attempt, from 1.
    """

    number: int
    request: object
    target: str | None
    fate: Fate
    key: str = field(repr=False)
    sent: Sending | None = None
    accepted: Accepted | None = None
    keeping: Keeping | None = None
    attempt: int = 1


@frozen
class Ending:
    """How an errand ended, or that it is to be tried again.

    Attributes:
        fate: where it is now; WAITING for another attempt.
        path: where its file or folder is.
        value: its value as plain JSON, where it has no file.
        error: the class of its error.
        message: the words of its error.
    """

    fate: Fate
    path: str | None = None
    value: object = None
    error: str | None = None
    message: str | None = None


def mark_of(request: Request) -> str:
    """Make the digest of a submission by which its bytes are recognised; no secret can be read out of it."""
    what = hashlib.sha256(f"{request.method} {request.url}\n".encode(errors="replace"))
    what.update(request.body if isinstance(request.body, bytes) else request.body.sha256.encode())
    return what.hexdigest()


def canonical(request: object) -> str:
    """Write a request as JSON, always the same way, so that equal requests are equal texts.

    Raises:
        ValueError, TypeError, RecursionError: it is no plain JSON.
    """
    return json.dumps(request, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
