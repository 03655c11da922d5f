"""The wall: where the service may connect to when somebody else names the address.

A link in a record or a page may lead into the institution's own network, by its name, by a redirect, or by a name that
resolves to another address the second time. So every address of a name is checked, and a connection is made to the
address that was checked. Names and literal addresses of `Wall.allowed` are compared as the client's ``allow_hosts`` are
(`gofer.core.hosts`). Addresses that the operator configured do not come here.
"""

import ipaddress
import re
import ssl
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, Final, cast

import anyio
import httpcore
import httpx
from attrs import frozen

from gofer.core.hosts import allows, pattern
from gofer.wire import split

WEB_PORTS: Final = {"http": 80, "https": 443}
"""The ports that need no permission."""

_NOT_PUBLIC: Final = tuple(
    ipaddress.ip_network(text)
    for text in (
        "168.63.129.16/32",  # a cloud provider's metadata
        "192.0.0.0/24",
        "192.88.99.0/24",
        "2001::/23",  # with Teredo
        "2002::/16",  # 6to4
        "3fff::/20",
        "5f00::/16",
    )
)
"""Networks that not every version of Python takes for private or reserved."""

_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class AddressRefused(httpcore.ConnectError):
    """Raised for an address that the service may not connect to."""


@frozen
class Allowed:
    """An entry of the configuration: a network or the name of a host, and a port; None means 80 and 443."""

    where: Network | str
    port: int | None = None

    def names(self, host: str) -> bool:
        """Tell whether the entry is this host, as it was written."""
        if isinstance(self.where, str):
            return allows(frozenset({self.where}), host)
        address = _literal(host)
        return address is not None and self.has(address)

    def has(self, address: Address) -> bool:
        """Tell whether the entry is a network with this address."""
        return not isinstance(self.where, str) and address.version == self.where.version and address in self.where

    def opens(self, port: int) -> bool:
        """Tell whether the entry is for this port."""
        return port in WEB_PORTS.values() if self.port is None else port == self.port


def allowed(text: str) -> Allowed:
    """Read an entry: ``10.0.0.7``, ``10.0.0.0/8``, ``127.0.0.1:9000``, ``[fd00::7]:9000``, ``files.example.org:8443``.

    Raises:
        ValueError: it is none of these.
    """
    host, port = text, None
    if found := re.fullmatch(r"(\[[^\]]*\]|[^:]*):([0-9]{1,5})", text):
        host, port = found[1], int(found[2])
    host = host.removeprefix("[").removesuffix("]")
    if port is None or 0 < port < 65536:
        try:
            return Allowed(ipaddress.ip_network(host), port)
        except ValueError:
            if name := pattern(host):
                return Allowed(name, port)
    raise ValueError(
        f"{text!r} is no address, network or name of a host, each of them with a port or without: "
        "127.0.0.1:9000, 10.0.0.0/8, files.example.org"
    )


def is_public(address: Address) -> bool:
    """Tell whether an address is on the public internet. An IPv4 address inside of an IPv6 one counts as itself."""
    if isinstance(address, ipaddress.IPv6Address):
        if inside := address.ipv4_mapped:
            return is_public(inside)
        if address in _NAT64:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if address.is_site_local:
            return False
    special = address.is_multicast or address.is_reserved or any(address in network for network in _NOT_PUBLIC)
    return address.is_global and not special


@frozen
class Wall:
    """Decides where links and redirects may lead; ``entries`` are the exceptions."""

    entries: tuple[Allowed, ...] = ()

    def check_url(self, url: str) -> None:
        """Check what can be seen before the host's name is resolved.

        Raises:
            AddressRefused: the scheme, the port or the literal address is not allowed, or there is a password.
        """
        try:
            parts = split(url)
        except ValueError as error:
            raise AddressRefused(str(error)) from error
        host, port = parts.hostname or "", parts.port or WEB_PORTS[parts.scheme]
        if parts.username is not None or parts.password is not None:
            raise AddressRefused("the link holds a user's name or password")
        address = _literal(host)
        if address is not None:
            self.check(host, port, [address])
        elif port not in WEB_PORTS.values() and not any(one.opens(port) for one in self.entries):
            raise AddressRefused(f"port {port} is not allowed")

    def check(self, host: str, port: int, addresses: Iterable[Address]) -> None:
        """Check all addresses of a host.

        Raises:
            AddressRefused: one of them is not allowed.
        """
        if any(one.opens(port) and one.names(host) for one in self.entries):
            return
        for address in addresses:
            if any(one.opens(port) and one.has(address) for one in self.entries):
                continue
            if port not in WEB_PORTS.values():
                raise AddressRefused(f"port {port} of {host} is not allowed")
            if not is_public(address):
                raise AddressRefused(f"{host} is at {address}, which is neither public nor named by fetch.allow")


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


class WalledBackend(httpcore.AsyncNetworkBackend):
    """Connects to addresses that the wall has checked, and never resolves a name twice. TLS still checks the name."""

    def __init__(self, wall: Wall) -> None:
        self._wall = wall
        self._inner = cast("httpcore.AsyncNetworkBackend", httpcore.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Resolve the name, check all its addresses, and connect to the first that answers."""
        addresses = await _resolved(host, port, timeout)
        self._wall.check(host, port, addresses)
        share = None if timeout is None else timeout / len(addresses)
        for address in addresses[:-1]:
            try:
                return await self._inner.connect_tcp(str(address), port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._inner.connect_tcp(str(addresses[-1]), port, share, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._inner.sleep(seconds)


async def _resolved(host: str, port: int, timeout: float | None) -> Sequence[Address]:
    try:
        with anyio.fail_after(timeout):
            found = await anyio.getaddrinfo(host, port, type=1)  # SOCK_STREAM
    except TimeoutError as error:
        raise httpcore.ConnectTimeout(f"the name {host} was not resolved in time") from error
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError(f"the name {host} was not resolved: {error}") from error
    if not found:
        raise httpcore.ConnectError(f"the name {host} has no address")
    return [ipaddress.ip_address(str(address[0])) for *_, address in found]


@cache
def tls() -> ssl.SSLContext:
    """Return the settings for TLS of this process; reading all certificates takes some time."""
    return httpx.create_ssl_context()


class WalledTransport(httpx.AsyncHTTPTransport):
    """The transport of httpx with our own network beneath it."""

    def __init__(self, wall: Wall, context: ssl.SSLContext, limits: httpx.Limits) -> None:
        super().__init__(verify=context, trust_env=False)
        if not isinstance(vars(self).get("_pool"), httpcore.AsyncConnectionPool):
            raise RuntimeError("this version of httpx keeps its connections elsewhere, so the wall would have a gap")
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            network_backend=WalledBackend(wall),
        )
