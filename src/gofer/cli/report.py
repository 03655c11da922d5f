"""How a command ends: the last lines on stderr, the one line or JSON object on stdout, and the exit.

What is reported of an errand comes from its `ErrandRecord`. No request is sent from here.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import sys
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import click
from attrs import asdict

from gofer.cli.exit_codes import code_of
from gofer.cli.record import ErrandRecord
from gofer.cli.screen import say
from gofer.contracts.flaws import words_of
from gofer.core.commands import MANIFEST
from gofer.errors import GoferError, JobFailed, NeedsInput, OutOfTime, SubmitUncertain, Unauthorized, UsageError
from gofer.models import RetrieveResult, State, Status

FORMATS: Mapping[str, str] = {".pdf": "pdf", ".epub": "epub", ".xml": "xml", ".html": "html", ".htm": "html"}
"""The formats that a file's suffix names; no other suffix is compared with the file."""


@contextlib.contextmanager
def report_errand(record: ErrandRecord, *, as_json: bool) -> Generator[None]:
    """Run an errand, report how it ended, and exit with its code."""
    error: BaseException | None = None
    message: str | None = None
    try:
        yield
    except KeyboardInterrupt as interrupt:
        error, message = interrupt, "interrupted"
        say(f"Interrupted. {_after_interrupt(record)}")
    except GoferError as failure:
        error, message = failure, str(failure)
        record.fail(failure)
        say_error(failure)
    _advise_repeating(record, error)
    if remark := suffix_remark(record):
        say(remark)
    if error is not None and not isinstance(error, UsageError) and record.can_attach:
        if isinstance(error, NeedsInput):
            say("To answer it, put what it asks for in place of ANSWER, and run:")
            say(shlex.join(["gofer", "answer", record.ticket or "", "ANSWER", *record.attach_options]))
        say("To continue with this job, run:")
        say(_attach_line(record, record.to))
    if as_json:
        click.echo(json.dumps(_json_object(record, error, message)))
    elif record.saved is not None:
        click.echo(os.fsencode(record.saved.path))
    elif record.done and record.job_only:
        click.echo(record.value)
    elif record.done:
        click.echo(json.dumps(_json_value(record), indent=2))
        _explain_no_value(record)
    sys.exit(0 if error is None else code_of(error))


@contextlib.contextmanager
def exit_on_error() -> Generator[None]:
    """Run a command that has no job: an error is a line on stderr and an exit code."""
    try:
        yield
    except GoferError as error:
        say_error(error)
        sys.exit(code_of(error))
    except KeyboardInterrupt as interrupt:
        sys.exit(code_of(interrupt))


def suffix_remark(record: ErrandRecord) -> str | None:
    """Return a remark if the target's suffix names another format than the file has."""
    actual = None if record.saved is None else record.saved.format
    named = FORMATS.get(Path(record.to or "").suffix.lower())
    if actual is None or actual not in FORMATS.values() or named is None or actual == named:
        return None
    return f"Note: the file is {actual.upper()}, not {named.upper()} as its name says."


def _after_interrupt(record: ErrandRecord) -> str:
    """Say what became of the job when Ctrl-C was pressed: nothing that no reply has shown."""
    if record.ticket is None and not record.submitting:
        return "Nothing was sent."
    if record.ticket is None:
        return "The submission was not answered."
    if record.status.state is State.CANCELLED:
        return "The job is cancelled."
    if record.status.done:
        return f"The job has ended; its status is {record.status}."
    if not record.submitting:
        return "The job was left as it is."
    if record.cancellation is None:
        return "The service has not confirmed that the job is cancelled."
    if not record.cancellation.confirmed:
        return "This service does not cancel jobs, so the job was left as it is."
    return f"The service accepted the cancellation, but the last status it showed is {record.status}."


def say_error(error: GoferError) -> None:
    """Say an error, and what a failed job had tried."""
    say(f"gofer: {error}")
    if isinstance(error, Unauthorized):
        say("The command line takes the token from the environment variable SERVICE_TOKEN.")
    document = error.value if isinstance(error, JobFailed) else None
    for attempt in document.attempts if isinstance(document, RetrieveResult) else ():
        place = ", ".join(part for part in (attempt.source, attempt.place) if part)
        meaning = words_of(attempt.failure)
        say(f"  tried {place or 'a place'}: {attempt.failure or 'failed'}" + (f" ({meaning})" if meaning else ""))


def _advise_repeating(record: ErrandRecord, error: BaseException | None) -> None:
    """Say how to find out about a submission that may have made a job."""
    interrupted = isinstance(error, KeyboardInterrupt) and record.submitting and record.ticket is None
    late = isinstance(error, OutOfTime) and error.key is not None
    if not (interrupted or late or isinstance(error, SubmitUncertain)):
        return
    say("The service may have made a job; it is not cancelled.")
    if record.key is None:
        say("Check this at the service first: the same command again may make a second job.")
    else:
        say("Run the same command again with this option; a service that replays keys then makes no second job:")
        say(f"--key {shlex.quote(record.key)}")


def _attach_line(record: ErrandRecord, to: str | None) -> str:
    """Return the command that gets the job's result into this target."""
    assert record.ticket is not None  # noqa: S101  (only asked if `can_attach`)
    target = () if to is None else ("--to", to)
    return shlex.join(["gofer", "attach", record.ticket, *target, *record.attach_options])


def _explain_no_value(record: ErrandRecord) -> None:
    """Say how to get the files of a job that has no value to print."""
    if record.value is not None:
        return
    if record.can_attach:
        say("The job has no value. If its result is files, this downloads them:")
        say(_attach_line(record, "out/"))
    else:
        say("The job has no value, and no id to attach to. If its result is files, pass --to.")


def _json_object(record: ErrandRecord, error: BaseException | None, message: str | None) -> dict[str, object]:
    """Make the object that `--json` prints."""
    status = record.status
    why = status if error is not None or record.job_only else Status("")  # a result that is there needs no reason
    return {
        "status": str(status) or None,
        "job_id": record.job_id or None,
        **(_job_fields(status) if record.job_only else _result_fields(record)),
        "ticket": record.ticket if record.job_id else None,
        "key": record.key,
        "error_code": getattr(error, "error_code", None) or why.error_code,
        "error": message or why.error,
    }


def _job_fields(status: Status) -> dict[str, object]:
    state = str(status.state) if status else None
    return {"state": state, "progress": status.progress, "message": status.message}


def _result_fields(record: ErrandRecord) -> dict[str, object]:
    saved, value = record.saved, record.value
    if record.any_contract:
        result = {"files": _manifest_files(record), "value": _json_value(record)}
    else:
        result = {"source": value.source if isinstance(value, RetrieveResult) else None}
    return {
        "path": None if saved is None else os.fspath(saved.path),
        "size": None if saved is None else saved.size,
        "format": None if saved is None else saved.format,
        **result,
        "verified": None if saved is None else str(saved.verified),
    }


def _json_value(record: ErrandRecord) -> Any:
    return asdict(record.value) if isinstance(record.value, RetrieveResult) else record.value


def _manifest_files(record: ErrandRecord) -> Any:
    """Return the entries of the folder's manifest; None if there is no folder."""
    if record.saved is None or not record.saved.path.is_dir():
        return None
    try:
        return json.loads((record.saved.path / MANIFEST).read_bytes())["files"]
    except (OSError, ValueError, KeyError):
        return None  # taken away since
