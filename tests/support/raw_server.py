"""A server that misbehaves: raw TCP, one thread a connection; a script says byte by byte what it answers.

A script is a function from a `Call` to the pieces of the answer: bytes are sent, a number is a pause in seconds, an
event is waited for, RESET breaks the connection hard, and after the last piece it is closed.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Generator, Iterable

from attrs import evolve, frozen

RESET = "reset"

Script = Callable[["Call"], Iterable[object]]


@frozen
class Call:
    """One request as it came: `nth` counts those of the same method and path, from 1."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    nth: int = 1


def http(status: int, body: bytes | str = b"", *, length: bool = True, **headers: str) -> bytes:
    """The bytes of a complete reply; underscores in header names are dashes."""
    data = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} X", "connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines += [f"content-length: {len(data)}"] if length and "content_length" not in headers else []
    return "\r\n".join([*lines, "", ""]).encode() + data


def read_call(connection: socket.socket) -> Call:
    """Read one request; raise `EOFError` if the connection ends before its head does."""
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
    return Call(method, path, headers, body)


class RawServer:
    """Listens on a free loopback port until closed; `calls` has the requests."""

    def __init__(self, script: Script, context: ssl.SSLContext | None = None) -> None:
        self.script, self.context = script, context
        self.calls: list[Call] = []
        self._lock, self._closing = threading.Lock(), threading.Event()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        """The address of the server."""
        scheme = "http" if self.context is None else "https"
        return f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        """Stop listening and break every connection."""
        self._closing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.add(connection)
        try:
            if self.context is not None:
                connection = self.context.wrap_socket(connection, server_side=True)
            with connection:
                self._answer(connection)
        except (OSError, EOFError):
            pass
        finally:
            with self._lock:
                self._open = {other for other in self._open if other.fileno() >= 0}
            connection.close()

    def _answer(self, connection: socket.socket) -> None:
        call = read_call(connection)
        with self._lock:
            nth = 1 + sum((other.method, other.path) == (call.method, call.path) for other in self.calls)
            call = evolve(call, nth=nth)
            self.calls.append(call)
        for piece in self.script(call):
            if piece == RESET:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            if isinstance(piece, bytes):
                connection.sendall(piece)
            elif isinstance(piece, threading.Event):
                while not piece.wait(0.02) and not self._closing.is_set():
                    pass
            else:
                self._closing.wait(float(str(piece)))


@contextlib.contextmanager
def raw_server(script: Script, context: ssl.SSLContext | None = None) -> Generator[RawServer]:
    """Run a server for the time of a test."""
    server = RawServer(script, context)
    try:
        yield server
    finally:
        server.close()
