"""What one errand knows and remembers: the service it goes to, the job it is about, its budget and where the time went.

Values and their bookkeeping only; what to do with them is the flows' business.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from attrs import define, evolve, field, frozen

from gofer.contracts.base import Contract, Ref, Snapshot
from gofer.core.commands import Now
from gofer.core.policies import Rules
from gofer.core.table import ENDINGS, LEGS, TABLE, Move, Stage
from gofer.errors import GoferError, OutOfTime, TicketError, WaitTimeout
from gofer.models import ResultFile, State, Status
from gofer.ticket import Ticket
from gofer.wire import Request, origin

In = TypeVar("In")
Out = TypeVar("Out")

NEUTRAL = frozenset(
    {"accept", "accept-encoding", "content-type", "if-none-match", "if-range", "prefer", "range", "want-repr-digest"}
)
"""Headers that may go to another origin: what any other says may be a secret."""

LAST_REQUEST = 0.5
"""Seconds of a budget kept back for one last request, or a tenth of it where that is less."""

_log = logging.getLogger("gofer")


@frozen
class Service(Generic[In, Out]):
    """A service as a client knows it: where it is, how it speaks, who calls, and by which rules.

    Attributes:
        contract: how it speaks.
        base: its address, checked, without a trailing slash.
        rules: the policies and limits of every errand to it.
        sign: adds the caller's headers and credentials to a request; asked on the service's own origin only.
    """

    contract: Contract[In, Out]
    base: str
    rules: Rules
    sign: Callable[[Request], Request] = field(default=lambda request: request, repr=False)
    origin: tuple[str, str, int] = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "origin", origin(self.base))

    def dress(self, request: Request, ref: Ref | None) -> Request:
        """Sign a request to the service's own origin; mark any other as bare, so that no adapter adds to it."""
        # What begins with the base is at home; only other URLs are worth taking apart.
        if request.url.startswith(f"{self.base}/") or origin(request.url) == self.origin:
            return self.sign(self.contract.add_to_every(self.base, ref, request))
        kept = {name: value for name, value in request.headers.items() if name in NEUTRAL}
        return evolve(request, headers=kept, bare=True)


@define(eq=False)
class Known(Generic[Out]):
    """What is known of one job. A handle and the flows it starts share it.

    Attributes:
        ref: where it is; None until the service has answered the submission.
        snapshot: the last one seen.
        submitted: wall time of the submission, if it was seen.
        vouched: whether the service is known to have accepted this job, so that a 404 is a blip at first.
        told: whether the snapshot has the results, so that nothing more need be asked.
    """

    ref: Ref | None = None
    snapshot: Snapshot[Out] | None = None
    submitted: float | None = None
    vouched: bool = False
    told: bool = False

    @property
    def files(self) -> tuple[ResultFile, ...]:
        """The files of the result, as far as they are known."""
        return () if self.snapshot is None else self.snapshot.files

    @property
    def status(self) -> Status:
        """The last status seen; an empty word of UNKNOWN before the first look."""
        return Status("", State.UNKNOWN) if self.snapshot is None else self.snapshot.status


class Errand(Generic[In, Out]):
    """One errand under way. `now` is the time of the last outcome; a `Run` keeps it."""

    def __init__(
        self,
        service: Service[In, Out],
        known: Known[Out] | None = None,
        *,
        timeout: float | None = None,
        heard: bool = True,
    ) -> None:
        self.service = service
        self.rules = service.rules
        self.contract = service.contract
        self.known: Known[Out] = Known() if known is None else known
        self.timeout = timeout
        self.heard = heard  # whether anybody listens to events
        self.stage = Stage.NEW
        self.attempts = 0
        self.hold = service.rules.hold  # becomes shorter where held requests fail
        self.looked = -math.inf  # when the last look at the job began
        self.key: str | None = None
        self.submission: Request | None = None
        self.started = False  # whether this errand has started the job by a second request
        self.at_risk = False  # whether the submission may have reached the service
        self.spent: dict[str, float] = {}
        self.now = Now(math.nan, math.nan)
        self.deadline: float | None = None

    # --- time ---

    def begin(self, now: Now) -> None:
        """Start the clock: the timeout becomes a deadline."""
        self.now = now
        if self.timeout is not None:
            self.deadline = now.mono + self.timeout

    def at(self, now: Now) -> None:
        """Note the time of an outcome and book what has passed on the present leg."""
        leg = LEGS.get(self.stage)
        if leg is not None:
            self.spent[leg] = self.spent.get(leg, 0.0) + now.mono - self.now.mono
        self.now = now

    @property
    def left(self) -> float:
        """Seconds of the budget that remain; infinite without one."""
        return math.inf if self.deadline is None else self.deadline - self.now.mono

    @property
    def reserve(self) -> float:
        """Seconds of the budget kept back for one last request."""
        return LAST_REQUEST if self.timeout is None else min(LAST_REQUEST, 0.1 * self.timeout)

    def late(self, failure: GoferError | None = None) -> OutOfTime:
        """Make the error for a budget that ran out here; `failure` is what the last try met."""
        waiting = self.stage is Stage.POLLING
        did = f"the job was still {self.known.status or 'unknown'}" if waiting else "the errand was not done"
        total = sum(self.spent.values())
        where = ", ".join(f"{leg} {seconds:.1f} s" for leg, seconds in self.spent.items()) or "nothing sent"
        of = "" if self.timeout is None else f" of {self.timeout:g} s"
        last = "" if failure is None else f" The last try failed: {failure.message}"
        error = (WaitTimeout if waiting else OutOfTime)(f"Out of time: {did} after {total:.1f}{of} ({where}).{last}")
        if self.stage is Stage.SUBMITTING and self.at_risk:
            error.key = self.key
        return error

    # --- stages ---

    def move(self, move: Move) -> None:
        """Go where the table says this move leads."""
        self.stage = TABLE[self.stage, move]
        _log.debug("%s -> %s", move, self.stage)

    def end(self, error: BaseException) -> None:
        """Leave by the way out that this error is, and write on it what is known of the errand."""
        if isinstance(error, GoferError):
            error.leg = LEGS.get(self.stage)
            error.job_id = self.job_id
            error.ticket = None if self.known.ref is None else str(self.ticket)
            error.status = str(self.known.status) or None
            error.attempts, error.spent = self.attempts, dict(self.spent)
        move = next((way for kind, way in ENDINGS if isinstance(error, kind)), None)
        if move is not None and (self.stage, move) in TABLE:
            self.move(move)

    # --- the job ---

    @property
    def ref(self) -> Ref:
        """Where the job is; only asked once it is known."""
        assert self.known.ref is not None, "no job yet"  # noqa: S101  (a flow asked too early)
        return self.known.ref

    @property
    def job_id(self) -> str | None:
        """The service's id of the job, None before there is one."""
        return None if self.known.ref is None else self.known.ref.id

    @property
    def ticket(self) -> Ticket:
        """The ticket of the job; only asked once it is known."""
        return ticket_of(self.service, self.ref, self.known.submitted)

    def saw(self, snapshot: Snapshot[Out]) -> bool:
        """Remember a snapshot of the job; return whether its status is new."""
        before = self.known.status
        if snapshot.status.state is State.UNKNOWN and snapshot.status != before:
            _log.warning("The service reports a status unknown to gofer, %r; taken as still active.", snapshot.status)
        self.known.ref, self.known.snapshot = snapshot.ref, snapshot
        return snapshot.status != before


def ticket_of(service: Service[Any, Any], ref: Ref, submitted: float | None) -> Ticket:
    """Make the ticket of a job."""
    return Ticket(service.contract.name, service.base, ref.id, ref.links, submitted)


def known_from(service: Service[Any, Out], ticket: str) -> Known[Out]:
    """Read a ticket of this very service, or raise `TicketError`."""
    read = Ticket.parse(ticket)
    if read.contract != service.contract.name:
        if read.contract.partition("@")[0] == service.contract.name.partition("@")[0]:
            raise TicketError(
                f"The ticket was made with {read.contract!r}, and this client has {service.contract.name!r}: "
                "the declaration reads a job's id or links in another way since. Attach with it as it was."
            )
        raise TicketError(
            f"The ticket is for the contract {read.contract!r}; this client speaks {service.contract.name!r}."
        )
    if read.base != service.base:
        raise TicketError(
            f"The ticket is for {read.base}; this client is for {service.base}. Attach it where it belongs."
        )
    return Known(Ref(read.id, read.links), submitted=read.submitted, vouched=True)
