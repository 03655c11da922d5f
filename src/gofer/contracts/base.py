"""The `Contract` protocol: all that the core needs from one service's API, as pure functions.

A contract turns an input into a neutral `Request` and a neutral `Reply` into a `Snapshot`. It opens nothing, waits for
nothing and retries nothing; it raises `UsageError` for a wrong input and `BadReply` for an answer that does not follow
the contract. No flow, driver or face has a path or a field name of any service in it: those stay behind this protocol.

What is sent and what is read go in pairs: `build_poll` and `read_poll`. A contract of your own is a class derived from
`Contract` with at least `name`, `build_submission`, `read_submission`, `build_poll` and `read_poll`; everything else
has a default that says "this service has no such thing".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, Literal, Protocol, TypeVar, cast

from attrs import field, frozen

from gofer.contracts import payload
from gofer.contracts.payload import Problem
from gofer.errors import ServiceError, UsageError
from gofer.models import ResultFile, Status
from gofer.wire import Head, Reply, Request, may_be_id

In_contra = TypeVar("In_contra", contravariant=True)
Out = TypeVar("Out")

Leg = Literal["upload", "submit", "start", "poll", "result", "cancel", "answer"]


MOST_PAGES = 10_000
"""Pages of one result."""


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
        value: the document, read; once the results are read, the value of the job.
        etag: the document's entity tag, for the next conditional poll (RFC 9110, section 8.8.3).
        files: the files of the result, as far as the replies have named them; a failed job may have some, too.
        idle: whether the job waits to be started by a second request.
        document_file: the result document as it came, where the value is all of it.
        url: where the document came from: its links may be relative to it.
        answer: the reply that showed the job's success, for a contract that reads the results out of it.
        pause: seconds until the service wants the next status request; None where it does not say.
        more: the requests for the other pages of the result that were named so far.
    """

    ref: Ref
    status: Status
    value: Out
    etag: str | None = None
    files: tuple[ResultFile, ...] = ()
    idle: bool = False
    document_file: ResultFile | None = None
    url: str = field(default="", repr=False)
    answer: Reply | None = field(default=None, repr=False)
    pause: float | None = None
    more: tuple[Request, ...] = ()


@frozen
class Changes:
    """What a feed of changes says in one reply.

    Attributes:
        cursor: where the next request goes on.
        ended: the jobs that have ended, by their ids; None for one whose document cannot be read.
        more: whether more can be had at once.
        reply: the reply itself.
    """

    cursor: str
    ended: Mapping[str, Snapshot[Any] | None]
    more: bool
    reply: Reply = field(repr=False)


@frozen
class Look:
    """What one look at many jobs has shown.

    Attributes:
        jobs: each job as far as its entry shows it, by its id; its status is "" where the entry has none.
        next: where the next page is; None on the last one.
    """

    jobs: Mapping[str, Snapshot[Any]]
    next: str | None


class Contract(Protocol[In_contra, Out]):
    """One service's API. Every method is pure; `base` is the service's address without a trailing slash."""

    # --- what every contract says ---

    name: str
    """The contract's name, written into tickets; a ticket of another name is refused."""

    def build_submission(self, base: str, request: In_contra, *, key: str, budget: float | None, hold: int) -> Request:
        """Build the submission of `request`.

        Args:
            base: the service's address.
            request: the caller's input; a wrong one raises `UsageError`.
            key: the idempotency key.
            budget: the errand's total in seconds, None without one.
            hold: whole seconds the service may hold the answer to give a finished job; 0 for an answer at once.
        """
        ...

    def read_submission(self, base: str, request: Request, reply: Reply) -> Snapshot[Out]:
        """Read the answer to a submission; `request` is the submission as it was built."""
        ...

    def build_poll(self, base: str, ref: Ref, *, hold: int, etag: str | None, seen: Status) -> Request:
        """Build a status request.

        Args:
            base: the service's address.
            ref: the job.
            hold: with more than 0, whole seconds that the service may hold the answer.
            etag: the entity tag of the last document, None without one.
            seen: the last status.
        """
        ...

    def read_poll(self, base: str, ref: Ref, reply: Reply) -> Snapshot[Out]:
        """Read the answer to a status request."""
        ...

    # --- what many services do not have ---

    def build_upload(self, base: str, request: In_contra, *, key: str) -> Request | None:
        """Build the next request that goes before the submission of `request`; None where there is none, or no more.

        It makes no job, so it may be sent more than once. One that is `anonymous` gets nothing of the caller's.
        """
        return None

    def read_upload(self, base: str, request: In_contra, reply: Reply) -> Any:
        """Return the request with what the answer says, for the next upload or the submission."""
        return request

    @property
    def replays_keys(self) -> Literal["yes", "no", "ask"]:
        """Whether the same idempotency key gives the same job; "ask" makes the core ask for `capabilities`."""
        return "no"

    def is_idempotent(self, request: Request) -> bool:
        """Tell whether a submission sent twice is one job whatever its key: by its method (RFC 9110, section 9.2.2)."""
        return request.method in ("PUT", "DELETE")

    def existing(self, base: str, request: Request, reply: Reply) -> Snapshot[Out] | None:
        """Return the job of a refused submission, if the refusal means that it exists and is the caller's."""
        return None

    def job_of(self, base: str, request: Request, key: str) -> Snapshot[Out] | None:
        """Return the job that a submission names itself by its key; None for services that choose the id.

        A repeated submission that is refused because its job exists is then no loss: that job is polled. A name that
        others may have used before is none: what is there might be theirs.
        """
        return None

    @property
    def sends_key(self) -> bool:
        """Whether a submission carries its idempotency key; else no later call can repeat it by the key."""
        return self.replays_keys != "no"

    @property
    def keeps_keys(self) -> float:
        """Seconds for which the service replays a key after it was first sent; later it may make a second job."""
        return 86_400.0

    @property
    def grace(self) -> float | None:
        """Seconds after which a word that the contract does not have is an error; None takes it as still active.

        The client's option `grace=` counts before it.
        """
        return None

    @property
    def folders(self) -> bool:
        """Whether a result may be other than one file, so that a folder as the target gets all of them."""
        return False

    def to_json(self, request: In_contra) -> object:
        """Return a request as plain JSON, for a journal; what is no JSON is a `UsageError` later."""
        return request

    def from_json(self, value: object) -> object:
        """Return the request that `to_json` has made this of."""
        return value

    def fields(self, request: In_contra) -> Mapping[str, object]:
        """Return what of a request may name its target, as in "papers/{doi}.pdf": the members of a map by default.

        Only texts and numbers can stand in a target. A wrong request may raise `UsageError`.
        """
        return cast("Mapping[str, object]", request) if isinstance(request, Mapping) else {}

    def stem(self, request: In_contra) -> str | None:
        """Return the text that names a request's one file in a folder; None takes the job's id."""
        return None

    def reads(self, leg: Leg, status: int) -> bool:
        """Tell whether a reply of this HTTP status is the contract's to read; HTTP's own meaning holds for others."""
        return 200 <= status < 300

    def means_later(self, status: int, code: str | None) -> bool:
        """Tell whether a refusal with this HTTP status and this code says that nothing was done, and to come later.

        It adds to what HTTP itself says; a submission that is refused so is sent again.
        """
        return False

    def refusal_of(self, leg: Leg, reply: Reply) -> tuple[type[ServiceError], bool] | None:
        """Return the error for a refusal, and whether it is for now only; None takes what its HTTP status means."""
        return None

    def refuses_credentials(self, status: int, code: str | None) -> bool:
        """Tell whether a refusal with this HTTP status and this code says that the credentials are no longer valid.

        It adds to 401, and to 403 with `invalid_token`: the caller's `auth=` is asked for others then, once.
        """
        return False

    def add_to_every(self, base: str, ref: Ref | None, request: Request) -> Request:
        """Add what the service wants on every request to its own origin."""
        return request

    def ref(self, job_id: str) -> Ref:
        """Return where the job of this id is; what can be no id is a `UsageError`."""
        if not isinstance(job_id, str) or not may_be_id(job_id):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(f"This is no job id: {str(job_id)[:80]!r}. Pass the job_id that the submission gave.")
        return Ref(job_id)

    def build_start(self, base: str, ref: Ref) -> Request | None:
        """Build the request that starts an idle job; it may be sent twice."""
        return None

    @property
    def holds(self) -> bool:
        """Whether a status request may ask the service to hold it; else it has the client's time-out."""
        return True

    def held(self, reply: Reply, *, hold: int, took: float) -> bool:
        """Tell whether this answer, which took `took` seconds, proves that the service holds status requests."""
        return False

    def may_be_file(self, leg: Leg) -> bool:
        """Tell whether the answer on this leg may be the file itself, so that its head is read before its body."""
        return False

    def is_document(self, ref: Ref, leg: Leg, head: Head) -> bool:
        """Tell, where the answer may be a file, whether one with this head is a document, to be read in memory."""
        return True

    def build_results(self, base: str, snapshot: Snapshot[Out]) -> Request | Snapshot[Out]:
        """Return a succeeded job with its results, or the request for the document that has them."""
        return snapshot

    def read_results(self, base: str, snapshot: Snapshot[Out], reply: Reply) -> Snapshot[Out]:
        """Read the result document; the status is FAILED where it says that the job has failed after all.

        A snapshot that has `more` is what the pages before gave, and this one is added to it.
        """
        return snapshot

    def build_partial(self, base: str, snapshot: Snapshot[Out]) -> Request | None:
        """Build the request for the files of a job that has not succeeded, whose status names none."""
        return None

    def read_partial(self, base: str, snapshot: Snapshot[Out], reply: Reply) -> tuple[ResultFile, ...]:
        """Read the files of a job that has not succeeded."""
        return ()

    def build_reason(self, base: str, snapshot: Snapshot[Out]) -> Request | None:
        """Build the request for the document that says why a job has failed; None where its status says all."""
        return None

    def read_reason(self, snapshot: Snapshot[Out], reply: Reply) -> Snapshot[Out]:
        """Read that document into the failed job's status. It may come with an error's HTTP status.

        A request in `more` of what is returned is sent too, and read with that; no third one is.
        """
        return snapshot

    def file_of_value(self, snapshot: Snapshot[Out]) -> ResultFile | None:
        """Return the value of a result without files as a file of its own; None where there is nothing to keep."""
        return None

    def judge(self, promised: str | None, head: bytes) -> str | None:
        """Compare a file's first bytes with the promised format: return why they cannot be it, or None."""
        return None

    def build_cancellation(self, base: str, ref: Ref) -> Request | None:
        """Build the request that cancels the job; None where the service has none."""
        return None

    def read_cancellation(self, base: str, ref: Ref, reply: Reply) -> Snapshot[Out] | None:
        """Read the answer to a cancellation; None where it shows no job."""
        return None

    def build_answer(self, base: str, ref: Ref, answer: object, question: object) -> Request | None:
        """Build the request that answers a job's question; None where jobs ask none. A wrong one is a `UsageError`."""
        return None

    def read_answer(self, base: str, ref: Ref, reply: Reply) -> Snapshot[Out] | None:
        """Read what the service says to the answer; None where it shows no job."""
        return self.read_cancellation(base, ref, reply)

    def build_discard(self, base: str, ref: Ref) -> Request | None:
        """Build the request that throws a job away whose result was brought; None where the service has none."""
        return None

    def build_token(self, base: str) -> Request | None:
        """Build the request for a token that signs all others, if the caller has no `auth=`; None without one."""
        return None

    def read_token(self, reply: Reply) -> tuple[Mapping[str, str], float | None] | None:
        """Read the headers that carry the token, and its lifetime in seconds (None: no end); None without a token."""
        return None

    def build_health(self, base: str) -> Request | None:
        """Build the health request, None where the service has none."""
        return None

    def read_capabilities(self, reply: Reply) -> frozenset[str]:
        """Read the extensions a health answer names; "idempotency-key" means that keys are replayed."""
        return frozenset()

    def build_changes(self, base: str, cursor: str | None, *, hold: int) -> Request | None:
        """Build the request for which jobs have changed since a cursor, or for the cursor of now; None without a feed.

        With `hold` above 0, the service may hold the answer for so many seconds until there is a change.
        """
        return None

    def read_changes(self, base: str, reply: Reply) -> Changes | None:
        """Read the answer; None if it shows that the service has no feed at this address."""
        return None

    @property
    def lists_jobs(self) -> bool:
        """Whether a look at many needs no ids, so that its pages are all jobs of the caller."""
        return False

    @property
    def most_at_once(self) -> int:
        """How many jobs one look at many can be asked about; 0 where the service has no such request."""
        return 0

    def build_many(self, base: str, ids: Sequence[str], page: str | None) -> Request | None:
        """Build a look at these jobs, or the request for the page that the last answer named."""
        return None

    def read_many(self, base: str, reply: Reply) -> Look | None:
        """Read what it shows; other jobs than were asked about may be among them."""
        return None

    def read_problem(self, reply: Reply) -> Problem:
        """Read an error answer of any shape; never raises."""
        return payload.read_problem(reply)
