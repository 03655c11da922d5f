"""`lag`: the time from the end of a job until the client requests its file, and the requests that this costs.

There are two services. The reference service, over a socket, has jobs of 0.3 to 6 s and notes when each one ends. A
plain one of four endpoints, without long polls and in virtual time, has jobs of a second to two hours. gofer is
compared with the loop that people write today: poll, sleep two seconds.
"""

import json
import math
import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from figures import Figure, spread
from gofer import Client, RetrieveClient, RetrieveRequest
from gofer.transports import Head, Now, Request
from service import service

DOI = "10.5555/12345678"
CONCURRENCY = 12


def measure(*, quick: bool) -> list[Figure]:
    """Measure with the reference service, then with a plain one."""
    return _over_a_socket(24 if quick else 48) + _in_virtual_time(400 if quick else 3000)


# --- the reference service, over a socket ---


class NotingTransport(httpx.HTTPTransport):
    """A transport that notes, for each thread's errand, its requests and when it requested the file."""

    def __init__(self) -> None:
        super().__init__()
        self.mine = threading.local()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Note the request and send it."""
        if request.url.path.endswith("/file"):
            self.mine.noticed = time.time()
        else:
            self.mine.requests = getattr(self.mine, "requests", 0) + 1
        return super().handle_request(request)


def _over_a_socket(jobs: int) -> list[Figure]:
    rng = random.Random(7)
    lengths = [rng.uniform(0.3, 6.0) for _ in range(jobs)]
    figures: list[Figure] = []
    ways = {"gofer, all in one": _all_in_one, "gofer, by handle": _by_handle, "a loop of 2 s": _loop}
    with service("timed") as url, TemporaryDirectory() as folder:
        _ = _errand(url, _all_in_one, Path(folder) / "warm", 0.1)
        for name, way in ways.items():
            with ThreadPoolExecutor(CONCURRENCY) as pool:
                errands = [pool.submit(_errand, url, way, Path(folder) / str(n), s) for n, s in enumerate(lengths)]
                lags, requests = zip(*(errand.result() for errand in errands), strict=True)
            ours = way is not _loop
            mean, most = 1000 * statistics.mean(lags), max(requests)
            figures += [
                Figure(
                    f"long polls, {name}: mean lag, ms (median, least .. greatest)",
                    f"{mean:.0f}  ({spread([1000 * lag for lag in lags], '.0f')})",
                    "<= 25" if ours else "",
                    mean <= 25 if ours else None,
                ),
                Figure(
                    f"long polls, {name}: requests before the file, at most (mean)",
                    f"{most} ({statistics.mean(requests):.1f})",
                    "<= 3" if ours else "",
                    most <= 3 if ours else None,
                ),
            ]
    return figures


def _errand(url: str, way: Callable[[str, httpx.BaseTransport, Path, str], str], to: Path, seconds: float) -> Any:
    """Run one errand; return its lag behind the job's end in seconds, and its requests before the file."""
    with NotingTransport() as transport:
        job_id = way(url, transport, to, str(seconds))
        noticed, requests = transport.mine.noticed, transport.mine.requests
    finished = httpx.get(f"{url}/jobs/{job_id}").json()["finished"]
    return noticed - datetime.fromisoformat(finished).timestamp(), requests


def _all_in_one(url: str, transport: httpx.BaseTransport, to: Path, title: str) -> str:
    return RetrieveClient(base_url=url, transport=transport).retrieve_and_download(DOI, to, title=title)[1].job_id


def _by_handle(url: str, transport: httpx.BaseTransport, to: Path, title: str) -> str:
    job = RetrieveClient(base_url=url, transport=transport).submit(RetrieveRequest(DOI, title))
    _ = job.download(to)
    return job.id


def _loop(url: str, transport: httpx.BaseTransport, to: Path, title: str) -> str:
    client = httpx.Client(base_url=url, transport=transport)
    job = client.post("/retrieve", json={"doi": DOI, "title": title, "timeout_seconds": 120}).json()
    while (job := client.get(f"/jobs/{job['job_id']}").json())["status"] not in ("completed", "failed"):
        time.sleep(2)
    _ = to.write_bytes(client.get(f"/jobs/{job['job_id']}/file").content)
    return str(job["job_id"])


# --- a plain service, in virtual time ---

EXCHANGE = 0.02
"""Seconds that one exchange takes."""


class Document:
    """A body in one piece."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def chunks(self) -> Iterator[bytes]:
        """Yield the body."""
        yield self.data

    def close(self) -> None:
        """Close nothing."""


class Plain:
    """A wire to a service of four endpoints with one job of this length, and a clock that only waiting moves."""

    def __init__(self, seconds: float) -> None:
        self.clock, self.ends, self.polls = 0.0, seconds + EXCHANGE, 0

    def now(self) -> Now:
        """Read the clock."""
        return Now(self.clock, self.clock)

    def sleep(self, seconds: float) -> None:
        """Put the clock forward."""
        self.clock += seconds

    def open(self, request: Request, *, timeout: float, stall: float) -> tuple[Head, Document]:  # noqa: ARG002
        """Answer a submission or a poll."""
        self.clock += EXCHANGE
        self.polls += request.method == "GET"
        document = {"job_id": "1", "status": "completed" if self.clock >= self.ends else "searching"}
        return Head(request.url, 200, {"content-type": "application/json"}), Document(json.dumps(document).encode())


def _in_virtual_time(jobs: int) -> list[Figure]:
    rng = random.Random(7)
    lengths = [math.exp(rng.uniform(0.0, math.log(7200.0))) for _ in range(jobs)]
    ours = [_waited(seconds, rng) for seconds in lengths]
    loops = [_looped(seconds) for seconds in lengths]
    figures: list[Figure] = []
    edges = [1, 3, 10, 30, 60, 300, 1200, 7200]
    for low, high in pairwise(edges):
        here = [(s, us, them) for s, us, them in zip(lengths, ours, loops, strict=True) if low <= s < high]
        ratio = statistics.mean(us[0] / max(0.5, 0.1 * s) for s, us, _ in here)
        figures.append(
            Figure(
                f"plain service, jobs of {low} to {high} s: mean lag / max(0.5 s, a tenth of the job)",
                f"{ratio:.2f}; {statistics.mean(us[1] for _, us, _ in here):.0f} polls for "
                f"{statistics.mean(them[1] for _, _, them in here):.0f} of the loop",
                "<= 1",
                ratio <= 1,
            )
        )
    worst = max(us[1] / them[1] for s, us, them in zip(lengths, ours, loops, strict=True) if s > 60)
    name = "plain service, jobs over 60 s: polls / polls of the loop, worst job"
    return [*figures, Figure(name, f"{worst:.2f}", "< 1", worst < 1)]


def _waited(seconds: float, rng: random.Random) -> tuple[float, int]:
    """Run one errand of gofer; return its lag and its polls."""
    io = Plain(seconds)
    _ = Client("http://plain.example", io=io, rng=rng).run(RetrieveRequest(DOI))
    return io.clock - io.ends, io.polls


def _looped(seconds: float) -> tuple[float, int]:
    """Return the same for a loop that polls, then sleeps two seconds."""
    io = Plain(seconds)
    io.clock = EXCHANGE
    while b"completed" not in io.open(Request("GET", "http://plain.example/jobs/1"), timeout=30, stall=30)[1].data:
        io.sleep(2)
    return io.clock - io.ends, io.polls
