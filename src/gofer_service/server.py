"""Running the service: the parts for one machine are put together, and a socket is opened."""

import signal
import socket
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from email.utils import formatdate
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gofer_service.app import create_app
from gofer_service.connections import BACKLOG, BoundedProtocol
from gofer_service.engine import Clock
from gofer_service.fetch.web import DEFAULTS, Fetcher
from gofer_service.health import Finding, Health, local_probes
from gofer_service.hosts import HostCheck, refuse_exposure
from gofer_service.local_engine import LocalEngine
from gofer_service.request_log import RequestLog, print_lines
from gofer_service.retrieval import Retrieval
from gofer_service.settings import FetchSettings, Settings, SourcesSettings
from gofer_service.sources.chosen import Choice, chosen
from gofer_service.sources.library import Library
from gofer_service.store import FolderStore
from gofer_service.vpn import TunnelWatch, Vpn, VpnWatch, no_vpn

SHUTDOWN_GRACE: Final = 3
"""Seconds for which the service waits, when it stops, for replies that it has begun to send."""


def sample_library() -> Path:
    """Return the folder of sample papers that comes with the service."""
    return Path(__file__).parent / "sample_library"


def local_app(
    library: Path,
    data: Path,
    *,
    choices: Sequence[Choice] | None = None,
    fetch: FetchSettings = DEFAULTS,
    contact: str | None = None,
    token: str | None = None,
    tokens: Sequence[tuple[str, str]] = (),
    concurrency: int = 4,
    max_pending: int = 1000,
    retention: float = 86400.0,
    vpn: VpnWatch = no_vpn,
) -> Starlette:
    """Build the service for one machine.

    Args:
        library: the folder of papers.
        data: a folder for records and results, which is created.
        choices: the sources; None means the library.
        fetch: the limits of requests to others.
        contact: how the owners of other hosts reach the operator.
        token: the bearer token that job requests must carry; None and no `tokens` means that they need none.
        tokens: names of callers and their tokens.
        concurrency: how many jobs run at the same time.
        max_pending: how many jobs may wait; more submissions are answered 429.
        retention: seconds for which an ended job keeps its file.
        vpn: returns the state of the VPN.
    """
    engine = LocalEngine(data / "jobs.sqlite3", concurrency=concurrency, max_pending=max_pending, retention=retention)
    store = FolderStore(data / "files")
    choices = [Choice("library", Library(library))] if choices is None else choices
    sources = [choice.source for choice in choices if choice.source is not None]
    fetcher = Fetcher(fetch, contact, sources)
    body = Retrieval(sources, store, data / "incoming", fetcher=fetcher, kept=engine.kept, vpn=vpn)
    watch = vpn if isinstance(vpn, TunnelWatch) else None

    def found() -> dict[str, Finding]:
        return source_findings(choices, fetcher, vpn()) | ({} if watch is None else vpn_findings(watch))

    health = Health(local_probes(library, data, engine), found=found, vpn=vpn)
    background = [] if watch is None else [watch.run]
    return create_app(
        engine=engine, store=store, body=body, health=health, token=token, tokens=tokens, background=background
    )


def source_findings(choices: Sequence[Choice], fetcher: Fetcher, vpn: Vpn) -> dict[str, Finding]:
    """Return a finding for each source: it is off, it refuses to answer, or some of its hosts are left alone."""
    findings: dict[str, Finding] = {}
    for choice in choices:
        hosts = fetcher.manners.left_alone(choice.name)
        finding = Finding("pass")
        if why := choice.unasked(vpn=vpn.configured):
            finding = Finding("not_configured", f"off: {why}")
        elif refusal := fetcher.refusals.get(choice.name):
            finding = Finding("warn", f"it refuses to answer ({refusal}): check its key or e-mail address")
        elif hosts:
            left = ", ".join(f"{host} for {seconds:.0f} s" for host, seconds in hosts.items())
            finding = Finding("warn", f"left alone after failures: {left}")
        findings[f"source:{choice.name}"] = finding
    return findings


def vpn_findings(watch: TunnelWatch) -> dict[str, Finding]:
    """Return a finding for each signal of the VPN, with its own time."""
    return {
        f"vpn:{name}": Finding("pass" if signal.good else "warn", signal.words, time=signal.time)
        for name, signal in watch.signals().items()
    }


def _announce(url: str) -> None:
    print(f"gofer service on {url}", file=sys.stderr, flush=True)


def serve(settings: Settings, *, announce: Callable[[str], object] = _announce) -> None:
    """Serve until SIGINT or SIGTERM. When the service stops, it answers held requests, and requeues running jobs.

    Args:
        settings: what to serve, where, and to whom.
        announce: gets the URL when the service is ready.

    Raises:
        EngineUnusable: another service uses the data folder, or its records cannot be used.
        Exposed: the service would be open to other machines without a token.
        OSError: the service cannot listen on the address.
    """
    options, jobs = settings.serve, settings.jobs
    if options.log_requests:
        print_lines()
    with _listen(options.host, options.port) as listener:
        refuse_exposure(listener.getsockname()[0], token=options.any_token, open_to_all=options.open)
        library = settings.library.folder or sample_library()
        choices = chosen(settings, library)
        if settings.sources != SourcesSettings():
            for choice in filter(lambda choice: choice.wanted, choices):
                why = choice.unasked(vpn=settings.vpn.probe is not None)
                print(f"source {choice.name}: {f'off, {why}' if why else 'on'}", file=sys.stderr)
        app = local_app(
            library,
            jobs.data,
            choices=choices,
            fetch=settings.fetch,
            contact=settings.contact,
            vpn=TunnelWatch(settings.vpn) if settings.vpn.probe else no_vpn,
            token=options.token,
            tokens=options.tokens,
            concurrency=jobs.concurrency,
            max_pending=jobs.max_pending,
            retention=jobs.retention,
        )

        def ready(_: uvicorn.Server) -> None:
            announce(_url(listener))

        names = [options.host, *options.allow_hosts]
        anyio.run(partial(_run, names=names, log_requests=options.log_requests), app, listener, ready)


@contextmanager
def running(app: Starlette, port: int = 0) -> Generator[str]:
    """Run an application of `create_app` in a thread on a loopback port (0: a free one), and return its URL."""
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
    """Run the service in a thread on a free loopback port, and return its URL.

    Args:
        library: the folder of papers; None means the sample library.
        data: a folder for records and results; None means a temporary one.
        token: the bearer token that job requests must carry; None means that they need no token.
    """
    with ExitStack() as stack:
        folder = data or Path(stack.enter_context(TemporaryDirectory(prefix="gofer-")))
        yield stack.enter_context(running(local_app(library or sample_library(), folder, token=token)))


class _Server(uvicorn.Server):
    """A uvicorn server that answers held requests before it waits for connections to close."""

    def __init__(self, config: uvicorn.Config, closing: anyio.Event) -> None:
        super().__init__(config)
        self._closing = closing

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Have held requests answered, then stop."""
        self._closing.set()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Stop on a signal without raising it again, because the engine has to close after the server."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        former = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)


async def _run(
    app: Starlette,
    listener: socket.socket,
    ready: Callable[[uvicorn.Server], object],
    *,
    names: Sequence[str] = (),
    log_requests: bool = False,
) -> None:
    # uvicorn does not run the lifespan, so that its errors reach the caller unchanged.
    async with app.router.lifespan_context(app):
        checked = _with_date(HostCheck(app, names), app.state.clock)
        config = uvicorn.Config(
            RequestLog(checked) if log_requests else checked,
            http=BoundedProtocol,
            ws="none",
            backlog=BACKLOG,
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=SHUTDOWN_GRACE,
            server_header=False,
            date_header=False,
        )
        server = _Server(config, app.state.closing)
        ready(server)
        await server.serve(sockets=[listener])


def _with_date(app: ASGIApp, clock: Clock) -> ASGIApp:
    """Add ``Date`` to every reply, by the clock of the application, which Retry-After and the records also use."""

    async def with_date(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_date(message: Message) -> None:
            if message["type"] == "http.response.start":
                date = formatdate(clock(), usegmt=True).encode()
                message = {**message, "headers": [*message["headers"], (b"date", date)]}
            await send(message)

        await app(scope, receive, send_with_date)

    return with_date


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio turns Nagle's algorithm off, which can delay a reply by 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
