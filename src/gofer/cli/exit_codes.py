"""The exit codes of every command: what they mean, and which error ends a command with which code.

The help texts print these tables.
"""

from __future__ import annotations

from gofer import errors

ERRAND: tuple[tuple[int, str, tuple[type[BaseException], ...]], ...] = (
    (0, "done", ()),
    (
        2,
        "bad usage: an argument, the ticket, the target or the journal is wrong",
        (errors.UsageError, errors.TargetError, errors.JournalError),
    ),
    (
        3,
        "no answer from the service, or the service cannot take the job now",
        (errors.TransportError, errors.Unavailable, errors.RateLimited, errors.SubmitUncertain),
    ),
    (4, "out of time: the job was not cancelled", (errors.OutOfTime,)),
    (5, "the job waits for an answer of its caller", (errors.NeedsInput,)),
    (130, "interrupted by Ctrl-C", (KeyboardInterrupt,)),
    (1, "the job failed, was cancelled, refused or lost, or its file is wrong", (errors.GoferError,)),
)
"""Code, meaning and errors of every command about jobs. The first row that fits counts, so the root comes last."""

BATCH = (
    (0, "all errands are done"),
    (1, "some errands failed, or are uncertain"),
    *((code, meaning) for code, meaning, _ in ERRAND if code not in (0, 1)),
)
CONTRACT = ((0, "done"), (2, "bad usage, or the declaration is wrong"), (130, "interrupted by Ctrl-C"))
CONTRACT_CHECK = (*CONTRACT, (1, "a recorded reply could not be read"))
CONTRACT_GUESS = (*CONTRACT, (1, "something was not found: the draft has a placeholder, marked `# ?`"))
HEALTH = ((0, "jobs can run"), (2, "bad usage"), (3, "jobs cannot run, or no answer"), (130, "interrupted by Ctrl-C"))
SERVE = (
    (0, "ended by Ctrl-C or SIGTERM; with --check: nothing is wrong"),
    (1, "could not start: the port or the data folder is in use, the records are damaged, or a token is missing"),
    (2, "bad usage, a wrong setting, or the extra `service` is not installed; with --check: something is wrong"),
)


def code_of(error: BaseException) -> int:
    """Return the exit code of an error; a batch that has stopped ends as its reason would."""
    if isinstance(error, errors.BatchStopped) and error.reason is not None:
        error = error.reason
    return next(code for code, _, kinds in ERRAND if isinstance(error, kinds))
