"""How a command ends: its exit code, its last words on stderr, and its one line or JSON object on stdout.

`EXITS` is the one place that maps errors to exit codes; the help texts print it. No request is sent from here.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import sys
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

import click
from attrs import asdict

from gofer.cli.screen import printable
from gofer.contracts.flaws import words_of
from gofer.core.commands import MANIFEST
from gofer.errors import (
    Expired,
    GoferError,
    JobFailed,
    JobLost,
    OutOfTime,
    RateLimited,
    SubmitUncertain,
    TargetError,
    TransportError,
    Unauthorized,
    Unavailable,
    UsageError,
)
from gofer.events import CancelSent, Changed, Event, Saved, Submitted
from gofer.models import RetrieveResult

Kinds = tuple[type[BaseException], ...]

EXITS: tuple[tuple[int, str, Kinds], ...] = (
    (0, "done", ()),
    (2, "bad usage: an argument, the ticket or the target is wrong", (UsageError, TargetError)),
    (
        3,
        "the service cannot be reached, or cannot take the job now",
        (TransportError, Unavailable, RateLimited, SubmitUncertain),
    ),
    (4, "out of time: the job was left running", (OutOfTime,)),
    (130, "interrupted by Ctrl-C", (KeyboardInterrupt,)),
    (1, "the job failed, was refused or lost, or sent a wrong file", (GoferError,)),
)
"""Exit code, meaning, errors. The first row that fits counts, so the root of the tree comes last."""

CHECK_EXITS = (
    (0, "done"),
    (1, "a reply could not be read"),
    (2, "bad usage, or the declaration is wrong"),
    (130, "Ctrl-C"),
)
"""The exit codes of `gofer contract`, which sends nothing."""

HEALTH_EXITS = ((0, "jobs can run"), (2, "bad usage"), (3, "jobs cannot run, or nobody answered"), (130, "Ctrl-C"))
"""The exit codes of `gofer health`, which has no job."""

SUFFIXES: Mapping[str, str] = {".pdf": "pdf", ".epub": "epub", ".xml": "xml", ".html": "html", ".htm": "html"}
"""What a file's name promises; other suffixes promise nothing."""

OVER = (JobFailed, JobLost, Expired)
"""Errors after which there is nothing left to come back for."""


def code_of(error: BaseException) -> int:
    """Return the exit code of an error."""
    return next(code for code, _, kinds in EXITS if isinstance(error, kinds))


def say(words: str) -> None:
    """Print a line for the person, without control characters."""
    click.echo(printable(words), err=True)


class Notes:
    """What an errand has told so far: the listener that its end is reported from.

    Attributes:
        to: the target, as it was given; None where the value is printed.
        back: further arguments that a later `gofer attach` needs.
        general: whether it is told as for any contract, and not as for a paper.
        key: the idempotency key of the submission, None where nothing is submitted.
        replays: whether the service may be counted on to make no second job of the same key.
        over: whether the job is known to need nobody any more.
        done: whether the errand came to its end, so that `value` is what the job gave.
        value: the job's final document, or what the contract makes of it.
        called_off: whether the service confirmed a cancellation; None where none was answered.
    """

    def __init__(self, to: str | None, *, back: tuple[str, ...] = (), general: bool = False) -> None:
        self.to, self.back, self.general = to, back, general
        self.key: str | None = None
        self.replays, self.over, self.done = True, False, False
        self.show: Callable[[Event], object] | None = None
        self.job_id: str | None = None
        self.ticket: str | None = None
        self.status: str | None = None
        self.saved: Saved | None = None
        self.value: Any = None
        self.called_off: bool | None = None

    def __call__(self, event: Event) -> None:
        """Note an event and pass it to the screen."""
        match event:
            case Submitted():
                self.job_id, self.ticket, self.status = event.job_id, event.ticket, str(event.status) or None
            case Changed():
                self.status = str(event.status)
            case Saved():
                self.saved = event
            case CancelSent():
                self.status, self.over, self.called_off = str(event.status), event.status.done, event.confirmed
            case _:
                pass
        if self.show is not None:
            with contextlib.suppress(BrokenPipeError):  # whoever read stderr has left; the notes still count
                self.show(event)

    def finish(self, value: Any) -> None:
        """Note what the job gave."""
        self.done, self.value = True, value

    def learn(self, error: GoferError) -> None:
        """Take over what an error knows of the job."""
        self.job_id, self.ticket = error.job_id or self.job_id, error.ticket or self.ticket
        self.status = error.status or self.status
        self.over = self.over or isinstance(error, OVER)

    @property
    def farewell(self) -> str:
        """What became of the job when Ctrl-C was pressed."""
        if self.called_off is not None:
            if not self.called_off:
                return "This service does not cancel jobs."
            if not self.over:
                return f"The service was asked to cancel the job, and calls it {self.status} still."
            return "The job is cancelled."
        if self.ticket is None and self.key is None:
            return "Nothing was sent."
        if self.ticket is None:
            return "The service had not answered yet; if it has made a job, that job goes on."
        return "The job goes on."

    @property
    def way_back(self) -> str | None:
        """The command that goes on with the job; None when there is no job to go on with."""
        if self.ticket is None or self.over or not self.job_id:  # a job without an id was finished at once
            return None
        return self.attach(self.to)

    def attach(self, to: str | None) -> str:
        """Return the command that brings what the job gave to this target."""
        assert self.ticket is not None  # noqa: S101  (asked for a job that is known)
        return shlex.join(["gofer", "attach", self.ticket, *([] if to is None else ["--to", to]), *self.back])

    @property
    def misnamed(self) -> str | None:
        """A remark, where the file's name promises another format than it has."""
        kind = None if self.saved is None else self.saved.format
        promised = SUFFIXES.get(Path(self.to or "").suffix.lower())
        if kind is None or kind not in SUFFIXES.values() or promised is None or kind == promised:
            return None
        return f"Note: the file is {kind.upper()}, not {promised.upper()} as its name says."

    @property
    def gave(self) -> Any:
        """The value as JSON can have it."""
        return asdict(self.value) if isinstance(self.value, RetrieveResult) else self.value

    def document(self, error: BaseException | None, words: str | None) -> dict[str, object]:
        """Make the object that `--json` prints."""
        source = self.value.source if isinstance(self.value, RetrieveResult) else None
        more = {"files": self._files, "value": self.gave} if self.general else {"source": source}
        return {
            "status": self.status,
            "job_id": self.job_id or None,
            "path": None if self.saved is None else os.fspath(self.saved.path),
            "size": None if self.saved is None else self.saved.size,
            "format": None if self.saved is None else self.saved.format,
            **more,
            "verified": None if self.saved is None else str(self.saved.verified),
            "ticket": self.ticket if self.job_id else None,
            "error_code": getattr(error, "error_code", None),
            "error": words,
        }

    @property
    def _files(self) -> Any:
        """What is in the folder, as its manifest has it; None where there is no folder."""
        if self.saved is None or not self.saved.path.is_dir():
            return None
        try:
            return json.loads((self.saved.path / MANIFEST).read_bytes())["files"]
        except (OSError, ValueError, KeyError):
            return None  # taken away since


@contextlib.contextmanager
def reported(notes: Notes, *, as_json: bool) -> Generator[None]:
    """Run an errand, say how it ended, and exit with its code."""
    error: BaseException | None = None
    words: str | None = None
    try:
        yield
    except KeyboardInterrupt as pressed:
        error, words = pressed, "interrupted"
        say(f"Interrupted. {notes.farewell}")
    except GoferError as raised:
        error, words = raised, str(raised)
        notes.learn(raised)
        explain(raised)
        _settle(raised, notes)
    if notes.misnamed is not None:
        with contextlib.suppress(BrokenPipeError):
            say(notes.misnamed)
    if error is not None and not isinstance(error, UsageError) and notes.way_back is not None:
        say(f"The job is not lost. This goes on with it and brings its {'result' if notes.general else 'file'}:")
        say(notes.way_back)
    if as_json:
        show_json(notes.document(error, words))
    elif notes.saved is not None:
        click.echo(os.fsencode(notes.saved.path))
    elif notes.done:
        click.echo(json.dumps(notes.gave, indent=2))
        _without_value(notes)
    sys.exit(0 if error is None else code_of(error))


@contextlib.contextmanager
def explained() -> Generator[None]:
    """Run a command that has no job: an error is a line on stderr and an exit code."""
    try:
        yield
    except GoferError as error:
        explain(error)
        sys.exit(code_of(error))
    except KeyboardInterrupt as pressed:
        sys.exit(code_of(pressed))


def show_json(document: Mapping[str, object]) -> None:
    """Print the one JSON object, in ASCII."""
    click.echo(json.dumps(document))


def explain(error: GoferError) -> None:
    """Say an error, and what a failed job had tried."""
    say(f"gofer: {error}")
    if isinstance(error, Unauthorized):
        say("The command line takes the token from the environment variable SERVICE_TOKEN.")
    value = error.value if isinstance(error, JobFailed) else None
    for attempt in value.attempts if isinstance(value, RetrieveResult) else ():
        place = ", ".join(fact for fact in (attempt.source, attempt.place) if fact)
        means = words_of(attempt.failure)
        say(f"  tried {place or 'a place'}: {attempt.failure or 'no luck'}" + (f" ({means})" if means else ""))


def _without_value(notes: Notes) -> None:
    """Say how files are brought, where there was no value to print."""
    if notes.value is not None:
        return
    if notes.way_back is None:
        say("The job gave no value, and cannot be come back to. If it gives files, --to brings them.")
    else:
        say("The job gave no value. If it gave files, this brings them:")
        say(notes.attach("out/"))


def _settle(error: GoferError, notes: Notes) -> None:
    """Say how to find out about a submission that may have made a job."""
    unanswered = isinstance(error, SubmitUncertain) or (isinstance(error, OutOfTime) and error.key is not None)
    if not unanswered or notes.key is None:
        return
    if not notes.replays:
        say("Whether there is a job now is not known; look at the service. The same command again may make a second.")
    else:
        say("Whether there is a job now is not known. The same command again, with this at its end, settles it:")
        say(f"--key {shlex.quote(notes.key)}")
