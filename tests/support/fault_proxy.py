"""A proxy that spoils: raw TCP in front of a real service, one request a connection, told what to do to which.

A fault is a function of a `Passage`, one connection through the proxy; with `blind` it acts before the request is read.
What no fault is meant for passes. With a certificate, the proxy ends TLS; the service behind it speaks plain HTTP.
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

from support.raw_server import Call, http

DRIP = 0.1
"""Seconds between two bytes of a reply that drips."""

CUT_HEAD, CUT_BODY = 20, 15_000
"""After how many bytes of its head, or of its body, a reply breaks off; a shorter body does half-way."""

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
class Passage:
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
        """Let the service answer; give the head, with the empty line, and the body."""
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
        """Break the connection hard."""
        time.sleep(_SETTLE)
        self.caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


Fault = Callable[[Passage], None]


@frozen
class Order:
    """A fault for the connections that `meant` names, the first `times` of them."""

    fault: Fault
    meant: Callable[[Call], bool] = lambda call: True
    times: float = 1
    blind: bool = False


class FaultProxy:
    """Listens on a free loopback port until closed; `calls` is what came and could be read."""

    def __init__(self, service: str, *, tls: bool = False) -> None:
        self.tls, self.closing = tls, threading.Event()
        self.calls: list[Call] = []
        self.met = 0  # connections that were spoiled
        self.order: Order | None = None
        parts = urlsplit(service)
        self._service = (parts.hostname or "", parts.port or 80)
        self._lock, self._open = threading.Lock(), set[socket.socket]()
        self._threads: list[threading.Thread] = []
        self._port = 0
        self._listener = self._bound()
        self.admit()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self._port}"

    def refuse(self, seconds: float | None = None) -> None:
        """Refuse connections, for so many seconds or until `admit`; the port stays taken."""
        _shut(self._listener)
        self._listener = self._bound()  # and not listening: the kernel refuses
        if seconds is not None:
            self._start(self._admit_after, seconds)

    def admit(self) -> None:
        """Take connections."""
        self._listener.listen()
        self._start(self._accept, self._listener)

    def _admit_after(self, seconds: float) -> None:
        if not self.closing.wait(seconds):
            self.admit()

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

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        passage = Passage(self, connection)
        with self._kept(connection), contextlib.suppress(OSError, ssl.SSLError, EOFError):
            order = self.order
            if order is None or not order.blind:
                passage.receive()
                assert passage.call is not None
                self.calls.append(passage.call)
            if order is not None and (passage.call is None or order.meant(passage.call)) and self._takes(order):
                order.fault(passage)
            else:
                passes(passage)
        passage.caller.close()
        connection.close()

    def _takes(self, order: Order) -> bool:
        with self._lock:
            if order.times <= self.met:
                return False
            self.met += 1
            return True


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def read_call(connection: socket.socket) -> Call:
    """Read one request."""
    head = b""
    while b"\r\n\r\n" not in head:
        piece = connection.recv(65536)
        if not piece:
            raise EOFError
        head += piece
    head, _, body = head.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", "0")):
        body += connection.recv(65536)
    return Call(method, path, headers, body, 1)


# --- faults ---


def passes(passage: Passage) -> None:
    """Let the request through and the reply back."""
    if passage.call is None:
        passage.receive()
    head, body = passage.forward()
    passage.send(head + body)


def closes(passage: Passage) -> None:
    """Close the connection without a word."""


def resets(passage: Passage) -> None:
    """Break the connection."""
    passage.reset()


def loses(end: Fault) -> Fault:
    """Let the service act on the request and lose its answer."""

    def fault(passage: Passage) -> None:
        passage.forward()
        end(passage)

    return fault


def cuts_head(end: Fault) -> Fault:
    """Break off in the reply's head."""

    def fault(passage: Passage) -> None:
        head, _ = passage.forward()
        passage.send(head[:CUT_HEAD])
        end(passage)

    return fault


def cuts_body(end: Fault) -> Fault:
    """Break off in the reply's body."""

    def fault(passage: Passage) -> None:
        head, body = passage.forward()
        if b"content-range" in head and len(body) <= CUT_BODY:
            passage.send(head + body)  # what is left of a file comes through in one piece
            return
        passage.send(head + body[: min(CUT_BODY, len(body) // 2)])
        end(passage)

    return fault


def stalls(passage: Passage) -> None:
    """Fall silent."""
    passage.stall()


def drips(passage: Passage) -> None:
    """Send the reply a byte at a time."""
    passage.drip(b"".join(passage.forward()))


def drips_body(passage: Passage) -> None:
    """Send the reply's head, and its body a byte at a time."""
    head, body = passage.forward()
    passage.send(head)
    passage.drip(body)


def says(reply: bytes) -> Fault:
    """Answer in the service's place, without asking it."""
    return lambda passage: passage.send(reply)


def packs(passage: Passage) -> None:
    """Encode the reply's body as gzip, which nobody asked for."""
    head, body = passage.forward()
    lines = [line for line in head.decode("latin-1").split("\r\n") if line and "content-length" not in line.lower()]
    packed = gzip.compress(body)
    lines += ["content-encoding: gzip", f"content-length: {len(packed)}", "", ""]
    passage.send("\r\n".join(lines).encode("latin-1") + packed)


def shows_another_certificate(passage: Passage) -> None:
    """Begin TLS with a certificate of an authority that nobody trusts."""
    passage.caller = UNTRUSTED.wrap_socket(passage.caller, server_side=True)


def speaks_no_tls(passage: Passage) -> None:
    """Answer the TLS greeting with plain text."""
    passage.caller.recv(65536)
    passage.send(http(400, "plain"))


def garbles_tls(passage: Passage) -> None:
    """Send bytes past TLS in the middle of the reply's body."""
    time.sleep(_SETTLE)
    socket.socket.sendall(passage.caller, b"\x17\x03\x03\x00\x20" + b"?" * 32)
    time.sleep(_SETTLE)


@contextlib.contextmanager
def fault_proxy(service: str, *, tls: bool = False) -> Generator[FaultProxy]:
    """Run a proxy for the time of a test."""
    proxy = FaultProxy(service, tls=tls)
    try:
        yield proxy
    finally:
        proxy.close()
