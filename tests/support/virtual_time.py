"""Virtual time: a clock for the blocking face and for each event loop, which only waiting moves."""

import asyncio
import math
import selectors
import sys
from collections.abc import Callable
from typing import Any

import anyio.to_thread
import pytest

from gofer.core.commands import Now
from gofer.transports.ahttpx_io import AsyncHttpxIO
from gofer.transports.httpx_io import HttpxIO


class VirtualIO(HttpxIO):
    """httpx's wire, and a clock that only sleeping moves."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.passed = 0.0

    def now(self) -> Now:
        """Read both clocks; the wall clock is decades slow, since a caller's may be wrong."""
        return Now(self.passed, self.passed)

    def sleep(self, seconds: float) -> None:
        """Put the clock forward."""
        self.passed += seconds


class AsyncVirtualIO(AsyncHttpxIO):
    """The awaited one."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.passed = 0.0

    def now(self) -> Now:
        """Read both clocks."""
        return Now(self.passed, self.passed)

    async def sleep(self, seconds: float) -> None:
        """Put the clock forward."""
        self.passed += seconds


class Workers:
    """Runs gofer's calls in worker threads, which write the part files, and counts those that have not ended."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.busy = 0
        self.changed: Callable[[], None] = lambda: None  # called when `busy` has changed
        for name, module in list(sys.modules.items()):
            if name.startswith("gofer.") and vars(module).get("run_sync") is anyio.to_thread.run_sync:
                monkeypatch.setattr(module, "run_sync", self.run_sync)

    async def run_sync(self, *args: Any, **options: Any) -> Any:
        """Run a call in a worker thread."""
        self.busy += 1
        self.changed()
        try:
            return await anyio.to_thread.run_sync(*args, **options)
        finally:
            self.busy -= 1
            self.changed()


class JumpLoop(asyncio.SelectorEventLoop):
    """An asyncio loop that jumps to its next timer when nothing is ready, as trio's MockClock does."""

    def __init__(self, workers: Workers) -> None:
        selector = selectors.DefaultSelector()
        super().__init__(selector)
        self._passed, self._select, self._workers = 0.0, selector.select, workers
        selector.select = self._jump  # type: ignore[method-assign]

    def time(self) -> float:
        """Return the virtual time."""
        return self._passed

    def _jump(self, timeout: float | None = None) -> Any:
        if timeout is None or (timeout > 0 and self._workers.busy):
            return self._select(None)
        ready = self._select(0)
        if not ready:
            self._passed += timeout
        return ready


def jumping(backend: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, dict[str, Any]]:
    """Return an event loop in virtual time, in the form that anyio's fixture takes; busy workers hold its clock."""
    workers = Workers(monkeypatch)
    if backend == "asyncio":
        return backend, {"loop_factory": lambda: JumpLoop(workers)}
    import trio.testing  # here, as only these tests should pay for it

    clock = trio.testing.MockClock(autojump_threshold=0)

    def changed() -> None:
        clock.autojump_threshold = math.inf if workers.busy else 0

    workers.changed = changed
    return backend, {"clock": clock}
