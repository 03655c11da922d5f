"""Which sources are asked, in which order, and why others are not. Sources of other packages come by an entry point.

The group is ``gofer_service.sources``. What an entry point names is called with the source's table of the
configuration, and returns a `gofer_service.sources.base.Source`.
"""

from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from gofer_service.settings import (
    ArxivSettings,
    CrossrefSettings,
    EuropePmcSettings,
    LandingSettings,
    OpenAlexSettings,
    RemoteSettings,
    Settings,
    SourcesSettings,
    UnpaywallSettings,
)
from gofer_service.sources.arxiv import Arxiv
from gofer_service.sources.base import Source
from gofer_service.sources.crossref import Crossref
from gofer_service.sources.europepmc import EuropePmc
from gofer_service.sources.landing import Landing
from gofer_service.sources.library import Library
from gofer_service.sources.openalex import OpenAlex
from gofer_service.sources.remote import Remote
from gofer_service.sources.unpaywall import Unpaywall

GROUP: Final = "gofer_service.sources"
"""The group of entry points of sources in other packages."""

BUILT_IN: Final = ("library", "arxiv", "unpaywall", "openalex", "europepmc", "remote", "crossref", "landing")
"""The sources of this package, in the usual order: local and free ones first, entitlement last."""


class Lacking(Exception):
    """Raised when a source cannot be used as it is configured; the message says what to do."""


@frozen
class Choice:
    """A source that is on, or why one is off.

    Attributes:
        name: its name.
        source: None if it is off.
        why: why it is off.
        wanted: whether the configuration speaks of it.
        broken: whether a package of it failed.
    """

    name: str
    source: Source | None = None
    why: str = ""
    wanted: bool = True
    broken: bool = False

    def unasked(self, *, vpn: bool) -> str:
        """Return why it is not asked, or "" if it is. ``vpn`` says whether a VPN is configured."""
        if self.source is None:
            return self.why
        return "it needs a VPN, and none is configured" if self.source.needs_vpn and not vpn else ""


def installed_sources() -> Mapping[str, EntryPoint]:
    """Return the sources of other packages by name. One of this package is never replaced."""
    return {point.name: point for point in entry_points(group=GROUP) if point.name not in BUILT_IN}


def chosen(settings: Settings, library: Path) -> list[Choice]:
    """Return all sources that there are: first those that are asked, in their order.

    Args:
        settings: the configuration.
        library: the folder of papers.
    """
    tables, installed = settings.sources, installed_sources()
    names = [*BUILT_IN, *installed]
    order = [name for name in names if _has_table(tables, name)] if tables.order is None else list(tables.order)
    choices = [_choice(name, settings, library, installed) for name in order]
    why = "there is no table [sources.{}]" if tables.order is None else "sources.order does not name it"
    return choices + [Choice(name, why=why.format(name), wanted=False) for name in names if name not in order]


def _has_table(tables: SourcesSettings, name: str) -> bool:
    return name == "library" or name in tables.others or getattr(tables, name, None) is not None


def _choice(name: str, settings: Settings, library: Path, installed: Mapping[str, EntryPoint]) -> Choice:
    try:
        if name in installed:
            return _loaded(installed[name], settings.sources.others.get(name, {}))
        return Choice(name, _MAKERS[name](settings, library))
    except Lacking as lacking:
        return Choice(name, why=str(lacking))


def _loaded(point: EntryPoint, table: Mapping[str, Any]) -> Choice:
    try:
        source = point.load()(table)
    except Exception as error:  # noqa: BLE001 - another package may raise anything
        return Choice(point.name, why=f"{point.value} failed: {type(error).__name__}: {error}", broken=True)
    if not isinstance(source, Source):
        return Choice(point.name, why=f"{point.value} made no Source, but {type(source).__name__}", broken=True)
    return Choice(point.name, source)


def _arxiv(settings: Settings, _: Path) -> Source:
    return Arxiv(settings.sources.arxiv or ArxivSettings())


def _unpaywall(settings: Settings, _: Path) -> Source:
    table = settings.sources.unpaywall or UnpaywallSettings()
    if table.email is None:
        raise Lacking("sources.unpaywall.email is not set")
    return Unpaywall(table)


def _openalex(settings: Settings, _: Path) -> Source:
    table = settings.sources.openalex or OpenAlexSettings()
    if table.secret is None:
        raise Lacking("neither sources.openalex.key nor key_file is set")
    return OpenAlex(table)


def _europepmc(settings: Settings, _: Path) -> Source:
    return EuropePmc(settings.sources.europepmc or EuropePmcSettings())


def _remote(settings: Settings, _: Path) -> Source:
    table = settings.sources.remote or RemoteSettings()
    if table.url is None:
        raise Lacking("sources.remote.url is not set")
    return Remote(table.url, table)


def _crossref(settings: Settings, _: Path) -> Source:
    return Crossref(settings.sources.crossref or CrossrefSettings(), settings.contact)


def _landing(settings: Settings, _: Path) -> Source:
    return Landing(settings.sources.landing or LandingSettings())


_MAKERS: Final[Mapping[str, Callable[[Settings, Path], Source]]] = {
    "library": lambda _, folder: Library(folder),
    "arxiv": _arxiv,
    "unpaywall": _unpaywall,
    "openalex": _openalex,
    "europepmc": _europepmc,
    "remote": _remote,
    "crossref": _crossref,
    "landing": _landing,
}
