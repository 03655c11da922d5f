"""The state of the VPN, and the watch that finds it out. A VPN watch is any callable that returns a `Vpn`.

The VPN is up if an address of the institution answered just now that we come from one of ours. Everything else is a
second signal: the tunnel's interface is gone, or its last handshake is too old. Nothing is restarted here.
"""

import ipaddress
import json
import logging
import re
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread
import httpx
from attrs import field, frozen

from gofer_service.engine import Clock
from gofer_service.settings import VpnSettings

MISSED: Final = 3
"""After this number of intervals a finding counts no more, since the watch itself stands still."""

HANDSHAKE: Final = 180.0
"""Seconds after which a handshake is too old; WireGuard makes a new one every two minutes while there is traffic."""

MAX_ANSWER: Final = 4096
"""Bytes of the probe's answer that are read."""

SOCKETS: Final = Path("/var/run/wireguard")
"""Where programs that run WireGuard have their control sockets."""

_log = logging.getLogger(__name__)


@frozen
class Vpn:
    """Whether a VPN is configured, whether it is connected, and its public address, if the watch has found it out."""

    configured: bool = False
    connected: bool = False
    ip: str | None = None


VpnWatch = Callable[[], Vpn]
"""Returns the state that was observed last. It must not block."""


def no_vpn() -> Vpn:
    """Return the state of a service without a VPN."""
    return Vpn()


@frozen
class Signal:
    """What was found out about one thing: whether it is as it should be, in words, and when (seconds since 1970)."""

    good: bool
    words: str
    time: float


@frozen
class _Found:
    """The last findings: the address that was seen, the signals by their names, and the monotonic time."""

    ip: str | None = None
    signals: Mapping[str, Signal] = field(factory=dict[str, Signal])
    at: float = float("-inf")


class TunnelWatch:
    """Watches a VPN in the background (`run`), and tells its state at once when it is called."""

    def __init__(self, settings: VpnSettings, *, clock: Clock = time.time) -> None:
        """Set it up; nothing is asked.

        Args:
            settings: with ``probe`` and ``addresses``.
            clock: wall time, of the signals.
        """
        self._settings, self._clock = settings, clock
        self._ours = [ipaddress.ip_network(text) for text in settings.addresses]
        self._found = _Found()

    def __call__(self) -> Vpn:
        """Return the state. A finding that is too old, or an interface that is gone, means that it is down."""
        found = self._found
        fresh = time.monotonic() - found.at <= MISSED * self._settings.every + self._settings.timeout
        good = bool(found.signals) and all(signal.good for signal in found.signals.values())
        return Vpn(configured=True, connected=fresh and good and self._has_interface(), ip=found.ip)

    def signals(self) -> Mapping[str, Signal]:
        """Return what was found out last, by the name of each signal."""
        signals = dict(self._found.signals)
        if self._settings.interface and not self._has_interface():
            signals["interface"] = Signal(False, f"there is no interface {self._settings.interface}", self._clock())
        return signals

    async def run(self) -> None:
        """Look again and again."""
        while True:
            await self.look()
            await anyio.sleep(self._settings.every)

    async def look(self) -> None:
        """Look once: ask the probe, and look at the interface and at its last handshake."""
        before = self()
        ip, exit_ = await self._probed()
        signals = {"exit": exit_}
        if self._settings.interface:
            there = self._has_interface()
            words = f"{self._settings.interface} is {'there' if there else 'gone'}"
            signals["interface"] = Signal(there, words, self._clock())
            age = await anyio.to_thread.run_sync(_handshake_age, self._settings.interface, abandon_on_cancel=True)
            if age is not None:
                signals["handshake"] = Signal(age <= HANDSHAKE, f"{age:.0f} s ago", self._clock())
        self._found = _Found(ip, signals, time.monotonic())
        if self().connected is not before.connected:
            why = "; ".join(f"{name}: {signal.words}" for name, signal in signals.items())
            _log.warning("the VPN is %s (%s)", "up" if self().connected else "down", why)

    async def _probed(self) -> tuple[str | None, Signal]:
        """Ask the probe for our address, over a new connection: an old one would outlive its tunnel."""
        why = f"no answer within {self._settings.timeout:g} s"
        with anyio.move_on_after(self._settings.timeout):
            try:
                return await self._asked()
            except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
                why = f"{type(error).__name__}: {error}"[:200]
        return None, Signal(False, why, self._clock())

    async def _asked(self) -> tuple[str, Signal]:
        client = httpx.AsyncClient(trust_env=False, timeout=self._settings.timeout, headers={"connection": "close"})
        async with client, client.stream("GET", self._settings.probe or "") as reply:
            reply.raise_for_status()
            body = b""
            async for chunk in reply.aiter_bytes():
                body += chunk
                if len(body) > MAX_ANSWER:
                    raise ValueError("the answer is too long")
        address = _address_in(body.decode("utf-8", "replace"))
        ours = any(address in network for network in self._ours if network.version == address.version)
        words = f"we come from {address}" if ours else f"we come from {address}, which is not in vpn.addresses"
        return str(address), Signal(ours, words, self._clock())

    def _has_interface(self) -> bool:
        if not self._settings.interface:
            return True
        try:
            return socket.if_nametoindex(self._settings.interface) > 0
        except OSError:
            return False


def _address_in(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Read an address: the text itself, or a member of a JSON object, as in ``{"ip": "192.0.2.7"}``.

    Raises:
        ValueError: there is none.
    """
    words: list[Any] = [text.strip()]
    if text.lstrip().startswith("{"):
        words = list(json.loads(text).values())
    for word in words:
        try:
            address = ipaddress.ip_address(word)
        except ValueError:
            continue
        return getattr(address, "ipv4_mapped", None) or address
    raise ValueError("the answer has no address in it")


def _handshake_age(interface: str) -> float | None:
    """Return the seconds since the last handshake of any peer, by the control socket; None if it cannot be read."""
    try:
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(1.0)
            control.connect(str(SOCKETS / f"{interface}.sock"))
            control.sendall(b"get=1\n\n")
            said = control.recv(64 * 1024).decode("ascii", "replace")
    except OSError:
        return None
    times = [int(text) for text in re.findall(r"^last_handshake_time_sec=([0-9]{1,19})$", said, re.MULTILINE)]
    return time.time() - max(times) if times else None
