"""Services that send addresses or have them made of ids, each as a page of TOML: replicate, fal, batches."""

import json

import pytest

import gofer
from support.declared import as_json, client_of, example, here, path_of, sent_to
from support.raw_server import http

KEY = "k-5up3r-53cr3t"


class Replicate:
    """A queue like replicate's; `files` is another server's address."""

    def __init__(self, files, output=None):
        self.files, self.output = files, output
        self.cancelled = False

    def __call__(self, call):
        """Answer one request."""
        place = f"{here(call)}/predictions/p1"
        document = {"id": "p1", "input": {}, "error": None, "output": None}
        document["urls"] = {"get": place, "cancel": f"{place}/cancel", "web": "https://replicate.test/p/p1"}
        if call.path.endswith("/cancel"):
            self.cancelled = True
            return as_json({**document, "status": "canceled"})
        if call.method == "POST":
            if json.loads(call.body).get("version") is None:
                return as_json({"title": "Input validation failed", "detail": "- version is required\n"}, 422)
            return as_json({**document, "status": "starting"}, 201)
        if self.cancelled:
            return as_json({**document, "status": "canceled"})
        if call.nth == 1:
            return as_json({**document, "status": "processing"})
        if self.output == "error":
            return as_json({**document, "status": "failed", "error": "CUDA out of memory"})
        links = [f"{self.files}/out/out-{number}.png" for number in range(3)] if self.output is None else self.output
        return as_json({**document, "status": "succeeded", "output": links})


def images(call):
    """Give a small image at every address."""
    return http(200, b"\x89PNG " + path_of(call).encode(), content_type="image/png")


def test_a_list_of_links_is_a_folder_of_files(any_face, serve, tmp_path):
    """Addresses in the answer are used as they are; the files come from another origin, without credentials."""
    files = serve(images)
    server = serve(Replicate(files.url))
    client = client_of(any_face, server.url, example("queue-urls"), auth=KEY)
    outcome = client.run({"version": "v"}, to=f"{tmp_path}/out/", timeout=10)
    names = {path.name for path in outcome.path.iterdir()}
    assert names == {"out-0.png", "out-1.png", "out-2.png", "manifest.json"}
    assert all(KEY not in str(call.headers) for call in files.calls)
    assert all(call.headers["authorization"] == f"Bearer {KEY}" for call in server.calls)


@pytest.mark.parametrize("output", ["a text", {"text": "words"}, [], [1, 2]])
def test_an_output_without_links_is_a_value(blocking, serve, output):
    """What is no link is no file; the value is as it came."""
    client = client_of(blocking, serve(Replicate("", output)).url, example("queue-urls"))
    job = client.submit({"version": "v"})
    assert job.result(timeout=10) == output
    assert job.files == ()


def test_a_failed_prediction_says_why(blocking, serve):
    """An error in a document that came with 200."""
    client = client_of(blocking, serve(Replicate("", "error")).url, example("queue-urls"))
    with pytest.raises(gofer.JobFailed, match="CUDA out of memory"):
        client.run({"version": "v"}, timeout=10)


def test_cancelling_posts_to_the_address_that_was_handed_out(any_face, serve):
    """The word that follows is the service's own, in its own spelling."""
    server = serve(Replicate(""))
    job = client_of(any_face, server.url, example("queue-urls")).submit({"version": "v"})
    assert (job.cancel(), job.status, job.status.state) == (True, "canceled", "cancelled")
    assert [call.method for call in sent_to(server, "/predictions/p1/cancel")] == ["POST"]


def test_a_job_without_its_links_says_what_it_would_need(blocking, serve):
    """An id alone does not find a job whose addresses are handed out; the error is one of use, and nothing is sent."""
    server = serve(Replicate(""))
    with pytest.raises(gofer.UsageError, match=r"\{links\.get\}"):
        client_of(blocking, server.url, example("queue-urls")).job("p1").refresh()
    assert server.calls == []


def test_an_answer_without_its_links_is_no_answer(blocking, serve):
    """An id alone does not find the job, so the submission's answer is refused, by the key that found nothing."""
    server = serve(lambda call: as_json({"id": "p1", "status": "starting"}, 201))
    with pytest.raises(gofer.SubmitUncertain, match=r"queue-urls.toml:8: submit.links: nothing was found"):
        client_of(blocking, server.url, example("queue-urls")).run({}, timeout=5)
    assert len(server.calls) == 1


class Fal:
    """A queue like fal's: 202 while it works, and a response with what came of it."""

    def __init__(self, files="", response=None):
        self.files, self.response = files, response

    def __call__(self, call):
        """Answer one request."""
        if call.headers.get("authorization") != f"Key {KEY}":
            return as_json({"detail": "no key"}, 401)
        place = f"{here(call)}/queue/requests/r1"
        if call.method == "POST":
            links = {"status_url": f"{place}/status", "response_url": place, "cancel_url": f"{place}/cancel"}
            return as_json({"request_id": "r1", "status": "IN_QUEUE", "queue_position": 0, **links})
        if call.path.endswith("/cancel"):
            return as_json({"status": "ALREADY_COMPLETED"}, 400)
        if call.path.endswith("/status"):
            return as_json({"status": "IN_PROGRESS"}, 202) if call.nth == 1 else as_json({"status": "COMPLETED"})
        if self.response is not None:
            return self.response
        return as_json({"images": [{"url": f"{self.files}/a.png", "content_type": "image/png"}], "seed": 7})


def fal_client(face, url):
    """Give a client for the model of fal."""
    return client_of(face, url, example("queue-response"), variables={"api_key": KEY})


def test_the_response_lies_at_the_address_that_was_handed_out(any_face, serve, tmp_path):
    """202 and 200 are both read; the file in the response comes from another origin, without the key."""
    files = serve(images)
    client = fal_client(any_face, serve(Fal(files.url)).url)
    outcome = client.run({"model": "fal-ai/flux", "arguments": {"prompt": "a"}}, to=str(tmp_path / "a.png"), timeout=10)
    assert outcome.path.read_bytes() == b"\x89PNG /a.png"
    assert outcome.value["seed"] == 7
    assert "authorization" not in files.calls[0].headers


@pytest.mark.parametrize("status", [422, 500])
def test_completed_may_have_failed(any_face, serve, status):
    """A response with the model's own refusal makes the job failed, with its words, at once."""
    server = serve(Fal(response=as_json({"detail": "prompt is too long"}, status, x_error_type="bad_prompt")))
    with pytest.raises(gofer.JobFailed, match="prompt is too long") as failed:
        fal_client(any_face, server.url).run({"model": "m", "arguments": {}}, timeout=10)
    assert failed.value.error_code == "bad_prompt"
    assert len(sent_to(server, "/queue/requests/r1")) == 1


def test_a_refused_cancellation_is_an_error(blocking, serve):
    """400 to the cancellation says that it came too late."""
    job = fal_client(blocking, serve(Fal()).url).submit({"model": "m", "arguments": {}})
    with pytest.raises(gofer.Rejected):
        job.cancel()


def batches(call):
    """Answer as OpenAI's batches: the document names files by their ids."""
    batch = {"id": "batch_1", "object": "batch", "output_file_id": None, "error_file_id": None}
    if path_of(call) == "/v1/files/file-out/content":
        return http(200, b'{"id": 1}\n{"id": 2}\n', content_type="application/octet-stream")
    if path_of(call) == "/v1/files/file-err/content":
        return http(200, b'{"error": 1}\n', content_type="application/octet-stream")
    if call.path.endswith("/cancel"):
        return as_json({**batch, "status": "cancelling"})
    if call.method == "POST":
        order = json.loads(call.body)
        return as_json({**batch, "id": order["input_file_id"], "status": "validating"})
    errors = {"data": [{"code": "invalid_json", "message": "line 3 is no JSON"}]}
    if "bad" in call.path:
        return as_json({**batch, "status": "failed", "errors": errors})
    done = {"error_file_id": "file-err"} if "err" in call.path else {"output_file_id": "file-out"}
    return as_json({**batch, **done, "status": "in_progress" if call.nth == 1 else "completed"})


@pytest.mark.parametrize(("given", "lines"), [("file-1", 2), ("file-err-1", 1)])
def test_an_id_in_the_document_becomes_the_address_of_a_file(any_face, serve, tmp_path, given, lines):
    """The link is made of the id; where there is no output, the file of errors is the next best place."""
    client = client_of(any_face, f"{serve(batches).url}/v1", example("batch"), auth=KEY)
    outcome = client.run({"input_file_id": given}, to=str(tmp_path / "out.jsonl"), timeout=10)
    assert outcome.path.read_bytes().count(b"\n") == lines


def test_a_batch_that_is_cancelling_is_not_cancelled_yet(blocking, serve):
    """The answer's word counts: the job goes on until the service says otherwise."""
    job = client_of(blocking, f"{serve(batches).url}/v1", example("batch")).submit({"input_file_id": "file-1"})
    assert (job.cancel(), job.status, job.status.done) == (True, "cancelling", False)


def test_a_batch_says_what_was_wrong_with_its_file(blocking, serve):
    """Words and code out of a nested list."""
    client = client_of(blocking, f"{serve(batches).url}/v1", example("batch"))
    with pytest.raises(gofer.JobFailed, match="line 3 is no JSON") as failed:
        client.run({"input_file_id": "bad"}, timeout=10)
    assert failed.value.error_code == "invalid_json"
