"""Europe PMC: papers of the life sciences, as files elsewhere and as XML with the full text."""

import re
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final

from gofer_service.settings import EuropePmcSettings
from gofer_service.sources.base import Link, Paper, Source, Web
from gofer_service.sources.urls import address, link, record_of, records, text

_ID: Final = re.compile(r"PMC[0-9]{1,12}")


class EuropePmc(Source):
    """The archive Europe PMC: ``/search`` and ``/PMCID/fullTextXML`` below its base."""

    name = "europepmc"

    def __init__(self, settings: EuropePmcSettings) -> None:
        self.base, self.gap = settings.base, settings.gap

    async def candidates(self, paper: Paper, web: Web) -> AsyncGenerator[Link, None]:
        """Name the PDFs that are open to all, and then the XML."""
        quoted = paper.doi.replace("\\", r"\\").replace('"', r"\"")
        url = address(self.base, "/search", query=f'DOI:"{quoted}"', format="json", resultType="core")
        answer = record_of(await web.json(url))
        results = [
            record_of(found, paper.doi)
            for several in records(answer, "resultList")
            for found in records(several, "result")
        ]
        for found in results:
            for several in records(found, "fullTextUrlList"):
                for one in records(several, "fullTextUrl"):
                    if _is_open_pdf(one) and (pdf := link(one.get("url"))):
                        yield Link(pdf, licence=text(found.get("license")))
        for found in results:
            name = text(found.get("pmcid"))
            if name and _ID.fullmatch(name):
                yield Link(address(self.base, f"/{name}/fullTextXML"), ours=True, licence=text(found.get("license")))


def _is_open_pdf(one: Mapping[str, Any]) -> bool:
    return one.get("documentStyle") == "pdf" and one.get("availabilityCode") in ("OA", "F", None)
