"""Limits for connections: how many there are, and how long a caller may take to send and to read.

Without them, callers that send nothing would use up the descriptors of the process and lock out everybody else.
"""

import asyncio
import resource
from collections.abc import Mapping
from typing import Any, Final, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

SECONDS: Final[Mapping[object, float]] = {h11.IDLE: 10.0, h11.SEND_BODY: 20.0}
"""Seconds that a caller has for the head of a request, from the start of the connection or the end of the last reply,
and for its body, from the end of the head."""

READ_SECONDS: Final = 60.0
"""Seconds for which a caller may read nothing of a reply while more of it is waiting."""

BACKLOG: Final = 64
"""Connections that the system accepts for us at once; they are open before they can be counted."""

_FULL: Final = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def max_connections() -> int:
    """Return how many connections may be open: three quarters of the descriptors that the process may have.

    The others are for files, records and child processes.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 10_000 if soft == resource.RLIM_INFINITY else max(1, soft * 3 // 4)


class BoundedProtocol(H11Protocol):
    """One connection of a uvicorn server, with the limits of this module.

    If there are too many connections, the one that has waited longest for its caller is closed for the new one. If none
    waits for its caller, the new connection is answered 503.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._most = max_connections()
        self._phase: object = None
        self._since = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._reading: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Start the timer for the first head, and make room if there are too many connections."""
        super().connection_made(transport)
        if len(self.connections) > self._most and not self._make_room():
            transport.write(_FULL)
            transport.close()
            return
        self._enter(h11.IDLE)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers."""
        self._enter(None)
        self._stop_reading_timer()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Handle what has arrived, then start the timer for what is missing."""
        super().handle_events()
        if not self.transport.is_closing():
            self._enter(self.conn.their_state)

    def pause_writing(self) -> None:
        """Start the timer of a caller that does not read."""
        super().pause_writing()
        self._reading = self.loop.call_later(READ_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop the timer of a caller that does not read."""
        self._stop_reading_timer()
        super().resume_writing()

    def _enter(self, phase: object) -> None:
        """Note the state of the caller (`h11.IDLE`: its head is awaited), and start the timer that belongs to it."""
        if phase is self._phase:
            return
        self._phase = phase
        self._since = self.loop.time()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if phase in SECONDS:
            self._timer = self.loop.call_later(SECONDS[phase], self.transport.close)

    def _make_room(self) -> bool:
        everybody = cast("set[object]", self.connections)  # uvicorn's type names protocols that are not installed
        bounded = [connection for connection in everybody if isinstance(connection, BoundedProtocol)]
        waiting = [connection for connection in bounded if connection._timer is not None]
        if not waiting:
            return False
        oldest = min(waiting, key=_start)
        self.connections.discard(oldest)  # it counts until the loop has closed it
        oldest.transport.abort()
        return True

    def _stop_reading_timer(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None


def _start(connection: BoundedProtocol) -> float:
    return connection._since  # pyright: ignore[reportPrivateUsage] - its own module
