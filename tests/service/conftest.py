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
    content = f"BT /F1 12 Tf 72 720 Td ({pages}) Tj ET".encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [5 0 R] /Count 1 >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        f"<< /Title ({title}) /doi ({doi}) >>".encode(),
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792]"
        b" /Resources << /Font << /F1 3 0 R >> >> /Contents 6 0 R >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
    ]
    pdf = bytearray(b"%PDF-1.4\n")
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(pdf))
        pdf += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(pdf)
    pdf += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    pdf += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    pdf += b"trailer\n<< /Size %d /Root 1 0 R /Info 4 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    path.write_bytes(pdf)
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
