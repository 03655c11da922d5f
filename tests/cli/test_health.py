"""`gofer health`."""

import json
import subprocess

from contract_server import contract_server
from support.raw_server import http, raw_server

from .shell import GOFER, environment, gofer, one_object

FIELDS = {"status", "vpn_connected", "vpn_ip", "capabilities", "contract", "version", "checks", "can_run", "error"}


def test_healthy(url: str) -> None:
    """A service that can run jobs is exit code 0, as text and as the documented object."""
    ran = gofer("health", url=url)
    assert ran.returncode == 0
    assert ran.stdout.startswith(f"{url} is healthy: jobs can run\n")
    document = one_object(gofer("health", "--json", "--url", url).stdout)
    assert set(document) == FIELDS
    assert (document["status"], document["can_run"], document["error"]) == ("healthy", True, None)


def test_degraded() -> None:
    """A service whose VPN is down can run jobs: exit code 0."""
    with contract_server(degraded=True) as url:
        ran = gofer("health", "--json", url=url)
    assert (ran.returncode, one_object(ran.stdout)["status"]) == (0, "degraded")


def test_unhealthy() -> None:
    """A service that answers and cannot run jobs is exit code 3."""
    with raw_server(lambda _: [http(503, json.dumps({"status": "unhealthy"}))]) as server:
        ran = gofer("health", url=server.url)
    assert ran.returncode == 3
    assert "jobs cannot run" in ran.stdout


def test_nobody_there() -> None:
    """No answer is exit code 3, a line on stderr, and the same object with nulls."""
    ran = gofer("health", "--json", url="http://127.0.0.1:9")
    assert ran.returncode == 3
    assert "no service answers at http://127.0.0.1:9" in ran.stderr
    document = one_object(ran.stdout)
    assert set(document) == FIELDS
    assert (document["status"], document["can_run"]) == (None, False)
    assert document["error"] == "no service answers at http://127.0.0.1:9"


def test_a_reader_that_leaves(url: str) -> None:
    """Stdout that is closed early causes no traceback."""
    with subprocess.Popen(
        [*GOFER, "health"], env=environment(SERVICE_URL=url), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        assert child.stderr.read() == ""
