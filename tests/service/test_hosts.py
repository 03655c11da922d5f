"""The names that the service answers to, and when it may be open to other machines; and the log of requests."""

import logging
import socket
from functools import partial
from pathlib import Path

import anyio
import httpx
import pytest
import uvicorn

from gofer_service import embedded, local_app, sample_library, serve, server
from gofer_service.hosts import Exposed, HostCheck, refuse_exposure
from gofer_service.settings import FetchSettings, JobSettings, LibrarySettings, Secret, ServeSettings, Settings, Tokens
from gofer_service.sources.chosen import Choice
from gofer_service.vpn import no_vpn

from .conftest import PAPER


async def answer(host: str | None, *names: str) -> int:
    """Give the status of a request with this Host; 204 is the answer of the application behind the check."""
    sent = []

    async def app(scope: object, receive: object, send: object) -> None:
        sent.append(204)

    async def send(message: dict[str, object]) -> None:
        sent.extend([message["status"]] if "status" in message else [])

    headers = [] if host is None else [(b"host", host.encode("latin-1"))]
    await HostCheck(app, names)({"type": "http", "headers": headers}, None, send)  # type: ignore[arg-type]
    return sent[0]


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8000",
        "localhost.",
        "127.0.0.1",
        "127.0.0.1:8000",
        "192.0.2.7:80",
        "[::1]",
        "[2001:db8::1]:8000",
        "papers.example.org",
        "Papers.Example.org:8000",
        None,
    ],
)
def test_its_own_names_and_addresses_are_answered(host: str | None) -> None:
    """localhost, literal addresses and the allowed names are answered, with or without a port; so is no Host at all."""
    assert anyio.run(answer, host, "papers.example.org") == 204


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "papers.example.org.evil.example",
        "evil.example#localhost",
        "localhost@evil.example",
        "localhost:8000@evil.example",
        "[::1].evil.example",
        "[::1]:x",
        "0x7f.1",
        "\xff",
    ],
)
def test_a_name_that_is_not_its_own_is_refused(host: str) -> None:
    """A page that has its own name lead to this machine gets no answer, whatever the name looks like."""
    assert anyio.run(answer, host, "papers.example.org") == 400


def test_a_running_service_checks_the_host() -> None:
    """The check is in front of all routes of a service that listens, and the refusal says how to allow a name."""
    with embedded() as url:
        for path in ("/health", "/jobs", "/openapi.json"):
            reply = httpx.get(url + path, headers={"Host": "evil.example"})
            assert (reply.status_code, reply.json()["error_code"]) == (400, "VALIDATION_ERROR")
            assert "'evil.example'" in reply.json()["detail"]
            assert "--allow-host" in reply.json()["detail"]
        assert httpx.get(f"{url}/jobs", headers={"Host": "localhost:1"}).status_code == 200


def test_the_host_is_not_checked_within_the_process(tmp_path: Path) -> None:
    """An application that is called through ASGI answers to any name."""
    app = local_app(sample_library(), tmp_path)

    async def ask() -> int:
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service.test") as client,
        ):
            return (await client.get("/jobs")).status_code

    assert anyio.run(ask) == 200


@pytest.mark.parametrize(
    ("address", "token", "open_to_all"),
    [
        ("127.0.0.1", None, False),
        ("::1", None, False),
        ("127.8.8.8", None, False),
        ("0.0.0.0", "t", False),
        ("::", None, True),
    ],
)
def test_loopback_a_token_or_a_decision_is_needed(address: str, token: str | None, open_to_all: bool) -> None:
    """The service starts on loopback, with a token, or if it is meant to be open."""
    refuse_exposure(address, token=token, open_to_all=open_to_all)


@pytest.mark.parametrize("address", ["0.0.0.0", "192.0.2.7", "::", "fe80::1%eth0"])
def test_it_is_not_open_by_accident(address: str) -> None:
    """Beyond loopback and without a token it does not start, and says what to do."""
    with pytest.raises(Exposed, match=r"SERVICE_TOKEN or serve\.token_file, or pass --open"):
        refuse_exposure(address, token=None, open_to_all=False)


def test_serve_refuses_before_it_makes_anything(tmp_path: Path) -> None:
    """serve() on all addresses needs a token or the permission, and else leaves nothing behind."""
    with pytest.raises(Exposed):
        serve(Settings(jobs=JobSettings(data=tmp_path / "data"), serve=ServeSettings(host="0.0.0.0", port=0)))
    assert not (tmp_path / "data").exists()


def test_the_settings_reach_the_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """serve() passes each setting on to the part that it is for."""
    seen: dict[str, object] = {}

    def run(function: object, *_: object) -> None:
        seen.update(function.keywords)  # type: ignore[attr-defined]

    def app(library: Path, data: Path, **options: object) -> None:
        seen.update(options, library=library, data=data)

    monkeypatch.setattr(server.anyio, "run", run)
    monkeypatch.setattr(server, "local_app", app)
    monkeypatch.setattr(server, "print_lines", lambda: None)
    monkeypatch.setattr(socket.socket, "bind", lambda *_: None)
    jobs = JobSettings(data=tmp_path / "data", concurrency=2, max_pending=3, retention=5.0)
    who = ServeSettings(
        host="localhost",
        token_file=Secret("t", ""),
        tokens_file=Tokens("ann:a", ""),
        allow_hosts=("papers",),
        log_requests=True,
    )
    monkeypatch.setattr(server, "chosen", lambda *_: [Choice("library")])
    fetch = FetchSettings(gap=2.0)
    library = LibrarySettings(folder=tmp_path)
    serve(Settings("me@example.org", library=library, fetch=fetch, jobs=jobs, serve=who))
    assert seen == {
        "names": ["localhost", "papers"],
        "log_requests": True,
        "library": tmp_path,
        "data": tmp_path / "data",
        "token": "t",
        "tokens": (("ann", "a"),),
        "concurrency": 2,
        "max_pending": 3,
        "retention": 5.0,
        "choices": [Choice("library")],
        "fetch": FetchSettings(gap=2.0),
        "contact": "me@example.org",
        "vpn": no_vpn,
    }


def test_requests_are_logged_without_secrets(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A line has the caller, the method, the path as it came and the status; no query, no header, no line break."""
    app = local_app(sample_library(), tmp_path, token="t0ken")

    async def ask(url: str) -> None:
        async with httpx.AsyncClient(base_url=url) as client:
            await client.get("/jobs/a%0Ab?secret=query", headers={"Authorization": "Bearer t0ken"})

    async def main() -> None:
        servers: list[uvicorn.Server] = []
        with server._listen("127.0.0.1", 0) as listener:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(partial(server._run, log_requests=True), app, listener, servers.append)
                await ask(server._url(listener))
                servers[0].should_exit = True

    with caplog.at_level(logging.INFO, logger="gofer_service.requests"):
        anyio.run(main)
    (line,) = [record.getMessage() for record in caplog.records if record.name == "gofer_service.requests"]
    assert line.startswith("127.0.0.1 GET /jobs/a%0Ab 404 ")
    assert "t0ken" not in line
    assert PAPER not in line
