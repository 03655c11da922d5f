"""The command `batch`: many errands with a journal. Thin: what it does is a batch of the client's.

What it reads is in `batch_input.py`, what it shows in `batch_report.py`.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any, Literal

import click
from attrs import frozen

from gofer.cli import help_texts
from gofer.cli.batch_input import read_requests
from gofer.cli.batch_report import row_of, showing_batch, summary, write_report
from gofer.cli.chosen_contract import ChosenContract, choose_contract
from gofer.cli.exit_codes import code_of
from gofer.cli.options import Seconds, json_option, quiet_option, url_option, variables_option, verbose_option
from gofer.cli.report import say_error
from gofer.cli.screen import columns, say
from gofer.cli.service import service_url, token
from gofer.client import Client
from gofer.contracts.declared import shipped
from gofer.errors import GoferError, TicketError, UsageError
from gofer.setup import RETRIEVE
from gofer.wire import base_url

AGAIN = (
    ("jobs", "--jobs", 20),
    ("downloads", "--downloads", 8),
    ("requests_per_second", "--rate", None),
    ("stop_after", "--stop-after", None),
)
"""The options that a line that goes on has again, unless they are the defaults."""


@frozen
class Asked:
    """What the command line says about one batch."""

    source: str
    journal: str | None
    contract: str | None
    variables: tuple[str, ...]
    to: str | None
    url: str | None
    timeout: float | None
    retry: Literal["failed", "uncertain"] | None
    as_json: bool
    quiet: bool
    options: dict[str, Any]


@click.command(help=help_texts.BATCH)
@click.argument("source", metavar="INPUT|JOURNAL")
@click.option("--journal", metavar="FILE", help="Where the batch is written down; needed with an INPUT.")
@click.option("--to", metavar="TEMPLATE", help="Where each result goes, as in 'papers/{doi}.{format}'.")
@click.option("--contract", metavar="NAME|FILE", help="The service's contract. [default: retrieve]")
@variables_option
@click.option(
    "--jobs",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    help="Unfinished jobs at the service.",
)
@click.option(
    "--downloads",
    type=click.IntRange(1),
    default=8,
    show_default=True,
    help="Results that come at once.",
)
@click.option("--rate", type=float, metavar="N", help="Requests per second, at most.")
@click.option("--stop-after", type=click.IntRange(1), metavar="N", help="Stop after so many failures in a row.")
@click.option("--exists", type=click.Choice(["replace", "refuse"]), default="replace", show_default=True,
              help="What to do about a target that is there already.")  # fmt: skip
@click.option("--timeout", type=Seconds(), metavar="SECONDS", help="Seconds for this run. [default: no limit]")
@click.option("--retry", type=click.Choice(["failed", "uncertain"]), help="Try these errands of the journal again.")
@click.option("--status", is_flag=True, help="Print how many errands there are of each state; send nothing.")
@click.option("--failed", is_flag=True, help="Print the errands that failed or are uncertain; send nothing.")
@click.option("--report", metavar="FILE", help="Write all errands to a .csv or .jsonl file; send nothing.")
@json_option
@quiet_option
@verbose_option
@url_option
def batch(
    source: str,
    journal: str | None,
    to: str | None,
    contract: str | None,
    variables: tuple[str, ...],
    jobs: int,
    downloads: int,
    rate: float | None,
    stop_after: int | None,
    exists: Literal["replace", "refuse"],
    timeout: float | None,
    retry: Literal["failed", "uncertain"] | None,
    status: bool,
    failed: bool,
    report: str | None,
    as_json: bool,
    quiet: bool,
    url: str | None,
) -> None:
    """Run a batch, or say what is in its journal."""
    options = {"jobs": jobs, "downloads": downloads, "requests_per_second": rate, "stop_after": stop_after}
    asked = Asked(
        source, journal, contract, variables, to, url, timeout, retry, as_json, quiet, {**options, "exists": exists}
    )
    try:
        if status or failed or report is not None:
            code = _tell(source if journal is None else journal, failed=failed, report=report, as_json=as_json)
        else:
            code = _run(asked)
    except GoferError as error:
        say_error(error)
        code = code_of(error)
    sys.exit(code)


def _tell(source: str, *, failed: bool, report: str | None, as_json: bool) -> int:
    """Say what is in a journal, also while another process runs it."""
    from gofer.batches import recorded
    from gofer.core.journal import Fate
    from gofer.transports.journal import Reader

    reader = Reader(Path(source))
    try:
        if report is not None:
            count = write_report(map(recorded, reader.lines()), report)
            say(f"{count} errands are in {report}.")
        if failed:
            for line in reader.lines((Fate.FAILED, Fate.UNCERTAIN)):
                row = row_of(recorded(line))
                request = json.dumps(row["request"], ensure_ascii=False)
                click.echo(
                    json.dumps(row)
                    if as_json
                    else columns(str(row["number"]), row["state"], request, row["error"] or "")
                )
        elif report is None:
            counts = reader.counts()
            click.echo(json.dumps(counts) if as_json else "\n".join(f"{name}\t{n}" for name, n in counts.items()))
    finally:
        reader.close()
    return 0


def _run(asked: Asked) -> int:
    """Add what the input has, run the batch, and say how it ended."""
    from gofer.transports.journal_file import is_journal

    goes_on = is_journal(Path(asked.source))
    journal = asked.source if goes_on else asked.journal
    if not goes_on and asked.source != "-" and not Path(asked.source).exists():
        raise UsageError(f"There is neither an input nor a journal {asked.source!r}.")
    if journal is None:
        raise UsageError(
            "Name a file for the journal, as in --journal run.gofer: with it the batch can be gone on with."
        )
    if goes_on and asked.journal is not None:
        raise UsageError(f"{asked.source} is a journal already: leave --journal out.")
    if asked.retry is not None and not goes_on:
        raise UsageError("--retry is for the errands of a journal: name it in place of an input.")
    chosen, url = _service(asked, journal if goes_on else None)
    error: BaseException | None = None
    client = Client[Any, Any](url, contract=chosen.contract, auth=token())
    with client, client.batch(journal, to=asked.to, **asked.options) as batch:
        if not goes_on:
            new = batch.add(read_requests(asked.source, retrieves=chosen.declaration is None))
            _say(asked, f"{_errands(new)} new in {journal}.")
        elif asked.to is not None:
            _say(asked, "Note: --to is for new errands; those of the journal keep the targets that they have.")
        if asked.retry is not None:
            _say(asked, f"{_errands(batch.retry(asked.retry))} tried again.")
        try:
            counts = batch.counts
            with showing_batch(sum(counts.values()), quiet=asked.quiet) as show:
                for errand in batch.run(asked.timeout):
                    show(errand, batch.counts)
                    if errand.path is not None and not asked.as_json:
                        click.echo(os.fsencode(errand.path))
        except KeyboardInterrupt as interrupt:
            error = interrupt
            say("Interrupted." + (" The jobs go on at the service." if batch.counts["open"] else ""))
        except GoferError as failure:
            error = failure
            say_error(failure)
        counts = batch.counts
    _say(asked, f"{summary(counts)}.")
    if error is None and counts["failed"]:
        _say(asked, f"What failed: gofer batch {shlex.quote(journal)} --failed; to try it again: --retry failed")
    if counts["waiting"] or counts["open"]:
        say("To go on, run:")
        say(shlex.join(["gofer", "batch", journal, *_options_again(asked, chosen, url)]))
    if asked.as_json:
        click.echo(json.dumps({**counts, "journal": journal, "error": None if error is None else str(error)}))
    if error is not None:
        return code_of(error)
    return 1 if counts["failed"] or counts["uncertain"] else 0


def _errands(number: int) -> str:
    return "1 errand is" if number == 1 else f"{number} errands are"


def _say(asked: Asked, line: str) -> None:
    if not asked.quiet:
        say(line)


def _service(asked: Asked, journal: str | None) -> tuple[ChosenContract, str]:
    """Choose the contract and the address: those of the command line, else those of the journal.

    Raises:
        TicketError: the journal names another address than the one that a secret is meant for.
    """
    if journal is None:
        return choose_contract(asked.contract or RETRIEVE.name, asked.variables), service_url(asked.url)
    from gofer.transports.journal import Reader

    reader = Reader(Path(journal))
    base, name = reader.base, reader.contract.partition("@")[0]
    reader.close()
    if asked.contract is None and name != RETRIEVE.name and name not in shipped.names():
        raise UsageError(f"The journal is for the contract {name!r}: name its declaration, as in --contract mine.toml.")
    chosen = choose_contract(asked.contract or name, asked.variables)
    if asked.url is not None:
        return chosen, asked.url
    if (chosen.secret or token() is not None) and base != base_url(service_url(None)):
        raise TicketError(f"The journal is for {base}, and your token is not meant for it: pass --url {base} if it is.")
    return chosen, base


def _options_again(asked: Asked, chosen: ChosenContract, url: str) -> list[str]:
    """Return the options that going on needs: what is not in the journal."""
    again = [*chosen.options, *([] if asked.url is None and not token() else ["--url", url])]
    for name, flag, default in AGAIN:
        value = asked.options[name]
        if value is not None and value != default:
            again += [flag, f"{value:g}"]
    return again
