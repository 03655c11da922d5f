"""The work of a job: ask each source, try the places it names, and store the first file that can be the paper.

All sources share these steps, so that none can skip a check. Sources decide where papers are, `inspection` decides
which files are accepted, and the engine decides when a job runs.
"""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final

import anyio
from attrs import define, field, frozen

from gofer.contracts.flaws import Flaw
from gofer_service.engine import ErrorCode, Failure, Result, Run, Status, Submission, Tried
from gofer_service.inspection import Unfit, check
from gofer_service.sources.base import LocalFile, Paper, Source, SourceFailed
from gofer_service.store import CHUNK, Store
from gofer_service.vpn import VpnWatch, no_vpn

MAX_CANDIDATES: Final = 6
"""Places that are tried per source; some records name hundreds of places by mistake."""

REPORT_EVERY: Final = 0.5
"""Seconds between two progress reports within one file."""

_log = logging.getLogger(__name__)

_NOT_THE_PAPER: Final = frozenset({Flaw.NOT_THE_FILE, Flaw.LOGIN_PAGE, Flaw.METADATA_ONLY, Flaw.WRONG_PAPER})
"""Flaws of a place that does not have the paper. With any other flaw the place has it, but the file is unusable."""


class NoWeb:
    """Asks nobody."""

    async def json(self, url: str) -> Any:
        """Refuse."""
        raise SourceFailed(Flaw.SOURCE_DOWN, url)


@frozen
class Retrieval:
    """Finds a paper in its sources, one after the other, and puts it into the store."""

    sources: Sequence[Source]
    store: Store
    vpn: VpnWatch = no_vpn

    async def __call__(self, run: Run) -> Result:
        """Do the job.

        Raises:
            Failure: no source has a usable file. The error code depends on what was tried.
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
    """The search of one job: what is wanted, and what was tried."""

    run: Run
    wanted: Submission
    store: Store
    tried: list[Tried] = field(factory=list[Tried])

    async def ask(self, source: Source) -> Result | None:
        """Try the places that the source names, each of them once."""
        await self.run.report(status=Status.SEARCHING, message=f"searching {source.name}")
        seen: set[Path] = set()
        paper = Paper(self.wanted.doi, self.wanted.title, self.wanted.authors)
        async with aclosing(source.candidates(paper, NoWeb())) as candidates:
            async for candidate in candidates:
                assert isinstance(candidate, LocalFile)  # noqa: S101
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

    async def _refuse(self, source: Source, candidate: LocalFile, flaw: Flaw) -> None:
        """Record a file that is not accepted, and log it with its path for the operator."""
        _log.warning("%r is not taken for %s: %s, %s", str(candidate.path), self.wanted.doi, flaw.value, flaw.words)
        await self.note(source.name, candidate.label, flaw.value)

    async def note(self, source: str, place: str, failure: str) -> None:
        """Record a place that failed."""
        self.tried.append(Tried(source, place, failure))
        await self.run.report(tried=tuple(self.tried))

    def failure(self) -> Failure:
        """Make the failure of the job from what was tried."""
        flaws = {tried.failure for tried in self.tried}
        if flaws - _NOT_THE_PAPER - {Flaw.VPN_DOWN.value}:
            return Failure(ErrorCode.DOWNLOAD_FAILED, f"{self.wanted.doi} was found, but no copy of it is sound")
        if Flaw.VPN_DOWN.value in flaws:
            return Failure(ErrorCode.VPN_ERROR, f"{self.wanted.doi} was not found without the VPN, which is down")
        lacks = "a usable copy of " if self.tried else ""
        return Failure(ErrorCode.NOT_FOUND, f"no source has {lacks}{self.wanted.doi}")

    async def _fetch(self, source: Source, candidate: LocalFile) -> Result:
        path = candidate.path
        html = path.suffix.lower() == ".html"  # an HTML file on our own disk was saved on purpose
        kind = await check(path, self.wanted.title, html=html)
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
        """Read the file, and report progress on the way."""
        done = 0
        reported = anyio.current_time()
        async with await anyio.open_file(path, "rb") as file:
            while chunk := await file.read(CHUNK):
                yield chunk
                done += len(chunk)
                if anyio.current_time() - reported >= REPORT_EVERY:
                    reported = anyio.current_time()
                    await self.run.report(bytes_done=done, progress=min(1.0, done / total))
