"""``python -m gofer_service.demo``: one errand sent three ways to a service of its own, and one that fails on purpose.

A tour for someone new, told in plain words; the calls in it are meant to be copied. It needs the extras ``service`` and
``cli``.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import anyio

from gofer import AsyncRetrieveClient, Event, JobFailed, RetrieveClient
from gofer.progress import in_words
from gofer_service.server import embedded

PAPER = "10.5555/12345678"
UNKNOWN = "10.5555/no-such-paper"


def say(words: str = "") -> None:
    """Print a line at once, so that it stands in order with what the command line prints."""
    print(words, flush=True)


def tell(event: Event) -> None:
    """Print what an errand reports."""
    say(f"    {in_words(event)}")


def blocking(url: str, path: Path) -> None:
    """Send the errand from a plain script."""
    with RetrieveClient(base_url=url, progress=tell) as client:
        client.retrieve_and_download(PAPER, path, timeout=60)


async def awaited(url: str, path: Path) -> None:
    """Send it from an async program."""
    async with AsyncRetrieveClient(base_url=url, progress=tell) as client:
        await client.retrieve_and_download(PAPER, path, timeout=60)


def from_the_command_line(url: str, path: Path) -> None:
    """Send it from a shell; the service's address comes from the environment."""
    words = ["get", PAPER, "--to", str(path), "--timeout", "60"]
    say(f"    $ gofer {' '.join(words)}")
    environment = {**os.environ, "SERVICE_URL": url, "SERVICE_TOKEN": ""}
    subprocess.run([sys.executable, "-m", "gofer.cli", *words], env=environment, check=True)  # noqa: S603  (ourselves)


def in_vain(url: str, path: Path) -> str:
    """Send an errand that must fail, and return the reason it gives."""
    with RetrieveClient(base_url=url, progress=tell) as client:
        try:
            client.retrieve_and_download(UNKNOWN, path, timeout=60)
        except JobFailed as failure:
            say(f"    {type(failure).__name__}: {failure}")
            return failure.error_code or "no reason"
    return "nothing at all"


def main() -> int:
    """Give the tour; 1 if anything in it went otherwise than told."""
    parser = argparse.ArgumentParser(prog="python -m gofer_service.demo", description="Send one errand three ways.")
    parser.add_argument("--to", type=Path, default=Path("demo"), metavar="DIR", help="where the files go (%(default)s)")
    folder: Path = parser.parse_args().to
    paths = [folder / f"{way}.pdf" for way in ("blocking", "async", "command-line")]
    with embedded() as url:
        say(f"A service with a few sample papers now runs at {url}, for as long as this demo takes.")
        say(f"The errand: fetch the paper {PAPER}.")
        say("\n1. The blocking client, for a plain script.")
        blocking(url, paths[0])
        say("\n2. The async client, for an async program.")
        anyio.run(awaited, url, paths[1])
        say("\n3. The command line.")
        from_the_command_line(url, paths[2])
        say(f"\n4. An errand that fails on purpose: {UNKNOWN} is in no library.")
        reason = in_vain(url, folder / "never.pdf")
        say(f"    It failed with {reason}, which is what error.error_code says; no file was written.")
    same = len({path.read_bytes() for path in paths}) == 1
    say(f"\nThe service has stopped. The three files are {'the same, byte for byte' if same else 'NOT THE SAME'}:")
    for path in paths:
        say(f"    {path} ({path.stat().st_size} bytes)")
    return 0 if same and reason == "NOT_FOUND" else 1


if __name__ == "__main__":
    sys.exit(main())
