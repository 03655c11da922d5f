"""The wire under all fetches: the SDK's `AsyncIO`, behind the wall and with manners.

Each request waits for its turn at its host, redirects too, and keeps it until its reply is closed. What happens on the
way is noted for `Manners` and for whoever has to say why a fetch failed. Nothing is retried here.
"""

import errno
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import Final

from attrs import define, evolve

from gofer.contracts.flaws import Flaw
from gofer.core.commands import Now
from gofer.core.judging import retry_after
from gofer.errors import TransportError
from gofer.transports.ahttpx_io import AsyncHttpxIO
from gofer.transports.base import AsyncBody
from gofer.wire import Head, Request, origin
from gofer_service.fetch.manners import Manners, Refused
from gofer_service.fetch.wall import AddressRefused, Wall

_BUSY: Final = (429, 503)


@define
class PoliteIO:
    """The wire of one fetch.

    Attributes:
        source: whose fetch it is.
        url: the address that it begins at.
        ours: whether that address was configured, so that it may be a private one.
        gap: seconds between two requests like the first one, or None.
        needs_vpn: whether it is for the VPN, so that a network that refuses at once means that the VPN is down.
        began: whether a file has begun to come.
        at: the address that was asked last, after redirects.
        trouble: the host at which the last request failed, or "".
    """

    _manners: Manners
    _wall: Wall
    _owners: Mapping[str, tuple[str, float | None]]
    _trusted: AsyncHttpxIO
    _walled: AsyncHttpxIO
    source: str
    url: str
    ours: bool = False
    gap: float | None = None
    needs_vpn: bool = False
    began: bool = False
    at: str = ""
    trouble: str = ""

    def now(self) -> Now:
        """Read both clocks."""
        return self._walled.now()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._walled.sleep(seconds)

    async def open(self, request: Request, *, timeout: float, stall: float) -> tuple[Head, AsyncBody]:
        """Send a request when it is its turn; the timeout runs from then on.

        Raises:
            Refused: it is not sent.
            Unreachable, AnswerLost: see `gofer.transports.base.AsyncIO`.
        """
        ours = self.ours and request.url == self.url
        try:
            if not ours:
                self._wall.check_url(request.url)
        except AddressRefused as error:
            raise Refused(Flaw.REFUSED_ADDRESS, str(error)) from error
        host = host_of(request.url)
        kind, gap = (self.source, self.gap) if ours else self._owners.get(host, ("", None))
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._manners.turn(self.source, host, kind=kind, gap=gap))
            head, body = await self._opened(host, request, timeout, stall, ours=ours)
            return head, _Body(self, host, body, stack.pop_all(), head.status >= 500 or head.status == 429)

    async def _opened(
        self, host: str, request: Request, timeout: float, stall: float, *, ours: bool
    ) -> tuple[Head, AsyncBody]:
        # Nothing in it is secret from other hosts: the headers are ours, and cookies go by the jar's rules.
        plain, self.at = evolve(request, anonymous=False), request.url
        wire = self._trusted if ours else self._walled
        try:
            head, body = await wire.open(plain, timeout=timeout, stall=stall)
        except TransportError as error:
            if refused := _refusal_in(error):
                raise Refused(Flaw.REFUSED_ADDRESS, str(refused)) from error
            if self.needs_vpn and _is_cut_off(error):
                raise Refused(Flaw.VPN_DOWN, str(error)) from error
            self.trouble = host
            raise
        if head.status in _BUSY and (seconds := retry_after(head, self.now().wall)) is not None:
            self._manners.asked_to_wait(self.source, host, seconds)
        self.began = self.began or head.status < 300
        return head, body

    def closed(self, host: str, *, failed: bool) -> None:
        """Note how a request went, once its reply is closed."""
        self.trouble = host if failed else ""
        if not failed:
            self._manners.answered(self.source, host)

    def give_up(self) -> None:
        """Count the failure of the fetch, which counts once however often it was tried."""
        if self.trouble:
            self._manners.failed(self.source, self.trouble)


@define
class _Body:
    """The body of a reply, which holds the turn of its request until it is closed."""

    _io: PoliteIO
    _host: str
    _body: AsyncBody
    _turn: AsyncExitStack
    _failed: bool

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes."""
        try:
            async for chunk in self._body.chunks():
                yield chunk
        except TransportError:
            self._failed = True
            raise

    async def close(self) -> None:
        """Let go of the connection and of the turn."""
        async with self._turn:
            await self._body.close()
        self._io.closed(self._host, failed=self._failed)


def host_of(url: str) -> str:
    """Return the name and the port of the host of a URL."""
    _, host, port = origin(url)
    return f"{host}:{port}"


def _is_cut_off(error: BaseException | None) -> bool:
    """Tell whether the network itself refused, as the wall around a VPN does while the tunnel is down."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
            return True
        error = error.__cause__ or error.__context__
    return False


def _refusal_in(error: BaseException | None) -> AddressRefused | None:
    while error is not None and not isinstance(error, AddressRefused):
        error = error.__cause__ or error.__context__
    return error
