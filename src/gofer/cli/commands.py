"""The commands `get`, `attach` and `health`, and the group that holds them all. Thin: each is one call of the client.

How a command ends is in `endings.py`, what is shown meanwhile in `screen.py`, what `--help` says in `stories.py`.
"""

from __future__ import annotations

from typing import Any

import click
from attrs import asdict

from gofer.cli import stories
from gofer.cli.contracts import contract
from gofer.cli.endings import Notes, explained, reported, say, show_json
from gofer.cli.given import of_ticket
from gofer.cli.options import (
    back,
    configured,
    fetching,
    json_option,
    key_option,
    named,
    token,
    url_option,
    variables_option,
)
from gofer.cli.running import run
from gofer.cli.screen import printable, showing
from gofer.cli.serving import serve
from gofer.client import Client
from gofer.models import HealthStatus, RetrieveRequest
from gofer.retrieve import RetrieveClient
from gofer.setup import key_of, random_key
from gofer.ticket import Ticket
from gofer.wire import base_url


@click.group(help=stories.GOFER, epilog=stories.GOFER_END, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gofer")
def gofer() -> None:
    """Hold the commands."""


@gofer.command(help=stories.GET)
@click.argument("doi")
@click.option("--title", help="Helps the service to recognise the right paper.")
@click.option("--author", "authors", multiple=True, metavar="NAME", help="Likewise; may be given several times.")
@key_option
@fetching("The file to write; folders are made as needed.", must=True)
@url_option
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
    notes = Notes(to, back=back(url))
    with reported(notes, as_json=as_json):
        notes.key = minted = key_of(key, random_key)
        # The service's share of the time is spelled out, so that a repeated submission has the same bytes.
        order = RetrieveRequest(doi, title, authors or None, max(1, int(0.9 * timeout)))
        options = {"on_abandon": "cancel-if-interrupted", "progress": notes, "new_key": lambda: minted}
        with _client(configured(url), **options) as client, showing(quiet=quiet) as notes.show:
            notes.finish(client.run(order, to=to, timeout=timeout, key=key).value)


@gofer.command(help=stories.ATTACH)
@click.argument("ticket")
@click.option("--contract", "named_contract", metavar="NAME|FILE", help="The declaration, where it is your own.")
@variables_option
@fetching("The file to write, or, where there are several, the folder. [default: the value is printed]", must=False)
@url_option
def attach(
    ticket: str,
    named_contract: str | None,
    variables: tuple[str, ...],
    to: str | None,
    timeout: float,
    as_json: bool,
    quiet: bool,
    url: str | None,
) -> None:
    """Wait for a job that exists, and bring what it gave."""
    notes = Notes(to)
    with reported(notes, as_json=as_json):
        read = Ticket.parse(ticket)
        speaks = of_ticket(read, named_contract, variables)
        notes.general = speaks.declaration is not None
        notes.back = (*speaks.back, *back(url, secret=speaks.secret))
        there = named(read, url, secret=speaks.secret)
        client: Client[Any, Any] = Client(there, contract=speaks.contract, auth=token(), progress=notes)
        with client:
            job = client.attach(ticket)
            notes.job_id, notes.ticket = job.id, job.ticket
            with showing(quiet=quiet) as notes.show:
                if to is not None:
                    job.download(to, timeout)
                notes.finish(job.result(None if to is not None else timeout))  # after a download known: no request


@gofer.command(help=stories.HEALTH)
@json_option
@url_option
@click.pass_context
def health(ctx: click.Context, as_json: bool, url: str | None) -> None:
    """Ask once how the service is."""
    with explained():
        address = base_url(configured(url))
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


gofer.add_command(run)
gofer.add_command(contract)
gofer.add_command(serve)


def _client(url: str, **options: Any) -> RetrieveClient:
    return RetrieveClient(base_url=url, auth=token(), **options)
