"""The engine for one machine: SQLite records and workers inside the service's own process.

Scheduling lives here: who runs, who waits, who is woken. What may be written when is `ledger`'s business, and what a
job does is its body's.
"""

import logging
import secrets
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

import anyio
import anyio.to_thread
from attrs import define

from gofer_service.engine import (
    Body,
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
)
from gofer_service.ledger import Ledger

PROGRESS_EVERY: Final = 2.0
"""Seconds for which mere progress does not release a wait."""

_log = logging.getLogger(__name__)
_P = ParamSpec("_P")
_T = TypeVar("_T")


def new_job_id() -> str:
    """Mint an id that nobody can guess: it is the only key to a job's file."""
    return secrets.token_urlsafe(16)


class LocalEngine:
    """Jobs in the SQLite file ``path``, which one process may have open at a time.

    Args:
        path: the file; its folder is created.
        concurrency: how many jobs run at the same time.
        max_pending: how many may wait.
        retention: seconds for which an ended job keeps its file.
        clock: wall time.
        new_id: mints job ids.
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
        """Open the file and work on jobs until the block is left; unfinished ones stay for the next time.

        Raises:
            EngineLocked: another process has the file open.
        """
        self._one_at_a_time = anyio.CapacityLimiter(1)
        self._submitted = anyio.Event()
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

    async def submit(self, submission: Submission, key: str | None = None) -> Job:
        """Add a job; see `gofer_service.engine.Engine.submit`."""
        now = self._clock()
        fresh = Job(self._new_id(), submission, deadline=now + submission.timeout_seconds, created=now, updated=now)
        job = await self._call(self._ledger.add, fresh, key, self._max_pending)
        self._submitted.set()
        self._submitted = anyio.Event()
        return job

    async def get(self, job_id: str) -> Job | None:
        """Give the record; one past its deadline has ended by then."""
        await self._expire()
        return await self._call(self._ledger.get, job_id)

    async def wait(self, job_id: str, seen: int | None = None, seconds: float = 0.0) -> Job | None:
        """Give the record once it differs from ``seen``; see `gofer_service.engine.Engine.wait`."""
        if seconds <= 0:
            return await self.get(job_id)
        begun = anyio.current_time()
        while True:
            # Taken before the look at the record, so that no change falls between the two.
            changed = self._changed.setdefault(job_id, anyio.Event())
            job = await self.get(job_id)
            if job is None or job.ended:
                self._changed.pop(job_id, None)
                return job
            seen = job.revision if seen is None else seen
            hold = seconds if job.revision == seen else min(seconds, PROGRESS_EVERY)
            left = begun + hold - anyio.current_time()
            if job.state_revision > seen or left <= 0:
                return job
            with anyio.move_on_after(left):
                await changed.wait()

    async def cancel(self, job_id: str) -> Job | None:
        """End the job as failed and cancelled, unless it has ended, and give the record."""
        await self._expire()
        job = await self._call(self._ledger.cancel, job_id, self._clock())
        if job is not None:
            self._announce(job)
        return job

    async def list(self, status: Status | None = None, limit: int = 50, cursor: int | None = None) -> Page:
        """Give up to ``limit`` jobs, newest first, from ``cursor`` on."""
        await self._expire()
        return await self._call(self._ledger.list, status, limit, cursor)

    async def check(self) -> None:
        """Raise sqlite3.Error if the file cannot be written now."""
        await self._call(self._ledger.check)

    async def _work(self, body: Body, discard: Discard) -> None:
        while True:
            # Taken before the look at the queue, so that no submission falls between the two.
            submitted = self._submitted
            try:
                job = await self._call(self._ledger.claim)
            except sqlite3.Error:
                await _breathe("no job could be taken")
                continue
            if job is None:
                await submitted.wait()
            else:
                await self._attempt(job, body, discard)

    async def _attempt(self, job: Job, body: Body, discard: Discard) -> None:
        """Run the body once and write how it ended, unless the job ended under it."""
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
                # The service stops (or the job was ended, and nothing is released). Should the database not answer,
                # the next start finds the job in hand.
                with anyio.CancelScope(shield=True), suppress(sqlite3.Error):
                    await self._call(self._ledger.release, job.id, job.attempt, self._clock())
                raise
            except Exception:  # noqa: BLE001 - see below
                # Whatever a body did wrong, the worker lives on and the caller learns no internals.
                _log.exception("job %s failed in a way nobody foresaw", job.id)
                error = "the service failed in a way it did not foresee"
                ending = {"status": Status.FAILED, "error_code": ErrorCode.DOWNLOAD_FAILED, "error": error}
            finally:
                del self._scopes[job.id]
        if ending and not await self._end(job, ending) and result is not None:
            with suppress(OSError):  # a file too many is not worth a worker
                await discard(result.key)

    async def _end(self, job: Job, ending: dict[str, Any]) -> bool:
        """Write the end, however long the database needs; false when the attempt may not write any more."""
        while True:
            try:
                with anyio.CancelScope(shield=True):
                    return await self._report(job, ending) is not None
            except sqlite3.Error:
                await _breathe(f"the end of job {job.id} could not be written")

    async def _report(self, job: Job, changes: dict[str, Any]) -> Job | None:
        changed = await self._call(self._ledger.report, job.id, job.attempt, self._clock(), changes)
        if changed is not None:
            self._announce(changed)
        return changed

    async def _expire(self) -> None:
        for job in await self._call(self._ledger.expire, self._clock()):
            self._announce(job)

    async def _sweep(self, discard: Discard) -> None:
        """End what is overdue and delete what has expired, each when it is due."""
        while True:
            try:
                await self._expire()
                for key in await self._call(self._ledger.purge, self._clock()):
                    await discard(key)
                due = await self._call(self._ledger.next_due)
            except (sqlite3.Error, OSError):
                await _breathe("what is due could not be swept")
                continue
            # At least once a second: the wall clock may jump.
            with anyio.move_on_after(1.0 if due is None else min(1.0, max(0.02, due - self._clock()))):
                await self._submitted.wait()

    def _announce(self, job: Job) -> None:
        """Wake who waits for the job, and stop its body if it has ended."""
        if changed := self._changed.pop(job.id, None):
            changed.set()
        if job.ended and (scope := self._scopes.get(job.id)):
            scope.cancel()

    async def _call(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return await anyio.to_thread.run_sync(partial(work, *args, **kwargs), limiter=self._one_at_a_time)


@define
class _Attempt:
    """The engine's side of `gofer_service.engine.Run`."""

    _engine: LocalEngine
    job: Job

    async def report(self, **changes: Any) -> None:
        """Write ``changes`` to the record.

        Raises:
            Fenced: the job has ended or belongs to another attempt.
        """
        try:
            changed = await self._engine._report(self.job, changes)  # pyright: ignore[reportPrivateUsage] - its own half
        except sqlite3.Error:
            # Progress is not worth a job; the end is what must be written.
            _log.exception("progress of job %s could not be written", self.job.id)
            return
        if changed is None:
            raise Fenced
        self.job = changed


async def _breathe(trouble: str) -> None:
    """Log that the database does not answer, and give it a second."""
    _log.exception("%s; trying again", trouble)
    await anyio.sleep(1.0)
