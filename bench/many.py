"""`many`: the CPU time of an errand while many of one client are under way, beside bare httpx behind a semaphore.

A thousand errands begin at once on one awaited client. Its requests are limited by `max_connections`; the loop's
errands by a semaphore of the same width. The ratio at a thousand may not exceed the one at twenty, in the same run.
"""

import statistics
import time
from functools import partial

import anyio
import httpx

from cpu import REQUEST, awaited_loop
from figures import Figure, interleaved, ratios, spread
from gofer import AsyncRetrieveClient
from service import service

FEW, MANY, WIDTH = 20, 1000, 100
ROUND = 1000  # errands of each kind in a round, whatever their number at once


def measure(*, quick: bool) -> list[Figure]:
    """Compare both numbers of errands at once, in rounds that take turns."""
    with service("quick") as url:
        took = interleaved(
            {
                f"{who} {at_once}": partial(_round, url, who, at_once)
                for at_once in (FEW, MANY)
                for who in ("gofer", "loop")
            },
            5 if quick else 15,
        )
    few, many = (ratios(took[f"gofer {n}"], took[f"loop {n}"]) for n in (FEW, MANY))
    limit = statistics.median(few)
    return [
        Figure(f"awaited / httpx loop, {FEW} at once", spread(few)),
        Figure(
            f"awaited / httpx loop, {MANY} at once", spread(many), f"<= {limit:.2f}", statistics.median(many) <= limit
        ),
    ]


def _round(url: str, who: str, at_once: int) -> float:
    return anyio.run(_gofer if who == "gofer" else _loop, url, at_once)


async def _gofer(url: str, at_once: int) -> float:
    async with AsyncRetrieveClient(base_url=url, max_connections=WIDTH) as client:
        _ = await client.run(REQUEST)
        began = time.process_time()
        for _ in range(ROUND // at_once):
            async with anyio.create_task_group() as group:
                for _ in range(at_once):
                    group.start_soon(client.run, REQUEST)
        return time.process_time() - began


async def _loop(url: str, at_once: int) -> float:
    semaphore = anyio.Semaphore(WIDTH)

    async def one() -> None:
        async with semaphore:
            _ = await awaited_loop(client, None)

    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        _ = await awaited_loop(client, None)
        began = time.process_time()
        for _ in range(ROUND // at_once):
            async with anyio.create_task_group() as group:
                for _ in range(at_once):
                    group.start_soon(one)
        return time.process_time() - began
