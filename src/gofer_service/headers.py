"""Parsing request headers: text in, values out. Jobs and files do not appear here.

A header that does not parse is ignored where its standard says so. A bad ``Idempotency-Key`` is refused.
"""

import re
from typing import Final

from attrs import frozen

MAX_WAIT: Final = 20
"""Seconds for which a request is held at most; proxies cut requests at 60 s."""

SAMPLE_KEY: Final = "8e03978e-40d5-43dd-bc93-6894a57f9324"

_PREFERENCE: Final = re.compile(r'([\w!#$%&\'*+.^`|~-]+)\s*(?:=\s*("[^"]*"|[^\s;,"]*))?[^,]*')
_KEY: Final = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_TOKEN: Final = re.compile(r"[\w!#$%&'*+.^`|~:/-]+", re.ASCII)
_RANGE: Final = re.compile(r"(\d*)-(\d*)", re.ASCII)


@frozen
class Preferences:
    """The preferences in ``Prefer`` (RFC 7240). ``wait`` is in seconds; None if it is missing."""

    respond_async: bool
    wait: int | None


def read_prefer(header: str) -> Preferences:
    """Read ``Prefer``. The first of two equal preferences counts. ``wait`` is cut to `MAX_WAIT`."""
    asked: dict[str, str] = {}
    for name, value in _PREFERENCE.findall(header):
        asked.setdefault(name.lower(), value.strip('"'))
    wait = asked.get("wait", "")
    seconds = min(int(wait[:9]), MAX_WAIT) if wait.isascii() and wait.isdigit() else None
    return Preferences("respond-async" in asked, seconds)


def read_key(header: str) -> str:
    """Read ``Idempotency-Key``: a structured-field string (RFC 9651, 3.3.3), or the same without quotes.

    Raises:
        ValueError: the key is neither, or it is empty or longer than 255 characters.
    """
    text = header.strip()
    if quoted := _KEY.fullmatch(text):
        key = re.sub(r"\\(.)", r"\1", quoted[1])
    else:
        key = text if _TOKEN.fullmatch(text) else ""
    if not 0 < len(key) <= 255:
        raise ValueError(f'Idempotency-Key must be a string such as "{SAMPLE_KEY}"')
    return key


def wants_fresh(header: str) -> bool:
    """Tell whether ``Cache-Control`` has ``no-cache`` or ``max-age=0`` (RFC 9111, 5.2.1)."""
    directives = {directive.strip().lower() for directive in header.split(",")}
    return not directives.isdisjoint({"no-cache", "max-age=0"})


def read_tags(header: str) -> frozenset[str]:
    """Return the opaque tags of ``If-None-Match``, weak or strong (RFC 9110, 13.1.2); ``*`` gives ``*``."""
    if header.strip() == "*":
        return frozenset({"*"})
    return frozenset(re.findall(r'(?:W/)?"([^"]*)"', header))


@frozen
class Span:
    """A part of a file: ``length`` bytes from offset ``start``."""

    start: int
    length: int


class Unsatisfiable(ValueError):
    """The range is outside the file."""


def read_range(header: str | None, size: int) -> Span | None:
    """Read ``Range`` (RFC 9110, 14.2) for a file of ``size`` bytes; None means the complete file.

    Other units, several ranges and bad syntax are ignored, as the RFC allows.

    Raises:
        Unsatisfiable: the range starts after the end of the file.
    """
    unit, _, ranges = (header or "").partition("=")
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


def wants_sha256(header: str | None) -> bool:
    """Whether to send the SHA-256: always, unless ``Want-Repr-Digest`` (RFC 9530, 4) gives it the weight 0."""
    for member in reversed((header or "").split(",")):  # the last of two equal keys counts (RFC 9651, 3.2)
        key, _, value = member.partition("=")
        weight = value.partition(";")[0].strip()
        if key.strip() == "sha-256" and weight.isdecimal():
            return int(weight[:9]) > 0
    return True
