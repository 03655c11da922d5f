"""The command `serve`: the reference service (extra `service`) in the foreground. No code of the service is here."""

from __future__ import annotations

import errno
import os
import shlex
import sys
from pathlib import Path

import anyio
import click

from gofer.cli import help_texts
from gofer.cli.screen import printable, say

SAMPLE_DOI = "10.5555/12345678"
"""A paper of the sample library."""

FILE_NAMES = "A file is named after its DOI, with _ for /: 10.1234_abc.pdf is 10.1234/abc. New files need no restart."

_REQUIRED = ("starlette", "uvicorn", "pypdf", "selectolax")


def data_folder() -> Path:
    """Return where the service keeps its records by default (XDG Base Directory Specification)."""
    configured = Path(os.environ.get("XDG_DATA_HOME") or "")
    return (configured if configured.is_absolute() else Path.home() / ".local" / "share") / "gofer"


# No option has a default: one that is not passed leaves its setting to the environment and the configuration file.
@click.command(help=help_texts.SERVE)
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="The configuration, in TOML.")
@click.option("--check", is_flag=True, help="Say what is on and off, and why; do not serve.")
@click.option("--probe", is_flag=True, help="With --check: also ask each source whether it answers.")
@click.option("--host", help="The address to listen on. [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="The port; 0 takes a free one. [default: 8000]")
@click.option(
    "--library",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="The folder of papers. [default: a few sample papers]",
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where records and results are kept. [default: $XDG_DATA_HOME/gofer, else ~/.local/share/gofer]",
)
@click.option(
    "--allow-host",
    "allow_hosts",
    multiple=True,
    metavar="NAME",
    help="A name of the service, besides localhost, --host and addresses. May be repeated.",
)
@click.option("--open", "open_to_all", is_flag=True, default=None, help="Serve beyond loopback without a token.")
@click.option("--log-requests", is_flag=True, default=None, help="Print a line for each request on stderr.")
def serve(
    config: Path | None,
    check: bool,
    probe: bool,
    host: str | None,
    port: int | None,
    library: Path | None,
    data: Path | None,
    allow_hosts: tuple[str, ...],
    open_to_all: bool | None,
    log_requests: bool | None,
) -> None:
    """Serve until a signal, or say what would be served."""
    try:
        from gofer_service import serve as run
        from gofer_service.check import parts
        from gofer_service.check import probe as ask_sources
        from gofer_service.config import ConfigError, config_file, load
        from gofer_service.engine import EngineUnusable
        from gofer_service.hosts import Exposed
        from gofer_service.sources.library import Library
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _REQUIRED:
            raise
        say("gofer: the service is not installed: pip install 'gofer[service]'")
        sys.exit(2)
    options: dict[str, dict[str, object]] = {
        "library": {"folder": library},
        "jobs": {"data": data},
        "serve": {
            "host": host,
            "port": port,
            "allow_hosts": allow_hosts or None,
            "open": open_to_all,
            "log_requests": log_requests,
        },
    }
    try:
        file = config_file(config)
        settings = load(file, options, data=data_folder())
    except ConfigError as error:
        say(f"gofer: {error}")
        sys.exit(2)
    if probe and not check:
        say("gofer: --probe belongs to --check: gofer serve --check --probe")
        sys.exit(2)
    if check:
        found = parts(file, settings)
        for part in found:
            click.echo(printable(str(part)))
        for line in anyio.run(ask_sources, settings) if probe else ():
            click.echo(printable(line))
        sys.exit(2 if any(part.state == "wrong" for part in found) else 0)
    folder = settings.library.folder

    def announce(url: str) -> None:
        address = _client_address(url)
        if folder is None:
            say("Papers: the sample library; --library DIR serves your own")
            doi: str | None = SAMPLE_DOI
        else:
            papers = Library(folder).overview()
            doi = papers.doi
            say(f"Papers: {folder} ({papers.count_in_words})")
            say(FILE_NAMES)
        say(f"Records and results: {settings.jobs.data}")
        say(f"gofer service on {address}")
        if doi is not None:
            say(f"Try it: gofer get {shlex.quote(doi)} --to paper.pdf --url {address}")
        say("Ctrl-C ends it.")

    try:
        run(settings, announce=announce)
    except KeyboardInterrupt:
        pass  # pressed before the server handled the signal
    except (EngineUnusable, Exposed, OSError) as error:
        in_use = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        taken = settings.serve.port
        why = f"port {taken} is in use; name another with --port, as in --port {taken % 65535 + 1}" if in_use else error
        say(f"gofer: the service cannot start: {why}")
        sys.exit(1)


def _client_address(url: str) -> str:
    """Return the address with the name that clients use by default; a ticket belongs to one spelling of it."""
    scheme, _, rest = url.partition("://")
    host, _, port = rest.rpartition(":")
    return f"{scheme}://localhost:{port}" if host in ("127.0.0.1", "0.0.0.0") else url  # noqa: S104  (only compared)
