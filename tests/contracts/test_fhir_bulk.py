"""The shipped page `fhir-bulk`, against a model of FHIR Bulk Data Access 2.0 after the guide's own examples.

The page was held against smart-fetch 1.0.3, a client of SMART Health IT. It sent this model the requests that gofer
sends with `discard=True`: the same methods, addresses and headers, but for these. It asks for `/metadata` first, which
tells it what the server is. It asks for the manifest once, and for files with `Accept: application/fhir+ndjson`, which
is the default; those of `error` come before those of `deleted`. `nox -s dialects` tests the page with sekmet-fhir.
"""

import json

import pytest

import gofer
from support.declared import Answering, as_json, client_of, here, path_of, query_of, sent_to
from support.raw_server import http

ORDER = {"path": "Group/g1/$export", "_type": "Patient,Observation", "_since": "2026-01-01T00:00:00Z"}
SENT = "/fhir/Group/g1/$export?_type=Patient%2CObservation&_since=2026-01-01T00%3A00%3A00Z"
PATIENTS = b'{"resourceType":"Patient","id":"1"}\n{"resourceType":"Patient","id":"2"}\n'
FILES = {
    "/out/patient_1.ndjson": PATIENTS,
    "/out/patient_2.ndjson": PATIENTS.replace(b'"1"', b'"3"'),
    "/out/4711": b'{"resourceType":"Observation","id":"4"}\n',
    "/out/del_1.ndjson": b'{"resourceType":"Bundle","type":"transaction"}\n',
    "/out/err_1.ndjson": b'{"resourceType":"OperationOutcome","issue":[]}\n',
}
LISTS = {
    "output": {"/out/patient_1.ndjson": "Patient", "/out/patient_2.ndjson": "Patient", "/out/4711": "Observation"},
    "deleted": {"/out/del_1.ndjson": "Bundle"},
    "error": {"/out/err_1.ndjson": "OperationOutcome"},
}
FHIR = {"content_type": "application/fhir+json"}


def outcome(code, text, **more):
    """An OperationOutcome, as the guide shows it."""
    return {
        "resourceType": "OperationOutcome",
        "issue": [{"severity": "error", "code": code, "details": {"text": text}, **more}],
    }


class Exports:
    """A server whose export answers each look with the next of these replies, and then with its manifest."""

    def __init__(self, *looks, lists=LISTS):
        self.looks, self.lists, self.there = list(looks), lists, True

    def __call__(self, call):
        """Answer one request."""
        path = path_of(call)
        if path == "/fhir/metadata":
            return as_json({"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1"})
        if path.endswith("/$export"):
            if "Bogus" in call.path:
                return as_json(outcome("not-supported", "", diagnostics="No such type: Bogus"), 400, **FHIR)
            return http(202, content_location=f"{here(call)}/fhir/status/77")
        if path in FILES:
            return http(200, FILES[path], content_type="application/fhir+ndjson")
        if not self.there:
            return as_json(outcome("not-found", "There is no such export."), 404, **FHIR)
        if call.method == "DELETE":
            self.there = False
            return http(202)
        return self.looks.pop(0) if self.looks else as_json(self.manifest(call))

    def manifest(self, call):
        """Say which files there are."""
        lists = {
            name: [{"type": kind, "url": here(call) + path} for path, kind in files.items()]
            for name, files in self.lists.items()
        }
        more = {"extension": {"url": "https://example.com/extra-property"}}
        return {"transactionTime": "2026-01-01T00:00:00Z", "request": "", "requiresAccessToken": True, **lists, **more}


def at(progress):
    """A look at an export that goes on."""
    return http(202, x_progress=progress, retry_after="1")


def exports(face, *looks, contract="fhir-bulk", **options):
    """The server without a socket, and a client of it."""
    server = Answering(Exports(*looks))
    server.url += "/fhir"
    return server, client_of(face, server, contract, **options)


def test_an_export_brings_all_files_of_its_manifest(virtual_face, tmp_path):
    """Named by their addresses, or by the type of their resources; what the manifest has besides is no file."""
    server, client = exports(virtual_face, at("in progress"), auth="a-token", discard=True)
    done = client.run(ORDER, to=f"{tmp_path}/out/", timeout=20)
    assert [(file.path.name, file.path.read_bytes()) for file in done.files] == [
        ("patient_1.ndjson", FILES["/out/patient_1.ndjson"]),
        ("patient_2.ndjson", FILES["/out/patient_2.ndjson"]),
        ("Observation", FILES["/out/4711"]),
        ("del_1.ndjson", FILES["/out/del_1.ndjson"]),
        ("err_1.ndjson", FILES["/out/err_1.ndjson"]),
    ]
    assert done.value["transactionTime"] == "2026-01-01T00:00:00Z"
    looks = [("GET", "/fhir/status/77")] * 3
    files = [("GET", path) for path in FILES]
    assert [(call.method, call.path) for call in server.calls] == [
        *(("GET", SENT), *looks, *files),
        ("DELETE", "/fhir/status/77"),
    ]
    kickoff, look = server.calls[:2]
    assert (kickoff.headers["accept"], kickoff.headers["prefer"], kickoff.body) == (
        *("application/fhir+json", "respond-async"),
        b"",
    )
    assert "content-type" not in kickoff.headers
    assert look.headers["accept"] == "application/json"
    assert {call.headers["authorization"] for call in server.calls} == {"Bearer a-token"}


def test_an_export_without_files_has_succeeded(any_face, serve):
    """Nothing fitted what was asked for."""
    server = serve(Exports(at("1%"), lists={"output": {}, "error": {}}))
    client = client_of(any_face, f"{server.url}/fhir", "fhir-bulk")
    done = client.run(ORDER, timeout=60)
    assert (done.files, done.value["output"]) == ((), [])


@pytest.mark.parametrize(("said", "share"), [("50% complete", 0.5), ("in progress", None), ("37.5 %", 0.375)])
def test_progress_is_a_percentage_or_a_text(virtual_face, said, share):
    """It is in a header of an answer without a body."""
    _, client = exports(virtual_face, *[at(said)] * 30)
    job = client.submit(ORDER)
    with pytest.raises(gofer.WaitTimeout):
        job.wait(timeout=2)
    assert (job.status, job.status.progress, job.status.message) == ("in progress", share, said)


def test_parameters_are_sent_by_post(virtual_face):
    """A resource of parameters is the body, if the method is POST."""
    parameters = {"resourceType": "Parameters", "parameter": [{"name": "_type", "valueString": "Patient"}]}
    server, client = exports(virtual_face, variables={"method": "POST"})
    client.run({"path": "Patient/$export", "parameters": parameters}, timeout=20)
    sent = server.calls[0]
    assert (sent.method, sent.path, json.loads(sent.body)) == ("POST", "/fhir/Patient/$export", parameters)
    assert sent.headers["content-type"] == "application/fhir+json"


def test_a_failed_export_says_why(virtual_face):
    """A 500 with an outcome is the end of the export."""
    _, client = exports(virtual_face, at("5%"), as_json(outcome("processing", "The disk is full."), 500, **FHIR))
    with pytest.raises(gofer.JobFailed, match="The disk is full") as failed:
        client.run(ORDER, timeout=20)
    assert failed.value.error_code == "processing"


@pytest.mark.parametrize(
    "reply",
    [
        as_json(outcome("transient", "Ask again."), 500, **FHIR),
        as_json(outcome("timeout", "Ask again."), 500, **FHIR),
        http(500, "<html>Oops</html>", content_type="text/html"),
        http(503),
        as_json(outcome("throttled", "Too often."), 429, retry_after="1", **FHIR),
    ],
    ids=["transient", "timeout", "a page", "503", "429"],
)
def test_a_status_request_that_fails_is_sent_again(virtual_face, reply):
    """An outcome that says so, and a failure of something in between, are not the end of the export."""
    server, client = exports(virtual_face, reply, reply)
    assert client.run(ORDER, timeout=60).value["requiresAccessToken"] is True
    assert len(sent_to(server, "/fhir/status/77")) == 4


def test_a_cancelled_export_is_gone(virtual_face):
    """The guide wants a 404 for it from then on."""
    server, client = exports(virtual_face, *[at("1%")] * 9)
    job = client.submit(ORDER)
    assert job.cancel() is True
    assert sent_to(server, "/fhir/status/77", "DELETE")
    assert (job.status, job.status.state) == ("cancelled", "cancelled")
    with pytest.raises(gofer.JobCancelled):
        job.result(timeout=20)


def test_a_refused_export_says_why(virtual_face):
    """The kick-off is refused with an outcome."""
    server, client = exports(virtual_face)
    with pytest.raises(gofer.Rejected, match="No such type: Bogus") as refused:
        client.submit({"path": "$export", "_type": "Bogus"})
    assert (refused.value.error_code, query_of(server.calls[0])) == ("not-supported", {"_type": "Bogus"})
