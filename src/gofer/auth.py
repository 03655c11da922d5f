"""Credentials that are ready to use as `auth=`: OAuth2 client credentials, netrc, a header from the environment.

Each derives from `gofer.Auth`, serves blocking and awaited clients alike, and shows no secret. None is imported by
gofer itself. A token that never changes is a text (`auth="the-token"`); for anything else write a function, or a class
derived from `Auth`.
"""

from __future__ import annotations

import base64
import json
import netrc
import os
import time
from collections.abc import Callable, Generator, Mapping
from os import PathLike
from typing import Any, cast
from urllib.parse import quote, urlencode, urlsplit

from attrs import define, field

from gofer.contracts.base import Contract
from gofer.core.credentials import Auth, Refused
from gofer.errors import BadReply, GoferError, Unauthorized, Unreachable, UsageError
from gofer.wire import Reply, Request, shown, split

__all__ = ["Auth", "ClientCredentials", "ContractToken", "EnvironmentHeader", "Netrc", "Refused"]


def _endpoint(url: str) -> str:
    if split(url).username is not None:
        raise UsageError("token_url= holds credentials; pass them as client_id and client_secret.")
    return url


@define(eq=False)
class ClientCredentials(Auth):
    """OAuth2 client credentials (RFC 6749, section 4.4): a token of the token endpoint, renewed before it expires.

    The token is had over the client's own connection. Its endpoint gets none of the client's other headers.

    Attributes:
        token_url: the address of the token endpoint.
        client_id: the client's name there.
        client_secret: its secret.
        scope: the scopes to ask for, separated by blanks; "" asks for none.
        parameters: further parameters of the token request, for example `{"audience": "…"}`.
        in_body: whether the name and the secret go in the request's body and not as HTTP Basic (section 2.3.1).
        early: seconds before its end at which a token is renewed; at most half of its lifetime.
        clock: the time in seconds; a test may pass its own.

    Raises:
        UsageError: the address is no http(s) address.
    """

    token_url: str = field(repr=shown, converter=_endpoint)
    client_id: str
    client_secret: str = field(repr=False)
    scope: str = ""
    parameters: Mapping[str, str] = field(factory=dict[str, str], repr=False, kw_only=True)
    in_body: bool = field(default=False, kw_only=True)
    early: float = field(default=60.0, kw_only=True)
    clock: Callable[[], float] = field(default=time.monotonic, repr=False, kw_only=True)
    _token: str | None = field(default=None, init=False, repr=False)
    _until: float | None = field(default=None, init=False, repr=False)

    def is_due(self) -> bool:
        """Tell whether there is no token yet, or it ends soon."""
        return self._token is None or (self._until is not None and self.clock() >= self._until)

    def sign(self, request: Request) -> Request:
        """Add the token."""
        return request.with_headers({"authorization": f"Bearer {self._token}"})

    def refresh(self, refused: Refused | None) -> Generator[Request, Reply, None]:  # noqa: ARG002
        """Ask the token endpoint for a token.

        Raises:
            Unauthorized: the endpoint refuses the client, or what it asks for.
            Unreachable: it gives no token at the moment.
        """
        asked_at = self.clock()
        reply = yield self._token_request()
        answer = _object(reply.body)
        token, lifetime = answer.get("access_token"), answer.get("expires_in")
        if reply.status != 200 or not isinstance(token, str) or not token:
            raise _no_token(reply, answer)
        self._token, self._until = token, None
        if isinstance(lifetime, int | float | str):
            try:
                seconds = float(lifetime)
            except (ValueError, OverflowError):
                return
            if seconds > 0:
                self._until = asked_at + seconds - min(self.early, seconds / 2)

    def _token_request(self) -> Request:
        form = {"grant_type": "client_credentials", **({"scope": self.scope} if self.scope else {}), **self.parameters}
        headers = {"accept": "application/json", "content-type": "application/x-www-form-urlencoded"}
        if self.in_body:
            form |= {"client_id": self.client_id, "client_secret": self.client_secret}
        else:
            headers["authorization"] = _basic(quote(self.client_id, safe=""), quote(self.client_secret, safe=""))
        return Request("POST", self.token_url, headers, urlencode(form).encode())


@define(eq=False)
class ContractToken(Auth):
    """The token that a contract asks for by itself, as a declaration's `[token]`; clients make it without `auth=`."""

    base: str = field(repr=shown)
    contract: Contract[Any, Any] = field(repr=False)
    early: float = 60.0
    clock: Callable[[], float] = field(default=time.monotonic, repr=False, kw_only=True)
    _headers: Mapping[str, str] | None = field(default=None, init=False, repr=False)
    _until: float | None = field(default=None, init=False, repr=False)

    def is_due(self) -> bool:
        """Tell whether there is no token yet, or it ends soon."""
        return self._headers is None or (self._until is not None and self.clock() >= self._until)

    def sign(self, request: Request) -> Request:
        """Add the headers with the token."""
        return request.with_headers(self._headers or {})

    def refresh(self, refused: Refused | None) -> Generator[Request, Reply, None]:  # noqa: ARG002
        """Ask for a token.

        Raises:
            Unauthorized: it is refused.
            Unreachable: there is none at the moment.
        """
        asked_at, request = self.clock(), self.contract.build_token(self.base)
        reply = yield cast("Request", request)
        try:
            read = self.contract.read_token(reply)
        except (BadReply, UsageError):  # no document, or a token that no header may have
            read = None
        if read is None:
            raise _no_token(reply, _object(reply.body))
        self._headers, seconds = read
        self._until = None if not seconds else asked_at + seconds - min(self.early, seconds / 2)


@define(eq=False)
class Netrc(Auth):
    """HTTP Basic with the name and password that a netrc file has for the service's host; read again when refused.

    Attributes:
        file: the path of the file; by default what `NETRC` names, else `~/.netrc`.
    """

    file: str | PathLike[str] | None = None
    _read: netrc.netrc | None = field(default=None, init=False, repr=False)

    def is_due(self) -> bool:
        """Tell whether the file has not been read yet."""
        return self._read is None

    def refresh(self, refused: Refused | None) -> None:  # noqa: ARG002
        """Read the file.

        Raises:
            UsageError: it is not there, or is no netrc file.
        """
        path = self.file or os.environ.get("NETRC") or os.path.expanduser("~/.netrc")  # noqa: PTH111
        try:
            self._read = netrc.netrc(os.fspath(path))
        except (OSError, UnicodeError, netrc.NetrcParseError) as error:
            raise UsageError(f"The netrc file {os.fspath(path)!r} cannot be read ({type(error).__name__}).") from None

    def sign(self, request: Request) -> Request:
        """Add the name and password for the request's host; without an entry for it, add nothing."""
        found = self._read.authenticators(urlsplit(request.url).hostname or "") if self._read else None
        if found is None:
            return request
        return request.with_headers({"authorization": _basic(found[0], found[2])})


@define(eq=False)
class EnvironmentHeader(Auth):
    """A header whose value is in an environment variable, which is read at each request.

    Attributes:
        variable: the name of the variable.
        header: the name of the header.
        prefix: what stands before the value; `EnvironmentHeader("KEY", "x-api-key", "")` sends the bare key.
    """

    variable: str
    header: str = "authorization"
    prefix: str = "Bearer "

    def sign(self, request: Request) -> Request:
        """Add the header.

        Raises:
            UsageError: the variable is not set.
        """
        value = os.environ.get(self.variable, "").strip()
        if not value:
            raise UsageError(f"The environment variable {self.variable} is not set; auth= takes its value.")
        return request.with_headers({self.header: self.prefix + value})


def _basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode("ascii")


def _object(body: bytes) -> dict[str, Any]:
    try:
        read = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", read) if isinstance(read, dict) else {}


def _no_token(reply: Reply, answer: Mapping[str, Any]) -> GoferError:
    """Make the error for an answer without a token; only a refusal is final (RFC 6749, section 5.2)."""
    code = answer.get("error")
    said = f" {code}" if isinstance(code, str) and code.isascii() and code.isprintable() and len(code) < 100 else ""
    words = f"{shown(reply.url)} gave no token: {reply.status}{said}."
    if reply.status in (400, 401, 403):
        return Unauthorized(f"{words} Are the client's name, its secret and the scope right?", status_code=reply.status)
    return Unreachable(words)
