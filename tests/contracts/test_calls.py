"""Services with one address for every request, each as a page of TOML: JSON-RPC, and AWS's JSON."""

import json

import pytest

import gofer
from support.declared import as_json, client_of, example, here
from support.raw_server import http


class Rpc:
    """JSON-RPC 2.0: errors come with 200 and a number."""

    def __init__(self):
        self.polls, self.stopped = 0, False

    def __call__(self, call):
        """Answer one request."""
        asked = json.loads(call.body)
        base = {"jsonrpc": "2.0", "id": asked["id"]}
        if call.method != "POST" or call.path != "/rpc":
            return http(405)
        if asked["method"] == "submit":
            if "x" not in asked["params"]:
                error = {"code": -32602, "message": "x is missing", "data": {}}
                return as_json({**base, "error": error})
            return as_json({**base, "result": {"job_id": 17}})
        if asked["params"]["job_id"] != "17":
            return as_json({**base, "error": {"code": 404, "message": "no such job"}})
        match asked["method"]:
            case "status":
                self.polls += 1
                state = "stopped" if self.stopped else ["queued", "busy", "ready"][min(self.polls, 3) - 1]
                return as_json({**base, "result": {"state": state, "done": self.polls}})
            case "stop":
                self.stopped = True
                return as_json({**base, "result": True})
        return as_json({**base, "result": {"y": [1, None, "z"]}})


def test_json_rpc_runs_over_one_address(any_face, serve):
    """Submission, polls and result are POSTs to the same place; a number for an id is taken as text."""
    server = serve(Rpc())
    outcome = client_of(any_face, f"{server.url}/rpc", example("json-rpc")).run({"x": 1}, timeout=10)
    assert (outcome.value, outcome.job_id) == ({"y": [1, None, "z"]}, "17")
    assert [json.loads(call.body)["method"] for call in server.calls] == ["submit", *["status"] * 3, "result"]


def test_a_json_rpc_error_is_a_refusal_although_it_comes_with_200(blocking, serve):
    """The submission is refused with the words and the code of the error object, and is not repeated."""
    server = serve(Rpc())
    with pytest.raises(gofer.Rejected, match="x is missing") as refused:
        client_of(blocking, f"{server.url}/rpc", example("json-rpc")).submit({})
    assert refused.value.error_code == "-32602"
    assert len(server.calls) == 1


def test_an_unknown_json_rpc_job_is_refused_at_once(blocking, serve):
    """A poll, too, can be refused by an error object; it is not repeated then."""
    server = serve(Rpc())
    with pytest.raises(gofer.Rejected, match="no such job"):
        client_of(blocking, f"{server.url}/rpc", example("json-rpc")).job("18").wait(timeout=10)
    assert len(server.calls) == 1


def test_a_cancellation_that_shows_no_job_is_followed_by_a_look(blocking, serve):
    """`true` says nothing of the job, so the job itself is asked."""
    job = client_of(blocking, f"{serve(Rpc()).url}/rpc", example("json-rpc")).submit({"x": 1})
    assert (job.cancel(), job.status) == (True, "stopped")


class Aws:
    """One address, operations by a header, errors with a type; the result lies in another server's bucket."""

    def __init__(self, bucket):
        self.bucket, self.polls = bucket, 0

    def __call__(self, call):
        """Answer one request."""
        if call.headers["content-type"] != "application/x-amz-json-1.1":
            return as_json({"__type": "UnknownOperationException"}, 400)
        job = {"JobName": json.loads(call.body)["JobName"]}
        match call.headers["x-amz-target"]:
            case "Jobs.StartJob":
                return as_json({"Job": {**job, "JobStatus": "QUEUED"}})
            case "Jobs.DeleteJob":
                return http(200)
        if job["JobName"] == "nothing":
            kind = "com.amazonaws.jobs#NotFoundException"
            return as_json({"__type": kind, "Message": "the job does not exist"}, 400)
        self.polls += 1
        if self.polls == 1:
            return as_json({"Job": {**job, "JobStatus": "IN_PROGRESS"}})
        link = f"{self.bucket}/out.json?X-Amz-Signature=abc"
        return as_json({"Job": {**job, "JobStatus": "COMPLETED", "Output": {"FileUri": link}}})


def test_aws_json_is_told_by_a_header_what_is_meant(any_face, serve, tmp_path):
    """The key is the job's name; the signed link is fetched as it is, without our headers."""
    bucket = serve(lambda call: http(200, b'{"text": "hello"}', content_type="application/json"))
    client = client_of(
        any_face, serve(Aws(bucket.url)).url, example("aws-json"), auth="s3cret", new_key=lambda: "key-1"
    )
    outcome = client.run({"media": "s3://in"}, to=str(tmp_path / "out.json"), timeout=10)
    assert (outcome.job_id, outcome.path.read_bytes()) == ("key-1", b'{"text": "hello"}')
    (fetched,) = bucket.calls
    assert fetched.path == "/out.json?X-Amz-Signature=abc"
    assert not {"authorization", "x-amz-target"} & fetched.headers.keys()


def test_aws_json_says_what_kind_of_refusal_it_is(blocking, serve):
    """The type's last part is the code, the message is the words."""
    with pytest.raises(gofer.Rejected, match="the job does not exist") as refused:
        client_of(blocking, serve(Aws("")).url, example("aws-json")).job("nothing").refresh()
    assert refused.value.error_code == "NotFoundException"


def test_an_empty_answer_to_a_cancellation_is_followed_by_a_look(blocking, serve):
    """The job goes on, as DeleteJob here does nothing; the status says so, and True only that it was taken."""
    server = serve(Aws(""))
    job = client_of(blocking, server.url, example("aws-json")).submit({"media": "s3://in"})
    assert (job.cancel(), job.status) == (True, "IN_PROGRESS")
    assert here(server.calls[0]) == server.url
