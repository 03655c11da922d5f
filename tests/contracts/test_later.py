"""What declared contracts retry, on each leg and on each face: any 5xx, and their own codes and words."""

import json

import pytest

import gofer
from support.declared import PLAIN, Answering, as_json, client_of, path_of, said, sent_to
from support.raw_server import http

SHOWN = 'progress = "/progress"\nmessage = "/message"\n[states]'
DECLARED = (
    PLAIN.replace("[states]", SHOWN)
    + """
[refusal]
when = "/refused"
code = "/refused"
[later]
codes = [423]
words = ["Queue_Full"]
"""
)
ASKED = DECLARED + '[result]\nurl = "{base}/jobs/{id}/result"\nvalue = "/answer"\nfiles = { under = "/files" }\n'
CDN = http(524, "<html>A timeout occurred", content_type="text/html")
LATER = [http(423, ""), as_json({"code": "QUEUE_FULL"}, 400), as_json({"refused": "queue_full"})]


def service(leg, *faults):
    """A service whose `leg` ("jobs", "1", "result" or "file") first answers with these; its calls say what came."""
    left = list(faults)

    def answer(call):
        here = path_of(call).rpartition("/")[2]
        if here == leg and left:
            return left.pop(0)
        if here == "file":
            return http(200, "a,b", content_type="text/csv")
        if here == "result":
            return as_json({"answer": 42, "files": [f"http://{call.headers['host']}/file"]})
        return as_json({"id": "1", "state": "working" if here == "jobs" else "done"})

    return answer


@pytest.mark.parametrize("fault", [CDN, *LATER[:2]], ids=["524", "423", "a word"])
@pytest.mark.parametrize("leg", ["1", "result", "file"])
def test_a_refusal_for_now_costs_no_leg_the_job(virtual_face, tmp_path, leg, fault):
    """A code of no standard and what the declaration calls later: the request is sent again, and the file arrives."""
    server = Answering(service(leg, fault, fault))
    outcome = client_of(virtual_face, server, said(ASKED)).run({}, to=str(tmp_path / "t.csv"), timeout=20)
    assert (outcome.value, outcome.path.read_bytes()) == (42, b"a,b")
    assert len(server.calls) == 6


@pytest.mark.parametrize("fault", LATER, ids=["423", "a word", "a word with 200"])
def test_a_submission_that_is_put_off_by_the_services_own_word_is_sent_again(virtual_face, fault):
    """The declaration says that nothing was made then, so it cannot make a second job."""
    server = Answering(service("jobs", fault))
    assert client_of(virtual_face, server, said(DECLARED)).run({}, timeout=20).job_id == "1"
    assert len(sent_to(server, "/jobs")) == 2


def test_a_word_that_is_not_declared_is_final(virtual_face):
    """`[later]` lets nothing else be retried."""
    server = Answering(service("jobs", as_json({"code": "BAD_INPUT"}, 400)))
    with pytest.raises(gofer.Rejected, match="BAD_INPUT"):
        client_of(virtual_face, server, said(DECLARED)).run({}, timeout=20)
    assert len(server.calls) == 1


@pytest.mark.parametrize("leg", ["result", "file"])
def test_what_a_job_gave_and_is_not_there_is_named(virtual_face, tmp_path, leg):
    """NotFound with the address; the job is not lost, since the service has just shown it, and none is made again."""
    server = Answering(service(leg, *[http(404, "")] * 9))
    with pytest.raises(gofer.NotFound, match=f"/{leg}") as missing:
        client_of(virtual_face, server, said(ASKED)).run({}, to=str(tmp_path / "t.csv"), timeout=20)
    assert missing.value.ticket
    assert len(sent_to(server, "/jobs")) == 1


def test_a_lost_job_names_its_address(virtual_face):
    """JobLost, after as many tries as `patience` says."""
    server = Answering(service("1", *[http(404, "")] * 9))
    with pytest.raises(gofer.JobLost, match="/jobs/1 answers 404"):
        client_of(virtual_face, server, said(DECLARED)).run({}, timeout=20)
    assert len(sent_to(server, "/jobs/1")) == 3


@pytest.mark.parametrize("odd", [{}, [1], True, "half", 10**400, None], ids=lambda odd: str(odd)[:8])
def test_what_is_only_shown_never_costs_the_job(virtual_face, odd):
    """Progress and message of any type: the job goes on, and what makes no sense is left out."""
    states = [{"state": "working", "progress": odd, "message": odd}, {"state": "broken", "progress": odd, "why": odd}]

    def answer(call):
        return as_json({"id": "1"} if call.method == "POST" else states[call.nth - 1])

    client = client_of(virtual_face, Answering(answer), said(DECLARED))
    assert client.submit({}).wait(timeout=20) == "broken"


def test_a_message_that_cannot_be_read_never_costs_the_job(virtual_face):
    """The state is in a header, and the body that should have the message is a web page."""
    head = DECLARED.replace('"/state"', '"header:x-state"').partition("[refusal]")[0]
    page = http(200, "<html>", content_type="text/html", x_state="done")
    server = Answering(lambda call: as_json({"id": "1"}) if call.method == "POST" else page)
    client = client_of(virtual_face, server, said(head))
    assert client.submit({}).wait(timeout=20) == "done"


def test_the_clients_grace_counts_before_the_declarations(virtual_face):
    """`grace=` of a client ends an undeclared state, whatever the contract says."""
    server = Answering(lambda call: as_json({"id": "1", "state": "pondering"}))
    with pytest.raises(gofer.BadReply, match="'pondering'"):
        client_of(virtual_face, server, said("grace = 3600\n" + DECLARED), grace=0.1).run({})
    with pytest.raises(gofer.UsageError, match="grace must be"):
        client_of(virtual_face, server, said(DECLARED), grace=0)


def test_the_command_line_shows_what_means_later():
    """`gofer contract check` has a section for it."""
    from gofer.contracts.declared.explain import explained

    text = "\n".join(explained(said(DECLARED).declaration))
    assert "refusals for now" in text
    assert json.dumps("423")[1:-1] in text
    assert "Queue_Full" in text


@pytest.mark.parametrize("leg", ["jobs", "1", "result", "file"])
@pytest.mark.parametrize("refusal", [http(498, ""), as_json({"code": "expiredtoken"}, 400)], ids=["a code", "a word"])
def test_refused_credentials_are_renewed(any_face, serve, tmp_path, leg, refusal):
    """What `[unauthorized]` has is a 401 on every leg: `auth=` is asked again, and the request is sent once more."""
    declared = ASKED.replace("[later]", '[unauthorized]\ncodes = [498]\nwords = ["ExpiredToken"]\n[later]')
    plain = service(None)

    def answer(call):
        here = path_of(call).rpartition("/")[2] == leg
        return refusal if here and call.headers["x-token"] == "old" else plain(call)

    tokens = []

    def sign(request, refused=None):
        tokens.append("new" if refused or "new" in tokens else "old")
        return request.with_headers({"x-token": tokens[-1]})

    server = serve(answer)
    client_of(any_face, server.url, said(declared), auth=sign).run({}, to=str(tmp_path / "t.csv"), timeout=20)
    assert tokens.count("new") == len(server.calls) - tokens.count("old")
    assert [path_of(call).rpartition("/")[2] for call in server.calls].count(leg) == 2
