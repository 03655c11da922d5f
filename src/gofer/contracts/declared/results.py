"""What a job has come to: its value and its files, read out of result documents, or the answer itself as a file."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

from attrs import evolve

from gofer.contracts.base import MOST_PAGES, Ref, Snapshot
from gofer.contracts.declared.calls import Calls
from gofer.contracts.declared.media import is_data, is_multipart
from gofer.contracts.declared.parts import Files, Result
from gofer.contracts.declared.refusals import raise_refusal
from gofer.contracts.declared.selectors import MISSING, Places, Reading, Selector, first, first_text, text_of
from gofer.contracts.declared.streams import decoded, parts_of
from gofer.contracts.declared.urls import last_part
from gofer.contracts.payload import as_list, as_map
from gofer.errors import BadReply
from gofer.models import ResultFile, State, Status
from gofer.wire import Head, Reply, Request

_FILENAME = (
    Selector.parse("header:content-disposition ~ (?i)filename\\*=utf-8'[^']*'([^;\\s]+)"),
    Selector.parse('header:content-disposition ~ (?i)filename="?([^";]+)'),
)
"""The two forms of a file name in Content-Disposition (RFC 6266), the encoded one first."""

_NEXT = Selector.parse('header:link ~ <([^<>]*)>[^<]*?;\\s*rel="?next(?=[";,\\s]|$)')
"""The link to the next page that any document may have (RFC 8288)."""

_SIGNS = tuple(
    map(
        Selector.parse,
        (
            "/next",
            "/nextLink",
            "/@odata.nextLink",
            "/next_page",
            "/next_url",
            "/nextPageToken",
            "/next_page_token",
            "/next_cursor",
            "/links/next",
            "/links/[rel=next]/href",
            "/_links/next/href",
            "/has_more ~ ^true$",
        ),
    )
)
"""Where documents say that there are more pages, in words that no standard has."""

_log = logging.getLogger("gofer")


def is_document(result: Result, head: Head) -> bool:
    """Tell whether the answer to a result request is a document: because something is read out of it, or by type."""
    if result.file:
        return False
    kind = head.media_type
    is_text = bool(result.value) and kind.startswith("text/")
    return result.asks or not kind or is_data(head) or is_multipart(head) or is_text


def with_result(calls: Calls, base: str, result: Result, snapshot: Snapshot[Any], reading: Reading) -> Snapshot[Any]:
    """Read value and files into a succeeded job's snapshot, or that the job has failed after all.

    Raises:
        Rejected: the document is a refusal in spite of its status.
        BadReply: something that must be there is not.
    """
    reply = reading.reply
    if reply.body and (reading.unread or not is_document(result, reply)):
        return evolve(snapshot, value=None, files=(file_of_body(reply),))
    if reply.body and is_multipart(reply) and not result.asks:
        return evolve(snapshot, value=None, files=parts_of(reply))
    failure = first(result.failed, reading)
    if failure is not MISSING:
        error, code = first_text(result.error, reading), first_text(result.code, reading)
        error = text_of(failure) if error is None else error
        failed = Status(str(snapshot.status), State.FAILED, error=error, error_code=code)
        files: tuple[ResultFile, ...] = ()
        with contextlib.suppress(BadReply):  # the job has failed all the same
            files = files_in(calls, base, result, snapshot.ref, reading)
        return evolve(snapshot, status=failed, files=files, more=())
    raise_refusal(calls.declaration, "result", reading)

    def found(places: Places, *key: str) -> Any:
        value = first(places, reading) if places else reading.document
        if value is MISSING and places and not any(place.text == "none:" for place in places):
            shown = f"nothing was found in the answer, which has {reading.contents}"
            raise calls.declaration.no_result(shown, "result", *key)
        return value

    value = found(result.value, "value")
    tops = [found(places.under, "files", "under") for places in result.files]
    files = _all_files(calls, base, result, snapshot.ref, tops, reply.url)
    may_be_none = any(place.text == "none:" for places in result.files for place in places.under)
    if result.files and not (files or result.value or may_be_none):
        raise calls.declaration.no_result("its document names no file", "result", "files")
    read = evolve(
        snapshot,
        value=None if value is MISSING else value,
        files=files,
        document_file=file_of_body(reply) if reply.body and not result.value else None,
    )
    return _with_pages(calls, base, result, snapshot, read, reading)


def _with_pages(
    calls: Calls, base: str, result: Result, before: Snapshot[Any], page: Snapshot[Any], reading: Reading
) -> Snapshot[Any]:
    """Add a page to those before it, and say which requests bring the others.

    Raises:
        BadReply: the pages have no list as their value, or are too many.
    """
    ref, url, more = page.ref, reading.reply.url, before.more[1:]
    is_list = bool(result.value) and as_list(page.value) is not None
    link = _next(calls, result, reading) if result.next else first_text(() if result.pages else (_NEXT,), reading)
    if link and (result.next or is_list or page.files):
        more = (*more, calls.build_page(base, ref, result, link, url, declared=bool(result.next)))
    elif result.pages and not before.more:
        numbers = range(result.first + 1, result.first + _pages(calls, result, reading))
        if len(numbers) > MOST_PAGES:
            raise calls.declaration.bad_reply(f"the result has {len(numbers)} pages.", "result", "pages")
        more = tuple(calls.build_page(base, ref, result, str(number), url, declared=True) for number in numbers)
    elif link or (not result.next and (is_list or page.files) and first(_SIGNS, reading) is not MISSING):
        _log.warning(
            "The result has more pages, of which gofer has the first: declare where the next one is, as "
            "`next` in [result], and `value` or `files`."
        )
    if not (more or before.more):
        return page
    rows = as_list(page.value) if result.value else None
    if result.value and rows is None:
        raise calls.declaration.bad_reply("the value of a result with several pages is a list.", "result", "value")
    files = (*before.files, *page.files) if before.more else page.files
    rows = [*before.value, *rows] if before.more and rows is not None else rows
    return evolve(page, value=rows, files=files, document_file=None, more=more)


def _next(calls: Calls, result: Result, reading: Reading) -> str | None:
    """Return what `next` finds: a token or an address; None after the last page."""
    found = first(result.next, reading)
    if found is MISSING or found in (False, 0, ""):
        return None
    text = text_of(found)
    if text is None:
        raise calls.declaration.bad_reply("the next page is no text.", "result", "next")
    return text


def _pages(calls: Calls, result: Result, reading: Reading) -> int:
    """Return how many pages there are; one where nothing says so."""
    found = first(result.pages, reading)
    many, count = as_list(found), _count(text_of(found))
    if found is not MISSING and many is None and count is None:
        raise calls.declaration.bad_reply("the number of pages is no whole number.", "result", "pages")
    return max(1, len(many) if many is not None else count or 1)


def files_in(calls: Calls, base: str, result: Result, ref: Ref, reading: Reading) -> tuple[ResultFile, ...]:
    """Find the files in a document of a job that has not succeeded, which need not have any."""
    tops = [first(places.under, reading) if places.under else reading.document for places in result.files]
    return _all_files(calls, base, result, ref, tops, reading.reply.url)


def _all_files(calls: Calls, base: str, result: Result, ref: Ref, tops: list[Any], url: str) -> tuple[ResultFile, ...]:
    """Find the files of every list that a result has, each under its top."""
    pairs = zip(result.files, tops, strict=True)
    return tuple(file for places, top in pairs for file in _files(calls, base, ref, places, top, url))


def _files(calls: Calls, base: str, ref: Ref, places: Files, top: Any, url: str) -> Iterator[ResultFile]:
    """Find the files under `top`, in a document that came from `url`."""

    def file_of(value: Any, key: str) -> ResultFile | None:
        entry = Reading.over(value, url)
        is_link = isinstance(value, str) and (places.link is not None or "://" in value)
        if is_link and (value is top or not places.url):
            name: str | None = value  # the place is the link itself, or holds links and nothing else
        else:
            name = first_text(places.url, entry)
        inline, text = first_text(places.base64, entry), first_text(places.text, entry)
        if inline or text or (not name and (inline is not None or text is not None)):
            content = (text or "").encode("utf-8", "replace") if inline is None else decoded(inline)
            named = first_text(places.name, entry) or key or "file"
            return ResultFile(named, size=len(content), format=first_text(places.format, entry), content=content)
        address = calls.file_address(base, ref, places, name, url) if name else None
        if name is None or address is None:
            return None
        return ResultFile(
            first_text(places.name, entry) or key or (last_part(address) if places.link is None else name) or "file",
            address,
            size=_count(first_text(places.size, entry)),
            format=first_text(places.format, entry),
        )

    return iter(()) if top is MISSING else _topmost(top, file_of, places.depth)


def _topmost(
    value: Any, file_of: Callable[[Any, str], ResultFile | None], depth: int, key: str = ""
) -> Iterator[ResultFile]:
    """Walk a document `depth` levels down; yield the files that the topmost parts are, by themselves and their key."""
    file = file_of(value, key)
    if file is not None:
        yield file
    elif depth > 0:
        for name, inner in (as_map(value) or {}).items():
            yield from _topmost(inner, file_of, depth - 1, name)
        for inner in as_list(value) or ():
            yield from _topmost(inner, file_of, depth - 1, key)


def file_of_body(reply: Reply) -> ResultFile:
    """Make a file of a body that is in memory already."""
    return ResultFile(
        _filename(reply) or "result", size=len(reply.body), format=reply.media_type or None, content=reply.body
    )


def file_at(request: Request, head: Head) -> ResultFile:
    """Make the file that the answer to this request is."""
    encoded = head.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity")
    return ResultFile(
        _filename(head) or last_part(request.url) or "file",
        request.url,
        size=None if encoded else _count(head.headers.get("content-length")),
        format=head.media_type or None,
        method=request.method,
        headers=request.headers,
        body=request.body if isinstance(request.body, bytes) else b"",  # only a submission has files
        linked=False,
    )


def _filename(head: Head) -> str | None:
    name = first_text(_FILENAME, Reading(Reply(head.url, head.status, head.headers)))
    return unquote(name) if name else None


def _count(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch("[0-9]{1,18}", text) else None
