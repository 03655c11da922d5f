"""The work of a job: join the walk for its paper, or begin one, and store the file that the walk finds.

Two jobs for one paper share a walk, which goes on as long as one of them follows it. Its success is shared, and its
failure is not. How a paper is looked for is in `walk`.
"""

import hashlib
import math
import shutil
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup
from attrs import define, evolve, field

from gofer.transports.adrive import ungrouped
from gofer_service.engine import Clock, Fenced, Job, Result, Run, Status, Unavailable
from gofer_service.fetch.web import Fetcher
from gofer_service.inspection import Unfit, check, inspecting
from gofer_service.sources.base import Paper, Source
from gofer_service.store import CHUNK, Store
from gofer_service.vpn import VpnWatch, no_vpn
from gofer_service.walk import REPORT_EVERY, Found, Walk

KEEP_PARTS: Final = 86400.0
"""Seconds after which what is left of a broken download is removed."""

Kept = Callable[[str], Awaitable[Sequence[Job]]]
"""Returns the jobs that have the file of a DOI, as `gofer_service.engine.Engine.kept` does."""


async def nothing_kept(_: str) -> Sequence[Job]:
    """Return no job."""
    return ()


@define(eq=False)
class _Shared:
    """A walk that jobs follow: which ones, what was reported last, and what it has come to."""

    paper: Paper
    runs: list[Run] = field(factory=list[Run])
    shown: dict[str, Any] = field(factory=dict[str, Any])
    ended: anyio.Event = field(factory=anyio.Event)
    deserted: anyio.Event = field(factory=anyio.Event)
    scope: anyio.CancelScope = field(factory=anyio.CancelScope)
    found: Found | Job | None = None
    error: Exception | None = None

    async def report(self, **changes: Any) -> None:
        """Tell all who follow."""
        self.shown |= changes
        for run in tuple(self.runs):
            with suppress(Fenced):  # the body of that job is cancelled
                await run.report(**changes)

    def left(self, clock: Clock) -> float:
        """Return the seconds that the most patient of them has."""
        return max((run.job.deadline for run in self.runs), default=math.inf) - clock()


_Key = tuple[str, bool, str | None]
"""What a walk is for: the DOI, whether it must be fetched anew, and the title if other walks do not fit it."""


class Retrieval:
    """Finds a paper in its sources and puts it into the store. Use it within `running`."""

    def __init__(
        self,
        sources: Sequence[Source],
        store: Store,
        folder: Path,
        *,
        fetcher: Fetcher | None = None,
        kept: Kept = nothing_kept,
        vpn: VpnWatch = no_vpn,
        clock: Clock = time.time,
    ) -> None:
        """Set it up.

        Args:
            sources: whom to ask, in this order.
            store: where results are put.
            folder: where files are downloaded; it is created.
            fetcher: the way to the web.
            kept: finds papers that the store has.
            vpn: returns the state of the VPN.
            clock: wall time, of the deadlines.
        """
        self.sources, self.fetcher = tuple(sources), Fetcher() if fetcher is None else fetcher
        self._store, self._folder, self._kept, self._vpn, self._clock = store, folder, kept, vpn, clock
        self._walks: dict[_Key, _Shared] = {}
        self._folders: dict[_Key, anyio.Lock] = {}
        self._tasks: TaskGroup | None = None

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Have walks go on until the block is left."""
        with ungrouped():
            async with inspecting(), self.fetcher.running(), anyio.create_task_group() as self._tasks:
                self._tasks.start_soon(self._tidy)
                yield
                self._tasks.cancel_scope.cancel()

    async def __call__(self, run: Run) -> Result:
        """Do the job.

        Raises:
            Failure: no source has a usable file. The error code depends on what was tried.
        """
        wanted = run.job.submission
        paper = Paper(wanted.doi, wanted.title, wanted.authors)
        key: _Key = (paper.doi, wanted.fresh, None)
        while True:
            walk = self._walks.get(key) or self._begun(key, paper)
            if result := await self._follow(run, key, walk, paper):
                return result
            if walk.found is not None:  # it does not fit this title
                key = (paper.doi, wanted.fresh, paper.title or "")

    async def _follow(self, run: Run, key: _Key, walk: _Shared, paper: Paper) -> Result | None:
        """Wait for the end of a walk, and store what it found; None if it came to nothing for this job.

        Raises:
            Failure: the walk failed, and this job was its first.
        """
        leads = not walk.runs
        walk.runs.append(run)
        try:
            if walk.shown:
                await run.report(**walk.shown)
            await walk.ended.wait()
            if walk.found is None:
                if leads and walk.error is not None:
                    raise walk.error
                return None
            if walk.paper.title == paper.title or await _fits(walk.found, paper):
                return await self._stored(run, walk.found)
        except FileNotFoundError:  # the file of another job, which has expired just now
            self._forget(key, walk)
        finally:
            walk.runs.remove(run)
            if not walk.runs:
                self._forget(key, walk)
                walk.scope.cancel()
                walk.deserted.set()
        return None

    def _begun(self, key: _Key, paper: Paper) -> _Shared:
        assert self._tasks is not None, "it is not running"  # noqa: S101
        walk = self._walks[key] = _Shared(paper)
        self._tasks.start_soon(self._walk, key, walk)
        return walk

    def _forget(self, key: _Key, walk: _Shared) -> None:
        """Let no other job follow this walk."""
        if self._walks.get(key) is walk:
            del self._walks[key]

    async def _walk(self, key: _Key, shared: _Shared) -> None:
        """Walk, and remove what was downloaded once all who follow have stored it.

        A broken download stays: the next walk for this paper, also of the next process, goes on with it.
        """
        folder = self._folder / hashlib.sha256(repr(key).encode()).hexdigest()[:32]
        walk = Walk(
            paper=shared.paper,
            sources=self.sources,
            visit=self.fetcher.visit(),
            vpn=self._vpn,
            folder=folder,
            kept=lambda: self._find_kept(shared.paper, fresh=key[1]),
            report=shared.report,
            left=lambda: shared.left(self._clock),
        )
        lock = self._folders.setdefault(key, anyio.Lock())
        async with lock:  # a walk that was left has to be out of the folder
            with shared.scope:
                try:
                    shared.found = await walk.go()
                except Exception as error:  # noqa: BLE001 - it is raised in the job that leads
                    shared.error = error
            if shared.found is None:
                self._forget(key, shared)
            shared.ended.set()
            if shared.found is not None:
                await shared.deserted.wait()
                await anyio.to_thread.run_sync(partial(shutil.rmtree, folder, ignore_errors=True))
        if not lock.statistics().tasks_waiting:
            self._folders.pop(key, None)

    async def _find_kept(self, paper: Paper, *, fresh: bool) -> Job | None:
        """Return a job whose file was fetched for this paper, unless it must be fetched anew."""
        local = {source.name for source in self.sources if source.local}
        jobs: Sequence[Job] = ()
        with suppress(Unavailable):  # then it is fetched
            jobs = () if fresh else await self._kept(paper.doi)
        for job in jobs:
            if job.result is None or job.result.source in local or not _has_title(job, paper):
                continue
            # Somebody may have deleted the file, and the record would be found again and again.
            with suppress(OSError):
                async with self._store.read(job.result.key, 0, 0):
                    return job
        return None

    async def _stored(self, run: Run, found: Found | Job) -> Result:
        """Put a file into the store for one job."""
        name = f"{run.job.id}.{run.job.attempt}"
        if isinstance(found, Job):
            assert found.result is not None  # noqa: S101 - it was looked for
            key = f"{name}.{found.result.format}"
            await self._store.copy(found.result.key, key)
            return evolve(found.result, key=key)
        key = f"{name}.{found.format}"
        total = (await anyio.Path(found.path).stat()).st_size
        fetched = {"bytes_done": total, "progress": 1.0}  # its bytes were counted as they came in
        begun = fetched if found.path.is_relative_to(self._folder) else {"bytes_done": 0, "progress": 0.0}
        await run.report(
            status=Status.DOWNLOADING, message=f"storing the file from {found.source}", bytes_total=total, **begun
        )
        stored = await self._store.put(key, _progressing(run, found.path, total))
        return Result(key, stored.size, found.format, stored.sha256, found.source, found.version, found.licence)

    async def _tidy(self) -> None:
        """Remove what is left of old downloads, at the start and once an hour."""
        while True:
            await anyio.to_thread.run_sync(_remove_older, self._folder, self._clock() - KEEP_PARTS)
            await anyio.sleep(3600)


async def _progressing(run: Run, path: Path, total: int) -> AsyncIterator[bytes]:
    """Read the file, and report progress on the way, if there is any left."""
    done = run.job.bytes_done or 0
    reported = anyio.current_time()
    async with await anyio.open_file(path, "rb") as file:
        while chunk := await file.read(CHUNK):
            yield chunk
            done += len(chunk)
            if anyio.current_time() - reported >= REPORT_EVERY:
                reported = anyio.current_time()
                await run.report(bytes_done=min(done, total), progress=min(1.0, done / total))


async def _fits(found: Found | Job, paper: Paper) -> bool:
    """Tell whether a file that was found for another title is the paper."""
    if isinstance(found, Job):
        return _has_title(found, paper)
    try:
        await check(found.path, paper.title, html=True)  # what kind of page it may be was checked before
    except Unfit:
        return False
    return True


def _has_title(job: Job, paper: Paper) -> bool:
    return paper.title in (None, job.submission.title)


def _remove_older(folder: Path, time: float) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        with suppress(OSError):
            if path.stat().st_mtime < time:
                shutil.rmtree(path, ignore_errors=True)
