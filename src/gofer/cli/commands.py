"""The command `gofer`: the group of all others."""

from __future__ import annotations

import click

from gofer.cli import help_texts
from gofer.cli.batch import batch
from gofer.cli.contract import contract
from gofer.cli.errands import attach, get, run
from gofer.cli.health import health
from gofer.cli.jobs import answer, cancel, list_jobs, status, submit
from gofer.cli.options import verbose_option
from gofer.cli.serve import serve


@click.group(
    commands=[get, run, batch, attach, submit, status, answer, list_jobs, cancel, contract, health, serve],
    help=help_texts.GOFER,
    epilog=help_texts.GOFER_END,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="gofer")
@verbose_option
def gofer() -> None:
    """Hold the commands."""
