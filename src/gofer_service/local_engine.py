"""The engine for one machine: records in SQLite, and workers in the process of the service.

Scheduling is here: which job runs, which request waits, and what wakes it. `ledger` decides what may be written, and
the body of a job does the work.
"""

import logging
import secrets
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

import anyio
import anyio.to_thread
from attrs import define

from gofer_service.engine import (
    Body,
    Changes,
    Clock,
    Discard,
    ErrorCode,
    Failure,
    Fenced,
    Job,
    Page,
    Result,
    Status,
    Submission,
    Unavailable,
)
from gofer_service.ledger import Ledger

PROGRESS_EVERY: Final = 2.0
"""Seconds for which progress alone does not end a wait."""

_log = logging.getLogger(__name__)
_P = ParamSpec("_P")
_T = TypeVar("_T")


def new_job_id() -> str:
    """Return a new id that nobody can guess: who has the id has the file.

    It never begins with a dash: on a command line that would be an option.
    """
    return secrets.token_hex(16)


class LocalEngine:
    """The engine with its records in the SQLite file ``path``. One process at a time can have the file open.

    Args:
        path: the file; its folder is created.
        concurrency: how many jobs run at the same time.
        max_pending: how many jobs may wait.
        retention: seconds for which an ended job keeps its file.
        clock: wall time.
        new_id: makes job ids.
    """

    def __init__(
        self,
        path: Path,
        *,
        concurrency: int = 4,
        max_pending: int = 1000,
        retention: float = 86400.0,
        clock: Clock = time.time,
        new_id: Callable[[], str] = new_job_id,
    ) -> None:
        self._path = path
        self._concurrency = concurrency
        self._max_pending = max_pending
        self._retention = retention
        self._clock = clock
        self._new_id = new_id
        self._scopes: dict[str, anyio.CancelScope] = {}
        self._changed: dict[str, anyio.Event] = {}

    @asynccontextmanager
    async def run(self, body: Body, discard: Discard) -> AsyncGenerator[None]:
        """Open the file and run jobs until the block is left. Unfinished jobs stay for the next run.

        Raises:
            EngineUnusable: another process has the file open, or it is damaged.
        """
        self._one_at_a_time = anyio.CapacityLimiter(1)
        self._one_reader = anyio.CapacityLimiter(1)
        self._submitted = anyio.Event()
        self._told = anyio.Event()
        self._ledger = await anyio.to_thread.run_sync(partial(Ledger, self._path, retention=self._retention))
        try:
            await self._call(self._ledger.recover, self._clock())
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._sweep, discard)
                for _ in range(self._concurrency):
                    tasks.start_soon(self._work, body, discard)
                yield
                tasks.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await self._call(self._ledger.close)

    async def submit(self, submission: Submission, key: str | None = None, owner: str = "") -> Job:
        """Add a job: see `gofer_service.engine.Engine.submit`."""
        now = self._clock()
        due = now + submission.timeout_seconds
        fresh = Job(self._new_id(), submission, deadline=due, created=now, updated=now, owner=owner)
        job = await self._call(self._ledger.add, fresh, key, self._max_pending)
        self._submitted.set()
        self._submitted = anyio.Event()
        self._tell()
        return job

    async def get(self, job_id: str) -> Job | None:
        """Return the record, or None: see `gofer_service.engine.Engine.get`. It writes only to end a late job."""
        job = await self._call_reader(self._ledger.get, job_id)
        if job is None or not self._is_late(job):
            return job
        await self._expire()
        return await self._call_reader(self._ledger.get, job_id)

    async def wait(self, job_id: str, seen: int | None = None, seconds: float = 0.0) -> Job | None:
        """Return the record as soon as it differs from ``seen``: see `gofer_service.engine.Engine.wait`."""
        if seconds <= 0:
            return await self.get(job_id)
        started = anyio.current_time()
        while True:
            # The event comes first: a change after the record was read then sets it.
            changed = self._changed.setdefault(job_id, anyio.Event())
            job = await self.get(job_id)
            if job is None or job.ended:
                self._changed.pop(job_id, None)
                return job
            seen = job.revision if seen is None else seen
            hold = seconds if job.revision == seen else min(seconds, PROGRESS_EVERY)
            left = started + hold - anyio.current_time()
            if job.state_revision > seen or left <= 0:
                return job
            with anyio.move_on_after(left):
                await changed.wait()

    async def cancel(self, job_id: str) -> Job | None:
        """Cancel the job unless it has ended: see `gofer_service.engine.Engine.cancel`."""
        await self._expire()
        job = await self._call(self._ledger.cancel, job_id, self._clock())
        if job is not None:
            self._announce(job)
        return job

    async def list(
        self, status: Status | None = None, limit: int = 50, cursor: int | None = None, owner: str = ""
    ) -> Page:
        """Return a page of jobs: see `gofer_service.engine.Engine.list`. It writes only to end late jobs."""
        page = await self._call_reader(self._ledger.list, status, limit, cursor, owner)
        if not any(map(self._is_late, page.jobs)):
            return page
        await self._expire()
        return await self._call_reader(self._ledger.list, status, limit, cursor, owner)

    async def changes(self, owner: str, since: int | None, limit: int, seconds: float) -> Changes:
        """Return what has changed: see `gofer_service.engine.Engine.changes`."""
        until = anyio.current_time() + seconds
        while True:
            told = self._told  # the event comes first: a change after the records were read then sets it
            found = await self._call_reader(self._ledger.changes, owner, since, limit)
            left = until - anyio.current_time()
            if found.jobs or since is None or left <= 0:
                return found
            with anyio.move_on_after(left):
                await told.wait()

    async def kept(self, doi: str) -> Sequence[Job]:
        """Return completed jobs for a DOI: see `gofer_service.engine.Engine.kept`."""
        return await self._call_reader(self._ledger.kept, doi, self._clock())

    async def check(self) -> None:
        """Check that the file can be written: see `gofer_service.engine.Engine.check`."""
        await self._call(self._ledger.check)

    async def _work(self, body: Body, discard: Discard) -> None:
        while True:
            # The event comes first: a submission after the queue was read then sets it.
            submitted = self._submitted
            try:
                job = await self._call(self._ledger.claim)
            except Unavailable:
                await _log_and_pause("the queue could not be read")
                continue
            if job is None:
                await submitted.wait()
            else:
                await self._attempt(job, body, discard)

    async def _attempt(self, job: Job, body: Body, discard: Discard) -> None:
        """Run the body once, and write how it ended unless the job has already ended."""
        result: Result | None = None
        ending: dict[str, Any] = {}
        with anyio.CancelScope() as scope:
            self._scopes[job.id] = scope
            try:
                result = await body(_Attempt(self, job))
                ending = {"status": Status.COMPLETED, "message": None, "result": result}
                ending |= {"progress": 1.0, "bytes_done": result.size, "bytes_total": result.size}
            except Failure as failure:
                ending = {"status": Status.FAILED, "error_code": failure.code, "error": str(failure), "message": None}
            except Fenced:
                pass
            except anyio.get_cancelled_exc_class():
                # The service stops, or the job has ended; a job that has ended is not released. If the database fails,
                # the next start recovers the job.
                with anyio.CancelScope(shield=True), suppress(Unavailable):
                    await self._call(self._ledger.release, job.id, job.attempt, self._clock())
                raise
            except Exception:  # noqa: BLE001 - see below
                # The worker goes on whatever a body raises, and the caller does not get the details.
                _log.exception("job %s failed with an unexpected error", job.id)
                error = "the service failed with an unexpected error; its log says why"
                ending = {"status": Status.FAILED, "error_code": ErrorCode.DOWNLOAD_FAILED, "error": error}
            finally:
                del self._scopes[job.id]
        if ending and not await self._end(job, ending) and result is not None:
            with suppress(OSError):  # a file that cannot be deleted must not stop the worker
                await discard(result.key)

    async def _end(self, job: Job, ending: dict[str, Any]) -> bool:
        """Write the end of the job, and retry until the database takes it; False if the attempt may no longer write."""
        while True:
            try:
                with anyio.CancelScope(shield=True):
                    return await self._report(job, ending) is not None
            except Unavailable:
                await _log_and_pause(f"the end of job {job.id} could not be written")

    async def _report(self, job: Job, changes: dict[str, Any]) -> Job | None:
        changed = await self._call(self._ledger.report, job.id, job.attempt, self._clock(), changes)
        if changed is not None:
            self._announce(changed)
        return changed

    def _is_late(self, job: Job) -> bool:
        return not job.ended and job.deadline <= self._clock()

    async def _expire(self) -> None:
        for job in await self._call(self._ledger.expire, self._clock()):
            self._announce(job)

    async def _sweep(self, discard: Discard) -> None:
        """End jobs at their deadline, and delete files when they expire."""
        while True:
            try:
                await self._expire()
                for key in await self._call(self._ledger.purge, self._clock()):
                    await discard(key)
                due = await self._call(self._ledger.next_due)
            except (Unavailable, OSError):
                await _log_and_pause("overdue jobs and expired files could not be processed")
                continue
            # At least once a second: the wall clock may jump.
            with anyio.move_on_after(1.0 if due is None else min(1.0, max(0.02, due - self._clock()))):
                await self._submitted.wait()

    def _announce(self, job: Job) -> None:
        """Wake the requests that wait for the job, and cancel its body if it has ended."""
        if changed := self._changed.pop(job.id, None):
            changed.set()
        if job.state_revision == job.revision:
            self._tell()
        if job.ended and (scope := self._scopes.get(job.id)):
            scope.cancel()

    def _tell(self) -> None:
        """Wake the requests that wait for changes."""
        self._told.set()
        self._told = anyio.Event()

    async def _call(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return await _in_thread(self._one_at_a_time, partial(work, *args, **kwargs))

    async def _call_reader(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return await _in_thread(self._one_reader, partial(work, *args, **kwargs))


async def _in_thread(limiter: anyio.CapacityLimiter, work: Callable[[], _T]) -> _T:
    try:
        return await anyio.to_thread.run_sync(work, limiter=limiter)
    except sqlite3.Error as error:
        raise Unavailable(str(error)) from error


@define
class _Attempt:
    """The engine's side of `gofer_service.engine.Run`."""

    _engine: LocalEngine
    job: Job

    async def report(self, **changes: Any) -> None:
        """Write ``changes`` to the record.

        Raises:
            Fenced: the job has ended, or belongs to another attempt.
        """
        try:
            changed = await self._engine._report(self.job, changes)  # pyright: ignore[reportPrivateUsage] - a part of it
        except Unavailable:
            # Lost progress must not end the job; only its end has to be written.
            _log.exception("progress of job %s could not be written", self.job.id)
            return
        if changed is None:
            raise Fenced
        self.job = changed


async def _log_and_pause(trouble: str) -> None:
    """Log an error of the database, and wait a second before the next try."""
    _log.exception("%s; trying again", trouble)
    await anyio.sleep(1.0)
