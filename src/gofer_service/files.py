"""The route that streams the file of a finished job, or a part of it.

Ranges follow RFC 9110 (13.1.5 and 14), digests RFC 9530, the file name RFC 6266 and RFC 8187.
"""

import base64
import re
from typing import Final
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gofer_service.engine import Clock, Engine, Job, Result, Status
from gofer_service.headers import Span, Unsatisfiable, read_range, read_tags, wants_sha256
from gofer_service.holding import while_connected
from gofer_service.jobs import or_404, path_id
from gofer_service.store import Store

MEDIA_TYPES: Final = {
    "pdf": "application/pdf",
    "epub": "application/epub+zip",
    "xml": "application/xml",
    "html": "text/html",
}
"""The formats of files, each with its media type."""

MAX_NAME: Final = 150
"""Characters of a DOI that go into a file name; file systems take 255 bytes."""


async def fetch(request: Request) -> Response:
    """GET /jobs/{job_id}/file: the file (200), a part of it (206), or 304, 404, 409, 410 or 416."""
    engine: Engine = request.app.state.engine
    job = or_404(request, await engine.get(path_id(request)))
    result = _result(job, request.app.state.clock)
    tag = f'"{result.sha256[:32]}"'
    headers = _describe(job, result, tag)
    if wants_sha256(request.headers.get("want-repr-digest")):
        headers["Repr-Digest"] = f"sha-256=:{base64.b64encode(bytes.fromhex(result.sha256)).decode()}:"
    tags = read_tags(request.headers.get("if-none-match", ""))
    if "*" in tags or tag.strip('"') in tags:
        return Response(status_code=304, headers={"ETag": tag})
    part = _wanted_span(request, result, tag)
    span = part or Span(0, result.size)
    headers["Content-Length"] = str(span.length)
    if part:
        headers["Content-Range"] = f"bytes {part.start}-{part.start + part.length - 1}/{result.size}"
    return _Stream(request.app.state.store, result.key, span, 206 if part else 200, headers)


class _Stream(Response):
    """Sends a span of a stored file. The file is closed also when the caller disconnects."""

    def __init__(self, store: Store, key: str, span: Span, status: int, headers: dict[str, str]) -> None:
        super().__init__(status_code=status, headers=headers)
        self._store = store
        self._key = key
        self._span = span

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Open the file before the reply starts, so that a deleted file can still be answered 410."""
        start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        try:
            opened = self._store.read(self._key, self._span.start, self._span.length)
            async with opened as chunks:
                await send(start)
                if scope["method"] != "HEAD":

                    async def stream() -> None:
                        async for chunk in chunks:
                            await send({"type": "http.response.body", "body": chunk, "more_body": True})

                    await while_connected(receive, stream)
        except FileNotFoundError:
            raise _expired() from None
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _expired() -> HTTPException:
    return HTTPException(410, "the file is no longer kept")


def _result(job: Job, clock: Clock) -> Result:
    if job.status is not Status.COMPLETED or job.result is None:
        raise HTTPException(409, f"the job is {job.status.value}; there is no file")
    if job.expires is not None and job.expires <= clock():
        raise _expired()
    return job.result


def _wanted_span(request: Request, result: Result, tag: str) -> Span | None:
    """Return the requested part, or None for the complete file. A range only counts for a GET of the same file."""
    condition = request.headers.get("if-range")
    if request.method != "GET" or (condition is not None and condition.strip() != tag):
        return None
    try:
        return read_range(request.headers.get("range"), result.size)
    except Unsatisfiable:
        headers = {"Content-Range": f"bytes */{result.size}", "ETag": tag}
        raise HTTPException(416, f"the range lies outside the file's {result.size} bytes", headers) from None


def _describe(job: Job, result: Result, tag: str) -> dict[str, str]:
    return {
        "Content-Type": MEDIA_TYPES[result.format],
        "Content-Disposition": _disposition(f"{job.submission.doi[:MAX_NAME]}.{result.format}"),
        "Accept-Ranges": "bytes",
        "ETag": tag,
        "Cache-Control": "private, no-cache",
        # A browser must not run a saved page as a page of this service.
        "X-Content-Type-Options": "nosniff",
    }


def _disposition(name: str) -> str:
    """Offer a file name: in the plain form for old clients, and in the extended form (RFC 8187) if it differs."""
    name = name.replace("/", "_")
    plain = re.sub(r"[^A-Za-z0-9._()-]", "_", name)
    extended = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe='')}"
    return f'attachment; filename="{plain}"{extended}'


routes: Final = [Route("/jobs/{job_id}/file", fetch, methods=["GET"])]
