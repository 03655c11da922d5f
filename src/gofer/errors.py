"""Every error gofer raises, in one tree. No other module defines one.

    GoferError
    ├── UsageError (ValueError)             the call is wrong; no request was sent
    │   ├── TicketError                     a ticket that is broken, or another service's
    │   └── DeclarationError                a contract's declaration that is wrong; names the line and the key
    ├── TargetError (OSError)               the file cannot be written where it was asked for
    │   └── TargetIsFolder                  there is a folder
    ├── TransportError (ConnectionError)    no answer came
    │   ├── Unreachable                     the request never left: sending it again is safe
    │   │   └── UntrustedCertificate        never retried
    │   └── AnswerLost                      it may have arrived, or the body broke off
    ├── ServiceError                        the service answered, and it was a refusal
    │   ├── Rejected                        400, 409, 422 and other 4xx: the request itself
    │   ├── Unauthorized                    401, 403
    │   ├── NotFound                        404
    │   ├── NotReady                        409 to a download: the job has not ended
    │   ├── Expired                         410: the result was deleted
    │   ├── NotSupported                    the service lacks this extension
    │   ├── RateLimited                     429
    │   └── Unavailable                     5xx
    ├── BadReply                            the answer does not follow the contract; names the field
    ├── SubmitUncertain                     the job may exist; carries the key that settles it
    ├── JobFailed (RuntimeError)            the job ended without a result
    │   └── JobCancelled
    ├── JobLost                             the service no longer knows the job
    ├── WrongFile                           what came is not the file that was promised
    ├── OutOfTime (TimeoutError)            the budget ran out
    │   └── WaitTimeout                     while waiting for the job
    └── Abandoned                           thrown into a flow whose caller has left

Every one of them carries what is known of the errand: `job_id`, `ticket`, `status`, `attempts`, `leg`, `spent`.
"""

from __future__ import annotations

from collections.abc import Mapping


class GoferError(Exception):
    """The root of every error of this library.

    Attributes:
        job_id: the service's id of the job, if it was known.
        ticket: goes on with the errand, in this process or another: `client.attach(error.ticket)`.
        status: the last status seen, as the service said it.
        attempts: exchanges made on this errand, over all legs.
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

    def __str__(self) -> str:
        return self.message if self.job_id is None else f"{self.message} [job {self.job_id}]"


class UsageError(GoferError, ValueError):
    """The call is wrong: the message says what to write instead. No request was sent."""


class TicketError(UsageError):
    """A ticket that cannot be read, or that belongs to another service or contract."""


class DeclarationError(UsageError):
    """A contract's declaration is wrong.

    Attributes:
        source: the declaration's file, or its name.
        line: the line in it, from 1; None where there is none to point at.
        key: the key, as in "status.state".
    """

    def __init__(self, message: str, *, source: str = "", line: int | None = None, key: str = "") -> None:
        place = f"{source}:{line}" if line is not None else source
        super().__init__(": ".join(part for part in (place, key, message) if part))
        self.source, self.line, self.key = source, line, key


class TargetError(GoferError, OSError):
    """The file cannot be written where it was asked for; what was there before is untouched."""


class TargetIsFolder(TargetError):
    """The target is a folder, where a file was to be written."""


class TransportError(GoferError, ConnectionError):
    """No answer came, or it broke off."""


class Unreachable(TransportError):
    """The request never reached the service: no connection was made."""


class UntrustedCertificate(Unreachable):
    """The service's certificate is not trusted here. Never retried: the next try would end the same."""


class AnswerLost(TransportError):
    """The connection broke after the request may have reached the service."""


class ServiceError(GoferError):
    """The service answered with a refusal.

    Attributes:
        status_code: the HTTP status code.
        error_code: the service's own code, if it gave one.
        detail: the service's own words (RFC 9457 `detail`), if it gave some.
        retry_after: seconds the service asked to wait, if it did.
    """

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
    """The service refuses this request; sending it again unchanged would not help."""


class Unauthorized(ServiceError):
    """The credentials are missing or not sufficient (401, 403)."""


class NotFound(ServiceError):
    """There is nothing at this address (404)."""


class NotReady(ServiceError):
    """The file was asked for before the job had ended (409)."""


class Expired(ServiceError):
    """The result existed and was deleted (410)."""


class NotSupported(ServiceError):
    """The service does not offer this optional part of the contract."""


class RateLimited(ServiceError):
    """Too many requests (429)."""


class Unavailable(ServiceError):
    """The service, or something in front of it, is in trouble (5xx)."""


class BadReply(GoferError):
    """The answer does not follow the contract.

    Attributes:
        field: where in the document it goes wrong, as in `$.job_id`, or `$`; None when no document came at all.
    """

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class SubmitUncertain(GoferError):
    """The submission's answer was lost and the service does not promise to replay keys: the job may exist.

    Attributes:
        key: `submit(request, key=error.key)` repeats this very submission.
    """

    def __init__(self, message: str, *, key: str | None = None) -> None:
        super().__init__(message)
        self.key = key


class JobFailed(GoferError, RuntimeError):
    """The job ended without a result.

    Attributes:
        error_code: the service's code, as in NOT_FOUND.
        error: the service's own words.
        value: the job's last document, read by the contract.
    """

    def __init__(
        self, message: str, *, error_code: str | None = None, error: str | None = None, value: object = None
    ) -> None:
        super().__init__(message)
        self.error_code, self.error, self.value = error_code, error, value


class JobCancelled(JobFailed):
    """The job was cancelled, by this client or another."""


class JobLost(GoferError):
    """The service no longer knows a job that it had accepted."""


class WrongFile(GoferError):
    """What came is not the file that was promised; the target was not touched.

    Attributes:
        reason: "digest", "size", "format", "encoding", "range", "too big" or "unverified".
    """

    def __init__(self, message: str, *, reason: str = "format") -> None:
        super().__init__(message)
        self.reason = reason


class OutOfTime(GoferError, TimeoutError):
    """The errand's budget ran out; `leg` and `spent` say where the time went.

    Attributes:
        key: while the submission was still unanswered, the key that repeats it; else None.
    """

    key: str | None = None


class WaitTimeout(OutOfTime):
    """The job had not ended when the budget did. The job itself goes on unless it was cancelled."""


class Abandoned(GoferError):
    """Thrown into a flow when its caller has left (Ctrl-C, a cancelled task). Callers never see it."""
