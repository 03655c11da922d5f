"""Health: what makes the service healthy, degraded or unable, and how quickly it says so."""

import shutil
import time
from pathlib import Path

import anyio
import httpx
import pytest

from gofer_service import local_app, running, sample_library
from gofer_service.engine import Result, Run
from gofer_service.health import CAPABILITIES, Finding
from gofer_service.vpn import Vpn

from .conftest import assemble


async def idle(_: Run) -> Result:
    """Do nothing, for ever."""
    await anyio.sleep_forever()
    raise AssertionError


def test_a_service_that_can_work_is_healthy(http: httpx.Client) -> None:
    """/health says what the service is and can, and shows each check; without a VPN it says so."""
    reply = http.get("/health")
    health = reply.json()
    assert (reply.status_code, health["status"]) == (200, "healthy")
    assert (health["vpn_connected"], health["vpn_ip"], health["contract"]) == (False, None, "1")
    assert health["capabilities"] == list(CAPABILITIES)
    assert health["checks"]["vpn"] == [{"status": "not_configured"}]
    assert set(health["checks"]) == {"library:readable", "disk:free", "engine:writable", "vpn", "source:library"}
    assert all(check[0]["status"] == "pass" for name, check in health["checks"].items() if name != "vpn")
    assert http.get("/health/ready").status_code == 200
    assert http.get("/health/live").json() == {"status": "alive"}


@pytest.mark.parametrize(
    ("vpn", "status", "check"),
    [
        (Vpn(configured=True, connected=True, ip="203.0.113.7"), "healthy", "pass"),
        (Vpn(configured=True), "degraded", "warn"),
        (Vpn(), "healthy", "not_configured"),
    ],
)
def test_a_vpn_that_is_down_degrades(tmp_path: Path, vpn: Vpn, status: str, check: str) -> None:
    """A VPN that is set up and down degrades the service, which goes on with 200."""
    with running(assemble(tmp_path, idle, vpn=lambda: vpn)) as url:
        reply = httpx.get(f"{url}/health")
    health = reply.json()
    assert (reply.status_code, health["status"], health["checks"]["vpn"]) == (200, status, [{"status": check}])
    assert (health["vpn_connected"], health["vpn_ip"]) == (vpn.connected, vpn.ip)


def test_a_library_that_cannot_be_read_degrades(tmp_path: Path) -> None:
    """Without its library folder the service is degraded, not down."""
    library = tmp_path / "library"
    shutil.copytree(sample_library(), library)
    shutil.rmtree(library)
    with running(local_app(library, tmp_path / "data")) as url:
        reply = httpx.get(f"{url}/health")
    assert (reply.status_code, reply.json()["status"]) == (200, "degraded")
    assert str(tmp_path) not in reply.text


def test_a_service_that_cannot_run_jobs_says_503(tmp_path: Path) -> None:
    """A failed probe, by verdict or by exception, gives 503 with the same body; /health/live stays 200."""

    async def broken() -> Finding:
        raise OSError("the disk at /secret is gone")

    async def failing() -> Finding:
        return Finding("fail", "no space")

    for probe in (broken, failing):
        with running(assemble(tmp_path, idle, probes={"disk:free": probe})) as url:
            for path in ("/health", "/health/ready"):
                reply = httpx.get(url + path)
                assert (reply.status_code, reply.json()["status"]) == (503, "unhealthy")
                assert "secret" not in reply.text
            assert httpx.get(f"{url}/health/live").status_code == 200


def test_health_never_waits_for_a_probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a probe hangs, /health answers from the last one."""
    rounds = 0
    monkeypatch.setattr("gofer_service.health.PROBE_INTERVAL", 0.01)

    async def slow() -> Finding:
        nonlocal rounds
        rounds += 1
        if rounds > 2:
            await anyio.sleep_forever()
        return Finding("pass")

    app = assemble(tmp_path, idle, probes={"slow:probe": slow})
    with running(app) as url, httpx.Client(base_url=url, timeout=60) as http:
        while rounds < 3:
            time.sleep(0.01)
        assert http.get("/health").json()["status"] == "healthy"
