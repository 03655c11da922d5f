"""What the sources name: from records of any shape, and from a source of another package."""

import importlib
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gofer_service.config import ConfigError, load
from gofer_service.settings import (
    CrossrefSettings,
    EuropePmcSettings,
    Inline,
    OpenAlexSettings,
    Settings,
    SourcesSettings,
    UnpaywallSettings,
)
from gofer_service.sources.base import Link, Paper, Source, SourceFailed
from gofer_service.sources.chosen import Choice, chosen, installed_sources
from gofer_service.sources.crossref import Crossref
from gofer_service.sources.europepmc import EuropePmc
from gofer_service.sources.openalex import OpenAlex
from gofer_service.sources.unpaywall import Unpaywall

pytestmark = pytest.mark.anyio
DOI = "10.5555/a.b"
PAGE = Path(__file__).parents[2] / "docs" / "howto" / "add-a-source.md"


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, as uvicorn does."""
    return "asyncio"


class Answers:
    """A web that answers everything in one way, and notes what is asked."""

    def __init__(self, document: Any) -> None:
        self.document, self.asked = document, list[str]()

    async def json(self, url: str) -> Any:
        """Answer."""
        self.asked.append(url)
        return self.document


SOURCES: dict[str, Source] = {
    "unpaywall": Unpaywall(UnpaywallSettings("me@example.org")),
    "openalex": OpenAlex(OpenAlexSettings(Inline("key", ""))),
    "europepmc": EuropePmc(EuropePmcSettings()),
    "crossref": Crossref(CrossrefSettings(), "me@example.org"),
}


async def named(source: Source, document: Any, doi: str = DOI) -> list[Link]:
    """Give what a source names, if the server answers this."""
    return [place async for place in source.candidates(Paper(doi), Answers(document)) if isinstance(place, Link)]


async def collect(coroutine: Any, found: list[Link]) -> None:
    """Put what a coroutine returns into a list."""
    found += await coroutine


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=10)
    | st.sampled_from(
        [
            "http://x/y",
            "https://x/z.pdf",
            "ftp://x",
            "PMC1",
            DOI,
            "10.5555/other",
            "application/pdf",
            "text-mining",
            "pdf",
            "OA",
        ]
    )
)
KEYS = st.sampled_from(
    [
        *(
            "doi",
            "DOI",
            "best_oa_location",
            "oa_locations",
            "url_for_pdf",
            "url_for_landing_page",
            "version",
            "license",
        ),
        *("locations", "pdf_url", "landing_page_url", "is_oa", "resultList", "result", "pmcid", "fullTextUrlList"),
        *("fullTextUrl", "url", "documentStyle", "availabilityCode", "message", "link", "URL", "content-type"),
        *("intended-application", "content-version", "version"),
    ]
)
DOCUMENTS = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6), max_leaves=25
)


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES.keys())
async def test_records_of_any_shape(source: Source) -> None:
    """Whatever a server answers, a source names http(s) links, or says that it failed; nothing else escapes."""

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(DOCUMENTS)
    def ask(document: Any) -> None:
        found = list[Link]()
        with suppress(SourceFailed, StopIteration):
            collect(named(source, document), found).send(None)  # it waits for nothing
        assert all(link.url.startswith(("http://", "https://")) for link in found)

    ask()


def links(*rows: tuple[str, str, str]) -> dict[str, Any]:
    """Make Crossref's answer."""
    found = [{"URL": url, "content-type": kind, "intended-application": purpose} for url, kind, purpose in rows]
    return {"message": {"DOI": DOI, "link": found}}


async def test_the_order_of_crossrefs_links() -> None:
    """PDFs come before XML and pages, text mining before other purposes, and checking services' links not at all."""
    document = links(
        ("http://x/check.pdf", "application/pdf", "similarity-checking"),
        ("http://x/page", "text/html", "text-mining"),
        ("http://x/mine.xml", "text/xml", "text-mining"),
        ("http://x/plain", "text/plain", "text-mining"),
        ("http://x/any.pdf", "application/pdf", "unspecified"),
        ("http://x/syndicated.pdf", "application/pdf", "syndication"),
        ("http://x/mine.pdf", "application/pdf; q=1", "text-mining"),
    )
    found = await named(SOURCES["crossref"], document)
    assert [link.url.rpartition("/")[2] for link in found] == [
        "mine.pdf",
        "syndicated.pdf",
        "any.pdf",
        "mine.xml",
        "page",
    ]
    assert [link.landing for link in found] == [False] * 4 + [True]


async def test_the_best_location_comes_first_and_files_before_pages() -> None:
    """Unpaywall's best location is named first, then the other files, and pages last."""
    places = [{"url_for_pdf": None, "url_for_landing_page": "http://x/page"}, {"url_for_pdf": "http://x/2"}]
    best = {"url_for_pdf": "http://x/1", "license": "cc-by", "version": "acceptedVersion"}
    found = await named(SOURCES["unpaywall"], {"doi": DOI.upper(), "best_oa_location": best, "oa_locations": places})
    assert found[0] == Link("http://x/1", version="acceptedVersion", licence="cc-by")
    assert [(link.url, link.landing) for link in found[1:]] == [("http://x/2", False), ("http://x/page", True)]


async def test_an_id_of_europe_pmc_is_checked() -> None:
    """An address below the base is made of an id that looks like one, and of nothing else."""
    for name in ("PMC12", "../secret", "PMC1/../x", 7, None):
        document = {"resultList": {"result": [{"doi": DOI, "pmcid": name}]}}
        found = await named(SOURCES["europepmc"], document)
        assert [link.ours for link in found] == ([True] if name == "PMC12" else [])


@pytest.mark.parametrize("name", ["unpaywall", "openalex", "crossref"])
async def test_a_doi_in_an_address(name: str) -> None:
    """A DOI is encoded into the path; its slashes stay, and no part of it becomes a query."""
    web = Answers({})
    async for _ in SOURCES[name].candidates(Paper("10.5555/a?b#c%25/d e<é>"), web):
        pass
    assert "/10.5555/a%3Fb%23c%2525/d%20e%3C%C3%A9%3E" in web.asked[0].replace("doi:", "")


# --- a source of another package ---


def blocks() -> dict[str, str]:
    """Return the files that the page shows, by their names."""
    found = re.findall(r"^`([^`]+)`:\n\n```\w+\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return dict(found)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install the package that the page shows, as pip does."""
    project, site = tmp_path / "project", tmp_path / "site"
    project.mkdir()
    for name in ("pyproject.toml", "mirror.py"):
        (project / name).write_text(blocks()[name])
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--target", str(site)]
    subprocess.run([*command, str(project)], check=True, timeout=120)
    monkeypatch.syspath_prepend(str(site))
    importlib.invalidate_caches()
    return tmp_path


async def test_a_source_of_another_package(installed: Path) -> None:
    """The package of the page is found by its entry point, gets its table, and names a place."""
    file = installed / "service.toml"
    file.write_text(blocks()["gofer-service.toml"])
    configured = load(file, {})
    (choice,) = [one for one in chosen(configured, installed) if one.name == "mirror"]
    assert isinstance(choice.source, Source)
    web = Answers({"pdf": "https://files.example.org/7.pdf"})
    places = [place async for place in choice.source.candidates(Paper(DOI), web)]
    assert places == [Link("https://files.example.org/7.pdf", version="publishedVersion")]
    assert web.asked == [f"https://mirror.example.org/papers/{DOI}"]
    sys.modules.pop("mirror")


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("raise ImportError('no such thing')", "ImportError: no such thing"),
        ("def Mirror(table): return table['nothing']", "KeyError: 'nothing'"),
        ("def Mirror(table): return 3", "made no Source, but int"),
    ],
)
def test_a_source_that_fails_is_off(installed: Path, code: str, why: str) -> None:
    """A package that fails is off with the reason, wrong for --check, and does not stop the service."""
    (installed / "site" / "mirror.py").write_text(code)
    wanted = Settings(sources=SourcesSettings(order=("library", "mirror")))
    library, mirror = chosen(wanted, installed)[:2]
    assert (library.source is not None, mirror.source, mirror.broken) == (True, None, True)
    assert why in mirror.why
    sys.modules.pop("mirror", None)


def test_a_table_of_a_source_that_is_not_installed(tmp_path: Path) -> None:
    """Without the package its table is an unknown key, and its name in the order is refused."""
    assert "mirror" not in installed_sources()
    file = tmp_path / "service.toml"
    file.write_text('[sources.mirror]\nbase = "x"\n')
    with pytest.raises(ConfigError, match=r"sources\.mirror: unknown key"):
        load(file, {})


def test_which_sources_are_asked() -> None:
    """Without an order, the library and the sources with a table are asked, in the usual order."""
    tables = SourcesSettings(crossref=CrossrefSettings(), unpaywall=UnpaywallSettings("me@example.org"))
    by_table = [choice.name for choice in chosen(Settings(sources=tables), Path()) if choice.source]
    ordered = SourcesSettings(order=("crossref", "library"))
    by_order = [choice.name for choice in chosen(Settings(sources=ordered), Path()) if choice.source]
    alone = [choice for choice in chosen(Settings(), Path()) if choice.source]
    assert (by_table, by_order) == (["library", "unpaywall", "crossref"], ["crossref", "library"])
    assert [(choice.name, choice.unasked(vpn=False)) for choice in alone] == [("library", "")]
    assert Choice("x", why="y").unasked(vpn=True) == "y"
