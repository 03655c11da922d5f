"""Whether a reader takes linear time: eight times the text takes about eight times as long."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from time import thread_time

SMALL = 8_000
"""Characters of the smaller text; the larger one is about as long as a head may be."""


def seconds(read: Callable[[str], object], text: str, *refusals: type[Exception]) -> float:
    """Measure the CPU time of one reading; other processes do not count."""
    begun = thread_time()
    with suppress(ValueError, *refusals):
        read(text)
    return thread_time() - begun


def is_linear(
    read: Callable[[str], object], piece: str, *refusals: type[Exception], before: str = "", after: str = ""
) -> bool:
    """Compare the best of several readings of a repeated piece: one slow moment of the machine does not count."""
    small, large = (before + piece * (size // len(piece)) + after for size in (SMALL, 8 * SMALL))
    best = [float("inf")] * 2
    for _ in range(6):
        best = [min(least, seconds(read, text, *refusals)) for least, text in zip(best, (small, large), strict=True)]
        # Reading either takes at least this time, below which clocks are not precise.
        if best[1] < 24 * max(best[0], 0.0002):
            return True
    return False
