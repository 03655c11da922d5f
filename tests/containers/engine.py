"""A podman of the tests' own, with its storage and settings in one folder, and a base image that mmdebstrap makes.

The settings suit a machine without systemd and without an engine that runs already. No image is taken from a registry:
``BASE_IMAGE`` names the base, which is the Debian that the Dockerfiles name.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

TOOLS = ("mmdebstrap", "podman", "podman-compose", "runc", "wireguard-go", "wg", "nft", "ip", "nsenter")
BASE = "localhost/debian:bookworm-slim"
CONTAINERS_CONF = """
[containers]
base_hosts_file = "{hosts}"
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
network_config_dir = "{folder}/networks"
"""
STORAGE_CONF = """
[storage]
driver = "overlay"
graphroot = "{folder}/graph"
runroot = "/run/gofer-containers"
"""


def missing() -> str:
    """Return what this machine lacks, or ""."""
    lacking = [tool for tool in TOOLS if shutil.which(tool) is None]
    lacking += [] if Path("/usr/lib/podman/netavark").exists() else ["netavark"]
    lacking += [] if Path("/dev/net/tun").exists() else ["/dev/net/tun"]
    return ", ".join(lacking + ([] if os.geteuid() == 0 else ["root"]))


def environment(folder: Path, hosts: Mapping[str, str]) -> dict[str, str]:
    """Write the settings into the folder; return the environment of podman and of `services.sh`.

    Args:
        folder: where images and containers are stored; a second run finds the images there.
        hosts: names that the containers know beside those of the network, with their addresses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    known = folder / "hosts"
    known.write_text("127.0.0.1 localhost\n" + "".join(f"{address} {name}\n" for name, address in hosts.items()))
    (folder / "containers.conf").write_text(CONTAINERS_CONF.format(folder=folder, hosts=known))
    (folder / "storage.conf").write_text(STORAGE_CONF.format(folder=folder))
    return {
        **os.environ,
        "CONTAINERS_CONF": str(folder / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
        "BUILDAH_ISOLATION": "chroot",  # as good as any for images of our own, and needs no more than root
        "BUILDAH_FORMAT": "docker",  # the other one has no health checks
        "BASE_IMAGE": BASE,
    }


def make_base(env: Mapping[str, str]) -> None:
    """Make the base image, unless it is there: Debian, and the authorities that this machine trusts."""
    if subprocess.run(["podman", "image", "exists", BASE], env=env).returncode == 0:
        return
    quiet = [f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("doc", "man", "locale")]
    trusted = [
        "--include=ca-certificates",
        "--customize-hook=copy-in /usr/local/share/ca-certificates /usr/local/share",
    ]
    trusted += ['--customize-hook=chroot "$1" update-ca-certificates']
    make = ["mmdebstrap", "--quiet", "--variant=minbase", *quiet, *trusted, "bookworm", "-"]
    with subprocess.Popen(make, stdout=subprocess.PIPE) as made:
        subprocess.run(["podman", "import", "-", BASE], env=env, stdin=made.stdout, check=True)
    assert made.returncode == 0


def sizes(env: Mapping[str, str]) -> dict[str, str]:
    """Return the sizes of the images of the project, as podman prints them."""
    words = ["podman", "images", "--format", "{{.Repository}}:{{.Tag}} {{.Size}}"]
    listed = subprocess.run(words, env=env, capture_output=True, text=True, check=True).stdout
    return dict(re.findall(r"^localhost/((?:gofer|debian)[^ ]*) (.*)$", listed, re.MULTILINE))
