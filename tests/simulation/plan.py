"""What can go wrong on an errand, as small choices: how the service works, how the caller calls, the faults by route.

One function draws a plan from any source of choices: hypothesis (which shrinks it, so the simplest option comes first)
or a seeded random number generator (which is fast). Nothing here performs anything.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from attrs import field, frozen
from hypothesis import strategies as st

T = TypeVar("T")
Pick = Callable[[Sequence[Any]], Any]


@frozen
class Fault:
    """What goes wrong with one request, after how many `seconds`, and whether the service has `received` it."""

    kind: str
    received: bool = True
    seconds: float = 0.0
    status: int = 0
    after: str | None = None
    at: int = 0


NO_FAULT = Fault("none")

SILENCE = (
    Fault("refused", received=False),
    Fault("lost", received=False),
    Fault("lost"),
    Fault("lost", seconds=4.0),
    Fault("none", seconds=3.0),
    Fault("none", seconds=25.0),
    Fault("none", seconds=90.0),
)
REFUSALS = (
    Fault("status", False, status=500),
    Fault("status", status=500),
    Fault("status", status=502),
    Fault("status", False, status=503),
    Fault("status", False, status=503, after="2"),
    Fault("status", False, status=503, after="date 40"),
    Fault("status", status=504, seconds=20.0),
    Fault("status", False, status=429),
    Fault("status", False, status=429, after="1"),
    Fault("status", False, status=429, after="date 7"),
    Fault("status", False, status=429, after="3600"),
    Fault("status", False, status=429, after="soon"),
    Fault("status", False, status=408),
    Fault("status", status=524, seconds=10.0),
    Fault("status", False, status=529, after="1.5"),
)
NONSENSE = (
    Fault("html", False),
    Fault("html"),
    Fault("garbled"),
    Fault("empty"),
    Fault("no content"),
    Fault("nulls"),
    Fault("moved", False),
    Fault("loop", False),
)
VERDICTS = (
    Fault("status", False, status=401),
    Fault("status", False, status=400),
    Fault("status", False, status=501),
    Fault("status", False, status=505),
    Fault("to cdn", False),
    Fault("to http", False),
)
POST = (NO_FAULT, *SILENCE, *REFUSALS, *NONSENSE, *VERDICTS, Fault("see other"), Fault("status", False, status=409))
POLL = (
    NO_FAULT,
    *SILENCE,
    *REFUSALS,
    *NONSENSE,
    Fault("status", False, status=404),
    Fault("status", False, status=404),
    Fault("unknown status"),
    Fault("older status"),
    Fault("other job"),
    Fault("to cdn", False),
    Fault("status", False, status=403),
    Fault("status", False, status=403, after="2"),
    Fault("status", False, status=421),
)
FILE = (
    NO_FAULT,
    *SILENCE,
    *REFUSALS,
    Fault("cut", at=0),
    Fault("cut", at=1),
    Fault("cut", at=700),
    Fault("cut", at=3000),
    Fault("cut", at=3000),
    Fault("cut", at=9000),
    Fault("short", at=2000),
    Fault("short", at=0),
    Fault("over"),
    Fault("drip", seconds=5.0),
    Fault("drip", seconds=50.0),
    Fault("drip", seconds=100.0),
    Fault("unrequested range"),
    Fault("no range"),
    Fault("early range"),
    Fault("late range"),
    Fault("other total"),
    Fault("wrong digest"),
    Fault("flip"),
    Fault("416"),
    Fault("gzip"),
    Fault("html"),
    Fault("odd length"),
    Fault("moved", False),
    Fault("loop", False),
    Fault("to cdn", False),
    Fault("to plain cdn", False),
    Fault("to http", False),
    Fault("status", False, status=404),
    Fault("status", False, status=202, after="1"),
    Fault("status", False, status=400, after="1"),
    Fault("status", False, status=409),
    Fault("status", False, status=410),
    Fault("change"),
    Fault("change"),
    Fault("disk full", at=2500),
    Fault("disk full", at=0),
    Fault("keep fails"),
)
OTHER = (NO_FAULT, *SILENCE, *REFUSALS, *NONSENSE)

NEVER = float("inf")


@frozen
class Break:
    """Where a call is broken off: at its `at`-th command, before it, or half-way in it if it was `begun`."""

    how: str
    at: int
    begun: bool = False


@frozen
class Plan:
    """Everything that decides how one errand goes."""

    base: str = "http://service.test"
    keys: str = "replay"  # or "ignore", "conflict", "reject"
    replays_keys: str = "ask"
    states: tuple[tuple[str, float], ...] = (("pending", 1.0),)
    end: str = "completed"
    holds: bool = True
    tags: bool = True
    cutoff: float = NEVER
    cancels: str = "document"
    restart: tuple[int, str] | None = None
    size: bool = True
    format: bool = True
    length: bool = True
    digest: bool = True
    ranges: bool = True
    etag: str = "strong"
    date: str = "none"  # Last-Modified: "strong", "weak", or "coarse", the same for every version of the file
    honours_if_range: bool = True
    file_bytes: int = 5000
    file_at: str = "here"
    verb: str = "run"
    timeout: float | None = None
    hold: int = 20
    verify: str = "auto"
    on_abandon: str | None = None
    before: bytes | None = None
    breaks: tuple[Break | None, ...] = ()
    post: tuple[Fault, ...] = ()
    poll: tuple[Fault, ...] = ()
    file: tuple[Fault, ...] = ()
    other: tuple[Fault, ...] = ()
    seed: int = field(default=0, repr=False)


def draw_plan(pick: Pick) -> Plan:
    """Draw a plan; the first of every set of options is the simplest."""
    keys = pick(("replay", "replay", "ignore", "conflict", "reject"))
    last = pick(("completed",) * 9 + ("failed", "cancelled", "never"))
    statuses = pick((("pending",), (), ("pending", "searching"), ("pending", "searching", "thinking", "downloading")))
    return Plan(
        base=pick(("http://service.test", "https://service.test")),
        keys=keys,
        replays_keys=pick(("ask", "ask", "yes" if keys == "replay" else "no")),
        states=tuple((status, pick((1.0, 0.0, 0.1, 4.0, 30.0, 200.0))) for status in statuses),
        end=last,
        holds=pick((True, False)),
        tags=pick((True, False)),
        cutoff=pick((NEVER, NEVER, NEVER, 5.0)),
        cancels=pick(("document", "document", "empty", "none", "deletes")),
        restart=(pick((1, 2, 3, 4, 6)), pick(("rerun", "lose"))) if pick((False, False, False, True)) else None,
        size=pick((True, False)),
        format=pick((True, True, False)),
        length=pick((True, False)),
        digest=pick((True, False)),
        ranges=pick((True, True, False)),
        etag=pick(("strong", "strong", "strong", "weak", "none")),
        honours_if_range=pick((True, True, False)),
        file_bytes=pick((5000, 9, 4200, 30_000)),
        file_at=pick(("here", "here", "here", "moved", "cdn", "plain cdn")),
        verb=pick(("run", "run", "run", "document", "handle", "read")),
        timeout=pick((60.0, 15.0, 3.0, 600.0) if last == "never" else (None, None, 600.0, 60.0, 15.0, 3.0)),
        hold=pick((20, 0)),
        verify=pick(("auto", "auto", "require")),
        on_abandon=pick((None, None, "cancel", "leave", "cancel-if-interrupted")),
        before=pick((None, b"what was there before")),
        breaks=tuple(_several(lambda: _draw_break(pick), pick((False, False, False, True)), pick)),
        post=_faults(pick, POST),
        poll=_faults(pick, POLL),
        file=_faults(pick, FILE),
        other=_faults(pick, OTHER),
        seed=pick((0, 1, 2, 3)),
        date=pick(("none", "none", "strong", "weak", "coarse")),
    )


def _draw_break(pick: Pick) -> Break:
    return Break(pick(("kill", "leave")), pick(range(24)), pick((False, True)))


def _faults(pick: Pick, kinds: Sequence[Fault]) -> tuple[Fault, ...]:
    return tuple(_several(lambda: pick(kinds), pick((False, True)), pick))


def _several(draw: Callable[[], T], more: bool, pick: Pick) -> list[T]:
    drawn: list[T] = []
    while more and len(drawn) < 12:
        drawn.append(draw())
        more = pick((False, True, True))
    return drawn


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Every plan, for hypothesis."""
    return draw_plan(lambda options: draw(st.sampled_from(options)))


def plan_of(seed: int) -> Plan:
    """Draw the plan of this seed, the same on every machine."""
    return draw_plan(random.Random(seed).choice)
