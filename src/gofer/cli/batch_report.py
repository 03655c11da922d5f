"""What is shown of a batch while it runs, and the reports of its journal. No request is sent from here."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import sys
import time
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from gofer.cli.screen import log_lines, printable, say
from gofer.contracts.payload import as_map
from gofer.errors import UsageError
from gofer.models import BatchErrand

Show = Callable[[BatchErrand[Any], dict[str, int]], object]

COLUMNS = ("number", "state", "request", "path", "job_id", "ticket", "attempt", "error", "value")
"""The columns of a report."""


def summary(counts: dict[str, int]) -> str:
    """Say how many errands there are of each state."""
    return ", ".join(f"{number} {state}" for state, number in counts.items() if number) or "nothing to do"


def line_of(errand: BatchErrand[Any]) -> str:
    """Say in one line how an errand ended."""
    name = json.dumps(errand.request, ensure_ascii=False)
    short = name if len(name) <= 100 else f"{name[:97]}..."
    return printable(f"{errand.number} {errand.state}: {short} {errand.path or errand.error or ''}".rstrip())


@contextlib.contextmanager
def showing_batch(total: int, *, quiet: bool) -> Generator[Show]:
    """Yield what shows each errand that has ended: a bar for the whole on a terminal, else a line for each."""
    if quiet or sys.stderr is None:
        with log_lines(lambda _: None):
            yield lambda _, __: None
    elif sys.stderr.isatty():
        with _bar() as progress, log_lines(lambda line: progress.console.print(Text(line), soft_wrap=True)):
            yield _Bar(progress, total)
    else:
        with log_lines(say):
            yield lambda errand, _: say(line_of(errand))


def _bar() -> Progress:
    return Progress(
        BarColumn(),
        TextColumn("{task.description}", markup=False),
        console=Console(stderr=True, highlight=False),
        transient=True,
    )


class _Bar:
    """One live line for the whole: how many are done, how fast, and how long the others will take."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._began, self._ended = progress, time.monotonic(), 0
        self._task = progress.add_task(f"0 of {total}", total=total)

    def __call__(self, errand: BatchErrand[Any], counts: dict[str, int]) -> None:
        """Show an errand that has ended; what went wrong stays above the line."""
        self._ended += 1
        rate = self._ended / max(time.monotonic() - self._began, 0.001)
        left = counts["waiting"] + counts["open"]
        words = f"{summary(counts)}, {rate:.1f}/s, {_duration(left / rate)} left"
        over = sum(counts.values()) - left
        self._progress.update(self._task, completed=over, description=words, refresh=True)
        if errand.state != "done":
            self._progress.console.print(Text(line_of(errand)), soft_wrap=True)


def _duration(seconds: float) -> str:
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def row_of(errand: BatchErrand[Any]) -> dict[str, Any]:
    """Return what a report says of an errand."""
    values = {name: getattr(errand, name) for name in COLUMNS}
    path = None if errand.path is None else os.fspath(errand.path)
    return values | {"path": path, "error": None if errand.error is None else str(errand.error)}


def write_report(errands: Iterable[BatchErrand[Any]], to: str) -> int:
    """Write a report, as CSV or JSON lines by the suffix; return the number of errands.

    Raises:
        UsageError: the suffix is another, or the file cannot be written.
    """
    suffix, count = Path(to).suffix.lower(), 0
    if suffix not in (".csv", ".jsonl"):
        raise UsageError(f"--report writes .csv or .jsonl, not {to!r}.")
    try:
        with Path(to).open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            table, fields = csv.writer(file), list[str]()
            for errand in errands:
                row, request = row_of(errand), as_map(errand.request) or {}
                if suffix == ".jsonl":
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")
                else:
                    if count == 0:  # the members of the first request become columns, for a spreadsheet
                        fields = [name for name in request if name not in COLUMNS]
                        table.writerow([*map(_cell, fields), *COLUMNS])
                    cells = [*(request.get(name) for name in fields), *(row[name] for name in COLUMNS)]
                    table.writerow(map(_cell, cells))
                count += 1
    except OSError as error:
        raise UsageError(f"The report {to!r} cannot be written: {error.strerror or error}.") from error
    return count


def _cell(value: Any) -> str:
    """Write a value as a cell; one that a spreadsheet would take for a formula is quoted."""
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
