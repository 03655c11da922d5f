"""`papers`: what the service itself costs when it looks for papers, against a stand-in for the scholarly web.

A walk over all sources, beside bare httpx that sends the same requests; a 200 MB file on its way through the service,
with the memory and the longest gap of its event loop; and fifty jobs for one slow host, beside fifty for another.
"""

import json
import logging
import multiprocessing
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import anyio
import httpx

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.scholarly_web import scholarly_web
from tests.scholarly_web.__main__ import fill
from tests.scholarly_web.resources import pdf, pdf_bytes, when
from tests.service.papers import settings_for

from figures import Figure, interleaved, spread
from gofer_service import local_app
from gofer_service.fetch.web import Fetcher
from gofer_service.health import Health
from gofer_service.inspection import inspecting
from gofer_service.server import running
from gofer_service.sources.base import Paper
from gofer_service.sources.chosen import chosen
from gofer_service.vpn import Vpn
from gofer_service.walk import Walk

NOWHERE = "10.5555/nowhere"
UP = Vpn(configured=True, connected=True)


def measure(*, quick: bool) -> list[Figure]:
    """Run all three."""
    logging.getLogger("gofer_service").setLevel(logging.ERROR)  # that papers are not found is expected here
    size = 50 if quick else 200
    return [*_walk(20 if quick else 100), *_large(size), *_crowd()]


# --- a walk ---


def _serve(pipe: Connection) -> None:
    with scholarly_web() as web:
        fill(web)
        pipe.send(web.host)
        pipe.recv()


@contextmanager
def _web() -> Generator[str]:
    """Run the stand-in in a process of its own; give its host."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    yield ours.recv()
    ours.send(None)
    process.join()


def _walk(rounds: int) -> list[Figure]:
    with _web() as host, tempfile.TemporaryDirectory() as folder:
        took = interleaved(
            {"walk": partial(anyio.run, _ours, host, Path(folder)), "httpx": partial(anyio.run, _bare, host)}, rounds
        )
    own = [1000 * (ours - bare) for ours, bare in zip(took["walk"], took["httpx"], strict=True)]
    middle = sorted(own)[len(own) // 2]
    return [Figure("a walk over five sources, more than httpx alone, ms", spread(own), "<= 15", middle <= 15)]


class _At:
    """The host of a web that runs in another process."""

    def __init__(self, host: str) -> None:
        self.host = host

    def base(self, name: str) -> str:
        """Return the base of a source."""
        return f"http://{self.host}/{ {'europepmc': 'epmc', 'landing': 'doi'}.get(name, name) }"


async def _ours(host: str, folder: Path) -> float:
    settings = settings_for(_At(host), allow=(host,))  # type: ignore[arg-type]
    sources = [choice.source for choice in chosen(settings, folder) if choice.source]
    fetcher = Fetcher(settings.fetch, settings.contact, sources)

    async def report(**_: object) -> None:
        """Tell nobody."""

    async def kept() -> None:
        """Keep nothing."""

    def walk() -> Walk:
        visit = fetcher.visit()
        return Walk(Paper(NOWHERE), sources, visit, lambda: UP, folder / "in", kept, report, lambda: 100.0)  # type: ignore[arg-type]

    async with inspecting(), fetcher.running():
        for _ in range(2):  # the first one opens connections and starts a child
            began = time.perf_counter()
            try:
                await walk().go()
            except Exception:  # noqa: BLE001 - there is no such paper
                took = time.perf_counter() - began
    return took


async def _bare(host: str) -> float:
    paths = (
        f"unpaywall/v2/{NOWHERE}?email=library@example.org",
        f"openalex/works/doi:{NOWHERE}?api_key=openalex-key",
        f"epmc/search?query=DOI:%22{NOWHERE}%22&format=json",
        f"crossref/works/{NOWHERE}?mailto=library@example.org",
        f"doi/{NOWHERE}",
    )
    async with httpx.AsyncClient(trust_env=False) as client:
        for _ in range(2):
            began = time.perf_counter()
            for path in paths:
                await client.get(f"http://{host}/{path}")
            took = time.perf_counter() - began
    return took


# --- a large file ---


def _large(size: int) -> list[Figure]:
    ran = subprocess.run([sys.executable, __file__, str(size)], check=True, capture_output=True, text=True)
    found = json.loads(ran.stdout)
    return [
        Figure(
            f"{size} MB through the service, memory grown, MiB", f"{found['grown']:.1f}", "< 40", found["grown"] < 40
        ),
        Figure(f"{size} MB through the service, longest gap, ms", f"{found['gap']:.0f}", "< 50", found["gap"] < 50),
    ]


def _serve_large(pipe: Connection, size: int) -> None:
    content = pdf_bytes(padding=size * 1_000_000)

    async def large(_: object) -> object:
        from starlette.responses import Response

        return Response(content, media_type="application/pdf")

    with scholarly_web() as web:
        web.unpaywall("10.5555/large", [web.at("pub/large.pdf", large)])  # type: ignore[arg-type]
        web.unpaywall("10.5555/small", [web.at("pub/small.pdf", pdf())])
        pipe.send(web.host)
        pipe.recv()


def _through(size: int) -> None:
    """Fetch a small file, and then the large one; print what the large one cost."""
    gaps: list[float] = []

    async def watch(_: Health) -> None:
        while True:
            began = time.perf_counter()
            await anyio.sleep(0.002)
            gaps.append(time.perf_counter() - began - 0.002)

    Health.watch = watch  # type: ignore[method-assign]
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve_large, args=(theirs, size), daemon=True)
    process.start()
    host = ours.recv()
    settings = settings_for(_At(host), ["unpaywall"], allow=(host,), max_bytes=10**9)  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        choices = chosen(settings, folder)
        with running(local_app(folder, folder / "data", choices=choices, fetch=settings.fetch)) as url:
            _fetch(url, "10.5555/small")
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            gaps.clear()
            _fetch(url, "10.5555/large")
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    ours.send(None)
    print(json.dumps({"grown": grown, "gap": 1000 * max(gaps)}))


def _fetch(url: str, doi: str) -> None:
    with httpx.Client(base_url=url, timeout=120) as http:
        job = http.post("/retrieve", json={"doi": doi}, headers={"Prefer": "wait=20"}).json()
        while job["status"] not in ("completed", "failed"):
            job = http.get(f"/jobs/{job['job_id']}", headers={"Prefer": "wait=20"}).json()
        assert job["status"] == "completed", job
        with http.stream("GET", f"/jobs/{job['job_id']}/file") as reply:
            for _ in reply.iter_raw():
                pass


# --- a crowd ---


def _crowd() -> list[Figure]:
    with (
        scholarly_web() as slow,
        scholarly_web() as other,
        scholarly_web() as index,
        tempfile.TemporaryDirectory() as name,
    ):
        go_on = threading.Event()
        for number in range(50):
            index.unpaywall(f"10.5555/slow.{number}", [slow.at(f"pub/{number}.pdf", when(go_on, pdf()))])
            index.unpaywall(f"10.5555/other.{number}", [other.at(f"pub/{number}.pdf", pdf())])
        settings = settings_for(index, ["unpaywall"], allow=(slow.host, other.host))
        folder, choices = Path(name), chosen(settings, Path(name))
        app = local_app(folder, folder / "data", choices=choices, fetch=settings.fetch, concurrency=100)
        with running(app) as url, httpx.Client(base_url=url, timeout=60) as http:
            dois = [f"10.5555/{kind}.{number}" for number in range(50) for kind in ("slow", "other")]
            jobs = [http.post("/retrieve", json={"doi": doi}).json()["job_id"] for doi in dois]
            quick = [_ends(http, job_id) for job_id in jobs[1::2]]
            waiting = len(slow.asked)
            go_on.set()
            late = [_ends(http, job_id) for job_id in jobs[::2]]
    done = quick.count("completed"), late.count("completed")
    most = max(slow.most, other.most, index.most)
    return [
        Figure("50 jobs of another host, done while 50 wait for a slow one", f"{done[0]} of 50", "50", done[0] == 50),
        Figure("requests at a time to one host", f"{most}, {waiting} at the slow one", "1", (most, waiting) == (1, 1)),
        Figure("50 jobs of the slow host, done afterwards", f"{done[1]} of 50", "50", done[1] == 50),
    ]


def _ends(http: httpx.Client, job_id: str) -> str:
    while True:
        status = str(http.get(f"/jobs/{job_id}", headers={"Prefer": "wait=20"}).json()["status"])
        if status in ("completed", "failed"):
            return status


if __name__ == "__main__":
    _through(int(sys.argv[1]))
