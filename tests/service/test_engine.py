"""The local engine on its own: what may be written when, by whom, and what survives."""

import sqlite3
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from blockbuster import blockbuster_ctx

import gofer_service
from gofer_service.engine import (
    Body,
    EngineLocked,
    ErrorCode,
    Failure,
    Fenced,
    Job,
    KeyReused,
    QueueFull,
    Result,
    Run,
    Status,
    Submission,
)
from gofer_service.ledger import MAX_CRASHES, Ledger
from gofer_service.local_engine import LocalEngine, new_job_id

pytestmark = pytest.mark.anyio
ASKED = Submission("10.5555/x", timeout_seconds=60)
FOUND = Result("job.1.pdf", 3, "pdf", "00", "test")


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, as uvicorn does."""
    return "asyncio"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give the place of a records file."""
    return tmp_path / "jobs.sqlite3"


async def succeed(_: Run) -> Result:
    """Complete at once."""
    return FOUND


async def linger(run: Run) -> Result:
    """Search for ever."""
    await run.report(status=Status.SEARCHING)
    await anyio.sleep_forever()
    raise AssertionError


async def ignore(_: str) -> None:
    """Keep the file."""


@asynccontextmanager
async def working(engine: LocalEngine, body: Body = succeed) -> AsyncGenerator[LocalEngine]:
    """Run the engine, and fail the test when a block takes far too long."""
    with anyio.fail_after(60):
        async with engine.run(body, ignore):
            yield engine


async def until(engine: LocalEngine, job: Job, holds: Callable[[Job], bool]) -> Job:
    """Wait until the job is as wanted."""
    while True:
        fresh = await engine.get(job.id)
        assert fresh is not None
        if holds(fresh):
            return fresh
        await anyio.sleep(0.005)


async def test_a_job_completes_with_its_result(path: Path) -> None:
    """A body's result becomes the record's, with the times of its life."""
    async with working(LocalEngine(path)) as engine:
        job = await until(engine, await engine.submit(ASKED), lambda job: job.ended)
    assert (job.status, job.result, job.attempt) == (Status.COMPLETED, FOUND, 1)
    assert job.finished is not None
    assert job.expires == job.finished + 86400


async def test_no_more_jobs_run_than_allowed(path: Path) -> None:
    """Concurrency is a limit, and all jobs get their turn, the oldest first."""
    at_once = most = 0
    order = []

    async def body(run: Run) -> Result:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        order.append(run.job.id)
        await anyio.sleep(0.01)
        at_once -= 1
        return FOUND

    async with working(LocalEngine(path, concurrency=3), body) as engine:
        jobs = [await engine.submit(ASKED) for _ in range(12)]
        for job in jobs:
            await until(engine, job, lambda job: job.ended)
    assert most == 3
    assert order == [job.id for job in jobs]


async def test_an_ended_job_never_changes(path: Path) -> None:
    """Neither a cancellation, nor a deadline, nor a late write moves a job that has ended."""
    now = time.time()
    async with working(LocalEngine(path, clock=lambda: now)) as engine:
        job = await until(engine, await engine.submit(ASKED), lambda job: job.ended)
        assert await engine.cancel(job.id) == job
        now += 3600
        assert await engine.get(job.id) == job


async def test_a_cancelled_body_is_stopped_and_cannot_write(path: Path) -> None:
    """Cancelling reaches the body at once; a body that goes on all the same is fenced off."""
    outcome: list[str] = []

    async def stubborn(run: Run) -> Result:
        await run.report(status=Status.SEARCHING)
        try:
            await anyio.sleep_forever()
        except BaseException:
            with anyio.CancelScope(shield=True):
                try:
                    await run.report(status=Status.DOWNLOADING)
                except Fenced:
                    outcome.append("fenced")
            raise
        raise AssertionError

    async with working(LocalEngine(path), stubborn) as engine:
        job = await until(engine, await engine.submit(ASKED), lambda job: job.status is Status.SEARCHING)
        cancelled = await engine.cancel(job.id)
        assert cancelled is not None
        assert (cancelled.status, cancelled.error_code) == (Status.FAILED, ErrorCode.CANCELLED)
        while not outcome:
            await anyio.sleep(0.001)
        assert await engine.get(job.id) == cancelled


async def test_the_file_of_a_refused_end_is_discarded(path: Path) -> None:
    """When a job was ended under its body, the file the body made is deleted."""
    discarded = []

    async def late(run: Run) -> Result:
        with anyio.CancelScope(shield=True):
            await run.report(status=Status.SEARCHING)
            await engine.cancel(run.job.id)
        return FOUND

    async def discard(key: str) -> None:
        discarded.append(key)

    engine = LocalEngine(path)
    with anyio.fail_after(60):
        async with engine.run(late, discard):
            await engine.submit(ASKED)
            while not discarded:
                await anyio.sleep(0.005)
    assert discarded == [FOUND.key]


async def test_a_waiting_job_times_out_too(path: Path) -> None:
    """The deadline counts from the submission, also for a job that never got its turn, and is seen on read."""
    now = 1000.0
    async with working(LocalEngine(path, concurrency=1, clock=lambda: now), linger) as engine:
        await engine.submit(Submission("10.5555/first", timeout_seconds=5000))
        job = await engine.submit(ASKED)
        now = 1060.0
        late = await engine.get(job.id)
        assert late is not None
        assert (late.status, late.error_code, late.error) == (Status.FAILED, ErrorCode.TIMEOUT, "not done within 60 s")


async def test_an_orderly_stop_puts_jobs_back(path: Path) -> None:
    """A job that runs when the engine stops is pending at once and completes after the next start."""
    async with working(LocalEngine(path), linger) as engine:
        job = await until(engine, await engine.submit(ASKED), lambda job: job.status is Status.SEARCHING)
    ledger = Ledger(path, retention=60)
    stored = ledger.get(job.id)
    ledger.close()
    assert stored is not None
    assert stored.status is Status.PENDING
    async with working(LocalEngine(path)) as engine:
        ended = await until(engine, job, lambda job: job.ended)
    assert (ended.status, ended.attempt) == (Status.COMPLETED, 2)


async def test_a_job_that_kills_its_process_is_given_up(path: Path) -> None:
    """After a crash a running job is taken again with the next attempt, and after three it fails."""
    ledger = Ledger(path, retention=60)
    now = time.time()
    job = ledger.add(Job("a", ASKED, now + 60, now, now), None, 10)
    for crash in range(1, MAX_CRASHES + 1):
        taken = ledger.claim()
        assert taken is not None
        assert taken.attempt == crash
        ledger.report(job.id, crash, now, {"status": Status.DOWNLOADING, "progress": 0.5})
        ledger.recover(now)
    ended = ledger.get(job.id)
    ledger.close()
    assert ended is not None
    assert (ended.status, ended.error_code) == (Status.FAILED, ErrorCode.DOWNLOAD_FAILED)


def test_an_id_is_no_option_of_a_command() -> None:
    """No id begins with a dash: `gofer status ID` would take it for an option."""
    assert not [made for made in (new_job_id() for _ in range(1000)) if made.startswith("-")]


def test_a_former_attempt_cannot_write(path: Path) -> None:
    """Once a job was taken again, writes with the former attempt are refused."""
    ledger = Ledger(path, retention=60)
    ledger.add(Job("a", ASKED, 60, 0, 0), None, 10)
    ledger.claim()
    ledger.recover(1)
    ledger.claim()
    assert ledger.report("a", 1, 2, {"status": Status.COMPLETED, "result": FOUND}) is None
    written = ledger.report("a", 2, 2, {"status": Status.SEARCHING})
    ledger.close()
    assert written is not None
    assert written.status is Status.SEARCHING


async def test_simultaneous_submissions_with_a_key_make_one_job(path: Path) -> None:
    """However many submissions with one key run at once, one job is made; another request is refused."""
    ids = set()
    async with working(LocalEngine(path)) as engine:

        async def submit() -> None:
            ids.add((await engine.submit(ASKED, "key")).id)

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(submit)
        with pytest.raises(KeyReused):
            await engine.submit(Submission("10.5555/other"), "key")
    assert len(ids) == 1


async def test_the_queue_has_an_end(path: Path) -> None:
    """Past the limit of waiting jobs a submission is refused."""
    async with working(LocalEngine(path, concurrency=0, max_pending=2)) as engine:
        await engine.submit(ASKED)
        await engine.submit(ASKED)
        with pytest.raises(QueueFull):
            await engine.submit(ASKED)


async def test_a_second_opener_is_told(path: Path) -> None:
    """The records belong to one process at a time; another gets an error that says so, until they are let go."""
    async with working(LocalEngine(path)):
        with pytest.raises(EngineLocked, match="another gofer service"):
            async with LocalEngine(path).run(succeed, ignore):
                raise AssertionError
    async with working(LocalEngine(path)) as engine:
        await engine.check()


async def test_results_are_discarded_when_they_expire(path: Path) -> None:
    """A result's file is deleted when its retention is over, and its record one retention later."""
    now = 1000.0
    discarded = []

    async def discard(key: str) -> None:
        discarded.append(key)

    engine = LocalEngine(path, retention=100, clock=lambda: now)
    with anyio.fail_after(60):
        async with engine.run(succeed, discard):
            job = await until(engine, await engine.submit(ASKED), lambda job: job.ended)
            now = 1101.0
            while not discarded:
                await anyio.sleep(0.01)
            assert await engine.get(job.id) is not None
            now = 1202.0
            await engine.submit(ASKED)
            while await engine.get(job.id) is not None:
                await anyio.sleep(0.01)
    assert discarded == [FOUND.key]


async def test_the_list_goes_on_from_a_cursor(path: Path) -> None:
    """Pages give every job once, newest first, and can be limited to a status."""
    async with working(LocalEngine(path, concurrency=0)) as engine:
        jobs = [await engine.submit(ASKED) for _ in range(5)]
        await engine.cancel(jobs[0].id)
        first = await engine.list(limit=3)
        second = await engine.list(limit=3, cursor=first.next)
        assert [job.id for job in first.jobs + second.jobs] == [job.id for job in reversed(jobs)]
        assert second.next is None
        assert [job.id for job in (await engine.list(Status.FAILED)).jobs] == [jobs[0].id]


async def test_an_unknown_job_is_none(path: Path) -> None:
    """Asking for, waiting for or cancelling an unknown job gives None at once, and leaves nothing behind."""
    async with working(LocalEngine(path)) as engine:
        assert await engine.get("x") is await engine.wait("x", None, 5) is await engine.cancel("x") is None
        assert not engine._changed


async def test_a_failure_carries_its_code(path: Path) -> None:
    """What a body raises as a failure is what the record says."""

    async def fail(_: Run) -> Result:
        raise Failure(ErrorCode.VPN_ERROR, "the VPN is down")

    async with working(LocalEngine(path), fail) as engine:
        job = await until(engine, await engine.submit(ASKED), lambda job: job.ended)
    assert (job.error_code, job.error, job.message) == (ErrorCode.VPN_ERROR, "the VPN is down", None)


async def test_a_database_in_trouble_costs_no_job(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When progress, an end or a claim cannot be written, the job is not lost: the end is written once it can be."""
    trouble = ["claim", "report", "report"]

    def fail_at_first(name: str) -> None:
        write = getattr(Ledger, name)

        def method(*args: Any) -> Any:
            if name in trouble:
                trouble.remove(name)
                raise sqlite3.OperationalError("disk I/O error")
            return write(*args)

        monkeypatch.setattr(Ledger, name, method)

    async def body(run: Run) -> Result:
        await run.report(status=Status.SEARCHING)
        return FOUND

    fail_at_first("claim")
    fail_at_first("report")
    async with working(LocalEngine(path, concurrency=1), body) as engine:
        job = await until(engine, await engine.submit(ASKED), lambda job: job.ended)
    assert (job.status, trouble) == (Status.COMPLETED, [])


async def test_the_loop_is_never_blocked(path: Path) -> None:
    """Records are read and written in a thread: nothing blocking happens on the event loop."""
    with blockbuster_ctx(scanned_modules=[gofer_service.__name__]):
        async with working(LocalEngine(path)) as engine:
            job = await engine.submit(ASKED, "key")
            held = await engine.wait(job.id, job.revision, 5)
            assert held is not None
            await engine.cancel(job.id)
            await engine.list()
