"""A lab of three network namespaces on one machine: the service, the internet, and the institution; a tunnel between.

    service  10.99.0.2 === WireGuard === 10.99.0.1  institution
      198.18.1.2  ---  internet (publisher 198.51.100.10)  ---  198.18.2.2

The service's namespace sends everything into the tunnel, except for the tunnel's own packets, and has the wall of
`deploy/vpn/killswitch.sh`. The institution sends what comes out of the tunnel as its own, and answers queries for names
that come out of it. Each way to break the tunnel is a method, and another one mends it. Root is needed, wireguard-go,
wireguard-tools, nftables and iproute2.

For containers (`Lab.build_around`) this machine stands in the place of the service's namespace, and the containers make
the wall and the tunnel themselves, by `Lab.wireguard_file`.
"""

import contextlib
import ctypes
import os
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from attrs import define, field

PUBLISHER = "198.51.100.10"
INSTITUTION = "198.18.2.2"
OTHER = "198.18.2.3"
OUTSIDE = "198.18.1.2"
RESOLVER = "10.99.0.1"
NAME = "publisher.example"
PORT = 51820
MARK = "23820"
SERVICE_PORT = 8000
KILLSWITCH = Path(__file__).parents[2] / "deploy" / "vpn" / "killswitch.sh"
TOOLS = ("wireguard-go", "wg", "nft", "ip")
_NEWNET = 0x40000000


def missing() -> str:
    """Return what the lab lacks on this machine, or ""."""
    lacking = [tool for tool in TOOLS if shutil.which(tool) is None]
    if os.geteuid() != 0:
        lacking.append("root")
    if not Path("/dev/net/tun").exists():
        lacking.append("/dev/net/tun")
    return ", ".join(lacking)


def run(*words: str, given: str | None = None) -> str:
    """Run a command that must succeed; return what it prints."""
    ran = subprocess.run(words, input=given, capture_output=True, text=True, timeout=30)
    assert ran.returncode == 0, (words, ran.stderr)
    return ran.stdout.strip()


@define
class Lab:
    """The running lab. Names are unique on the machine, since control sockets are seen from everywhere."""

    tag: str = field(factory=lambda: secrets.token_hex(2))
    _here: bool = False
    _children: dict[str, subprocess.Popen[bytes]] = field(factory=dict)
    _keys: dict[str, tuple[str, str]] = field(factory=dict, repr=False)

    def name(self, what: str) -> str:
        """Return the name of a namespace or an interface."""
        return f"gf{what}{self.tag}"

    def within(self, where: str, *words: str, given: str | None = None) -> str:
        """Run a command in a namespace."""
        return run(*self._at(where), *words, given=given)

    def _at(self, where: str) -> tuple[str, ...]:
        return () if self._is_here(where) else ("ip", "netns", "exec", self.name(where))

    def _is_here(self, where: str) -> bool:
        return self._here and where == "svc"

    # --- building ---

    def build(self, *, wall: bool = True) -> None:
        """Make the namespaces, the links, the publisher and the tunnel."""
        self._build_outside()
        if wall:
            self.within("svc", "sh", str(KILLSWITCH), self.wg, INSTITUTION, str(PORT), "127.0.0.0/8", str(SERVICE_PORT))
        self.start_tunnel()

    def build_around(self) -> None:
        """Make everything but the service's namespace and its end of the tunnel."""
        self._here = True
        self._build_outside()

    def _build_outside(self) -> None:
        for where in ("net", "ins") if self._here else ("svc", "net", "ins"):
            run("ip", "netns", "add", self.name(where))
            self.within(where, "ip", "link", "set", "lo", "up")
        self._link("svc", OUTSIDE, "198.18.1.1")
        self._link("ins", INSTITUTION, "198.18.2.1")
        self.within("net", "ip", "addr", "add", f"{PUBLISHER}/32", "dev", "lo")
        self.within("ins", "ip", "addr", "add", f"{OTHER}/24", "dev", self.name("vins"))
        for where in ("net", "ins"):
            self.within(where, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        self._count()
        publisher = [sys.executable, str(Path(__file__).with_name("publisher.py")), PUBLISHER, INSTITUTION]
        self._start("publisher", "net", *publisher)
        for side in ("svc", "ins"):
            private = run("wg", "genkey")
            self._keys[side] = private, run("wg", "pubkey", given=private)
        self.start_peer()
        self.masquerade(INSTITUTION)
        self._start("names", "ins", sys.executable, str(Path(__file__).with_name("names.py")), NAME, PUBLISHER)

    def wireguard_file(self, *, endpoint: str = INSTITUTION, dns: str | None = RESOLVER) -> str:
        """Return the file that the institution gives to its members."""
        lines = ["[Interface]", f"PrivateKey = {self._keys['svc'][0]}", "Address = 10.99.0.2/32"]
        lines += [] if dns is None else [f"DNS = {dns}"]
        lines += ["", "[Peer]", f"PublicKey = {self._keys['ins'][1]}", f"Endpoint = {endpoint}:{PORT}"]
        return "\n".join([*lines, "AllowedIPs = 0.0.0.0/0", ""])

    @property
    def wg(self) -> str:
        """The interface of the tunnel in the service's namespace."""
        return self.name("wg")

    def _link(self, where: str, address: str, router: str) -> None:
        inner, outer = self.name(f"v{where}"), self.name(f"n{where}")
        place = () if self._is_here(where) else ("netns", self.name(where))
        peer = ("type", "veth", "peer", "name", outer, "netns", self.name("net"))
        run("ip", "link", "add", inner, *place, *peer)
        self.within(where, "ip", "addr", "add", f"{address}/24", "dev", inner)
        self.within("net", "ip", "addr", "add", f"{router}/24", "dev", outer)
        self.within(where, "ip", "link", "set", inner, "up")
        self.within("net", "ip", "link", "set", outer, "up")
        for network in (f"{PUBLISHER}/32", f"{INSTITUTION}/24") if self._is_here(where) else ("0.0.0.0/0",):
            self.within(where, "ip", "route", "replace", str(ip_network(network, strict=False)), "via", router)

    def _count(self) -> None:
        """Count on the internet side what comes from the service outside of the tunnel."""
        link = self.name("nsvc")
        self.within(
            "net",
            "nft",
            "-f",
            "-",
            given=f"""
            table netdev leaks {{
              chain seen {{
                type filter hook ingress device "{link}" priority 0; policy accept;
                ip saddr {OUTSIDE} ip daddr {INSTITUTION} udp dport {PORT} accept
                ether type arp accept
                icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit }} accept
                icmpv6 type mld2-listener-report accept
                counter
              }}
            }}
            """,
        )

    def leaked(self) -> int:
        """Return how many packets came from the service outside of the tunnel."""
        listed = self.within("net", "nft", "list", "chain", "netdev", "leaks", "seen")
        return int(listed.rpartition("counter packets ")[2].split()[0])

    def _start(self, name: str, where: str, *words: str) -> None:
        command = [*self._at(where), *words]
        environment = {**os.environ, "WG_I_PREFER_BUGGY_USERSPACE_TO_POLISHED_KMOD": "1"}
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._children[name] = subprocess.Popen(command, **quiet, env=environment)

    def _daemon(self, name: str, where: str, interface: str) -> None:
        control = Path(f"/var/run/wireguard/{interface}.sock")
        control.unlink(missing_ok=True)
        self._start(name, where, "wireguard-go", "-f", interface)
        wait(
            lambda: control.exists() and subprocess.run(["wg", "show", interface], capture_output=True).returncode == 0
        )

    def start_tunnel(self) -> None:
        """Start the service's end."""
        self._daemon("tunnel", "svc", self.wg)
        private, peer = self._keys["svc"][0], self._keys["ins"][1]
        how = ("endpoint", f"{INSTITUTION}:{PORT}", "allowed-ips", "0.0.0.0/0", "persistent-keepalive", "25")
        words = ("wg", "set", self.wg, "private-key", "/dev/stdin", "fwmark", MARK, "peer", peer, *how)
        self.within("svc", *words, given=private)
        self.within("svc", "ip", "addr", "add", "10.99.0.2/32", "dev", self.wg)
        self.within("svc", "ip", "link", "set", self.wg, "mtu", "1420", "up")
        self.within("svc", "ip", "route", "replace", "default", "dev", self.wg, "table", MARK)
        if MARK not in self.within("svc", "ip", "rule"):
            self.within("svc", "ip", "rule", "add", "not", "fwmark", MARK, "table", MARK)
            self.within("svc", "ip", "rule", "add", "table", "main", "suppress_prefixlength", "0")

    def start_peer(self) -> None:
        """Start the institution's end."""
        interface = self.name("wi")
        self._daemon("peer", "ins", interface)
        self.within(
            "ins",
            "wg",
            "set",
            interface,
            "listen-port",
            str(PORT),
            "private-key",
            "/dev/stdin",
            given=self._keys["ins"][0],
        )
        self.allow_key()
        self.within("ins", "ip", "addr", "add", "10.99.0.1/24", "dev", interface)
        self.within("ins", "ip", "link", "set", interface, "mtu", "1420", "up")

    def allow_key(self) -> None:
        """Let the institution know the service's key."""
        self.within("ins", "wg", "set", self.name("wi"), "peer", self._keys["svc"][1], "allowed-ips", "10.99.0.2/32")

    def masquerade(self, address: str) -> None:
        """Send what comes out of the tunnel from this address of the institution."""
        self.within(
            "ins",
            "nft",
            "-f",
            "-",
            given=f"""
            table ip exit
            delete table ip exit
            table ip exit {{
              chain post {{ type nat hook postrouting priority 100; ip saddr 10.99.0.0/24 snat to {address}; }}
            }}
            """,
        )
        with contextlib.suppress(AssertionError):  # connections that are open keep their address otherwise
            self.within("ins", "conntrack", "-F")

    # --- breaking and mending ---

    def kill(self, name: str) -> None:
        """Kill a daemon: ``tunnel`` or ``peer``."""
        child = self._children.pop(name)
        subprocess.run(["pkill", "-KILL", "-f", f"wireguard-go -f {self.wg if name == 'tunnel' else self.name('wi')}$"])
        child.wait(10)

    def black_hole(self) -> None:
        """Have the internet lose the tunnel's packets."""
        self.within(
            "net",
            "nft",
            "-f",
            "-",
            given=f"""
            table ip hole {{
              chain lost {{ type filter hook forward priority 0; udp dport {PORT} drop; udp sport {PORT} drop; }}
            }}
            """,
        )

    def white_hole(self) -> None:
        """Have it forward them again."""
        self.within("net", "nft", "delete", "table", "ip", "hole")

    def revoke_key(self) -> None:
        """Have the institution forget the service's key."""
        self.within("ins", "wg", "set", self.name("wi"), "peer", self._keys["svc"][1], "remove")

    def break_egress(self) -> None:
        """Have the institution forward nothing."""
        self.within("ins", "sysctl", "-qw", "net.ipv4.ip_forward=0")

    def mend_egress(self) -> None:
        """Have it forward again."""
        self.within("ins", "sysctl", "-qw", "net.ipv4.ip_forward=1")

    def tear_down(self) -> None:
        """Remove everything."""
        for name in list(self._children):
            child = self._children.pop(name)
            child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(5)
            child.kill()
            child.wait()
        subprocess.run(["pkill", "-KILL", "-f", f"wireguard-go -f gfw.{self.tag}$"])
        for where in ("svc", "net", "ins"):
            subprocess.run(["ip", "netns", "del", self.name(where)], capture_output=True)

    @contextlib.contextmanager
    def entered(self) -> Generator[None]:
        """Put this thread, and those that it starts, into the service's namespace."""
        libc = ctypes.CDLL(None, use_errno=True)
        with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{self.name('svc')}") as there:  # noqa: PTH123
            assert libc.setns(there.fileno(), _NEWNET) == 0, os.strerror(ctypes.get_errno())
            try:
                yield
            finally:
                assert libc.setns(home.fileno(), _NEWNET) == 0


@contextlib.contextmanager
def surroundings() -> Iterator[Lab]:
    """Build a lab around this machine, and remove it."""
    made = Lab()
    try:
        made.build_around()
        yield made
    finally:
        made.tear_down()


@contextlib.contextmanager
def lab(*, wall: bool = True) -> Iterator[Lab]:
    """Build a lab, and remove it."""
    made = Lab()
    try:
        made.build(wall=wall)
        yield made
    finally:
        made.tear_down()


def wait(condition: Any, seconds: float = 30.0) -> float:
    """Wait for something; return how long it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() < began + seconds, "it did not happen"
        threading.Event().wait(0.02)
    return time.monotonic() - began
