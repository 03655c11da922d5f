"""The command `serve`: the reference service (extra `service`) in the foreground. Nothing of the service is here."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from gofer.cli import stories
from gofer.cli.endings import say

_NEEDED = ("starlette", "uvicorn", "pypdf")


def data_folder() -> Path:
    """Return where the service keeps its records when nobody says otherwise (XDG Base Directory Specification)."""
    named = Path(os.environ.get("XDG_DATA_HOME") or "")
    return (named if named.is_absolute() else Path.home() / ".local" / "share") / "gofer"


@click.command(help=stories.SERVE)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="The port; 0 takes a free one."
)
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
def serve(host: str, port: int, library: Path | None, data: Path | None) -> None:
    """Serve until a signal."""
    try:
        from gofer_service import sample_library
        from gofer_service import serve as run
        from gofer_service.engine import EngineLocked
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] not in _NEEDED:
            raise
        say("gofer: the service is not installed: pip install 'gofer[service]'")
        sys.exit(2)
    folder = data_folder() if data is None else data
    say("Papers: " + (f"{library}" if library is not None else "the sample library; --library DIR serves your own"))
    say(f"Records and results: {folder}")

    def announce(url: str) -> None:
        say(f"gofer service on {url}")
        say(f"Try it: gofer get 10.5555/12345678 --to paper.pdf --url {url}")
        say("Ctrl-C ends it.")

    token = os.environ.get("SERVICE_TOKEN") or None
    try:
        run(host, port, library=library or sample_library(), data=folder, token=token, announce=announce)
    except KeyboardInterrupt:
        pass  # pressed before the server had taken the signal over
    except (EngineLocked, OSError) as error:
        say(f"gofer: the service cannot start: {error}")
        sys.exit(1)
