"""Event streams and multipart bodies that have come whole, read in one pass: the last event, and the parts as files."""

from __future__ import annotations

import base64
import binascii
import contextlib
import quopri
import re
from collections.abc import Iterator
from email.message import Message
from email.parser import HeaderParser
from typing import Any

from gofer.contracts.declared.urls import resolve
from gofer.contracts.payload import parsed
from gofer.errors import BadReply
from gofer.models import ResultFile
from gofer.wire import Reply, media_type

MOST_PARTS = 10_000
"""Parts of a multipart body, above which it is refused."""


LONGEST_HEAD = 1 << 14
"""Bytes of the head of one part; reading it takes the square of its length."""


def last_event(body: bytes) -> Any:
    """Return the last event that has data, as `{"event": ..., "data": ...}`; None where there is none.

    The data is read as JSON if it is JSON (HTML, section 9.2.6: fields are lines, an empty line ends an event).
    """
    name, lines, last = "message", list[str](), None
    for line in [*re.split("\r\n|\n|\r", body.decode("utf-8-sig", "replace")), ""]:
        field, _, value = line.partition(":")
        if not line:
            last = (name, lines) if lines else last
            name, lines = "message", []
        elif field == "event":
            name = value.removeprefix(" ")
        elif field == "data":
            lines.append(value.removeprefix(" "))
    if last is None:
        return None
    name, lines = last
    data: Any = "\n".join(lines)
    with contextlib.suppress(ValueError):
        data = parsed(data.encode())
    return {"event": name, "data": data}


def parts_of(reply: Reply) -> tuple[ResultFile, ...]:
    """Return the parts of a multipart body (RFC 2046, section 5.1) as files; one without content may be a link.

    Raises:
        BadReply: it has no boundary, no end, or too many parts.
    """
    kind = Message()
    kind["content-type"] = reply.headers.get("content-type", "")[:LONGEST_HEAD]
    boundary = None
    with contextlib.suppress(ValueError, LookupError):
        boundary = kind.get_boundary()
    pieces = [] if not boundary else (b"\r\n" + reply.body).split(b"\r\n--" + boundary.encode(), MOST_PARTS + 1)[1:]
    parts = list(_until_the_end(pieces))
    if not pieces or len(parts) == len(pieces):
        raise BadReply(f"The service answered with {reply.media_type} that has no boundary, no end or too many parts.")
    try:
        return tuple(_part(piece, number, reply.url) for number, piece in enumerate(parts, 1))
    except (ValueError, LookupError) as error:  # an encoding of a name that there is not
        raise BadReply(f"A part of the answer has a head that cannot be read: {error}.", field="$") from error


def _until_the_end(pieces: list[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        if piece.startswith(b"--"):
            return
        yield piece


def _part(piece: bytes, number: int, url: str) -> ResultFile:
    _, _, rest = piece.partition(b"\r\n")
    head, _, content = (b"\r\n" + rest).partition(b"\r\n\r\n")
    if len(head) > LONGEST_HEAD:
        raise BadReply(f"A part of the answer has a head of {len(head)} bytes.", field="$")
    fields = HeaderParser().parsestr(head[2:].decode("utf-8", "replace"))
    place = str(fields.get("content-location", ""))
    name = fields.get_filename() or str(fields.get("content-id", "")).strip("<> ") or f"part-{number}"
    kind = media_type(fields.get("content-type")) or None
    match str(fields.get("content-transfer-encoding", "")).strip().lower():
        case "base64":
            content = decoded(content.decode("ascii", "replace"))
        case "quoted-printable":
            content = quopri.decodestring(content)
        case "" | "7bit" | "8bit" | "binary":
            pass
        case other:
            raise BadReply(f"A part of the answer comes in an encoding that is not read: {other[:40]!r}.", field="$")
    if place and not content:
        return ResultFile(name, resolve(url, place), format=kind)
    return ResultFile(name, size=len(content), format=kind, content=content)


def decoded(text: str) -> bytes:
    """Decode Base64, with or without line breaks and padding, in either alphabet, or raise `BadReply`."""
    plain = "".join(text.split()).translate(str.maketrans("-_", "+/")).rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadReply(f"The content of a file is no Base64: {error}.", field="result.files.base64") from error
