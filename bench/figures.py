"""What a benchmark reports: one `Figure` for each row of a table. Times are reported as ratios where possible."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One measured figure; `ok` is None if there is no target."""

    name: str
    measured: str
    target: str = ""
    ok: bool | None = None


def spread(values: Sequence[float], form: str = ".2f") -> str:
    """Format the median of some rounds, with the least and the greatest."""
    return f"{statistics.median(values):{form}} ({min(values):{form}} .. {max(values):{form}})"


def at_most(name: str, values: Sequence[float], limit: float, form: str = ".2f") -> Figure:
    """Make a figure whose median must not exceed a limit."""
    return Figure(name, spread(values, form), f"<= {limit:g}", statistics.median(values) <= limit)


def at_least(name: str, values: Sequence[float], limit: float, form: str = ".2f") -> Figure:
    """Make a figure whose median must reach a limit."""
    return Figure(name, spread(values, form), f">= {limit:g}", statistics.median(values) >= limit)


def interleaved(variants: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Measure every variant once a round, each round in another order, so that a busy machine slows all of them."""
    names = list(variants)
    measured: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            measured[name].append(variants[name]())
    return measured


def ratios(over: Sequence[float], under: Sequence[float]) -> list[float]:
    """Divide round by round, so that what slows both in one round cancels out."""
    return [above / below for above, below in zip(over, under, strict=True)]


def table(figures: Sequence[Figure]) -> str:
    """Format the figures as one table."""
    rows = [("figure", "target", "measured", "")]
    rows += [(f.name, f.target, f.measured, {True: "ok", False: "OVER", None: ""}[f.ok]) for f in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])
