"""What a job has come to: its value and its files, read out of a result document, or the answer itself as a file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

from attrs import evolve

from gofer.contracts.base import Ref, Snapshot
from gofer.contracts.declared.calls import Calls
from gofer.contracts.declared.declaration import Files, Result
from gofer.contracts.declared.media import is_data
from gofer.contracts.declared.refusals import raise_refusal
from gofer.contracts.declared.selectors import MISSING, Places, Reading, Selector, first, first_text, text_of
from gofer.contracts.declared.urls import last_part
from gofer.contracts.payload import as_list, as_map
from gofer.models import ResultFile, State, Status
from gofer.wire import Head, Reply, Request

_FILENAME = (
    Selector.parse("header:content-disposition ~ (?i)filename\\*=utf-8'[^']*'([^;\\s]+)"),
    Selector.parse('header:content-disposition ~ (?i)filename="?([^";]+)'),
)
"""The two forms of a file name in Content-Disposition (RFC 6266), the encoded one first."""


def is_document(result: Result, head: Head) -> bool:
    """Tell whether the answer to a result request is a document: because something is read out of it, or by type."""
    if result.file:
        return False
    kind = head.media_type
    return result.asks or not kind or is_data(head) or (bool(result.value) and kind.startswith("text/"))


def with_result(calls: Calls, base: str, result: Result, snapshot: Snapshot[Any], reading: Reading) -> Snapshot[Any]:
    """Read value and files into a succeeded job's snapshot, or that the job has failed after all.

    Raises:
        Rejected: the document is a refusal in spite of its status.
        BadReply: something that must be there is not.
    """
    reply = reading.reply
    if reply.body and (reading.unread or not is_document(result, reply)):
        return evolve(snapshot, value=None, files=(file_of_body(reply),))
    failure = first(result.failed, reading)
    if failure is not MISSING:
        error, code = first_text(result.error, reading), first_text(result.code, reading)
        error = text_of(failure) if error is None else error
        failed = Status(str(snapshot.status), State.FAILED, error=error, error_code=code)
        return evolve(snapshot, status=failed, files=files_in(calls, base, result, snapshot.ref, reading))
    raise_refusal(calls.declaration, reading)

    def found(places: Places, *key: str) -> Any:
        value = first(places, reading) if places else reading.document
        if value is MISSING and places and not any(place.text == "none:" for place in places):
            raise calls.declaration.no_result("nothing was found in the answer", "result", *key)
        return value

    value = found(result.value, "value")
    files: tuple[ResultFile, ...] = ()
    if result.files is not None:
        top = found(result.files.under, "files", "under")
        files = tuple(_files(calls, base, snapshot.ref, result.files, top, reply.url))
        may_be_none = any(place.text == "none:" for place in result.files.under)
        if not (files or result.value or may_be_none):
            raise calls.declaration.no_result("its document names no file", "result", "files")
    return evolve(
        snapshot,
        value=None if value is MISSING else value,
        files=files,
        document_file=file_of_body(reply) if reply.body and not result.value else None,
    )


def files_in(calls: Calls, base: str, result: Result, ref: Ref, reading: Reading) -> tuple[ResultFile, ...]:
    """Find the files in a document of a job that has not succeeded, which need not have any."""
    if result.files is None:
        return ()
    top = first(result.files.under, reading) if result.files.under else reading.document
    return () if top is MISSING else tuple(_files(calls, base, ref, result.files, top, reading.reply.url))


def _files(calls: Calls, base: str, ref: Ref, places: Files, top: Any, url: str) -> Iterator[ResultFile]:
    """Find the files under `top`, in a document that came from `url`."""

    def file_of(value: Any, key: str) -> ResultFile | None:
        entry = Reading.over(value, url)
        is_link = isinstance(value, str) and (places.link is not None or "://" in value)
        if is_link and (value is top or not places.url):
            name: str | None = value  # the place is the link itself, or holds links and nothing else
        else:
            name = first_text(places.url, entry)
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
        body=request.body,
        linked=False,
    )


def _filename(head: Head) -> str | None:
    name = first_text(_FILENAME, Reading(Reply(head.url, head.status, head.headers)))
    return unquote(name) if name else None


def _count(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch("[0-9]{1,18}", text) else None
