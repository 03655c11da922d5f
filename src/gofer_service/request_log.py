"""A log line for each request: who asked for what, and what came of it. No header and no query is logged."""

import logging
import sys
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger("gofer_service.requests")


class RequestLog:
    """Logs each request at the level INFO when its reply has ended, or its caller has gone."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward the request, then log it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        status = 0
        size = 0

        async def counting(message: Message) -> None:
            nonlocal status, size
            status = message.get("status", status)
            size += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, counting)
        finally:
            # As it came, percent-encoded, so that it cannot break the line.
            path = scope["raw_path"].decode("ascii", "replace")
            caller = (scope["client"] or ("-",))[0]
            milliseconds = 1000 * (time.monotonic() - began)
            log.info("%s %s %s %s %d B %.0f ms", caller, scope["method"], path, status or "-", size, milliseconds)


def print_lines() -> None:
    """Print the lines on stderr, for a service that is a process of its own."""
    log.addHandler(logging.StreamHandler(sys.stderr))
    log.setLevel(logging.INFO)
