"""`transport=` with the real service behind it: an ASGI application in the test's own process, without a socket."""

from pathlib import Path

import httpx
import pytest

from gofer import AsyncRetrieveClient
from gofer_service import local_app, sample_library


@pytest.mark.anyio
async def test_an_errand_to_the_service_in_the_same_process(tmp_path: Path) -> None:
    """The test runs the lifespan, because httpx does not; the service then works as behind a port."""
    app = local_app(sample_library(), tmp_path / "data")
    async with (
        app.router.lifespan_context(app),
        AsyncRetrieveClient(transport=httpx.ASGITransport(app)) as client,
    ):
        path, job = await client.retrieve_and_download("10.5555/12345678", tmp_path / "paper.pdf")
    assert (job.status, job.file_size) == ("completed", Path(path).stat().st_size)
