"""What the images and the compose file are made of: locks with hashes, settings that load, ports on loopback."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from gofer_service.config import load

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
LOCKED = re.compile(r"^([a-z0-9-]+)==(\S+?)(?: ; .*?)? \\$", re.MULTILINE)


@pytest.mark.parametrize("lock", ["service.lock", "build.lock"])
def test_locks_have_hashes_and_no_host(lock: str) -> None:
    """Each package has a version and hashes, and nothing names a registry."""
    text = (DEPLOY / "service" / lock).read_text()
    assert "//" not in text
    assert not re.search(r"^-", text, re.MULTILINE)
    entries = re.split(r"\n(?=\S)", text.strip())
    assert len(entries) == len(LOCKED.findall(text)) > 4
    assert all("--hash=sha256:" in entry for entry in entries)


def test_the_lock_fits_the_project() -> None:
    """What the project needs to serve is in the lock, in a version that the project takes."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked = dict(LOCKED.findall((DEPLOY / "service" / "service.lock").read_text()))
    for text in project["dependencies"] + project["optional-dependencies"]["service"]:
        wanted = Requirement(text)
        assert Version(locked[wanted.name]) in wanted.specifier


@pytest.mark.parametrize("name", ["api", "api-vpn"])
def test_the_configurations_load(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The configurations that come with the compose file are right, also with the lines that are to be filled in."""
    monkeypatch.delenv("SERVICE_REMOTE", raising=False)
    file = DEPLOY / "config" / f"{name}.toml"
    settings = load(file, {})
    assert (settings.serve.host, settings.serve.open, settings.jobs.data) == ("0.0.0.0", True, Path("/data"))
    assert settings.vpn.probe is None


def test_what_is_commented_out_loads_too(tmp_path: Path) -> None:
    """The table [vpn] of the configuration behind the VPN is right once it is filled in."""
    text = (DEPLOY / "config" / "api-vpn.toml").read_text()
    file = tmp_path / "filled.toml"
    file.write_text(re.sub(r"^# (?=\[vpn\]|probe|addresses|interface)", "", text, flags=re.MULTILINE))
    assert load(file, {}).vpn.interface == "wg0"


def test_ports_are_on_loopback() -> None:
    """No port is published beyond this machine."""
    text = (DEPLOY / "compose.yaml").read_text()
    ports = re.findall(r'ports: \["([^"]*)"\]', text)
    assert len(ports) == len(re.findall(r"ports:", text)) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)
