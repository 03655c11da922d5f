"""A client that is closed while another thread or task sends: what that opens is closed as well.

The transport brings this about by itself: it closes the client before it lets the request go on.
"""

import httpx
import pytest
from tenacity import stop_after_attempt, wait_none

from gofer import AsyncClient, Client, RetrieveRequest, Retry, Unreachable
from gofer_service import embedded

OUTCOMES = pytest.mark.parametrize("served", [True, False], ids=["answered", "refused"])
NOBODY = "http://127.0.0.1:9"
ONCE = Retry(wait_none(), stop_after_attempt(1))


class Blocking(httpx.BaseTransport):
    """Its list `done` has the requests and the closings in their order."""

    def __init__(self) -> None:
        self.real = httpx.HTTPTransport()
        self.done, self.client = list[str](), Client(NOBODY)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request after the client is closed."""
        self.client.close()
        self.done.append("request")
        return self.real.handle_request(request)

    def close(self) -> None:
        """Close the connections that are in the pool."""
        self.done.append("close")
        self.real.close()


class Awaited(httpx.AsyncBaseTransport):
    """The same for the awaited face."""

    def __init__(self) -> None:
        self.real = httpx.AsyncHTTPTransport()
        self.done, self.client = list[str](), AsyncClient(NOBODY)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request after the client is closed."""
        await self.client.close()
        self.done.append("request")
        return await self.real.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the connections that are in the pool."""
        self.done.append("close")
        await self.real.aclose()


@OUTCOMES
def test_a_connection_made_after_close_is_closed(served: bool) -> None:
    """The job is submitted, or the refusal raised, and no connection stays open after either."""
    transport = Blocking()
    with embedded() as url:
        transport.client = Client(url if served else NOBODY, transport=transport, retry=ONCE)
        if served:
            assert transport.client.submit(RetrieveRequest("10.5555/12345678")).id
        else:
            with pytest.raises(Unreachable):
                transport.client.submit(RetrieveRequest("10.5555/12345678"))
        assert transport.done == ["close", "request", "close"] * (len(transport.done) // 3) != []


@OUTCOMES
@pytest.mark.anyio
async def test_a_connection_made_after_close_is_closed_awaited(served: bool) -> None:
    """The same for the awaited face."""
    transport = Awaited()
    with embedded() as url:
        transport.client = AsyncClient(url if served else NOBODY, transport=transport, retry=ONCE)
        if served:
            assert (await transport.client.submit(RetrieveRequest("10.5555/12345678"))).id
        else:
            with pytest.raises(Unreachable):
                await transport.client.submit(RetrieveRequest("10.5555/12345678"))
        assert transport.done == ["close", "request", "close"] * (len(transport.done) // 3) != []
