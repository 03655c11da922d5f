"""A declaration, and a small server of its API: the name of a job's task says what the job does."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from support.raw_server import Call, RawServer, http, raw_server

SECRET = "k3y-nobody-sees"

MINE = """\
name = "mine"
about = "Jobs of our own. The input has the task."
docs = "https://jobs.example.org/docs"

[variables]
region = { about = "where the jobs run" }
api_key = { about = "from your account page", secret = true }

[every]
query = { region = "{region}" }
headers = { x-api-key = "{api_key}" }

[submit]
url = "{base}/jobs"
multipart = { task = "{input.task}", size = "{input.size?}", data = "{input.data*?}" }
id = "/id"

[poll]
url = "{base}/jobs/{id}"

[status]
state = "/state"
progress = "/done"
of = 100
error = "/error"

[states]
pending = "queued"
running = "working"
succeeded = "ready"
failed = "broken"
cancelled = "stopped"

[result]
url = "{base}/jobs/{id}/result"
value = ["/value", "none:"]

[result.files]
under = ["/files", "none:"]
url = "/at"
name = "/called"

[cancel]
url = "{base}/jobs/{id}"
"""

RESULTS = {
    "value": {"value": {"sum": 3, "words": "\x9b31m"}},
    "one": {"files": [{"at": "/bytes/one", "called": "a.bin"}]},
    "two": {"files": [{"at": "/bytes/one", "called": "a.bin"}, {"at": "/bytes/two", "called": "../b.bin"}]},
    "wait": {"files": [{"at": "/bytes/one", "called": "a.bin"}, {"at": "/bytes/two", "called": "b.bin"}]},
    "nothing": {},
    "deaf": {},
}


@contextmanager
def mine_server() -> Generator[tuple[RawServer, threading.Event]]:
    """Run the server; job "wait" works until the event is set, "deaf" goes on when cancelled, "lost" gets no answer."""
    free, stopped = threading.Event(), threading.Event()

    def answer(call: Call) -> list[object]:
        path = urlsplit(call.path).path
        task = path.split("/")[2] if path.count("/") > 1 else ""
        if path.startswith("/bytes/"):
            return [http(200, f"bytes of {task}", content_type="application/octet-stream")]
        if call.method == "POST":
            named = next(name for name in (*RESULTS, "broken", "lost") if f"\r\n{name}\r\n".encode() in call.body)
            return [] if named == "lost" else [_json(202, {"id": named, "state": "queued"})]
        if call.method == "DELETE" and task == "deaf":
            return [_json(200, {})]
        if call.method == "DELETE":
            stopped.set()
            return [_json(200, {"id": task, "state": "stopped"})]
        if path.endswith("/result"):
            return [_json(200, RESULTS[task])]
        if task == "broken":
            return [_json(200, {"id": task, "state": "broken", "error": "out of paint"})]
        waits = task in ("wait", "deaf") and not free.is_set()
        state = "stopped" if stopped.is_set() else "working" if waits else "ready"
        return [_json(200, {"id": task, "state": state, "done": 40})]

    with raw_server(answer) as server:
        yield server, free


def _json(status: int, document: object) -> bytes:
    return http(status, json.dumps(document), content_type="application/json")


def written(folder: Path, task: str, **more: object) -> tuple[Path, Path]:
    """Write the declaration and an input with this task; return their paths."""
    contract, request = folder / "mine.toml", folder / "request.json"
    contract.write_text(MINE)
    request.write_text(json.dumps({"task": task, **more}))
    return contract, request
