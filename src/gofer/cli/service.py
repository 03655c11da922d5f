"""Which service a command talks to: its address, its token, and where secrets may go."""

from __future__ import annotations

import os

from gofer.errors import TicketError
from gofer.setup import address
from gofer.ticket import Ticket
from gofer.wire import base_url


def token() -> str | None:
    """Return the bearer token; it is never a flag."""
    return os.environ.get("SERVICE_TOKEN") or None


def service_url(url: str | None) -> str:
    """Return the service's address: that of `--url`, else the environment's, else the default."""
    if url or (url := os.environ.get("SERVICE_URL")):
        return url
    return address(None, None, "SERVICE_HOST", "SERVICE_PORT", "localhost", 8000, None)


def ticket_url(ticket: Ticket, url: str | None, *, secret: bool) -> str:
    """Return the address of a ticket's job.

    Args:
        ticket: the ticket; whoever wrote it chose its address.
        url: the address of `--url`.
        secret: whether the contract's variables hold a secret, which is treated as the token is.

    Raises:
        TicketError: a secret would go to another service than the one it is meant for.
    """
    if url is not None:
        return url  # the client refuses a ticket of another service
    if (secret or token() is not None) and ticket.base != base_url(service_url(None)):
        what = "SERVICE_TOKEN" if token() is not None else "a GOFER_VAR_ variable"
        raise TicketError(
            f"The ticket is for {ticket.base}, and {what} is meant for {service_url(None)}. "
            f"To send it to {ticket.base}, pass --url {ticket.base}."
        )
    return ticket.base
