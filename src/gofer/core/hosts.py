"""The hosts that a service may send its caller to, by links and redirects. Names are compared; none is resolved."""

from __future__ import annotations

import ipaddress
import re

_NAME = re.compile(r"(?:[a-z0-9_-]+\.)*[a-z][a-z0-9-]*")  # a last label with a digit in front may be read as an address
_ANY = "*."


def pattern(text: str) -> str | None:
    """Return an entry of `allow_hosts` as it is compared; None if it is no host, and no `*.` before a name."""
    if not text.startswith(_ANY):
        return _canonical(text.removeprefix("[").removesuffix("]"))
    name = _canonical(text.removeprefix(_ANY))
    return _ANY + name if name is not None and _NAME.fullmatch(name) else None


def allows(patterns: frozenset[str], host: str) -> bool:
    """Tell whether a host is one of these. `*.example.org` is every name below example.org, and not that name."""
    name = _canonical(host)
    if name is None:
        return False
    return name in patterns or any(name.endswith(one[1:]) for one in patterns if one.startswith(_ANY))


def _canonical(host: str) -> str | None:
    """Return the one spelling of a name or an address.

    None for what has several readings: 127.1 and 0x7f.1, which are addresses to some systems, a name in other letters
    than ASCII, and an address with a zone, as fe80::1%eth0.
    """
    if "%" in host:
        return None
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        name = host.lower().removesuffix(".")
        return name if _NAME.fullmatch(name) else None
