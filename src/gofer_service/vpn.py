"""What the service knows about its VPN. Watching a real one belongs to a watch, which is any callable giving `Vpn`."""

from collections.abc import Callable

from attrs import frozen


@frozen
class Vpn:
    """Whether a VPN is set up, whether it carries traffic now, and the address the world sees, if known."""

    configured: bool = False
    connected: bool = False
    ip: str | None = None


VpnWatch = Callable[[], Vpn]
"""Gives the last known state at once; it must not block."""


def no_vpn() -> Vpn:
    """Watch nothing: there is no VPN."""
    return Vpn()
