"""How much of the widest matrices is tested: all of them by `nox -s faults`, by default a slice of each."""

import os
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

EVERY_CASE = "EVERY_CASE" in os.environ
"""Whether nothing is left out."""


def in_turn(cases: Sequence[T], number: int) -> Sequence[T]:
    """Return all cases, or by default one of them: another for the next number."""
    return cases if EVERY_CASE else (cases[number % len(cases)],)
