"""A service for the world without I/O, with one completed job and its file."""

import base64
import hashlib
import json
import random

from gofer.errors import AnswerLost
from support.world import BASE, reply

PAPER = b"%PDF-1.7 " + bytes(range(256)) * 8
OTHER = b"%PDF-1.7 " + bytes(range(255, -1, -1)) * 8
BOOK = b"%PDF-1.7 " + random.Random(3).randbytes(40_000)
SOURCE = hashlib.sha256(f"{BASE}/jobs/j1/file".encode()).hexdigest()


def digest(data):
    """A Repr-Digest field."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"


def completed(**more):
    """A job document of a completed job."""
    return reply(200, json.dumps({"job_id": "j1", "status": "completed", **more}))


class Files:
    """A service with a completed job and its file, with ranges; each of the `faults` meets one request of the file."""

    def __init__(self, data=PAPER, *faults, named=None, status=None, headers=None):
        self.data, self.faults, self.named = data, list(faults), named
        self.status = status or completed()
        self.headers = {"etag": f'"{hashlib.md5(data).hexdigest()}"', "accept-ranges": "bytes"} | (headers or {})

    def __call__(self, request, world):
        """Answer a poll or a request for the file."""
        if not request.url.endswith("/file"):
            return self.status
        if self.faults:
            fault = self.faults.pop(0)
            return fault(request, world) if callable(fault) else fault
        return self.file(request)

    def file(self, request):
        """The file, or the range of it that was requested."""
        headers = dict(self.headers)
        if self.named is not None:
            headers["repr-digest"] = digest(self.named)
        asked = request.headers.get("range")
        validators = (None, headers.get("etag"), headers.get("last-modified"))
        if asked is None or request.headers.get("if-range") not in validators:
            return reply(200, self.data, **headers, content_length=str(len(self.data)))
        start = int(asked.removeprefix("bytes=").removesuffix("-"))
        if start >= len(self.data):
            return reply(416, b"", **headers, content_range=f"bytes */{len(self.data)}")
        span = f"bytes {start}-{len(self.data) - 1}/{len(self.data)}"
        return reply(206, self.data[start:], **headers, content_range=span)


def cut_after(service, kept):
    """A fault: the file breaks off after `kept` bytes."""

    def fault(request, world):
        world.cut = AnswerLost("cut")
        complete = service().file(request)
        return reply(complete.status, complete.body[:kept], **dict(complete.headers.items()))

    return fault
