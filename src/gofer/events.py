"""The events of an errand: what `progress=` receives and `watch()` yields.

Frozen values without secrets. Events are for people to read: no decision depends on one.
"""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from gofer.models import Status, Verified
from gofer.ticket import Ticket


@frozen
class Submitted:
    """The service has accepted the job; `attach(ticket)` returns its handle in any process."""

    job_id: str
    status: Status
    _ticket: Ticket

    @property
    def ticket(self) -> str:
        """The ticket as text."""
        return str(self._ticket)


@frozen
class Changed:
    """The job's status, progress or message has changed."""

    job_id: str
    status: Status


@frozen
class Retrying:
    """An exchange failed, and gofer retries it after `pause` seconds; `why` is the failure in one line."""

    job_id: str | None
    leg: str
    pause: float
    why: str


@frozen
class Downloading:
    """`done` bytes of the file are on disk; `total` is its size in bytes, None if the service did not send it."""

    job_id: str | None
    done: int
    total: int | None


@frozen
class Saved:
    """The file is complete, verified and at its `path`; `format` is the service's word for it, for example "pdf"."""

    job_id: str | None
    path: Path
    size: int
    verified: Verified
    format: str | None = None


@frozen
class CancelSent:
    """The errand was abandoned, and gofer asked the service to cancel the job.

    `confirmed` says whether the service accepted. Some services accept and keep the job running: `status` is what the
    service answered afterwards.
    """

    job_id: str
    status: Status
    confirmed: bool


Event = Submitted | Changed | Retrying | Downloading | Saved | CancelSent
