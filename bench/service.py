"""The services of the benchmarks, each in a process of its own, so that only the client's work is measured.

`quick` answers from constants, so that it takes little time. `crowd` has very many jobs in memory. `timed` is the
reference service with jobs that take as long as their title says.
"""

import argparse
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import anyio
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from crowd import Crowd
from gofer_service import create_app, running, sample_library
from gofer_service.engine import Result, Run, Status
from gofer_service.health import Health
from gofer_service.local_engine import LocalEngine
from gofer_service.store import FolderStore
from gofer_service.vpn import no_vpn

PAPER = sample_library() / "10.5555_12345678.pdf"


@contextmanager
def service(kind: str) -> Generator[str]:
    """Run a service and yield its URL."""
    command = [sys.executable, __file__, kind]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.terminate()


# --- quick ---

_JOB = b'{"job_id":"bench","status":"%s","doi":"10.5555/12345678","file_size":%d,"file_format":"pdf"}'


class Quick:
    """The contract's answers without any state: the entity tag of a poll says which status comes next."""

    def __init__(self) -> None:
        self.file = PAPER.read_bytes()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        asked = dict(scope["headers"])
        while (await receive()).get("more_body"):
            pass
        if scope["path"].endswith("/file"):
            kind, tag, body = b"application/pdf", b'"file"', self.file
        else:
            tag, status = {b'"1"': (b'"2"', b"searching"), b'"2"': (b'"3"', b"completed")}.get(
                asked.get(b"if-none-match", b""), (b'"1"', b"pending")
            )
            kind, body = b"application/json", _JOB % (status, len(self.file))
        headers = [
            (b"content-type", kind),
            (b"content-length", str(len(body)).encode()),
            (b"etag", tag),
            (b"preference-applied", b"wait=20"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def _serve(app: ASGIApp) -> None:
    config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=1)
    # The protocol is named because asyncio turns off Nagle's delay (40 ms a reply) only if the socket names TCP.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        await uvicorn.Server(config).serve(sockets=[listener])


# --- timed ---


async def _timed(run: Run, store: FolderStore) -> Result:
    """Search for half of the time, download for the other half, and find the sample paper."""
    seconds = float(run.job.submission.title or 0)
    await run.report(status=Status.SEARCHING)
    await anyio.sleep(seconds / 2)
    await run.report(status=Status.DOWNLOADING)
    await anyio.sleep(seconds / 2)

    async def chunks() -> AsyncIterator[bytes]:
        yield PAPER.read_bytes()

    key = f"{run.job.id}.{run.job.attempt}.pdf"
    stored = await store.put(key, chunks())
    return Result(key, stored.size, "pdf", stored.sha256, "bench")


def _serve_timed() -> None:
    with tempfile.TemporaryDirectory() as data:
        folder = Path(data)
        engine, store = LocalEngine(folder / "jobs.sqlite3", concurrency=64), FolderStore(folder / "files")
        app = create_app(engine=engine, store=store, body=partial(_timed, store=store), health=Health({}, vpn=no_vpn))
        with running(app) as url:
            print(url, flush=True)
            _ = sys.stdin.read()


def main() -> None:
    """Serve until the end of standard input, or SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["quick", "crowd", "timed"])
    kind = parser.parse_args().kind
    if kind == "timed":
        _serve_timed()
    else:
        anyio.run(_serve, Quick() if kind == "quick" else Crowd())


if __name__ == "__main__":
    main()
