"""arXiv: papers whose DOI is arXiv's own. It asks nothing; the address follows from the DOI."""

from collections.abc import AsyncGenerator
from typing import Final

from gofer_service.settings import ArxivSettings
from gofer_service.sources.base import Link, Paper, Source, Web
from gofer_service.sources.urls import address, in_path

_PREFIX: Final = "10.48550/arxiv."


class Arxiv(Source):
    """The preprint server arXiv: ``/pdf/ID`` below its base."""

    name = "arxiv"

    def __init__(self, settings: ArxivSettings) -> None:
        self.base, self.gap = settings.base, settings.gap

    async def candidates(self, paper: Paper, web: Web) -> AsyncGenerator[Link, None]:  # noqa: ARG002 - it asks nobody
        """Name the file, if the DOI is one of arXiv's."""
        if paper.doi.startswith(_PREFIX):
            url = address(self.base, f"/pdf/{in_path(paper.doi.removeprefix(_PREFIX))}")
            yield Link(url, ours=True, version="submittedVersion")
