"""A deadline for blocking sockets: each read and write of the calling thread is clipped to the time that is left.

httpx's timeouts are for one read each: a reply that drips a byte at a time never reaches them. So gofer clips the
timeout of every step on a socket. It gets at the sockets by two public extensions of httpx and httpx2, which every
transport of theirs supports, behind any proxy and under any subclass: a request's `trace` is called when a socket is
opened, and a response's `network_stream` is its socket. Threads that have set no deadline notice nothing.

Not clipped: the resolution of a host's name; the head of the first reply on a connection that somebody else's request
opened in a borrowed client; a transport that does its own I/O, which has only its own timeouts. Connecting is clipped
for each address of the host.
"""

from __future__ import annotations

import functools
import math
import threading
import time
import warnings
from typing import Any

_SHORTEST = 0.001  # 0 would make the socket non-blocking

_set = threading.local()


class within:
    """Let this thread's reads and writes end within `seconds`; an earlier deadline around it holds."""

    __slots__ = ("_before", "_seconds")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> within:
        self._before: float = getattr(_set, "until", math.inf)
        self.renew()
        return self

    def __exit__(self, *_: object) -> None:
        _set.until = self._before

    def renew(self) -> None:
        """Count the seconds from now on."""
        _set.until = min(self._before, time.monotonic() + self._seconds)


def _clipped(timeout: float | None) -> float | None:
    until: float = getattr(_set, "until", math.inf)
    if until == math.inf:
        return timeout
    left = max(_SHORTEST, until - time.monotonic())
    return left if timeout is None else min(left, timeout)


def trace(_: str, info: dict[str, Any]) -> None:
    """Clip the opening of a socket, and then the socket: a request's `trace` extension.

    It goes by what an event carries and not by its name. What opens a socket has a timeout, and returns the socket.
    """
    if "timeout" in info:
        info["timeout"] = _clipped(info["timeout"])
    elif hasattr(info.get("return_value"), "start_tls"):
        _clip(info["return_value"])


def clip(response: Any) -> None:
    """Clip the socket that a response comes from; a mock's response comes from none."""
    stream = response.extensions.get("network_stream")
    if stream is not None:
        _clip(stream)


def _clip(stream: Any) -> None:
    """Give a socket a class that clips: httpx keeps the object itself, so a wrapper would not be used."""
    if hasattr(stream, "clipped_by_gofer"):
        return
    kind = stream.__class__
    try:
        stream.__class__ = _clipping(kind)
    except TypeError:  # not a class that was written in Python
        _warn(kind)


@functools.cache
def _clipping(kind: Any) -> Any:
    """Derive a class whose every read and write is clipped. It has the same layout, or it could not be exchanged."""

    def read(self: Any, max_bytes: int, timeout: float | None = None) -> Any:
        if time.monotonic() >= getattr(_set, "until", math.inf):  # what is there already never waits for a timeout
            raise TimeoutError("The deadline has passed.")
        return kind.read(self, max_bytes, _clipped(timeout))

    def write(self: Any, buffer: bytes, timeout: float | None = None) -> None:
        kind.write(self, buffer, _clipped(timeout))

    return type(kind.__name__, (kind,), {"__slots__": (), "read": read, "write": write, "clipped_by_gofer": True})


@functools.cache
def _warn(kind: Any) -> None:
    """Warn once for each class of sockets. Not in the log, which is silent until an application configures it."""
    warnings.warn(
        f"gofer cannot set a deadline on {kind.__module__}.{kind.__qualname__}, so a reply that drips may outlive "
        "timeout=. Use a transport of httpx or httpx2, or one whose own timeouts are total.",
        RuntimeWarning,
        stacklevel=2,
    )
