"""Virtual time: a clock for the blocking face and for each event loop, which only waiting moves."""

import asyncio
import selectors
from typing import Any

from gofer.core.commands import Now
from gofer.transports.httpx_io import HttpxIO

GRACE = 0.01
"""Real seconds that worker threads get before an event loop's clock jumps, since they write the part files."""


class VirtualIO(HttpxIO):
    """httpx's wire, and a clock that only sleeping moves."""

    def __init__(self) -> None:
        super().__init__()
        self.passed = 0.0

    def now(self) -> Now:
        """Read both clocks; the wall clock is decades slow, since a caller's may be wrong."""
        return Now(self.passed, self.passed)

    def sleep(self, seconds: float) -> None:
        """Put the clock forward."""
        self.passed += seconds


class JumpLoop(asyncio.SelectorEventLoop):
    """An asyncio loop that jumps to its next timer when nothing is ready, as trio's MockClock does."""

    def __init__(self) -> None:
        selector = selectors.DefaultSelector()
        super().__init__(selector)
        self._passed, self._select = 0.0, selector.select
        selector.select = self._jump  # type: ignore[method-assign]

    def time(self) -> float:
        """Return the virtual time."""
        return self._passed

    def _jump(self, timeout: float | None = None) -> Any:
        if timeout is None:
            return self._select(None)
        ready = self._select(GRACE if timeout > 0 else 0)
        if not ready and timeout > 0:
            self._passed += timeout
        return ready


def jumping(backend: str) -> tuple[str, dict[str, Any]]:
    """Return an event loop in virtual time, in the form that anyio's fixture takes."""
    if backend == "asyncio":
        return backend, {"loop_factory": JumpLoop}
    import trio.testing  # here, as only these tests should pay for it

    return backend, {"clock": trio.testing.MockClock(autojump_threshold=GRACE)}
