"""Whether the service can run jobs: probes in the background, and the routes that answer from their last results.

A probe checks one thing and says pass, warn or fail. The worst result is the status of the service. ``checks`` has the
shape of draft-inadarei-api-health-check.
"""

import os
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread
from attrs import frozen
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gofer.version import __version__
from gofer_service.documents import rfc3339
from gofer_service.engine import Clock, Engine
from gofer_service.vpn import Vpn, VpnWatch, no_vpn

CONTRACT: Final = "1"
"""The version of the contract."""

CAPABILITIES: Final = {
    "idempotency-key": "the same `Idempotency-Key` with the same body gives the same job",
    "wait": "requests with `Prefer: wait=N` are held",
    "cancel": "`DELETE /jobs/{job_id}` cancels the job",
    "range": "`Range` continues a broken download",
    "digest": "`Repr-Digest` comes with the file",
    "progress": "the job has `progress`, `bytes_done` and `bytes_total`",
    "list": "`GET /jobs` lists the jobs",
    "changes": "`GET /jobs/changes` tells which of the caller's jobs have changed",
}
"""The extensions of the contract that this service has, which are all: their names and what each of them means."""

PROBE_INTERVAL: Final = 5.0
"""Seconds between two rounds of probes."""

MIN_FREE: Final = 64 * 1024 * 1024
"""Free bytes on the disk below which no job can run."""


@frozen
class Finding:
    """A result: ``pass``, ``warn`` (jobs can do without this), ``fail`` (no job can run) or ``not_configured``."""

    status: str
    output: str | None = None
    observed: int | None = None
    unit: str | None = None
    time: float | None = None


Probe = Callable[[], Awaitable[Finding]]

Findings = Callable[[], Mapping[str, Finding]]
"""Returns what is already found out, by the name of the check. It must not block."""


def nothing_found() -> Mapping[str, Finding]:
    """Return no finding."""
    return {}


class Health:
    """Runs the probes and keeps their last findings. Checks are named ``component:measurement``, as in the draft.

    What ``found`` returns is taken as it is at the time of a request.
    """

    def __init__(
        self,
        probes: Mapping[str, Probe],
        *,
        found: Findings = nothing_found,
        vpn: VpnWatch = no_vpn,
        clock: Clock = time.time,
    ) -> None:
        self._probes = probes
        self._found = found
        self._vpn = vpn
        self._clock = clock
        self._checks: dict[str, list[dict[str, Any]]] = {}

    async def watch(self) -> None:
        """Run all probes again and again."""
        while True:
            await anyio.sleep(PROBE_INTERVAL)
            await self.probe()

    async def probe(self) -> None:
        """Run every probe once. A probe that raises an exception has failed."""
        for name, probe in self._probes.items():
            try:
                finding = await probe()
            except Exception as error:  # noqa: BLE001 - any exception is a finding
                finding = Finding("fail", type(error).__name__)
            self._checks[name] = self._shown(finding)

    def _shown(self, finding: Finding) -> list[dict[str, Any]]:
        check = {
            "status": finding.status,
            "observedValue": finding.observed,
            "observedUnit": finding.unit,
            "output": finding.output,
            "time": rfc3339(self._clock() if finding.time is None else finding.time),
        }
        return [{key: value for key, value in check.items() if value is not None}]

    def document(self) -> dict[str, Any]:
        """Return the health document, made from the last findings."""
        vpn = self._vpn()
        found = {name: self._shown(finding) for name, finding in self._found().items()}
        checks = {**self._checks, **found, "vpn": [{"status": _vpn_status(vpn)}]}
        states = {check["status"] for entries in checks.values() for check in entries}
        status = "unhealthy" if "fail" in states else "degraded" if "warn" in states else "healthy"
        return {
            "status": status,
            "vpn_connected": vpn.connected,
            "vpn_ip": vpn.ip,
            "contract": CONTRACT,
            "capabilities": list(CAPABILITIES),
            "version": __version__,
            "checks": checks,
        }


def local_probes(library: Path, data: Path, engine: Engine) -> dict[str, Probe]:
    """Return the probes of a service on one machine: its library folder, its disk, its records."""

    async def readable() -> Finding:
        try:
            await anyio.to_thread.run_sync(os.listdir, library)
        except OSError:
            # Jobs can still run, and other sources may have their papers.
            return Finding("warn", "the library folder cannot be read")
        return Finding("pass")

    async def space() -> Finding:
        free = (await anyio.to_thread.run_sync(shutil.disk_usage, data)).free
        return Finding("pass" if free >= MIN_FREE else "fail", observed=free, unit="byte")

    async def writable() -> Finding:
        await engine.check()
        return Finding("pass")

    return {"library:readable": readable, "disk:free": space, "engine:writable": writable}


async def health(request: Request) -> Response:
    """GET /health and /health/ready: 200 while jobs can run, else 503 with the same document."""
    state: Health = request.app.state.health
    document = state.document()
    status = 503 if document["status"] == "unhealthy" else 200
    return JSONResponse(document, status, {"Cache-Control": "no-store"})


async def live(_: Request) -> Response:
    """GET /health/live: the process runs."""
    return JSONResponse({"status": "alive"})


def _vpn_status(vpn: Vpn) -> str:
    if not vpn.configured:
        return "not_configured"
    return "pass" if vpn.connected else "warn"


routes: Final = [
    Route("/health", health, methods=["GET"]),
    Route("/health/ready", health, methods=["GET"]),
    Route("/health/live", live, methods=["GET"]),
]
