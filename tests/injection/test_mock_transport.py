"""`transport=`, an httpx transport of your own: here a function answers in place of the service."""

from pathlib import Path

import httpx
import pytest

from gofer import AsyncRetrieveClient, JobFailed, RetrieveClient

PAPER = b"%PDF-1.7 a paper"


def service(request: httpx.Request) -> httpx.Response:
    """Complete every job at once; one paper is missing."""
    match request.method, request.url.path:
        case "POST", "/retrieve" if b"10.5555/missing" in request.content:
            return httpx.Response(200, json={"job_id": "1", "status": "failed", "error_code": "NOT_FOUND"})
        case "POST", "/retrieve":
            return httpx.Response(200, json={"job_id": "1", "status": "completed"})
        case "GET", "/jobs/1/file":
            return httpx.Response(200, content=PAPER)
        case _:
            return httpx.Response(404)


def test_blocking_calls_are_answered_by_a_function(tmp_path: Path) -> None:
    """A function replaces the service, without a server or a socket."""
    with RetrieveClient(transport=httpx.MockTransport(service)) as client:
        path, job = client.retrieve_and_download("10.5555/12345678", tmp_path / "paper.pdf")
    assert (Path(path).read_bytes(), job.status) == (PAPER, "completed")


@pytest.mark.anyio
async def test_awaited_calls_are_answered_by_the_same_function(tmp_path: Path) -> None:
    """The async client accepts the same transport."""
    async with AsyncRetrieveClient(transport=httpx.MockTransport(service)) as client:
        path, job = await client.retrieve_and_download("10.5555/12345678", tmp_path / "paper.pdf")
    assert (Path(path).read_bytes(), job.status) == (PAPER, "completed")


def test_a_missing_paper_raises_job_failed(tmp_path: Path) -> None:
    """A failed job raises JobFailed, so you can test what your code does then."""
    with (
        RetrieveClient(transport=httpx.MockTransport(service)) as client,
        pytest.raises(JobFailed, match="NOT_FOUND"),
    ):
        client.retrieve_and_download("10.5555/missing", tmp_path / "paper.pdf")
