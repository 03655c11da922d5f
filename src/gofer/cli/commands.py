"""The commands `get`, `attach` and `health`, and the group that holds them all. Thin: each is one call of the client.

How a command ends is in `endings.py`, what is shown meanwhile in `screen.py`, what `--help` says in `stories.py`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any, TypeVar

import click
from attrs import asdict

from gofer.cli import stories
from gofer.cli.endings import Notes, explained, reported, say, show_json
from gofer.cli.screen import printable, showing
from gofer.cli.serving import serve
from gofer.errors import TicketError
from gofer.models import HealthStatus, RetrieveRequest
from gofer.retrieve import RetrieveClient
from gofer.setup import address, key_of, random_key
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


def _a_file(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    if value == "-":
        raise click.BadParameter("a paper is not written to stdout, as it is checked before it appears; name a file.")
    return value


Command = TypeVar("Command", bound=Callable[..., None])

_url = click.option(
    "--url",
    metavar="URL",
    help="The service's address. [default: $SERVICE_URL, else $SERVICE_HOST:$SERVICE_PORT, else localhost:8000]",
)
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")


def _fetching(command: Command) -> Command:
    """Give a command the options of every errand that brings a file."""
    for option in (
        click.option("--quiet", is_flag=True, help="Show no progress; errors still go to stderr."),
        _json,
        click.option(
            "--timeout",
            type=Seconds(),
            metavar="SECONDS",
            default=120.0,
            show_default=True,
            help="Seconds for the whole errand.",
        ),
        click.option(
            "--to",
            required=True,
            metavar="PATH",
            callback=_a_file,
            help="The file to write; folders are made as needed.",
        ),
    ):
        command = option(command)
    return command


@click.group(help=stories.GOFER, epilog=stories.GOFER_END, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gofer")
def gofer() -> None:
    """Hold the commands."""


@gofer.command(help=stories.GET)
@click.argument("doi")
@click.option("--title", help="Helps the service to recognise the right paper.")
@click.option("--author", "authors", multiple=True, metavar="NAME", help="Likewise; may be given several times.")
@click.option("--key", metavar="KEY", help="Repeat the submission that had this key; the service makes no second job.")
@_fetching
@_url
def get(
    doi: str,
    title: str | None,
    authors: tuple[str, ...],
    key: str | None,
    to: str,
    timeout: float,
    as_json: bool,
    quiet: bool,
    url: str | None,
) -> None:
    """Submit, wait, download."""
    notes = Notes(to, back=_back(url))
    with reported(notes, as_json=as_json):
        notes.key = minted = key_of(key, random_key)
        # The service's share of the time is spelled out, so that a repeated submission has the same bytes.
        order = RetrieveRequest(doi, title, authors or None, max(1, int(0.9 * timeout)))
        options = {"on_abandon": "cancel-if-interrupted", "progress": notes, "new_key": lambda: minted}
        with _client(_configured(url), **options) as client, showing(quiet=quiet) as notes.show:
            notes.value = client.run(order, to=to, timeout=timeout, key=key).value


@gofer.command(help=stories.ATTACH)
@click.argument("ticket")
@_fetching
@_url
def attach(ticket: str, to: str, timeout: float, as_json: bool, quiet: bool, url: str | None) -> None:
    """Wait for a job that exists, and download."""
    notes = Notes(to, back=_back(url))
    with reported(notes, as_json=as_json):
        read = Ticket.parse(ticket)
        with _client(_named(read, url), progress=notes) as client:
            job = client.attach(ticket)
            notes.job_id, notes.ticket = job.id, job.ticket
            with showing(quiet=quiet) as notes.show:
                job.download(to, timeout)
                notes.value = job.result()  # known by now: no request


@gofer.command(help=stories.HEALTH)
@_json
@_url
@click.pass_context
def health(ctx: click.Context, as_json: bool, url: str | None) -> None:
    """Ask once how the service is."""
    with explained():
        address = base_url(_configured(url))
        with _client(address) as client:
            status = client.get_health_status()
    can_run = status is not None and status.can_run
    error = f"no service answers at {address}" if status is None else None
    if as_json:
        known: dict[str, Any] = dict.fromkeys(HealthStatus.__annotations__) if status is None else asdict(status)
        show_json({**known, "can_run": can_run, "error": error})
    elif status is not None:
        for line in _in_words(address, status):
            click.echo(printable(line))
    if error is not None:
        say(f"gofer: {error}")
    ctx.exit(0 if can_run else 3)


def _in_words(address: str, status: HealthStatus) -> list[str]:
    vpn = f"connected{f' as {status.vpn_ip}' if status.vpn_ip else ''}" if status.vpn_connected else "not connected"
    return [
        f"{address} is {status.status}: jobs {'can' if status.can_run else 'cannot'} run",
        f"VPN: {vpn}",
        f"version: {status.version or 'not told'}",
        f"capabilities: {', '.join(status.capabilities) or 'none told'}",
    ]


gofer.add_command(serve)


def _token() -> str | None:
    return os.environ.get("SERVICE_TOKEN") or None


def _configured(url: str | None) -> str:
    here = address(None, None, "SERVICE_HOST", "SERVICE_PORT", "localhost", 8000, None)
    return url or os.environ.get("SERVICE_URL") or here


def _named(ticket: Ticket, url: str | None) -> str:
    """Return the address that a ticket's job is fetched from; a token goes nowhere but where its owner said."""
    if url is not None:
        return url  # the client refuses a ticket of another service
    if _token() is not None and ticket.base != base_url(_configured(None)):
        raise TicketError(
            f"The ticket is for {ticket.base}, and SERVICE_TOKEN is meant for {_configured(None)}. "
            f"If {ticket.base} is to have the token, pass --url {ticket.base}."
        )
    return ticket.base


def _back(url: str | None) -> tuple[str, ...]:
    """Return what an attach line needs beyond the ticket: the address, if a token is only sent to it by name."""
    return () if url is None or _token() is None else ("--url", url)


def _client(url: str, **options: Any) -> RetrieveClient:
    return RetrieveClient(base_url=url, auth=_token(), **options)
