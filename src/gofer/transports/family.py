"""What httpx and httpx2 have in common, and how their errors become gofer's. Both adapters use it; it does no I/O.

The two families share no class, so a client is typed by protocols and its family is found from its own package.
"""

from __future__ import annotations

import os
import re
import ssl
import sys
from collections.abc import AsyncIterator, Iterator
from functools import lru_cache
from http.cookiejar import Cookie, CookieJar
from types import ModuleType
from typing import Any, Protocol

import httpx

from gofer.errors import AnswerLost, GoferError, Unreachable, UntrustedCertificate, UsageError
from gofer.version import __version__
from gofer.wire import Head, Request, may_be_sent, shown

USER_AGENT = f"gofer/{__version__}"

IDLE = 2.0
"""Seconds an idle connection is kept: services close theirs after about 5, and a submission should not meet that."""


class NativeResponse(Protocol):
    """What is used of a response of either family.

    Attributes:
        status_code: the HTTP status code.
        headers: a mapping of lower-case names.
        is_stream_consumed: whether the body was read already, as a mock's is.
    """

    status_code: int
    headers: Any
    is_stream_consumed: bool

    def iter_raw(self) -> Iterator[bytes]:
        """Yield the body as it comes."""
        ...

    def iter_bytes(self) -> Iterator[bytes]:
        """Yield the body, decoded."""
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...

    def aiter_raw(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes."""
        ...

    def aiter_bytes(self) -> AsyncIterator[bytes]:
        """Yield the body, decoded."""
        ...

    async def aclose(self) -> None:
        """Let go of the connection."""
        ...


class BlockingClient(Protocol):
    """What is used of an `httpx.Client` or `httpx2.Client`."""

    def build_request(self, method: str, url: Any, *, content: Any, headers: Any, timeout: Any) -> Any:
        """Build a request with the client's defaults."""
        ...

    def send(self, request: Any, *, stream: bool, follow_redirects: Any) -> NativeResponse:
        """Send it."""
        ...

    def close(self) -> None:
        """Close all connections."""
        ...


class AwaitedClient(Protocol):
    """What is used of an `httpx.AsyncClient` or `httpx2.AsyncClient`."""

    def build_request(self, method: str, url: Any, *, content: Any, headers: Any, timeout: Any) -> Any:
        """Build a request with the client's defaults."""
        ...

    async def send(self, request: Any, *, stream: bool, follow_redirects: Any) -> NativeResponse:
        """Send it."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


def family_of(client: object, *, awaited: bool) -> ModuleType:
    """Return the package, httpx or httpx2, that a client belongs to.

    Raises:
        UsageError: it is of neither, or awaited where a blocking one is needed, or the other way round.
    """
    for kind in type(client).__mro__:
        root = kind.__module__.partition(".")[0]
        if root in ("httpx", "httpx2"):
            if hasattr(client, "aclose") != awaited:
                face, other = ("AsyncClient", "Client") if awaited else ("Client", "AsyncClient")
                raise UsageError(f"gofer's {face} takes an {root}.{face} as http_client=, not an {root}.{other}.")
            return sys.modules[root]
    raise UsageError(
        f"http_client= must be an httpx or httpx2 client, not {type(client).__name__}; see io= for others."
    )


def check_transport(transport: object, *, awaited: bool) -> None:
    """Refuse a transport of the other face, or of none."""
    needed = "handle_async_request" if awaited else "handle_request"
    if transport is not None and not hasattr(transport, needed):
        kind = "an httpx.AsyncBaseTransport" if awaited else "an httpx.BaseTransport"
        raise UsageError(f"transport= must be {kind} here, not {type(transport).__name__}.")


class ServiceCookies(CookieJar):
    """Keeps what services set, if a header may hold it; too many are forgotten, all at once."""

    MOST = 64
    LONGEST = 4096  # characters of a name and its value, as in RFC 6265, section 6.1

    def set_cookie(self, cookie: Cookie) -> None:
        """Keep a cookie."""
        text = f"{cookie.name}={cookie.value}"
        if len(text) <= self.LONGEST and may_be_sent(text):
            if len(self) >= self.MOST:
                self.clear()
            super().set_cookie(cookie)


def open_client(kind: Any, transport: object, max_connections: int) -> Any:
    """Make gofer's own client, an `httpx.Client` or `httpx.AsyncClient`.

    Raises:
        UsageError: the environment asks for a proxy or for certificates that cannot be used; it names the variables.
    """
    limits = httpx.Limits(max_connections=max_connections, max_keepalive_connections=20, keepalive_expiry=IDLE)
    try:
        return kind(transport=transport, limits=limits, headers={"user-agent": USER_AGENT}, cookies=ServiceCookies())
    except Exception as error:
        names = ("SSL_CERT_FILE", "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
        found = [name for name in names if os.environ.get(name) or os.environ.get(name.lower())]
        why = re.sub(r"//[^/@]*@", "//***@", _words(error))
        raise UsageError(
            f"No HTTP client can be made ({why}). Nothing was sent. "
            f"Check these environment variables: {', '.join(found) or 'none is set'}."
        ) from error


def native(
    client: Any, family: ModuleType, request: Request, timeout: float, *, own: bool, streamed: object = None
) -> tuple[Any, Any]:
    """Turn a request into the client's own; return it with the arguments for `send`.

    `streamed` is what a streamed body is read from, or None. Its length is sent, as many services refuse chunks.

    An anonymous request gets nothing of the client's: no default headers, no cookies, no auth. A request of our own
    client is not merged either, as long as no service has set a cookie: there is nothing to add.

    Raises:
        UsageError: the request cannot be written, as with a character that no header or address may have.
        Unreachable: the same of an anonymous request: its address is the service's, and not the caller's mistake.
    """
    limits = family.Timeout(timeout)
    content = streamed or request.body or None
    headers = {"accept-encoding": "identity", **request.headers}
    if streamed is not None:
        headers["content-length"] = str(len(request.body))
    try:
        if not request.anonymous and (not own or client.cookies):
            build = client.build_request
            return build(request.method, request.url, content=content, headers=headers, timeout=limits), {}
        headers.setdefault("user-agent", USER_AGENT)
        extensions = {"timeout": limits.as_dict()}
        url = _parsed(family, request.url)
        message = family.Request(request.method, url, headers=headers, content=content, extensions=extensions)
    except (family.InvalidURL, TypeError, ValueError) as error:  # UnicodeError is a ValueError
        if request.anonymous:
            raise Unreachable(f"No request can be sent to {shown(request.url)} ({type(error).__name__}).") from error
        raise _unsendable(request.url, type(error).__name__) from None  # the error may show a header's value
    return message, {"auth": None} if request.anonymous else {}


@lru_cache(64)
def _parsed(family: ModuleType, url: str) -> Any:
    """Parse a URL; the same one is polled many times, and parsing it is most of the cost of a request."""
    return family.URL(url)


def allow_pauses(message: Any, seconds: float) -> None:
    """Let the body of a request that was answered pause longer, or less long, than its head could.

    The time-outs travel with the request as an extension, and each phase reads its own when it begins.
    """
    message.extensions["timeout"]["read"] = seconds


def head_of(response: NativeResponse, request: Request) -> Head:
    """Read a response's head into the neutral one."""
    return Head(request.url, response.status_code, response.headers)


class Sending:
    """Whether a request was handed to a connection. A transport that does not tell (`trace`) counts as one that did."""

    __slots__ = ("_sent", "_tells")

    def __init__(self) -> None:
        self._tells = self._sent = False

    def note(self, event: str) -> None:
        """Note an event of httpcore's `trace` extension."""
        self._tells, self._sent = True, self._sent or event.endswith(".send_request_headers.started")

    def check(self, error: AnswerLost) -> None:
        """Raise `Unreachable` in place of the error, where nothing can have been sent."""
        if self._tells and not self._sent:
            raise Unreachable(f"{error.message} Nothing was sent.") from error


class translated:
    """Turns the family's errors into gofer's, by whether the request can have reached the service at `url`."""

    __slots__ = ("_family", "_url")

    def __init__(self, family: ModuleType, url: str) -> None:
        self._family, self._url = family, url

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is None or isinstance(error, GoferError):
            return
        family = self._family
        if isinstance(error, family.LocalProtocolError):
            raise _unsendable(self._url, type(error).__name__) from None  # it shows a header's value
        if isinstance(error, family.HTTPError | family.StreamError | family.InvalidURL | OSError | ValueError):
            raise _translate(family, error, shown(self._url)) from error


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _unsendable(url: str, why: str) -> UsageError:
    """Make the error for a request that cannot be written. What is wrong in it may be a secret, so it is not shown."""
    return UsageError(
        f"The request to {shown(url)} cannot be sent ({why}): its address, or one of its headers, has a character that "
        "it may not have (not shown, as it may be a secret). Nothing was sent."
    )


def _translate(family: ModuleType, error: BaseException, place: str) -> GoferError:
    words = _words(error)
    if _caused_by(error, ssl.SSLCertVerificationError):
        return UntrustedCertificate(f"The certificate of {place} is not trusted ({words}).")
    if "WRONG_VERSION_NUMBER" in words:
        return Unreachable(f"No TLS at {place} ({words}). Does the service speak http, not https?")
    if isinstance(error, family.ConnectError | family.ConnectTimeout | family.PoolTimeout):
        return Unreachable(f"No connection to {place} ({words}). Is the service running, and the address right?")
    if isinstance(error, family.UnsupportedProtocol | family.ProxyError):
        return Unreachable(f"No request could be sent to {place} ({words}).")
    if isinstance(error, family.TimeoutException | TimeoutError):
        return AnswerLost(f"{place} did not answer in time ({words}).")
    # the URL was parsed before, so what is none is in the reply: the family reads Location and Set-Cookie by itself
    if isinstance(error, family.InvalidURL | ValueError) or _is_malformed(error):
        return AnswerLost(f"{place} answered with malformed HTTP ({words}).", malformed=True)
    return AnswerLost(f"The connection to {place} broke before the answer was complete ({words}).")


def _caused_by(error: BaseException | None, kind: type[BaseException]) -> bool:
    while error is not None:
        if isinstance(error, kind):
            return True
        error = error.__cause__ or error.__context__
    return False


def _is_malformed(error: BaseException | None) -> bool:
    """Tell whether h11 could not read the answer, for another reason than that it is cut off."""
    while error is not None:
        if type(error).__module__.startswith("h11."):
            return "closed" not in str(error).lower()
        error = error.__cause__ or error.__context__
    return False
