"""Which names the service answers to, and whether it may be open to others.

A web page can have its own name lead to a local address (DNS rebinding), and then read the answers. It needs a name for
that, so a request with a name that is not the service's own is refused.
"""

import ipaddress
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gofer_service.problems import reply


class Exposed(RuntimeError):
    """The service would be open to other machines without a token."""


class HostCheck:
    """Forwards requests whose ``Host`` is ``localhost``, a literal address, or one of these names."""

    def __init__(self, app: ASGIApp, names: Collection[str]) -> None:
        self._app = app
        self._names = {"localhost", *(name.lower().rstrip(".") for name in names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward the request, or answer 400."""
        # A request of HTTP/1.0 may have no Host. No browser sends one.
        host = Headers(scope=scope).get("host") if scope["type"] == "http" else None
        if host is None or self._is_own(host):
            await self._app(scope, receive, send)
            return
        detail = f"the service does not answer to the Host {host[:100]!r}; --allow-host adds a name"
        await reply(400, detail)(scope, receive, send)

    def _is_own(self, host: str) -> bool:
        name, _, port = host.rpartition(":") if not host.endswith("]") and ":" in host else (host, "", "")
        if port and not (port.isascii() and port.isdigit()):
            return False
        return name.lower().rstrip(".") in self._names or is_literal(name.removeprefix("[").removesuffix("]"))


def is_literal(name: str) -> bool:
    """Whether this is an address of IPv4 or IPv6, and no name."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach this literal address."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def refuse_exposure(address: str, *, token: str | None, open_to_all: bool) -> None:
    """Check that a service on this address may start.

    Raises:
        Exposed: other machines can reach it, and it neither needs a token nor is meant to be open.
    """
    if not (token or open_to_all or is_loopback(address)):
        raise Exposed(
            f"everybody who can reach {address} could use it; set a token in SERVICE_TOKEN or serve.token_file, or "
            "pass --open if that is intended"
        )
