"""`progress=True`: one line on stderr that shows the last event, if stderr is a terminal; else nothing."""

from __future__ import annotations

import sys
import threading
from typing import TextIO

from gofer.events import CancelSent, Changed, Downloading, Event, Retrying, Saved, Submitted
from gofer.models import State, Status


def in_words(event: Event) -> str:
    """Return a few words for an event."""
    match event:
        case Submitted():
            return f"submitted, {word_of(event.status) or 'accepted'}"
        case Changed():
            share = "" if event.status.progress is None else f" {event.status.progress:.0%}"
            return f"{word_of(event.status)}{share}" + (f": {event.status.message}" if event.status.message else "")
        case Retrying():
            return f"trying again in {event.pause:.1f} s: {event.why}"
        case Downloading():
            of = "" if event.total is None else f" of {size_in_words(event.total)}"
            return f"downloading {size_in_words(event.done)}{of}"
        case Saved():
            kind = f", {event.format}" if event.format else ""
            return f"saved {event.path} ({size_in_words(event.size)}{kind}, verified: {event.verified})"
        case CancelSent(status=status) if status.done:
            return word_of(status) if status.state is State.CANCELLED else f"not cancelled, the job had ended: {status}"
        case CancelSent(confirmed=True):
            return f"cancellation accepted, last status: {event.status}"
        case CancelSent():
            return "not cancelled, the service does not cancel jobs"


def word_of(status: Status) -> str:
    """Return the service's word for a status, or "cancelled", which some services call a failure."""
    return "cancelled" if status.state is State.CANCELLED else str(status)


def size_in_words(size: int) -> str:
    """Return a number of bytes as text, in the unit that fits."""
    amount = float(size)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"


class ProgressLine:
    """A listener that shows the last event in one line; `visible` says whether the stream is a terminal."""

    WIDTH = 100

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._lock, self._open = threading.Lock(), False
        self.visible = self._stream is not None and self._stream.isatty()

    def __call__(self, event: Event) -> None:
        """Replace the line with this event."""
        words = "".join(sign if sign.isprintable() else " " for sign in in_words(event))[: self.WIDTH]
        with self._lock:
            print(f"\r\x1b[K{words}", end="", file=self._stream, flush=True)
            self._open = True

    def end(self) -> None:
        """End the line, so that the next output begins on a new line."""
        with self._lock:
            if self._open:
                print(file=self._stream, flush=True)
            self._open = False
