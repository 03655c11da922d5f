"""The OpenAPI document is what the service and the client do: each difference is named by operation, header or field.

The client holds all its recorded conversations with the contract server again, a few plain requests fill the gaps, and
everything that crossed the wire is compared with the description.
"""

import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import attrs
import httpx
import pytest
from attrs import frozen
from jsonschema import Draft202012Validator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import gofer_service
from contract_server import scripted_app
from gofer import RetrieveClient
from gofer.contracts.payload import strict_converter, structure
from gofer.models import _STATES, Attempt, HealthStatus, JobPage, RetrieveRequest, RetrieveResult, State
from gofer_service import running
from gofer_service.auth import OPEN
from gofer_service.engine import ErrorCode, Status, Unavailable
from gofer_service.health import Finding
from gofer_service.openapi import DESCRIPTION
from gofer_service.schemas import ERROR_CODES, HEALTH, SCHEMAS, STATUSES
from replay import errands, failures, refusals, service  # noqa: F401  (they enter their conversations in the table)
from replay.conversation import CONVERSATIONS, Scene, hold
from support.virtual_time import VirtualIO

from .conftest import PAPER, assemble, finish

PATHS, COMPONENTS = DESCRIPTION["paths"], DESCRIPTION["components"]
OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, item in PATHS.items()
    for method, operation in item.items()
    if method != "parameters"
}
OF_EVERY_REQUEST = {"accept", "accept-encoding", "connection", "content-length", "content-type", "host", "user-agent"}
OF_EVERY_REQUEST |= {"cache-control"}  # of polls: for caches on the way, and nothing to the service
OF_EVERY_REPLY = {"cache-control", "connection", "content-length", "content-type", "x-content-type-options"}
MODELS = {
    "Submission": RetrieveRequest,
    "Job": RetrieveResult,
    "Attempt": Attempt,
    "JobPage": JobPage,
    "Health": HealthStatus,
}


@frozen
class Exchange:
    """A request and its reply, with lower-case header names."""

    operation: str
    query: set[str]
    asked: set[str]
    status: str
    sent: set[str]
    body: bytes

    @property
    def described(self) -> dict[str, Any]:
        """What the OpenAPI document has for this reply."""
        response = OPERATIONS[self.operation]["responses"].get(self.status, {})
        return COMPONENTS["responses"][response["$ref"].rpartition("/")[2]] if "$ref" in response else response


@frozen
class Recorder:
    """Middleware that writes down what crosses the wire."""

    app: ASGIApp
    heard: list[Exchange]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward everything."""
        sent: dict[str, Any] = {"body": b""}

        async def listen(message: Message) -> None:
            sent.update(message, body=sent["body"] + message.get("body", b""))
            await send(message)

        try:
            await self.app(scope, receive, listen)
        finally:
            if scope["type"] == "http" and "status" in sent and (operation := matching(scope)):
                asked, names = ({name.decode().lower() for name, _ in some["headers"]} for some in (scope, sent))
                query = set(httpx.QueryParams(scope["query_string"].decode()))
                self.heard.append(Exchange(operation, query, asked, str(sent["status"]), names, sent["body"]))


def matching(scope: Scope) -> str | None:
    """Give the operation that a request is for."""
    for operation in OPERATIONS:
        method, path = operation.split(" ")
        if scope["method"] == method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), scope["path"]):
            return operation
    return None


@pytest.fixture(scope="module")
def by_the_client(tmp_path_factory: pytest.TempPathFactory) -> list[Exchange]:
    """Have the client hold its conversations with the complete API, and give what crossed the wire."""
    heard: list[Exchange] = []
    for name, talk in CONVERSATIONS.items():
        if talk.server.get("plain"):
            continue
        folder = tmp_path_factory.mktemp(name)
        app = scripted_app(folder / "data", **talk.server)
        app.add_middleware(Recorder, heard=heard)
        (folder / "target").mkdir()
        keys = iter([f"key-{number:04}" for number in range(1, 99)])
        options: dict[str, Any] = {"rng": random.Random(1), "new_key": keys.__next__}
        with running(app) as url, closing(VirtualIO()) as io, RetrieveClient(base_url=url, io=io, **options) as client:
            scene = Scene(client, url, folder / "target", lambda io=io: io.now().mono)
            with suppress(
                Exception
            ):  # a difference is named below; whether the conversation goes well is not asked here
                hold(talk.script(scene))
    app = gofer_service.local_app(gofer_service.sample_library(), tmp_path_factory.mktemp("batch"))
    app.add_middleware(Recorder, heard=heard)
    with running(app) as url, RetrieveClient(base_url=url) as client:
        assert [errand.state for errand in client.map([PAPER, "10.5555/gofer.2026.2"])] == ["done", "done"]
    return heard


@pytest.fixture(scope="module")
def on_the_wire(by_the_client: list[Exchange], tmp_path_factory: pytest.TempPathFactory) -> list[Exchange]:
    """Add the requests that the client never sends."""
    heard = [*by_the_client]

    async def broken() -> Finding:
        return Finding("fail")

    data = tmp_path_factory.mktemp("data")
    closed = gofer_service.local_app(gofer_service.sample_library(), data / "closed", token="secret")
    unfit = assemble(data / "unfit", lambda _: pytest.fail("no job is submitted"), probes={"disk:free": broken})
    app = gofer_service.local_app(gofer_service.sample_library(), data / "open")
    busy = gofer_service.local_app(gofer_service.sample_library(), data / "busy")

    async def unavailable(*_: object) -> None:
        raise Unavailable

    for name in ("submit", "get", "wait", "cancel", "list", "changes"):
        setattr(busy.state.engine, name, unavailable)
    for each in (closed, unfit, app, busy):
        each.add_middleware(Recorder, heard=heard)
    with running(busy) as url, httpx.Client(base_url=url) as http:
        http.post("/retrieve", json={"doi": PAPER})
        for operation in OPERATIONS.keys() - {"POST /retrieve"}:
            method, path = operation.split(" ")
            http.request(method, path.replace("{job_id}", "x"))
    with running(closed) as url, httpx.Client(base_url=url) as http:
        for operation in OPERATIONS:
            method, path = operation.split(" ")
            http.request(method, path.replace("{job_id}", "x"))
    with running(unfit) as url, httpx.Client(base_url=url) as http:
        http.get("/health")
        http.get("/health/ready")
    with running(app) as url, httpx.Client(base_url=url, timeout=30) as http:
        for path in ("/health", "/health/ready", "/health/live", "/openapi.json", "/jobs", "/jobs?limit=0"):
            http.get(path)
        for how in ({"content": b"{"}, {"content": b"x" * 70_000}):
            http.post("/retrieve", headers={"Content-Type": "application/json"}, **how)  # type: ignore[arg-type]
        http.post("/retrieve", content=b"{}")
        http.delete("/jobs/x")
        http.get("/jobs/x/file")
        for query in ("limit=0", "since=99"):
            http.get(f"/jobs/changes?{query}")
        path = f"/jobs/{finish(http)['job_id']}"
        http.get(path, headers={"If-None-Match": "*", "Prefer": "wait=1"})
        file = http.get(f"{path}/file")
        http.get(f"{path}/file", headers={"If-None-Match": file.headers["etag"]})
        http.get(f"{path}/file", headers={"Range": f"bytes={len(file.content)}-"})
        http.post("/retrieve", json={"doi": PAPER}, headers={"Prefer": "respond-async, wait=10"})
    return heard


def test_every_reply_is_described(on_the_wire: list[Exchange]) -> None:
    """The service sends the status codes that the description has, and no others; 500 is not provoked."""
    sent = {(each.operation, each.status) for each in on_the_wire}
    described = {(name, status) for name, operation in OPERATIONS.items() for status in operation["responses"]}
    assert sent ^ {(name, status) for name, status in described if status != "500"} == set()


def test_every_reply_header_is_described(on_the_wire: list[Exchange]) -> None:
    """Each reply has the headers that the description has for it, and no others but those of every reply."""
    sent = {(each.operation, each.status, name) for each in on_the_wire for name in each.sent - OF_EVERY_REPLY}
    described = {
        (each.operation, each.status, name.lower())
        for each in on_the_wire
        for name in each.described.get("headers", ())
        if name.lower() not in OF_EVERY_REPLY
    }
    assert sent ^ described == set()


def test_every_reply_header_is_used() -> None:
    """Each header of the description belongs to some reply."""
    text = json.dumps(DESCRIPTION)
    assert [name for name in COMPONENTS["headers"] if f'"#/components/headers/{name}"' not in text] == []


def parameters(place: str, operation: str) -> set[str]:
    """Give the parameters of an operation, in lower case."""
    return {each["name"].lower() for each in OPERATIONS[operation].get("parameters", ()) if each["in"] == place}


def test_what_the_client_sends_is_described(by_the_client: list[Exchange]) -> None:
    """Each header and each query parameter that the client sends is in the description of that operation."""
    unknown = {
        (each.operation, name)
        for each in by_the_client
        for name in (each.asked - OF_EVERY_REQUEST - parameters("header", each.operation))
        | (each.query - parameters("query", each.operation))
    }
    assert unknown == set()


def test_what_the_description_asks_for_is_sent(by_the_client: list[Exchange]) -> None:
    """Each parameter of the description is one that the client sends, except for those that are for other clients."""
    sent = {(each.operation, name) for each in by_the_client for name in each.asked | each.query}
    described = {
        (name, parameter) for name in OPERATIONS for parameter in parameters("header", name) | parameters("query", name)
    }
    for_others = {
        ("GET /jobs/changes", "limit"),
        ("GET /jobs/{job_id}/file", "if-none-match"),
        ("POST /retrieve", "cache-control"),
    }
    assert (described - sent) ^ for_others == set()


def test_every_header_that_the_service_reads_is_described() -> None:
    """The code of the service reads the headers that the description has, and no others but those of every request."""
    code = "".join(path.read_text() for path in Path(gofer_service.__file__).parent.glob("*.py"))
    read = set(re.findall(r'headers\.get\(\s*"([\w-]+)"', code))
    described = set().union(*(parameters("header", name) for name in OPERATIONS))
    assert (read - {"authorization", "content-type"}) ^ described == set()


def parts(schema: str, document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give a document and the documents in it, each with the name of its schema."""
    yield schema, document
    for name, inner in (("jobs", "Job"), ("changes", "Job"), ("attempts", "Attempt")):
        for part in document.get(name, ()):
            yield from parts(inner, part)


def test_every_field_that_is_sent_is_described(on_the_wire: list[Exchange]) -> None:
    """The documents have the fields that the description has, and no others, with values that fit it."""
    sent: set[tuple[str, str]] = set()
    for each in on_the_wire:
        for media in each.described.get("content", {}).values():
            if "schema" not in media or not each.body:
                continue
            schema, document = media["schema"]["$ref"].rpartition("/")[2], json.loads(each.body)
            Draft202012Validator({**SCHEMAS[schema], "components": COMPONENTS}).validate(document)
            for name, part in parts(schema, document):
                sent.update((name, field) for field in part)
    described = {(name, field) for name in SCHEMAS.keys() - {"Submission"} for field in SCHEMAS[name]["properties"]}
    assert sent ^ described == set()


@pytest.mark.parametrize("doi", ["10.5555/12345678", "10.5555/nothing"])
def test_the_client_reads_every_field(done: Any, http: httpx.Client, doi: str) -> None:
    """The client's models take the service's documents as they are, and would refuse a field that they lack."""
    closed = strict_converter(closed=True)
    structure(done(doi), RetrieveResult, closed)
    structure(http.get("/health").json(), HealthStatus, closed)
    structure(http.get("/jobs").json(), JobPage, closed)


KINDS: dict[Any, str] = {
    NoneType: "null",
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    tuple: "array",
    Sequence: "array",
    Mapping: "object",
}
"""The types of the models, each with its JSON type."""


@pytest.mark.parametrize(
    ("schema", "name"),
    [
        (schema, name)
        for schema, model in MODELS.items()
        for name in {**SCHEMAS[schema]["properties"], **attrs.fields_dict(model)}
    ],
)
def test_the_models_have_every_field(schema: str, name: str) -> None:
    """A field is in the description and in the model, and what one side may send of it the other side takes."""
    model = MODELS[schema]
    assert name in SCHEMAS[schema]["properties"], f"the description of {schema} lacks {name}"
    assert name in attrs.fields_dict(model), f"{model.__name__} lacks {name}"
    hint, types = get_type_hints(model)[name], SCHEMAS[schema]["properties"][name]["type"]
    one_of = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    in_model = {KINDS[get_origin(each) or each] for each in one_of}
    described = {types} if isinstance(types, str) else set(types)
    if schema == "Submission":
        assert in_model - {"null"} <= described | ({"integer"} if "number" in described else set())
    else:
        assert described <= in_model
        assert attrs.fields_dict(model)[name].default is not attrs.NOTHING or name in SCHEMAS[schema]["required"]


def test_every_word_has_its_meaning() -> None:
    """The states, error codes and health words of the service and of the client are those of the description."""
    assert set(STATUSES) ^ set(Status) == set()
    assert set(STATUSES) ^ set(_STATES) == set()
    assert set(ERROR_CODES) ^ set(ErrorCode) == set()
    assert {word for word in HEALTH if HealthStatus(word).can_run} == {"healthy", "degraded"}
    assert RetrieveResult("1", Status.FAILED, error_code=ErrorCode.CANCELLED).state is State.CANCELLED


def test_the_same_paths_are_open() -> None:
    """The operations that need no token, by the description, are those that the service lets pass without one."""
    assert {path for path, item in PATHS.items() if item.get("get", {}).get("security") == []} == OPEN
