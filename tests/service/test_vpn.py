"""The watch over the VPN: what it asks, what makes the VPN up or down, and what callers see of it."""

import errno
import socket
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from tests.scholarly_web import ScholarlyWeb, scholarly_web
from tests.scholarly_web.resources import Resource, answer, document, file, page, pdf, redirect, stream, when

from gofer import RetrieveClient
from gofer_service import vpn as module
from gofer_service.settings import VpnSettings
from gofer_service.vpn import TunnelWatch, Vpn

from .conftest import finish
from .papers import flaws, service, settings_for

pytestmark = pytest.mark.anyio
DOI = "10.5555/vpn"
OURS = "192.0.2.7"


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, as uvicorn does."""
    return "asyncio"


@pytest.fixture
def web() -> Generator[ScholarlyWeb]:
    """Run the stand-in web."""
    with scholarly_web() as running:
        yield running


def text(words: str) -> Resource:
    """Send plain text."""
    return file(words.encode(), "text/plain")


def settings(web: ScholarlyWeb, resource: Resource, **changes: Any) -> VpnSettings:
    """Return settings whose probe answers like this."""
    usual = VpnSettings(web.at("ip", resource), (OURS, "2001:db8::/32"), timeout=20.0, every=0.1)
    return evolve(usual, **changes)


@pytest.mark.parametrize(
    ("resource", "ip", "connected"),
    [
        (text(OURS), OURS, True),
        (text(f" {OURS}\n"), OURS, True),
        (document({"country": "XX", "ip": OURS}), OURS, True),
        (text("2001:db8::5"), "2001:db8::5", True),
        (text("198.51.100.9"), "198.51.100.9", False),
        (text("::ffff:192.0.2.7"), OURS, True),
        (text("hello"), None, False),
        (text(""), None, False),
        (document({"ip": None}), None, False),
        (document([OURS]), None, False),
        (page("<html>Log in", 200), None, False),
        (answer(404), None, False),
        (answer(500), None, False),
        (redirect("/elsewhere"), None, False),
        (stream(b"1"), None, False),
        (file(b"{" * 4000, "application/json"), None, False),
    ],
)
async def test_what_the_probe_says(web: ScholarlyWeb, resource: Resource, ip: str | None, connected: bool) -> None:
    """The VPN is up only while the probe names one of our addresses; what it names is told, right or wrong."""
    watch = TunnelWatch(settings(web, resource))
    assert watch() == Vpn(configured=True)
    await watch.look()
    assert watch() == Vpn(configured=True, connected=connected, ip=ip)
    assert watch.signals()["exit"].good is connected


async def test_a_probe_without_an_answer(web: ScholarlyWeb) -> None:
    """Nobody at the address, and an answer that does not come in time, are one failed probe each, and enough."""
    watch = TunnelWatch(settings(web, text(OURS)))
    await watch.look()
    assert watch().connected
    hanging = TunnelWatch(settings(web, when(threading.Event(), text(OURS)), timeout=0.5))
    await hanging.look()
    assert (hanging().connected, hanging.signals()["exit"].words) == (False, "no answer within 0.5 s")
    nobody = TunnelWatch(settings(web, text(OURS), probe="http://127.0.0.1:9/"))
    await nobody.look()
    assert (nobody().connected, "ConnectError" in nobody.signals()["exit"].words) == (False, True)


async def test_each_probe_has_a_connection_of_its_own(web: ScholarlyWeb) -> None:
    """A connection from before would outlive its tunnel, so none is kept."""
    watch = TunnelWatch(settings(web, text(OURS)))
    for _ in range(3):
        await watch.look()
    assert [one.headers["connection"] for one in web.asked] == ["close"] * 3


async def test_a_finding_that_is_old_counts_no_more(web: ScholarlyWeb, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the watch itself stands still, the VPN counts as down after three intervals."""
    watch = TunnelWatch(settings(web, text(OURS), every=5.0, timeout=2.0))
    await watch.look()
    now = time.monotonic()
    monkeypatch.setattr(module.time, "monotonic", lambda: now + 16)
    assert watch().connected
    monkeypatch.setattr(module.time, "monotonic", lambda: now + 18)
    assert not watch().connected


async def test_an_interface_that_is_gone(web: ScholarlyWeb, monkeypatch: pytest.MonkeyPatch) -> None:
    """The VPN is down the moment that the interface is gone, before the next look."""
    watch = TunnelWatch(settings(web, text(OURS), interface="lo"))
    await watch.look()
    assert watch().connected
    monkeypatch.setattr(module.socket, "if_nametoindex", lambda _: (_ for _ in ()).throw(OSError()))
    assert not watch().connected
    assert watch.signals()["interface"].words == "there is no interface lo"


@contextmanager
def control_socket(folder: Path, said: str) -> Iterator[None]:
    """Be the control socket of an interface ``lo``."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "lo.sock"))
        listener.listen()

        def serve() -> None:
            peer, _ = listener.accept()
            with peer:
                assert peer.recv(100) == b"get=1\n\n"
                peer.sendall(said.encode())

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()


@pytest.mark.parametrize(("ages", "connected"), [((10,), True), ((120,), True), ((200,), False), ((900, 20), True)])
async def test_the_age_of_the_last_handshake(
    web: ScholarlyWeb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ages: tuple[int, ...], connected: bool
) -> None:
    """A handshake of more than three minutes ago is a tunnel that is dead, whatever the probe says."""
    monkeypatch.setattr(module, "SOCKETS", tmp_path)
    lines = "".join(f"public_key=00\nlast_handshake_time_sec={int(time.time()) - age}\n" for age in ages)
    watch = TunnelWatch(settings(web, text(OURS), interface="lo"))
    with control_socket(tmp_path, f"private_key=00\n{lines}errno=0\n\n"):
        await watch.look()
    assert (watch().connected, watch.signals()["handshake"].good) == (connected, connected)


async def test_a_control_socket_that_cannot_be_read_is_no_signal(web: ScholarlyWeb, tmp_path: Path) -> None:
    """Without the right to read it, and with the kernel's WireGuard, there is no such signal, and the probe decides."""
    watch = TunnelWatch(settings(web, text(OURS), interface="lo"))
    await watch.look()
    assert ("handshake" in watch.signals(), watch().connected) == (False, True)


def test_callers_see_the_vpn(tmp_path: Path, web: ScholarlyWeb) -> None:
    """/health tells the state, the address and each signal; a tunnel that heals is used without a restart."""
    web.crossref(DOI, (web.at("pub/a.pdf", pdf()), "application/pdf", "text-mining"))
    watch = TunnelWatch(settings(web, text("198.51.100.9")))
    with service(tmp_path, settings_for(web), vpn_watch=watch, allow=[web.host]) as http:
        client = RetrieveClient(base_url=str(http.base_url))
        with client:
            wait_until(lambda: http.get("/health").json()["vpn_ip"] == "198.51.100.9")
            health = http.get("/health").json()
            assert (health["status"], health["vpn_connected"], client.health_check()) == ("degraded", False, False)
            (check,) = health["checks"]["vpn:exit"]
            assert check["status"] == "warn"
            assert "198.51.100.9" in check["output"]
            assert check["time"].endswith("Z")
            job = finish(http, DOI)
            assert (job["error_code"], ("crossref", "VPN_DOWN") in flaws(job)) == ("NOT_FOUND", True)
            web.at("ip", text(OURS))
            wait_until(lambda: client.health_check())
            status = client.get_health_status()
            assert status is not None
            assert (status.vpn_connected, status.vpn_ip) == (True, OURS)
            assert finish(http, DOI)["source"] == "crossref"


def wait_until(condition: Any) -> None:
    """Wait for something that another thread does."""
    for _ in range(12_000):
        if condition():
            return
        threading.Event().wait(0.005)
    raise AssertionError


@pytest.mark.parametrize("number", [errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ECONNREFUSED])
@pytest.mark.parametrize("name", ["crossref", "unpaywall"])
def test_a_network_that_refuses_at_once(
    tmp_path: Path, web: ScholarlyWeb, monkeypatch: pytest.MonkeyPatch, number: int, name: str
) -> None:
    """Where the network refuses a source that needs the VPN, the VPN is down, whatever the last look said."""
    connect = socket.socket.connect

    def refuse(self: socket.socket, address: Any) -> None:
        if address[1] == 81:
            raise OSError(number, "refused")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", refuse)
    nowhere = ScholarlyWeb("127.0.0.1:81")
    usual, cut = settings_for(web, [name]), settings_for(nowhere, [name])
    with service(tmp_path, evolve(usual, sources=cut.sources)) as http:
        job = finish(http, DOI)
    down = name == "crossref" and number != errno.ECONNREFUSED
    assert flaws(job) == [(name, "VPN_DOWN" if down else "SOURCE_DOWN")]
    assert job["error_code"] == ("VPN_ERROR" if down else "NOT_FOUND")
