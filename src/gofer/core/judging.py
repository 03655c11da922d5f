"""What any HTTP reply means, whatever the service: documents, refusals, Retry-After, redirects, ranges.

Pure functions over heads and replies; the sections of the standards are named where they are followed.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin

from attrs import evolve, frozen

from gofer import errors
from gofer.contracts.payload import Problem
from gofer.wire import Head, Reply, Request, origin, shown

UNSUPPORTED = frozenset({501, 505})
"""Codes of the class 5xx that say what the service cannot do, now or later (RFC 9110, sections 15.6.2 and 15.6.6)."""

REDIRECTS = frozenset({301, 302, 303, 307, 308})

_KINDS: Mapping[int, type[errors.ServiceError]] = {
    401: errors.Unauthorized,
    403: errors.Unauthorized,
    404: errors.NotFound,
    405: errors.NotSupported,
    410: errors.Expired,
    429: errors.RateLimited,
    501: errors.NotSupported,
    505: errors.NotSupported,
}

_ADVICE: Mapping[type[errors.ServiceError], str] = {
    errors.NotFound: "Is the service's address right, and the job's id?",
    errors.Unauthorized: "Pass auth= with a token that may do this.",
    errors.RateLimited: "Wait, or send fewer at a time.",
    errors.NotSupported: "This service does not offer that; is its address right?",
    errors.NotReady: "Wait for the job to complete first.",
}


def as_document(reply: Reply, cap: int) -> Reply:
    """Return a small reply that may be read as a document: one that came as gzip unasked is unpacked within `cap`.

    A refusal counts by its status, so its body may have any length and encoding. Another encoding is a transient
    failure, since the next reply may come without it, as is a web page.

    Raises:
        BadReply: the reply is no refusal, and has more than `cap` bytes or is in an encoding that is not read.
    """
    coding = encoding_of(reply)
    if coding == "gzip":
        reply = _unpacked(reply, cap)
        coding = encoding_of(reply)
    if reply.cut and reply.status < 400:
        raise errors.BadReply(f"The service's answer is larger than {cap} bytes.", field="$")
    if coding and 200 <= reply.status < 300:
        raise errors.BadReply(f"The service answered {reply.status} encoded as {coding}, though asked for identity.")
    return reply


def _unpacked(reply: Reply, cap: int) -> Reply:
    """Unpack gzip, `cap` bytes of it at most; return the reply as it is where the body is no complete gzip.

    A body that does not begin as gzip is only labelled so: something on the way has unpacked it.
    """
    body, cut = reply.body, reply.cut
    if body.startswith(b"\x1f\x8b"):
        stream = zlib.decompressobj(wbits=31)
        try:
            body = stream.decompress(body, cap + 1)
        except zlib.error:
            return reply
        cut = cut or len(body) > cap
        if not cut and (not stream.eof or stream.unused_data):
            return reply
    headers = {name: text for name, text in reply.headers.items() if name not in ("content-encoding", "content-length")}
    return evolve(reply, headers=headers, body=body[:cap], cut=cut)


def is_transient_code(status: int, *, asked_to_wait: bool) -> bool:
    """Tell whether a refusal of this status may be over later, so that what is safe to repeat is sent again.

    An unknown 5xx counts as 500 (RFC 9110, section 15). Some services limit their callers with 400 or 403; that they do
    shows in `Retry-After`, which `asked_to_wait` says was there.
    """
    if status >= 500:
        return status not in UNSUPPORTED
    return status in (408, 421, 425, 429) or (status in (400, 403) and asked_to_wait)


def refusal(
    head: Head, problem: Problem, wall: float, kind: type[errors.ServiceError] | None = None
) -> errors.ServiceError:
    """Make the error for a reply that is no success; `wall` is the time of the reply, for Retry-After's date form."""
    if kind is None:
        kind = _KINDS.get(head.status, errors.Unavailable if head.status >= 500 else errors.Rejected)
    detail = f": {problem.detail.removesuffix('.')}" if problem.detail else ""
    code = f" {problem.error_code}" if problem.error_code else ""
    advice = f" {_ADVICE[kind]}" if kind in _ADVICE else ""
    return kind(
        f"{shown(head.url)} answered {head.status}{code}{detail}.{advice}",
        status_code=head.status,
        error_code=problem.error_code,
        detail=problem.detail,
        retry_after=retry_after(head, wall),
    )


def retry_after(head: Head, wall: float) -> float | None:
    """Read Retry-After in both forms as seconds from now, never below 0 (RFC 9110, section 10.2.3); None if absent.

    Servers send decimals too, although the standard has whole seconds only.

    A date is compared with the reply's own Date where there is one, so that a wrong clock on either side does no harm.
    """
    text = head.headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,10}(\.[0-9]{0,20})?", text):
        return float(text)
    due = http_date(text)
    if due is None:
        return None
    sent = http_date(head.headers.get("date", ""))
    return max(0.0, due - (wall if sent is None else sent))


_LONGEST_DATE = 100  # characters; the standard's forms have 33 at most


def http_date(text: str) -> float | None:
    """Read an HTTP date as Unix time (RFC 9110, section 5.6.7); None for anything else."""
    if len(text) > _LONGEST_DATE:
        return None
    try:
        parsed = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


def redirected(request: Request, head: Head, *, downgrade: bool = False) -> Request | None:
    """Return the request that a redirect asks for, or None if the reply is none (RFC 9110, section 15.4).

    A GET stays a GET. A POST is sent again only by 307 and 308 and only on its own origin; 303 turns it into a GET.
    `downgrade` says that a redirect may lead from https to http.

    Raises:
        Rejected: no usable Location, from https to http, or a redirect that would send the submission elsewhere.
    """
    location = head.headers.get("location")
    if head.status not in REDIRECTS or (location is None and head.status == 303):
        return None
    if not location:
        raise _misdirected(head, f"The service answered {head.status} without a Location.")
    try:
        url = urljoin(request.url, location)
        there = origin(url)
    except ValueError as error:  # UsageError is one
        raise _misdirected(head, "The service redirects to something that is no http(s) URL.") from error
    here = origin(request.url)
    if here[0] == "https" and there[0] != "https" and not downgrade:
        raise _misdirected(head, "The service redirects from https to http; refused.")
    if request.method in ("GET", "HEAD"):
        return evolve(request, url=url)
    if head.status == 303:
        kept = {name: value for name, value in request.headers.items() if name == "accept"}
        return evolve(request, method="GET", url=url, headers=kept, body=b"")
    if head.status in (307, 308) and here == there:
        return evolve(request, url=url)
    raise _misdirected(
        head, f"The service redirects a {request.method} with {head.status} to {there[1]}; use that address instead."
    )


def _misdirected(head: Head, why: str) -> errors.Rejected:
    return errors.Rejected(why, status_code=head.status)


# --- files ---


@frozen
class Span:
    """A Content-Range, read: the first and last byte, and the size of the complete file; None where it is not named."""

    first: int | None
    last: int | None
    total: int | None


def content_range(head: Head) -> Span | None:
    """Read Content-Range in bytes (RFC 9110, section 14.4); None if it is absent or malformed."""
    match = re.fullmatch(
        r"bytes (?:([0-9]{1,18})-([0-9]{1,18})|\*)/([0-9]{1,18}|\*)", head.headers.get("content-range", "").strip()
    )
    if match is None:
        return None
    first, last, total = match.groups()
    return Span(
        None if first is None else int(first), None if last is None else int(last), None if total == "*" else int(total)
    )


def content_length(head: Head) -> int | None:
    """Read Content-Length (RFC 9110, section 8.6); None if it is absent or malformed."""
    text = head.headers.get("content-length", "")
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


_NO_CODINGS = frozenset(
    {"", "identity", "none", "binary", "7bit", "8bit", "utf-8", "utf8", "us-ascii", "iso-8859-1", "aws-chunked"}
)
"""What servers write into Content-Encoding although it is no coding of the bytes."""

_ENDINGS: Mapping[str, tuple[str, ...]] = {
    "gzip": (".gz", ".tgz", ".gzip", ".svgz"),
    "compress": (".z",),
    "bzip2": (".bz2", ".tbz", ".tbz2"),
    "xz": (".xz", ".txz"),
    "zstd": (".zst", ".tzst"),
    "br": (".br",),
}
"""The endings of files whose bytes are in a coding, whatever is asked for."""


def encoding_of(head: Head) -> str:
    """Return the Content-Encoding that a body is in (RFC 9110, section 8.4); "" where it is as it is."""
    codings = head.headers.get("content-encoding", "").lower().split(",")
    return ", ".join(name.removeprefix("x-") for name in map(str.strip, codings) if name not in _NO_CODINGS)


def is_stored_in(coding: str, kind: str, names: Iterable[str]) -> bool:
    """Tell whether a file of this media type or one of these names is in this coding by itself, as `table.csv.gz`."""
    by_name = any(name.lower().endswith(_ENDINGS.get(coding, ())) for name in names)
    return by_name or kind in (f"application/{coding}", f"application/x-{coding}")
