"""What the sources over HTTP have in common: addresses made of a DOI, and links in records of unknown origin."""

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

from gofer.contracts.doi import normalize
from gofer.contracts.flaws import Flaw
from gofer.contracts.payload import as_list, as_map
from gofer_service.sources.base import SourceFailed

MAX_URL: Final = 4096
"""Characters of a link that is followed."""


def in_path(text: str) -> str:
    """Write a DOI or an id into a path; its slashes stay."""
    return quote(text, safe="/")


def address(base: str, path: str, **query: str | None) -> str:
    """Make an address below a base; parameters that are None are left out."""
    given = {name: value for name, value in query.items() if value is not None}
    return f"{base}{path}?{urlencode(given)}" if given else f"{base}{path}"


def record_of(document: Any, doi: str | None = None, *, key: str = "doi") -> Mapping[str, Any]:
    """Return a record, which must be an object, and of this DOI if it names one.

    Raises:
        SourceFailed: it is not.
    """
    record = as_map(document)
    if record is None:
        raise SourceFailed(Flaw.SOURCE_DOWN, "the answer is no JSON object")
    named = record.get(key)
    if doi is not None and isinstance(named, str) and not _same(named, doi):
        raise SourceFailed(Flaw.SOURCE_DOWN, "the answer is the record of another DOI")
    return record


def records(record: Mapping[str, Any], *keys: str) -> Iterator[Mapping[str, Any]]:
    """Yield the objects at these keys, and those in the lists at these keys."""
    for key in keys:
        value = record.get(key)
        for one in as_list(value) or [value]:
            if (found := as_map(one)) is not None:
                yield found


def text(value: object) -> str | None:
    """Return a text that is not empty, else None."""
    return value if isinstance(value, str) and value else None


def link(value: object) -> str | None:
    """Return an http(s) link of a usual length, else None."""
    url = text(value)
    usable = url is not None and len(url) <= MAX_URL and url.isprintable() and url.startswith(("http://", "https://"))
    return url if usable else None


def _same(named: str, doi: str) -> bool:
    try:
        return normalize(named) == doi
    except ValueError:
        return False
