"""What several commands share: their options, the service's address, and where the token may go."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from gofer.errors import TicketError
from gofer.setup import address
from gofer.ticket import Ticket
from gofer.wire import base_url


class Seconds(click.FloatRange):
    """A time above zero, as `--timeout` takes it."""

    name = "number of seconds"

    def __init__(self) -> None:
        super().__init__(min=0, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it; infinity and NaN are no times."""
        seconds = float(super().convert(value, param, ctx))
        if not math.isfinite(seconds):
            self.fail(f"{value!r} is not a valid {self.name}.", param, ctx)
        return seconds


def _a_path(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    if value == "-":
        raise click.BadParameter("a file is not written to stdout, as it is checked before it appears; name a file.")
    return value


Command = TypeVar("Command", bound=Callable[..., None])

url_option = click.option(
    "--url",
    metavar="URL",
    help="The service's address. [default: $SERVICE_URL, else $SERVICE_HOST:$SERVICE_PORT, else localhost:8000]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
key_option = click.option(
    "--key", metavar="KEY", help="Repeat the submission that had this key; the service makes no second job."
)
variables_option = click.option(
    "--var",
    "variables",
    multiple=True,
    metavar="NAME=VALUE",
    help="A variable of the declaration; may be given several times. [default: $GOFER_VAR_NAME]",
)


def fetching(to_help: str, *, must: bool) -> Callable[[Command], Command]:
    """Give a command the options of every errand that brings something; `must` says whether `--to` is needed."""

    def decorate(command: Command) -> Command:
        for option in (
            click.option("--quiet", is_flag=True, help="Show no progress; errors still go to stderr."),
            json_option,
            click.option(
                "--timeout",
                type=Seconds(),
                metavar="SECONDS",
                default=120.0,
                show_default=True,
                help="Seconds for the whole errand.",
            ),
            click.option("--to", required=must, metavar="PATH", callback=_a_path, help=to_help),
        ):
            command = option(command)
        return command

    return decorate


def token() -> str | None:
    """Return the bearer token; it is never a flag."""
    return os.environ.get("SERVICE_TOKEN") or None


def configured(url: str | None) -> str:
    """Return the service's address: the flag's, else the environment's, else the default."""
    here = address(None, None, "SERVICE_HOST", "SERVICE_PORT", "localhost", 8000, None)
    return url or os.environ.get("SERVICE_URL") or here


def named(ticket: Ticket, url: str | None, *, secret: bool = False) -> str:
    """Return the address that a ticket's job is fetched from; a secret goes nowhere but where its owner said.

    `secret` tells whether the contract's variables hold one, as the token is.
    """
    if url is not None:
        return url  # the client refuses a ticket of another service
    if (secret or token() is not None) and ticket.base != base_url(configured(None)):
        what = "a GOFER_VAR_ variable" if token() is None else "SERVICE_TOKEN"
        raise TicketError(
            f"The ticket is for {ticket.base}, and {what} is meant for {configured(None)}. "
            f"If {ticket.base} is to have it, pass --url {ticket.base}."
        )
    return ticket.base


def back(url: str | None, *, secret: bool = False) -> tuple[str, ...]:
    """Return what an attach line needs beyond the ticket: the address, if a secret is only sent to it by name."""
    return () if url is None or not (secret or token() is not None) else ("--url", url)
