"""OpenAlex: an index of works and of the places where they are. It wants a key."""

from collections.abc import AsyncGenerator
from typing import Final

from gofer_service.settings import OpenAlexSettings
from gofer_service.sources.base import Link, Paper, Source, Web
from gofer_service.sources.urls import address, in_path, link, record_of, records, text

_FIELDS: Final = "id,doi,best_oa_location,locations"


class OpenAlex(Source):
    """The index OpenAlex: ``/works/doi:DOI`` below its base."""

    name = "openalex"
    is_index = True

    def __init__(self, settings: OpenAlexSettings) -> None:
        self.base, self.gap, self._key = settings.base, settings.gap, settings.secret

    async def candidates(self, paper: Paper, web: Web) -> AsyncGenerator[Link, None]:
        """Name the files of all locations, the best location first, and then their pages."""
        url = address(self.base, f"/works/doi:{in_path(paper.doi)}", select=_FIELDS, api_key=self._key)
        record = record_of(await web.json(url), paper.doi)
        places = list(records(record, "best_oa_location", "locations"))
        for key, landing in (("pdf_url", False), ("landing_page_url", True)):
            for place in places:
                if (found := link(place.get(key))) and (not landing or place.get("is_oa") is not False):
                    yield Link(found, landing, text(place.get("version")), text(place.get("license")))
