"""The commands of `gofer contract`: explain a declaration, draft one, list those that come with gofer, print one.

Nothing is sent. The explanation itself is `gofer.contracts.explain`'s business, and the dry run `rehearsal`'s.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import click
from attrs import evolve

from gofer.cli import help_texts
from gofer.cli.chosen_contract import masked_contract, read_declaration
from gofer.cli.drafting.page import guess as draft_of
from gofer.cli.drafting.source import MOST_BYTES, parsed
from gofer.cli.inputs import read_input, read_replies, with_files
from gofer.cli.options import url_option, variables_option
from gofer.cli.report import exit_on_error
from gofer.cli.screen import printable, say
from gofer.cli.service import service_url, token
from gofer.contracts.declared import shipped
from gofer.contracts.declared.contract import DeclaredContract
from gofer.contracts.declared.explain import explained
from gofer.contracts.declared.inputs import Prepared, unsent
from gofer.contracts.declared.layout import MASK, request_lines
from gofer.contracts.declared.rehearsal import Rehearsal
from gofer.errors import UsageError
from gofer.setup import RETRIEVE
from gofer.transports.inputs import examine
from gofer.wire import Request, base_url

KEY = "another-key-each-time"


@click.group(help=help_texts.CONTRACT)
def contract() -> None:
    """Hold the commands about contracts."""


@contract.command(help=help_texts.CHECK)
@click.argument("contract", metavar="NAME|FILE")
@click.option("--input", "file", metavar="FILE", help="Show the request that would be sent for this input; - is stdin.")
@click.option("--attach", "attached", multiple=True, metavar="FIELD=FILE", help="As for `gofer run`.")
@click.option(
    "--reply",
    "replies",
    multiple=True,
    metavar="LEG=FILE",
    help="Read this recorded reply; LEG is submit, poll, result, reason or cancel. May be repeated.",
)
@variables_option
@url_option
def check(
    contract: str,
    file: str | None,
    attached: tuple[str, ...],
    replies: tuple[str, ...],
    variables: tuple[str, ...],
    url: str | None,
) -> None:
    """Explain a declaration."""
    with exit_on_error():
        declaration = read_declaration(contract)
        _print(explained(declaration))
        if file is None and not replies:
            return
        masked, base = masked_contract(declaration, variables), base_url(service_url(url))
        recorded = read_replies(replies)
        submission = None
        if file is not None:
            members = read_input(file)
            request: Any = with_files(declaration, members, attached)
            for upload in declaration.upload:
                if (built := masked.build_upload(base, request, key=KEY)) is not None:
                    _show("for this input, before the submission", masked, base, built)
                names = {name: f"{base}/{name.upper()}" for name in upload.links}
                names |= {f"values.{name}": name.upper() for name in upload.values}
                request = Prepared.of(request).after(names)
            submission = masked.build_submission(base, request, key=KEY, budget=120.0, hold=1)
            _show("for this input", masked, base, submission)
            _print(f"  not sent: {name}" for name in unsent(declaration, members))
        rehearsal = Rehearsal(masked, base)
        rehearsal.play(recorded, submission)
        _print(rehearsal.lines)
    if not rehearsal.sound:
        sys.exit(1)


@contract.command("list", help=help_texts.LIST)
def list_contracts() -> None:
    """Name them all."""
    with exit_on_error():
        _print([f"{RETRIEVE.name:<14}  Papers by DOI, as `gofer get` does; a class without a declaration."])
        _print(f"{name:<14}  {_first_sentence(shipped.shipped(name).about)}" for name in shipped.names())


@contract.command(help=help_texts.SHOW)
@click.argument("contract", metavar="NAME")
def show(contract: str) -> None:
    """Print one."""
    with exit_on_error():
        click.echo(read_declaration(contract).text, nl=False)


@contract.command(help=help_texts.GUESS)
@click.argument("document", metavar="FILE", type=click.File("rb"))
@click.option(
    "-o",
    "--output",
    "target",
    metavar="FILE",
    default="-",
    help="Where the draft goes; a file that exists is refused. Without it, or with -, stdout.",
)
def guess(document: IO[bytes], target: str) -> None:
    """Draft a declaration."""
    with exit_on_error():
        draft = draft_of(parsed(document.read(MOST_BYTES + 1)))
        if target == "-":
            click.echo(draft.text, nl=False)
        else:
            _write_new(Path(target), draft.text)
        for name in draft.missing:
            say(f"gofer: nothing in the document looks like {name}; the draft has a placeholder there.")
    if draft.missing:
        sys.exit(1)


def _write_new(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"The draft cannot be written to {str(path)!r}: {error.strerror}.") from error


def _show(title: str, contract: DeclaredContract, base: str, request: Request) -> None:
    """Show a request under a title, with its files by their names and sizes."""
    if not isinstance(request.body, bytes):
        request = evolve(request, body=examine(request.body, hashed=False))
    _print(["", title])
    _print(f"  {line}".rstrip() for line in request_lines(_signed(contract, base, request)))


def _signed(contract: DeclaredContract, base: str, request: Request) -> Request:
    """Add what every request carries, with the token masked."""
    request = contract.add_to_every(base, None, request)
    if token() is None or "authorization" in request.headers:
        return request
    return request.with_headers({"authorization": f"Bearer {MASK}"})


def _first_sentence(text: str) -> str:
    return text.partition(". ")[0].rstrip(".") + "."


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(printable(line))
