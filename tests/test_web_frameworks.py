"""The recipe for web frameworks, run as the page has it: in uvicorn, with a real client that disconnects."""

import re
import socket
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import uvicorn

from contract_server import contract_server

PAGE = (Path(__file__).parents[1] / "docs" / "howto" / "async-services.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("\n## Cancel the job if your user goes away\n")[2].partition("\n## ")[0]
RECIPE, *APPS = re.findall(r"^```python\n(.*?)^```$", SECTION, re.DOTALL | re.MULTILINE)
FRAMEWORKS = dict(zip(("Starlette", "FastAPI"), APPS, strict=True))
LIMIT = 30.0
"""Seconds after which a test gives up."""


@contextmanager
def served(app: Any) -> Generator[str]:
    """Run an application in uvicorn; yield its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=5))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        wait_until(lambda: server.started)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def wait_until(happened: Callable[[], object]) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + LIMIT
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(params=FRAMEWORKS)
def app(request: pytest.FixtureRequest) -> Any:
    """The application of the page, in each framework."""
    names: dict[str, Any] = {}
    exec(compile(RECIPE, "async-services.md", "exec"), names)
    exec(compile(FRAMEWORKS[request.param], "async-services.md", "exec"), names)
    return names["app"]


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Generator[str]:
    """The service that the application's client finds by the environment; it writes into an empty folder."""
    monkeypatch.chdir(tmp_path)
    with contract_server() as url:
        monkeypatch.setenv("SERVICE_HOST", urlsplit(url).hostname or "")
        monkeypatch.setenv("SERVICE_PORT", str(urlsplit(url).port))
        yield url


def job(service: str) -> dict[str, Any]:
    """Return the service's only job; an empty one before it is submitted."""
    jobs = httpx.get(f"{service}/jobs").json()["jobs"]
    assert len(jobs) <= 1
    return jobs[0] if jobs else {}


def test_a_user_who_goes_away_cancels_the_job(app: Any, service: str, caplog: pytest.LogCaptureFixture) -> None:
    """When the client disconnects, the job is cancelled at the service, and the server logs no error."""
    with served(app) as url:
        place = urlsplit(url)
        with socket.create_connection((place.hostname, place.port)) as client:
            client.sendall(b"GET /papers/10.5555/cancelme HTTP/1.1\r\nHost: papers\r\n\r\n")
            wait_until(lambda: job(service))
            assert job(service)["status"] != "failed"
        wait_until(lambda: job(service).get("error_code") == "CANCELLED")
        assert httpx.get(f"{url}/papers/10.5555/quick", timeout=LIMIT).status_code == 200  # the client still works
    assert caplog.records == []


def test_a_user_who_stays_gets_the_paper_or_the_error(app: Any, service: str) -> None:
    """The recipe changes nothing for others: results and errors of the call come out as they are."""
    with served(app) as url:
        found = httpx.get(f"{url}/papers/10.5555/quick", timeout=LIMIT)
        missing = httpx.get(f"{url}/papers/10.5555/notfound", timeout=LIMIT)
    assert (found.status_code, found.content[:5]) == (200, b"%PDF-")
    assert missing.status_code == 404
    assert "no source has 10.5555/notfound" in missing.text
