"""The list of a caller's jobs: handles with the status that the list shows, page after page, to an end."""

import httpx
import pytest

import gofer
from gofer.core.feed import MOST_PAGES
from support.declared import PLAIN, Answering, as_json, client_of, path_of, query_of, said, sent_to
from support.raw_server import http

MANY = """
[poll.many]
url = "{base}/jobs"
under = "/jobs"
id = "/id"
next = "/next"
"""
LISTED = PLAIN + MANY
ENTRIES = [
    {"id": "j1", "state": "working"},
    {"id": "j2", "state": "done"},
    {"id": "j3", "state": "broken", "why": "no"},
]


def pages(call):
    """A service that lists two jobs to a page, and says more of each when it is asked for."""
    if path_of(call) != "/jobs":
        return as_json({"state": "done", "whole": True})
    at = int(query_of(call).get("at", 0))
    more = {"next": f"/jobs?at={at + 2}"} if at + 2 < len(ENTRIES) else {}
    return as_json({"jobs": ENTRIES[at : at + 2], **more})


def test_the_jobs_of_all_pages_are_handles_with_their_status(any_face, serve):
    """No job is polled for it; a page is asked for when the jobs before it were taken."""
    server = serve(pages)
    client = client_of(any_face, server.url, said(LISTED))
    jobs = client.jobs()
    assert next(jobs).id == "j1"
    assert len(server.calls) == 1
    assert [(job.id, job.status, job.status.state, job.done) for job in jobs] == [
        ("j2", "done", gofer.State.SUCCEEDED, True),
        ("j3", "broken", gofer.State.FAILED, True),
    ]
    assert [call.path for call in server.calls] == ["/jobs", "/jobs?at=2"]
    assert [job.status.error for job in client.jobs()] == [None, None, "no"]


def test_an_entry_of_a_list_is_no_result(any_face, serve):
    """It may be an extract: whoever wants more than the status polls the job, also one that has ended."""
    server = serve(pages)
    first, second, third = client_of(any_face, server.url, said(LISTED)).jobs()
    assert (second.status, second.files) == ("done", ())
    assert second.result(timeout=10) == {"state": "done", "whole": True}
    assert len(sent_to(server, "/jobs/j2")) == 1
    assert third.refresh() == third.status == "done"
    assert first.wait(timeout=10) == "done"
    with pytest.raises(gofer.UsageError, match="succeeded"):
        second.partial("x", timeout=10)


def test_links_of_an_entry_are_kept(any_face, serve):
    """As those of a status document, they lead on; an entry with one that is none has its job all the same."""
    entries = [{"id": "j1", "state": "done", "out": "/out"}, {"id": "j2", "out": "http://[/"}]

    def answer(call):
        return as_json({"jobs": entries} if path_of(call) == "/jobs" else {"state": "done", "at": path_of(call)})

    text = (
        LISTED.replace("[status]", '[status]\nlinks = { out = "/out" }')
        + '\n[result]\nurl = "{links.out}"\nvalue = "/at"'
    )
    one, two = client_of(any_face, serve(answer).url, said(text)).jobs()
    assert (one.result(timeout=10), one.done) == ("/out", True)
    assert (two.id, two.status, two.done) == ("j2", "", False)


ODD = [{"state": "done"}, "x", None, 7, {"id": None}, {"id": "../x", "state": "done"}, {"id": "a\n"}, {"id": 5}]


def test_entries_without_a_job_are_passed_over(virtual_face):
    """What is no id of a job is none here; a number is one."""
    server = Answering(lambda _: as_json({"jobs": ODD}))
    assert [job.id for job in client_of(virtual_face, server, said(LISTED)).jobs()] == ["5"]


ENDLESS = {
    "the same page": lambda call: as_json({"jobs": ENTRIES, "next": "/jobs"}),
    "two pages in turn": lambda call: as_json(
        {"jobs": [], "next": "/jobs?b" if call.path.endswith("a") else "/jobs?a"}
    ),
    "always another": lambda call: as_json({"jobs": [], "next": f"/jobs?at={int(query_of(call).get('at', 0)) + 1}"}),
}


@pytest.mark.parametrize("case", ENDLESS)
def test_a_list_without_an_end_is_a_bad_reply(virtual_face, case):
    """The same page is not asked for twice, and no service is followed for ever."""
    server = Answering(ENDLESS[case])
    with pytest.raises(gofer.BadReply, match="no end"):
        list(client_of(virtual_face, server, said(LISTED)).jobs())
    assert len(server.calls) == {"the same page": 1, "two pages in turn": 3, "always another": MOST_PAGES}[case]


BAD = {
    "no list": as_json({"other": []}),
    "no document": http(200, "<html>", content_type="text/html"),
    "a page elsewhere": as_json({"jobs": [], "next": "http://elsewhere.test/jobs"}),
}


@pytest.mark.parametrize("case", BAD)
def test_a_list_that_is_none_is_a_bad_reply(virtual_face, case):
    """It is no empty list."""
    with pytest.raises(gofer.BadReply):
        list(client_of(virtual_face, Answering(lambda _: BAD[case]), said(LISTED)).jobs())


def test_a_page_that_fails_for_a_while_is_asked_for_again(any_face, serve):
    """A list is only read, so that the request may be repeated."""
    server = serve(lambda call: http(503) if call.nth == 1 else pages(call))
    assert len(list(client_of(any_face, server.url, said(LISTED)).jobs())) == 3


CANNOT = {
    "no [poll.many]": PLAIN,
    "only with ids": PLAIN + MANY.replace("/jobs", "/jobs?ids={ids}", 1),
    "not there": LISTED,
}


@pytest.mark.parametrize("case", CANNOT)
def test_what_cannot_list_jobs_says_so(virtual_face, case):
    """A contract without a list sends nothing and says what to do instead; a service may have none (404)."""
    server = Answering(lambda _: http(404))
    with pytest.raises(gofer.NotSupported, match=None if case == "not there" else r"keep their tickets .*poll\.many"):
        next(client_of(virtual_face, server, said(CANNOT[case])).jobs())
    assert len(server.calls) == (case == "not there")


def retrievals(request):
    """A retrieval service with three jobs on two pages."""
    more = "cursor" in request.url.params
    listed = (
        [{"job_id": "j3", "status": "searching"}]
        if more
        else [{"job_id": "j1", "status": "completed"}, {"job_id": "j2", "status": "failed", "error_code": "NOT_FOUND"}]
    )
    return httpx.Response(200, json={"jobs": listed, "next": None if more else "n 1"})


def test_a_retrieval_client_has_the_handles_of_its_own_kind(virtual_face):
    """They are what its submissions return; `list_jobs` stays the page with all fields."""
    client = virtual_face.client("http://papers.test", transport=httpx.MockTransport(retrievals))
    jobs = list(client.jobs())
    assert [(job.job_id, job.status) for job in jobs] == [("j1", "completed"), ("j2", "failed"), ("j3", "searching")]
    kind = gofer.RetrieveJob if virtual_face.portal is None else gofer.AsyncRetrieveJob
    assert all(isinstance(getattr(job, "inner", job), kind) for job in jobs)
    assert client.list_jobs().next == "n 1"
