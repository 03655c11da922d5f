"""A service that looks for papers on the stand-in web, for tests."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from attrs import evolve
from tests.scholarly_web import ScholarlyWeb
from tests.scholarly_web.server import KEY

from gofer_service import local_app
from gofer_service.server import running
from gofer_service.settings import (
    ArxivSettings,
    CrossrefSettings,
    EuropePmcSettings,
    FetchSettings,
    Inline,
    LandingSettings,
    OpenAlexSettings,
    RemoteSettings,
    Settings,
    SourcesSettings,
    UnpaywallSettings,
)
from gofer_service.sources.chosen import chosen
from gofer_service.vpn import Vpn, VpnWatch

ORDER = ("library", "arxiv", "unpaywall", "openalex", "europepmc", "crossref", "landing")


def settings_for(
    web: ScholarlyWeb, order: Sequence[str] = ORDER, *, remote: str | None = None, **fetch: Any
) -> Settings:
    """Return settings with all sources at the stand-in web, and no pauses."""
    sources = SourcesSettings(
        order=tuple(order),
        arxiv=ArxivSettings(web.base("arxiv"), 0.0),
        unpaywall=UnpaywallSettings("library@example.org", web.base("unpaywall"), 0.0),
        openalex=OpenAlexSettings(Inline(KEY, ""), None, web.base("openalex"), 0.0),
        europepmc=EuropePmcSettings(web.base("europepmc"), 0.0),
        remote=RemoteSettings(remote),
        crossref=CrossrefSettings(None, web.base("crossref"), 0.0),
        landing=LandingSettings(web.base("landing"), 0.0),
    )
    return Settings(contact="library@example.org", sources=sources, fetch=FetchSettings(**{"gap": 0.0, **fetch}))


@contextmanager
def service(
    folder: Path,
    settings: Settings,
    *,
    vpn: bool | None = True,
    vpn_watch: VpnWatch | None = None,
    allow: Sequence[str] = (),
    **options: Any,
) -> Generator[httpx.Client]:
    """Run the service in this folder, and give a client for it. ``vpn`` None means that none is configured."""
    library = folder / "library"
    library.mkdir(exist_ok=True)
    settings = evolve(settings, fetch=evolve(settings.fetch, allow=(*settings.fetch.allow, *allow)))
    state = Vpn() if vpn is None else Vpn(configured=True, connected=vpn)
    app = local_app(
        library,
        folder / "data",
        choices=chosen(settings, library),
        fetch=settings.fetch,
        contact=settings.contact,
        vpn=vpn_watch or (lambda: state),
        **options,
    )
    with running(app) as url, httpx.Client(base_url=url, timeout=60, trust_env=False) as http:
        yield http


def flaws(job: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the sources of the attempts, and why each failed."""
    return [(attempt["source"], attempt["failure"]) for attempt in job.get("attempts", ())]
