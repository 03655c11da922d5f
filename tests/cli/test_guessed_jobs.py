"""What `gofer contract guess` finds in the ways in which services differ: each draft runs a job as it was written."""

import json
from typing import Any

import pytest

from gofer.cli.drafting.page import guess
from gofer.cli.drafting.sent import FAMILIES
from gofer.cli.drafting.words import meaning, sorted_by_meaning
from gofer.contracts.declared import shipped
from gofer.contracts.declared.toml import parse
from support.declared import as_json, here, path_of, query_of
from support.raw_server import http

from .test_guess import document, gives, run

WORDS = {"type": "string", "enum": ["queued", "working", "done", "failed"]}


def members(*names: str, **more: Any) -> dict[str, Any]:
    """The schema of an object with these texts, and more members."""
    return {"type": "object", "properties": {**{name: {"type": "string"} for name in names}, **more}}


def takes(schema: dict[str, Any], kind: str = "application/json") -> dict[str, Any]:
    """The body of an operation."""
    return {"requestBody": {"content": {kind: {"schema": schema}}}}


def parameter(name: str, place: str, **more: Any) -> dict[str, Any]:
    """A parameter of an operation."""
    return {"name": name, "in": place, **more}


def drafted(root: dict[str, Any]) -> Any:
    """The declaration that is guessed."""
    return parse(guess(root).text, "x")


def test_a_job_within_an_envelope_is_found(tmp_path):
    """Its id, its state, its error, and the address of its file, beside the state."""
    inner = members("id", "status", "error", "url", status=WORDS)
    paths = {
        "/render": {"post": {**takes(members("edit")), **gives(201, members("message", response=members("id")))}},
        "/render/{id}": {"get": gives(200, members("message", response=inner))},
        "/assets/{id}": {"get": gives(200, members(data=members("id", "status"))), "delete": gives(204)},
    }

    def answer(call):
        if call.method == "POST":
            return as_json({"message": "", "response": {"id": "7"}}, 201)
        if path_of(call) == "/out.mp4":
            return http(200, b"film", content_type="video/mp4")
        assert path_of(call) == "/render/7"
        return as_json({"response": {"id": "7", "status": "done", "url": f"{here(call)}/out.mp4"}})

    text = guess(document(paths)).text
    outcome, _ = run(text, answer, {"edit": "x"}, tmp_path / "x.mp4")
    assert outcome.path.read_bytes() == b"film"
    assert parse(text, "x").status.error[0].text == "/response/error"
    assert "[cancel]" not in text


def test_addresses_beside_each_other_are_one_job(tmp_path):
    """As in /status/{id}, /result/{id} and /cancel/{id}; a wait in seconds is a long poll."""
    job = members("id", "status", status=WORDS)
    wait = parameter("wait", "query", schema={"type": "number"})
    paths = {
        "/v1/{endpoint}/sync": {"post": {**takes(members("input")), **gives(200, job)}},
        "/v1/{endpoint}/enqueue": {"post": {**takes(members("input")), **gives(200, members("id"))}},
        "/v1/{endpoint}/status/{job}": {"get": {"parameters": [wait], **gives(200, job)}},
        "/v1/{endpoint}/result/{job}": {"get": gives(200, members("answer"))},
        "/v1/{endpoint}/cancel/{job}": {"post": gives(200, job)},
        "/v1/{endpoint}/purge": {"post": gives(200, members("status"))},
    }

    def answer(call):
        if call.method == "POST":
            assert (path_of(call), json.loads(call.body)) == ("/v1/e%201/enqueue", {"input": "x"})
            return as_json({"id": "7", "status": "queued"})
        if path_of(call) == "/v1/e%201/result/7":
            return as_json({"answer": "42"})
        assert path_of(call) == "/v1/e%201/status/7"
        assert query_of(call)["wait"]
        return as_json({"id": "7", "status": "done"})

    text = guess(document(paths)).text
    outcome, _ = run(text, answer, {"endpoint": "e 1", "input": "x"})
    assert outcome.value == {"answer": "42"}
    assert parse(text, "x").cancel.url.text == "{base}/v1/{values.endpoint}/cancel/{id}"


def test_a_job_that_has_to_be_started_is_started(tmp_path):
    """The id is the end of its address; the opposite of the start stops it; files are listed in its results."""
    state = {"type": "string", "enum": ["created", "queued", "running", "finished", "error", "canceled"]}
    link = {"headers": {"Location": {}}}
    assets = {"type": "object", "additionalProperties": members("href", "type")}
    paths = {
        "/jobs": {"post": {**takes({"type": "object"}), **gives(201, **link)}},
        "/jobs/{job_id}": {
            "get": gives(200, {"allOf": [members("id", status=state), members("process")]}),
            "patch": gives(204),
            "delete": gives(204),
        },
        "/jobs/{job_id}/logs": {"get": gives(200, members("logs"))},
        "/jobs/{job_id}/results": {
            "get": gives(200, members("id", assets=assets)),
            "post": gives(202),
            "delete": gives(204),
        },
        "/services": {"post": {**takes({"type": "object"}), **gives(201, **link)}},
        "/services/{service_id}": {"get": gives(200, members("id", "url")), "delete": gives(204)},
    }
    started = []

    def answer(call):
        if path_of(call) == "/jobs":
            return http(201, location=f"{here(call)}/jobs/7")
        if path_of(call) == "/jobs/7/results" and call.method == "POST":
            started.append(call)
            return http(202)
        if path_of(call) == "/jobs/7/results":
            return as_json({"id": "7", "assets": {"a.tif": {"href": "/a"}, "b.tif": {"href": "/b"}}})
        if path_of(call) in ("/a", "/b"):
            return http(200, path_of(call), content_type="image/tiff")
        return as_json({"id": "7", "status": "finished" if started else "created"})

    text = guess(document(paths)).text
    outcome, _ = run(text, answer, {"process": {}}, tmp_path / "out/")
    assert sorted(file.path.name for file in outcome.files) == ["a.tif", "b.tif"]
    assert len(started) == 1
    cancel = parse(text, "x").cancel
    assert (cancel.url.text, cancel.method) == ("{base}/jobs/{id}/results", None)


@pytest.mark.parametrize(
    ("state", "doubt"),
    [
        ({"type": "string", "description": "One of `scraping`, `completed` or `failed`."}, "from a description"),
        ({"type": "string"}, "these are the usual ones"),
        ({"oneOf": [{"const": "scraping"}, {"const": "completed"}]}, ""),
        ({"anyOf": [{"$ref": "#/components/schemas/a~1word%20of"}, {"type": "null"}]}, ""),
    ],
)
def test_states_are_found_where_there_is_no_enum(state, doubt):
    """In a description, as constants, by a reference; or the usual ones are written."""
    paths = {
        "/crawl": {"post": {**takes(members("page_url")), **gives(200, members("id", "url"))}},
        "/crawl/{id}": {"get": gives(200, members("page_url", "url", status=state, data={"type": "array"}))},
    }

    def answer(call):
        done = {"status": "completed", "data": [1]}
        return as_json({"id": "7"} if call.method == "POST" else {"status": "scraping"} if call.nth == 1 else done)

    schemas = {"schemas": {"a/word of": {"enum": ["scraping", "completed", "failed"]}}}
    text = guess(document(paths, components=schemas)).text
    assert doubt in text
    assert bool(doubt) == ("# ? the document lists" in text or "# ? from" in text)
    assert run(text, answer, {"page_url": "x"})[0].value == [1]


def test_a_flag_is_a_state():
    """Some services say only whether a job is done."""
    job = members("name", done={"type": "boolean"}, error=members("message"), response={"type": "object"})
    paths = {"/tasks": {"post": gives(200, job)}, "/tasks/{name}": {"get": gives(200, job)}}

    def answer(call):
        done = {"name": "7", "done": True, "response": {"a": 1}}
        return as_json(done if call.method == "GET" and call.nth == 2 else {"name": "7"})

    text = guess(document(paths)).text
    assert run(text, answer, {})[0].value == {"a": 1}
    assert parse(text, "x").status.failed[0].text == "/error"


def test_an_address_in_the_answer_is_polled():
    """If no operation of the document asks for the status."""
    paths = {"/generate": {"post": gives(202, members("request_id", "status_url"))}}

    def answer(call):
        if call.method == "POST":
            return as_json({"request_id": "7", "status_url": f"{here(call)}/requests/7/status"}, 202)
        return as_json({"a": 1}, 202 if call.nth == 1 else 200)

    draft = guess(document(paths))
    assert draft.missing == ()
    assert run(draft.text, answer, {})[0].value == {"a": 1}


def test_a_put_names_its_job_itself():
    """The id is the one in the address that was sent."""
    job = members("jobId", state=WORDS)
    paths = {
        "/jobs/{job}": {"put": {**takes(members("name")), **gives(200, job)}, "get": gives(200, job)},
        "/jobs/{job}/CancelJob": {"post": gives(200)},
        "/jobs/{job}/retry": {"post": gives(202, job)},
    }

    def answer(call):
        assert path_of(call) == "/jobs/mine"
        return as_json({"jobId": "other", "state": "queued" if call.method == "PUT" else "done"})

    text = guess(document(paths)).text
    _, calls = run(text, answer, {"job": "mine", "name": "n"})
    assert json.loads(calls[0].body) == {"name": "n"}
    assert parse(text, "x").cancel.url.text == "{base}/jobs/{id}/CancelJob"


def test_a_submission_and_its_status_are_chosen_together():
    """Of two things that are made, the one that can be cancelled is the job; what changes a job is no submission."""
    job = members("id", "status")
    paths = {
        "/files": {"post": gives(200, job)},
        "/files/{id}": {"get": gives(200, job), "delete": gives(200, job)},
        "/models": {"post": gives(200, job)},
        "/models/{id}": {"get": gives(200, job), "patch": gives(202, job)},
        "/models/{id}/cancel": {"post": gives(202, job)},
        "/models/{id}/restart": {"post": gives(202, job)},
    }
    text = guess(document(paths)).text
    assert parse(text, "x").submit.url.text == "{base}/models"
    assert "# ? or POST /files\n" in text


def test_what_belongs_together_is_found_by_its_schema_and_its_path():
    """One schema for both answers joins them; a job within a thing that has a state too is a job."""
    operation = {"$ref": "#/components/schemas/operation"}
    paths = {"/analyses": {"post": gives(202, operation)}, "/operations/{op}": {"get": gives(200, operation)}}
    schemas = {"schemas": {"operation": members("id", status=WORDS)}}
    assert drafted(document(paths, components=schemas)).poll[0].url.text == "{base}/operations/{id}"
    paths = {
        "/threads": {"post": gives(200, members("thread_id", "status"))},
        "/threads/{thread_id}": {"get": gives(200, members("thread_id", "status")), "delete": gives(204)},
        "/threads/{thread_id}/runs": {"post": gives(200, members("run_id", "status", status=WORDS))},
        "/threads/{thread_id}/runs/{run_id}": {"get": gives(200, members("run_id", status=WORDS))},
        "/threads/{thread_id}/runs/{run_id}/cancel": {"post": gives(204)},
    }
    assert drafted(document(paths)).submit.url.text == "{base}/threads/{input.thread_id}/runs"


def test_an_address_that_can_be_nothing_else_is_asked_for_the_status():
    """Although there are operations that ask for one: the service says which of them it is."""
    link = {"headers": {"Operation-Location": {}}}
    paths = {
        "/read": {"post": {**takes({"type": "object"}), **gives(202, **link)}},
        "/texts/operations/{id}": {"get": gives(200, members(status=WORDS))},
        "/reads/operations/{id}": {"get": gives(200, members(status=WORDS, result={"type": "object"}))},
    }

    def answer(call):
        if call.method == "POST":
            return http(202, operation_location=f"{here(call)}/reads/operations/7?v=1")
        assert call.path == "/reads/operations/7?v=1"
        return as_json({"status": "done", "result": {"a": 1}})

    _, calls = run(guess(document(paths)).text, answer, {})
    assert len(calls) == 2


def test_every_request_carries_what_the_service_wants():
    """The security scheme of the submission and no other; parameters of all requests; headers of this one."""
    version = parameter("api-version", "query", required=True, schema={"type": "string", "enum": ["2024-05-01"]})
    tenant = parameter("X-Tenant", "header", required=True, schema={"type": "string"})
    paths = {
        "/jobs": {
            "post": {
                "parameters": [version, tenant, parameter("X-Mode", "header", required=True)],
                "security": [{"key": []}, {"token": []}],
                **gives(202, members("id")),
            }
        },
        "/jobs/{id}": {"get": {"parameters": [version, tenant], **gives(200, members(status=WORDS))}},
    }
    schemes = {"key": parameter("X-Key", "header", type="apiKey"), "token": {"type": "http"}, "old": {"type": "oauth2"}}
    servers = [{"url": "https://{region}.example.org/{v}", "variables": {"region": {"default": "eu"}}}]
    root = document(paths, components={"securitySchemes": schemes}, servers=servers)

    def answer(call):
        assert (query_of(call), call.headers["x-tenant"], call.headers["x-key"]) == (
            {"api-version": "2024-05-01"},
            "t",
            "k",
        )
        assert call.headers.get("x-mode") == ("fast" if call.method == "POST" else None)
        return as_json({"id": "7", "status": "queued" if call.method == "POST" else "done"})

    text = guess(root).text
    run(text, answer, {"X-Mode": "fast"}, X_Tenant="t", api_key="k")
    assert "https://eu.example.org/{v}" in text
    assert "auth=" not in text


def test_bodies_are_sent_as_the_document_says(tmp_path):
    """Lists of files by their names, bytes as they are, and no member that only answers have."""
    read_only = {"type": "string", "readOnly": True}
    files = {"type": "array", "items": {"type": "string", "format": "binary"}}
    job = gives(202, members("id", state=WORDS))
    bodies = [
        (takes(members("title", files=files), "multipart/form-data"), {"files": {"a.txt": b"aa"}, "title": "t"}),
        (takes({"type": "string"}, "audio/wav"), {"body": b"aa"}),
        (takes(members("title", id=read_only)), {"p": "p", "title": "t"}),
    ]
    sent = []
    for at, (body, request) in enumerate(bodies):
        path = "/{p}/jobs" if "p" in request else "/jobs"
        paths = {path: {"post": {**body, **job}}, f"{path}/{{id}}": {"get": gives(200, members(state=WORDS))}}

        def answer(call):
            return as_json({"id": "7", "state": "queued" if call.method == "POST" else "done"}, 202)

        _, calls = run(guess(document(paths)).text, answer, request)
        sent.append(calls[0])
        assert len(sent) == at + 1
    assert b'name="files"; filename="a.txt"' in sent[0].body
    assert (sent[1].headers["content-type"], sent[1].body) == ("audio/wav", b"aa")
    assert json.loads(sent[2].body) == {"title": "t"}
    assert "input.id" not in guess(document(paths)).text


def test_a_result_is_chosen_by_its_name_and_kind():
    """What went in, logs and thumbnails are not what came out."""
    binary = {"responses": {"200": {"content": {"text/plain": {}}}}}
    paths = {
        "/jobs": {"post": gives(201, members("id"))},
        "/jobs/{id}": {"get": gives(200, members(status=WORDS)), "delete": gives(204)},
        **{f"/jobs/{{id}}/{name}": {"get": binary} for name in ("data", "logs", "text", "transcript", "captions")},
    }
    assert drafted(document(paths)).result[0].url.text == "{base}/jobs/{id}/transcript"
    del paths["/jobs/{id}/transcript"], paths["/jobs/{id}/data"]
    text = guess(document(paths)).text
    assert 'url = "{base}/jobs/{id}/captions"  # ? whether it is the result' in text


def test_a_family_of_services_is_recognised():
    """The page says which declaration is there already, and an answer without a schema leaves a doubt, no gap."""
    remote = {"responses": {"201": {"$ref": "https://example.org/answer.yaml"}}}
    prefer = parameter("Prefer", "header", schema={"enum": ["respond-async"]})
    paths = {
        "/processes/add/execution": {"post": {"parameters": [prefer], **remote}},
        "/jobs/{jobId}": {"get": remote, "delete": remote},
        "/jobs/{jobId}/results": {"get": remote},
    }
    draft = guess(document(paths))
    assert "gofer contract show ogc-processes" in draft.text
    assert draft.missing == ()
    assert '"{base}/jobs/{id}"  # ? whether' in draft.text
    assert 'prefer = "respond-async"' in draft.text
    marked = document({"/x": {"put": {"x-ms-long-running-operation": True, **gives(202)}}})
    families = [line.split()[-1] for line in (draft.text + guess(marked).text).splitlines() if "contract show" in line]
    assert families == ["ogc-processes", "azure-lro"]
    assert {family for family, _ in FAMILIES} < set(shipped.names())


@pytest.mark.parametrize(
    ("words", "means"),
    [
        ("succeeded Complete DONE finished processed ready partial_success COMPLETED_WITH_ERRORS", "succeeded"),
        ("failed FAILURE error unsuccessful TIMED_OUT timeout expired SYSTEM_ERROR rejected", "failed"),
        ("cancelled CANCELED aborted dismissed deleted", "cancelled"),
        ("pending IN_QUEUE accepted notStarted created waiting enqueued", "pending"),
        ("running in_progress PROCESSING started cancelling rendering COMPLETING", "running"),
        ("incomplete unfinished not_ready unavailable UNKNOWN odd", "unsure"),
    ],
)
def test_words_are_sorted_by_what_they_mean(words, means):
    """In any case; a word with a negation in front is not taken for its opposite."""
    assert {word: meaning(word) for word in words.split()} == dict.fromkeys(words.split(), means)


def test_a_job_must_end_somehow():
    """If no word means success, the last one that sounds like an end does, with a doubt."""
    found = sorted_by_meaning(["in_progress", "transcribed", "failed", "FAILED"])
    assert found["succeeded"] == ["transcribed"]
    assert found["failed"] == ["failed"]
    assert sorted_by_meaning(["paused", "running"])["succeeded"] == []


ODD = [
    {"components": {"securitySchemes": {"a": {"type": "apiKey", "in": ["header"], "name": "X"}}}},
    {"components": {"securitySchemes": {"a": {"type": "apiKey", "in": "header", "name": "Y"}}}, "security": [[], 7]},
    {"paths": {"/jobs/{id}": {"get": gives(200, members("{x}_status", "a~b_status", "{y}_url"))}}},
    {"paths": {"/jobs/{id}": {"get": {"parameters": [parameter("key", "query", required=True)], **gives(200, {})}}}},
    {"servers": [{"url": 7}, {"url": "x\ny", "variables": []}], "info": {"title": "\u2028\ud800" * 99}},
    {
        "paths": {
            "/x/{a b}/job": {"post": {"x-ms-long-running-operation": True, **gives(202, members("id"))}},
            "/x/{a b}/job/{id}": {"get": gives(200, members(status=WORDS))},
        }
    },
    {"paths": {"/jo\nbs": {"post": gives(202, members("id"))}, "/jo\nbs/{id}": {"get": gives(200, members("status"))}}},
    {"paths": {"/jobs/{id": {"get": gives(200, members("status"))}, "/jobs}": {"post": gives(202)}}},
]


@pytest.mark.parametrize("odd", ODD)
def test_what_cannot_be_written_into_a_page_is_left_out(odd):
    """Names that are templates, parameters with gofer's own names, values of the wrong type."""
    job = members("id", "status")
    paths = {"/jobs": {"post": gives(202, job)}, "/jobs/{id}": {"get": gives(200, job)}}
    drafted({**document(paths), **odd, "paths": {**paths, **odd.get("paths", {})}})


def test_a_path_without_end_is_passed_over():
    """It could take the time that the rest of the document does not."""
    paths = {"/jobs" + "/a" * 1000: {"post": gives(202, members("id"))}}
    assert "the submission" in guess(document(paths)).missing
