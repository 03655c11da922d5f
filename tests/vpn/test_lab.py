"""The service behind a real WireGuard: what is found, what is noticed, what leaves, and what heals. See `lab`.

The seconds until a failure was noticed are printed beside the bound; no test fails by them.
"""

import subprocess
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import uvicorn
from tests.vpn.lab import INSTITUTION, MARK, OTHER, OUTSIDE, PORT, PUBLISHER, Lab, lab, missing, wait
from tests.vpn.publisher import PDF, SLOW
from tests.vpn.ways_out import WAYS_OUT

from gofer import AsyncRetrieveClient, JobFailed, RetrieveClient
from gofer_service import local_app
from gofer_service.server import _listen, _run, _url
from gofer_service.settings import CrossrefSettings, FetchSettings, Settings, SourcesSettings, VpnSettings
from gofer_service.sources.chosen import chosen
from gofer_service.vpn import TunnelWatch

EVERY, TIMEOUT = 5.0, 2.0
BOUND = EVERY + TIMEOUT


@contextmanager
def served(network: Lab, folder: Path) -> Generator[str]:
    """Run the service inside of the lab, with its listening socket outside; give its address."""
    settings = Settings(
        sources=SourcesSettings(
            order=("crossref",), crossref=CrossrefSettings(None, f"http://{PUBLISHER}/crossref", 0.0)
        ),
        fetch=FetchSettings(allow=(PUBLISHER,), gap=0.0),
        vpn=VpnSettings(f"http://{PUBLISHER}/ip", (INSTITUTION,), network.wg, EVERY, TIMEOUT),
    )
    ready: Future[uvicorn.Server] = Future()
    app = local_app(
        folder, folder / "data", choices=chosen(settings, folder), fetch=settings.fetch, vpn=TunnelWatch(settings.vpn)
    )

    def work() -> None:
        with network.entered():
            anyio.run(_run, app, listener, ready.set_result)

    with _listen("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=work)
        thread.start()
        server = ready.result(30)
        try:
            yield _url(listener)
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def network() -> Generator[Lab]:
    """Build the lab."""
    assert not missing(), f"the lab needs {missing()}"
    with lab() as made:
        yield made


@pytest.fixture(scope="module")
def url(network: Lab, tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """Run the service, and wait for its VPN."""
    with served(network, tmp_path_factory.mktemp("service")) as address:
        wait(lambda: health(address)["vpn_connected"])
        yield address


def health(url: str) -> dict[str, Any]:
    """Ask for the health."""
    return dict(httpx.get(f"{url}/health", timeout=10, trust_env=False).json())


def fetch(url: str, doi: str, path: Path, **options: Any) -> bytes:
    """Fetch a paper anew, by the blocking face."""
    with RetrieveClient(base_url=url, headers={"cache-control": "no-cache"}, **options) as client:
        client.retrieve_and_download(doi, path, timeout=120)
    return path.read_bytes()


def test_a_paper_that_only_the_institution_gets(network: Lab, url: str, tmp_path: Path) -> None:
    """Both faces get the paper through the tunnel, and the client sees that the VPN is up, and its address."""

    async def awaited() -> None:
        async with AsyncRetrieveClient(base_url=url) as client:
            await client.retrieve_and_download("10.5555/awaited", tmp_path / "b.pdf", timeout=60)
            assert await client.health_check()

    assert fetch(url, "10.5555/blocking", tmp_path / "a.pdf") == PDF
    anyio.run(awaited)
    assert (tmp_path / "b.pdf").read_bytes() == PDF
    assert health(url)["vpn_ip"] == INSTITUTION
    assert network.leaked() == 0


BROKEN: dict[str, tuple[Callable[[Lab], None], Callable[[Lab], None], str]] = {
    "our daemon is killed": (lambda made: made.kill("tunnel"), Lab.start_tunnel, "interface"),
    "the peer is killed": (lambda made: made.kill("peer"), Lab.start_peer, "exit"),
    "the path is black-holed": (Lab.black_hole, Lab.white_hole, "exit"),
    "the key is revoked": (Lab.revoke_key, Lab.allow_key, "exit"),
    "the egress is broken": (Lab.break_egress, Lab.mend_egress, "exit"),
    "the exit is a wrong one": (
        lambda made: made.masquerade(OTHER),
        lambda made: made.masquerade(INSTITUTION),
        "exit",
    ),
}


@pytest.mark.parametrize(("damage", "mend", "signal"), BROKEN.values(), ids=BROKEN.keys())
def test_a_tunnel_that_breaks_and_heals(
    network: Lab,
    url: str,
    tmp_path: Path,
    damage: Callable[[Lab], None],
    mend: Callable[[Lab], None],
    signal: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Every failure is noticed by its signal, jobs end as VPN_ERROR, nothing leaves, and it heals without a restart."""
    damage(network)
    down = wait(lambda: not health(url)["vpn_connected"])
    seen = health(url)
    assert seen["status"] == "degraded"
    assert signal in [name.partition(":")[2] for name, (check,) in seen["checks"].items() if check["status"] == "warn"]
    with pytest.raises(JobFailed) as failed:
        fetch(url, "10.5555/down", tmp_path / "down.pdf")
    assert failed.value.error_code == "VPN_ERROR"
    with RetrieveClient(base_url=url) as client:
        assert not client.health_check()
    mend(network)
    up = wait(lambda: health(url)["vpn_connected"], 60)
    assert fetch(url, "10.5555/up", tmp_path / "up.pdf") == PDF
    assert network.leaked() == 0
    with capsys.disabled():
        print(f"\n  noticed after {down:.1f} s (bound {BOUND:g} s), well again after {up:.1f} s", end=" ")


def test_a_download_in_flight_survives_an_outage(network: Lab, url: str, tmp_path: Path) -> None:
    """A file that is coming in when the path is lost for thirty seconds comes complete."""
    with RetrieveClient(base_url=url, headers={"cache-control": "no-cache"}) as client:
        job = client.retrieve("10.5555/slow", timeout_seconds=120)
        wait(lambda: (client.get_job_status(job.job_id).bytes_done or 0) > 0)
        network.black_hole()
        threading.Event().wait(30)
        assert client.get_job_status(job.job_id).status == "downloading"
        network.white_hole()
        assert job.download(tmp_path / "slow.pdf", timeout=100).read_bytes() == SLOW
    assert network.leaked() == 0
    wait(lambda: health(url)["vpn_connected"], 60)


def try_every_way_out(network: Lab) -> None:
    """Try to leave the service's namespace beside the tunnel: TCP, UDP, DNS, ICMP and IPv6, bound, marked and plain."""
    words = (PUBLISHER, INSTITUTION, "198.18.1.1", OUTSIDE, network.name("vsvc"), MARK, str(PORT))
    network.within("svc", "python3", "-c", WAYS_OUT, *words)


@pytest.mark.parametrize("state", ["up", "peer dead", "daemon dead", "back"])
def test_nothing_leaves_outside_of_the_tunnel(network: Lab, state: str) -> None:
    """In every state of the tunnel not one packet of ten ways out reaches the internet side."""
    match state:
        case "peer dead":
            network.kill("peer")
        case "daemon dead":
            network.kill("tunnel")
    try_every_way_out(network)
    leaked = network.leaked()
    match state:
        case "peer dead":
            network.start_peer()
        case "daemon dead":
            network.start_tunnel()
    assert leaked == 0


def test_without_the_wall_packets_leave() -> None:
    """The control: the same ways out leak where there is no wall, even while the tunnel is up."""
    with lab(wall=False) as network:
        try_every_way_out(network)
        up = network.leaked()
        network.kill("tunnel")
        try_every_way_out(network)
        assert (up > 0, network.leaked() > up) == (True, True)
        words = ("ip", "netns", "exec", network.name("svc"), "curl", "-sS", "-m", "5", f"http://{PUBLISHER}/paper.pdf")
        assert "Sign in" in subprocess.run(words, capture_output=True, text=True, check=True).stdout


def test_the_health_is_quick_while_the_peer_is_dead(network: Lab, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """/health answers from the last finding, and does not wait for a probe that hangs."""
    network.kill("peer")
    wait(lambda: not health(url)["vpn_connected"])
    with httpx.Client(base_url=url, trust_env=False) as http:
        times = sorted(http.get("/health").elapsed.total_seconds() for _ in range(200))
    network.start_peer()
    wait(lambda: health(url)["vpn_connected"], 60)
    with capsys.disabled():
        print(f"\n  /health with a dead peer: p95 {1000 * times[189]:.1f} ms (target 10 ms)", end=" ")
    assert times[100] < TIMEOUT
