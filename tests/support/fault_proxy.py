"""A proxy that makes faults: raw TCP in front of a real service, one request a connection.

A fault is a function of a `ProxiedConnection`. A `FaultRule` says which connections it is for; with `before_request`,
it acts before the request is read. All other connections are forwarded. With `tls`, the proxy ends TLS; the service
behind it speaks plain HTTP.
"""

from __future__ import annotations

import contextlib
import gzip
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Generator
from urllib.parse import urlsplit

import trustme
from attrs import define, frozen

from support.raw_server import Call, http, read_call

DRIP = 0.3
"""Seconds between two bytes of a reply that drips: its shortest body, 39 bytes, must outlast every budget here."""

CUT_HEAD, CUT_BODY = 20, 15_000
"""After how many bytes of its head, or of its body, a reply breaks off; a shorter body breaks off half-way."""

_SETTLE = 0.03  # seconds in which the other side reads what was sent before a reset, which discards the rest


def _certificates() -> tuple[ssl.SSLContext, ssl.SSLContext, ssl.SSLContext]:
    """The contexts of a proxy that is trusted, of one that is not, and of a client that trusts the first."""
    authority = trustme.CA()
    trusted, untrusted = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(trusted)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(untrusted)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return trusted, untrusted, client


TRUSTED, UNTRUSTED, TRUSTING = _certificates()


@define
class ProxiedConnection:
    """One connection through the proxy: the caller on one side, the service on the other."""

    proxy: FaultProxy
    caller: socket.socket
    call: Call | None = None

    def receive(self) -> None:
        """Read the request."""
        if self.proxy.tls:
            self.caller = TRUSTED.wrap_socket(self.caller, server_side=True)
        self.call = read_call(self.caller)

    def forward(self) -> tuple[bytes, bytes]:
        """Let the service answer; return the head, with the empty line, and the body."""
        assert self.call is not None
        with self.proxy.connected() as service:
            headers = {**self.call.headers, "connection": "close"}
            lines = [f"{self.call.method} {self.call.path} HTTP/1.1", *(f"{name}: {headers[name]}" for name in headers)]
            service.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + self.call.body)
            reply = b"".join(iter(lambda: service.recv(65536), b""))
        head, _, body = reply.partition(b"\r\n\r\n")
        return head + b"\r\n\r\n", body

    def send(self, data: bytes) -> None:
        """Send to the caller."""
        self.caller.sendall(data)

    def drip(self, data: bytes) -> None:
        """Send to the caller a byte at a time."""
        for at in range(len(data)):
            self.send(data[at : at + 1])
            if self.proxy.closing.wait(DRIP):
                return

    def stall(self) -> None:
        """Send nothing more and keep the connection open."""
        self.proxy.closing.wait()

    def reset(self) -> None:
        """Reset the connection."""
        time.sleep(_SETTLE)
        self.caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


Fault = Callable[[ProxiedConnection], None]


@frozen
class FaultRule:
    """A fault for the connections that `matches` names, the first `times` of them."""

    fault: Fault
    matches: Callable[[Call], bool] = lambda call: True
    times: float = 1
    before_request: bool = False


class FaultProxy:
    """Listens on a free loopback port until closed; `calls` has the requests that could be read."""

    def __init__(self, service: str, *, tls: bool = False) -> None:
        self.tls, self.closing = tls, threading.Event()
        self.calls: list[Call] = []
        self.hits = 0  # connections that met the fault
        self.rule: FaultRule | None = None
        parts = urlsplit(service)
        self._service = (parts.hostname or "", parts.port or 80)
        self._lock, self._open = threading.Lock(), set[socket.socket]()
        self._threads: list[threading.Thread] = []
        self._port = 0
        self._listener = self._bound()
        self.accept()

    @property
    def url(self) -> str:
        """The address of the proxy."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self._port}"

    def refuse(self, seconds: float | None = None) -> None:
        """Refuse connections, for a number of seconds or until `accept`; the port stays taken."""
        _shut(self._listener)
        self._listener = self._bound()  # and not listening: the kernel refuses
        if seconds is not None:
            self._start(self._accept_after, seconds)

    def accept(self) -> None:
        """Accept connections."""
        self._listener.listen()
        self._start(self._serve_all, self._listener)

    def _accept_after(self, seconds: float) -> None:
        if not self.closing.wait(seconds):
            self.accept()

    def _bound(self) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self._port))
        self._port = listener.getsockname()[1]
        return listener

    def close(self) -> None:
        """Stop listening and break every connection."""
        self.closing.set()
        _shut(self._listener)
        with self._lock:
            left, self._open = self._open, set()
        for connection in left:
            _shut(connection)
        for thread in self._threads:
            thread.join(5)

    @contextlib.contextmanager
    def connected(self) -> Generator[socket.socket]:
        """Connect to the service."""
        with socket.create_connection(self._service) as service, self._kept(service):
            yield service

    @contextlib.contextmanager
    def _kept(self, connection: socket.socket) -> Generator[None]:
        with self._lock:
            self._open.add(connection)
        try:
            yield
        finally:
            with self._lock:
                self._open.discard(connection)

    def _start(self, work: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=work, args=args)
        self._threads.append(thread)
        thread.start()

    def _serve_all(self, listener: socket.socket) -> None:
        while True:
            try:
                caller, _ = listener.accept()
            except OSError:
                return
            self._start(self._serve, caller)

    def _serve(self, caller: socket.socket) -> None:
        connection = ProxiedConnection(self, caller)
        with self._kept(caller), contextlib.suppress(OSError, ssl.SSLError, EOFError):
            rule = self.rule
            if rule is None or not rule.before_request:
                connection.receive()
                assert connection.call is not None
                self.calls.append(connection.call)
            if rule is not None and (connection.call is None or rule.matches(connection.call)) and self._takes(rule):
                rule.fault(connection)
            else:
                forwards(connection)
        connection.caller.close()
        caller.close()

    def _takes(self, rule: FaultRule) -> bool:
        with self._lock:
            if rule.times <= self.hits:
                return False
            self.hits += 1
            return True


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


# --- faults ---


def forwards(connection: ProxiedConnection) -> None:
    """Forward the request and the reply."""
    if connection.call is None:
        connection.receive()
    head, body = connection.forward()
    connection.send(head + body)


def closes(connection: ProxiedConnection) -> None:
    """Close the connection without an answer."""


def resets(connection: ProxiedConnection) -> None:
    """Reset the connection."""
    connection.reset()


def loses(end: Fault) -> Fault:
    """Forward the request and lose the reply."""

    def fault(connection: ProxiedConnection) -> None:
        connection.forward()
        end(connection)

    return fault


def cuts_head(end: Fault) -> Fault:
    """Break off in the reply's head."""

    def fault(connection: ProxiedConnection) -> None:
        head, _ = connection.forward()
        connection.send(head[:CUT_HEAD])
        end(connection)

    return fault


def cuts_body(end: Fault) -> Fault:
    """Break off in the reply's body."""

    def fault(connection: ProxiedConnection) -> None:
        head, body = connection.forward()
        if b"content-range" in head and len(body) <= CUT_BODY:
            connection.send(head + body)  # the rest of a file is forwarded in one piece
            return
        connection.send(head + body[: min(CUT_BODY, len(body) // 2)])
        end(connection)

    return fault


def stalls(connection: ProxiedConnection) -> None:
    """Send nothing and keep the connection open."""
    connection.stall()


def drips(connection: ProxiedConnection) -> None:
    """Send the reply a byte at a time."""
    connection.drip(b"".join(connection.forward()))


def drips_body(connection: ProxiedConnection) -> None:
    """Send the reply's head, then its body a byte at a time."""
    head, body = connection.forward()
    connection.send(head)
    connection.drip(body)


def answers(reply: bytes) -> Fault:
    """Answer in place of the service; the request is not forwarded."""
    return lambda connection: connection.send(reply)


def compresses(connection: ProxiedConnection) -> None:
    """Compress the reply's body by gzip, which was not requested."""
    head, body = connection.forward()
    lines = [line for line in head.decode("latin-1").split("\r\n") if line and "content-length" not in line.lower()]
    packed = gzip.compress(body)
    lines += ["content-encoding: gzip", f"content-length: {len(packed)}", "", ""]
    connection.send("\r\n".join(lines).encode("latin-1") + packed)


def shows_another_certificate(connection: ProxiedConnection) -> None:
    """Begin TLS with a certificate that the client does not trust."""
    connection.caller = UNTRUSTED.wrap_socket(connection.caller, server_side=True)


def answers_without_tls(connection: ProxiedConnection) -> None:
    """Answer the TLS handshake with plain HTTP."""
    connection.caller.recv(65536)
    connection.send(http(400, "plain"))


def garbles_tls(connection: ProxiedConnection) -> None:
    """Send bytes that are not TLS in the middle of the reply's body."""
    time.sleep(_SETTLE)
    socket.socket.sendall(connection.caller, b"\x17\x03\x03\x00\x20" + b"?" * 32)
    time.sleep(_SETTLE)


@contextlib.contextmanager
def fault_proxy(service: str, *, tls: bool = False) -> Generator[FaultProxy]:
    """Run a proxy for the time of a test."""
    proxy = FaultProxy(service, tls=tls)
    try:
        yield proxy
    finally:
        proxy.close()
