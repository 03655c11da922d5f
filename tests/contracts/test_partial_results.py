"""What there is of a job that has not succeeded: named by the handle and the error, brought by a verb of its own."""

import json

import pytest

import gofer
from contracts.test_results import inside
from support.declared import BY_CODE, PLAIN, Answering, as_json, client_of, path_of, said, sent_to
from support.raw_server import http

FILES = """
[result.files]
under = "/files"
url = ""
"""
HERE = PLAIN + FILES
THERE = PLAIN + '\n[result]\nurl = "{base}/jobs/{id}/files"\n' + FILES
TWO = ["/f/a", "/f/b"]
BOTH = {"a": "content of /f/a", "b": "content of /f/b"}


class Broken:
    """A service whose jobs end in a state, with files in the status document or in one of their own."""

    def __init__(self, state="broken", files=TWO, result=None):
        self.state, self.files, self.result, self.refused = state, files, result, set[str]()

    def __call__(self, call):
        """Answer one request."""
        path = path_of(call)
        if call.method == "POST":
            return as_json({"id": "j1", "state": "working"}, 201)
        if path == "/jobs/j1":
            return as_json({"state": self.state, "why": "out of luck", "files": self.files})
        if path == "/jobs/j1/files":
            return self.result or as_json({"files": TWO})
        return http(404) if path in self.refused else http(200, f"content of {path}", content_type="text/plain")


def started(face, server, text=HERE):
    """Submit a job by a declaration."""
    return client_of(face, server.url, said(text)).submit({})


def names(files):
    """The names of files."""
    return [file.name for file in files]


def manifest(folder):
    """What the manifest of a folder says besides its files, and their names."""
    read = json.loads((folder / "manifest.json").read_bytes())
    return {name: value for name, value in read.items() if name not in ("files", "submitted")}, [
        one["file"] for one in read["files"]
    ]


ENDS = [("broken", gofer.JobFailed), ("stopped", gofer.JobCancelled)]


@pytest.mark.parametrize(("state", "kind"), ENDS)
def test_what_a_job_without_success_names_is_in_the_error_and_can_be_brought(any_face, serve, tmp_path, state, kind):
    """The error has its files; a download raises it and leaves nothing; partial() brings them and says so."""
    server = serve(Broken(state))
    job = started(any_face, server)
    assert job.files == ()
    for call in (lambda: job.result(timeout=10), lambda: job.download(f"{tmp_path}/out/", timeout=10)):
        with pytest.raises(kind) as caught:
            call()
        assert names(caught.value.files) == names(job.files) == ["a", "b"]
    assert list(tmp_path.iterdir()) == []
    outcome = job.partial(f"{tmp_path}/out/", timeout=10)
    assert (outcome.partial, outcome.path, names(file.path for file in outcome.files)) == (
        True,
        tmp_path / "out",
        ["a", "b"],
    )
    assert outcome.value["why"] == "out of luck"
    assert inside(tmp_path / "out") == BOTH
    assert manifest(tmp_path / "out")[0] == {"job": "j1", "service": server.url, "partial": True, "status": state}
    with pytest.raises(kind):
        job.download(f"{tmp_path}/again/", timeout=10)


def test_an_error_of_a_job_without_files_has_none(any_face, serve, tmp_path):
    """partial() raises that error too, as there is nothing to bring."""
    model = Broken(files=[])
    job = started(any_face, serve(model))
    with pytest.raises(gofer.JobFailed, match="out of luck") as caught:
        job.partial(f"{tmp_path}/out/", timeout=10)
    assert caught.value.files == job.files == ()
    assert list(tmp_path.iterdir()) == []
    assert gofer.JobFailed("none").files == ()


def test_one_file_goes_to_a_file(any_face, serve, tmp_path):
    """Also one of several that is chosen; what is chosen in vain is named."""
    job = started(any_face, serve(Broken()))
    outcome = job.partial(tmp_path / "x.txt", timeout=10, only="b")
    assert (outcome.path.read_text(), outcome.partial) == ("content of /f/b", True)
    with pytest.raises(gofer.UsageError, match="There is 'a', 'b'"):
        job.partial(tmp_path / "y.txt", timeout=10, only="c")


def test_a_result_document_is_asked_for_once_and_only_by_the_verb(any_face, serve, tmp_path):
    """The failure of the job is not held up by a request for files, and a second call needs none."""
    server = serve(Broken(files=["/not/these"]))
    job = started(any_face, server, THERE)
    with pytest.raises(gofer.JobFailed) as caught:
        job.result(timeout=10)
    assert (caught.value.files, job.files, sent_to(server, "/jobs/j1/files")) == ((), (), [])
    assert job.partial(f"{tmp_path}/out/", timeout=10).partial
    assert names(job.files) == ["a", "b"]
    assert inside(tmp_path / "out") == BOTH
    job.partial(f"{tmp_path}/more/", timeout=10)
    assert len(sent_to(server, "/jobs/j1/files")) == 1


ANSWERS = {
    "not found": http(404),
    "not now": http(503),
    "an error in words": http(404, "not found", content_type="text/plain"),
    "an error with files": as_json({"files": TWO}, 400),
    "not yet": http(202),
    "forbidden": http(403, '{"message": "no"}', content_type="application/json"),
    "a page": http(200, "<html></html>", content_type="text/html"),
    "no document": http(200, "{", content_type="application/json"),
    "no files": as_json({"other": 7}),
    "a link that is none": as_json({"files": ["http://[/"]}),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_result_document_that_does_not_come_means_no_files(virtual_face, tmp_path, answer):
    """The error is the job's own; the request is not repeated."""
    server = Answering(Broken(files=None, result=ANSWERS[answer]))
    job = client_of(virtual_face, server, said(THERE)).submit({})
    with pytest.raises(gofer.JobFailed, match="out of luck"):
        job.partial(f"{tmp_path}/out/", timeout=30)
    assert len(sent_to(server, "/jobs/j1/files")) == 1
    assert list(tmp_path.iterdir()) == []


def test_the_result_request_may_answer_with_the_file(any_face, serve, tmp_path):
    """As it may for a job that has succeeded; it is asked for once."""
    server = serve(Broken(files=None, result=http(200, "half of it", content_type="text/plain")))
    job = started(any_face, server, PLAIN + '\n[result]\nurl = "{base}/jobs/{id}/files"\n')
    assert job.partial(tmp_path / "x.txt", timeout=10).path.read_text() == "half of it"
    assert len(sent_to(server, "/jobs/j1/files")) == 1


def test_a_job_that_runs_names_its_files_so_far(any_face, serve, tmp_path):
    """They are brought without waiting, and are no part of the result, which may have newer ones."""
    model = Broken("working", ["/f/a"])
    job = started(any_face, serve(model))
    job.refresh()
    assert names(job.files) == ["a"]
    out = tmp_path / "out"
    assert job.partial(f"{out}/", timeout=10).partial
    assert manifest(out) == ({**manifest(out)[0], "partial": True, "status": "working"}, ["a"])
    with pytest.raises(gofer.TargetError, match="partial ones"):
        job.partial(out, timeout=10)
    model.state, model.files = "done", TWO
    with pytest.raises(gofer.TargetError, match="partial ones"):
        job.download(out, timeout=10)
    assert inside(out) == {"a": BOTH["a"]}
    assert inside(job.download(f"{tmp_path}/whole/", timeout=10)) == BOTH
    assert "partial" not in manifest(tmp_path / "whole")[0]


def test_a_job_that_runs_and_names_no_file_is_not_ready(any_face, serve, tmp_path):
    """The caller can try again later, and the job goes on."""
    server = serve(Broken("working", []))
    with pytest.raises(gofer.NotReady, match="still working") as caught:
        started(any_face, server).partial(f"{tmp_path}/out/", timeout=10)
    assert caught.value.retryable
    assert not [call for call in server.calls if call.method == "DELETE"]


def test_a_job_that_has_succeeded_has_a_result_to_download(any_face, serve, tmp_path):
    """What is brought in parts is never taken for the whole, nor the other way round."""
    job = started(any_face, serve(Broken("done")))
    with pytest.raises(gofer.UsageError, match=r"download\(\) brings its results"):
        job.partial(f"{tmp_path}/out/", timeout=10)
    assert list(tmp_path.iterdir()) == []


def test_more_of_a_failed_job_is_added_to_its_folder(any_face, serve, tmp_path):
    """As long as it is this job's and this end's; nothing is fetched twice."""
    server = serve(Broken())
    job = started(any_face, server)
    out = job.partial(f"{tmp_path}/out/", timeout=10, only="a").path
    job.partial(out, timeout=10)
    assert (inside(out), manifest(out)[1]) == (BOTH, ["a", "b"])
    assert len(sent_to(server, "/f/a")) == 1


def test_the_folder_is_all_or_none(any_face, serve, tmp_path):
    """A file that the failed job names and does not have is an error at once, and the others can be chosen."""
    model = Broken()
    model.refused.add("/f/b")
    server = serve(model)
    job = started(any_face, server)
    with pytest.raises(gofer.NotFound):
        job.partial(f"{tmp_path}/out/", timeout=10)
    assert not (tmp_path / "out").exists()
    assert len(sent_to(server, "/f/b")) == 1
    assert inside(job.partial(f"{tmp_path}/out/", timeout=10, only="a").path) == {"a": BOTH["a"]}


def test_a_link_that_has_expired_is_read_again(any_face, serve, tmp_path):
    """A failed job is polled for it, as one that has succeeded would be."""
    polls = iter(range(1, 9))

    def answer(call):
        if call.method == "POST":
            return as_json({"id": "j1", "state": "working"}, 201)
        if path_of(call) == "/jobs/j1":
            return as_json({"state": "broken", "files": [f"/f/a?key={next(polls)}"]})
        return http(403) if call.path.endswith("key=1") else http(200, "a", content_type="text/plain")

    job = started(any_face, serve(answer))
    with pytest.raises(gofer.JobFailed):
        job.result(timeout=10)
    assert job.partial(tmp_path / "x", timeout=10).path.read_text() == "a"


def test_a_result_that_says_failure_after_all_names_files_too(any_face, serve, tmp_path):
    """The document was asked for as the result, and is read for its files."""
    server = serve(Broken("done", None, as_json({"files": TWO, "wrong": "no luck"})))
    job = started(any_face, server, THERE.replace("[result]", '[result]\nfailed = "/wrong"'))
    with pytest.raises(gofer.JobFailed, match="no luck") as caught:
        job.download(f"{tmp_path}/out/", timeout=10)
    assert names(caught.value.files) == ["a", "b"]
    assert inside(job.partial(f"{tmp_path}/out/", timeout=10).path) == BOTH
    assert manifest(tmp_path / "out")[0]["partial"] is True


@pytest.mark.parametrize("body", [as_json({"files": TWO}, 410), http(410, "gone"), http(410)])
def test_a_failure_that_is_told_by_its_code_names_files_if_it_is_a_document(any_face, serve, tmp_path, body):
    """What comes with the code is read for its files, and what cannot be read names none."""

    def answer(call):
        return (
            as_json({"me": "/j"}, 202)
            if path_of(call) == "/jobs"
            else body
            if path_of(call) == "/j"
            else http(200, "x")
        )

    text = BY_CODE.replace('204 = "succeeded"', '410 = "failed"') + FILES
    job = started(any_face, serve(answer), text)
    with pytest.raises(gofer.JobFailed) as caught:
        job.result(timeout=10)
    assert names(caught.value.files) == (["a", "b"] if b"files" in body else [])


def test_a_cancellation_that_shows_files_names_them(any_face, serve):
    """Its answer is a status document."""
    text = HERE + '\n[cancel]\nurl = "{base}/jobs/{id}"\n'
    stopped = Broken("stopped")
    job = started(any_face, serve(lambda call: stopped(call)), text)
    assert job.cancel()
    assert names(job.files) == ["a", "b"]


def test_files_that_cannot_be_read_cost_no_poll(any_face, serve):
    """A status document with a link that is none is a status all the same."""
    job = started(any_face, serve(Broken("working", ["http://[/"])))
    assert job.refresh() == "working"
    assert job.files == ()
