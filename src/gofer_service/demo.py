"""``python -m gofer_service.demo``: the same errand in three ways, one with a ticket, and one that fails.

The demo is for newcomers, and its calls are meant to be copied. It starts a service of its own, and needs the extras
``service`` and ``cli``.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from gofer import AsyncRetrieveClient, Event, JobFailed, RetrieveClient
from gofer.progress import in_words
from gofer_service.app import create_app
from gofer_service.health import Health
from gofer_service.local_engine import LocalEngine
from gofer_service.retrieval import Retrieval
from gofer_service.server import running, sample_library
from gofer_service.sources.base import LocalFile, Paper, Web
from gofer_service.sources.library import Library
from gofer_service.store import FolderStore

PAPER = "10.5555/12345678"
LATE = "10.5555/gofer.2026.2"
UNKNOWN = "10.5555/no-such-paper"


class SlowLibrary(Library):
    """A library that is slow for one paper, so that there is a job to wait for."""

    async def candidates(self, paper: Paper, web: Web) -> AsyncGenerator[LocalFile, None]:
        """Name the files for the paper."""
        if paper.doi == LATE:
            await anyio.sleep(2)
        async with aclosing(super().candidates(paper, web)) as found:
            async for candidate in found:
                yield candidate


@contextmanager
def service() -> Generator[str]:
    """Run a service on the sample papers and give its URL."""
    with TemporaryDirectory(prefix="gofer-") as data:
        store = FolderStore(Path(data) / "files")
        body = Retrieval([SlowLibrary(sample_library())], store, Path(data) / "incoming")
        engine = LocalEngine(Path(data) / "jobs.sqlite3")
        with running(create_app(engine=engine, store=store, body=body, health=Health({}))) as url:
            yield url


def say(words: str = "") -> None:
    """Print a line at once, so that the output of the command line comes after it."""
    print(words, flush=True)


def tell(event: Event) -> None:
    """Print an event of an errand."""
    say(f"    {in_words(event)}")


def blocking(url: str, path: Path) -> None:
    """Run the errand as a plain script does."""
    with RetrieveClient(base_url=url, progress=tell) as client:
        client.retrieve_and_download(PAPER, path, timeout=60)


async def awaited(url: str, path: Path) -> None:
    """Run it as an async program does."""
    async with AsyncRetrieveClient(base_url=url, progress=tell) as client:
        await client.retrieve_and_download(PAPER, path, timeout=60)


def from_the_command_line(url: str, path: Path) -> None:
    """Run it from a shell; the address of the service comes from the environment."""
    words = ["get", PAPER, "--to", str(path), "--timeout", "60"]
    say(f"    $ gofer {' '.join(words)}")
    environment = {**os.environ, "SERVICE_URL": url, "SERVICE_TOKEN": ""}
    subprocess.run([sys.executable, "-m", "gofer.cli", *words], env=environment, check=True)  # noqa: S603  (our own command)


def later(url: str, path: Path) -> None:
    """Submit a slow job, keep only its ticket, and continue with another client."""
    with RetrieveClient(base_url=url) as client:
        job = client.retrieve(LATE)
        ticket = job.ticket
        say(f"    {job.status} for now, and its ticket is {ticket[:20]}... ({len(ticket)} characters)")
    with RetrieveClient(base_url=url, progress=tell) as client:
        client.attach(ticket).download(path, timeout=60)


def failing(url: str, path: Path) -> str:
    """Run an errand that must fail, and return its error code."""
    with RetrieveClient(base_url=url, progress=tell) as client:
        try:
            client.retrieve_and_download(UNKNOWN, path, timeout=60)
        except JobFailed as failure:
            say(f"    {type(failure).__name__}: {failure}")
            return failure.error_code or "no reason"
    return "nothing at all"


def main() -> int:
    """Run the demo; return 1 if a result is not as expected."""
    parser = argparse.ArgumentParser(prog="python -m gofer_service.demo", description="Run one errand in three ways.")
    parser.add_argument("--to", type=Path, default=Path("demo"), metavar="DIR", help="where the files go (%(default)s)")
    folder: Path = parser.parse_args().to
    paths = [folder / f"{way}.pdf" for way in ("blocking", "async", "command-line")]
    late = folder / "later.pdf"
    with service() as url:
        say(f"A service with a few sample papers now runs at {url} until this demo ends.")
        say(f"The errand: fetch the paper {PAPER}.")
        say("\n1. The blocking client, for a plain script.")
        blocking(url, paths[0])
        say("\n2. The async client, for an async program.")
        anyio.run(awaited, url, paths[1])
        say("\n3. The command line.")
        from_the_command_line(url, paths[2])
        say(f"\n4. A job that takes two seconds: {LATE}, submitted by one client and fetched by another.")
        later(url, late)
        say(f"\n5. An errand that fails on purpose: {UNKNOWN} is in no library.")
        reason = failing(url, folder / "never.pdf")
        say(f"    It failed with {reason}, which is what error.error_code says; no file was written.")
    same = len({path.read_bytes() for path in paths}) == 1
    say(f"\nThe service has stopped. The three files are {'the same, byte for byte' if same else 'NOT THE SAME'}:")
    for path in paths:
        say(f"    {path} ({path.stat().st_size} bytes)")
    say(f"{late} came by its ticket ({late.stat().st_size} bytes).")
    say('\nNext: pip install ".[cli,service]", then gofer serve, and follow docs/tutorial.md.')
    return 0 if same and reason == "NOT_FOUND" else 1


if __name__ == "__main__":
    sys.exit(main())
