"""The command `run`: an errand by any contract. Thin: one call of the client."""

from __future__ import annotations

from typing import Any

import click

from gofer.cli import stories
from gofer.cli.endings import Notes, reported, say
from gofer.cli.given import order_of, read_input, spoken
from gofer.cli.options import back, configured, fetching, key_option, token, url_option, variables_option
from gofer.cli.screen import showing
from gofer.client import Client
from gofer.contracts.declared.inputs import unsent
from gofer.setup import key_of, random_key


@click.command(help=stories.RUN)
@click.option("--contract", required=True, metavar="NAME|FILE", help="How the service speaks: a name, or a .toml file.")
@click.option("--input", "given", required=True, metavar="FILE", help="What is asked for, a JSON object; - is stdin.")
@click.option(
    "--attach",
    "attached",
    multiple=True,
    metavar="FIELD=FILE",
    help="Put a file, by its name, into this field of the input; may be given several times.",
)
@variables_option
@key_option
@fetching("The file to write, or, where there are several, the folder. [default: the value is printed]", must=False)
@url_option
def run(
    contract: str,
    given: str,
    attached: tuple[str, ...],
    variables: tuple[str, ...],
    key: str | None,
    to: str | None,
    timeout: float,
    as_json: bool,
    quiet: bool,
    url: str | None,
) -> None:
    """Submit, wait, bring."""
    notes = Notes(to, general=True)
    with reported(notes, as_json=as_json):
        speaks = spoken(contract, variables)
        notes.back = (*speaks.back, *back(url, secret=speaks.secret))
        entries = read_input(given)
        order = order_of(speaks, entries, attached)
        notes.key = minted = key_of(key, random_key)
        notes.replays = speaks.contract.replays_keys != "no"
        strange = [] if speaks.declaration is None else unsent(speaks.declaration, entries)
        if strange and not quiet:
            say(f"Note: {', '.join(strange)} of the input is not sent: the contract has no place for it.")
        client: Client[Any, Any] = Client(
            configured(url),
            contract=speaks.contract,
            auth=token(),
            on_abandon="cancel-if-interrupted",
            progress=notes,
            new_key=lambda: minted,
        )
        with client, showing(quiet=quiet) as notes.show:
            notes.finish(client.run(order, to=to, timeout=timeout, key=key).value)
