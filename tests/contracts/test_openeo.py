"""The shipped page `openeo`, against a model of openEO's batch jobs, after the API's version 1.2.

The page was held against the package `openeo` 0.53.0: `create_job`, `start`, `describe`, `logs(level="error")`, `stop`
and `delete` and the `download_files` of its results sent this model the requests that gofer sends: the same methods,
addresses and bodies in the same order. That package also asks for `/.well-known/openeo` and `/`, and for the head of
each file. `nox -s dialects` tests the page with the server of openeo_driver.
"""

import json

import pytest

import gofer
from support.declared import Answering, as_json, client_of, here, path_of, sent_to
from support.raw_server import http

PROCESS = {"process_graph": {"one": {"process_id": "add", "arguments": {"x": 3, "y": 5}, "result": True}}}
ORDER = {"process": PROCESS, "title": "a sum", "log_level": "info", "job_options": {"driver-memory": "2g"}}
TIFF, CSV = b"II*\x00" + bytes(60), b"a,b\n1,2\n"
LOGS = [
    {"id": "1", "level": "info", "message": "started"},
    {"id": "2", "level": "error", "message": "The collection has no data there.", "code": "NoData"},
    {"id": "3", "level": "error", "message": "The job has failed.", "code": "Internal"},
]


def refusal(code, message, status):
    """An error as the API writes it."""
    return as_json({"id": "r-1", "code": code, "message": message, "links": []}, status)


class Jobs:
    """A back-end: a job goes through these words once it was started, one for each look at it."""

    def __init__(self, *words, assets=("one.tif", "table.csv")):
        self.word, self.words, self.assets = "created", list(words), assets

    def __call__(self, call):
        """Answer one request."""
        path, method = path_of(call).removeprefix("/openeo/1.2"), call.method
        if path == "/":
            endpoints = [{"path": "/jobs", "methods": ["GET", "POST"]}]
            return as_json({"api_version": "1.2.0", "stac_version": "1.0.0", "endpoints": endpoints, "links": []})
        if (method, path) == ("POST", "/jobs"):
            if "process" not in json.loads(call.body):
                return refusal("ProcessGraphMissing", "No valid process graph specified.", 400)
            return http(201, location=f"{here(call)}/openeo/1.2/jobs/j-1", openeo_identifier="j-1")
        if path.startswith("/files/"):
            return http(200, CSV if path.endswith("csv") else TIFF, content_type="application/octet-stream")
        if not path.startswith("/jobs/j-1"):
            return refusal("JobNotFound", "The batch job does not exist.", 404)
        answers = {
            ("POST", "/results"): self.start,
            ("DELETE", "/results"): self.stop,
            ("DELETE", ""): lambda _: http(204),
            ("GET", ""): self.look,
            ("GET", "/results"): self.results,
            ("GET", "/logs"): lambda _: as_json({"level": "error", "logs": LOGS, "links": []}),
        }
        return answers[method, path.removeprefix("/jobs/j-1")](call)

    def start(self, _):
        """Put the job into the queue."""
        self.word = "queued"
        return http(202)

    def stop(self, _):
        """Cancel it, or take it out of the queue."""
        self.word, self.words = "canceled", []
        return http(204)

    def look(self, _):
        """Show the job, and let it go on."""
        shown = {"id": "j-1", "status": self.word, "created": "2026-01-01T00:00:00Z", "process": PROCESS}
        if self.word == "running":
            shown["progress"] = 75.5
        if self.word != "created" and self.words:
            self.word = self.words.pop(0)
        return as_json(shown)

    def results(self, call):
        """Show where the results are."""
        assets = {
            name: {"href": f"{here(call)}/openeo/1.2/files/{name}", "type": kind, "file:size": size, "roles": ["data"]}
            for name, kind, size in (
                ("one.tif", "image/tiff; application=geotiff; profile=cloud-optimized", len(TIFF)),
                ("table.csv", "text/csv", len(CSV)),
            )
            if name in self.assets
        }
        return as_json({"stac_version": "1.0.0", "type": "Collection", "id": "j-1", "assets": assets, "links": []})


GOES_WELL = ("running", "finished")


def jobs(face, *words, **options):
    """The back-end without a socket, and a client of it."""
    server = Answering(Jobs(*words, **options))
    server.url += "/openeo/1.2"
    return server, client_of(face, server, "openeo", auth="basic//abc")


def lines(server):
    """The requests, each as its method and its path below the API."""
    return [f"{call.method} {call.path.removeprefix('/openeo/1.2')}" for call in server.calls]


def test_a_job_is_started_and_brings_its_assets(any_face, serve, tmp_path):
    """The input is sent as it is; the names of the files are those of the map; the sizes are checked."""
    server = serve(Jobs(*GOES_WELL))
    client = client_of(any_face, f"{server.url}/openeo/1.2", "openeo", auth="basic//abc", discard=True)
    outcome = client.run(ORDER, to=f"{tmp_path}/out/", timeout=20)
    assert [(file.path.name, file.path.read_bytes(), file.verified) for file in outcome.files] == [
        ("one.tif", TIFF, "size"),
        ("table.csv", CSV, "size"),
    ]
    assert outcome.value["type"] == "Collection"
    assert lines(server) == [
        *("POST /jobs", "POST /jobs/j-1/results", "GET /jobs/j-1", "GET /jobs/j-1", "GET /jobs/j-1"),
        *("GET /jobs/j-1/results", "GET /files/one.tif", "GET /files/table.csv", "DELETE /jobs/j-1"),
    ]
    assert [json.loads(call.body or "null") for call in server.calls[:3]] == [ORDER, None, None]
    assert {call.headers["authorization"] for call in server.calls} == {"Bearer basic//abc"}


def test_progress_is_a_share(virtual_face):
    """The API counts in percent."""
    _, client = jobs(virtual_face, "running", "running", "running", "running")
    job = client.submit(ORDER)
    assert (job.id, job.status) == ("j-1", "created")
    with pytest.raises(gofer.WaitTimeout):
        job.wait(timeout=0.5)
    assert (job.status, job.status.progress) == ("running", 0.755)


def test_a_job_without_assets_has_succeeded(virtual_face):
    """A process may put its result elsewhere."""
    _, client = jobs(virtual_face, *GOES_WELL, assets=())
    outcome = client.run(ORDER, timeout=20)
    assert (outcome.value["assets"], outcome.files) == ({}, ())


def test_the_first_error_in_the_log_says_why_a_job_has_failed(any_face, serve):
    """Errors only are asked for; entries of other levels are passed over where a back-end sends them all the same."""
    server = serve(Jobs("running", "error"))
    client = client_of(any_face, f"{server.url}/openeo/1.2", "openeo")
    with pytest.raises(gofer.JobFailed, match="no data there") as failed:
        client.run(ORDER, timeout=20)
    assert failed.value.error_code == "NoData"
    assert lines(server)[-1] == "GET /jobs/j-1/logs?level=error"


def test_a_job_is_cancelled_by_its_results(virtual_face):
    """Its results are what is deleted; the status afterwards is what the back-end says."""
    server, client = jobs(virtual_face, "running", "running", "running")
    job = client.submit(ORDER)
    assert job.cancel() is True
    assert (job.status, job.status.state) == ("canceled", "cancelled")
    assert "DELETE /jobs/j-1/results" in lines(server)
    with pytest.raises(gofer.JobCancelled):
        job.result(timeout=20)


def test_a_job_that_is_only_in_location_has_its_id(virtual_face):
    """Version 1.0 wants both headers, and not every back-end sends them."""

    def answer(call):
        where = f"{here(call)}/openeo/1.2/jobs/j-2/" if call.method == "POST" else ""
        return http(201, location=where)

    server = Answering(answer)
    server.url += "/openeo/1.2"
    assert client_of(virtual_face, server, "openeo").submit(ORDER).id == "j-2"


def test_a_refused_job_says_why(virtual_face):
    """With the code of the API; an unknown job is not found."""
    server, client = jobs(virtual_face)
    with pytest.raises(gofer.Rejected, match="No valid process graph") as refused:
        client.submit({"title": "nothing"})
    assert refused.value.error_code == "ProcessGraphMissing"
    with pytest.raises(gofer.NotFound, match="does not exist"):
        client.job("j-9").refresh()
    assert len(sent_to(server, "/openeo/1.2/jobs")) == 1
