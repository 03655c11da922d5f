"""Processes that a test runs and kills, and the service that they use."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

from support.raw_server import Call, RawServer, http

PIECE = 8_192


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait until a condition is true, for a minute at most."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "the condition never became true"
        time.sleep(0.005)


@contextmanager
def process(script: str, *args: str | Path) -> Generator[subprocess.Popen[str]]:
    """Start a Python script, and kill it in the end."""
    command = [sys.executable, "-c", script, *map(str, args)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        try:
            yield child
        finally:
            child.kill()


def kill(child: subprocess.Popen[str]) -> None:
    """Kill a process with SIGKILL."""
    os.kill(child.pid, signal.SIGKILL)
    child.wait()


class SlowService:
    """One job whose file comes in pieces, `pace` seconds apart; `sent` counts its bytes, reply by reply."""

    def __init__(self, paper: bytes, *, pace: float = 0.0) -> None:
        self.paper, self.etag, self.pace = paper, '"one"', pace
        self.sent: list[int] = []
        self.ranges: list[str | None] = []
        self.keys: list[str] = []
        self.answering = threading.Event()  # while it is cleared, submissions get no answer
        self.answering.set()
        self.submitted = threading.Event()
        self.halfway: Callable[[], object] = lambda: None  # called once, in the middle of the first reply

    def __call__(self, call: Call) -> Iterable[object]:
        """Answer one call."""
        if call.path == "/health":
            return [http(200, '{"status":"healthy","capabilities":["idempotency-key"]}')]
        if call.method == "POST":
            return self._submit(call)
        return self._file(call) if call.path.endswith("/file") else [http(200, self._document(call.path[6:]))]

    def _document(self, job: str) -> str:
        return json.dumps({"job_id": job, "status": "completed", "file_size": len(self.paper)})

    def _submit(self, call: Call) -> Iterable[object]:
        key = call.headers["idempotency-key"]
        if key not in self.keys:
            self.keys.append(key)
        self.submitted.set()
        yield self.answering
        yield http(202, json.dumps({"job_id": f"job-{self.keys.index(key) + 1}", "status": "pending"}))

    def _file(self, call: Call) -> Iterable[object]:
        paper, asked = self.paper, call.headers.get("range")
        resumed = asked is not None and call.headers.get("if-range") == self.etag
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and resumed else 0
        place = f"bytes {start}-{len(paper) - 1}/{len(paper)}"
        number = len(self.sent)
        self.sent.append(0)
        self.ranges.append(asked)
        more = {"content_range": place} if resumed else {}
        length = str(len(paper) - start)
        yield http(206 if resumed else 200, etag=self.etag, content_length=length, **more)
        for at in range(start, len(paper), PIECE):
            piece = paper[at : at + PIECE]
            yield piece
            self.sent[number] += len(piece)
            if number == 0 and at <= len(paper) // 2 < at + PIECE:
                self.halfway()
            yield self.pace


def requests(server: RawServer, method: str) -> int:
    """Count the requests of a method."""
    return sum(call.method == method for call in server.calls)
