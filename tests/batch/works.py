"""A service of numbered works for batches, with a declared contract; and one way to run a batch on every face."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from contextlib import aclosing, closing
from typing import Any

import anyio
from tenacity.stop import stop_after_attempt
from tenacity.wait import wait_fixed

import gofer
from gofer.core.journal import Fate
from support.declared import as_json, path_of, said
from support.raw_server import Call, http

MODES = ("blocking", "asyncio", "trio")

CONTRACT = """
name = "works"
[submit]
url = "{base}/jobs"
headers = { idempotency-key = "{key}" }
json = "{input}"
id = "/id"
idempotent = REPLAYS
[poll]
url = "{base}/jobs/{id}"
[status]
state = "/state"
error = "/why"
[result]
url = "{base}/jobs/{id}/file"
file = true
"""


DOCUMENT = CONTRACT.partition("[result]")[0].replace("REPLAYS", "true")
"""The same without a result of its own: the last status document is the value."""

LINKED = f"""{DOCUMENT}
[result.files]
under = "/files"
url = ""
"""
"""The same with links to files in the last status document."""


class Works:
    """A service: what becomes of a job is in its request; `jobs` has those that were made, by their keys."""

    def __init__(self, *, replays: bool = True) -> None:
        self.replays, self.lock = replays, threading.Lock()
        self.jobs = dict[str, dict[str, Any]]()
        self.keys = dict[str, str]()
        self.open = set[str]()
        self.most = self.posts = 0
        self.files = Counter[str]()
        self.pause = 0.0  # seconds that a submission takes
        self.refuse: Any = None  # a function of a call that answers in place of the service

    def contract(self) -> Any:
        """Return its contract."""
        return said(CONTRACT.replace("REPLAYS", str(self.replays).lower()))

    def __call__(self, call: Call) -> bytes:
        """Answer one request."""
        refusal = None if self.refuse is None else self.refuse(call)
        if refusal is not None:
            return refusal
        if call.method == "POST":
            time.sleep(self.pause)
        with self.lock:
            if call.method == "POST":
                self.posts += 1
                key = call.headers["idempotency-key"]
                job_id = self.keys.get(key) if self.replays else None
                if job_id is None:
                    job_id = f"j{len(self.jobs) + 1}"
                    self.jobs[job_id], self.keys[key] = json.loads(call.body), job_id
                    self.open.add(job_id)
                    self.most = max(self.most, len(self.open))
                return as_json({"id": job_id, "state": "running"}, 201)
            _, _, job_id, *file = path_of(call).split("/")
            if job_id not in self.jobs:
                return http(404)
            if file:
                self.files[job_id] += 1
                return http(200, self.content(job_id), content_type="text/plain", etag='"1"')
            asked = self.jobs[job_id]
            if call.nth <= asked.get("polls", 1):
                return as_json({"id": job_id, "state": "running"})
            self.open.discard(job_id)
            bad = asked.get("fails", 0)
            state, why = ("failed", "it broke") if bad else ("succeeded", None)
            return as_json({"id": job_id, "state": state, "why": why, "files": [f"/jobs/{job_id}/file"]})

    def content(self, job_id: str) -> str:
        """Return the file of a job."""
        return f"content of {self.jobs[job_id]['n']}"


def works(count: int, **more: Any) -> list[dict[str, Any]]:
    """Return requests."""
    return [{"n": number, **more} for number in range(count)]


def options_of(client: dict[str, Any]) -> dict[str, Any]:
    """Add policies without long pauses."""
    few = gofer.Retry(wait_fixed(0.01), stop_after_attempt(3))
    return {"poll": wait_fixed(0.01), "retry": few, "patience": few, "rng": random.Random(7), **client}


class Ran:
    """What came of a batch: the errands that ended, in this order, the counts, the error, what `use` returned."""

    def __init__(self) -> None:
        self.errands = list[Any]()
        self.counts = dict[str, int]()
        self.error: BaseException | None = None

    def state(self, number: int) -> str:
        """Return how an errand ended last."""
        return next(one.state for one in reversed(self.errands) if one.request["n"] == number)


def run_batch(
    mode: str,
    url: str,
    contract: Any,
    requests: Any = (),
    *,
    journal: Any = None,
    client: Any = None,
    retry: str | None = None,
    timeout: float | None = None,
    leave_after: int | None = None,
    **options: Any,
) -> Ran:
    """Open a batch on a face, add requests, run it, and close everything."""
    ran = Ran()
    settings = options_of(client or {})

    def blocking() -> None:
        with gofer.Client(url, contract=contract, **settings) as made, made.batch(journal, **options) as batch:
            batch.add(requests)
            if retry is not None:
                batch.retry(retry)
            with closing(batch.run(timeout)) as ended:
                try:
                    for errand in ended:
                        ran.errands.append(errand)
                        if len(ran.errands) == leave_after:
                            break
                except gofer.GoferError as error:
                    ran.error = error
            ran.counts = batch.counts

    async def awaited() -> None:
        async with (
            gofer.AsyncClient(url, contract=contract, **settings) as made,
            made.batch(journal, **options) as batch,
        ):
            await batch.add(requests)
            if retry is not None:
                await batch.retry(retry)
            async with aclosing(batch.run(timeout)) as ended:
                try:
                    async for errand in ended:
                        ran.errands.append(errand)
                        if len(ran.errands) == leave_after:
                            break
                except gofer.GoferError as error:
                    ran.error = error
            ran.counts = batch.counts

    if mode == "blocking":
        blocking()
    else:
        anyio.run(awaited, backend=mode)
    return ran


def all_done(count: int) -> dict[str, int]:
    """Return the counts of a batch that went well."""
    return {str(fate): count if fate is Fate.DONE else 0 for fate in Fate}
