"""A service as a client sees it: where it is, how it speaks, who calls, by which rules; and its jobs' tickets.

Values only. A request is made ready for its destination here, except for the signature of a caller's own function:
that is a command (`Authorise`), since the function may block or wait.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from attrs import evolve, field, frozen

from gofer.contracts.base import Contract, Ref
from gofer.core.credentials import Auth, Sign
from gofer.core.policies import Rules
from gofer.core.record import JobRecord
from gofer.core.slots import Slots
from gofer.errors import TicketError
from gofer.ticket import Ticket
from gofer.wire import Request, origin

In = TypeVar("In")
Out = TypeVar("Out")

NEUTRAL = frozenset(
    {
        "accept",
        "accept-encoding",
        "cache-control",
        "content-type",
        "if-none-match",
        "if-range",
        "prefer",
        "range",
        "want-repr-digest",
    }
)
"""Headers that may go to another origin: any other may hold a secret."""


@frozen
class Service(Generic[In, Out]):
    """A service, and how its caller wants it to be asked.

    Attributes:
        contract: how it speaks.
        base: its address, checked, without a trailing slash.
        rules: the policies and limits of every errand to it.
        headers: the caller's headers, lower-case names, for the service's own origin only.
        signer: signs requests to the service's own origin: a function of the caller's, of the request and what was
            refused; or an object that can renew its credentials.
        slots: how many requests may be under way at once.
    """

    contract: Contract[In, Out]
    base: str
    rules: Rules
    headers: Mapping[str, str] = field(factory=dict[str, str], repr=lambda headers: str(list(headers)))
    signer: Auth | Sign | None = field(default=None, repr=False)
    slots: Slots = field(factory=Slots, repr=False, eq=False)
    origin: tuple[str, str, int] = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "origin", origin(self.base))

    def owns(self, url: str) -> bool:
        """Tell whether a URL is on the service's own origin."""
        # A URL that begins with the base is; only others are worth parsing.
        return url.startswith(f"{self.base}/") or origin(url) == self.origin

    def ready(self, request: Request, ref: Ref | None) -> Request:
        """Make a request ready for where it goes.

        To the service's own origin it gets the contract's and the caller's headers, of which the contract's win. To any
        other, whatever may be a secret is taken away, and the request is marked, so that no adapter adds its own. One
        that the contract has marked is made for there, and stays as it is.
        """
        if request.anonymous:
            return request
        if not self.owns(request.url):
            kept = {name: value for name, value in request.headers.items() if name in NEUTRAL}
            return evolve(request, headers=kept, anonymous=True)
        request = self.contract.add_to_every(self.base, ref, request)
        return evolve(request, headers={**self.headers, **request.headers}) if self.headers else request

    def ticket_of(self, record: JobRecord[Any]) -> Ticket:
        """Make the ticket of a job that the service has accepted."""
        assert record.ref is not None, "no job yet"  # noqa: S101  (a flow asked too early)
        return Ticket(self.contract.name, self.base, record.ref.id, record.ref.links, record.submitted)

    def record_of(self, ticket: str) -> JobRecord[Out]:
        """Read a ticket of this very service into the record of its job.

        Raises:
            TicketError: it is damaged, or another service's or contract's.
        """
        read = Ticket.parse(ticket)
        if read.contract != self.contract.name:
            if read.contract.partition("@")[0] == self.contract.name.partition("@")[0]:
                raise TicketError(
                    f"The ticket was made with {read.contract!r}, and this client has {self.contract.name!r}: "
                    "the declaration has changed how it reads a job's id or links. Attach with the old declaration."
                )
            raise TicketError(
                f"The ticket is for the contract {read.contract!r}; this client speaks {self.contract.name!r}."
            )
        if read.base != self.base:
            raise TicketError(f"The ticket is for {read.base}; this client is for {self.base}. Attach it there.")
        return JobRecord(Ref(read.id, read.links), submitted=read.submitted, accepted=True)
