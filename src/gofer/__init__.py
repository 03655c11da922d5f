"""gofer runs errands: it submits a job to an HTTP service, polls it until it ends, and downloads the file.

Sync: `Client`, `RetrieveClient`. Async, on asyncio and trio: `AsyncClient`, `AsyncRetrieveClient`. Both faces drive the
same state machine.
"""

import importlib
import logging
from typing import TYPE_CHECKING

from gofer.client import Client, Job
from gofer.contracts.base import Contract, Ref, Snapshot
from gofer.core.credentials import Auth, Refused
from gofer.core.names import safe_name
from gofer.core.policies import OnAbandon, Retry
from gofer.errors import (
    AnswerLost,
    BadReply,
    BatchStopped,
    DeclarationError,
    Expired,
    GoferError,
    JobCancelled,
    JobFailed,
    JobLost,
    JournalError,
    NeedsInput,
    NoResult,
    NotFound,
    NotReady,
    NotSupported,
    OutOfTime,
    RateLimited,
    Rejected,
    ServiceError,
    SubmitUncertain,
    TargetError,
    TicketError,
    TransportError,
    Unauthorized,
    Unavailable,
    Unreachable,
    UntrustedCertificate,
    UsageError,
    WaitTimeout,
    WrongFile,
)
from gofer.events import CancelSent, Changed, Downloading, Event, Retrying, Saved, Submitted
from gofer.models import (
    Attempt,
    BatchErrand,
    Fetched,
    HealthStatus,
    JobPage,
    Outcome,
    ResultFile,
    RetrieveJobResponse,
    RetrieveRequest,
    RetrieveResult,
    State,
    Status,
    Verified,
)
from gofer.options import Credentials, Options
from gofer.retrieve import RetrieveClient, RetrieveJob
from gofer.transports.base import IO, AsyncIO, Listener
from gofer.version import __version__
from gofer.wire import Head, Reply, Request

if TYPE_CHECKING:
    from gofer.abatch import AsyncBatch
    from gofer.aclient import AsyncClient, AsyncJob
    from gofer.aretrieve import AsyncRetrieveClient, AsyncRetrieveJob
    from gofer.batch import Batch
    from gofer.contracts.declared.contract import DeclaredContract
    from gofer.contracts.declared.shipped import declared

logging.getLogger("gofer").addHandler(logging.NullHandler())  # silent until an application configures logging

__all__ = [
    "IO",
    "AnswerLost",
    "AsyncBatch",
    "AsyncClient",
    "AsyncIO",
    "AsyncJob",
    "AsyncRetrieveClient",
    "AsyncRetrieveJob",
    "Attempt",
    "Auth",
    "BadReply",
    "Batch",
    "BatchErrand",
    "BatchStopped",
    "CancelSent",
    "Changed",
    "Client",
    "Contract",
    "Credentials",
    "DeclarationError",
    "DeclaredContract",
    "Downloading",
    "Event",
    "Expired",
    "Fetched",
    "GoferError",
    "Head",
    "HealthStatus",
    "Job",
    "JobCancelled",
    "JobFailed",
    "JobLost",
    "JobPage",
    "JournalError",
    "Listener",
    "NeedsInput",
    "NoResult",
    "NotFound",
    "NotReady",
    "NotSupported",
    "OnAbandon",
    "Options",
    "OutOfTime",
    "Outcome",
    "RateLimited",
    "Ref",
    "Refused",
    "Rejected",
    "Reply",
    "Request",
    "ResultFile",
    "RetrieveClient",
    "RetrieveJob",
    "RetrieveJobResponse",
    "RetrieveRequest",
    "RetrieveResult",
    "Retry",
    "Retrying",
    "Saved",
    "ServiceError",
    "Snapshot",
    "State",
    "Status",
    "SubmitUncertain",
    "Submitted",
    "TargetError",
    "TicketError",
    "TransportError",
    "Unauthorized",
    "Unavailable",
    "Unreachable",
    "UntrustedCertificate",
    "UsageError",
    "Verified",
    "WaitTimeout",
    "WrongFile",
    "__version__",
    "declared",
    "safe_name",
]

_LATER = {
    "AsyncBatch": "gofer.abatch",
    "Batch": "gofer.batch",
    "AsyncClient": "gofer.aclient",
    "AsyncJob": "gofer.aclient",
    "AsyncRetrieveClient": "gofer.aretrieve",
    "AsyncRetrieveJob": "gofer.aretrieve",
    "DeclaredContract": "gofer.contracts.declared.contract",
    "declared": "gofer.contracts.declared.shipped",
}

if not TYPE_CHECKING:  # a type checker would take it for a promise that any name exists

    def __getattr__(name: str) -> object:
        """Import the async face when it is first named: a sync script does not pay for it (PEP 562)."""
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        face = globals()[name] = getattr(importlib.import_module(_LATER[name]), name)
        return face
