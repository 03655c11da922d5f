"""The blocking face keeps its total timeout on every socket of httpx and httpx2, also with a borrowed client.

The service drips: it sends a small piece at a time, for much longer than a call may take. A test passes if the service
could not send all its pieces, because gofer closed the connection.
"""

import contextlib
import socket
import ssl
import threading
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import httpx2
import pytest
import trustme
from tenacity.stop import stop_after_attempt
from tenacity.wait import wait_fixed

from gofer import OutOfTime, RetrieveClient, Unreachable
from gofer.core.policies import Retry
from gofer.transports import deadline
from gofer.transports.httpx_io import HttpxIO
from gofer.wire import Request
from support.raw_server import Call, http, raw_server

ONCE = Retry(wait_fixed(0), stop_after_attempt(1))
PIECES, PAUSE, TIMEOUT = 1200, 0.05, 1.5

families = pytest.mark.parametrize("family", [httpx, httpx2], ids=["httpx", "httpx2"])
parts = pytest.mark.parametrize("part", ["head", "body"])


class Drip:
    """A service that drips the head or the body of its reply; `sent` counts the pieces that it could send."""

    def __init__(self, part: str) -> None:
        self.sent = 0
        self._begin, self._piece = {
            "head": (b"HTTP/1.1 200 OK\r\n", b"x-more: 1\r\n"),
            "body": (http(200, content_type="application/json", content_length="1000"), b" "),
        }[part]

    def __call__(self, _: Call | None = None) -> Iterator[bytes | float]:
        """Answer one request."""
        yield self._begin
        for self.sent in range(1, PIECES + 1):
            yield self._piece
            yield PAUSE

    def outlives(self, url: str, **options: Any) -> bool:
        """Poll a job until the call is out of time; return whether the service sent all its pieces."""
        with RetrieveClient(base_url=url, patience=ONCE, **options) as client, pytest.raises(OutOfTime):
            client.job("j1").wait(TIMEOUT)
        return not 0 < self.sent < PIECES


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the proxies of the machine that runs the tests."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@parts
def test_gofers_own_client_keeps_the_timeout(part: str) -> None:
    """A reply that drips ends with the timeout of the call."""
    drip = Drip(part)
    with raw_server(drip) as server:
        assert not drip.outlives(server.url)


@families
@parts
def test_a_borrowed_client_keeps_the_timeout(family: ModuleType, part: str) -> None:
    """The timeout of a call holds with an httpx or httpx2 client of the caller's."""
    drip = Drip(part)
    with raw_server(drip) as server, family.Client() as mine:
        assert not drip.outlives(server.url, http_client=mine)


@parts
def test_a_transport_of_any_class_keeps_the_timeout(part: str) -> None:
    """The timeout holds with a transport that wraps httpx's, as one with retries or a cache does."""

    class Wrapper(httpx.BaseTransport):
        def __init__(self) -> None:
            self._inner = httpx.HTTPTransport()

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            return self._inner.handle_request(request)

        def close(self) -> None:
            self._inner.close()

    drip = Drip(part)
    with raw_server(drip) as server:
        assert not drip.outlives(server.url, transport=Wrapper())


@families
def test_a_connection_that_was_open_already_keeps_the_timeout(family: ModuleType) -> None:
    """A body ends in time, also on a connection that the caller's own request opened."""
    drip = Drip("body")
    mine = family.Client()
    with kept_alive([[b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"], drip()]) as url, mine:
        mine.get(url)
        assert not drip.outlives(url, http_client=mine)


@parts
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
def test_a_proxy_of_the_environment_keeps_the_timeout(
    variable: str, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The timeout holds through a proxy that forwards requests."""
    drip = Drip(part)
    with raw_server(drip) as proxy:
        monkeypatch.setenv(variable, proxy.url)
        assert not drip.outlives("http://service.test")
    assert [call.path for call in proxy.calls] == ["http://service.test/jobs/j1"]


@parts
def test_a_tunnel_through_a_proxy_keeps_the_timeout(part: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The timeout holds for TLS inside a tunnel."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    drip = Drip(part)
    with raw_server(drip, context) as server, tunnel() as (proxy, targets):
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        assert not drip.outlives(server.url)
        assert [f"https://{target}" for target in targets] == [server.url]


@families
def test_connecting_is_limited_to_the_time_that_is_left(family: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection attempt gets no longer timeout than the time that is left."""
    timeouts: list[float] = []

    def refuse(_: object, timeout: float, **__: object) -> None:
        timeouts.append(timeout)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", refuse)
    with family.Client() as mine, deadline.within(1), pytest.raises(Unreachable):
        HttpxIO(client=mine).open(Request("GET", "http://127.0.0.1:1"), timeout=30, stall=30)
    assert [timeout <= 1 for timeout in timeouts] == [True]


def test_other_threads_are_not_limited() -> None:
    """The owner of a borrowed client reads from gofer's connections for as long as the client's own timeouts allow."""
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"
    mine = httpx.Client(timeout=30)
    with mine, kept_alive([[head, b"{}"], [head, 0.2, b"{}"]]) as url, ThreadPoolExecutor() as threads:
        _, body = HttpxIO(client=mine).open(Request("GET", url), timeout=30, stall=30)
        assert b"".join(body.chunks()) == b"{}"
        body.close()
        with deadline.within(0):
            assert threads.submit(mine.get, url).result().text == "{}"


def test_a_socket_that_cannot_be_limited_is_warned_of_once() -> None:
    """A transport with sockets of another kind cannot keep the total timeout; one warning says what to do."""

    class Sealed:
        """Stands for a class that Python code cannot subclass."""

        def __init_subclass__(cls) -> None:
            raise TypeError

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"job_id": "j1", "status": "queued"}, extensions={"network_stream": Sealed()})

    with RetrieveClient(transport=httpx.MockTransport(answer)) as client:
        with pytest.warns(RuntimeWarning, match=r"deadline on .*Sealed.* timeout=\. Use a transport of httpx"):
            client.get_job_status("j1")
        client.get_job_status("j1")  # pytest makes a second warning an error


@contextlib.contextmanager
def kept_alive(replies: Iterable[Iterable[bytes | float]]) -> Generator[str]:
    """Take one connection and answer its requests one after the other; yield the address."""
    closing = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            for reply in replies:
                connection.recv(65536)
                for piece in reply:
                    if isinstance(piece, bytes):
                        connection.sendall(piece)
                    else:
                        closing.wait(piece)

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor() as threads:
        listener.settimeout(60)  # a test that fails before it connects must not hang
        threads.submit(serve)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            closing.set()


@contextlib.contextmanager
def tunnel() -> Generator[tuple[str, list[str]]]:
    """Run a proxy that opens one tunnel; yield its address and the list of what it was asked to connect to."""
    targets: list[str] = []

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)

    def serve() -> None:
        caller, _ = listener.accept()
        target = caller.recv(65536).split()[1].decode()
        targets.append(target)
        host, _, port = target.partition(":")
        with caller, socket.create_connection((host, int(port))) as service:
            caller.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            back = threads.submit(pump, service, caller)
            pump(caller, service)
            back.result()

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor() as threads:
        listener.settimeout(60)  # a test that fails before it connects must not hang
        threads.submit(serve)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", targets


@pytest.mark.parametrize(
    ("seconds", "own", "least", "most"),
    [(None, 5.0, 5.0, 5.0), (60, 5.0, 5.0, 5.0), (60, 90.0, 30.0, 60.0), (60, None, 30.0, 60.0), (-1, 5.0, 0.0, 1.0)],
)
def test_the_earlier_of_two_deadlines_holds(
    seconds: float | None, own: float | None, least: float, most: float
) -> None:
    """A deadline shortens a socket's own timeout and never extends it; without one, a client keeps its own."""
    info = {"timeout": own}
    with contextlib.nullcontext() if seconds is None else deadline.within(seconds):
        deadline.trace("connect_tcp.started", info)
    assert least <= info["timeout"] <= most


def test_without_any_deadline_a_socket_waits_as_it_did() -> None:
    """Also after a call of gofer's that had one."""
    info = {"timeout": None}
    with deadline.within(60), deadline.within(1):
        pass
    deadline.trace("connect_tcp.started", info)
    assert info == {"timeout": None}
