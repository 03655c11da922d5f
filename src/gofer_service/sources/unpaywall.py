"""Unpaywall: an index of open copies. It wants a real e-mail address, and answers 422 to one that is a placeholder."""

from collections.abc import AsyncGenerator

from gofer_service.settings import UnpaywallSettings
from gofer_service.sources.base import Link, Paper, Source, Web
from gofer_service.sources.urls import address, in_path, link, record_of, records, text


class Unpaywall(Source):
    """The index Unpaywall: ``/v2/DOI?email=`` below its base."""

    name = "unpaywall"
    is_index = True

    def __init__(self, settings: UnpaywallSettings) -> None:
        self.base, self.gap, self._email = settings.base, settings.gap, settings.email

    async def candidates(self, paper: Paper, web: Web) -> AsyncGenerator[Link, None]:
        """Name the files of all locations, the best location first, and then their pages."""
        url = address(self.base, f"/v2/{in_path(paper.doi)}", email=self._email)
        record = record_of(await web.json(url), paper.doi)
        places = list(records(record, "best_oa_location", "oa_locations"))
        for key, landing in (("url_for_pdf", False), ("url_for_landing_page", True)):
            for place in places:
                if found := link(place.get(key)):
                    yield Link(found, landing, text(place.get("version")), text(place.get("license")))
