"""Reading request header fields: text in, values out. Nothing here knows jobs or files.

A field that does not parse is as good as absent where its standard says so; a bad ``Idempotency-Key`` is the caller's
error and is refused.
"""

import re
from typing import Final

from attrs import frozen

MAX_WAIT: Final = 20
"""Seconds a request is held at most; proxies cut at 60."""

_PREFERENCE: Final = re.compile(r'([\w!#$%&\'*+.^`|~-]+)\s*(?:=\s*("[^"]*"|[^\s;,"]*))?[^,]*')
_KEY: Final = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_BARE_KEY: Final = re.compile(r"[\w!#$%&'*+.^`|~:/-]+", re.ASCII)
_RANGE: Final = re.compile(r"(\d*)-(\d*)", re.ASCII)


@frozen
class Preferences:
    """What ``Prefer`` asks for (RFC 7240): ``wait`` in seconds, None when not asked."""

    respond_async: bool
    wait: int | None


def read_prefer(field: str) -> Preferences:
    """Read ``Prefer``; the first of two equal preferences counts, and ``wait`` is cut to `MAX_WAIT`."""
    asked: dict[str, str] = {}
    for name, value in _PREFERENCE.findall(field):
        asked.setdefault(name.lower(), value.strip('"'))
    wait = asked.get("wait", "")
    seconds = min(int(wait[:9]), MAX_WAIT) if wait.isascii() and wait.isdigit() else None
    return Preferences("respond-async" in asked, seconds)


def read_key(field: str) -> str:
    """Read ``Idempotency-Key``: a structured-field string (RFC 9651, 3.3.3), or the same without quotes.

    Raises:
        ValueError: it is neither, empty, or longer than 255 characters.
    """
    text = field.strip()
    if quoted := _KEY.fullmatch(text):
        key = re.sub(r"\\(.)", r"\1", quoted[1])
    else:
        key = text if _BARE_KEY.fullmatch(text) else ""
    if not 0 < len(key) <= 255:
        raise ValueError('Idempotency-Key must be a string such as "8e03978e-40d5-43dd-bc93-6894a57f9324"')
    return key


def read_tags(field: str) -> frozenset[str]:
    """Give the opaque tags of ``If-None-Match``, weak or strong (RFC 9110, 13.1.2); ``*`` gives ``*``."""
    if field.strip() == "*":
        return frozenset({"*"})
    return frozenset(re.findall(r'(?:W/)?"([^"]*)"', field))


@frozen
class Span:
    """A part of a file: ``length`` bytes from offset ``start``."""

    start: int
    length: int


class Unsatisfiable(ValueError):
    """The range lies outside the file."""


def read_range(field: str | None, size: int) -> Span | None:
    """Read ``Range`` (RFC 9110, 14.2) for a file of ``size`` bytes; None means the whole.

    Other units, several ranges and bad syntax are ignored, as the RFC allows.

    Raises:
        Unsatisfiable: the range starts behind the end.
    """
    unit, _, ranges = (field or "").partition("=")
    match = _RANGE.fullmatch(ranges.strip())
    if unit.strip().lower() != "bytes" or match is None or len(ranges) > 100:
        return None
    first, last = match.groups()
    if not first:
        if not last:
            return None
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1 if last else size)
        if last and int(last) < start:
            return None
    if start >= size or (not first and int(last) == 0):
        raise Unsatisfiable
    return Span(start, end - start)


def wants_sha256(field: str | None) -> bool:
    """Whether ``Want-Repr-Digest`` (RFC 9530, 4) leaves SHA-256 welcome: it does unless it gives it weight 0."""
    weights = dict(re.findall(r"([a-z0-9-]+)\s*=\s*(\d+)", field or ""))
    return int(weights.get("sha-256", "1")[:9]) > 0
