"""Jobs that wait for their caller: what they ask is raised, and answered once."""

import json

import pytest

import gofer
from gofer.models import State
from support.declared import PLAIN, Answering, as_json, client_of, path_of, said, sent_to
from support.raw_server import http

ASKING = (
    PLAIN.replace("[states]", '[states]\nwaiting = "asks"').replace(
        "[status]", '[status]\nquestion = "/question"\nmessage = "/message"'
    )
    + '[answer]\nurl = "{base}/jobs/{id}/answer"\njson = { text = "{answer.text}" }\n'
)
QUESTION = {"form": ["year"]}


def asking(*, lag=0, loses=0, refuses=None):
    """A service whose job asks once; it shows the question `lag` times more, and loses the first answers."""
    state = {"answers": [], "left": lag, "loses": loses}

    def answer(call):
        path = path_of(call)
        if path.endswith("/answer"):
            if refuses is not None:
                return refuses
            state["answers"].append(json.loads(call.body))
            if state["loses"]:
                state["loses"] -= 1
                return http(502)
            return http(204)
        if path == "/jobs" and call.method == "POST":
            return as_json({"id": "7", "state": "waiting"}, 201)
        if not state["answers"] or state["left"] > 0:
            state["left"] -= bool(state["answers"])
            return as_json({"id": "7", "state": "asks", "question": QUESTION, "message": "Which year?"})
        return as_json({"id": "7", "state": "done", "year": state["answers"][0]["text"]})

    return Answering(answer)


def test_a_job_that_waits_for_its_caller_is_raised_and_answered(virtual_face):
    """The error has the question and the ticket; after the answer the same job ends."""
    client = client_of(virtual_face, asking(), said(ASKING))
    with pytest.raises(gofer.NeedsInput) as caught:
        client.run({}, timeout=20)
    assert caught.value.question == QUESTION
    job = client.attach(caught.value.ticket)
    with pytest.raises(gofer.NeedsInput, match="Which year"):
        job.result(timeout=20)
    assert (job.status.state, job.status.question) == (State.WAITING, QUESTION)
    job.answer({"text": "2026"})
    assert job.result(timeout=20)["year"] == "2026"


def test_a_question_that_is_shown_a_little_longer_is_not_raised_again(virtual_face):
    """A service may need a moment to read the answer; it is sent once."""
    server = asking(lag=3)
    job = client_of(virtual_face, server, said(ASKING)).submit({})
    with pytest.raises(gofer.NeedsInput):
        job.wait(timeout=20)
    job.answer({"text": "2026"})
    assert job.wait(timeout=20) == "done"
    assert len(sent_to(server, "/jobs/7/answer")) == 1


def test_a_question_that_stays_is_raised_again(virtual_face):
    """A service that goes on asking the same has not understood the answer."""
    job = client_of(virtual_face, asking(lag=10_000), said(ASKING)).submit({})
    with pytest.raises(gofer.NeedsInput):
        job.wait(timeout=20)
    job.answer({"text": "2026"})
    with pytest.raises(gofer.NeedsInput):
        job.wait(timeout=100)


def test_an_answer_that_was_lost_is_sent_again_only_to_the_same_question(virtual_face):
    """The job is looked at first: it has gone on, so the answer had arrived."""
    server = asking(loses=1)
    job = client_of(virtual_face, server, said(ASKING)).submit({})
    job.answer({"text": "2026"})
    assert len(sent_to(server, "/jobs/7/answer")) == 1
    server = asking(loses=1, lag=1)
    job = client_of(virtual_face, server, said(ASKING)).submit({})
    job.answer({"text": "2026"})
    assert len(sent_to(server, "/jobs/7/answer")) == 2


@pytest.mark.parametrize(
    ("answer", "error"),
    [({"text": object()}, gofer.UsageError), ({"other": 1}, gofer.UsageError), ("2026", gofer.UsageError)],
)
def test_what_cannot_be_sent_as_an_answer_is_a_usage_error(virtual_face, answer, error):
    """Nothing is sent."""
    server = asking()
    job = client_of(virtual_face, server, said(ASKING)).submit({})
    with pytest.raises(error):
        job.answer(answer)
    assert sent_to(server, "/jobs/7/answer") == []


def test_an_answer_that_is_refused_is_raised(virtual_face):
    """The job goes on waiting, and can be answered again."""
    server = asking(refuses=as_json({"message": "no year"}, 422))
    job = client_of(virtual_face, server, said(ASKING)).submit({})
    with pytest.raises(gofer.Rejected, match="no year"):
        job.answer({"text": "x"})
    assert job.status.state is State.WAITING


def test_a_job_that_asks_nothing_takes_no_answer(virtual_face):
    """It is looked at, and what it is doing is said."""
    server = Answering(lambda call: as_json({"id": "7", "state": "busy"}, 200))
    job = client_of(virtual_face, server, said(ASKING)).submit({})
    with pytest.raises(gofer.UsageError, match="busy"):
        job.answer({"text": "x"})
    job = client_of(virtual_face, server, said(PLAIN)).submit({})
    with pytest.raises(gofer.NotSupported):
        job.answer({"text": "x"})


@pytest.mark.parametrize(("interval", "of", "pause"), [(500, 1000, 0.5), ("7", 1, 7.0), (-3, 1, 0.25), (1e9, 1, 120.0)])
def test_the_service_may_say_when_to_ask_next(virtual_face, interval, of, pause):
    """The interval in its document takes the place of the client's own schedule, 120 s at most."""
    server = Answering(lambda call: as_json({"id": "7", "state": "working", "next": interval}, 200))
    text = PLAIN.replace("[status]", f'[status]\ninterval = "/next"\ninterval_of = {of}')
    with pytest.raises(gofer.OutOfTime):
        client_of(virtual_face, server, said(text), hold=0, on_abandon="leave").run({}, timeout=20 * pause)
    assert 19 <= len(sent_to(server, "/jobs/7")) <= 22


def test_a_sign_of_success_ends_a_job_whatever_its_word(virtual_face):
    """As for signs of failure and cancellation, which count before it; a word that means an end is kept."""
    text = PLAIN.replace("[status]", '[status]\nsucceeded = "/output"\nfailed = "/fault"\ncancelled = "/stopped"')

    def end(**document):
        server = Answering(lambda call: as_json({"id": "7", **document}, 201 if call.method == "POST" else 200))
        return client_of(virtual_face, server, said(text)).submit({}).wait(timeout=20).state

    assert end(state="busy", output=[]) is State.SUCCEEDED
    assert end(output=1) is State.SUCCEEDED
    assert end(state="busy", output=1, fault="x") is State.FAILED
    assert end(output=1, fault="x", stopped=True) is State.CANCELLED
    assert end(state="broken", output=1) is State.FAILED


def test_an_answer_has_a_key_that_its_repeats_have_too(virtual_face):
    """It is another one for another answer or another question, and the same in another process."""
    text = ASKING.replace('{ text = "{answer.text}" }', '{ text = "{answer.text}", key = "{key}" }')
    keys = []

    def answered(question, answer, loses=0):
        def service(call):
            if path_of(call).endswith("/answer"):
                keys.append(json.loads(call.body)["key"])
                return http(502) if len(keys) <= loses else http(204)
            return as_json({"id": "7", "state": "asks", "question": question}, 201 if call.method == "POST" else 200)

        job = client_of(virtual_face, Answering(service), said(text)).submit({})
        job.answer({"text": answer})

    answered("a", "1", loses=1)
    assert keys[0] == keys[1]
    answered("a", "1")
    answered("a", "2")
    answered("b", "1")
    assert keys[2] == keys[0]
    assert len(set(keys)) == 3


def test_where_an_answer_goes_may_be_in_the_question(virtual_face):
    """A ticket from before the question is enough: the job is looked at first."""
    text = ASKING.replace("[status]", '[status]\nlinks = { reply = "/reply_to" }').replace(
        "{base}/jobs/{id}/answer", "{links.reply}"
    )

    def service(call):
        if path_of(call) == "/jobs":
            return as_json({"id": "7", "state": "working"}, 201)
        if call.method == "POST":
            return http(204)
        return as_json({"id": "7", "state": "asks", "reply_to": "/replies/1"}, 200)

    server = Answering(service)
    client = client_of(virtual_face, server, said(text))
    client.attach(client.submit({}).ticket).answer({"text": "2026"})
    assert len(sent_to(server, "/replies/1")) == 1
