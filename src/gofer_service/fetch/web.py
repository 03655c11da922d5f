"""Documents and files from the web, by the SDK's own flows.

A `Fetcher` is what a process has: connections, the wall, and the manners. A `Visit` is what one walk has: its cookies.
What the files are worth is judged elsewhere (`gofer_service.inspection`).
"""

import json
import random
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import anyio.to_thread
import httpx
from attrs import define, frozen
from tenacity import RetryCallState
from tenacity.stop import stop_after_attempt, stop_base

from gofer.contracts.base import Ref, Snapshot
from gofer.contracts.flaws import Flaw
from gofer.contracts.payload import Problem
from gofer.contracts.retrieve import RetrieveContract
from gofer.core import verbs
from gofer.core.deliver import deliver_file
from gofer.core.errand import Errand
from gofer.core.exchange import Tries, follow_open, is_transient, refused
from gofer.core.policies import Retry, Rules, wait_full_jitter, wait_retry_after
from gofer.core.record import JobMemory, JobRecord
from gofer.core.run import Flow, Run
from gofer.core.service import Service
from gofer.core.slots import Slots
from gofer.core.target import Target
from gofer.errors import GoferError, ServiceError, TargetError, TransportError, WrongFile
from gofer.models import ResultFile, RetrieveResult, State, Status
from gofer.transports.adrive import adrive
from gofer.transports.ahttpx_io import AsyncHttpxIO
from gofer.transports.base import Listener
from gofer.transports.disk import LocalDisk
from gofer.transports.family import ServiceCookies
from gofer.version import __version__
from gofer.wire import Reply, Request, origin
from gofer_service.fetch.manners import PATIENCE, Manners, Refused
from gofer_service.fetch.polite import PoliteIO, host_of
from gofer_service.fetch.wall import Wall, WalledTransport, allowed, tls
from gofer_service.inspection import page_flaw
from gofer_service.settings import FetchSettings
from gofer_service.sources.base import Link, NoRecord, Source, SourceFailed

MAX_DOCUMENT: Final = 8 * 1024 * 1024
"""Bytes of a document that a source asks for."""

LARGE: Final = 64 * 1024
"""Bytes of a document from which on it is parsed in a thread."""

TIMEOUT: Final = 30.0
"""Seconds until a reply begins; nothing bounds how long a file takes as long as it comes."""

STALL: Final = 60.0
"""Seconds that a reply may pause; a VPN may be away for so long."""

TRIES: Final = 3
"""Tries in a row without progress."""


DEFAULTS: Final = FetchSettings()


class FetchFailed(Exception):
    """Raised when a file could not be fetched."""

    def __init__(self, flaw: Flaw, why: str) -> None:
        super().__init__(why)
        self.flaw = flaw


class _Asked(stop_base):
    """Gives up where the host asks for a longer pause than anybody waits for."""

    def __call__(self, retry_state: RetryCallState) -> bool:
        """Look at the last failure."""
        error = retry_state.outcome.exception() if retry_state.outcome else None
        return isinstance(error, ServiceError) and (error.retry_after or 0) > PATIENCE


@frozen
class _AnyHost(RetrieveContract):
    """Hosts that run no jobs for us: only what it says of their files and refusals is used."""

    name: str = "web"

    def judge(self, promised: str | None, head: bytes) -> str | None:  # noqa: ARG002 - what is promised does not count
        """Accept any file: `gofer_service.inspection` judges it later, by its bytes."""
        return None

    def read_problem(self, reply: Reply) -> Problem:
        """Say what kind of page it is."""
        flaw = page_flaw(reply.body)
        return Problem(None if flaw is None else flaw.value)


_CONTRACT: Final = _AnyHost()
_FOUND: Final = JobRecord(
    seen=Snapshot(Ref("paper"), Status("found", State.SUCCEEDED), RetrieveResult("paper", "found"))
)


class Fetcher:
    """The connections, the wall and the manners of one process. Use it within `running`."""

    def __init__(
        self, settings: FetchSettings = DEFAULTS, contact: str | None = None, sources: Sequence[Source] = ()
    ) -> None:
        """Set it up; nothing is opened.

        Args:
            settings: the limits.
            contact: how the owners of hosts reach the operator; it is in the User-Agent.
            sources: who will ask; a link to the host of one of them keeps the gap of that source.
        """
        self._proxy = None if settings.proxy is None else settings.proxy.text
        self.wall = Wall(tuple(map(allowed, settings.allow)))
        self.manners = Manners(settings.per_host, settings.gap)
        retry = Retry(
            wait_retry_after(wait_full_jitter(random.Random(), cap=5.0), cap=PATIENCE),  # noqa: S311  (jitter)
            stop_after_attempt(TRIES) | _Asked(),
        )
        self.owners = _owners(sources)
        self.rules = Rules(
            retry=retry,
            patience=retry,
            poll=retry.wait,
            timeout=TIMEOUT,
            stall=STALL,
            file_cap=settings.max_bytes,
            downgrade=True,
        )
        self.refusals: dict[str, str] = {}  # by source: what it said when it last refused to answer
        self.slots = Slots(10_000)  # the manners are the limit
        self.headers = {"user-agent": user_agent(contact), "accept": "*/*"}

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Hold the connections open until the block is left."""
        context = await anyio.to_thread.run_sync(tls)
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=20, keepalive_expiry=5.0)
        plain = httpx.AsyncHTTPTransport(verify=context, trust_env=False, limits=limits)
        if self._proxy is None:
            walled: httpx.AsyncHTTPTransport = WalledTransport(self.wall, context, limits)
        else:
            walled = httpx.AsyncHTTPTransport(verify=context, trust_env=False, limits=limits, proxy=self._proxy)
        async with plain, walled:
            self._plain, self._walled = plain, walled
            yield

    def visit(self) -> "Visit":
        """Begin a walk, with no cookies."""
        return Visit(self, self._wire(self._plain), self._wire(self._walled))

    def _wire(self, transport: httpx.AsyncHTTPTransport) -> AsyncHttpxIO:
        client = httpx.AsyncClient(
            transport=transport, cookies=ServiceCookies(), headers=self.headers, trust_env=False, timeout=TIMEOUT
        )
        return AsyncHttpxIO(client=client)


@define
class Visit:
    """One walk on the web."""

    fetcher: Fetcher
    _trusted: AsyncHttpxIO
    _walled: AsyncHttpxIO

    def to(self, source: Source) -> "SourceWeb":
        """Give a source its way to the web."""
        return SourceWeb(self, source)

    def wire(self, source: Source, url: str, *, ours: bool) -> PoliteIO:
        """Make the wire of one fetch."""
        fetcher = self.fetcher
        return PoliteIO(
            fetcher.manners,
            fetcher.wall,
            fetcher.owners,
            self._trusted,
            self._walled,
            source.name,
            url,
            ours,
            source.gap,
            source.needs_vpn,
        )


@frozen
class SourceWeb:
    """A `gofer_service.sources.base.Web` for one source on one walk."""

    _visit: Visit
    _source: Source

    async def json(self, url: str) -> Any:
        """Get a JSON document: see `gofer_service.sources.base.Web.json`."""
        base = self._source.base
        wire = self._visit.wire(self._source, url, ours=bool(base) and url.startswith(f"{base}/"))
        place = host_of(url)
        try:
            errand = _errand(self._visit.fetcher, url, heard=False)
            reply = await adrive(Run(_document(errand, url), errand), wire, LocalDisk(), _silent)
        except ServiceError as error:
            wire.give_up()
            if error.status_code in (404, 410):
                raise NoRecord(f"{place} answered {error.status_code}") from error
            refusal = 400 <= error.status_code < 500 and error.status_code not in (408, 429)
            flaw = Flaw.SOURCE_REFUSED if refusal else Flaw.SOURCE_DOWN
            if refusal:
                self._visit.fetcher.refusals[self._source.name] = f"{place} answered {error.status_code}"
            raise SourceFailed(flaw, f"{place} answered {error.status_code}") from error
        except GoferError as error:
            wire.give_up()
            down = isinstance(error, Refused) and error.flaw is Flaw.VPN_DOWN
            raise SourceFailed(Flaw.VPN_DOWN if down else Flaw.SOURCE_DOWN, str(error)) from error
        self._visit.fetcher.refusals.pop(self._source.name, None)
        try:
            if len(reply.body) < LARGE:
                return json.loads(reply.body)
            return await anyio.to_thread.run_sync(json.loads, reply.body)
        except (ValueError, RecursionError) as error:
            raise SourceFailed(Flaw.SOURCE_DOWN, f"{place} answered with something that is no JSON") from error

    async def download(self, link: Link, path: Path, tell: Listener) -> str:
        """Download a file to ``path``, and go on from a part of it that is there from before.

        Returns:
            The address that it came from, after redirects.

        Raises:
            FetchFailed: it cannot be had; the flaw says why.
            TargetError: it cannot be written.
        """
        wire = self._visit.wire(self._source, link.url, ours=link.ours)
        headers = {} if link.referer is None else {"referer": link.referer}
        file = ResultFile("paper", link.url, headers=headers, linked=False)
        try:
            errand = _errand(self._visit.fetcher, link.url, heard=True)
            await adrive(Run(deliver_file(errand, Target(path), file), errand), wire, LocalDisk(), tell)
        except TargetError:
            raise
        except GoferError as error:
            wire.give_up()
            raise FetchFailed(_flaw_of(error, began=wire.began), _words_of(error, link.url)) from error
        return wire.at


def _owners(sources: Sequence[Source]) -> Mapping[str, tuple[str, float | None]]:
    """Return the name and the gap of the source at each host that only one of them is at."""
    bases = [(host_of(source.base), source) for source in sources if source.base]
    hosts = [host for host, _ in bases]
    return {host: (source.name, source.gap) for host, source in bases if hosts.count(host) == 1}


def _errand(fetcher: Fetcher, url: str, *, heard: bool) -> Errand[Any, Any]:
    scheme, host, port = origin(url)
    base = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
    service = Service(_CONTRACT, base, fetcher.rules, slots=fetcher.slots)
    return Errand(service, JobMemory(_FOUND), heard=heard)


def _document(errand: Errand[Any, Any], url: str) -> Flow[Reply]:
    """Get a document. A transient failure is tried again."""
    tries, request = Tries(errand, errand.rules.retry), Request("GET", url, {"accept": "application/json"})
    while True:
        try:
            head = yield from follow_open(errand, request)
            reply = yield from verbs.read_document(errand, head, MAX_DOCUMENT)
        except TransportError as error:
            failure: GoferError = error
        else:
            if reply.status == 200:
                return reply
            failure = refused(errand, reply)
            if not is_transient(errand, failure):
                raise failure
        yield from tries.back_off(failure)


def user_agent(contact: str | None) -> str:
    """Return what every host is told of who asks."""
    reachable = f" (contact: {contact})" if contact else ""
    return f"gofer-service/{__version__}{reachable}"


def _words_of(error: GoferError, url: str) -> str:
    """Say what happened; of a refusal without the SDK's advice: nobody passes credentials for a foreign host."""
    if isinstance(error, ServiceError) and error.status_code >= 400:
        return f"{host_of(url)} answered {error.status_code}"
    return str(error)


def _flaw_of(error: GoferError, *, began: bool) -> Flaw:
    match error:
        case Refused():
            return error.flaw
        case WrongFile():
            return _FLAWS.get(error.reason or "", Flaw.TRUNCATED)
        case ServiceError():
            if error.error_code == Flaw.BLOCKED.value:
                return Flaw.BLOCKED
            return _REFUSALS.get(error.status_code, Flaw.HTTP_ERROR)
        case TransportError():
            return Flaw.TRUNCATED if began else Flaw.UNREACHABLE
        case _:
            return Flaw.HTTP_ERROR


_FLAWS: Final = {"too big": Flaw.TOO_BIG, "encoding": Flaw.NOT_THE_FILE, "format": Flaw.NOT_THE_FILE}
_REFUSALS: Final = {
    **dict.fromkeys((401, 402, 403, 407, 451), Flaw.NO_ACCESS),
    **dict.fromkeys((404, 410), Flaw.GONE),
}


def _silent(_: object) -> None:
    """Listen to nothing."""
