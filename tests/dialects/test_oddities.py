"""What the real servers do now and then and cannot be made to do, and what others of their families do."""

import json

import httpx
import pytest

from gofer import Client, State
from gofer.contracts.base import Ref
from gofer.contracts.declared.shipped import declared
from gofer.wire import Reply, Request

URL = "http://service.test"


def reply(document: object, status: int = 200) -> Reply:
    """Make a JSON reply."""
    return Reply(URL, status, {"content-type": "application/json"}, json.dumps(document).encode())


def test_flower_task_that_ended_before_its_submission_was_answered() -> None:
    """The answer calls the task a success and has no result: it is not taken for the end."""
    contract = declared("flower", None)
    request = contract.build_submission(URL, {"task": "tasks.add"}, key="key", budget=None, hold=0)
    seen = contract.read_submission(URL, request, reply({"task-id": "one", "state": "SUCCESS"}))
    assert (seen.ref, seen.status.state) == (Ref("one"), State.PENDING)


def test_ogc_job_that_ended_before_its_submission_was_answered() -> None:
    """The job is done, and its results are asked for where they are."""
    contract = declared("ogc-processes", None)
    document = {"jobID": "one", "status": "successful", "type": "process"}
    seen = contract.read_submission(URL, Request("POST", URL), reply(document, 201))
    asked = contract.build_results(URL, seen)
    assert isinstance(asked, Request)
    assert (seen.status.state, asked.url) == (State.SUCCEEDED, f"{URL}/jobs/one/results")


@pytest.mark.parametrize("location", ["/jobs/one", "/ogc/jobs/one/", f"{URL}/jobs/one?f=json"])
def test_ogc_job_that_is_only_in_location(location: str) -> None:
    """Version 1.0 lays down no body for the answer to a submission: the job's id is read from its address."""
    contract = declared("ogc-processes", None)
    seen = contract.read_submission(URL, Request("POST", URL), Reply(URL, 201, {"location": location}))
    assert seen.ref.id == "one"


def test_ogc_job_that_has_ended_keeps_its_result() -> None:
    """A DELETE removes the result of a job that has ended: to cancel such a job sends nothing and changes nothing."""
    sent: list[str] = []

    def server(request: httpx.Request) -> httpx.Response:
        sent.append(request.method)
        if request.method == "DELETE":
            return httpx.Response(200, json={"jobID": "one", "status": "dismissed"})
        return httpx.Response(200, json={"jobID": "one", "status": "successful"})

    with Client(URL, contract="ogc-processes", transport=httpx.MockTransport(server)) as client:
        job = client.job("one")
        assert job.wait() == "successful"
        assert job.cancel() is True
        assert (sent, job.status.state) == (["GET"], State.SUCCEEDED)
