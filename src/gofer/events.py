"""What an errand reports on its way: the events that `progress=` and `watch()` hand out.

Frozen values, best effort, no secrets in them. Nothing depends on an event having been seen.
"""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from gofer.models import Status, Verified
from gofer.ticket import Ticket


@frozen
class Submitted:
    """The service has accepted the job; `ticket` goes on with it from any process."""

    job_id: str
    status: Status
    _ticket: Ticket

    @property
    def ticket(self) -> str:
        """The ticket as text."""
        return str(self._ticket)


@frozen
class Changed:
    """The job's status, progress or message is new."""

    job_id: str
    status: Status


@frozen
class Retrying:
    """An exchange failed and will be tried again after `pause` seconds; `why` is the failure in a line."""

    job_id: str | None
    leg: str
    pause: float
    why: str


@frozen
class Downloading:
    """So many bytes of the file are on disk; `total` is None where nobody said how many there are."""

    job_id: str | None
    done: int
    total: int | None


@frozen
class Saved:
    """The file is whole, checked and in its place; `format` is what the service named, as in "pdf"."""

    job_id: str | None
    path: Path
    size: int
    verified: Verified
    format: str | None = None


@frozen
class CancelSent:
    """The errand was abandoned and the service was asked to cancel.

    `confirmed` tells whether it said yes, `status` what it showed afterwards: some say yes and go on.
    """

    job_id: str
    status: Status
    confirmed: bool


Event = Submitted | Changed | Retrying | Downloading | Saved | CancelSent
