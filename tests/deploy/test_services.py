"""`services.sh`: which services would start and why the others would not, the tool it takes, how it says they are."""

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"
KEY = "YAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
WHOLE = f"""\
[Interface]
PrivateKey = {KEY}
Address = 10.99.0.2/32
DNS = 10.99.0.1

[Peer]
PublicKey = {KEY}
Endpoint = vpn.example.org:51820
AllowedIPs = 0.0.0.0/0
"""
NO_VPN = {"api": True, "vpn": False, "api-vpn": False}
ALL = {"api": True, "vpn": True, "api-vpn": True}


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """Copy the folder, as somebody would who wants nothing else of the project."""
    return Path(shutil.copytree(DEPLOY, tmp_path / "copied", ignore=shutil.ignore_patterns("wg0.conf", "private")))


def run(copied: Path, *words: str, path: str = "/usr/bin:/bin", **env: str) -> subprocess.CompletedProcess[str]:
    """Run the script."""
    command = ["bash", str(copied / "services.sh"), *words]
    environment = {"PATH": path, "HOME": str(copied), **env}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def planned(ran: subprocess.CompletedProcess[str]) -> dict[str, bool]:
    """Return which services would start; the plan must succeed."""
    assert ran.returncode == 0, ran.stderr
    lines = [line.split(maxsplit=1) for line in ran.stdout.splitlines()]
    return {name: rest == "starts" for name, rest in lines if name in ALL}


def write(copied: Path, text: str, mode: int = 0o600) -> Path:
    """Write the WireGuard file."""
    file = copied / "secrets" / "wg0.conf"
    file.write_text(text)
    file.chmod(mode)
    return file


def test_no_file(copied: Path) -> None:
    """Without a WireGuard file only the open service starts, and the plan names the file that is missing."""
    ran = run(copied, "plan")
    assert planned(ran) == NO_VPN
    assert ran.stdout.count("there is no WireGuard file") == 2
    assert str(copied / "secrets" / "wg0.conf") in ran.stdout


def test_a_complete_file(copied: Path) -> None:
    """With a complete one all three start."""
    write(copied, WHOLE)
    assert planned(run(copied, "plan")) == ALL


def test_a_file_elsewhere(copied: Path, tmp_path: Path) -> None:
    """WG_CONF names another file, also by a relative path with a space in it."""
    write(copied, WHOLE).rename(tmp_path / "my vpn.conf")
    ran = subprocess.run(
        ["bash", str(copied / "services.sh"), "plan"],
        env={"PATH": "/usr/bin:/bin", "WG_CONF": "my vpn.conf"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert planned(ran) == ALL


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("PrivateKey = ", "# PrivateKey = "),
        ("Endpoint = vpn.example.org:51820", "Endpoint ="),
        ("Endpoint = vpn.example.org:51820", "Endpoint = # to be filled in"),
        ("Address = 10.99.0.2/32\n", ""),
        ("PublicKey = ", "Public_Key = "),
        ("[Peer]\n", ""),
        ("Endpoint = vpn.example.org:51820", "Endpoint = vpn.example.org"),
        (f"PrivateKey = {KEY}", "PrivateKey = <your private key>"),
        (f"PublicKey = {KEY}", "PublicKey = " + KEY[:-2] + "f="),
        ("AllowedIPs", f"[Peer]\nPublicKey = {KEY}\nAllowedIPs"),
    ],
)
def test_a_file_that_is_half_filled_in(copied: Path, old: str, new: str) -> None:
    """The plan names the key that is missing or wrong, and shows no value."""
    assert old in WHOLE
    write(copied, WHOLE.replace(old, new))
    key = {"[Peer]\n": "PublicKey", "AllowedIPs": "PublicKey"}.get(old, old.partition(" ")[0])
    ran = run(copied, "plan")
    assert planned(ran) == NO_VPN
    assert ran.stdout.count(f"is incomplete: {key} ") == 2
    assert KEY not in ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\n", "\r\n"),
        (" = ", "="),
        ("PrivateKey", "privatekey"),
        ("[Peer]", "[peer]  # the institution"),
        ("Endpoint = vpn.example.org:51820", "  Endpoint\t=  [2001:db8::1]:51820 # by number"),
        ("[Peer]", "PostUp = touch {file}\n[Peer]"),
    ],
)
def test_other_spellings_of_a_complete_file(copied: Path, tmp_path: Path, old: str, new: str) -> None:
    """Line ends, blanks, case and comments count as in wg-quick, and no command of the file is run."""
    assert old in WHOLE
    write(copied, WHOLE.replace(old, new.format(file=tmp_path / "run")))
    assert planned(run(copied, "plan")) == ALL
    assert not (tmp_path / "run").exists()


def test_something_that_is_no_file(copied: Path) -> None:
    """A folder in the place of the file, as an engine makes one, does not start the VPN's services."""
    (copied / "secrets" / "wg0.conf").mkdir()
    ran = run(copied, "plan")
    assert planned(ran) == NO_VPN
    assert "cannot be read" in ran.stdout


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o400, False), (0o640, True), (0o604, True)])
def test_keys_that_others_can_read(copied: Path, mode: int, warned: bool) -> None:
    """That is a warning, which says what to do; the services start."""
    write(copied, WHOLE, mode)
    ran = run(copied, "plan")
    assert planned(ran) == ALL
    assert ("chmod 600" in ran.stderr) is warned


@pytest.mark.parametrize(("line", "warned"), [("DNS = 10.99.0.1", False), ("DNS = example.org", True), ("", True)])
def test_names_that_will_not_resolve(copied: Path, line: str, warned: bool) -> None:
    """Without the address of a resolver in the file the plan says that names will not resolve."""
    write(copied, WHOLE.replace("DNS = 10.99.0.1", line))
    ran = run(copied, "plan")
    assert planned(ran) == ALL
    assert ("names will not resolve" in ran.stderr) is warned


def test_a_vpn_that_is_not_watched(copied: Path) -> None:
    """The plan says so if the service behind the VPN has no probe."""
    write(copied, WHOLE)
    config = copied / "config" / "api-vpn.toml"
    assert "vpn.probe" in run(copied, "plan").stderr
    config.write_text(config.read_text() + '\n[vpn]\nprobe = "http://example.org/ip"\naddresses = ["192.0.2.1"]\n')
    assert "vpn.probe" not in run(copied, "plan").stderr


def test_the_implementation_that_would_run(copied: Path) -> None:
    """A Dockerfile at private/ is built in place of ours, and SERVICE_IMAGE goes before it."""
    (copied / "private").mkdir()
    assert "built from" not in run(copied, "plan").stdout
    (copied / "private" / "Dockerfile").touch()
    assert f"built from {copied}/private" in run(copied, "plan").stdout
    assert "the image example.org/other:1" in run(copied, "plan", SERVICE_IMAGE="example.org/other:1").stdout


# --- the container tool ---

TOOLS = {
    "docker": ["docker compose version", "docker info"],
    "podman": ["podman compose version", "podman info"],
    "podman-compose": ["podman-compose --version", "podman info"],
}


@contextmanager
def tools(folder: Path, answers: list[str], printed: dict[str, str] | None = None) -> Generator[tuple[str, Path]]:
    """Make tools that log what they are called with, and succeed where they are to; give the path and the log."""
    folder.mkdir()
    log = folder / "log"
    for name in TOOLS:
        cases = "".join(f'"{words}"*) ;;\n' for words in answers)
        cases += "".join(f'"{words}"*) echo "{text}" ;;\n' for words, text in (printed or {}).items())
        tool = folder / name
        tool.write_text(f'#!/bin/sh\necho "{name} $*" >>{log}\ncase "{name} $*" in\n{cases}*) exit 1 ;;\nesac\n')
        tool.chmod(0o755)
    yield f"{folder}:/usr/bin:/bin", log


@pytest.mark.parametrize(
    ("working", "taken"),
    [
        (["docker", "podman", "podman-compose"], "docker compose"),
        (["podman", "podman-compose"], "podman compose"),
        (["podman-compose"], "podman-compose"),
    ],
)
def test_the_first_tool_whose_engine_answers(copied: Path, tmp_path: Path, working: list[str], taken: str) -> None:
    """docker compose, podman compose and podman-compose are tried in this order; a docker without a daemon is left."""
    answers = [words for name in working for words in TOOLS[name]] + [f"{taken} --file"]
    if working[0] != "docker":
        answers.append("docker compose version")
    with tools(tmp_path / "bin", answers) as (path, log):
        ran = run(copied, "stop", path=path)
    assert ran.returncode == 0, ran.stderr
    assert log.read_text().splitlines()[-1] == f"{taken} --file {copied}/compose.yaml --profile vpn down"


def test_no_tool(copied: Path, tmp_path: Path) -> None:
    """Where none answers, start and status say which were tried."""
    with tools(tmp_path / "bin", ["docker compose version"]) as (path, _):
        for words in ("start", "status", "stop", "logs"):
            ran = run(copied, words, path=path)
            assert (ran.returncode, ran.stdout) == (1, "")
            assert "tried docker compose, podman compose and podman-compose" in ran.stderr


class Health(BaseHTTPRequestHandler):
    """A service whose checks have states of their own."""

    def do_GET(self) -> None:
        """Answer."""
        body = {"checks": {"vpn:exit": [{"status": "warn"}]}, "vpn_ip": "192.0.2.7", "vpn_connected": True}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({**body, "status": "degraded"}, indent=1).encode())

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def test_status_of_services_that_run(copied: Path, tmp_path: Path) -> None:
    """Each service is asked for its health by the script itself, as a table and as JSON."""
    answers = [*TOOLS["docker"], "docker exec"]
    with (
        tools(tmp_path / "bin", answers, {"docker ps": "c0ffee"}) as (path, _),
        HTTPServer(("127.0.0.1", 0), Health) as server,
    ):
        threading.Thread(target=server.serve_forever).start()
        port = str(server.server_port)
        table = run(copied, "status", path=path, API_PORT=port, VPN_PORT=port)
        as_json = run(copied, "status", "--json", path=path, API_PORT="9", VPN_PORT=port)
        server.shutdown()
    assert table.returncode == 0, table.stderr
    assert [line.split() for line in table.stdout.splitlines()] == [
        ["SERVICE", "RUNS", "HEALTH", "VPN"],
        ["api", "yes", "degraded", "up", "(192.0.2.7)"],
        ["vpn", "yes", "healthy", "up"],
        ["api-vpn", "yes", "degraded", "up", "(192.0.2.7)"],
    ]
    assert json.loads(as_json.stdout) == [
        {"service": "api", "runs": True, "health": "no answer", "vpn": None, "vpn_ip": None},
        {"service": "vpn", "runs": True, "health": "healthy", "vpn": "up", "vpn_ip": None},
        {"service": "api-vpn", "runs": True, "health": "degraded", "vpn": "up", "vpn_ip": "192.0.2.7"},
    ]


def test_status_of_services_that_do_not_run(copied: Path, tmp_path: Path) -> None:
    """Nothing is asked of a service that does not run."""
    with tools(tmp_path / "bin", [*TOOLS["docker"], "docker ps"]) as (path, _):
        ran = run(copied, "status", "--json", path=path)
    assert [entry["runs"] for entry in json.loads(ran.stdout)] == [False, False, False]


def test_help_and_wrong_words(copied: Path) -> None:
    """Without a word the usage is printed; a wrong word is an error with the usage."""
    assert "services.sh plan" in run(copied).stdout
    wrong = run(copied, "begin")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "services.sh plan" in wrong.stderr


def test_the_script_can_be_run() -> None:
    """It has the permission to be executed."""
    assert os.access(DEPLOY / "services.sh", os.X_OK)
