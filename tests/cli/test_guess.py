"""`gofer contract guess`: drafts from OpenAPI documents that run jobs as they are, and say where they guessed."""

import enum
import json
import random
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from fastapi import FastAPI, Response
from pydantic import BaseModel
from tenacity.wait import wait_fixed

import gofer
from contract_server import content, contract_server
from gofer.cli.commands import gofer as command
from gofer.cli.drafting.page import guess
from gofer.contracts.declared.toml import parse
from gofer_service.openapi import DESCRIPTION
from support.declared import as_json, path_of, said, service
from support.raw_server import http
from test_web_frameworks import served


class Phase(enum.StrEnum):
    """The states of the small application's jobs."""

    QUEUED = "queued"
    CRUNCHING = "crunched"
    DONE = "done"
    FAILED = "failed"
    CANCELLING = "cancelling"


class Crunch(BaseModel):
    """A job of the small application."""

    job_id: str
    phase: Phase
    error: str | None = None


class Order(BaseModel):
    """What it takes."""

    text: str
    year: int | None = None


def application() -> FastAPI:
    """A small application, as people write them: the second look at a job shows it done."""
    app, phases = FastAPI(title="Small Jobs"), dict[str, Phase]()

    @app.post("/jobs", status_code=202)
    def take(order: Order) -> Crunch:
        phases[order.text] = Phase.QUEUED
        return Crunch(job_id=order.text, phase=Phase.QUEUED)

    @app.get("/jobs/{job_id}")
    def show(job_id: str) -> Crunch:
        last, phases[job_id] = phases[job_id], Phase.DONE
        return Crunch(job_id=job_id, phase=last)

    @app.get("/jobs/{job_id}/download", response_class=Response, responses={200: {"content": {"image/png": {}}}})
    def download(job_id: str) -> Response:
        return Response(f"a picture of {job_id}".encode(), media_type="image/png")

    app.post("/jobs/{job_id}/cancel")(show)

    @app.get("/health")
    @app.post("/login")
    def nothing() -> None:
        """Do something else."""

    return app


def document(paths: dict[str, Any], **more: Any) -> dict[str, Any]:
    """An OpenAPI document with these operations."""
    return {"openapi": "3.1.0", "info": {"title": "Things"}, "paths": paths, **more}


def gives(code: int, schema: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """An operation that answers so."""
    content = {} if schema is None else {"content": {"application/json": {"schema": schema}}}
    return {"responses": {str(code): {"description": "", **content, **more}}}


STATE = {"type": "string", "enum": ["PENDING", "STARTED", "SUCCESS", "FAILURE", "REVOKED", "ODD"]}
LOCATION = {"headers": {"Location": {"schema": {"type": "string"}}}}
AZURE = document(
    {
        "/things/{name}": {
            "put": {
                "x-ms-long-running-operation": True,
                "parameters": [{"name": "name", "in": "path", "required": True}],
                "requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}},
                **gives(202, headers={"Operation-Location": {}}),
            },
            "get": gives(200, {"type": "object", "properties": {"name": {"type": "string"}}}),
        }
    }
)
OGC = document(
    {
        "/processes/{processId}/execution": {
            "post": {
                "requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}},
                **gives(201, {"$ref": "#/components/schemas/statusInfo"}, **LOCATION),
            }
        },
        "/jobs/{jobId}": {
            "get": gives(200, {"$ref": "#/components/schemas/statusInfo"}),
            "delete": gives(200, {"$ref": "#/components/schemas/statusInfo"}),
        },
        "/jobs/{jobId}/results": {"get": gives(200, {"type": "object"})},
    },
    components={
        "schemas": {
            "statusInfo": {
                "properties": {
                    "jobID": {"type": "string"},
                    "status": {"$ref": "#/components/schemas/code"},
                    "progress": {"type": "integer", "maximum": 100},
                    "message": {"type": "string"},
                }
            },
            "code": {"type": "string", "enum": ["accepted", "running", "successful", "failed", "dismissed"]},
        },
        "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "x-key"}, "b": {"type": "http"}},
    },
)
NESTED = document(
    {
        "/projects/{project}/tasks": {
            "parameters": [{"name": "project", "in": "path"}],
            "post": {
                "parameters": [{"name": "Idempotency-Key", "in": "header"}, {"name": "fast", "in": "query"}],
                "requestBody": {
                    "content": {
                        "multipart/form-data": {
                            "schema": {"required": ["file"], "properties": {"file": {}, "language": {}}}
                        }
                    }
                },
                **gives(200, {"properties": {"id": {}, "state": STATE}}),
            },
        },
        "/projects/{project}/tasks/{task}/status": {"get": gives(200, {"properties": {"state": STATE, "output": {}}})},
    }
)


def run(draft: str, answer: Any, request: dict[str, Any], to: Path | None = None, **variables: str) -> tuple[Any, Any]:
    """Run a job by a draft, as it was written, against this service."""
    contract = said(draft, **variables)
    with service(answer) as server, gofer.Client(server.url, contract=contract, poll=wait_fixed(0.01)) as client:
        return client.run(request, to=None if to is None else str(to), timeout=60), server.calls


def test_a_fastapi_applications_draft_brings_its_file(tmp_path):
    """Out of the document that it serves; nothing is edited, and only the word for which there is a doubt is marked."""
    with served(application()) as url:
        draft = guess(httpx.get(f"{url}/openapi.json").json())
        with gofer.Client(url, contract=said(draft.text), poll=wait_fixed(0.01)) as client:
            outcome = client.run({"text": "cats", "year": 2001}, to=str(tmp_path / "x.png"), timeout=60)
    assert outcome.path.read_bytes() == b"a picture of cats"
    assert draft.missing == ()
    assert draft.text.count("# ?") == 1
    assert 'running = ["crunched", "cancelling"]  # ? what crunched means' in draft.text
    assert parse(draft.text, "x").cancel.url.text == "{base}/jobs/{id}/cancel"


def test_a_link_in_the_answers_head_is_polled():
    """As the vendor's own mark and header say; what comes in the end is the result."""

    def answer(call):
        if call.method == "PUT":
            return http(202, operation_location="/operations/9")
        assert path_of(call) == "/operations/9"
        return as_json({"name": "one"})

    outcome, calls = run(guess(AZURE).text, answer, {"name": "one", "body": {"size": 3}})
    assert outcome.value == {"name": "one"}
    assert (path_of(calls[0]), json.loads(calls[0].body)) == ("/things/one", {"size": 3})


def test_a_draft_finds_states_and_results_by_references():
    """The id in its place, the words by their meanings, the key that every request carries."""

    def answer(call):
        assert call.headers["x-key"] == "s3"
        if path_of(call).endswith("/results"):
            return as_json({"sum": 3})
        return as_json({"jobID": "7", "status": "accepted" if call.method == "POST" else "successful"}, 201)

    draft = guess(OGC).text
    outcome, _ = run(draft, answer, {"processId": "add", "body": {"inputs": {}}}, api_key="s3")
    assert outcome.value == {"sum": 3}
    assert "pass auth=" in draft
    assert "of = 100\n" in draft


def test_parts_of_the_address_are_kept_from_the_input():
    """Files go into a multipart body, and the key of the submission into its header."""

    def answer(call):
        if call.method == "POST":
            assert call.headers["idempotency-key"]
            assert b'name="file"' in call.body
            return as_json({"id": "7", "state": "PENDING"}, 200)
        assert path_of(call) == "/projects/p%201/tasks/7/status"
        return as_json({"state": "SUCCESS", "output": [1]})

    draft = guess(NESTED).text
    outcome, _ = run(draft, answer, {"project": "p 1", "file": b"abc"})
    assert outcome.value == [1]
    assert '"ODD"' in draft
    assert "what ODD means" in draft


def test_the_reference_services_own_document_brings_a_paper(tmp_path):
    """With its idempotency key, its states, its reasons and its file."""
    with contract_server() as url:
        draft = guess(httpx.get(f"{url}/openapi.json").json())
        with gofer.Client(url, contract=said(draft.text), poll=wait_fixed(0.01)) as client:
            outcome = client.run({"doi": "10.5555/quick"}, to=str(tmp_path / "x.pdf"), timeout=60)
            with pytest.raises(gofer.JobFailed, match="no source has"):
                client.run({"doi": "10.5555/notfound"}, timeout=60)
    assert outcome.path.read_bytes() == content("10.5555/quick")
    assert parse(draft.text, "x").submit.idempotent


@pytest.mark.parametrize("root", [None, [], {}, {"swagger": "2.0"}, {"openapi": 3}, {"openapi": "4.0"}])
def test_what_is_no_openapi_document_is_a_usage_error(root):
    """Of version 3, which the message says."""
    with pytest.raises(gofer.UsageError, match="version 3"):
        guess(root)


def test_a_document_without_jobs_gives_placeholders():
    """The page can be checked all the same, and the draft says what was not found."""
    draft = guess(document({"/health": {"get": gives(200, {"type": "object"})}}))
    assert draft.missing == ("the submission", "the status request")
    parse(draft.text, "x")


FASTAPI = application().openapi()


def values(rng, depth):
    """Any value that JSON can have, with names and references of OpenAPI among them."""
    words = [
        "$ref",
        "#/paths",
        "#/a/b",
        "get",
        "post",
        "202",
        "schema",
        "properties",
        "status",
        "enum",
        "{x}",
        "/a/{b}",
    ]
    words += [
        "content",
        "application/json",
        "responses",
        "allOf",
        "parameters",
        "name",
        "in",
        "path",
        'a"b\\\n{',
        "\ud800",
    ]
    kind = rng.randrange(8 if depth else 4)
    if kind < 2:
        return rng.choice([None, True, 7, -1.5, "", *words])
    if kind < 4:
        return rng.choice(words)
    if kind < 6:
        return [values(rng, depth - 1) for _ in range(rng.randrange(4))]
    return {rng.choice(words): values(rng, depth - 1) for _ in range(rng.randrange(6))}


def spoilt(rng, value, depth=0):
    """A document of which some parts were replaced by anything."""
    if rng.random() < 0.06:
        return values(rng, 4)
    if isinstance(value, dict):
        return {rng.choice([name, name, name, "{x}", "/{a}/b"]): spoilt(rng, one) for name, one in value.items()}
    return [spoilt(rng, one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("seed", range(16))
def test_any_document_gives_a_page_that_can_be_read(seed):
    """Whatever is in it: wrong types, names that need quotes, references in a circle."""
    rng = random.Random(seed)
    for _ in range(10):
        root = spoilt(rng, rng.choice([OGC, NESTED, AZURE, FASTAPI, DESCRIPTION]))
        if isinstance(root, dict):
            parse(guess({**root, "openapi": "3.0.3"}).text, "x")


def test_hostile_documents_end():
    """References in a circle, schemas within schemas without end, thousands of paths that begin alike."""
    circle = {"allOf": [{"$ref": "#/components/schemas/a"}] * 1000, "properties": {"status": {"$ref": "#/x"}}}
    paths = {f"/jobs/{'{a}/' * n}": {"get": gives(200, {"$ref": "#/components/schemas/a"})} for n in range(500)}
    paths |= {f"/jobs{n}": {"post": gives(202, {"$ref": "#/components/schemas/a"})} for n in range(5000)}
    root = document({"/jobs/{id}": {"get": gives(200, circle)}, **paths}, components={"schemas": {"a": circle}})
    root["x"] = {"$ref": "#/x"}
    parse(guess(root).text, "x")


def invoke(*args: str) -> Any:
    """Run `gofer contract guess`."""
    return CliRunner().invoke(command, ["contract", "guess", *args])


def test_the_command_writes_a_new_file(tmp_path):
    """It replaces nothing, and a placeholder is said with exit code 1."""
    source, target = tmp_path / "openapi.json", tmp_path / "draft.toml"
    source.write_text(json.dumps(OGC))
    assert invoke(str(source), "-o", str(target)).exit_code == 0
    assert parse(target.read_text(), "x").name == "things"
    again = invoke(str(source), "-o", str(target))
    assert (again.exit_code, "cannot be written" in again.output) == (2, True)
    source.write_text(json.dumps(document({})))
    nothing = invoke(str(source))
    assert (nothing.exit_code, "the submission" in nothing.output) == (1, True)


@pytest.mark.parametrize(("text", "words"), [("openapi: [", "neither"), ("[" * 100_000, "no JSON"), ("", "no JSON")])
def test_the_command_says_what_is_no_document(tmp_path, text, words):
    """With exit code 2."""
    source = tmp_path / "openapi.yaml"
    source.write_text(text)
    ran = invoke(str(source))
    assert (ran.exit_code, words in ran.output) == (2, True)


YAML = """
openapi: 3.0.3
info: {title: Things}
paths:
  /jobs:
    post: &answer
      responses:
        202: {content: {application/json: {schema: {properties: {id: {}, state: {}, since: {example: 2020-01-01}}}}}}
  /jobs/{id}:
    get: *answer
"""


def test_yaml_is_read_where_pyyaml_is_installed(tmp_path, monkeypatch):
    """With numbers as keys, dates and aliases; without PyYAML the message says what to do."""
    source = tmp_path / "openapi.yaml"
    source.write_text(YAML)
    assert 'state = "/state"' in invoke(str(source)).output
    monkeypatch.setitem(sys.modules, "yaml", None)
    ran = invoke(str(source))
    assert (ran.exit_code, "convert it to JSON" in ran.output) == (2, True)


def test_a_yaml_document_that_contains_itself_ends(tmp_path):
    """Aliases of aliases are not written out."""
    circle = "openapi: 3.1.0\npaths: &a {/jobs: {post: *a, responses: *a}, b: *a}\n"
    bomb = "openapi: 3.1.0\na0: &a0 [x, x]\n" + "".join(f"a{n + 1}: &a{n + 1} [*a{n}, *a{n}]\n" for n in range(60))
    for text in (circle, bomb):
        source = tmp_path / "openapi.yaml"
        source.write_text(text)
        assert invoke(str(source)).exit_code == 1
