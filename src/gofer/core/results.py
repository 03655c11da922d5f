"""What a job came to: its value and the list of its files, or why it failed. Fetching the files is `download.py`'s.

A result may be in the status document, or in a document of its own, which may say that the job failed after all.
"""

from __future__ import annotations

import logging
from typing import Any, TypeVar

from attrs import evolve

from gofer import errors
from gofer.contracts.base import MOST_PAGES, Snapshot
from gofer.core import verbs
from gofer.core.errand import Errand
from gofer.core.exchange import (
    AnyErrand,
    Tries,
    follow,
    follow_open,
    in_a_line,
    is_transient,
    refused,
    transient_refusal,
)
from gofer.core.judging import retry_after
from gofer.core.poll import CLOSEST, poll_once
from gofer.core.run import Flow
from gofer.models import ResultFile, State
from gofer.wire import Head, Reply, Request

Out = TypeVar("Out")

REASON_SECONDS = 10.0
"""Seconds that a service has to say why a job failed."""

NOT_OF_THE_JOB = frozenset({401, 403, 407, 429, 502, 503, 504})
"""Codes that say something of the caller or of the service; any other may come with the reason of a failed job."""

_log = logging.getLogger("gofer")


def read_results(errand: Errand[Any, Out]) -> Flow[Snapshot[Out]]:
    """Read what a job that has ended came to, unless that was done before; return it.

    Raises:
        JobFailed, JobCancelled: it ended without a result, or its result says that it has failed after all.
    """
    seen = errand.record.seen
    assert seen is not None  # noqa: S101  (a job that has ended was polled)
    results = errand.record.results
    if results is None:
        read = yield from (_succeeded if seen.status.state is State.SUCCEEDED else _failed)(errand, seen)
        results = errand.memory.update(lambda record: record.after_results(read)).results or read
    if results.status.state is not State.SUCCEEDED:
        raise failure(results)
    return results


def renew_link(errand: AnyErrand, file: ResultFile) -> Flow[ResultFile]:
    """Read the job's document again, for a link that has expired, and return the file as it is described now.

    A file that another errand of the handle, or an earlier file of the job, has renewed already needs no request.
    """
    if (renewed := _same(errand, file)).url != file.url:
        return renewed
    _ = yield from poll_once(errand, errand.rules.patience, anew=True)
    seen = errand.record.seen
    if seen is not None and seen.status.state is State.SUCCEEDED:
        read = yield from _succeeded(errand, seen)
        seen = read if read.status.state is State.SUCCEEDED else None
    if seen is not None and seen.files:
        named = seen.files
        _ = errand.memory.update(lambda record: record.with_files(named))
    return _same(errand, file)


def read_partial(errand: Errand[Any, Out]) -> Flow[Snapshot[Out]]:
    """Return a job that has not succeeded with the files that there are, and remember them.

    Raises:
        UsageError: the job has succeeded.
        JobFailed, JobCancelled, NotReady: it names no file.
    """
    if not errand.record.status.done:
        _ = yield from poll_once(errand, errand.rules.retry)
    seen, status = errand.record.seen, errand.record.status
    assert seen is not None  # noqa: S101  (it was polled)
    if status.state is State.SUCCEEDED:
        raise errors.UsageError("The job has succeeded: download() brings its results, which are complete.")
    files = errand.record.files or (yield from _ask_for_files(errand, seen))
    if not files and status.done:
        return (yield from read_results(errand))  # which raises why
    if not files:
        raise errors.NotReady(f"The job is still {status or 'unknown'}, and names no file yet.")
    _ = errand.memory.update(lambda record: record.with_files(files) if record.status == status else record)
    return evolve(seen, status=status, files=files)


def _ask_for_files(errand: AnyErrand, seen: Snapshot[Any]) -> Flow[tuple[ResultFile, ...]]:
    """Ask once for the document that may name files of a job that has not succeeded; none if anything goes wrong."""
    try:
        request = errand.contract.build_partial(errand.service.base, seen)
        if request is None:
            return ()
        head = yield from follow_open(errand, request, "result")
        if head.status != 200:
            raise refused(errand, (yield from verbs.read_document(errand, head)))
        reply = yield from _document(errand, request, head, errand.rules.result_cap)
        return errand.contract.read_partial(errand.service.base, seen, reply)
    except (errors.TransportError, errors.ServiceError, errors.BadReply) as error:
        yield from verbs.let_go(errand)
        _log.debug("A job that has not succeeded shows no files: %s", error)
        return ()


def _same(errand: AnyErrand, file: ResultFile) -> ResultFile:
    """Find a file among those of the results: the only one, or the one of its name, or of its name and path."""
    files = errand.record.files
    named = files if len(files) == 1 else [one for one in files if one.name == file.name]
    if len(named) > 1:
        named = [one for one in named if _place(one) == _place(file)]
    return named[0] if len(named) == 1 else file


def _place(file: ResultFile) -> str:
    return (file.url or "").partition("?")[0]


def _succeeded(errand: Errand[Any, Out], seen: Snapshot[Out]) -> Flow[Snapshot[Out]]:
    """Read the results out of the status document, or out of a document of their own."""
    tries = Tries(errand, errand.rules.patience)
    while True:
        try:
            results = errand.contract.build_results(errand.service.base, seen)
            break
        except errors.NoResult as error:
            yield from tries.back_off(error, at_least=CLOSEST)
        _ = yield from poll_once(errand, errand.rules.patience, anew=True)
        seen = errand.record.seen or seen
    cap, asked = errand.rules.result_cap, set[tuple[str, str, object]]()
    if isinstance(results, Request):
        results, size = yield from _ask_for_results(errand, results, seen, cap)
        cap -= size
    while results.more:
        request = results.more[0]
        if cap <= 0 or (request.method, request.url, request.body) in asked or len(asked) >= MOST_PAGES:
            raise errors.BadReply(
                f"The result's pages have no end: after {len(asked) + 1} of them gofer stopped.", field="result.next"
            )
        asked.add((request.method, request.url, request.body))
        results, size = yield from _ask_for_results(errand, request, results, cap)
        cap -= size
    return results


def _failed(errand: AnyErrand, seen: Snapshot[Any]) -> Flow[Snapshot[Any]]:
    """Ask why a job has failed, where its status does not say; if that goes wrong, the job has still failed.

    The answer may name one more request, for a text that says it.
    """
    request = errand.contract.build_reason(errand.service.base, seen)
    if request is None or seen.status.state is not State.FAILED:
        return seen
    try:
        for _ in range(2):
            reply = yield from follow(errand, request, min(errand.rules.timeout, REASON_SECONDS))
            if reply.status in NOT_OF_THE_JOB:
                raise refused(errand, reply)
            seen = errand.contract.read_reason(seen, reply)
            if not seen.more:
                break
            request = seen.more[0]
    except (errors.OutOfTime, errors.TransportError, errors.ServiceError, errors.BadReply) as error:
        _log.debug("The reason why the job failed could not be read: %s", error)
    return evolve(seen, more=())


def _ask_for_results(
    errand: AnyErrand, request: Request, seen: Snapshot[Any], cap: int
) -> Flow[tuple[Snapshot[Any], int]]:
    """Fetch a result document of at most `cap` bytes and read it; return its size too."""
    tries = Tries(errand, errand.rules.patience)
    while True:
        try:
            head = yield from follow_open(errand, request, "result")
            if errand.contract.reads("result", head.status):
                return (yield from _read(errand, request, head, seen, cap))
            failure: errors.GoferError = yield from transient_refusal(errand, head)
        except (errors.TransportError, errors.ServiceError, errors.BadReply) as error:
            yield from verbs.let_go(errand)
            if not (isinstance(error, errors.NotReady) or is_transient(errand, error)):
                raise
            failure = error
        yield from tries.back_off(failure, at_least=CLOSEST)


def _read(
    errand: AnyErrand, request: Request, head: Head, seen: Snapshot[Any], cap: int
) -> Flow[tuple[Snapshot[Any], int]]:
    """Read an opened result document into what the job came to; only the first of its pages may be the file."""
    reply = yield from verbs.read_document(errand, head, cap) if seen.more else _document(errand, request, head, cap)
    try:
        return errand.contract.read_results(errand.service.base, seen, reply), len(reply.body)
    except errors.NotReady as early:
        early.retry_after = retry_after(reply, errand.now.wall)
        raise


def _document(errand: AnyErrand, request: Request, head: Head, cap: int) -> Flow[Reply]:
    """Read an opened document; where it is the file itself, that is not read. It may be had once only."""
    if errand.contract.may_be_file("result") and not errand.contract.is_document(errand.ref, "result", head):
        return (yield from verbs.leave_open(errand, request, head))
    return (yield from verbs.read_document(errand, head, cap))


def failure(ended: Snapshot[Any]) -> errors.JobFailed:
    """Make the error for a job that ended without a result."""
    status = ended.status
    cancelled = status.state is State.CANCELLED
    kind = errors.JobCancelled if cancelled else errors.JobFailed
    code = f" with {status.error_code}" if status.error_code else ""
    # A service's word for a cancelled job may be "failed".
    words = "The job was cancelled" if cancelled else f"The job ended as {status}{code}"
    error = kind(
        words + (f": {in_a_line(status.error)}" if status.error else "."),
        error_code=status.error_code,
        error=status.error,
        value=ended.value,
    )
    error.files = ended.files
    return error
