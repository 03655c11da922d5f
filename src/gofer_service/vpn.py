"""The state of the VPN. A VPN watch is any callable that returns a `Vpn`; this module has none for a real VPN."""

from collections.abc import Callable

from attrs import frozen


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
