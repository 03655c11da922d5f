"""Limits for connections: callers that send nothing, too slowly, or do not read; and too many of them."""

import logging
import resource
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import anyio
import h11
import httpx
import pytest

from gofer_service import connections, embedded, running
from gofer_service.engine import Result, Run

from .conftest import assemble, finish

SHORT = {h11.IDLE: 0.3, h11.SEND_BODY: 0.3}
POST = b"POST /retrieve HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"


async def linger(_: Run) -> Result:
    """Work for ever."""
    await anyio.sleep_forever()
    raise AssertionError


@contextmanager
def connected(url: str) -> Generator[socket.socket]:
    """Open a connection to the service."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as caller:
        yield caller


def received(caller: socket.socket) -> bytes:
    """Read until the service closes the connection; a time-out fails the test."""
    data = b""
    try:
        while chunk := caller.recv(65536):
            data += chunk
    except ConnectionResetError:
        pass
    return data


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the time for heads and bodies."""
    monkeypatch.setattr(connections, "SECONDS", SHORT)


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET / HT", b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: ", POST + b'{"doi": '],
)
def test_a_request_that_does_not_arrive_is_given_up(short: None, sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """A connection is closed when its head or its body is not complete in time, and the log has no exception."""
    with embedded() as url, caplog.at_level(logging.WARNING), connected(url) as caller:
        caller.sendall(sent)
        assert received(caller) == b""
        assert httpx.get(f"{url}/health").status_code == 200
    assert not caplog.records


def test_a_head_that_drips_is_given_up(short: None) -> None:
    """The time for a head does not start again with each byte, and not on a connection that had a request before."""
    with embedded() as url, connected(url) as caller:
        caller.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert caller.recv(65536).startswith(b"HTTP/1.1 200")
        caller.settimeout(0.05)
        with pytest.raises(OSError, match=r"Broken pipe|reset"):  # noqa: PT012 - any of these may fail
            for _ in range(400):
                caller.sendall(b"X")
                try:
                    if caller.recv(1000) == b"":
                        raise ConnectionResetError("reset")
                except TimeoutError:
                    pass


def test_a_held_request_may_last_longer(short: None, tmp_path: Path) -> None:
    """The limits are for what the caller sends: a poll that has arrived is held for as long as it asks."""
    with running(assemble(tmp_path, linger)) as url, httpx.Client(base_url=url) as http:
        location = http.post("/retrieve", json={"doi": "10.5555/x"}).headers["location"]
        reply = http.get(location, headers={"Prefer": "wait=1"}, timeout=20)
    assert reply.headers["preference-applied"] == "wait=1"


def test_a_caller_that_does_not_read_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reply that nobody reads does not keep its connection and its file open."""
    monkeypatch.setattr(connections, "READ_SECONDS", 0.3)
    library = tmp_path / "library"
    library.mkdir()
    size = 64_000_000
    with (library / "10.5555_large.xml").open("wb") as file:
        file.write(b"<article><body>")
        file.truncate(size)
    with embedded(library) as url, httpx.Client(base_url=url, timeout=60) as http:
        job = finish(http, "10.5555/large")
        with connected(url) as caller:
            caller.sendall(f"GET /jobs/{job['job_id']}/file HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert caller.recv(12) == b"HTTP/1.1 200"
            anyio.run(anyio.sleep, 1.5)
            assert len(received(caller)) < size
        whole = http.get(f"/jobs/{job['job_id']}/file")
        assert len(whole.content) == size


@pytest.mark.parametrize("sent", [b"", POST])
def test_idle_connections_lock_nobody_out(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    """With more silent connections than there may be, a request is answered at once: the oldest of them is closed."""
    monkeypatch.setattr(connections, "max_connections", lambda: 20)
    with embedded() as url, ExitStack() as stack:
        callers = [stack.enter_context(connected(url)) for _ in range(40)]
        for caller in callers:
            caller.sendall(sent)
        assert httpx.get(f"{url}/health", timeout=5).status_code == 200
        assert received(callers[0]) == b""


def test_beyond_the_limit_a_connection_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If all connections have a request that is being worked on, a new one is answered 503 with Retry-After."""
    monkeypatch.setattr(connections, "max_connections", lambda: 3)
    app = assemble(tmp_path, linger)
    held = threading.Semaphore(0)

    async def wait(*_: Any) -> None:
        held.release()
        await anyio.sleep_forever()

    monkeypatch.setattr(app.state.engine, "wait", wait)
    with running(app) as url:
        with ExitStack() as stack:
            for _ in range(3):
                poll = b"GET /jobs/x HTTP/1.1\r\nHost: localhost\r\nPrefer: wait=20\r\n\r\n"
                stack.enter_context(connected(url)).sendall(poll)
                assert held.acquire(timeout=20)
            assert _status(url) == 503
        # The service notices a moment later that the callers have gone.
        assert any(_status(url) == 200 for _ in range(100))


def _status(url: str) -> int:
    with connected(url) as caller:
        caller.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = received(caller)
    assert b" 200 " in answer or b"Retry-After: 5\r\n" in answer
    return int(answer.split()[1])


def test_the_limit_is_below_that_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some descriptors are left for files and records, also where the process has no limit."""
    read: Callable[[int], tuple[int, int]] = lambda _: (1024, 4096)  # noqa: E731
    monkeypatch.setattr(resource, "getrlimit", read)
    assert connections.max_connections() == 768
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert connections.max_connections() == 10_000
