"""A deadline for blocking sockets: whatever the calling thread reads and writes is clipped to what remains of it.

httpx's timeouts are for one read each: a reply that drips a byte at a time never reaches them. So a clipping layer lies
between the HTTP library and its sockets. It does nothing for calls in a thread that has set no deadline. What cannot be
clipped is the resolution of a host's name, and connecting is bounded for each of its addresses.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Generator
from typing import Any

_SHORTEST = 0.001  # 0 would make the socket non-blocking

_set = threading.local()


@contextlib.contextmanager
def within(seconds: float) -> Generator[None]:
    """Let this thread's reads and writes end in so many seconds; an earlier deadline around it holds."""
    before: float = getattr(_set, "until", math.inf)
    _set.until = min(before, time.monotonic() + seconds)
    try:
        yield
    finally:
        _set.until = before


def _clipped(timeout: float | None) -> float | None:
    until: float = getattr(_set, "until", math.inf)
    if until == math.inf:
        return timeout
    left = max(_SHORTEST, until - time.monotonic())
    return left if timeout is None else min(left, timeout)


def guard(client: Any) -> None:
    """Lay the clipping layer under an httpx or httpx2 client; one of other transports has no sockets to guard.

    Neither family has a public way to do this for its own transports.
    """
    for transport in (getattr(client, "_transport", None), *getattr(client, "_mounts", {}).values()):
        pool: Any = getattr(transport, "_pool", None)
        backend = getattr(pool, "_network_backend", None)
        if backend is not None and not isinstance(backend, _Backend):
            pool._network_backend = _Backend(backend)


class _Backend:
    """Opens sockets as the inner backend does, and clips what they do."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, **more: Any) -> _Stream:
        return _Stream(self._inner.connect_tcp(host, port, timeout=_clipped(timeout), **more))

    def connect_unix_socket(self, path: str, timeout: float | None = None, **more: Any) -> _Stream:
        return _Stream(self._inner.connect_unix_socket(path, timeout=_clipped(timeout), **more))

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(seconds)


class _Stream:
    """A socket whose every step is clipped."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.close = inner.close
        self.get_extra_info = inner.get_extra_info

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data: bytes = self._inner.read(max_bytes, _clipped(timeout))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _clipped(timeout))

    def start_tls(self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None) -> _Stream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, _clipped(timeout)))
