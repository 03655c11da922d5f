"""The images, built and run from the files in `deploy/`, through `services.sh`, with the clients outside.

The tests go from one state to the next, in their order. Seconds and sizes are printed; no test fails by them.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from attrs import frozen
from tests.containers.another.server import PAPER
from tests.containers.engine import BASE, environment, make_base, missing, sizes
from tests.vpn.lab import INSTITUTION, MARK, NAME, PORT, PUBLISHER, RESOLVER, Lab, surroundings, wait
from tests.vpn.publisher import PDF
from tests.vpn.ways_out import WAYS_OUT

from dialects.servers.processes import free_port
from gofer import AsyncRetrieveClient, JobFailed, RetrieveClient

HERE = Path(__file__).parents[2]
STORAGE = HERE / ".nox" / "containers"
ENDPOINT = "vpn.institution.example"
API, VPN = free_port(), free_port()
SAMPLE = "10.5555/12345678"
API_VPN = f"""
[sources]
order = ["crossref"]
[sources.crossref]
base = "http://{NAME}/crossref"
gap = 0
[fetch]
allow = ["{PUBLISHER}"]
gap = 0
[vpn]
probe = "http://{NAME}/ip"
addresses = ["{INSTITUTION}"]
interface = "wg0"
[jobs]
data = "/data"
[serve]
host = "0.0.0.0"
open = true
allow_hosts = ["vpn"]
"""


@frozen
class Deployed:
    """A copy of the project from which the services are run, and the network around it."""

    folder: Path
    env: dict[str, str]
    network: Lab

    @property
    def wireguard_file(self) -> Path:
        """The file that makes the VPN's services start."""
        return self.folder / "deploy" / "secrets" / "wg0.conf"

    def services(self, *words: str, **env: str) -> str:
        """Run `services.sh`, which must succeed; return what it prints."""
        script = [str(self.folder / "deploy" / "services.sh"), *words]
        ran = subprocess.run(script, env={**self.env, **env}, capture_output=True, text=True, timeout=600)
        assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
        return ran.stdout

    def status(self) -> dict[str, dict[str, Any]]:
        """Return how each service is."""
        return {entry.pop("service"): entry for entry in json.loads(self.services("status", "--json"))}

    def podman(self, *words: str) -> str:
        """Run podman, which must succeed; return what it prints."""
        ran = subprocess.run(["podman", *words], env=self.env, capture_output=True, text=True, timeout=60)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.strip()

    def container(self, service: str) -> str:
        """Return the id of a service's container."""
        return self.podman("ps", "-aq", "--filter", f"label=com.docker.compose.service={service}")

    def about(self, service: str, what: str) -> str:
        """Return what podman knows of it."""
        return self.podman("inspect", "--format", f"{{{{.{what}}}}}", self.container(service))

    def inside(self, *words: str) -> str:
        """Run a program of this machine, as root, in the network of the VPN's services."""
        ran = subprocess.run(
            ["nsenter", f"--net=/proc/{self.about('api-vpn', 'State.Pid')}/ns/net", *words],
            capture_output=True,
            text=True,
            timeout=60,
        )
        return ran.stdout + ran.stderr


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Generator[Deployed]:
    """Copy what git has, build the base image, and build the network around this machine."""
    assert not missing(), f"the containers need {missing()}"
    folder = tmp_path_factory.mktemp("project")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "deploy", "src", "*.md", "LICENSE", "pyproject.toml", ".dockerignore"],
        cwd=HERE,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(HERE / name, folder / name)
    (folder / "deploy" / "config" / "api-vpn.toml").write_text(API_VPN)
    env = environment(STORAGE, {ENDPOINT: INSTITUTION}) | {
        "API_PORT": str(API),
        "VPN_PORT": str(VPN),
        "COMPOSE_PROJECT_NAME": "gofer-lab",
    }
    make_base(env)
    with surroundings() as network:
        made = Deployed(folder, env, network)
        made.services("stop")
        try:
            yield made
        finally:
            print(made.services("logs"), file=sys.stderr)
            made.services("stop")


def configure(deployed: Deployed, **options: Any) -> None:
    """Give the services a WireGuard file."""
    deployed.wireguard_file.write_text(deployed.network.wireguard_file(endpoint=ENDPOINT, **options))
    deployed.wireguard_file.chmod(0o600)


def fetch(port: int, doi: str, path: Path) -> bytes:
    """Fetch a paper anew, by the blocking face."""
    with RetrieveClient(port=port, headers={"cache-control": "no-cache"}) as client:
        client.retrieve_and_download(doi, path, timeout=120)
    return path.read_bytes()


def health(port: int) -> dict[str, Any]:
    """Ask for the health."""
    return dict(httpx.get(f"http://127.0.0.1:{port}/health", timeout=10, trust_env=False).json())


def leaks(deployed: Deployed) -> int:
    """Try to leave beside the tunnel; return how many packets did."""
    before = deployed.network.leaked()
    device = deployed.inside("ip", "-o", "route", "show", "default").split(" dev ")[1].split()[0]
    router = deployed.inside("ip", "-o", "route", "show", "default").split(" via ")[1].split()[0]
    address = re.findall(r"inet ([0-9.]+)", deployed.inside("ip", "-4", "addr", "show", "dev", device))[0]
    said = deployed.inside("python3", "-c", WAYS_OUT, PUBLISHER, INSTITUTION, router, address, device, MARK, str(PORT))
    assert not said
    return deployed.network.leaked() - before


def test_without_a_wireguard_file_only_the_open_service_starts(deployed: Deployed, tmp_path: Path) -> None:
    """The images are built, `api` alone starts, and the demo's errand works."""
    deployed.services("start", "--build")
    assert {name: entry["runs"] for name, entry in deployed.status().items()} == {
        "api": True,
        "vpn": False,
        "api-vpn": False,
    }
    assert fetch(API, SAMPLE, tmp_path / "a.pdf").startswith(b"%PDF")
    assert health(API)["checks"]["source:remote"][0]["status"] == "not_configured"
    deployed.services("stop")


def test_with_one_all_start_and_papers_come(
    deployed: Deployed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All three run and are healthy; both faces get a paper that only the institution gets, at either address."""
    configure(deployed)
    deployed.services("start", "--build")
    deployed.services("stop")
    began = time.monotonic()
    deployed.services("start")
    took = time.monotonic() - began
    wait(lambda: health(VPN)["vpn_connected"])
    up = time.monotonic() - began
    healthy = {
        "api": {"runs": True, "health": "healthy", "vpn": None, "vpn_ip": None},
        "vpn": {"runs": True, "health": "healthy", "vpn": "up", "vpn_ip": None},
        "api-vpn": {"runs": True, "health": "healthy", "vpn": "up", "vpn_ip": INSTITUTION},
    }
    wait(lambda: deployed.status() == healthy)  # each container's check comes round at its own time

    async def awaited() -> None:
        async with AsyncRetrieveClient(port=API) as client:
            await client.retrieve_and_download("10.5555/awaited", tmp_path / "b.pdf", timeout=60)

    assert fetch(VPN, "10.5555/blocking", tmp_path / "a.pdf") == PDF
    anyio.run(awaited)
    assert (tmp_path / "b.pdf").read_bytes() == PDF
    assert deployed.network.leaked() == 0
    with capsys.disabled():
        print(f"\n  start {took:.1f} s (target 5 s), VPN up after {up:.1f} s; images {sizes(deployed.env)}", end=" ")


def test_names_are_looked_up_through_the_tunnel_only(deployed: Deployed) -> None:
    """Both containers have the resolver of the WireGuard file, and the engine's own one is refused."""
    (engine,) = {
        line.split()[2]
        for line in deployed.podman("exec", deployed.container("vpn"), "cat", "/etc/resolv.conf").splitlines()
        if line.startswith("#outside nameserver 10.89")
    }
    for service in ("vpn", "api-vpn"):
        lines = deployed.podman("exec", deployed.container(service), "cat", "/etc/resolv.conf").splitlines()
        assert [line for line in lines if line.startswith("nameserver")] == [f"nameserver {RESOLVER}"]
    ask = "import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.sendto(b'x' * 17, ('{}', 53))"
    assert "PermissionError" in deployed.inside("python3", "-c", ask.format(engine))
    assert "PermissionError" in deployed.inside("python3", "-c", ask.format("127.0.0.11"))


def test_the_service_can_do_little(deployed: Deployed) -> None:
    """It has no capability, an unprivileged user, and a root that it cannot write to."""
    look = "import os; print(os.getuid()); print(open('/proc/self/status').read())"
    for service in ("api", "api-vpn"):
        said = deployed.podman("exec", deployed.container(service), "/opt/gofer/bin/python", "-c", look)
        assert said.startswith("10001\n")
        assert re.findall(r"^Cap(?:Eff|Prm|Bnd):\t0*$", said, re.MULTILINE).__len__() == 3
        assert "NoNewPrivs:\t1" in said
        assert deployed.about(service, "HostConfig.ReadonlyRootfs") == "true"


def test_a_tunnel_that_is_killed_is_made_again_in_place(
    deployed: Deployed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is closed at once, nothing leaves, and it is up again without a restart of either container."""
    started = [deployed.about(service, "State.StartedAt") for service in ("vpn", "api-vpn")]
    watch = deployed.about("vpn", "State.Pid")
    os.kill(int(watch), 19)  # the watch stands still, so that the state lasts
    subprocess.run(["pkill", "-KILL", "-f", "wireguard-go -f wg0$"], check=True)
    began = time.monotonic()
    assert leaks(deployed) == 0
    wait(lambda: not health(VPN)["vpn_connected"])
    down = time.monotonic() - began
    with pytest.raises(JobFailed) as failed:
        fetch(API, "10.5555/down", tmp_path / "down.pdf")
    assert failed.value.error_code == "VPN_ERROR"
    assert deployed.status()["vpn"] == {"runs": True, "health": "unhealthy", "vpn": "down", "vpn_ip": None}
    assert deployed.status()["api-vpn"]["vpn"] == "down"
    os.kill(int(watch), 18)
    back = wait(lambda: health(VPN)["vpn_connected"], 60)
    assert fetch(API, "10.5555/up", tmp_path / "up.pdf") == PDF
    assert [deployed.about(service, "State.StartedAt") for service in ("vpn", "api-vpn")] == started
    assert deployed.network.leaked() == 0
    with capsys.disabled():
        print(f"\n  /health said so after {down:.1f} s (bound 7 s), well again after {back:.1f} s", end=" ")


def test_nothing_leaves_while_the_peer_is_dead(deployed: Deployed, capsys: pytest.CaptureFixture[str]) -> None:
    """No packet of ten ways out leaves, with the tunnel up or its other end dead, and /health answers at once."""
    assert leaks(deployed) == 0
    deployed.network.kill("peer")
    wait(lambda: not health(VPN)["vpn_connected"])
    assert leaks(deployed) == 0
    with httpx.Client(base_url=f"http://127.0.0.1:{VPN}", trust_env=False) as http:
        times = sorted(http.get("/health").elapsed.total_seconds() for _ in range(200))
    deployed.network.start_peer()
    wait(lambda: health(VPN)["vpn_connected"], 60)
    with capsys.disabled():
        print(f"\n  /health with a dead peer: p95 {1000 * times[189]:.1f} ms (target 10 ms)", end=" ")


def test_a_restarted_vpn_container_keeps_everything_closed(deployed: Deployed) -> None:
    """A container that has lost its VPN's container sends nothing, and the new one looks up its endpoint again."""
    deployed.podman("stop", "--time", "1", deployed.container("vpn"))
    assert deployed.network.leaked() == 0
    assert "Unreachable" in deployed.inside(
        "python3", "-c", f"import socket; socket.create_connection(('{PUBLISHER}', 80), 3)"
    ).replace("unreachable", "Unreachable")
    deployed.podman("start", deployed.container("vpn"))
    wait(lambda: deployed.status()["vpn"]["health"] == "healthy", 60)
    assert deployed.network.leaked() == 0


def test_without_the_wall_packets_leave(deployed: Deployed) -> None:
    """The control: the same ways out leak from the same containers once the wall is taken away."""
    deployed.services("stop")
    deployed.services("start")
    wait(lambda: health(VPN)["vpn_connected"], 60)
    deployed.inside("nft", "delete", "table", "inet", "killswitch")
    assert leaks(deployed) > 0
    deployed.services("stop")


def test_an_image_of_another_make(deployed: Deployed, tmp_path: Path) -> None:
    """SERVICE_IMAGE puts it in place of ours, and the same errand runs through the same compose file."""
    deployed.wireguard_file.unlink()
    deployed.podman(
        "build",
        "--build-arg",
        f"BASE_IMAGE={BASE}",
        "--tag",
        "localhost/another:1",
        str(Path(__file__).parent / "another"),
    )
    deployed.services("start", SERVICE_IMAGE="localhost/another:1")
    assert deployed.status()["api"] == {"runs": True, "health": "healthy", "vpn": None, "vpn_ip": None}
    assert fetch(API, SAMPLE, tmp_path / "a.pdf") == PAPER
    deployed.services("stop")


def test_a_submodule_is_built_in_place_of_ours(deployed: Deployed, tmp_path: Path) -> None:
    """A git submodule at deploy/private is built and run."""
    theirs, who = tmp_path / "theirs", ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    shutil.copytree(Path(__file__).parent / "another", theirs)
    for repository in (theirs, deployed.folder):
        subprocess.run(["git", "init", "-q"], cwd=repository, check=True)
    subprocess.run(["git", "add", "."], cwd=theirs, check=True)
    subprocess.run(["git", *who, "commit", "-qm", "theirs"], cwd=theirs, check=True)
    add = ["git", "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(theirs), "deploy/private"]
    subprocess.run(add, cwd=deployed.folder, check=True)
    assert "deploy/private" in deployed.services("plan")
    deployed.services("start")
    assert fetch(API, SAMPLE, tmp_path / "a.pdf") == PAPER
    deployed.services("stop")
