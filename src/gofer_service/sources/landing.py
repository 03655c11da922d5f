"""The page behind the DOI, which names the file for those who may read it, so it needs the VPN. It asks nothing."""

from collections.abc import AsyncGenerator

from gofer_service.settings import LandingSettings
from gofer_service.sources.base import Link, Paper, Source, Web
from gofer_service.sources.urls import address, in_path


class Landing(Source):
    """The resolver of DOIs: ``/DOI`` below its base leads to the publisher's page."""

    name = "landing"

    def __init__(self, settings: LandingSettings) -> None:
        self.base, self.gap, self.needs_vpn = settings.base, settings.gap, settings.needs_vpn

    async def candidates(self, paper: Paper, web: Web) -> AsyncGenerator[Link, None]:  # noqa: ARG002 - it asks nobody
        """Name the page."""
        yield Link(address(self.base, f"/{in_path(paper.doi)}"), landing=True, ours=True)
