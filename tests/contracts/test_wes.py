"""The shipped dialect `wes`: why a run has failed. The rest of it is tested with wes-service, in `dialects`."""

import pytest

import gofer
from support.declared import Answering, as_json, client_of, path_of
from support.raw_server import http

RUN = {"workflow_url": "main.cwl"}
LOG = "Traceback\nKeyError: 'sample'\n"


class Failing:
    """A server whose run fails, and whose log of it is there, or at an address that is answered so."""

    def __init__(self, stderr, answer=None):
        self.stderr, self.answer = stderr, answer or http(200, LOG, content_type="text/plain")

    def __call__(self, call):
        """Answer one request."""
        path = path_of(call)
        if path.endswith("/logs/7/stderr"):
            return self.answer
        if call.method == "POST":
            return as_json({"run_id": "7"})
        if path.endswith("/status"):
            return as_json({"run_id": "7", "state": "EXECUTOR_ERROR"})
        return as_json({"run_id": "7", "run_log": {"stderr": self.stderr, "stdout": "done nothing"}})


def failed(face, stderr, answer=None):
    """Run it, and give its error and the requests."""
    server = Answering(Failing(stderr, answer))
    server.url += "/ga4gh/wes/v1"
    with pytest.raises(gofer.JobFailed) as caught:
        client_of(face, server, "wes", auth="a-token").run(RUN, timeout=20)
    return caught.value, server.calls


@pytest.mark.parametrize(
    "stderr",
    [f"{Answering.url}/logs/7/stderr", "/logs/7/stderr", "../../../../logs/7/stderr", "http://logs.test/logs/7/stderr"],
)
def test_a_log_at_an_address_is_asked_for(virtual_face, stderr):
    """Its text is the reason; only the server's own origin gets the credentials."""
    error, calls = failed(virtual_face, stderr)
    assert (error.error, path_of(calls[-1]).endswith("/logs/7/stderr")) == (LOG.strip(), True)
    assert ("authorization" in calls[-1].headers) == ("logs.test" not in stderr)


def test_a_log_that_is_a_text_is_the_reason(virtual_face):
    """Nothing else is asked for."""
    error, calls = failed(virtual_face, LOG)
    assert (error.error, len(calls)) == (LOG, 3)


@pytest.mark.parametrize(
    "answer",
    [http(404, "gone"), http(503), http(200, "<html>", content_type="text/html"), http(200, b"x" * (2 << 20))],
    ids=["404", "503", "a page", "too long"],
)
def test_a_log_that_cannot_be_had_leaves_its_address(virtual_face, answer):
    """The run has failed all the same."""
    error, _ = failed(virtual_face, "/logs/7/stderr", answer)
    assert error.error == "/logs/7/stderr"
