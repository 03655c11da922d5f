"""What a person sees on stderr while an errand runs: a bar on a terminal, plain lines elsewhere, or nothing.

Every text of a service goes through `printable` before it is shown. Nothing is written to stdout here, and nothing
depends on what is shown.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Generator

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Column
from rich.text import Text

from gofer.events import Changed, Downloading, Event, Retrying, Submitted
from gofer.progress import in_words, size_in_words


def printable(text: str) -> str:
    """Return the text with a blank for every control, formatting and line-breaking character."""
    return "".join(character if character.isprintable() else " " for character in text)


def columns(*texts: str) -> str:
    """Return a line with tabs between these texts."""
    return "\t".join(map(printable, texts))


def say(line: str) -> None:
    """Print a line on stderr, without control characters."""
    try:
        click.echo(printable(line), err=True)
    except BrokenPipeError:  # nobody reads stderr any more; the command goes on
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123  (what is still buffered would end Python with code 120)
            _ = os.dup2(nowhere.fileno(), sys.stderr.fileno())


@contextlib.contextmanager
def showing(*, quiet: bool) -> Generator[Callable[[Event], object]]:
    """Yield the listener that shows an errand's events; what the library logs is shown in the same place.

    That is its warnings, and with `-v` each request and each step.
    """
    if quiet or sys.stderr is None:  # closed by the shell: 2>&-
        with log_lines(lambda _: None):
            yield lambda _: None
    elif sys.stderr.isatty():
        with _progress() as progress, log_lines(lambda line: progress.console.print(Text(line), soft_wrap=True)):
            yield Bar(progress)
    else:
        with log_lines(say):
            yield Lines()


class EventText:
    """Makes the text of each event; a failure that is repeated right away is not explained again."""

    def __init__(self) -> None:
        self._why: str | None = None

    def __call__(self, event: Event) -> str:
        """Return the text of an event."""
        last, self._why = self._why, event.why if isinstance(event, Retrying) else None
        if isinstance(event, Retrying) and event.why == last:
            return f"trying again in {event.pause:.1f} s"
        return printable(in_words(event))


class Lines:
    """One line for each event; for a file's bytes one for each tenth, or each doubling if the size is not announced."""

    def __init__(self) -> None:
        self._text = EventText()
        self._next = 0.0

    def __call__(self, event: Event) -> None:
        """Print an event's line."""
        if isinstance(event, Downloading):
            if event.done < self._next and event.done != event.total:
                return
            self._next = event.done + (max(event.done, 1 << 20) if event.total is None else event.total / 10)
        say(self._text(event))


class Bar:
    """One live line: the job's status, then the bytes of the file. Retries and the file's path stay above it."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._text = progress, EventText()
        self._state = progress.add_task("calling the service", total=None, amount="")
        self._bytes = progress.add_task("downloading", total=None, amount="", visible=False)

    def __call__(self, event: Event) -> None:
        """Show an event."""
        text = self._text(event)
        match event:
            case Submitted() | Changed():
                share = event.status.progress
                total = None if share is None else 1.0
                self._progress.update(self._state, description=text, completed=share, total=total, refresh=True)
            case Downloading():
                of = "" if event.total is None else f" of {size_in_words(event.total)}"
                amount = size_in_words(event.done) + of
                self._progress.update(self._state, visible=False)
                self._progress.update(
                    self._bytes, completed=event.done, total=event.total, amount=amount, visible=True, refresh=True
                )
            case _:
                self._progress.console.print(Text(text), soft_wrap=True)


def _progress() -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis")),
        BarColumn(),
        TextColumn("{task.fields[amount]}", markup=False, table_column=Column(no_wrap=True)),
        console=Console(stderr=True, highlight=False),
        transient=True,
    )


@contextlib.contextmanager
def log_lines(write: Callable[[str], object]) -> Generator[None]:
    """Show what the library logs where the events are shown; it may quote a service."""

    class Shown(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            for line in self.format(record).splitlines():
                write(printable(line))

    log, handler = logging.getLogger("gofer"), Shown()
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
