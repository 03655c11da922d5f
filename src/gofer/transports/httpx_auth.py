"""`auth=` as an `httpx.Auth` or `httpx2.Auth`: its flow becomes a generator of requests that the core sends.

A flow yields the request it was given once that is signed, and before it any other request that it wants sent, as for a
token. After a refusal a new flow gets the reply, as from httpx, and signs again: so Digest and the like work too.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Generator
from typing import Any

import httpx

from gofer.core.credentials import End, HttpxAuth, Refused
from gofer.errors import UsageError
from gofer.wire import Head, Reply, Request

_OF_THE_BODY = frozenset({"content-encoding", "content-length", "transfer-encoding"})
"""Headers about a body as it was sent; the one that a flow gets is unpacked."""


def signing_by(auth: HttpxAuth, request: Request, refused: Refused | None) -> Generator[Request, Reply, Request]:
    """Sign a request by a blocking flow; `signing_by_awaiting` is its awaited twin."""
    one = _OneRequest(auth, request)
    flow = auth.sync_auth_flow(one.native)
    asked = one.native
    try:
        asked = next(flow)
        while True:
            if not one.is_it(asked):
                response = one.response((yield one.neutral(asked)), asked)
            elif refused is None:
                break
            else:
                response, refused = one.response(refused.reply, asked), None
            asked = flow.send(response)
    except StopIteration:  # it has no other signature
        pass
    finally:
        flow.close()
    return one.signed(asked)


async def signing_by_awaiting(
    auth: HttpxAuth, request: Request, refused: Refused | None
) -> AsyncGenerator[Request | End, Reply]:
    """Sign a request by an awaited flow; `signing_by` is its blocking twin."""
    one = _OneRequest(auth, request)
    flow = auth.async_auth_flow(one.native)
    asked = one.native
    try:
        asked = await anext(flow)
        while True:
            if not one.is_it(asked):
                response = one.response((yield one.neutral(asked)), asked)
            elif refused is None:
                break
            else:
                response, refused = one.response(refused.reply, asked), None
            asked = await flow.asend(response)
    except StopAsyncIteration:  # it has no other signature
        pass
    finally:
        await flow.aclose()
    yield End(one.signed(asked))


class _Unread:
    """Stands for a body that is streamed from files, which only a function can sign."""

    def __iter__(self) -> Any:
        raise UsageError(
            "This auth= reads the complete body, which is streamed from a file. Pass a function as auth=: "
            "request.body.sha256 is the digest of the body."
        )

    __aiter__ = __iter__


class _OneRequest:
    """One request of gofer's and what httpx makes of it, and the way back."""

    def __init__(self, auth: HttpxAuth, request: Request) -> None:
        roots = [kind.__module__.partition(".")[0] for kind in type(auth).__mro__]
        self._family: Any = sys.modules["httpx2"] if "httpx2" in roots else httpx
        self._request = request
        self.native = self._native()

    def _native(self) -> Any:
        one = self._request
        content = (one.body or None) if isinstance(one.body, bytes) else _Unread()
        made = self._family.Request(one.method, one.url, headers=one.headers, content=content)
        if isinstance(content, _Unread):
            made.stream = content  # for awaited flows, too
        return made

    def is_it(self, asked: Any) -> bool:
        """Tell whether a flow yields the request that it was given, not one of its own; the query may be signed."""
        if asked is self.native:
            return True
        same_place = asked.url.copy_with(query=None) == self.native.url.copy_with(query=None)
        return bool(same_place and asked.method == self.native.method)

    def signed(self, asked: Any) -> Request:
        """Return gofer's request with what the flow has added; what httpx adds by itself is the adapter's affair."""
        one, plain = self._request, self._native()
        added = {name: text for name, text in asked.headers.items() if plain.headers.get(name) != text}
        url = one.url if asked.url == plain.url else str(asked.url)
        return Request(one.method, url, {**one.headers, **added}, one.body)

    def neutral(self, asked: Any) -> Request:
        """Return a request of the flow's own as one of gofer's."""
        kept = {name: text for name, text in asked.headers.items() if name not in ("host", "content-length")}
        return Request(asked.method, str(asked.url), kept, asked.read())

    def response(self, reply: Head, asked: Any) -> Any:
        """Return a reply as the response that the flow waits for; a body that was not read is empty."""
        kept = {name: text for name, text in reply.headers.items() if name not in _OF_THE_BODY}
        body = reply.body if isinstance(reply, Reply) else b""
        return self._family.Response(reply.status, headers=kept, content=body, request=asked)
