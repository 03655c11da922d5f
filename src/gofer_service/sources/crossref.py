"""Crossref: full-text links of publishers. They give what the caller's network may read, so it needs the VPN."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final

from gofer_service.settings import CrossrefSettings
from gofer_service.sources.base import Link, Paper, Source, Web
from gofer_service.sources.urls import address, in_path, link, record_of, records, text

_PURPOSES: Final = ("text-mining", "syndication", "unspecified")
"""What links may be for, the best first. Those for ``similarity-checking`` are for the checking services."""

_TYPES: Final = ("application/pdf", "application/epub+zip", "application/xml", "text/xml", "unspecified", "text/html")
"""Media types that are followed, the best first; an HTML page may link to the file."""

_VERSIONS: Final = {"am": "acceptedVersion", "vor": "publishedVersion"}


class Crossref(Source):
    """The registry Crossref: ``/works/DOI`` below its base."""

    name = "crossref"

    def __init__(self, settings: CrossrefSettings, contact: str | None = None) -> None:
        self.base, self.gap, self.needs_vpn = settings.base, settings.gap, settings.needs_vpn
        self._email = settings.email or (contact if contact and "@" in contact else None)

    async def candidates(self, paper: Paper, web: Web) -> AsyncGenerator[Link, None]:
        """Name the links, those for text mining and those to PDFs first."""
        url = address(self.base, f"/works/{in_path(paper.doi)}", mailto=self._email)
        answer = record_of(await web.json(url))
        for record in records(answer, "message"):
            record = record_of(record, paper.doi, key="DOI")
            licence = next((text(one.get("URL")) for one in records(record, "license")), None)
            usable = [one for one in records(record, "link") if _purpose(one) in _PURPOSES and _type(one) in _TYPES]
            for one in sorted(usable, key=lambda one: (_TYPES.index(_type(one)), _PURPOSES.index(_purpose(one)))):
                if found := link(one.get("URL")):
                    version = _VERSIONS.get(text(one.get("content-version")) or "")
                    yield Link(found, _type(one) in ("text/html", "unspecified"), version, licence)


def _purpose(one: Mapping[str, Any]) -> str:
    return text(one.get("intended-application")) or "unspecified"


def _type(one: Mapping[str, Any]) -> str:
    return (text(one.get("content-type")) or "unspecified").partition(";")[0].strip().lower()
