"""The shipped page `openai-batches`, against a model of OpenAI's Batch API.

The page was held against the package `openai` 3.57.0: `batches.create`, `retrieve` and `cancel` and `files.content`
sent this model the requests that gofer sends: the same methods, addresses and bodies in the same order.
The headers differ in these: the package sends `Accept: application/binary` for files, `Content-Type` with the
cancellation, which has no body, and what it says of itself; gofer sends `Cache-Control: no-cache` with its polls and
`Want-Repr-Digest` with its downloads.
"""

import json

import pytest

import gofer
from support.declared import Answering, as_json, client_of, path_of, sent_to
from support.raw_server import http

ORDER = {
    "input_file_id": "file-in",
    "endpoint": "/v1/chat/completions",
    "completion_window": "24h",
    "metadata": {"night": "1"},
}
ANSWERS = b'{"custom_id":"1","response":{"status_code":200,"body":{}},"error":null}\n'
ERRORS = b'{"custom_id":"2","response":{"status_code":429,"body":{}},"error":null}\n'
WRONG = {"code": "invalid_json_line", "message": "This line is not parseable as valid JSON.", "line": 3, "param": None}
REFUSAL = {"message": "No such file.", "type": "invalid_request_error", "param": "input_file_id", "code": None}


def batch(status, **more):
    """A batch as the service shows it."""
    counts = {"total": 2, "completed": 1, "failed": 1}
    empty = {"errors": None, "output_file_id": None, "error_file_id": None, "metadata": ORDER["metadata"]}
    order = {"endpoint": ORDER["endpoint"], "input_file_id": "file-in", "completion_window": "24h"}
    return {"id": "batch_1", "object": "batch", "status": status, "request_counts": counts, **order, **empty, **more}


class Batches:
    """The service: a batch goes through these words, one for each look at it, and has these members at its end."""

    def __init__(self, *words, **end):
        self.words, self.end = list(words), end

    def __call__(self, call):
        """Answer one request."""
        path = path_of(call)
        if path == "/v1/batches" and call.method == "POST":
            if json.loads(call.body)["input_file_id"] != "file-in":
                return as_json({"error": REFUSAL}, 400)
            return as_json(batch("validating"))
        if path == "/v1/batches/batch_1/cancel" and call.method == "POST":
            self.words = ["cancelling", "cancelled"]
            return as_json(batch("cancelling"))
        if path == "/v1/batches/batch_1":
            word = self.words.pop(0) if len(self.words) > 1 else self.words[0]
            return as_json(batch(word, **({} if len(self.words) > 1 else self.end)))
        contents = {"/v1/files/file-out/content": ANSWERS, "/v1/files/file-err/content": ERRORS}
        if path in contents:
            return http(200, contents[path], content_type="application/octet-stream")
        return as_json({"error": {**REFUSAL, "message": "No batch found.", "code": "batch_not_found"}}, 404)


GOES_WELL = ("in_progress", "finalizing", "completed")


def batches(face, *words, **end):
    """The service without a socket, and a client of it."""
    server = Answering(Batches(*words, **end))
    server.url += "/v1"
    return server, client_of(face, server, "openai-batches", auth="sk-1")


def test_a_batch_brings_its_answers_and_its_errors(any_face, serve, tmp_path):
    """Both files are there, named by their ids; the requests are those of OpenAI's own package."""
    server = serve(Batches(*GOES_WELL, output_file_id="file-out", error_file_id="file-err"))
    client = client_of(any_face, f"{server.url}/v1", "openai-batches", auth="sk-1")
    outcome = client.run(ORDER, to=f"{tmp_path}/out/", timeout=20)
    assert outcome.value["request_counts"]["failed"] == 1
    assert [(file.path.name, file.path.read_bytes()) for file in outcome.files] == [
        ("file-out", ANSWERS),
        ("file-err", ERRORS),
    ]
    (sent,) = sent_to(server, "/v1/batches")
    assert (sent.method, json.loads(sent.body), sent.headers["content-type"]) == ("POST", ORDER, "application/json")
    looks = [("GET", "/v1/batches/batch_1", b"")] * 3
    files = [("GET", f"/v1/files/{name}/content", b"") for name in ("file-out", "file-err")]
    assert [(call.method, call.path, call.body) for call in server.calls[1:]] == looks + files
    assert {call.headers["authorization"] for call in server.calls} == {"Bearer sk-1"}


def test_a_batch_in_which_all_went_well_has_one_file(virtual_face, tmp_path):
    """Without errors there is no file of them."""
    _, client = batches(virtual_face, *GOES_WELL, output_file_id="file-out")
    outcome = client.run(ORDER, to=f"{tmp_path}/answers.jsonl", timeout=20)
    assert outcome.path.read_bytes() == ANSWERS


def test_a_batch_that_is_not_valid_has_failed(virtual_face):
    """The first error of its input is the reason."""
    _, client = batches(virtual_face, "validating", "failed", errors={"object": "list", "data": [WRONG]})
    with pytest.raises(gofer.JobFailed, match="not parseable") as failed:
        client.run(ORDER, timeout=20)
    assert failed.value.error_code == "invalid_json_line"


def test_a_batch_that_expired_has_partial_answers(virtual_face, tmp_path):
    """It has failed, and what it has answered until then can be had."""
    _, client = batches(virtual_face, "in_progress", "expired", output_file_id="file-out", error_file_id="file-err")
    job = client.submit(ORDER)
    with pytest.raises(gofer.JobFailed, match="expired"):
        job.result(timeout=20)
    assert [file.path.read_bytes() for file in job.partial(f"{tmp_path}/part/").files] == [ANSWERS, ERRORS]


def test_a_cancelled_batch_is_cancelled_once_it_says_so(virtual_face):
    """The service cancels in its own time: until then the batch runs."""
    server, client = batches(virtual_face, "in_progress")
    job = client.submit(ORDER)
    assert job.cancel() is True
    assert (job.status, job.status.state) == ("cancelling", "running")
    with pytest.raises(gofer.JobCancelled):
        job.result(timeout=20)
    (sent,) = sent_to(server, "/v1/batches/batch_1/cancel")
    assert (sent.method, sent.body) == ("POST", b"")


def test_a_refused_batch_says_why(virtual_face):
    """The type of the error stands for a code that is null; an unknown batch is not found."""
    _, client = batches(virtual_face, "in_progress")
    with pytest.raises(gofer.Rejected, match="No such file") as refused:
        client.submit({**ORDER, "input_file_id": "file-none"})
    assert refused.value.error_code == "invalid_request_error"
    with pytest.raises(gofer.NotFound, match="No batch found"):
        client.job("batch_2").refresh()
