"""`cpu`: the CPU time of an errand, compared with a loop of httpx for exactly the same requests and headers.

The service is in another process and answers from constants. An errand is a submission and two polls; with the file, it
is one request more. The loop then writes the file once as durably as gofer (synced, then put in place), and once
without syncing it.
"""

import asyncio
import json
import os
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
REQUEST = RetrieveRequest(DOI, timeout_seconds=120)
JSON = {"accept": "application/json", "accept-encoding": "identity"}
FILE = {"accept-encoding": "identity", "want-repr-digest": "sha-256=10"}


def measure(*, quick: bool) -> list[Figure]:
    """Compare both faces, with and without the file."""
    errands, rounds = (60, 9) if quick else (120, 21)
    figures: list[Figure] = []
    with service("quick") as url, tempfile.TemporaryDirectory() as folder:
        paper = Path(folder) / "paper.pdf"
        for target, durable in ((None, False), (paper, True), (paper, False)):
            took = interleaved(
                {
                    "gofer": partial(_blocking, _gofer, RetrieveClient(base_url=url), target, errands),
                    "loop": partial(
                        _blocking, partial(loop_errand, durable=durable), httpx.Client(base_url=url), target, errands
                    ),
                    "awaited gofer": partial(_awaited, url, _agofer, target, errands),
                    "awaited loop": partial(_awaited, url, partial(awaited_loop, durable=durable), target, errands),
                },
                rounds,
            )
            what = "no file" if target is None else "file synced" if durable else "file; the loop does not sync it"
            for face, ours, loop in (("blocking", "gofer", "loop"), ("awaited", "awaited gofer", "awaited loop")):
                figure = at_most(f"{face} / httpx loop, {what}", ratios(took[ours], took[loop]), 1.15)
                figures.append(figure if target is None or durable else Figure(figure.name, figure.measured))
    return figures


def _blocking(errand: Callable[..., object], client: object, target: Path | None, errands: int) -> float:
    _ = errand(client, target)
    began = time.process_time()
    for _ in range(errands):
        _ = errand(client, target)
    return time.process_time() - began


def _awaited(url: str, errand: Callable[..., Awaitable[object]], target: Path | None, errands: int) -> float:
    async def errands_of_a_client() -> float:
        client = AsyncRetrieveClient(base_url=url) if errand is _agofer else httpx.AsyncClient(base_url=url)
        async with client:
            _ = await errand(client, target)
            began = time.process_time()
            for _ in range(errands):
                _ = await errand(client, target)
            return time.process_time() - began

    return asyncio.run(errands_of_a_client())


def _gofer(client: RetrieveClient, target: Path | None) -> object:
    return client.run(REQUEST, to=target)


async def _agofer(client: AsyncRetrieveClient, target: Path | None) -> object:
    return await client.run(REQUEST, to=target)


def _submission() -> dict[str, str]:
    prefer = "respond-async, wait=20"
    return {**JSON, "content-type": "application/json", "idempotency-key": f'"{uuid.uuid4()}"', "prefer": prefer}


def _poll(reply: httpx.Response) -> dict[str, str]:
    return {**JSON, "prefer": "wait=20", "if-none-match": reply.headers["etag"]}


def _body() -> bytes:
    return json.dumps({"doi": DOI, "timeout_seconds": 120}).encode()


def loop_errand(client: httpx.Client, target: Path | None, *, durable: bool = False) -> object:
    reply = client.post("/retrieve", content=_body(), headers=_submission()).raise_for_status()
    while (job := reply.json())["status"] not in ("completed", "failed"):
        reply = client.get(f"/jobs/{job['job_id']}", headers=_poll(reply)).raise_for_status()
    if target is not None:
        with client.stream("GET", f"/jobs/{job['job_id']}/file", headers=FILE) as stream, target.open("wb") as out:
            for chunk in stream.raise_for_status().iter_raw():
                _ = out.write(chunk)
        assert target.stat().st_size == job["file_size"]
        if durable:
            _keep(target)
    return job


async def awaited_loop(client: httpx.AsyncClient, target: Path | None, *, durable: bool = False) -> object:
    reply = (await client.post("/retrieve", content=_body(), headers=_submission())).raise_for_status()
    while (job := reply.json())["status"] not in ("completed", "failed"):
        reply = (await client.get(f"/jobs/{job['job_id']}", headers=_poll(reply))).raise_for_status()
    if target is not None:
        async with client.stream("GET", f"/jobs/{job['job_id']}/file", headers=FILE) as stream:
            with target.open("wb") as out:
                async for chunk in stream.raise_for_status().aiter_raw():
                    _ = out.write(chunk)
        assert target.stat().st_size == job["file_size"]
        if durable:
            await asyncio.to_thread(_keep, target)
    return job


def _keep(part: Path) -> None:
    """Sync a file to disk and put it in its place, as gofer does."""
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    _ = part.replace(part.with_suffix(".kept"))
    folder = os.open(part.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)
