"""The commands `get`, `run` and `attach`, which wait for a result. Thin: each is one call of the client.

How they end is in `report.py`, what is shown meanwhile in `screen.py`, what `--help` says in `help_texts.py`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator
from typing import Any

import click

from gofer.cli import help_texts
from gofer.cli.chosen_contract import ChosenContract, choose_contract, contract_of_ticket
from gofer.cli.inputs import read_input, request_of
from gofer.cli.options import Encoded, attach_option, errand_options, key_option, url_option, variables_option
from gofer.cli.record import ErrandRecord
from gofer.cli.report import report_errand
from gofer.cli.screen import say, showing
from gofer.cli.service import service_url, ticket_url, token
from gofer.client import Client
from gofer.contracts.declared.inputs import unsent
from gofer.errors import UsageError
from gofer.models import RetrieveRequest
from gofer.setup import key_of, named, random_key
from gofer.ticket import Ticket

_TO = "The file to write, or the folder if there are several. [default: the value is printed]"


@click.command(help=help_texts.GET)
@click.argument("doi")
@click.option("--title", help="Helps the service to recognise the right paper.")
@click.option("--author", "authors", multiple=True, metavar="NAME", help="Likewise; may be repeated.")
@key_option
@errand_options("The file to write, or a folder for it; folders are made as needed.", to_required=True)
@url_option
def get(
    doi: str,
    title: str | None,
    authors: tuple[str, ...],
    key: str | None,
    to: str,
    encoded: Encoded,
    timeout: float,
    as_json: bool,
    quiet: bool,
    url: str | None,
) -> None:
    """Submit, wait, download."""
    record = ErrandRecord(to)
    with report_errand(record, as_json=as_json):
        # The service's share of the time is spelled out, so that a repeated submission has the same bytes.
        request = RetrieveRequest(doi, title, authors or None, max(1, int(0.9 * timeout)))
        _run(ChosenContract(), request, record, key, encoded, timeout, quiet, url)


@click.command(help=help_texts.RUN)
@click.option("--contract", required=True, metavar="NAME|FILE", help="The service's contract: a name, or a .toml file.")
@click.option("--input", "file", required=True, metavar="FILE", help="The input, a JSON object; - is stdin.")
@attach_option
@variables_option
@key_option
@errand_options(_TO, to_required=False)
@url_option
def run(
    contract: str,
    file: str,
    attached: tuple[str, ...],
    variables: tuple[str, ...],
    key: str | None,
    to: str | None,
    encoded: Encoded,
    timeout: float,
    as_json: bool,
    quiet: bool,
    url: str | None,
) -> None:
    """Submit, wait, download, by any contract."""
    record = ErrandRecord(to, any_contract=True)
    with report_errand(record, as_json=as_json):
        chosen = choose_contract(contract, variables)
        request = read_request(chosen, file, attached, quiet=quiet)
        _run(chosen, request, record, key, encoded, timeout, quiet, url)


@click.command(help=help_texts.ATTACH)
@click.argument("ticket")
@click.option("--contract", metavar="NAME|FILE", help="The declaration, if it does not come with gofer.")
@variables_option
@click.option(
    "--only", multiple=True, metavar="NAME", help="One of several files, or those of a pattern; may be repeated."
)
@errand_options(_TO, to_required=False)
@url_option
def attach(
    ticket: str,
    contract: str | None,
    variables: tuple[str, ...],
    only: tuple[str, ...],
    to: str | None,
    encoded: Encoded,
    timeout: float,
    as_json: bool,
    quiet: bool,
    url: str | None,
) -> None:
    """Wait for the job of a ticket and download its result."""
    record = ErrandRecord(to)
    with report_errand(record, as_json=as_json):
        parsed = Ticket.parse(ticket)
        chosen = contract_of_ticket(parsed, contract, variables)
        record.any_contract = chosen.declaration is not None
        chosen_files = [part for name in only for part in ("--only", name)]
        record.attach_options = (*chosen.attach_options(url), *_again(encoded), *chosen_files)
        if only and to is None:
            raise UsageError("--only says which files come to --to: name a file or a folder there.")
        address = ticket_url(parsed, url, secret=chosen.secret)
        with Client[Any, Any](
            address, contract=chosen.contract, auth=token(), progress=record, encoded=encoded
        ) as client:
            job = client.attach(ticket)
            record.job_id, record.ticket = job.id, job.ticket
            with showing(quiet=quiet) as record.show:
                if to is not None:
                    job.download(to, timeout, only=only or None)
                # After a download the result is there already: no request is sent.
                record.succeed(job.result(None if to is not None else timeout))


def _run(
    chosen: ChosenContract,
    request: Any,
    record: ErrandRecord,
    key: str | None,
    encoded: Encoded,
    timeout: float,
    quiet: bool,
    url: str | None,
) -> None:
    """Submit a request, wait for its job and download the result; Ctrl-C cancels the job and the deadline does not."""
    to = record.to
    if to is not None:  # a later `gofer attach` does not know the request
        is_there = os.path.isdir(to)  # noqa: PTH112  (a Path drops the slash at the end)
        record.to = named(f"{to}/" if is_there else to, chosen.contract, request)
    with submitting(chosen, record, key, url, quiet=quiet, encoded=encoded) as client:
        record.succeed(client.run(request, to=to, timeout=timeout, key=key).value)


def _again(encoded: Encoded) -> tuple[str, ...]:
    """Return what a later `gofer attach` needs of `--encoded`."""
    return () if encoded == "refuse" else ("--encoded", encoded)


def read_request(chosen: ChosenContract, file: str, attached: tuple[str, ...], *, quiet: bool) -> Any:
    """Read the input of `--input` and the files of `--attach` into what the client submits."""
    members = read_input(file)
    request = request_of(chosen.declaration, members, attached)
    ignored = [] if chosen.declaration is None else unsent(chosen.declaration, members)
    if ignored and not quiet:
        say(f"Note: {', '.join(ignored)} of the input is not sent: the contract has no place for it.")
    return request


@contextlib.contextmanager
def submitting(
    chosen: ChosenContract,
    record: ErrandRecord,
    key: str | None,
    url: str | None,
    *,
    quiet: bool,
    encoded: Encoded = "refuse",
) -> Generator[Client[Any, Any]]:
    """Yield a client that submits with the key of `--key`, or a new one, and note the key if it is sent."""
    record.attach_options = (*chosen.attach_options(url), *_again(encoded))
    used_key, contract = key_of(key, random_key), chosen.contract
    client = Client[Any, Any](
        service_url(url),
        contract=contract,
        auth=token(),
        on_abandon="cancel-if-interrupted",
        progress=record,
        new_key=lambda: used_key,
        encoded=encoded,
    )
    with client, showing(quiet=quiet) as record.show:
        if key is not None and contract.sends_key and contract.replays_keys == "no":
            say("Note: the contract does not say that the service replays keys; this may make a second job.")
        record.submitting, record.key = True, used_key if contract.sends_key else None
        yield client
