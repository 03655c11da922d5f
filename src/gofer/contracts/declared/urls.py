"""Small changes of URLs: links made absolute, parameters added and taken out."""

from __future__ import annotations

from urllib.parse import quote, unquote, urljoin, urlsplit

from gofer.errors import BadReply
from gofer.wire import may_be_address


def resolve(url: str, link: str) -> str:
    """Make a link absolute that was read at `url`, or raise `BadReply`."""
    try:
        absolute = urljoin(url, link)
        parts = urlsplit(absolute)
        _ = parts.port  # reading it is a check
        if not may_be_address(absolute) or (parts.scheme in ("http", "https") and not parts.hostname):
            raise ValueError("no host, or characters that no address may have, or too many")
    except ValueError as error:
        raise BadReply(f"The service hands out a link that is none: {link[:80]!r}.", field="$") from error
    return absolute


def last_part(url: str) -> str:
    """Return the last part of a URL's path, decoded; "" where it has no path."""
    return unquote(urlsplit(url).path.rstrip("/").rpartition("/")[2])


def without(url: str, names: frozenset[str]) -> str:
    """Return a URL without these query parameters."""
    path, mark, query = url.partition("?")
    if not mark or not names:
        return url
    kept = [pair for pair in query.split("&") if pair.partition("=")[0] not in names]
    return path + ("?" + "&".join(kept) if kept else "")


def with_parameter(url: str, name: str, value: str) -> str:
    """Return a URL with this query parameter, unless it has one of that name."""
    path, mark, query = url.partition("?")
    name = quote(name, safe="$")
    if any(pair.partition("=")[0] == name for pair in query.split("&")):
        return url
    pair = f"{name}={quote(value, safe='')}"
    return f"{path}?{query}&{pair}" if mark and query else f"{path}?{pair}"
