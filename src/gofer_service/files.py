"""The route that streams a finished job's file, whole or in part.

Ranges follow RFC 9110 (13.1.5 and 14), digests RFC 9530, the file name RFC 6266 and RFC 8187.
"""

import base64
import re
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gofer_service.connections import until_gone
from gofer_service.engine import Clock, Engine, Job, Result, Status
from gofer_service.fields import Span, Unsatisfiable, read_range, read_tags, wants_sha256
from gofer_service.jobs import known, path_id
from gofer_service.problems import Problem
from gofer_service.store import Store

_MEDIA_TYPES: Final = {
    "pdf": "application/pdf",
    "epub": "application/epub+zip",
    "xml": "application/xml",
    "html": "text/html",
}

MAX_NAME: Final = 150
"""Characters of a DOI that go into a file name; file systems take 255 bytes."""


async def fetch(request: Request) -> Response:
    """GET /jobs/{job_id}/file: 200 or 206 with the file; 304, 404, 409, 410 and 416 without."""
    engine: Engine = request.app.state.engine
    job = known(await engine.get(path_id(request)))
    result = _ready(job, request.app.state.clock)
    tag = f'"{result.sha256[:32]}"'
    headers = _describe(job, result, tag)
    if wants_sha256(request.headers.get("want-repr-digest")):
        headers["Repr-Digest"] = f"sha-256=:{base64.b64encode(bytes.fromhex(result.sha256)).decode()}:"
    tags = read_tags(request.headers.get("if-none-match", ""))
    if "*" in tags or tag.strip('"') in tags:
        return Response(status_code=304, headers={"ETag": tag})
    span = _wanted_span(request, result, tag)
    if span is None:
        headers["Content-Length"] = str(result.size)
        return _Stream(request.app.state.store, result.key, Span(0, result.size), 200, headers)
    headers["Content-Length"] = str(span.length)
    headers["Content-Range"] = f"bytes {span.start}-{span.start + span.length - 1}/{result.size}"
    return _Stream(request.app.state.store, result.key, span, 206, headers)


class _Stream(Response):
    """Sends a span of a stored file, and closes the file whether the caller stays or goes."""

    def __init__(self, store: Store, key: str, span: Span, status: int, headers: dict[str, str]) -> None:
        super().__init__(status_code=status, headers=headers)
        self._store = store
        self._key = key
        self._span = span

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Open the file before the first byte is promised: one that is gone is a 410 still."""
        start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        try:
            opened = self._store.read(self._key, self._span.start, self._span.length)
            async with opened as chunks:
                await send(start)
                if scope["method"] != "HEAD":

                    async def stream() -> None:
                        async for chunk in chunks:
                            await send({"type": "http.response.body", "body": chunk, "more_body": True})

                    await until_gone(receive, stream)
        except FileNotFoundError:
            raise Problem(410, "EXPIRED", "the file is no longer kept") from None
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _ready(job: Job, clock: Clock) -> Result:
    if job.status is not Status.COMPLETED or job.result is None:
        raise Problem(409, "NOT_READY", f"the job is {job.status.value}; there is no file")
    if job.expires is not None and job.expires <= clock():
        raise Problem(410, "EXPIRED", "the file is no longer kept")
    return job.result


def _wanted_span(request: Request, result: Result, tag: str) -> Span | None:
    """Give the part that is asked for, or None for the whole; a range counts for GET and the same file only."""
    condition = request.headers.get("if-range")
    if request.method != "GET" or (condition is not None and condition.strip() != tag):
        return None
    try:
        return read_range(request.headers.get("range"), result.size)
    except Unsatisfiable:
        detail = f"the range lies outside the file's {result.size} bytes"
        headers = {"Content-Range": f"bytes */{result.size}", "ETag": tag}
        raise Problem(416, "RANGE_NOT_SATISFIABLE", detail, headers) from None


def _describe(job: Job, result: Result, tag: str) -> dict[str, str]:
    return {
        "Content-Type": _MEDIA_TYPES[result.format],
        "Content-Disposition": _disposition(f"{job.submission.doi[:MAX_NAME]}.{result.format}"),
        "Accept-Ranges": "bytes",
        "ETag": tag,
        "Cache-Control": "private, no-cache",
        # A saved page must not run in the service's name.
        "X-Content-Type-Options": "nosniff",
    }


def _disposition(name: str) -> str:
    """Offer a file name: the plain form for old clients, the extended one (RFC 8187) where they differ."""
    name = name.replace("/", "_")
    plain = re.sub(r"[^A-Za-z0-9._()-]", "_", name)
    extended = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe='')}"
    return f'attachment; filename="{plain}"{extended}'


routes: Final = [Route("/jobs/{job_id}/file", fetch, methods=["GET"])]
