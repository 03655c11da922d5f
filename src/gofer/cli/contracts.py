"""The commands of `gofer contract`: what a declaration means, which there are, and one to start from.

Nothing is sent. What is said of a declaration is `gofer.contracts.declared.explain`'s business and `rehearsal`'s.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

import click

from gofer.cli import stories
from gofer.cli.endings import explained as reported
from gofer.cli.given import declaration_of, masked, read_input, read_replies, with_files
from gofer.cli.options import configured, token, url_option, variables_option
from gofer.cli.screen import printable
from gofer.contracts.declared import shipped
from gofer.contracts.declared.contract import DeclaredContract
from gofer.contracts.declared.explain import explained
from gofer.contracts.declared.inputs import unsent
from gofer.contracts.declared.layout import MASK, request_lines
from gofer.contracts.declared.rehearsal import Rehearsal
from gofer.setup import RETRIEVE
from gofer.wire import Request, base_url


@click.group(help=stories.CONTRACT)
def contract() -> None:
    """Hold the commands about contracts."""


@contract.command(help=stories.CHECK)
@click.argument("contract", metavar="NAME|FILE")
@click.option(
    "--input", "given", metavar="FILE", help="Show the request that would be sent for this input; - is stdin."
)
@click.option("--attach", "attached", multiple=True, metavar="FIELD=FILE", help="As for `gofer run`.")
@click.option(
    "--reply",
    "replies",
    multiple=True,
    metavar="LEG=FILE",
    help="Read this recorded reply; LEG is submit, poll, result, reason or cancel. May be given several times.",
)
@variables_option
@url_option
def check(
    contract: str,
    given: str | None,
    attached: tuple[str, ...],
    replies: tuple[str, ...],
    variables: tuple[str, ...],
    url: str | None,
) -> None:
    """Explain a declaration."""
    with reported():
        said = declaration_of(contract)
        _show(explained(said))
        if given is None and not replies:
            return
        speaks, base, recorded = masked(said, variables), base_url(configured(url)), read_replies(replies)
        submission = None
        if given is not None:
            entries = read_input(given)
            order = with_files(said, entries, attached)
            submission = speaks.build_submission(base, order, key="another-key-each-time", budget=120.0, hold=1)
            _show(["", "for this input"])
            _show(f"  {line}".rstrip() for line in request_lines(_signed(speaks, base, submission)))
            _show(f"  not sent: {name}" for name in unsent(said, entries))
        rehearsal = Rehearsal(speaks, base)
        rehearsal.play(recorded, submission)
        _show(rehearsal.lines)
    if not rehearsal.sound:
        sys.exit(1)


@contract.command("list", help=stories.LIST)
def list_contracts() -> None:
    """Name them all."""
    with reported():
        _show([f"{RETRIEVE.name:<14}  Papers by DOI, as `gofer get` does; a class, and no declaration."])
        _show(f"{name:<14}  {_in_short(shipped.shipped(name).about)}" for name in shipped.names())


@contract.command(help=stories.SHOW)
@click.argument("contract", metavar="NAME")
def show(contract: str) -> None:
    """Print one."""
    with reported():
        click.echo(declaration_of(contract).text, nl=False)


def _signed(speaks: DeclaredContract, base: str, request: Request) -> Request:
    """Add what every request carries, with the token masked."""
    dressed = speaks.add_to_every(base, None, request)
    bearer = {} if token() is None or "authorization" in dressed.headers else {"authorization": f"Bearer {MASK}"}
    return dressed.with_headers(bearer)


def _in_short(about: str) -> str:
    """Return the first sentence."""
    return about.partition(". ")[0].rstrip(".") + "."


def _show(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(printable(line))
