"""Every error that gofer raises, in one tree. No other module defines an error.

    GoferError
    ├── UsageError (ValueError)             the call is wrong; no request was sent
    │   ├── TicketError                     a damaged ticket, or another service's
    │   └── DeclarationError                a wrong declaration; names the line and the key
    ├── TargetError (OSError)               the file cannot be written there
    │   └── TargetIsFolder                  there is a folder
    ├── TransportError (ConnectionError)    no answer
    │   ├── Unreachable                     the request was not sent
    │   │   └── UntrustedCertificate        gofer does not retry a submission
    │   └── AnswerLost                      the request may have arrived; or the body is incomplete
    ├── ServiceError                        the service refused the request
    │   ├── Rejected                        400, 409, 422 and other 4xx
    │   ├── Unauthorized                    401, 403
    │   ├── NotFound                        404
    │   ├── NotReady                        409 for the file: the job has not ended
    │   ├── Expired                         410: the result was deleted
    │   ├── NotSupported                    405, 501: the service does not offer this
    │   ├── RateLimited                     429
    │   └── Unavailable                     5xx
    ├── BadReply                            the answer does not follow the contract; names the field
    │   └── NoResult                        the job has succeeded, and shows nothing of what it should have made
    ├── SubmitUncertain                     the job may exist; has the key of the submission
    ├── JobFailed (RuntimeError)            the job ended without a result
    │   └── JobCancelled
    ├── NeedsInput                          the job waits for an answer of its caller
    ├── JobLost                             the service no longer has the job
    ├── WrongFile                           the file is not the promised one
    ├── JournalError                        a batch's journal cannot be read or written
    ├── BatchStopped                        what stopped a batch concerns every errand; has the reason
    ├── OutOfTime (TimeoutError)            the timeout ended
    │   └── WaitTimeout                     while the job was running
    └── Abandoned                           thrown into a flow after its caller has left

Every one of them has `retryable`, and says how far the errand got: `job_id`, `ticket`, `status`, `attempts`, `leg` and
`spent`.
"""

from __future__ import annotations

from collections.abc import Mapping

from gofer.models import ResultFile


class GoferError(Exception):
    """The base class of every error of this library.

    Attributes:
        retryable: whether you can try again later: it may succeed then, and it cannot make a second job. If there is a
            `ticket`, try again with `client.attach(error.ticket)`: the job exists, and the same call could submit
            another one. Without a ticket, make the same call.
        job_id: the service's id of the job; None if there is no job yet.
        ticket: identifies the job, in this process or another: `client.attach(error.ticket)`; None if there is no job.
        status: the status in the service's last answer, in its own word.
        attempts: the number of exchanges in this errand, over all legs.
        leg: where the errand was: "submit", "poll" or "download".
        spent: seconds spent on each leg.
    """

    job_id: str | None = None
    ticket: str | None = None
    status: str | None = None
    attempts: int = 0
    leg: str | None = None
    spent: Mapping[str, float] = {}

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    @property
    def retryable(self) -> bool:
        """Whether you can try again later: by `attach` if there is a ticket, else by the same call."""
        return _retryable(self)

    def __str__(self) -> str:
        text = self.message if not self.job_id else f"{self.message} [job {self.job_id}]"
        # a service's text may have half a character (a lone surrogate), and whoever prints it would fail
        return text.encode(errors="backslashreplace").decode()


class UsageError(GoferError, ValueError):
    """The call is wrong: the message says what to write instead. No request was sent."""


class TicketError(UsageError):
    """A ticket that cannot be read, or that belongs to another service or contract."""


class DeclarationError(UsageError):
    """A contract's declaration is wrong.

    Attributes:
        source: the declaration's file, or its name.
        line: the line of the mistake, from 1; None if it is not in one line.
        key: the key, for example "status.state".
    """

    def __init__(self, message: str, *, source: str = "", line: int | None = None, key: str = "") -> None:
        place = f"{source}:{line}" if line is not None else source
        super().__init__(": ".join(part for part in (place, key, message) if part))
        self.source, self.line, self.key = source, line, key


class TargetError(GoferError, OSError):
    """The file cannot be written to its target; a file that was there before is unchanged.

    Attributes:
        full: whether the disk is full, so that no other file can be written either.
    """

    full: bool = False


class TargetIsFolder(TargetError):
    """The target is a folder, but a file was to be written."""


class TransportError(GoferError, ConnectionError):
    """There was no answer, or the connection broke before its end."""


class Unreachable(TransportError):
    """The request did not reach the service: no connection was made."""


class UntrustedCertificate(Unreachable):
    """This machine does not trust the service's certificate. gofer retries a few times only where a job exists."""


class AnswerLost(TransportError):
    """The connection broke after the request may have reached the service.

    Attributes:
        malformed: whether an answer came that breaks the rules of HTTP, such as two different lengths of one body.
    """

    def __init__(self, message: str, *, malformed: bool = False) -> None:
        super().__init__(message)
        self.malformed = malformed


class ServiceError(GoferError):
    """The service refused the request.

    Attributes:
        status_code: the HTTP status code.
        error_code: the service's own code; None if it sent none.
        detail: the service's own explanation (RFC 9457 `detail`); None if it sent none.
        retry_after: seconds to wait before the next try, from `Retry-After`; None if the service sent none.
        later: True if the contract says that nothing was done and that it is for now only, False if it says that it is
            final; None if it leaves that to the HTTP status.
    """

    later: bool | None = None

    def __init__(
        self,
        message: str,
        *,
        status_code: int = 0,
        error_code: str | None = None,
        detail: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status_code, self.error_code, self.detail, self.retry_after = status_code, error_code, detail, retry_after


class Rejected(ServiceError):
    """The service refuses this request, and will refuse it again unless it is changed."""


class Unauthorized(ServiceError):
    """The credentials are missing or not sufficient (401, 403)."""


class NotFound(ServiceError):
    """The service has nothing at this address (404)."""


class NotReady(ServiceError):
    """The file was requested before the job had ended (409)."""


class Expired(ServiceError):
    """The result existed, and the service has deleted it (410)."""


class NotSupported(ServiceError):
    """The service does not offer this optional part of the contract (405, 501)."""


class RateLimited(ServiceError):
    """Too many requests (429)."""


class Unavailable(ServiceError):
    """The service, or a proxy in front of it, does not work at the moment (5xx)."""


class BadReply(GoferError):
    """The answer does not follow the contract.

    Attributes:
        field: the place of the mistake in the document, for example `$.job_id` or `$`; "url" if a link or redirect
            leads to a host that `allow_hosts` does not name; None if the answer is no document at all, for example a
            proxy's web page.
        stateless: whether it is a status document that shows no state; after others that did, gofer polls again.
    """

    def __init__(self, message: str, *, field: str | None = None, stateless: bool = False) -> None:
        super().__init__(message)
        self.field, self.stateless = field, stateless


class NoResult(BadReply):
    """The job has succeeded, and its documents name nothing of what a declaration says that it makes."""


class SubmitUncertain(GoferError):
    """The submission's answer was lost, and the service does not promise to replay keys: the job may exist.

    Attributes:
        key: the key of the submission. If the contract sends keys and uploads nothing before,
            `submit(request, key=error.key)` repeats this very submission; else `submit` refuses the key. The same call
            without it could make a second job.
    """

    def __init__(self, message: str, *, key: str | None = None) -> None:
        super().__init__(message)
        self.key = key


class JobFailed(GoferError, RuntimeError):
    """The job ended without a result.

    Attributes:
        error_code: the service's code, for example NOT_FOUND; None if it sent none.
        error: the service's own explanation; None if it sent none.
        value: the job's last document, as the contract reads it.
        files: the files that this document names all the same; `job.partial` brings them.
    """

    files: tuple[ResultFile, ...] = ()

    def __init__(
        self, message: str, *, error_code: str | None = None, error: str | None = None, value: object = None
    ) -> None:
        super().__init__(message)
        self.error_code, self.error, self.value = error_code, error, value


class JobCancelled(JobFailed):
    """The job was cancelled, by this client or another."""


class NeedsInput(GoferError):
    """The job waits for its caller: answer with `job.answer(...)`, also by its `ticket`, and wait for it again.

    Attributes:
        question: what the service asks, as plain JSON; None if it does not say.
    """

    def __init__(self, message: str, *, question: object = None) -> None:
        super().__init__(message)
        self.question = question


class JobLost(GoferError):
    """The service no longer has a job that it had accepted."""


class WrongFile(GoferError):
    """What was downloaded is not the promised file; the target is unchanged.

    Attributes:
        reason: "digest", "size", "format", "encoding", "range", "too big" or "unverified".
    """

    def __init__(self, message: str, *, reason: str = "format") -> None:
        super().__init__(message)
        self.reason = reason


class JournalError(GoferError):
    """The journal of a batch cannot be read or written, or is another's. What is in it stays as it is."""


class BatchStopped(GoferError):
    """A batch has stopped before its end, because every errand would meet the same. What is not done is left as it was.

    Attributes:
        reason: what the errands met, such as `Unauthorized`.
    """

    def __init__(self, message: str, *, reason: GoferError | None = None) -> None:
        super().__init__(message)
        self.reason = reason

    @classmethod
    def because(cls, reason: GoferError) -> GoferError:
        """Make the error of a batch that has stopped for this reason: some reasons say it all by themselves."""
        if isinstance(reason, OutOfTime | JournalError):
            return reason
        stopped = cls(
            f"The batch has stopped, and what is not done is left for the next run. {reason.message}", reason=reason
        )
        stopped.__cause__ = reason
        return stopped


class OutOfTime(GoferError, TimeoutError):
    """The timeout of the call ended; `leg` and `spent` say where the time went.

    Attributes:
        key: the key of the submission, as in `SubmitUncertain`, if it may have arrived and was not answered; else None.
        cancelled: whether gofer has cancelled the job, as `run` does unless `on_abandon="leave"`. Then attaching to it
            ends as `JobCancelled`, and `retryable` is False.
    """

    key: str | None = None
    cancelled: bool = False


class WaitTimeout(OutOfTime):
    """The timeout ended before the job. The job keeps running, unless gofer cancelled it (`on_abandon`)."""


class Abandoned(GoferError):
    """Thrown into a flow after its caller has left (Ctrl-C, a cancelled task). Callers never see it."""


def _retryable(error: GoferError) -> bool:
    """Decide by the kind of the error and the service's answer; what is not listed here is final."""
    match error:
        case ServiceError(later=bool() as later):
            return later
        case UntrustedCertificate() | Expired() | NotSupported():
            return False
        case TransportError() | NotReady() | RateLimited():
            return True
        case Unavailable(status_code=status):
            return status != 501
        case ServiceError():  # these ask for the same request again (RFC 9110, 15.5.9 and 15.5.20; RFC 8470)
            return error.retry_after is not None or error.status_code in (408, 421, 425)
        case BadReply():
            return error.field is None
        case BatchStopped():
            return error.reason is not None and _retryable(error.reason)
        case OutOfTime():
            return error.key is None and not error.cancelled  # else only the key repeats the submission safely
        case _:
            return False
