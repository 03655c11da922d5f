"""Authentication by bearer token: middleware before the routes. It says who calls, by the name of the token."""

import hmac
from collections.abc import Sequence
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gofer_service.problems import reply

OPEN: Final = frozenset({"/health", "/health/live", "/health/ready", "/openapi.json"})
"""Paths that need no token: monitors and code generators have none."""


class BearerAuth:
    """Forwards requests that carry the bearer token (RFC 6750, 2.1)."""

    def __init__(self, app: ASGIApp, tokens: Sequence[tuple[str, str]]) -> None:
        self._app = app
        self._tokens = [(name, token.encode()) for name, token in tokens]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward the request, or answer 401."""
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self._app(scope, receive, send)
            return
        name = self._caller(Headers(scope=scope))
        if name is not None:
            scope.setdefault("state", {})["caller"] = name
            await self._app(scope, receive, send)
            return
        refusal = reply(401, "a bearer token is needed", {"WWW-Authenticate": 'Bearer realm="gofer"'})
        await refusal(scope, receive, send)

    def _caller(self, headers: Headers) -> str | None:
        """Return the name of the token that came, or None if none of ours came."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        came = token.strip().encode("latin-1") if scheme.lower() == "bearer" else b""
        # Header text is latin-1. The comparison takes the same time however much of the token is right, and all tokens
        # are compared, whichever it is.
        found = [name for name, ours in self._tokens if hmac.compare_digest(came, ours)]
        return found[0] if found else None
