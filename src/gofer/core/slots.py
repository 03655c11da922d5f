"""How many requests of one client may be under way at once: plain counts, and who is next.

A slot is taken before a request is sent, and given back when its reply is closed. Slots are shared by all errands of
a client, in any thread. Nothing waits here: a driver waits for a `Turn`.
"""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable
from enum import StrEnum


class Use(StrEnum):
    """What a slot is for."""

    HELD = "held"
    """A request that asks to be held. It never queues: without a slot it is sent unheld."""
    POLL = "poll"
    """A poll."""
    OTHER = "other"
    """A submission, a download, a health check."""
    FAREWELL = "farewell"
    """What an errand still does when its caller leaves."""


class Turn:
    """An errand that waits for others; `granted` once it may go on."""

    def __init__(self) -> None:
        self.granted = False
        self._wake: Callable[[], None] | None = None

    def when_granted(self, wake: Callable[[], None]) -> None:
        """Have a function called when it may go on, in whichever thread that is found; at once if it may already."""
        self._wake = wake
        if self.granted:
            wake()

    def grant(self) -> None:
        """Let it go on."""
        self.granted = True
        if self._wake is not None:
            self._wake()


class SlotTurn(Turn):
    """A request that waits for a slot; `number` is its place among all that ever waited."""

    def __init__(self, use: Use, number: int) -> None:
        super().__init__()
        self.use = use
        self.number = number


class Slots:
    """The slots of one client.

    Of `total` slots at most half are for held requests, a tenth is kept free of polls, and one is kept for farewells,
    so that jobs that are waited for do not keep others from being submitted, downloaded or cancelled.
    """

    def __init__(self, total: int = 100) -> None:
        self.total = total
        last = 1 if total > 3 else 0
        polls = total - last - total // 10
        self._most = {Use.HELD: polls, Use.POLL: polls, Use.OTHER: total - last, Use.FAREWELL: total}
        self.most_held = total // 2
        self.reset()

    def reset(self) -> None:
        """Forget every request: a fork has none of its parent's."""
        # Held for a few counts; another thread may have had the parent's. Reentrant, because Python may collect a flow
        # that nobody has closed at any moment, also within these counts, and the flow then gives its slot back.
        self._lock = threading.RLock()
        self._taken, self._held = 0, 0
        # A queue for each use, so that a step costs the same however many wait.
        self._queues = {use: OrderedDict[SlotTurn, None]() for use in Use}
        self._numbers = itertools.count()

    def take(self, use: Use) -> bool:
        """Take a slot at once; False if there is none, or others wait for the same use."""
        with self._lock:
            if self._queues[use] or not self._free(use):
                return False
            self._count(use, 1)
            return True

    def queue(self, use: Use) -> SlotTurn:
        """Wait for a slot: first come, first served among requests of one use."""
        with self._lock:
            turn = SlotTurn(use, next(self._numbers))
            self._queues[use][turn] = None
            granted = self._grants()
        _wake(granted)
        return turn

    def give_back(self, use: Use) -> None:
        """Give a slot back to whoever is next."""
        with self._lock:
            self._count(use, -1)
            granted = self._grants()
        _wake(granted)

    def give_up(self, turn: SlotTurn) -> None:
        """Leave the queue; a slot that was granted meanwhile is given back."""
        with self._lock:
            queue = self._queues[turn.use]
            waits = turn in queue
            if waits:
                del queue[turn]
        if not waits:
            self.give_back(turn.use)

    def _free(self, use: Use) -> bool:
        return self._taken < self._most[use] and (use is not Use.HELD or self._held < self.most_held)

    def _count(self, use: Use, step: int) -> None:
        self._taken = max(0, self._taken + step)
        if use is Use.HELD:
            self._held = max(0, self._held + step)

    def _grants(self) -> list[SlotTurn]:
        granted = list[SlotTurn]()
        while firsts := [next(iter(queue)) for use, queue in self._queues.items() if queue and self._free(use)]:
            turn = min(firsts, key=lambda turn: turn.number)
            del self._queues[turn.use][turn]
            self._count(turn.use, 1)
            granted.append(turn)
        return granted


def _wake(turns: list[SlotTurn]) -> None:
    for turn in turns:
        turn.grant()
