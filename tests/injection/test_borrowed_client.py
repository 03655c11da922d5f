"""`http_client=`, an httpx or httpx2 client of your own, with its pool, proxies and hooks."""

from types import ModuleType

import httpx
import httpx2
import pytest

from gofer import AsyncRetrieveClient, RetrieveClient, RetrieveRequest

families = pytest.mark.parametrize("family", [httpx, httpx2], ids=["httpx", "httpx2"])


def finished(family: ModuleType) -> object:
    """A transport that completes every job at once, and returns the client's own header as the job's message."""

    def answer(request: httpx.Request) -> object:
        message = request.headers.get("x-team")
        return family.Response(200, json={"job_id": "1", "status": "completed", "message": message})

    return family.MockTransport(answer)


@families
def test_a_borrowed_client_is_used_as_it_is_and_left_open(family: ModuleType) -> None:
    """gofer sends the client's default headers, and does not close the client."""
    with family.Client(transport=finished(family), headers={"x-team": "library"}) as mine:
        with RetrieveClient(http_client=mine) as client:
            outcome = client.run(RetrieveRequest("10.5555/12345678"))
        assert (outcome.value.message, mine.is_closed) == ("library", False)


@families
@pytest.mark.anyio
async def test_a_borrowed_awaited_client_is_used_as_it_is_and_left_open(family: ModuleType) -> None:
    """The awaited client borrows an `AsyncClient` of either family."""
    async with family.AsyncClient(transport=finished(family), headers={"x-team": "library"}) as mine:
        async with AsyncRetrieveClient(http_client=mine) as client:
            outcome = await client.run(RetrieveRequest("10.5555/12345678"))
        assert (outcome.value.message, mine.is_closed) == ("library", False)
