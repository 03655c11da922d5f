"""What a command has learned of its errand so far, from events, errors and the result. Nothing is printed here.

`report.py` says how the errand ended; this is all that it goes by.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, field

from gofer.client import Job
from gofer.errors import Expired, GoferError, JobFailed, JobLost
from gofer.events import CancelSent, Changed, Event, Saved, Submitted
from gofer.models import State, Status


@define(eq=False)
class ErrandRecord:
    """The listener of one errand, and what is left of it when the errand ends.

    Attributes:
        to: the target, as the person wrote it; None if the value is printed.
        any_contract: whether the errand is reported as `gofer run` does, and not as `gofer get` does.
        job_only: whether the command is about the job and not its result, as `gofer status` is.
        attach_options: what a later `gofer attach` needs beside the ticket and the target.
        submitting: whether the submission may have been sent.
        key: the idempotency key that repeats the submission; None if nothing is submitted, or if the contract sends no
            key.
        show: displays the events.
        job_id: the service's id of the job; "" for a job that was finished at once.
        status: the last status seen, "" before the first.
        saved: where the file or the folder is.
        cancellation: the answer to the cancellation that Ctrl-C asks for; None if there was no answer.
        gone: whether an error says that there is no result to come.
        done: whether the errand succeeded, so that `value` is the job's.
        value: the job's final document, or what the contract makes of it; with `job_only` the line to print.
    """

    to: str | None
    any_contract: bool = False
    job_only: bool = False
    attach_options: tuple[str, ...] = ()
    submitting: bool = False
    key: str | None = None
    show: Callable[[Event], object] | None = None
    job_id: str | None = None
    ticket: str | None = None
    status: Status = field(factory=lambda: Status(""))
    saved: Saved | None = None
    cancellation: CancelSent | None = None
    gone: bool = False
    done: bool = False
    value: Any = None

    def __call__(self, event: Event) -> None:
        """Record an event and display it."""
        match event:
            case Submitted():
                self.job_id, self.ticket, self.status = event.job_id, event.ticket, event.status
            case Changed():
                self.status = event.status
            case Saved():
                self.saved = event
            case CancelSent():
                self.status, self.cancellation = event.status, event
                return  # the report says what came of it, by the status too
            case _:
                pass
        if self.show is not None:
            self.show(event)

    def show_job(self, job: Job[Any]) -> None:
        """Record what is there of a job."""
        self.job_id, self.ticket, self.status = job.id, job.ticket, job.status

    def succeed(self, value: Any) -> None:
        """Record the job's value."""
        self.done, self.value = True, value

    def fail(self, error: GoferError) -> None:
        """Record what an error says of the job."""
        self.job_id, self.ticket = error.job_id or self.job_id, error.ticket or self.ticket
        if error.status and error.status != self.status:
            self.status = Status(error.status)
        self.gone = isinstance(error, JobFailed | JobLost | Expired)
        if self.ticket is None and error.leg is None:  # the submission had not begun
            self.submitting, self.key = False, None

    @property
    def can_attach(self) -> bool:
        """Whether a later `gofer attach` can get something from the job; one that was finished at once has no id."""
        over = self.gone or self.status.state in (State.FAILED, State.CANCELLED)
        return bool(self.ticket and self.job_id) and not over
