"""Replies that somebody has recorded: from what `curl -i` prints to a `Reply`."""

from __future__ import annotations

import re

from gofer.errors import UsageError
from gofer.wire import Reply

_STATUS = re.compile(rb"HTTP/[\d.]+ +(\d{3})[^\r\n]*\r?\n")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_BLANK = re.compile(rb"\r?\n\r?\n")


def recorded(raw: bytes, url: str, name: str) -> Reply:
    """Read a reply as `curl -i` prints it: a status line, headers, an empty line, the body.

    Of several, as curl prints them for a proxy, `100 Continue` or a redirect it followed, the last one counts.

    Raises:
        UsageError: it is no recorded reply.
    """
    rest = raw.lstrip()
    while True:
        line = _STATUS.match(rest)
        if line is None:
            raise UsageError(f"{name} is no recorded reply: it must begin with a line such as HTTP/1.1 200 OK.")
        blank = _BLANK.search(rest)
        head = rest[line.end() :] if blank is None else rest[line.end() : max(line.end(), blank.start())]
        body = b"" if blank is None else rest[blank.end() :]
        if not body.startswith(b"HTTP/"):
            break
        rest = body
    headers: dict[str, str] = {}
    for field in head.decode("latin-1").splitlines():
        title, colon, value = field.partition(":")
        title, value = title.strip().lower(), value.strip()
        if not colon or not _NAME.fullmatch(title):
            raise UsageError(f"{name} is no recorded reply: {field[:60]!r} is no header; is an empty line missing?")
        headers[title] = f"{headers[title]}, {value}" if title in headers else value
    return Reply(url, int(line[1]), headers, body)
