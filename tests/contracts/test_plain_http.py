"""Services whose state is in no document, each as a page of TOML: an HTTP code, a header, plain text."""

import hashlib

import pytest

import gofer
from support.declared import as_json, client_of, example, form_of, here, path_of, sent_to
from support.raw_server import http

LARGE = b"".join(hashlib.sha256(bytes([number])).digest() for number in range(256)) * 400
"""A binary of 3.1 MiB: more than a status document may have."""


class Codes:
    """202 while it works; then what `done` is: the file in place of the status, or a redirect to it."""

    def __init__(self, done, kind="application/octet-stream"):
        self.done, self.kind = done, kind

    def __call__(self, call):
        """Answer one request."""
        place = f"{here(call)}/jobs/1"
        if call.method == "POST":
            return http(202, location="/jobs/1")
        if call.method == "DELETE":
            return http(204)
        if path_of(call) == "/files/1.bin":
            return http(200, LARGE, content_type=self.kind, etag='"1"')
        if call.nth == 1:
            return http(202, "working on it", content_type="text/plain", location=place)
        if self.done == 303:
            return http(303, location="/files/1.bin")
        if self.done == 500:
            return as_json({"message": "it fell over"}, 500)
        kind = {"content_type": self.kind} if self.kind else {}
        return http(200, LARGE, **kind)


@pytest.mark.parametrize("done", [200, 303])
def test_the_code_says_that_it_is_done_and_the_answer_is_the_file(any_face, serve, tmp_path, done):
    """A large file at the status address is not read as a status document, and then downloaded."""
    client = client_of(any_face, serve(Codes(done)).url, example("http-only"))
    outcome = client.run({}, to=str(tmp_path / "1.bin"), timeout=10)
    assert outcome.path.read_bytes() == LARGE
    assert outcome.verified == gofer.Verified.SIZE


@pytest.mark.parametrize("kind", ["", "application/json", "application/xml", "text/html"])
def test_a_large_file_at_the_status_address_is_left_alone_whatever_it_is(blocking, serve, kind):
    """The code is enough for the status, so no byte of the body is read for it."""
    job = client_of(blocking, serve(Codes(200, kind)).url, example("http-only")).submit({})
    assert job.wait(timeout=10) == "done"


def test_a_file_can_be_read_into_memory(any_face, serve):
    """What the code points to is a file like any other; more than was allowed for is refused."""
    job = client_of(any_face, serve(Codes(200)).url, example("http-only")).submit({})
    assert job.read(max_bytes=1 << 23, timeout=10) == LARGE
    (file,) = job.files
    assert (file.size, file.format) == (len(LARGE), "application/octet-stream")
    with pytest.raises(gofer.WrongFile):
        job.read(max_bytes=1 << 10, timeout=10)


def test_a_declared_code_may_mean_failure(blocking, serve):
    """A 500 that is declared is the job's end, and not a refusal that is tried again."""
    server = serve(Codes(500))
    with pytest.raises(gofer.JobFailed):
        client_of(blocking, server.url, example("http-only")).run({}, timeout=10)
    assert len(sent_to(server, "/jobs/1", "GET")) == 2


def test_the_id_of_a_job_that_has_none_is_the_end_of_its_address(blocking, serve):
    """The ticket holds the address; the id is for people."""
    client = client_of(blocking, serve(Codes(200)).url, example("http-only"))
    job = client.submit({})
    assert job.id == "1"
    assert client.attach(job.ticket).wait(timeout=10) == "done"


def headers(call):
    """Have the state in a header of a job whose body is something else; it ends at the third poll."""
    name = path_of(call).removeprefix("/jobs/")
    if call.method == "PUT":
        return http(201, content_location=f"/jobs/{name}")
    if call.method == "GET":
        return http(200, b"<not xml", content_type="text/xml")
    state = "working" if call.nth == 1 else "failed" if name == "bad" else "done"
    return http(200, x_job_state=state, x_job_reason="the disk is full")


def test_the_state_may_be_a_header(any_face, serve, tmp_path):
    """Asked for with HEAD; the result is the file, whatever its media type says."""
    client = client_of(any_face, serve(headers).url, example("header-state"))
    outcome = client.run({"name": "my job", "text": "x"}, to=str(tmp_path / "r"), timeout=10)
    assert outcome.path.read_bytes() == b"<not xml"
    assert outcome.job_id == "my%20job"


def test_the_reason_may_be_a_header_too(blocking, serve):
    """The reason of a failure is in another header."""
    client = client_of(blocking, serve(headers).url, example("header-state"))
    with pytest.raises(gofer.JobFailed, match="the disk is full"):
        client.run({"name": "bad", "text": "x"}, timeout=10)


def words(call):
    """Answer in plain text, with a line's end."""
    match path_of(call).split("/")[1:]:
        case ["run"] if "sequence" not in form_of(call):
            return http(400, "sequence is missing", content_type="text/plain")
        case ["run"]:
            return http(200, "blast-R1\n", content_type="text/plain")
        case ["status", "blast-R1"]:
            return http(200, ["QUEUED", "RUNNING", "FINISHED"][min(call.nth, 3) - 1] + "\n", content_type="text/plain")
        case ["status", _]:
            return http(200, "NOT_FOUND", content_type="text/plain")
    return http(200, "one\ntwo\n", content_type="text/plain")


def test_the_state_may_be_the_whole_answer(any_face, serve):
    """Id, state and result are plain text."""
    server = serve(words)
    outcome = client_of(any_face, server.url, example("text-state")).run({"sequence": "ACGT"}, timeout=10)
    assert (outcome.job_id, outcome.value) == ("blast-R1", "one\ntwo")
    assert len(sent_to(server, "/status/blast-R1")) == 3


def test_a_word_for_an_unknown_job_is_a_failure(blocking, serve):
    """NOT_FOUND comes with 200 here; declared as failed, it ends the waiting."""
    with pytest.raises(gofer.JobFailed, match="NOT_FOUND"):
        client_of(blocking, serve(words).url, example("text-state")).job("x").result(timeout=5)


def test_a_bare_text_can_be_written_to_a_file(blocking, serve, tmp_path):
    """An inline text is written as it is."""
    client = client_of(blocking, serve(words).url, example("text-state"))
    assert client.run({"sequence": "A"}, to=str(tmp_path / "o"), timeout=5).path.read_text() == "one\ntwo"
