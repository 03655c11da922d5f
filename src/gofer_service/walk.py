"""One walk over the sources: ask each of them, try the places that it names, and end with the first file that is sound.

All sources share these steps, so that none can skip a check. A source decides where the paper may be, `fetch` brings
it, and `inspection` decides whether it is accepted. A walk knows no job: whoever follows it is told how it goes.
"""

import hashlib
import logging
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Final

import anyio
from attrs import define, field, frozen

from gofer.contracts.flaws import Flaw
from gofer.errors import GoferError, JobFailed, TargetError, Unauthorized, UsageError, WrongFile
from gofer.events import Downloading, Event
from gofer.models import Attempt, RetrieveRequest, RetrieveResult
from gofer.transports.adrive import ungrouped
from gofer.wire import shown
from gofer_service.engine import ErrorCode, Failure, Job, Status, Tried
from gofer_service.fetch.manners import Refused
from gofer_service.fetch.polite import host_of
from gofer_service.fetch.web import FetchFailed, Visit
from gofer_service.inspection import Unfit, check, read_links
from gofer_service.sources.base import Candidate, Link, LocalFile, NoRecord, OtherService, Paper, Source, SourceFailed
from gofer_service.vpn import VpnWatch

MAX_CANDIDATES: Final = 6
"""Places that are tried per source; some records name hundreds of places by mistake."""

REPORT_EVERY: Final = 0.5
"""Seconds between two progress reports within one file."""

MAX_TRIED: Final = 200
"""Entries of ``attempts`` that are kept."""

_log = logging.getLogger(__name__)

_STOPPED: Final = frozenset(
    {
        Flaw.BLOCKED,
        Flaw.BROKEN_EPUB,
        Flaw.BROKEN_PDF,
        Flaw.EMPTY,
        Flaw.ENCRYPTED,
        Flaw.HOST_GIVEN_UP,
        Flaw.HTTP_ERROR,
        Flaw.TOO_BIG,
        Flaw.TOO_COSTLY,
        Flaw.TRUNCATED,
        Flaw.UNREACHABLE,
    }
)
"""Flaws of a place that has the paper. With any other flaw the place does not have it, or a source was not asked."""

_PAGES: Final = frozenset({Flaw.NOT_THE_FILE, Flaw.LOGIN_PAGE, Flaw.BLOCKED})
"""Flaws of a web page, which may link to the paper."""

_CODES: Final = {"VPN_ERROR": Flaw.VPN_DOWN, "DOWNLOAD_FAILED": Flaw.HTTP_ERROR, "TIMEOUT": Flaw.SOURCE_DOWN}
"""What the error codes of another service mean, where it says nothing more."""


@frozen
class Found:
    """A sound file of this format, and where it is from."""

    path: Path
    format: str
    source: str
    version: str | None
    licence: str | None


Report = Callable[..., Awaitable[None]]
"""Gets changes of a job's record: fields of `gofer_service.engine.Job`."""


@define
class Walk:
    """The search for one paper.

    Attributes:
        paper: what is wanted.
        sources: whom to ask, in this order.
        visit: the way to the web.
        vpn: the state of the VPN.
        folder: where files are downloaded.
        kept: finds a job that has the paper already; it is asked once all files of this machine were looked at.
        report: gets what changes.
        left: returns the seconds that are left.
    """

    paper: Paper
    sources: Sequence[Source]
    visit: Visit
    vpn: VpnWatch
    folder: Path
    kept: Callable[[], Awaitable[Job | None]]
    report: Report
    left: Callable[[], float]
    _tried: list[Tried] = field(factory=list[Tried], init=False)
    _seen: set[str | Path] = field(factory=set[str | Path], init=False)
    _indexes: dict[str, bool] = field(factory=dict[str, bool], init=False)  # whether each has a record of the paper

    async def go(self) -> Found | Job:
        """Walk until a file is found, or a job that has it already.

        Raises:
            Failure: no source has a usable file. The error code depends on what was tried.
        """
        kept: Job | None = None
        looked = False
        for source in self.sources:
            if not source.local and not looked:
                kept, looked = await self.kept(), True
                if kept:
                    return kept
            if source.needs_vpn and not self.vpn().connected:
                await self._note(source.name, source.name, Flaw.VPN_DOWN)
            elif found := await self._ask(source):
                return found
        raise self._failure()

    async def _ask(self, source: Source) -> Found | None:
        """Try the places that the source names, each of them once."""
        await self.report(status=Status.SEARCHING, message=f"searching {source.name}")
        if source.is_index:
            self._indexes[source.name] = True
        tried = 0
        async with aclosing(self._places(source)) as places:
            async for place in places:
                if self._is_new(place):
                    if tried == MAX_CANDIDATES:
                        break
                    tried += 1
                    if found := await self._try(source, place):
                        return found
        return None

    async def _places(self, source: Source) -> AsyncGenerator[Candidate, None]:
        """Yield what the source names; a source that fails has named all."""
        async with aclosing(source.candidates(self.paper, self.visit.to(source))) as places:
            while True:
                try:
                    place = await anext(places)
                except StopAsyncIteration:
                    return
                except NoRecord:
                    if source.is_index:
                        self._indexes[source.name] = False
                    await self._note(source.name, source.name, Flaw.UNKNOWN_DOI)
                    return
                except SourceFailed as failed:
                    _log.warning("the source %s failed for %s: %s", source.name, self.paper.doi, failed)
                    await self._note(source.name, source.name, failed.flaw)
                    return
                except Exception:  # noqa: BLE001 - a source of a third party may raise anything
                    _log.exception("the source %s failed for %s", source.name, self.paper.doi)
                    await self._note(source.name, source.name, Flaw.SOURCE_DOWN)
                    return
                yield place

    def _is_new(self, place: Candidate) -> bool:
        match place:
            case LocalFile():
                key: str | Path = place.path
            case Link():
                key = place.url
            case OtherService():
                key = place.label
        new = key not in self._seen
        self._seen.add(key)
        return new

    async def _try(self, source: Source, place: Candidate) -> Found | None:
        """Bring one place's file; return None if that fails or the file is not accepted, and note why."""
        label = shown(place.url) if isinstance(place, Link) else place.label
        try:
            match place:
                case LocalFile():
                    html = place.path.suffix.lower() == ".html"  # one on our own disk was saved on purpose
                    kind = await check(place.path, self.paper.title, html=html)
                    return Found(place.path, kind, source.name, place.version, place.licence)
                case Link():
                    return await self._follow(source, place)
                case OtherService():
                    return await self._delegate(source, place)
        except Unfit as unfit:
            flaw, why = unfit.flaw, unfit.flaw.words
        except FetchFailed as failed:
            flaw, why = failed.flaw, str(failed)
        except (OSError, TargetError) as error:
            flaw, why = Flaw.UNREACHABLE, str(error)
        except UsageError as error:  # a link that is no address
            flaw, why = Flaw.REFUSED_ADDRESS, str(error)
        for_operator = str(place.path) if isinstance(place, LocalFile) else label
        _log.warning("%r is not taken for %s: %s, %s", for_operator, self.paper.doi, flaw.value, why)
        await self._note(source.name, label, flaw)
        return None

    # --- the web ---

    async def _follow(self, source: Source, link: Link, *, hops: int = 1) -> Found | None:
        """Download a link. If it may be a landing page and is one, try the links on it."""
        path = self.folder / hashlib.sha256(link.url.encode(errors="replace")).hexdigest()[:32]
        if not link.landing:
            await self._announce(f"fetching from {host_of(link.url)}")
        async with self._progressing() as tell:
            at = await self.visit.to(source).download(link, path, tell)
        try:
            kind = await check(path, self.paper.title)
        except Unfit as unfit:
            if link.landing and unfit.flaw in _PAGES:
                return await self._read_page(source, link, path, at, unfit.flaw, hops)
            await anyio.Path(path).unlink(missing_ok=True)
            raise
        return Found(path, kind, source.name, link.version, link.licence)

    async def _read_page(self, source: Source, link: Link, path: Path, at: str, flaw: Flaw, hops: int) -> Found | None:
        """Try the links of a landing page, or the page that it refreshes to, once.

        Raises:
            Unfit: there are none.
        """
        page = await read_links(path, at)
        if page.links:
            for url in page.links:
                onward = Link(url, version=link.version, licence=link.licence, referer=at)
                if self._is_new(onward) and (found := await self._try(source, onward)):
                    return found
            return None
        if page.refresh and hops:
            onward = Link(page.refresh, True, link.version, link.licence, referer=at)
            return await self._follow(source, onward, hops=hops - 1) if self._is_new(onward) else None
        raise Unfit(flaw if flaw is Flaw.BLOCKED else Flaw.NO_LINK)  # pages without a link often offer a login, too

    async def _delegate(self, source: Source, place: OtherService) -> Found | None:
        """Have another service do the whole errand; what it tried counts as tried."""
        path = self.folder / hashlib.sha256(place.label.encode()).hexdigest()[:32]
        manners, left = self.visit.fetcher.manners, self.left()
        wanted = RetrieveRequest(self.paper.doi, self.paper.title, self.paper.authors or None)
        try:
            manners.check(source.name, place.label)
            async with self._progressing() as tell, place.connect(tell) as client:
                outcome = await client.run(wanted, to=path, timeout=None if left == math.inf else max(0.001, left))
        except JobFailed as error:
            manners.answered(source.name, place.label)
            await self._merge(source, place, error)
            return None
        except Refused as error:
            raise FetchFailed(Flaw.SOURCE_DOWN, str(error)) from error
        except GoferError as error:
            manners.failed(source.name, place.label)
            flaw = Flaw.SOURCE_DOWN
            if isinstance(error, WrongFile):
                flaw = Flaw.TRUNCATED
            elif isinstance(error, Unauthorized):
                flaw = Flaw.SOURCE_REFUSED
            raise FetchFailed(flaw, str(error)) from error
        manners.answered(source.name, place.label)
        result = outcome.value
        await self._adopt(source, place, result.attempts)
        kind = await check(path, self.paper.title, html=result.file_format == "html")
        return Found(path, kind, source.name, result.version, result.licence)

    async def _merge(self, source: Source, place: OtherService, error: JobFailed) -> None:
        value = error.value
        attempts = value.attempts if isinstance(value, RetrieveResult) else ()
        await self._adopt(source, place, attempts)
        flaws = {attempt.failure for attempt in attempts}
        flaw = _CODES.get(error.error_code or "")
        told = flaw is None or (flaws & _STOPPED if flaw is Flaw.HTTP_ERROR else flaw in flaws)
        if flaw is not None and not told:
            await self._note(source.name, place.label, flaw)
        elif not attempts:
            await self._note(source.name, place.label, Flaw.UNKNOWN_DOI)

    async def _adopt(self, source: Source, place: OtherService, attempts: Sequence[Attempt]) -> None:
        """Note what another service has tried as tried."""
        for attempt in attempts:
            name = f"{source.name}/{attempt.source}" if attempt.source else source.name
            self._tried.append(Tried(name, attempt.place or place.label, attempt.failure or ""))
        await self._show_tried()

    # --- what is told ---

    async def _announce(self, message: str) -> None:
        await self.report(status=Status.DOWNLOADING, message=message, bytes_done=0, bytes_total=None, progress=None)

    @asynccontextmanager
    async def _progressing(self) -> AsyncGenerator[Callable[[Event], None]]:
        """Give a listener of an errand's events, and report the bytes that it hears of now and then."""
        heard: list[Downloading] = []

        def tell(event: Event) -> None:
            if isinstance(event, Downloading):
                heard[:] = [event]

        async def report() -> None:
            while True:
                await anyio.sleep(REPORT_EVERY)
                if heard:
                    event = heard.pop()
                    progress = min(1.0, event.done / event.total) if event.total else None
                    await self.report(bytes_done=event.done, bytes_total=event.total, progress=progress)

        with ungrouped():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(report)
                yield tell
                tasks.cancel_scope.cancel()

    async def _note(self, source: str, place: str, flaw: Flaw) -> None:
        self._tried.append(Tried(source, place, flaw.value))
        await self._show_tried()

    async def _show_tried(self) -> None:
        await self.report(tried=tuple(self._tried[:MAX_TRIED]))

    def _failure(self) -> Failure:
        """Make the failure from what was tried."""
        doi, flaws = self.paper.doi, {tried.failure for tried in self._tried}
        if flaws & _STOPPED:
            return Failure(ErrorCode.DOWNLOAD_FAILED, f"{doi} was found, but no sound copy of it could be had")
        unknown = bool(self._indexes) and not any(self._indexes.values())
        if Flaw.VPN_DOWN in flaws and not unknown:
            state = "down" if self.vpn().configured else "not configured"
            return Failure(ErrorCode.VPN_ERROR, f"{doi} was not found without the VPN, which is {state}")
        lacks = "a usable copy of " if self._tried else ""
        return Failure(ErrorCode.NOT_FOUND, f"no source has {lacks}{doi}")
