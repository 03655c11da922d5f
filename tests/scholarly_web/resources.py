"""What may stand at an address of the stand-in web: files, pages, refusals, and what breaks; all are handlers."""

import email.utils
import gzip
import itertools
import re
import threading
import time
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from io import BytesIO

import anyio
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send
from tests.support.pdfs import make_pdf

Resource = Callable[[Request], Awaitable[Response]]

TEXT = "We study errands and parcels, and who brings them to whom, on foot and by wire, in fair weather and in foul. "


def pdf_bytes(title: str = "On errands", pages: int = 1, padding: int = 0) -> bytes:
    """Make a PDF that says its title and enough text to be compared with a title that is wanted."""
    return make_pdf(f"{title}. {TEXT * 3}", pages=pages, padding=padding)


JATS = f"<?xml version='1.0'?><article><front/><body><p>{TEXT}</p></body></article>".encode()
METADATA = b"<?xml version='1.0'?><article><front><title>On errands</title></front></article>"
WALL = "<html><title>Just a moment...</title>Checking your browser</html>"
LOGIN = "<html><form>Sign in <input type='password'></form></html>"


def epub_bytes() -> bytes:
    """Make an EPUB."""
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as book:
        book.writestr("mimetype", "application/epub+zip", zipfile.ZIP_STORED)
        book.writestr("text.html", TEXT)
    return out.getvalue()


def file(content: bytes, kind: str = "application/pdf", **headers: str) -> Resource:
    """Send these bytes, under any type."""

    async def respond(_: Request) -> Response:
        return Response(content, media_type=kind, headers={name.replace("_", "-"): v for name, v in headers.items()})

    return respond


def pdf(title: str = "On errands") -> Resource:
    """Send a PDF."""
    return file(pdf_bytes(title))


def page(html: str, status: int = 200, kind: str = "text/html") -> Resource:
    """Send a web page, under any type."""

    async def respond(_: Request) -> Response:
        return HTMLResponse(html, status, media_type=kind)

    return respond


def links_to(url: str, how: str = "meta") -> Resource:
    """Send a landing page that names a file in this way."""
    head = {
        "meta": f'<meta name="citation_pdf_url" content="{url}">',
        "link": f'<link rel="alternate" type="application/pdf" href="{url}">',
        "json-ld": '<script type="application/ld+json">{"@type": "ScholarlyArticle", "encoding": '
        f'{{"@type": "MediaObject", "contentUrl": "{url}"}}}}</script>',
        "refresh": f'<meta http-equiv="Refresh" content="0; URL=\'{url}\'">',
        "nothing": "",
    }[how]
    return page(f"<!doctype html><html><head>{head}</head><body>On errands. Log in | Purchase</body></html>")


def answer(status: int, **headers: str) -> Resource:
    """Send a status and nothing else."""

    async def respond(_: Request) -> Response:
        return Response(status_code=status, headers={name.replace("_", "-"): value for name, value in headers.items()})

    return respond


def document(content: object, status: int = 200, **headers: str) -> Resource:
    """Send JSON."""

    async def respond(_: Request) -> Response:
        return JSONResponse(content, status, headers={name.replace("_", "-"): value for name, value in headers.items()})

    return respond


def redirect(url: str, status: int = 302) -> Resource:
    """Send the caller elsewhere."""

    async def respond(_: Request) -> Response:
        return RedirectResponse(url, status)

    return respond


def in_turn(*resources: Resource) -> Resource:
    """Be one after the other; the last one stays."""
    left = itertools.chain(resources[:-1], itertools.repeat(resources[-1]))

    async def respond(request: Request) -> Response:
        return await next(left)(request)

    return respond


def busy(seconds: int, then: Resource, *, date: bool = False, status: int = 429) -> Resource:
    """Ask to wait, with either form of Retry-After, and then be something else."""

    async def respond(_: Request) -> Response:
        after = email.utils.formatdate(time.time() + seconds, usegmt=True) if date else str(seconds)
        return Response(status_code=status, headers={"retry-after": after})

    return in_turn(respond, then)


def after_cookie(then: Resource) -> Resource:
    """Set a cookie and send the caller to the same place again, which refuses whoever does not bring it."""

    async def respond(request: Request) -> Response:
        if request.cookies.get("visitor") == "1":
            return await then(request)
        if "again" in request.query_params:
            return Response(status_code=403)
        reply = RedirectResponse(f"{request.url.path}?again=1")
        reply.set_cookie("visitor", "1")
        return reply

    return respond


def gzipped(content: bytes) -> Resource:
    """Send a file packed, although nobody asked for that."""
    return file(gzip.compress(content), content_encoding="gzip")


def _part(request: Request, size: int, tag: str | None) -> tuple[int, int, int, dict[str, str]]:
    """Return what a request wants of a file: status, start, end, headers. Without a tag, it has no ranges."""
    headers = {} if tag is None else {"etag": tag, "accept-ranges": "bytes"}
    wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
    if tag is None or wanted is None or request.headers.get("if-range", tag) != tag:
        return 200, 0, size, headers
    start, end = int(wanted[1]), min(size, int(wanted[2] or size) + 1)
    if start >= size:
        return 416, size, size, {**headers, "content-range": f"bytes */{size}"}
    return 206, start, end, {**headers, "content-range": f"bytes {start}-{end - 1}/{size}"}


def ranged(content: bytes, tag: str = '"one"') -> Resource:
    """Send a file, or the range of it that is asked for, if it still has the tag of If-Range."""

    async def respond(request: Request) -> Response:
        status, start, end, headers = _part(request, len(content), tag)
        return Response(content[start:end], status, headers, "application/pdf")

    return respond


class _Cut(Response):
    """A reply that names more bytes than it has: uvicorn closes the connection after those."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})


def cut(content: bytes, at: int, *, ranges: bool = True, whole: bool = True) -> Resource:
    """Break off after some bytes at the first request; then send all of it, or the range that is asked for.

    With ``whole`` false, every request breaks off there.
    """
    tag, cuts = '"one"' if ranges else None, iter([True] if whole else itertools.repeat(True))

    async def respond(request: Request) -> Response:
        status, start, end, headers = _part(request, len(content), tag)
        if not next(cuts, False):
            return Response(content[start:end], status, headers, "application/pdf")
        headers["content-length"] = str(end - start)
        return _Cut(content[start : min(end, start + at)], status, headers, "application/pdf")

    return respond


def stream(chunk: bytes, every: float = 0.0) -> Resource:
    """Send this chunk again and again, without end."""

    async def respond(_: Request) -> Response:
        async def chunks() -> AsyncIterator[bytes]:
            while True:
                yield chunk
                await anyio.sleep(every)

        return StreamingResponse(chunks(), media_type="application/pdf")

    return respond


def when(event: threading.Event, then: Resource) -> Resource:
    """Answer once the event is set, to a caller who is still there."""

    async def respond(request: Request) -> Response:
        while not event.is_set():
            if await request.is_disconnected():
                return Response()
            await anyio.sleep(0.005)
        return await then(request)

    return respond


def slowly(content: bytes, go_on: threading.Event, first: int) -> Resource:
    """Send the first bytes, and the others once the event is set."""

    async def respond(_: Request) -> Response:
        async def chunks() -> AsyncIterator[bytes]:
            yield content[:first]
            while not go_on.is_set():
                await anyio.sleep(0.005)
            yield content[first:]

        return StreamingResponse(chunks(), headers={"content-length": str(len(content))}, media_type="application/pdf")

    return respond
