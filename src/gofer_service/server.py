"""Running the service: the parts for one machine put together, and a socket to listen on."""

import signal
import socket
import sys
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from email.utils import formatdate
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gofer_service.app import create_app
from gofer_service.engine import Clock
from gofer_service.health import Health, local_probes
from gofer_service.local_engine import LocalEngine
from gofer_service.retrieval import Retrieval
from gofer_service.sources.library import Library
from gofer_service.store import FolderStore
from gofer_service.vpn import VpnWatch, no_vpn

GRACE: Final = 3
"""Seconds that replies under way get when the service stops."""


def sample_library() -> Path:
    """Give the folder of sample papers that comes with the service."""
    return Path(__file__).parent / "sample_library"


def local_app(
    library: Path,
    data: Path,
    *,
    token: str | None = None,
    concurrency: int = 4,
    max_pending: int = 1000,
    retention: float = 86400.0,
    vpn: VpnWatch = no_vpn,
) -> Starlette:
    """Build the service for one machine.

    Args:
        library: the folder of papers.
        data: a folder for records and results, which is created.
        token: the bearer token that job requests must carry; None asks for none.
        concurrency: how many jobs run at the same time.
        max_pending: how many may wait; more are answered 429.
        retention: seconds for which an ended job keeps its file.
        vpn: gives the state of the VPN.
    """
    engine = LocalEngine(data / "jobs.sqlite3", concurrency=concurrency, max_pending=max_pending, retention=retention)
    store = FolderStore(data / "files")
    body = Retrieval([Library(library)], store, vpn)
    health = Health(local_probes(library, data, engine), vpn=vpn)
    return create_app(engine=engine, store=store, body=body, health=health, token=token)


def _announce(url: str) -> None:
    print(f"gofer service on {url}", file=sys.stderr, flush=True)


def serve(
    host: str = "127.0.0.1",
    port: int = 8000,
    *,
    library: Path,
    data: Path,
    token: str | None = None,
    max_pending: int = 1000,
    announce: Callable[[str], object] = _announce,
) -> None:
    """Serve until SIGINT or SIGTERM; port 0 takes a free one. When it is ready, ``announce`` gets its URL.

    Held requests are answered then, and running jobs go back to the queue for the next start.

    Raises:
        EngineLocked: another service uses ``data``.
        OSError: the address cannot be listened on.
    """
    app = local_app(library, data, token=token, max_pending=max_pending)
    with _listen(host, port) as listener:

        def ready(_: uvicorn.Server) -> None:
            announce(_url(listener))

        anyio.run(_run, app, listener, ready)


@contextmanager
def running(app: Starlette, port: int = 0) -> Generator[str]:
    """Run an application of `create_app` in a thread on a loopback port (0: a free one), and give its URL."""
    ready: Future[uvicorn.Server] = Future()

    def work() -> None:
        try:
            anyio.run(_run, app, listener, ready.set_result)
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(error)

    with _listen("127.0.0.1", port) as listener:
        thread = threading.Thread(target=work, name="gofer-service", daemon=True)
        thread.start()
        server = ready.result()
        try:
            yield _url(listener)
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def embedded(library: Path | None = None, *, data: Path | None = None, token: str | None = None) -> Generator[str]:
    """Run the service in a thread on a free loopback port, and give its URL.

    Args:
        library: the folder of papers; the sample library if None.
        data: a folder for records and results; a temporary one if None.
        token: the bearer token that job requests must carry; None asks for none.
    """
    with ExitStack() as stack:
        folder = data or Path(stack.enter_context(TemporaryDirectory(prefix="gofer-")))
        yield stack.enter_context(running(local_app(library or sample_library(), folder, token=token)))


class _Server(uvicorn.Server):
    """uvicorn, told to answer held requests before it waits for connections to end."""

    def __init__(self, config: uvicorn.Config, closing: anyio.Event) -> None:
        super().__init__(config)
        self._closing = closing

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let held requests go, then stop."""
        self._closing.set()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Stop on a signal, and do not raise it again: the engine has to close after the server."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        former = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)


async def _run(app: Starlette, listener: socket.socket, ready: Callable[[uvicorn.Server], object]) -> None:
    # The lifespan is entered here and not by uvicorn, so that its errors reach the caller as they are.
    async with app.router.lifespan_context(app):
        config = uvicorn.Config(
            _dated(app, app.state.clock),
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=GRACE,
            server_header=False,
            date_header=False,
        )
        server = _Server(config, app.state.closing)
        ready(server)
        await server.serve(sockets=[listener])


def _dated(app: ASGIApp, clock: Clock) -> ASGIApp:
    """Put ``Date`` on every reply by the application's own clock, which Retry-After and the records go by as well."""

    async def dated(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                date = formatdate(clock(), usegmt=True).encode()
                message = {**message, "headers": [*message["headers"], (b"date", date)]}
            await send(message)

        await app(scope, receive, send_dated)

    return dated


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio turns Nagle's delay off (40 ms a reply) only where it reads TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
