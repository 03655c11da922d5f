"""The commands `submit`, `status`, `cancel` and `list`, which do not wait. Thin: each is one call of the client.

The first three end as an errand does (`report.py`), and print a line or a JSON object about the job.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Generator
from typing import Any

import click
from attrs import asdict

from gofer.cli import help_texts
from gofer.cli.chosen_contract import choose_contract, contract_of_ticket
from gofer.cli.errands import read_request, submitting
from gofer.cli.options import (
    attach_option,
    json_option,
    key_option,
    quiet_option,
    url_option,
    variables_option,
    verbose_option,
)
from gofer.cli.record import ErrandRecord
from gofer.cli.report import exit_on_error, report_errand
from gofer.cli.screen import columns, say, showing
from gofer.cli.service import service_url, ticket_url, token
from gofer.client import Client, Job
from gofer.errors import NotSupported, UsageError
from gofer.events import Changed
from gofer.models import RetrieveRequest, Status
from gofer.progress import in_words
from gofer.retrieve import RetrieveClient
from gofer.setup import RETRIEVE
from gofer.ticket import Ticket

job_contract_option = click.option(
    "--contract",
    metavar="NAME|FILE",
    help="The service's contract. [default: the ticket's, or retrieve for an id]",
)


@click.command(help=help_texts.SUBMIT)
@click.argument("doi", required=False)
@click.option(
    "--contract", default=RETRIEVE.name, show_default=True, metavar="NAME|FILE", help="The service's contract."
)
@click.option("--input", "file", metavar="FILE", help="The input in place of a DOI, a JSON object; - is stdin.")
@attach_option
@variables_option
@key_option
@json_option
@quiet_option
@verbose_option
@url_option
def submit(
    doi: str | None,
    contract: str,
    file: str | None,
    attached: tuple[str, ...],
    variables: tuple[str, ...],
    key: str | None,
    as_json: bool,
    quiet: bool,
    url: str | None,
) -> None:
    """Submit a job."""
    record = ErrandRecord(None, job_only=True)
    with report_errand(record, as_json=as_json):
        chosen = choose_contract(contract, variables)
        if (doi is None) is (file is None) or (doi is not None and chosen.declaration is not None):
            raise UsageError("Name a DOI for the contract 'retrieve', or an input for any contract with --input FILE.")
        request = RetrieveRequest(doi or "") if file is None else read_request(chosen, file, attached, quiet=quiet)
        with submitting(chosen, record, key, url, quiet=quiet) as client:
            job = client.submit(request, key=key)
            record.show_job(job)
            record.succeed(columns(job.id, job.ticket))


@click.command(help=help_texts.STATUS)
@click.argument("job", metavar="TICKET|ID")
@job_contract_option
@variables_option
@json_option
@quiet_option
@verbose_option
@url_option
def status(
    job: str, contract: str | None, variables: tuple[str, ...], as_json: bool, quiet: bool, url: str | None
) -> None:
    """Poll a job once."""
    record = ErrandRecord(None, job_only=True)
    with report_errand(record, as_json=as_json), _handle(job, contract, variables, url, record, quiet=quiet) as handle:
        _ = handle.refresh()
        record.show_job(handle)
        record.succeed(columns(handle.id, _in_words(handle.status)))


@click.command(help=help_texts.CANCEL)
@click.argument("job", metavar="TICKET|ID")
@job_contract_option
@variables_option
@json_option
@quiet_option
@verbose_option
@url_option
def cancel(
    job: str, contract: str | None, variables: tuple[str, ...], as_json: bool, quiet: bool, url: str | None
) -> None:
    """Cancel a job."""
    record = ErrandRecord(None, job_only=True)
    with report_errand(record, as_json=as_json), _handle(job, contract, variables, url, record, quiet=quiet) as handle:
        if not handle.cancel():
            raise NotSupported("This service does not cancel jobs, so the job was left as it is.")
        record.show_job(handle)
        record.succeed(columns(handle.id, _in_words(handle.status)))


@click.command(help=help_texts.ANSWER)
@click.argument("job", metavar="TICKET|ID")
@click.argument("text", metavar="ANSWER")
@job_contract_option
@variables_option
@json_option
@quiet_option
@verbose_option
@url_option
def answer(
    job: str, text: str, contract: str | None, variables: tuple[str, ...], as_json: bool, quiet: bool, url: str | None
) -> None:
    """Answer a job that waits for its caller."""
    record = ErrandRecord(None, job_only=True)
    with report_errand(record, as_json=as_json), _handle(job, contract, variables, url, record, quiet=quiet) as handle:
        value: object = text
        with contextlib.suppress(ValueError, RecursionError):
            value = json.loads(text)
        handle.answer(value)
        record.show_job(handle)
        record.succeed(columns(handle.id, _in_words(handle.status)))


@click.command("list", help=help_texts.LIST_JOBS)
@click.option("--status", metavar="WORD", help="Only jobs with this status, as in completed.")
@click.option("--limit", type=click.IntRange(1), metavar="NUMBER", help="Print at most this many jobs.")
@click.option("--cursor", metavar="CURSOR", help="Continue after the page that printed this cursor.")
@json_option
@verbose_option
@url_option
def list_jobs(status: str | None, limit: int | None, cursor: str | None, as_json: bool, url: str | None) -> None:
    """Print one page of the service's jobs."""
    with exit_on_error(), RetrieveClient(base_url=service_url(url), auth=token()) as client, showing(quiet=False):
        page = client.list_jobs(status, limit, cursor)
    if as_json:
        jobs = [{**asdict(job), "state": job.state, "ticket": client.job(job.job_id).ticket} for job in page.jobs]
        click.echo(json.dumps({"jobs": jobs, "next": page.next}))
        return
    for job in page.jobs:
        words = _in_words(Status(job.status, job.state, error=job.error, error_code=job.error_code))
        click.echo(columns(job.job_id, words, job.doi or ""))
    if page.next is not None:
        say(f"There are more: --cursor {page.next}")


@contextlib.contextmanager
def _handle(
    job: str,
    named: str | None,
    variables: tuple[str, ...],
    url: str | None,
    record: ErrandRecord,
    *,
    quiet: bool,
) -> Generator[Job[Any]]:
    """Yield the handle of a job that is named by its ticket or its id."""
    ticket = Ticket.parse(job) if re.match(r"gofer[0-9]+\.", job) else None
    if ticket is None:
        chosen, address = choose_contract(named or RETRIEVE.name, variables), service_url(url)
    else:
        chosen = contract_of_ticket(ticket, named, variables)
        address = ticket_url(ticket, url, secret=chosen.secret)
    record.attach_options = chosen.attach_options(url)
    with Client[Any, Any](address, contract=chosen.contract, auth=token(), progress=record) as client:
        handle = client.job(job) if ticket is None else client.attach(job)
        record.show_job(handle)
        with showing(quiet=quiet) as record.show:
            yield handle


def _in_words(status: Status) -> str:
    """Return a status in words, with the reason of a failure."""
    why = ": ".join(part for part in (status.error_code, status.error) if part)
    return in_words(Changed("", status)) + (f" ({why})" if why else "")
