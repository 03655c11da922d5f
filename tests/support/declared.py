"""Clients of declared contracts on every face, and small services for them to talk to, over real sockets.

A service is a function from a `Call` to a complete reply (`http`, `as_json`, `as_xml`), served by `raw_server`. What
it answers depends on the number of the call and never on time, so that a test waits for nothing.
"""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from tenacity.stop import stop_after_attempt
from tenacity.wait import wait_fixed

import gofer
from gofer.contracts.declared import toml
from gofer.contracts.declared.contract import DeclaredContract
from support.faces import Blocked, Face
from support.raw_server import Call, RawServer, http, raw_server

DECLARATIONS = Path(__file__).parent.parent / "contracts" / "declarations"

PLAIN = """
name = "mine"
[submit]
url = "{base}/jobs"
json = "{input}"
id = "/id"
[poll]
url = "{base}/jobs/{id}"
[status]
state = "/state"
error = "/why"
[states]
pending = "waiting"
running = "working"
succeeded = "done"
failed = "broken"
cancelled = "stopped"
"""
"""A declaration with the few keys that most have; a test adds or replaces what it is about."""

BY_CODE = """
name = "codes"
[submit]
url = "{base}/jobs"
links = { me = "/me" }
[poll]
url = "{links.me}"
codes = { 202 = "running", 200 = "succeeded", 204 = "succeeded" }
"""
"""A declaration of an API that tells the state by HTTP codes."""

Answer = Callable[[Call], bytes]


def client_of(face: Face, service: str | Answering, contract: Any, **options: Any) -> Any:
    """A client of this contract on this face, closed with it; it polls without long pauses and tries three times."""
    few = gofer.Retry(wait_fixed(0.01), stop_after_attempt(3))
    options = {"poll": wait_fixed(0.01), "retry": few, "patience": few, "rng": random.Random(7), **options}
    if isinstance(service, Answering):
        options["transport"] = service.transport
    url = service.url if isinstance(service, Answering) else service
    if face.portal is None:
        client: Any = gofer.Client(url, contract=contract, **options)
    else:
        client = Blocked(face, gofer.AsyncClient(url, contract=contract, **options))
    face._stack.callback(client.close)
    return client


def said(text: str, **variables: str) -> DeclaredContract:
    """The contract that this TOML declares, as if it were in a file `mine.toml`."""
    return DeclaredContract(toml.parse(text, "mine.toml"), variables)


def example(name: str) -> Path:
    """The path of a declaration in `tests/contracts/declarations`."""
    return DECLARATIONS / f"{name}.toml"


@contextlib.contextmanager
def service(answer: Answer) -> Generator[RawServer]:
    """Serve this function for the time of a test; `calls` of the server has the requests."""
    with raw_server(lambda call: [answer(call)]) as server:
        yield server


class Answering:
    """What `service` runs, without a socket: for clients in virtual time, which take it as their transport."""

    url = "http://service.test"

    def __init__(self, answer: Answer) -> None:
        self.answer, self.calls = answer, list[Call]()
        self.transport = httpx.MockTransport(self._reply)

    def _reply(self, request: httpx.Request) -> httpx.Response:
        method, path = request.method, request.url.raw_path.decode()
        nth = 1 + sum((other.method, other.path) == (method, path) for other in self.calls)
        self.calls.append(Call(method, path, dict(request.headers), request.read(), nth))
        head, _, body = self.answer(self.calls[-1]).partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        headers = [(name, value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
        return httpx.Response(int(first.split()[1]), headers=headers, content=body)


def as_json(value: Any, status: int = 200, **headers: str) -> bytes:
    """A reply with a JSON document."""
    return http(status, json.dumps(value), **{"content_type": "application/json", **headers})


def as_xml(text: str, status: int = 200, **headers: str) -> bytes:
    """A reply with an XML document."""
    head = '<?xml version="1.0" encoding="UTF-8"?>\n'
    return http(status, head + text, **{"content_type": "application/xml", **headers})


def path_of(call: Call) -> str:
    """The path of a request, without its query."""
    return urlsplit(call.path).path


def query_of(call: Call) -> dict[str, str]:
    """The parameters of a request's query, the first of each name."""
    return {name: values[0] for name, values in parse_qs(urlsplit(call.path).query, keep_blank_values=True).items()}


def form_of(call: Call) -> dict[str, str]:
    """The fields of a request's form, the first of each name."""
    return {name: values[0] for name, values in parse_qs(call.body.decode(), keep_blank_values=True).items()}


def here(call: Call) -> str:
    """The address of the server that a request came to."""
    return f"http://{call.headers['host']}"


def sent_to(server: RawServer | Answering, path: str, method: str | None = None) -> list[Call]:
    """The requests that came to a path."""
    return [call for call in server.calls if path_of(call) == path and method in (None, call.method)]
