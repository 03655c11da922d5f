"""Which request applies to a job, jobs that are done with their submission's answer, and submissions that exist."""

import httpx
import pytest

import gofer
from gofer import Head, Ref
from support.declared import BY_CODE, PLAIN, Answering, as_json, client_of, path_of, query_of, said, sent_to
from support.raw_server import http

BASE = Answering.url
BOTH = {"azure_asyncoperation": f"{BASE}/monitor", "location": f"{BASE}/not-to-be-asked"}
THING = {"id": "100", "name": "foo"}


def azure(face, answer, method):
    """Run one operation by the shipped page."""
    server = Answering(answer)
    client = client_of(face, server, "azure-lro")
    return server, lambda: client.run({"method": method, "path": "thing"}, timeout=20)


def test_the_last_location_is_the_result(virtual_face):
    """A PUT that is polled at its Location ends with that answer; its own address is not asked."""

    def answer(call):
        if call.method == "PUT":
            return http(202, location=f"{BASE}/location")
        return as_json(THING) if path_of(call) == "/location" else http(404)

    server, run = azure(virtual_face, answer, "PUT")
    assert run().value == THING
    assert [path_of(call) for call in server.calls] == ["/thing", "/location"]


def test_a_deletion_has_no_result_to_be_asked_for(virtual_face):
    """Once the monitor says that it is deleted, the other address is left alone; other methods use it."""

    def answer(call):
        if call.method != "GET":
            return http(202, **BOTH)
        return as_json({"status": "Succeeded"} if path_of(call) == "/monitor" else THING)

    server, run = azure(virtual_face, answer, "DELETE")
    assert run().value is None
    assert sent_to(server, "/not-to-be-asked") == []
    _, run = azure(virtual_face, answer, "POST")
    assert run().value == THING


@pytest.mark.parametrize("emptied", ["", "[[result]]\n"], ids=["no result", "an empty result"])
def test_a_file_that_comes_with_the_code_of_success_is_the_result(virtual_face, tmp_path, emptied):
    """It is not read as a status, and not lost; a code without a body has no file."""
    picture = b"\x89PNG\r\n\x1a\n" + bytes(3_000_000)

    def answer(call):
        if path_of(call) == "/jobs":
            return as_json({"me": "/picture"}, 202)
        return http(200, picture, content_type="image/png")

    client = client_of(virtual_face, Answering(answer), said(BY_CODE + emptied))
    outcome = client.run({}, to=str(tmp_path / "x.png"), timeout=20)
    assert (outcome.value, outcome.path.read_bytes()) == (None, picture)
    nothing = Answering(lambda call: as_json({"me": "/picture"}, 202) if call.method == "POST" else http(204))
    outcome = client_of(virtual_face, nothing, said(BY_CODE + emptied)).run({}, timeout=20)
    assert (outcome.value, outcome.files) == (None, ())


DONE = [(201, {"properties": {"provisioningState": "Succeeded"}, "id": "100"}), (200, {"id": "100"})]


@pytest.mark.parametrize(("status", "document"), DONE)
def test_a_submission_that_is_answered_with_the_end_is_not_polled(virtual_face, status, document):
    """The answer is read as one to the status request would be, and is the result."""
    server, run = azure(virtual_face, lambda _: as_json(document, status), "PUT")
    assert run().value == document
    assert len(server.calls) == 1


def test_a_submission_that_is_answered_with_a_failure_is_one(virtual_face):
    """The words of the answer are in the error."""
    failed = {"properties": {"provisioningState": "Failed"}, "error": {"code": "x", "message": "no quota"}}
    server, run = azure(virtual_face, lambda _: as_json(failed), "PUT")
    with pytest.raises(gofer.JobFailed, match="no quota"):
        run()
    assert len(server.calls) == 1


def test_a_code_of_success_does_not_end_a_job_that_was_just_made(virtual_face):
    """A 201 with a Location has made the job; only the Location's own answer ends it."""

    def answer(call):
        return http(201, location=f"{BASE}/location") if call.method == "POST" else as_json(THING)

    server, run = azure(virtual_face, answer, "POST")
    assert run().value == THING
    assert len(server.calls) == 2


NAMED = PLAIN.replace('url = "{base}/jobs"', 'url = "{base}/jobs?name={key}"\nidempotent = true').replace(
    'id = "/id"', "id = 'sent:POST ~ name=(.+)$'"
)


def named(code, *, made):
    """A service that takes the caller's name for a job, and loses its first answer if it has made one."""
    jobs = []

    def answer(call):
        if call.method == "POST":
            if not made or jobs:
                return as_json({"message": "The name already exists."}, code)
            jobs.append(query_of(call)["name"])
            raise httpx.ReadError("cut")
        return as_json({"id": path_of(call).rpartition("/")[2], "state": "done"}) if jobs else http(404)

    return Answering(answer), jobs


@pytest.mark.parametrize("code", [400, 409, 422])
def test_a_repeated_submission_that_exists_is_gone_on_with(virtual_face, code):
    """The caller's key is the job's name, so the job is found without its answer."""
    server, jobs = named(code, made=True)
    assert client_of(virtual_face, server, said(NAMED)).run({}, timeout=20).job_id == jobs[0]


@pytest.mark.parametrize("code", [400, 409, 422])
def test_a_first_submission_that_exists_is_refused(virtual_face, code):
    """That job is somebody else's."""
    server, _ = named(code, made=False)
    with pytest.raises(gofer.Rejected):
        client_of(virtual_face, server, said(NAMED)).run({}, timeout=20)
    assert len(server.calls) == 1


def test_a_repeated_submission_that_is_refused_for_another_reason_is_uncertain(virtual_face):
    """A code that says nothing about the job leaves the caller to look."""
    server, _ = named(403, made=True)
    with pytest.raises(gofer.SubmitUncertain):
        client_of(virtual_face, server, said(NAMED)).run({}, timeout=20)


LISTED = BY_CODE + '[result.files]\nunder = "/output"\nurl = "/url"\n'


@pytest.mark.parametrize("length", [None, "50", "5000000"])
def test_a_document_that_comes_with_the_code_of_success_is_read_where_it_names_the_files(length):
    """Whatever its length, which a chunked answer does not say; another type is the file."""
    contract, job = said(LISTED), Ref("7", {"me": f"{BASE}/jobs/7"})
    headers = {} if length is None else {"content-length": length}
    for kind in ("application/json", "application/fhir+json", ""):
        assert contract.is_document(job, "poll", Head(BASE, 200, {"content-type": kind, **headers}))
    assert not contract.is_document(job, "poll", Head(BASE, 200, {"content-type": "image/png", **headers}))
