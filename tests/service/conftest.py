"""A running service and a client for it."""

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from gofer_service import create_app, embedded
from gofer_service.engine import Body
from gofer_service.health import Health, Probe
from gofer_service.local_engine import LocalEngine
from gofer_service.store import FolderStore
from gofer_service.vpn import VpnWatch, no_vpn
from support.pdfs import make_pdf

PAPER = "10.5555/12345678"


@pytest.fixture(scope="session")
def url() -> Generator[str]:
    """Give the address of a service with the sample library."""
    with embedded() as address:
        yield address


@pytest.fixture
def http(url: str) -> Generator[httpx.Client]:
    """Give a plain HTTP client for it."""
    with httpx.Client(base_url=url, timeout=10) as client:
        yield client


@pytest.fixture
def done(http: httpx.Client) -> Callable[..., dict[str, Any]]:
    """Give a function that submits a DOI and waits for the job's end."""
    return lambda doi=PAPER, **fields: finish(http, doi, **fields)


def finish(http: httpx.Client, doi: str = PAPER, **fields: Any) -> dict[str, Any]:
    """Submit a DOI and wait for the job's end."""
    reply = http.post("/retrieve", json={"doi": doi, **fields})
    assert reply.status_code == 202, reply.text
    while (job := reply.json())["status"] not in ("completed", "failed"):
        held = {"Prefer": "wait=5", "If-None-Match": reply.headers["ETag"]}
        fresh = http.get(f"/jobs/{job['job_id']}", headers=held)
        reply = reply if fresh.status_code == 304 else fresh
    return job


AS_TASK = "import json, sys; sys.argv[1:] = json.loads(sys.stdin.readline())\n"
"""The beginning of a program in the place of `inspect_file`: its task becomes its arguments."""


class NoWeb:
    """The web of a source that asks nobody."""

    async def json(self, url: str) -> Any:
        """Fail."""
        raise AssertionError(url)


def write_pdf(path: Path, title: str = "", doi: str = "", pages: str = "") -> Path:
    """Write a small valid PDF with this metadata and text."""
    path.write_bytes(make_pdf(pages, title=title, doi=doi))
    return path


def assemble(
    data: Path, body: Body, *, vpn: VpnWatch = no_vpn, probes: dict[str, Probe] | None = None, **engine: Any
) -> Starlette:
    """Build the application around a body of the test's own."""
    return create_app(
        engine=LocalEngine(data / "jobs.sqlite3", **engine),
        store=FolderStore(data / "files"),
        body=body,
        health=Health(probes or {}, vpn=vpn),
    )
