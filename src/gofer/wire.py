"""The neutral request and reply, and URLs: what crosses the wire, without the types of any HTTP library.

Contracts build a `Request` and read a `Reply`; adapters translate both for their HTTP library. Nothing here opens a
connection, or is specific to a service.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, cast
from urllib.parse import SplitResult, urlsplit, urlunsplit

from attrs import evolve, field, frozen

from gofer.errors import UsageError

_PORTS = {"http": 80, "https": 443}
_LONGEST_URL = 1 << 16  # characters; HTTP libraries refuse more
_LONGEST_TYPE = 1 << 8  # characters; a registered media type has 255 at most (RFC 6838, section 4.2)
_LONGEST_ID = 1 << 12  # characters, each of which may be twelve in a URL


def _lowered(headers: Mapping[str, str]) -> Mapping[str, str]:
    if type(headers) is MappingProxyType:
        return cast("Mapping[str, str]", headers)  # another request's or reply's, lowered already
    return MappingProxyType({name.lower(): value for name, value in headers.items()})


def shown(url: str) -> str:
    """Return `url` without its user part, query and fragment, which may hold secrets."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return _shown_raw(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def may_be_sent(value: object) -> bool:
    """Tell whether a value can stand in a header: ASCII text of one line, without control characters."""
    return isinstance(value, str) and value.isascii() and value.isprintable()


def may_be_address(text: str) -> bool:
    """Tell whether a text can stand in a request as its URL: not too long, and without control characters."""
    return len(text) <= _LONGEST_URL and text.isprintable()


def may_be_id(text: str) -> bool:
    """Tell whether a text can stand in a URL as one part of its path, encoded; "." and ".." would be another path."""
    return len(text) <= _LONGEST_ID and text.isprintable() and text.strip() not in ("", ".", "..")


def climbs(path: str) -> bool:
    """Tell whether a part of a path is "." or "..", so that it leads elsewhere than it says."""
    return not {".", ".."}.isdisjoint(path.split("/"))


@frozen
class FileInput:
    """A file in a body: its path, or the file itself, open for bytes. It is sent from its first byte to its last.

    Attributes:
        source: the path, or the open file.
        size: its size in bytes, once gofer has looked at it.
        version: what shows that it is still the same: the system's size, time of change in nanoseconds and number.
    """

    source: Path | BinaryIO
    size: int = 0
    version: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """Its name, without folders; "file" for an open file without one."""
        named: object = self.source if isinstance(self.source, Path) else getattr(self.source, "name", None)
        return Path(named).name if isinstance(named, str | Path) else "file"


@frozen
class Streamed:
    """A body that is read from files while it is sent, anew on each try. `len()` is its size in bytes.

    Attributes:
        pieces: what it is made of, in its order.
        sha256: the digest of all of it in hexadecimal digits, if the request is signed, or one of a batch; else "".
    """

    pieces: tuple[bytes | FileInput, ...]
    sha256: str = ""

    def __len__(self) -> int:
        return sum(piece.size if isinstance(piece, FileInput) else len(piece) for piece in self.pieces)

    @property
    def files(self) -> Iterator[FileInput]:
        """The files in it."""
        return (piece for piece in self.pieces if isinstance(piece, FileInput))


@frozen
class Request:
    """One complete request; every try sends the same bytes.

    The names in `headers` are in lower case. The core sets `anonymous` on a request to another origin than the
    service's: an adapter then sends these headers only, and no auth, cookies or default headers of its client. `kept`
    is not sent: it is what a submission's contract wants to remember with the job.
    """

    method: str
    url: str = field(repr=shown)
    headers: Mapping[str, str] = field(
        factory=dict[str, str], converter=_lowered, repr=lambda headers: str(list(headers))
    )
    body: bytes | Streamed = field(default=b"", repr=lambda body: f"<{len(body)} bytes>")
    anonymous: bool = False
    kept: Mapping[str, str] = field(factory=dict[str, str], repr=lambda kept: str(list(kept)), eq=False)

    def with_headers(self, headers: Mapping[str, str]) -> Request:
        """Return the same request with these headers too; they replace headers of the same name."""
        return evolve(self, headers={**self.headers, **_lowered(headers)})


@frozen
class Head:
    """The head of a reply: the URL of its request, its status code, and its headers (names in lower case)."""

    url: str = field(repr=shown)
    status: int
    headers: Mapping[str, str] = field(
        factory=dict[str, str], converter=_lowered, repr=lambda headers: str(list(headers))
    )

    @property
    def media_type(self) -> str:
        """The media type of the body, in lower case and without its parameters; "" where the head names none."""
        return media_type(self.headers.get("content-type"))


@frozen
class Reply(Head):
    """A reply with its body in memory; `cut` says that the body is longer, and was read up to a limit only."""

    body: bytes = field(default=b"", repr=lambda body: f"<{len(body)} bytes>")
    cut: bool = False


def media_type(text: str | None) -> str:
    """Return the media type in this text, as in "Text/HTML; charset=utf-8", in lower case; "" for None."""
    return (text or "")[:_LONGEST_TYPE].partition(";")[0].strip().lower()


def _shown_raw(url: str) -> str:
    """Return the beginning of text that should be a URL, without its query and what may be a password."""
    parts = (part.rpartition("@") for part in url.split("/"))
    return "/".join(f"***@{rest}" if at else rest for _, at, rest in parts).partition("?")[0][:200]


def split(url: str) -> SplitResult:
    """Split an absolute http(s) URL, or raise a `UsageError` that says what is missing."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  (reading it is the check)
        if not may_be_address(url):
            raise ValueError("characters that no URL may have, or too many")
    except ValueError as error:
        raise UsageError(f"{_shown_raw(url)!r} is not a URL.") from error
    if parts.scheme not in _PORTS:
        raise UsageError(
            f"{_shown_raw(url)!r} has no http:// or https:// scheme; write it in full, for example http://localhost:8000."
        )
    if not parts.hostname:
        raise UsageError(f"{_shown_raw(url)!r} has no host; write it in full, for example http://localhost:8000.")
    return parts


def origin(url: str) -> tuple[str, str, int]:
    """Return the (scheme, host, port) of an absolute URL (RFC 6454, section 4)."""
    parts = split(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or _PORTS[parts.scheme]


def base_url(url: str) -> str:
    """Check the address of a service and return it without a trailing slash.

    Raises:
        UsageError: no http(s) scheme, no host, or credentials, a query or a fragment in the URL.
    """
    parts = split(url.strip())
    if parts.username is not None or parts.password is not None:
        raise UsageError("The service's URL holds credentials; pass them as auth= so that they stay out of logs.")
    if parts.query or parts.fragment:
        raise UsageError("The service's URL must have no query and no fragment.")
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
