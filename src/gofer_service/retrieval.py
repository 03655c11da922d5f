"""The work of a job: walk the sources, try what they name, keep the first file that can be the paper.

One chain for every source, so none can forget a check. Where papers are is the sources' business, what a good file is
`sniff`'s, and when a job runs the engine's.
"""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
from attrs import define, field, frozen

from gofer.contracts.flaws import Flaw
from gofer_service.engine import ErrorCode, Failure, Result, Run, Status, Submission, Tried
from gofer_service.sniff import Unfit, check
from gofer_service.sources.base import Candidate, Paper, Source
from gofer_service.store import CHUNK, Store
from gofer_service.vpn import VpnWatch, no_vpn

MAX_CANDIDATES: Final = 6
"""Places tried per source; some records carry hundreds by mistake."""

REPORT_EVERY: Final = 0.5
"""Seconds between two notes of progress within one file."""

_log = logging.getLogger(__name__)

_NOT_THE_PAPER: Final = frozenset({Flaw.NOT_THE_FILE, Flaw.LOGIN_PAGE, Flaw.METADATA_ONLY, Flaw.WRONG_PAPER})
"""Flaws of a place that has not got the paper; the others mean that it had, and could not give it."""


@frozen
class Retrieval:
    """Finds a paper by its sources, in their order, and puts it into the store."""

    sources: Sequence[Source]
    store: Store
    vpn: VpnWatch = no_vpn

    async def __call__(self, run: Run) -> Result:
        """Do the job.

        Raises:
            Failure: no source gave a file; the code follows from what was tried.
        """
        wanted = run.job.submission
        search = _Search(run, wanted, self.store)
        for source in self.sources:
            if source.needs_vpn and not self.vpn().connected:
                await search.note(source.name, source.name, Flaw.VPN_DOWN.value)
            elif result := await search.ask(source):
                return result
        raise search.failure()


@define
class _Search:
    """One job's walk: what it looks for and what it has tried."""

    run: Run
    wanted: Submission
    store: Store
    tried: list[Tried] = field(factory=list[Tried])

    async def ask(self, source: Source) -> Result | None:
        """Try what the source names, each place once."""
        await self.run.report(status=Status.SEARCHING, message=f"searching {source.name}")
        seen: set[Path] = set()
        paper = Paper(self.wanted.doi, self.wanted.title, self.wanted.authors)
        async with aclosing(source.candidates(paper)) as candidates:
            async for candidate in candidates:
                if candidate.path in seen:
                    continue
                if len(seen) == MAX_CANDIDATES:
                    break
                seen.add(candidate.path)
                try:
                    return await self._fetch(source, candidate)
                except Unfit as unfit:
                    await self._refuse(source, candidate, unfit.flaw)
                except OSError:
                    await self._refuse(source, candidate, Flaw.UNREACHABLE)
        return None

    async def _refuse(self, source: Source, candidate: Candidate, flaw: Flaw) -> None:
        """Put a file that is not taken on the record, and name it to whoever keeps the service."""
        _log.warning("%r is not taken for %s: %s, %s", str(candidate.path), self.wanted.doi, flaw.value, flaw.words)
        await self.note(source.name, candidate.label, flaw.value)

    async def note(self, source: str, place: str, failure: str) -> None:
        """Put a failed place on the record."""
        self.tried.append(Tried(source, place, failure))
        await self.run.report(tried=tuple(self.tried))

    def failure(self) -> Failure:
        """Sum up what was tried."""
        flaws = {tried.failure for tried in self.tried}
        if flaws - _NOT_THE_PAPER - {Flaw.VPN_DOWN.value}:
            return Failure(ErrorCode.DOWNLOAD_FAILED, f"{self.wanted.doi} was found, but no copy of it is sound")
        if Flaw.VPN_DOWN.value in flaws:
            return Failure(ErrorCode.VPN_ERROR, f"{self.wanted.doi} was not found without the VPN, which is down")
        lacks = "a usable copy of " if self.tried else ""
        return Failure(ErrorCode.NOT_FOUND, f"no source has {lacks}{self.wanted.doi}")

    async def _fetch(self, source: Source, candidate: Candidate) -> Result:
        path = candidate.path
        html = path.suffix.lower() == ".html"  # a page on our own disk was saved on purpose
        kind = await anyio.to_thread.run_sync(partial(check, path, self.wanted.title, html=html))
        total = (await anyio.Path(path).stat()).st_size
        await self.run.report(
            status=Status.DOWNLOADING,
            message=f"fetching from {source.name}",
            bytes_done=0,
            bytes_total=total,
            progress=0.0,
        )
        job = self.run.job
        key = f"{job.id}.{job.attempt}.{kind}"
        stored = await self.store.put(key, self._progressing(path, total))
        return Result(key, stored.size, kind, stored.sha256, source.name, candidate.version, candidate.licence)

    async def _progressing(self, path: Path, total: int) -> AsyncIterator[bytes]:
        """Read the file and report how far it is."""
        done = 0
        reported = anyio.current_time()
        async with await anyio.open_file(path, "rb") as file:
            while chunk := await file.read(CHUNK):
                yield chunk
                done += len(chunk)
                if anyio.current_time() - reported >= REPORT_EVERY:
                    reported = anyio.current_time()
                    await self.run.report(bytes_done=done, progress=min(1.0, done / total))
