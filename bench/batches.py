"""`batches`: many errands as a batch, beside what people write today: a semaphore around httpx, a loop of two seconds.

Ten thousand jobs that wait: memory and CPU of the process. A thousand that end at random: how soon each end is known,
and how many requests it took. Two thousand quick ones: the rate, beside the semaphore loop at its best setting.
Opening a journal of a hundred thousand errands.
"""

import json
import random
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import httpx

from figures import Figure, spread
from gofer import AsyncRetrieveClient, RetrieveClient, RetrieveRequest
from gofer.transports.journal import Journal
from service import service

DOI = "10.5555/batch.{}"
LOOPS = 100


def measure(*, quick: bool) -> list[Figure]:
    """Measure all of it."""
    return [
        *_waiting(2000 if quick else 10_000),
        *_ending(200 if quick else 1000),
        *_quick(400 if quick else 2000, 2 if quick else 3),
        *_opening(100_000),
    ]


def requests(count: int, seconds: Callable[[], float]) -> list[RetrieveRequest]:
    """Make requests for jobs that take so long."""
    return [RetrieveRequest(DOI.format(number), title=f"{seconds():.3f}") for number in range(count)]


def stats(url: str) -> dict[str, list[float] | int]:
    """Ask the service what it has seen."""
    return httpx.get(f"{url}/stats", timeout=60).json()


# --- waiting ---


def _waiting(count: int) -> list[Figure]:
    """Have jobs wait in this process, and look at what that costs."""
    with service("crowd") as url:
        memory, cpu = anyio.run(_wait, url, count)
    return [
        Figure(f"{count} jobs waiting, memory of each", f"{memory:.1f} KiB", "< 10 KiB", memory < 10),
        Figure(f"{count} jobs waiting, with the feed, of a core", f"{cpu:.1%}", "< 5 %", cpu < 0.05),
    ]


async def _wait(url: str, count: int) -> tuple[float, float]:
    async with (
        AsyncRetrieveClient(base_url=url) as client,
        client.batch(jobs=count) as batch,
        anyio.create_task_group() as group,
    ):
        await batch.add(requests(count, lambda: 10_000.0))
        before = _memory()

        async def run() -> None:
            async for _ in batch.run():
                pass

        group.start_soon(run)
        while batch.counts["open"] < count or stats(url)["requests"] < count:
            await anyio.sleep(0.5)
        await anyio.sleep(3)
        memory, began, used = (_memory() - before) / count, time.monotonic(), time.process_time()
        await anyio.sleep(10)
        cpu = (time.process_time() - used) / (time.monotonic() - began)
        group.cancel_scope.cancel()
    return memory, cpu


def _memory() -> float:
    """Return the memory that this process has now, in KiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1024


# --- ending ---


def _ending(count: int) -> list[Figure]:
    """Have jobs end at random within 20 s, and ask the service how soon it was asked."""
    rng = random.Random(7)
    asked = requests(count, lambda: rng.uniform(5.0, 25.0))
    with service("crowd") as url:
        with RetrieveClient(base_url=url) as client:
            assert all(errand.state == "done" for errand in client.map(asked, jobs=count))
        ours = stats(url)
    with service("crowd") as url:
        few = asked[:LOOPS]  # more loops at once than this machine serves would measure their own queue
        anyio.run(_polled, url, few)
        theirs = stats(url)
    lags = sorted(1000 * lag for lag in ours["lags"])
    p50, p95 = lags[len(lags) // 2], lags[int(0.95 * len(lags))]
    waited, polled = (sum(found["lags"]) / len(found["lags"]) for found in (ours, theirs))
    fewer = (theirs["requests"] / len(few) - 2) / (ours["requests"] / count - 1)  # without POST and file
    return [
        Figure("done to known, p50", f"{p50:.0f} ms", "< 50 ms", p50 < 50),
        Figure("done to known, p95", f"{p95:.0f} ms", "< 250 ms", p95 < 250),
        Figure("done to known, the loop of 2 s / the batch", f"{polled / waited:.0f}"),
        Figure(
            "requests of a job after its submission, the loop of 2 s / the batch", f"{fewer:.1f}", ">= 10", fewer >= 10
        ),
    ]


async def _polled(url: str, asked: list[RetrieveRequest]) -> None:
    """Do the same with a loop for each job, which polls every two seconds."""
    patient = httpx.Timeout(60, pool=None)  # a thousand at once wait for each other's connections
    async with httpx.AsyncClient(base_url=url, timeout=patient) as http, anyio.create_task_group() as group:

        async def one(request: RetrieveRequest) -> None:
            reply = await http.post("/retrieve", json={"doi": request.doi, "title": request.title})
            job_id = reply.json()["job_id"]
            while (await http.get(f"/jobs/{job_id}")).json()["status"] != "completed":
                await anyio.sleep(2)
            _ = await http.get(f"/jobs/{job_id}/file")

        for request in asked:
            group.start_soon(one, request)


# --- quick ---


def _quick(count: int, rounds: int) -> list[Figure]:
    """Do errands that are done at once, with their files, and compare the rates."""
    ours, theirs = list[float](), list[float]()
    for _ in range(rounds):
        ours.append(max(_batch(count, jobs) for jobs in (8, 20)))
        theirs.append(max(anyio.run(_semaphore, count, width) for width in (4, 8, 20)))
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    ok = statistics.median(ratios) >= 0.9
    return [Figure(f"{count} quick errands, rate of the batch / semaphore loop", spread(ratios), ">= 0.9", ok)]


def _batch(count: int, jobs: int) -> float:
    return anyio.run(_awaited_batch, count, jobs)


async def _awaited_batch(count: int, jobs: int) -> float:
    with service("crowd") as url, TemporaryDirectory() as folder:
        async with AsyncRetrieveClient(base_url=url) as client:
            options = {"to": f"{folder}/{{doi}}.pdf", "jobs": jobs, "downloads": jobs}
            async with client.batch(f"{folder}/run.gofer", **options) as batch:
                began = time.monotonic()
                await batch.add(requests(count, lambda: 0.0))
                async for errand in batch.run():
                    assert errand.state == "done", errand.error
                return count / (time.monotonic() - began)


async def _semaphore(count: int, width: int) -> float:
    with service("crowd") as url, TemporaryDirectory() as folder:
        semaphore = anyio.Semaphore(width)
        async with httpx.AsyncClient(base_url=url, timeout=60) as http:
            began = time.monotonic()
            async with anyio.create_task_group() as group:

                async def one(number: int) -> None:
                    async with semaphore:
                        reply = await http.post("/retrieve", json={"doi": DOI.format(number), "title": "0"})
                        job_id = reply.json()["job_id"]
                        while (await http.get(f"/jobs/{job_id}")).json()["status"] != "completed":
                            await anyio.sleep(0.5)
                        file = await http.get(f"/jobs/{job_id}/file")
                        _ = await anyio.Path(folder, f"{number}.pdf").write_bytes(file.content)

                for number in range(count):
                    group.start_soon(one, number)
            return count / (time.monotonic() - began)


# --- opening ---


def _opening(count: int) -> list[Figure]:
    """Open a journal of many errands."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "run.gofer")
        journal = Journal(path, contract="retrieve", base="http://x")
        rows = [(json.dumps({"doi": DOI.format(n)}), f"/out/{n}", f"/out/{n}") for n in range(count)]
        _ = journal.add(rows)
        journal.close()
        took = list[float]()
        for _ in range(5):
            began = time.monotonic()
            journal = Journal(path, contract="retrieve", base="http://x")
            journal.rewind()
            _ = journal.load(20)
            took.append(time.monotonic() - began)
            journal.close()
    middle = statistics.median(took)
    return [Figure(f"opening a journal of {count}", f"{middle:.2f} s", "< 1 s", middle < 1)]
