"""Whether the service can do its work: probes in the background, answers at once.

A probe looks at one thing and says pass, warn or fail; the worst of them is the service's state. The shape of
``checks`` is that of draft-inadarei-api-health-check.
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

CAPABILITIES: Final = ("idempotency-key", "wait", "cancel", "range", "digest", "progress", "list")
"""The extensions of the contract that this service has: all."""

EVERY: Final = 5.0
"""Seconds between two rounds of probes."""

MIN_FREE: Final = 64 * 1024 * 1024
"""Free bytes under which no file can be taken."""


@frozen
class Finding:
    """What a probe saw: ``pass``, ``warn`` (the service does without) or ``fail`` (no job can run)."""

    status: str
    output: str | None = None
    observed: int | None = None
    unit: str | None = None


Probe = Callable[[], Awaitable[Finding]]


class Health:
    """The last findings. ``probes`` are named as in the draft: ``component:measurement``."""

    def __init__(self, probes: Mapping[str, Probe], *, vpn: VpnWatch = no_vpn, clock: Clock = time.time) -> None:
        self._probes = probes
        self._vpn = vpn
        self._clock = clock
        self._checks: dict[str, list[dict[str, Any]]] = {}

    async def watch(self) -> None:
        """Probe again and again."""
        while True:
            await anyio.sleep(EVERY)
            await self.probe()

    async def probe(self) -> None:
        """Run every probe once; one that raises has failed."""
        for name, probe in self._probes.items():
            try:
                finding = await probe()
            except Exception as error:  # noqa: BLE001 - whatever stops a probe is its finding
                finding = Finding("fail", type(error).__name__)
            check = {
                "status": finding.status,
                "observedValue": finding.observed,
                "observedUnit": finding.unit,
                "output": finding.output,
                "time": rfc3339(self._clock()),
            }
            self._checks[name] = [{key: value for key, value in check.items() if value is not None}]

    def document(self) -> dict[str, Any]:
        """Sum up the last findings."""
        vpn = self._vpn()
        checks = {**self._checks, "vpn": [{"status": _vpn_status(vpn)}]}
        found = {check["status"] for entries in checks.values() for check in entries}
        status = "unhealthy" if "fail" in found else "degraded" if "warn" in found else "healthy"
        return {
            "status": status,
            "vpn_connected": vpn.connected,
            "vpn_ip": vpn.ip,
            "contract": "1",
            "capabilities": list(CAPABILITIES),
            "version": __version__,
            "checks": checks,
        }


def local_probes(library: Path, data: Path, engine: Engine) -> dict[str, Probe]:
    """Look at what a service on one machine needs: its folder, its disk, its records."""

    async def readable() -> Finding:
        try:
            await anyio.to_thread.run_sync(os.listdir, library)
        except OSError:
            # Jobs run all the same, and other sources may have what they want.
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
    """GET /health and /health/ready: 200 while jobs can run, 503 with the same body when they cannot."""
    watched: Health = request.app.state.health
    document = watched.document()
    status = 503 if document["status"] == "unhealthy" else 200
    return JSONResponse(document, status, {"Cache-Control": "no-store"})


async def live(_: Request) -> Response:
    """GET /health/live: the process answers."""
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
