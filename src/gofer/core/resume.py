"""Whether a part file may be continued, and how. Pure: the transfer itself is `download.py`'s.

A part is found by where its bytes came from (method, origin and path, not a signature in the query) and by what the
reply said of the file's version. There are two ways to continue it:

- with a strong validator (an entity tag, or a date by RFC 9110, section 8.8.2.2): If-Range makes the service send the
  complete file if it has changed, so not a byte is sent twice;
- with a weak one, or a digest of the complete file: the request starts some bytes before the end of the part. The reply
  must show the same version, and these bytes are compared before one is added.
"""

from __future__ import annotations

import hashlib
import re

from attrs import frozen

from gofer.core.commands import Mark, Part
from gofer.core.digests import digest_of
from gofer.core.judging import content_length, content_range, encoding_of, http_date
from gofer.wire import Head, Request

OVERLAP = 4096
"""Bytes of a part that are sent again and compared, where no strong validator proves that the file is the same."""


@frozen
class Resume:
    """A part that may be continued: from byte `start` on, and If-Range `condition`; None for a comparison."""

    part: Part
    start: int
    condition: str | None


def mark_of(request: Request, head: Head) -> Mark:
    """Make the note for a file whose first byte comes with this reply."""
    source, query = _place(request)
    etag, modified, coding = _version(head)
    return Mark(
        source,
        etag or None,
        content_length(head),
        digest_of(head),
        modified=modified or None,
        dated=_is_dated(head),
        query=query,
        coding=coding,
        kind=head.media_type,
    )


def resume_of(request: Request, part: Part | None) -> Resume | None:
    """Return how this request may continue a part; None where it starts over."""
    if part is None or part.size == 0:
        return None
    mark, (source, query) = part.mark, _place(request)
    if mark.source != source:
        return None
    condition = _condition(mark, query)
    if condition is not None:
        return Resume(part, part.size, condition)
    start = part.size - OVERLAP
    comparable = mark.etag is not None or mark.modified is not None or mark.digest is not None
    return Resume(part, start, None) if comparable and start > 0 else None


def ranged(request: Request, resume: Resume | None) -> Request:
    """Ask for the rest of a part only."""
    if resume is None:
        return request
    condition = {} if resume.condition is None else {"if-range": resume.condition}
    return request.with_headers({"range": f"bytes={resume.start}-", **condition})


def continues(head: Head, resume: Resume) -> int | None:
    """Return the size of the complete file if a 206 or 416 continues the part to the byte; else None."""
    part, span = resume.part, content_range(head)
    if span is None:
        return None
    total = part.mark.total if span.total is None and resume.condition is not None else span.total
    if total is None or part.mark.total not in (None, total) or not _same_version(head, resume):
        return None
    if head.status == 416:
        return total if resume.condition is not None and part.size == total else None
    return total if span.first == resume.start and part.size <= total else None


def is_complete(new: Mark, resume: Resume) -> bool:
    """Tell whether a 200 would send once more what is here complete, as servers without ranges do."""
    old = resume.part.mark
    proved = resume.condition is not None or (new.digest is not None and new.digest == old.digest)
    return proved and _noted(new) == _noted(old) and resume.part.size == old.total == new.total


def _place(request: Request) -> tuple[str, str]:
    """Return hashes of where a file is, and of the query, which may be a signature."""
    place, _, query = request.url.partition("?")
    method = "" if request.method == "GET" else f"{request.method} "
    body = request.body if isinstance(request.body, bytes) else b""  # only a submission has files
    return _hash(f"{method}{place}".encode() + body), _hash(query.encode()) if query else ""


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _is_dated(head: Head) -> bool:
    """Tell whether Last-Modified is a strong validator: the file was a second old at least (RFC 9110, 8.8.2.2)."""
    modified, sent = (http_date(head.headers.get(name, "")) for name in ("last-modified", "date"))
    return modified is not None and sent is not None and sent - modified >= 1


def _condition(mark: Mark, query: str) -> str | None:
    """Return what If-Range can say: a strong tag, or a strong date where there is no tag (RFC 9110, 13.1.5).

    A tag that is not ASCII cannot be sent back as it came. Two files of one second have the same date, so another query
    than the noted one asks for a comparison.
    """
    if mark.etag is not None:
        return mark.etag if re.fullmatch(r'"[ !#-~]*"', mark.etag) else None
    if mark.dated and query == mark.query and re.fullmatch(r"[A-Za-z0-9,: ]{29}", mark.modified or ""):
        return mark.modified
    return None


def _version(head: Head) -> tuple[str, str, str]:
    """Return what a reply shows of the file's version: its tag, its date and its encoding; "" for what is missing."""
    return head.headers.get("etag", "").strip(), head.headers.get("last-modified", "").strip(), encoding_of(head)


def _noted(mark: Mark) -> tuple[str, str, str]:
    return mark.etag or "", mark.modified or "", mark.coding


def _same_version(head: Head, resume: Resume) -> bool:
    """Compare what a reply shows of the file's version with what was noted.

    After If-Range a reply need not repeat it (RFC 9110, section 15.3.7), so it may show nothing, but nothing else.
    """
    mark = resume.part.mark
    for new, old in zip(_version(head), _noted(mark), strict=True):
        if new.removeprefix("W/") != old.removeprefix("W/") and (new or resume.condition is None):
            return False
    named = digest_of(head) if head.status == 206 else None
    other = named is not None and mark.digest is not None and named.algorithm == mark.digest.algorithm
    return not other or named == mark.digest
