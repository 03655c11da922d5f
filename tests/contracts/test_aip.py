"""The shipped dialect `aip-151`, against a model of Google's long-running operations."""

import json

import pytest

import gofer
from support.declared import client_of, sent_to
from support.operations_service import ENGINE, ZONE, OperationsService, compute_engine


def order(**body):
    """The input of a starting request with this body."""
    return {"path": "projects/p/things", "body": body}


RESPONSE = {"@type": "type.googleapis.com/p.Thing", "uri": "gs://bucket/thing"}


@pytest.mark.parametrize("says_false", [True, False], ids=["done is false", "done is absent"])
def test_an_operation_runs_and_gives_its_response(any_face, serve, says_false):
    """`done` may be absent while it is false; a name with slashes is an address as it is."""
    server = serve(OperationsService(says_false=says_false))
    outcome = client_of(any_face, f"{server.url}/v1", "aip-151").run(order(response=RESPONSE), timeout=10)
    assert outcome.value == RESPONSE
    assert outcome.job_id == "projects/p/locations/l/operations/0"
    assert len(sent_to(server, "/v1/projects/p/locations/l/operations/0", "GET")) == 2


def test_a_response_can_be_written_to_a_file(blocking, serve, tmp_path):
    """An inline response is a file of JSON when it is downloaded."""
    client = client_of(blocking, f"{serve(OperationsService()).url}/v1", "aip-151")
    outcome = client.run(order(response=RESPONSE), to=str(tmp_path / "thing.json"), timeout=10)
    assert json.loads(outcome.path.read_bytes()) == RESPONSE


def test_an_operation_may_have_nothing_to_say(blocking, serve, tmp_path):
    """Done, with neither error nor response, is success without a file."""
    client = client_of(blocking, f"{serve(OperationsService()).url}/v1", "aip-151")
    assert client.run(order(), timeout=10).value is None
    with pytest.raises(gofer.NotSupported):
        client.run(order(), to=str(tmp_path / "nothing"), timeout=10)
    assert not list(tmp_path.iterdir())


def test_an_operation_that_was_done_at_once_is_not_asked_for(blocking, serve):
    """What the submission's answer says is believed: one request in all."""
    server = serve(OperationsService())
    outcome = client_of(blocking, f"{server.url}/v1", "aip-151").run(order(at_once=True, response=RESPONSE), timeout=10)
    assert (outcome.value, len(server.calls)) == (RESPONSE, 1)


def test_a_failed_operation_is_a_failed_job(any_face, serve):
    """`done` is true then as well; the error's words and code are the job's."""
    error = {"code": 8, "message": "out of quota", "details": []}
    client = client_of(any_face, f"{serve(OperationsService()).url}/v1", "aip-151")
    with pytest.raises(gofer.JobFailed, match="out of quota") as failed:
        client.run(order(error=error), timeout=10)
    assert (failed.value.error_code, type(failed.value)) == ("8", gofer.JobFailed)
    assert failed.value.value["error"] == error


def test_a_cancelled_operation_is_cancelled_and_not_failed(any_face, serve):
    """`:cancel` ends the operation with google.rpc.Code 1, CANCELLED, which is no failure."""
    server = serve(OperationsService())
    job = client_of(any_face, f"{server.url}/v1", "aip-151").submit(order())
    assert job.cancel() is True
    assert sent_to(server, f"/v1/{job.id}:cancel", "POST")[0].body == b"{}"
    assert job.status.state == "cancelled"
    with pytest.raises(gofer.JobCancelled):
        job.result(timeout=5)


def test_operations_that_cannot_be_cancelled_go_on(blocking, serve):
    """501 to `:cancel` is False, and the job ends as it would have."""
    client = client_of(blocking, f"{serve(OperationsService()).url}/v1", "aip-151")
    job = client.submit(order(uncancellable=True, response=RESPONSE))
    assert job.cancel() is False
    assert job.result(timeout=5) == RESPONSE


def test_a_refused_start_has_the_codes_and_words_of_the_error_document(blocking, serve):
    """The `error` of an HTTP refusal holds an HTTP code; it is `Rejected` and no failed job."""
    client = client_of(blocking, f"{serve(OperationsService()).url}/v1", "aip-151")
    with pytest.raises(gofer.Rejected, match="wrong is no field") as refused:
        client.submit(order(wrong=True))
    assert (refused.value.status_code, refused.value.error_code) == (400, "INVALID_ARGUMENT")


def test_an_unknown_operation_is_not_found(blocking, serve):
    """A 404 for a job that this client did not submit is an error at once."""
    server = serve(OperationsService())
    with pytest.raises(gofer.NotFound, match="no operation operations/none"):
        client_of(blocking, f"{server.url}/v1", "aip-151").job("operations/none").refresh()
    assert len(server.calls) == 1


def test_progress_is_a_share(blocking, serve):
    """`progressPercent` of the metadata, out of a hundred."""
    job = client_of(blocking, f"{serve(OperationsService()).url}/v1", "aip-151").submit(order(endless=True))
    assert job.refresh().progress == 0.5


def test_a_name_that_tries_to_leave_stays_below_the_origin(blocking, serve):
    """A name that has the form of an address is still a path on the service."""
    server = serve(OperationsService(name="http://elsewhere.test/{}"))
    job = client_of(blocking, f"{server.url}/v1", "aip-151").submit(order())
    assert job.refresh() == "false"
    assert all(call.headers["host"] in server.url for call in server.calls)


def test_compute_engine_says_status_and_where_its_operation_is(blocking, serve):
    """Its operations have PENDING, RUNNING and DONE, and are found by their selfLink."""
    client = client_of(blocking, f"{serve(compute_engine).url}{ENGINE}", "aip-151")
    job = client.submit({"path": f"{ZONE}/instances", "body": {"name": "vm"}})
    assert job.status == "PENDING"
    assert job.wait(timeout=5) == "DONE"


def test_compute_engine_lists_its_errors(blocking, serve):
    """The first of them is the reason that the job gives for its failure."""
    client = client_of(blocking, f"{serve(compute_engine).url}{ENGINE}", "aip-151", headers={"x-want": "fail"})
    with pytest.raises(gofer.JobFailed, match="quota of 8 cores") as failed:
        client.run({"path": f"{ZONE}/instances", "body": {"name": "vm"}}, timeout=5)
    assert failed.value.error_code == "QUOTA_EXCEEDED"
