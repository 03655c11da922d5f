"""The contract server: the real service with a scripted paper trail, for recordings that repeat byte for byte.

Time stands still between polls, ids count up, and a job takes one step each time its status is asked for, so the same
conversation with a fresh server gives the same bytes however fast the machine is. What a job does is chosen by its
DOI; see `SCRIPTS` and `ScriptedEngine.submit`.

    python tests/contract_server.py --port 0 [--plain] [--degraded]
"""

import argparse
import itertools
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Any

import anyio
from attrs import define, field
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gofer_service import create_app, running, sample_library
from gofer_service.documents import job_document
from gofer_service.engine import ErrorCode, Failure, Job, Result, Run, Status, Submission, Tried
from gofer_service.health import Health
from gofer_service.jobs import or_404, path_id
from gofer_service.local_engine import LocalEngine
from gofer_service.schemas import SCHEMAS
from gofer_service.store import FolderStore
from gofer_service.submissions import read_submission
from gofer_service.vpn import Vpn

START = 1767225600.0  # 2026-01-01T00:00:00Z
LARGE = 40_000


class Ticking:
    """A clock that stands still; each poll puts it forward by a second."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        """Give the time."""
        return self.now


@define
class Gate:
    """Where a job stops after each step until its status is asked for."""

    parked: bool = False
    _open: anyio.Event = field(factory=anyio.Event)

    async def pause(self) -> None:
        """Stop here, on the job's side."""
        self.parked = True
        await self._open.wait()
        self._open = anyio.Event()

    def let_through(self) -> None:
        """Open for one step, on the poll's side."""
        self.parked = False
        self._open.set()


class ScriptedEngine(LocalEngine):
    """The real engine; asking for a status lets the job take its next step first."""

    def __init__(self, data: Path, clock: Ticking) -> None:
        numbers = itertools.count(1)
        super().__init__(data / "jobs.sqlite3", concurrency=64, clock=clock, new_id=lambda: f"job-{next(numbers):04}")
        self.clock = clock
        self.gates: dict[str, Gate] = {}
        self._refused: set[str] = set()

    async def submit(self, submission: Submission, key: str | None = None, owner: str = "") -> Job:
        """Refuse the first submission of a busy DOI; then as ever."""
        doi = submission.doi
        if doi in ("10.5555/busy", "10.5555/busydate") and doi not in self._refused:
            self._refused.add(doi)
            later = "1" if doi == "10.5555/busy" else formatdate(self.clock() + 1, usegmt=True)
            raise HTTPException(429, "too many jobs are waiting", {"Retry-After": later})
        return await super().submit(submission, key, owner)

    async def wait(self, job_id: str, seen: int | None = None, seconds: float = 0.0) -> Job | None:
        """Let the job take a step, then wait as ever: a held request finds the news at once."""
        before = await self.get(job_id)
        if before is None or before.ended:
            return before
        self.clock.now += 1
        gate = self.gates.setdefault(job_id, Gate())
        await self._settled(job_id, gate)
        gate.let_through()
        await self._settled(job_id, gate)
        return await super().wait(job_id, before.revision if seen is None else seen, seconds)

    async def _settled(self, job_id: str, gate: Gate) -> None:
        while not gate.parked and (job := await self.get(job_id)) is not None and not job.ended:
            await anyio.sleep(0.001)


Step = Callable[[Run], Any]


async def searching(run: Run) -> None:
    """Enter the first state of work."""
    await run.report(status=Status.SEARCHING, message="searching the script")


async def downloading(run: Run) -> None:
    """Be half-way through the file."""
    total = len(content(run.job.submission.doi))
    await run.report(
        status=Status.DOWNLOADING,
        message="fetching from the script",
        progress=0.5,
        bytes_done=total // 2,
        bytes_total=total,
    )


async def rush(run: Run) -> None:
    """Do all of it between two polls."""
    await searching(run)
    await downloading(run)


def fail(code: ErrorCode, error: str, *tried: Tried) -> Step:
    """Give a step that ends the job."""

    async def step(run: Run) -> None:
        if tried:
            await run.report(tried=tried)
        raise Failure(code, error)

    return step


async def stay(_: Run) -> None:
    """Change nothing, at any number of polls."""


SCRIPTS: dict[str, tuple[Step, ...]] = {
    "10.5555/quick": (rush,),
    "10.5555/slow": (searching, downloading, stay),
    "10.5555/large": (rush,),
    "10.5555/expired": (rush,),
    "10.5555/busy": (rush,),
    "10.5555/busydate": (rush,),
    "10.5555/notfound": (searching, fail(ErrorCode.NOT_FOUND, "no source has 10.5555/notfound")),
    "10.5555/downloadfailed": (
        searching,
        fail(
            ErrorCode.DOWNLOAD_FAILED,
            "10.5555/downloadfailed was found, but no copy of it is sound",
            Tried("script", "first.pdf", "TRUNCATED"),
            Tried("script", "second.pdf", "BROKEN_PDF"),
        ),
    ),
    "10.5555/vpnerror": (searching, fail(ErrorCode.VPN_ERROR, "the VPN is down")),
    "10.5555/timeout": (searching, fail(ErrorCode.TIMEOUT, "not done in time")),
}
"""What a job does at its first, second, ... poll; after the last step it completes with the next one."""

ENDLESS = {"10.5555/cancelme", "10.5555/notready"}
"""Jobs that search until they are cancelled or their time is up."""


def content(doi: str) -> bytes:
    """Give the paper: a small PDF, or for the large one the same with comments up to exactly `LARGE` bytes."""
    paper = (sample_library() / "10.5555_12345678.pdf").read_bytes()
    if doi != "10.5555/large":
        return paper
    end = paper[paper.rindex(b"startxref") :]
    room = LARGE - len(paper) - len(end)
    lines = b"".join(b"%% line %05d of the padding\n" % number for number in range(room // 20))
    return paper + lines[: room - 1] + b"\n" + end


@define
class ScriptedBody:
    """Plays the script of a DOI, one step for each poll, into the real store."""

    engine: ScriptedEngine
    store: FolderStore

    async def __call__(self, run: Run) -> Result:
        """Do the job."""
        doi = run.job.submission.doi
        gate = self.engine.gates.setdefault(run.job.id, Gate())
        steps = SCRIPTS.get(doi, (searching, fail(ErrorCode.NOT_FOUND, f"no source has {doi}")))
        for step in itertools.chain((searching,), itertools.repeat(stay)) if doi in ENDLESS else steps:
            await gate.pause()
            await step(run)

        async def chunks() -> AsyncIterator[bytes]:
            yield content(doi)

        key = f"{run.job.id}.{run.job.attempt}.pdf"
        stored = await self.store.put(key, chunks())
        if doi == "10.5555/expired":
            await self.store.delete(key)
        return Result(key, stored.size, "pdf", stored.sha256, "script", "publishedVersion", "cc-by-4.0")


def scripted_app(data: Path, *, plain: bool = False, degraded: bool = False) -> Starlette:
    """Build the server's application: the complete contract, or its four base endpoints."""
    clock = Ticking()
    engine = ScriptedEngine(data, clock)
    store = FolderStore(data / "files")
    vpn = Vpn(configured=True, connected=not degraded, ip=None if degraded else "203.0.113.7")
    # No probes: they run by real time, and what they see is never twice the same.
    health = Health({}, vpn=lambda: vpn, clock=clock)
    full = create_app(engine=engine, store=store, body=ScriptedBody(engine, store), health=health, clock=clock)
    return plain_app(full) if plain else full


def base_of(schema: str, document: dict[str, Any]) -> JSONResponse:
    """Answer with the fields of a document that belong to the base."""
    base = (name for name, field in SCHEMAS[schema]["properties"].items() if "x-base" in field)
    return JSONResponse({name: document[name] for name in base if name in document})


def plain_app(full: Starlette) -> Starlette:
    """Offer only what the base of the contract has, on the engine of ``full``."""
    engine: ScriptedEngine = full.state.engine

    async def health(_: Request) -> Response:
        return base_of("Health", full.state.health.document())

    async def submit(request: Request) -> Response:
        job = await engine.submit(await read_submission(request))
        return JSONResponse({"job_id": job.id, "status": job.status})

    async def show(request: Request) -> Response:
        return base_of("Job", job_document(or_404(request, await engine.wait(path_id(request)))))

    async def fetch(request: Request) -> Response:
        job = or_404(request, await engine.get(path_id(request)))
        if job.result is None:
            raise HTTPException(409, "the file is not ready")
        return Response(content(job.submission.doi), media_type="application/pdf")

    async def refuse(_: Request, error: Any) -> Response:
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        async with full.router.lifespan_context(full):
            app.state.closing = full.state.closing
            yield

    app = Starlette(
        routes=[
            Route("/health", health),
            Route("/retrieve", submit, methods=["POST"]),
            Route("/jobs/{job_id}", show),
            Route("/jobs/{job_id}/file", fetch),
        ],
        exception_handlers={HTTPException: refuse},
        lifespan=lifespan,
    )
    app.state.clock = engine.clock
    return app


@contextmanager
def contract_server(port: int = 0, *, plain: bool = False, degraded: bool = False) -> Generator[str]:
    """Run a fresh contract server in a thread and give its URL."""
    with (
        tempfile.TemporaryDirectory() as data,
        running(scripted_app(Path(data), plain=plain, degraded=degraded), port) as url,
    ):
        yield url


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--plain", action="store_true", help="only the four base endpoints")
    parser.add_argument("--degraded", action="store_true", help="the VPN is down")
    args = parser.parse_args()
    # Blocked before the server's thread starts, so that only the wait below takes them.
    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    with contract_server(args.port, plain=args.plain, degraded=args.degraded) as url:
        print(f"contract server on {url}", file=sys.stderr, flush=True)
        signal.sigwait(signals)


if __name__ == "__main__":
    main()
