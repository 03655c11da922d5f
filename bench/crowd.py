"""A service for very many jobs, as an ASGI application in memory: the contract with the feed of changes, and counters.

A job takes as many seconds as its title says. `GET /stats` tells how many requests came, and after how long the client
got to know each end of a job, by a poll or the feed.
"""

import heapq
import json
import re
import time
from urllib.parse import parse_qs

import anyio
from starlette.types import Receive, Scope, Send

FILE = b"%PDF-1.7\n" + bytes(range(256)) * 16


class Crowd:
    """Jobs by their ids, and what was asked about them."""

    def __init__(self) -> None:
        self.ends = dict[str, float]()
        self.due = list[tuple[float, str]]()
        self.ended = list[str]()
        self.seen = dict[str, float]()
        self.requests = 0
        self.more = anyio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        body = b""
        while (message := await receive()).get("more_body") or message.get("body"):
            body += message["body"]
            if not message.get("more_body"):
                break
        path, asked = scope["path"], dict(scope["headers"])
        if path != "/stats":
            self.requests += 1
        held = re.search(rb"wait=(\d+)", asked.get(b"prefer", b""))
        headers = [(b"preference-applied", b"wait")] if held else []
        kind, status = b"application/json", 200
        if path == "/stats":
            document: object = {"requests": self.requests, "lags": list(self.seen.values())}
        elif path == "/health":
            document = {"status": "healthy", "capabilities": ["idempotency-key"]}
        elif path == "/retrieve":
            job_id = f"j{len(self.ends) + 1}"
            seconds = float(json.loads(body).get("title") or 0)
            self.ends[job_id] = time.monotonic() + seconds
            heapq.heappush(self.due, (self.ends[job_id], job_id))
            document, status = self._document(job_id), 202
        elif path == "/jobs/changes":
            document = await self._changes(scope["query_string"].decode(), 0 if held is None else int(held[1]))
        elif path.endswith("/file"):
            document, kind = None, b"application/pdf"
        else:
            job_id = path.rpartition("/")[2]
            document = self._document(job_id)
            if document["status"] == "completed":
                self.seen.setdefault(job_id, time.monotonic() - self.ends[job_id])
        content = FILE if document is None else json.dumps(document).encode()
        headers += [(b"content-type", kind), (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def _document(self, job_id: str) -> dict[str, object]:
        done = time.monotonic() >= self.ends[job_id]
        return {"job_id": job_id, "status": "completed" if done else "searching", "file_format": "pdf"}

    async def _changes(self, query: str, wait: int) -> dict[str, object]:
        since = parse_qs(query).get("since")
        until = time.monotonic() + wait
        while True:
            now = time.monotonic()
            while self.due and self.due[0][0] <= now:
                self.ended.append(heapq.heappop(self.due)[1])
            at = len(self.ended) if since is None else int(since[0])
            told = [self._document(job_id) for job_id in self.ended[at : at + 500]]
            for document in told:
                job_id = str(document["job_id"])
                self.seen.setdefault(job_id, now - self.ends[job_id])
            if told or since is None or now >= until:
                return {"changes": told, "next": str(at + len(told))}
            soon = min(until, self.due[0][0] if self.due else until)
            await anyio.sleep(min(0.2, max(0.001, soon - now)))
