"""How gently hosts are asked: a few requests at a time, a pause between two, Retry-After, and none after five failures.

Only counts and times of hosts; no request is made here. A host is a name with a port. Third parties name hosts, so
those that nobody has asked for a while are forgotten.
"""

import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

import anyio
from attrs import define, field

from gofer.contracts.flaws import Flaw
from gofer.errors import BadReply

FAILURES: Final = 5
"""Failures in a row after which a host is left alone."""

REST: Final = 300.0
"""Seconds for which it is left alone."""

PATIENCE: Final = 30.0
"""Seconds of Retry-After that are waited for; a host that asks for more is left alone for that time."""

LONGEST_REST: Final = 3600.0
"""Seconds of Retry-After that are heeded at most."""

MOST_HOSTS: Final = 1000
"""Hosts that are remembered; beyond that, those that are idle are forgotten."""


class Refused(BadReply):
    """Raised in place of a request that is not made; ``flaw`` says why. The same request would be refused again."""

    def __init__(self, flaw: Flaw, why: str) -> None:
        super().__init__(why, field="url")
        self.flaw = flaw


@define
class _Host:
    """What is remembered of a host. Times are monotonic seconds.

    Attributes:
        places: the requests that may be under way.
        users: requests that are under way or wait.
        after: when it may be asked again, as it asked for itself.
        started: when the last request of each kind began.
    """

    places: anyio.Semaphore
    users: int = 0
    after: float = -math.inf
    started: dict[str, float] = field(factory=dict[str, float])


@define
class _Record:
    """How one source's requests to one host went: failures in a row, and until when it is left alone."""

    failures: int = 0
    until: float = -math.inf


@define
class Manners:
    """The limits for all hosts together. Times are in seconds.

    Attributes:
        per_host: requests that may be under way to one host.
        gap: between the starts of two requests to one host, where nothing else is said.
    """

    per_host: int = 1
    gap: float = 1.0
    _hosts: dict[str, _Host] = field(factory=dict[str, _Host], init=False)
    _records: dict[tuple[str, str], _Record] = field(factory=dict[tuple[str, str], _Record], init=False)

    @asynccontextmanager
    async def turn(self, source: str, host: str, *, kind: str = "", gap: float | None = None) -> AsyncGenerator[None]:
        """Wait for a place, first come, first served, and hold it; then for the time at which the host may be asked.

        Args:
            source: who asks.
            host: name and port.
            kind: requests of one kind keep the gap from each other.
            gap: seconds, if they are others than for all hosts.

        Raises:
            Refused: the host is left alone.
        """
        self._forget()
        asked = self._hosts.setdefault(host, _Host(anyio.Semaphore(self.per_host)))
        asked.users += 1
        try:
            self.check(source, host)
            async with asked.places:
                self.check(source, host)  # it may have failed meanwhile
                due = asked.started.get(kind, -math.inf) + (self.gap if gap is None else gap)
                await anyio.sleep(max(0.0, due - anyio.current_time(), asked.after - anyio.current_time()))
                asked.started[kind] = anyio.current_time()
                yield
        finally:
            asked.users -= 1

    def answered(self, source: str, host: str) -> None:
        """Note that the host answered as it should; a pause that it asked another request for is kept."""
        if record := self._records.get((source, host)):
            record.failures = 0
            if record.until <= anyio.current_time():
                del self._records[source, host]

    def failed(self, source: str, host: str) -> None:
        """Note that the host did not answer, or with 5xx or 429."""
        record = self._records.setdefault((source, host), _Record())
        record.failures += 1
        if record.failures >= FAILURES:
            record.until = anyio.current_time() + REST

    def asked_to_wait(self, source: str, host: str, seconds: float) -> None:
        """Note a Retry-After of the host. Beyond `PATIENCE` nobody waits: the host is left alone."""
        until = anyio.current_time() + min(seconds, LONGEST_REST)
        if seconds > PATIENCE:
            self._records.setdefault((source, host), _Record()).until = until
        elif asked := self._hosts.get(host):
            asked.after = max(asked.after, until)

    def left_alone(self, source: str) -> dict[str, float]:
        """Return the hosts that this source leaves alone now, and for how many seconds yet."""
        now = anyio.current_time()
        resting = ((host, record.until - now) for (name, host), record in self._records.items() if name == source)
        return {host: left for host, left in resting if left > 0}

    def check(self, source: str, host: str) -> None:
        """Check that a host is not left alone.

        Raises:
            Refused: it is.
        """
        if left := self.left_alone(source).get(host):
            raise Refused(Flaw.HOST_GIVEN_UP, f"{host} is left alone for another {left:.0f} s.")

    def _forget(self) -> None:
        if len(self._hosts) > MOST_HOSTS or len(self._records) > MOST_HOSTS:
            now = anyio.current_time()
            self._hosts = {host: asked for host, asked in self._hosts.items() if asked.users or asked.after > now}
            self._records = {
                (source, host): record
                for (source, host), record in self._records.items()
                if host in self._hosts or record.until > now
            }
