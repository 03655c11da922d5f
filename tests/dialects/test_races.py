"""What the real servers do now and then and cannot be made to do: read from the replies that were seen."""

import json

from gofer import State
from gofer.contracts.base import Ref
from gofer.contracts.shipped import declared
from gofer.wire import Reply, Request

URL = "http://service.test"


def reply(document: object, status: int = 200) -> Reply:
    """Make a JSON reply."""
    return Reply(URL, status, {"content-type": "application/json"}, json.dumps(document).encode())


def test_flower_task_that_ended_before_its_submission_was_answered() -> None:
    """The answer calls the task a success and has no result: it is not taken for the end."""
    contract = declared("flower", None)
    request = contract.submission(URL, {"task": "tasks.add"}, key="key", budget=None, hold=0)
    seen = contract.submitted(URL, request, reply({"task-id": "one", "state": "SUCCESS"}))
    assert (seen.ref, seen.status.state) == (Ref("one"), State.PENDING)


def test_ogc_job_that_ended_before_its_submission_was_answered() -> None:
    """The job is done, and its results are asked for where they are."""
    contract = declared("ogc-processes", None)
    document = {"jobID": "one", "status": "successful", "type": "process"}
    seen = contract.submitted(URL, Request("POST", URL), reply(document, 201))
    asked = contract.results(URL, seen)
    assert isinstance(asked, Request)
    assert (seen.status.state, asked.url) == (State.SUCCEEDED, f"{URL}/jobs/one/results")
