"""The command `health`."""

from __future__ import annotations

import json
import sys
from typing import Any

import click
from attrs import asdict

from gofer.cli import help_texts
from gofer.cli.options import json_option, url_option, verbose_option
from gofer.cli.report import exit_on_error
from gofer.cli.screen import printable, say, showing
from gofer.cli.service import service_url, token
from gofer.models import HealthStatus
from gofer.retrieve import RetrieveClient
from gofer.wire import base_url


@click.command(help=help_texts.HEALTH)
@json_option
@verbose_option
@url_option
def health(as_json: bool, url: str | None) -> None:
    """Ask the service once."""
    with exit_on_error():
        address = base_url(service_url(url))
        with RetrieveClient(base_url=address, auth=token()) as client, showing(quiet=False):
            status = client.get_health_status()
    can_run = status is not None and status.can_run
    error = f"no service answers at {address}" if status is None else None
    if as_json:
        fields: dict[str, Any] = dict.fromkeys(HealthStatus.__annotations__) if status is None else asdict(status)
        click.echo(json.dumps({**fields, "can_run": can_run, "error": error}))
    elif status is not None:
        for line in _lines(address, status):
            click.echo(printable(line))
    if error is not None:
        say(f"gofer: {error}")
    sys.exit(0 if can_run else 3)


def _lines(address: str, status: HealthStatus) -> list[str]:
    vpn = f"connected{f' as {status.vpn_ip}' if status.vpn_ip else ''}" if status.vpn_connected else "not connected"
    return [
        f"{address} is {status.status}: jobs {'can' if status.can_run else 'cannot'} run",
        f"VPN: {vpn}",
        f"version: {status.version or 'unknown'}",
        f"capabilities: {', '.join(status.capabilities) or 'none'}",
    ]
