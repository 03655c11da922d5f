"""Authentication by bearer token: middleware before the routes."""

import hmac
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gofer_service.problems import reply

OPEN: Final = frozenset({"/health", "/health/live", "/health/ready", "/openapi.json"})
"""Paths that need no token: monitors and code generators have none."""


class BearerAuth:
    """Forwards requests that carry the bearer token (RFC 6750, 2.1)."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward the request, or answer 401."""
        if scope["type"] != "http" or scope["path"] in OPEN or self._has_token(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        refusal = reply(401, "a bearer token is needed", {"WWW-Authenticate": 'Bearer realm="gofer"'})
        await refusal(scope, receive, send)

    def _has_token(self, headers: Headers) -> bool:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        # Header text is latin-1. The comparison takes the same time however much of the token is right.
        return scheme.lower() == "bearer" and hmac.compare_digest(token.strip().encode("latin-1"), self._token)
