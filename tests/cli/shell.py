"""The command line: commands in this process or in one of their own, their output, and services for them to call."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import anyio
from click.testing import CliRunner

from gofer.cli.commands import gofer as COMMANDS
from gofer_service import create_app, running, sample_library
from gofer_service.engine import Result, Run, Status
from gofer_service.health import Health
from gofer_service.local_engine import LocalEngine
from gofer_service.store import FolderStore
from support.raw_server import RawServer

PAPER = "10.5555/12345678"
GOFER = [sys.executable, "-m", "gofer.cli"]


def environment(**extra: str) -> dict[str, str]:
    """Return this process's environment without gofer's variables."""
    ours = ("SERVICE_", "XDG_", "GOFER_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "COLUMNS": "100", **extra}


def gofer(
    *args: str | Path, url: str | None = None, cwd: Path | None = None, **extra: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, in this process, as a new one takes 0.4 s; `url` goes into SERVICE_URL."""
    named = {} if url is None else {"SERVICE_URL": url}
    kept = environment(**named, **extra)
    words, env = [*map(str, args)], {**dict.fromkeys(os.environ), **kept}
    log = logging.getLogger("gofer")
    level = log.level
    with contextlib.chdir(cwd or "."):
        ran = CliRunner().invoke(COMMANDS, words, env=env, prog_name="gofer", catch_exceptions=False)
    log.setLevel(level)  # -v is for the rest of the process
    return subprocess.CompletedProcess(words, ran.exit_code, ran.stdout, ran.stderr)


@contextlib.contextmanager
def started(*args: str | Path, url: str | None = None, **extra: str) -> Generator[subprocess.Popen[str]]:
    """Start a command in a process of its own, whose stdout and stderr can be read while it runs."""
    named = {} if url is None else {"SERVICE_URL": url}
    words = [*GOFER, *map(str, args)]
    with subprocess.Popen(
        words, env=environment(**named, **extra), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def read_until(child: subprocess.Popen[str], words: str) -> str:
    """Read a running command's stderr up to the line that has these words."""
    assert child.stderr is not None
    seen = ""
    for line in child.stderr:
        seen += line
        if words in line:
            return seen
    raise AssertionError(f"{words!r} never came:\n{seen}")


def wait_for(server: RawServer, method: str, path_end: str = "") -> None:
    """Wait until a request of this method, and with this end of its path, has come."""
    deadline = time.monotonic() + 60
    while not any(call.method == method and call.path.endswith(path_end) for call in server.calls):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def one_object(stdout: str) -> dict[str, Any]:
    """Read stdout, which must be one JSON object on one line."""
    assert stdout.endswith("\n")
    assert stdout.count("\n") == 1
    document = json.loads(stdout)
    assert isinstance(document, dict)
    return document


def attach_line(stderr: str) -> str:
    """Return the line that continues with the job."""
    found = re.search(r"^gofer attach gofer1\.\S+ --to .+$", stderr, re.MULTILINE)
    assert found, stderr
    return found[0]


@contextlib.contextmanager
def waiting_service(data: Path) -> Generator[tuple[str, Callable[[], None]]]:
    """Run a service whose jobs search until the given function is called, and whose clock stands still.

    By that clock no job ever times out, so the client's time runs out first.
    """
    free = threading.Event()
    store = FolderStore(data / "files")

    def clock() -> float:
        return 1767225600.0

    async def body(run: Run) -> Result:
        await run.report(status=Status.SEARCHING, message="waiting for the test")
        while not free.is_set():
            await anyio.sleep(0.01)

        async def chunks() -> Any:
            yield (sample_library() / "10.5555_12345678.pdf").read_bytes()

        key = f"{run.job.id}.{run.job.attempt}.pdf"
        stored = await store.put(key, chunks())
        return Result(key, stored.size, "pdf", stored.sha256, "test")

    engine = LocalEngine(data / "jobs.sqlite3", clock=clock)
    app = create_app(engine=engine, store=store, body=body, health=Health({}, clock=clock), clock=clock)
    with running(app) as url:
        yield url, free.set
