"""`cpu`: the CPU time of an errand beyond that of httpx written by hand, for exactly the same requests and headers.

The service is in another process and answers from constants. An errand is a submission, two looks and, in the second
row of each face, the file: four requests with what a careful hand would send, the file read and its size checked.
"""

import asyncio
import json
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import httpx

from figures import Figure, at_most, interleaved, ratios
from gofer import AsyncRetrieveClient, RetrieveClient, RetrieveRequest
from service import service

DOI = "10.5555/12345678"
ORDER = RetrieveRequest(DOI, timeout_seconds=120)
JSON = {"accept": "application/json", "accept-encoding": "identity"}
FILE = {"accept-encoding": "identity", "want-repr-digest": "sha-256=10"}


def measure(*, quick: bool) -> list[Figure]:
    """Compare both faces, with and without the file."""
    errands, rounds = (100, 5) if quick else (250, 11)
    figures: list[Figure] = []
    with service("quick") as url, tempfile.TemporaryDirectory() as folder:
        for file in (False, True):
            target = Path(folder) / "paper.pdf" if file else None
            what = "submit, look twice" + (", file to disk" if file else "")
            took = interleaved(
                {
                    "gofer": partial(_blocking, _gofer, RetrieveClient(base_url=url), target, errands),
                    "hand": partial(_blocking, _by_hand, httpx.Client(base_url=url), target, errands),
                    "awaited gofer": partial(_awaited, url, True, target, errands),
                    "awaited hand": partial(_awaited, url, False, target, errands),
                },
                rounds,
            )
            figures += [
                at_most(f"blocking / httpx by hand ({what})", ratios(took["gofer"], took["hand"]), 1.15),
                at_most(f"awaited / httpx by hand ({what})", ratios(took["awaited gofer"], took["awaited hand"]), 1.15),
            ]
    return figures


def _blocking(errand: Callable[..., object], client: object, target: Path | None, errands: int) -> float:
    _ = errand(client, target)
    began = time.process_time()
    for _ in range(errands):
        _ = errand(client, target)
    return time.process_time() - began


def _awaited(url: str, ours: bool, target: Path | None, errands: int) -> float:
    async def go() -> float:
        client = AsyncRetrieveClient(base_url=url) if ours else httpx.AsyncClient(base_url=url)
        errand: Callable[..., Awaitable[object]] = _agofer if ours else _aby_hand
        async with client:
            _ = await errand(client, target)
            began = time.process_time()
            for _ in range(errands):
                _ = await errand(client, target)
            return time.process_time() - began

    return asyncio.run(go())


def _gofer(client: RetrieveClient, target: Path | None) -> object:
    return client.run(ORDER, to=target)


async def _agofer(client: AsyncRetrieveClient, target: Path | None) -> object:
    return await client.run(ORDER, to=target)


def _submission() -> dict[str, str]:
    prefer = "respond-async, wait=20"
    return {**JSON, "content-type": "application/json", "idempotency-key": f'"{uuid.uuid4()}"', "prefer": prefer}


def _look(reply: httpx.Response) -> dict[str, str]:
    return {**JSON, "prefer": "wait=20", "if-none-match": reply.headers["etag"]}


def _body() -> bytes:
    return json.dumps({"doi": DOI, "timeout_seconds": 120}).encode()


def _by_hand(client: httpx.Client, target: Path | None) -> object:
    reply = client.post("/retrieve", content=_body(), headers=_submission()).raise_for_status()
    while (job := reply.json())["status"] not in ("completed", "failed"):
        reply = client.get(f"/jobs/{job['job_id']}", headers=_look(reply)).raise_for_status()
    if target is not None:
        with client.stream("GET", f"/jobs/{job['job_id']}/file", headers=FILE) as stream, target.open("wb") as out:
            for chunk in stream.raise_for_status().iter_raw():
                _ = out.write(chunk)
        assert target.stat().st_size == job["file_size"]
    return job


async def _aby_hand(client: httpx.AsyncClient, target: Path | None) -> object:
    reply = (await client.post("/retrieve", content=_body(), headers=_submission())).raise_for_status()
    while (job := reply.json())["status"] not in ("completed", "failed"):
        reply = (await client.get(f"/jobs/{job['job_id']}", headers=_look(reply))).raise_for_status()
    if target is not None:
        async with client.stream("GET", f"/jobs/{job['job_id']}/file", headers=FILE) as stream:
            with target.open("wb") as out:
                async for chunk in stream.raise_for_status().aiter_raw():
                    _ = out.write(chunk)
        assert target.stat().st_size == job["file_size"]
    return job
