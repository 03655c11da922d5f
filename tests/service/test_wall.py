"""The wall: addresses that a third party's link may not lead to, whatever they are written like."""

import ipaddress
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import anyio
import httpcore
import httpx
import pytest
import trustme

from gofer_service.fetch.wall import AddressRefused, Wall, WalledBackend, WalledTransport, allowed, is_public

pytestmark = pytest.mark.anyio

PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",
    "fe80::1",
    "fec0::1",
    "fd00:ec2::254",
    "ff02::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_addresses_that_are_not_public(address: str) -> None:
    """Loopback, private, link-local, multicast and metadata addresses are not public, in every form they have."""
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address", ["93.184.215.14", "2606:2800:21f:cb07::1", "::ffff:93.184.215.14", "64:ff9b::808:808"]
)
def test_addresses_that_are_public(address: str) -> None:
    """Addresses of the internet are public, also an IPv4 one inside of an IPv6 one."""
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        *(f"http://[{one}]/" if ":" in one else f"http://{one}/" for one in PRIVATE),
        "http://example.org:8080/",
        "http://example.org:22/",
        "http://user:secret@example.org/",
        "http://user@example.org/",
        "file:///etc/passwd",
        "gopher://example.org/",
        "http://",
        "//example.org/",
        "http://[::1/",
        "http://example.org:99999/",
    ],
)
def test_links_that_are_refused_as_they_are_written(url: str) -> None:
    """A private literal address, an unusual port, credentials and other schemes are refused, and no secret is shown."""
    with pytest.raises(AddressRefused) as refused:
        Wall().check_url(url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("entry", "passes", "refused"),
    [
        ("127.0.0.1:9000", "http://127.0.0.1:9000/x", "http://127.0.0.1:9001/x"),
        ("127.0.0.1:9000", "http://127.0.0.1:9000/x", "http://127.0.0.1/x"),
        ("127.0.0.1:9000", "http://127.0.0.1:9000/x", "http://127.0.0.2:9000/x"),
        ("10.0.0.7", "https://10.0.0.7/", "https://10.0.0.7:8443/"),
        ("10.0.0.0/8", "https://10.9.9.9/", "https://11.0.0.1:81/"),
        ("[fd00::7]:9000", "http://[fd00::7]:9000/", "http://[fd00::8]:9000/"),
        ("fd00::7", "http://[fd00::7]/", "http://[fd00::7]:9000/"),
        ("files.example.org:8443", "https://files.example.org:8443/", "https://files.example.net:8444/"),
        ("*.example.org:8443", "https://files.example.org:8443/", "https://example.org:8444/"),
    ],
)
def test_what_the_operator_allows(entry: str, passes: str, refused: str) -> None:
    """An entry is for its host and its port, or for ports 80 and 443, and for nothing else."""
    wall = Wall((allowed(entry),))
    wall.check_url(passes)
    with pytest.raises(AddressRefused):
        wall.check_url(refused)


@pytest.mark.parametrize("entry", ["", "a b", "http://x", "10.0.0.1/8", "x:0", "x:70000", "*", "*.", "1.2.3"])
def test_entries_that_mean_nothing(entry: str) -> None:
    """An entry that is no address, network or name is an error that shows what one looks like."""
    with pytest.raises(ValueError, match=r"127\.0\.0\.1:9000"):
        allowed(entry)


def names(monkeypatch: pytest.MonkeyPatch, answers: Iterator[list[str]]) -> list[str]:
    """Answer every look-up of a name with the next addresses; return the names that are asked for."""
    asked: list[str] = []

    async def getaddrinfo(host: Any, port: Any, **_: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, 1, 6, "", (address, port)) for address in next(answers)]

    monkeypatch.setattr(anyio, "getaddrinfo", getaddrinfo)
    return asked


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["93.184.215.14", "10.0.0.1"], ["::1", "2606:2800:21f:cb07::1"], ["169.254.169.254"]]
)
@pytest.mark.parametrize("host", ["rebound.example.org", "rebound.example.org.", "0x7f.1", "127.1", "localhost."])
async def test_one_private_address_of_a_name_refuses_it(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str], host: str
) -> None:
    """Every address of a name is checked, whatever the name looks like, and nothing is connected to."""
    names(monkeypatch, iter([addresses]))
    with pytest.raises(AddressRefused):
        await WalledBackend(Wall()).connect_tcp(host, 80, 60.0)


async def test_the_address_that_was_checked_is_the_one_that_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is resolved once for a connection: a second answer, as of a rebinding server, is never asked for."""
    asked = names(monkeypatch, iter([["93.184.215.14", "93.184.215.15"], ["127.0.0.1"]]))
    tried: list[str] = []

    async def refuse(_: Any, host: str, *__: Any, **___: Any) -> httpcore.AsyncNetworkStream:
        tried.append(host)
        raise httpcore.ConnectError("refused")

    monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", refuse)
    with pytest.raises(httpcore.ConnectError):
        await WalledBackend(Wall()).connect_tcp("example.org", 443, 60.0)
    assert asked == ["example.org"]
    assert tried == ["93.184.215.14", "93.184.215.15"]


async def test_tls_checks_the_name_and_not_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server at the right address whose certificate is for another name is not believed."""
    authority = trustme.CA()
    context = httpx.create_ssl_context()
    authority.configure_trust(context)
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("right.example.org").configure_cert(server_side)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    names(monkeypatch, iter([["127.0.0.1"]] * 4))
    wall = Wall((allowed(f"127.0.0.1:{port}"),))

    async def serve(stream: anyio.abc.ByteStream) -> None:
        async with stream:
            try:
                secure = await anyio.streams.tls.TLSStream.wrap(stream, server_side=True, ssl_context=server_side)
                await secure.receive()
                await secure.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            except (anyio.BrokenResourceError, anyio.EndOfStream, OSError):
                return

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        async with httpx.AsyncClient(transport=WalledTransport(wall, context, httpx.Limits())) as client:
            assert (await client.get(f"https://right.example.org:{port}/")).text == "ok"
            with pytest.raises(httpx.ConnectError, match=r"(?i)certificate"):
                await client.get(f"https://wrong.example.org:{port}/")
        tasks.cancel_scope.cancel()


async def test_the_wall_is_in_the_transport(monkeypatch: pytest.MonkeyPatch) -> None:
    """httpx's transport connects through the wall; a version of it that cannot is refused at the start."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    transport = WalledTransport(Wall(), httpx.create_ssl_context(), httpx.Limits())
    async with listener, httpx.AsyncClient(transport=transport) as client:
        with pytest.raises(httpx.ConnectError, match="not allowed"):
            await client.get(f"http://localhost:{port}/")
    monkeypatch.setattr(httpx.AsyncHTTPTransport, "__init__", lambda *_, **__: None)
    with pytest.raises(RuntimeError, match="the wall would have a gap"):
        WalledTransport(Wall(), httpx.create_ssl_context(), httpx.Limits())
