"""What a declared contract does with undeclared words, lost answers, wrong answers and early ends."""

import time

import pytest
from tenacity.wait import wait_fixed

import gofer
from support.declared import PLAIN, Answering, as_json, client_of, path_of, query_of, said, sent_to
from support.raw_server import RESET, RawServer, http, raw_server

DECLARED = PLAIN.replace("[submit]", "grace = 0.3\n[submit]")


def states(*words, created="waiting"):
    """Give a service whose job has these words, one for each poll; the last one stays."""

    def answer(call):
        if call.method == "POST":
            return as_json({"id": "1", "state": created}, 201)
        return as_json({"state": words[min(call.nth, len(words)) - 1]})

    return answer


def test_an_undeclared_word_is_an_error_after_the_grace(any_face, serve):
    """Also without a timeout: the error names the word, and polling ends."""
    server = serve(states(*["pondering"] * 20, "done"))
    began = time.monotonic()
    with pytest.raises(gofer.BadReply, match="'pondering'") as undeclared:
        client_of(any_face, server.url, said(DECLARED)).run({})
    assert 0.3 <= time.monotonic() - began < 60
    assert (undeclared.value.status, undeclared.value.field) == ("pondering", "state")
    assert undeclared.value.ticket


def test_an_undeclared_word_within_the_grace_is_no_error(blocking, serve):
    """Some services send a word that they do not document; a declared one after it resets the grace."""
    server = serve(states("pondering", "working", "musing", "done"))
    assert client_of(blocking, server.url, said(DECLARED)).submit({}).wait(timeout=10) == "done"


def test_ever_new_undeclared_words_do_not_prolong_the_grace(blocking, serve):
    """A word with a number in it that grows is undeclared from the first poll on."""
    server = serve(lambda call: as_json({"id": "1", "state": f"step {call.nth}" if call.nth < 300 else "done"}))
    with pytest.raises(gofer.BadReply, match="step"):
        client_of(blocking, server.url, said(DECLARED)).run({})


def test_words_are_compared_without_case(blocking, serve):
    """The status keeps the service's own spelling."""
    server = serve(states("WORKING", "Done"))
    assert client_of(blocking, server.url, said(DECLARED)).submit({}).wait(timeout=10) == "Done"


def test_other_says_what_every_other_word_means(blocking, serve):
    """With `other`, no word is undeclared: `running` polls on, `failed` ends."""
    running = DECLARED.replace("[states]", '[states]\nother = "running"')
    assert client_of(blocking, serve(states("odd", "done")).url, said(running)).submit({}).wait(timeout=10) == "done"
    failed = DECLARED.replace("[states]", '[states]\nother = "failed"')
    with pytest.raises(gofer.JobFailed, match="odd"):
        client_of(blocking, serve(states("odd")).url, said(failed)).run({}, timeout=10)


@pytest.mark.parametrize("document", [{}, {"state": None}, {"state": {"a": 1}}, {"state": []}, [], 1])
def test_a_state_that_is_not_there_is_a_bad_reply(any_face, serve, document):
    """The error names the declaration's file, line and key, and nothing is sent again."""
    server = serve(lambda call: as_json({"id": "1"} if call.method == "POST" else document))
    with pytest.raises(gofer.BadReply, match=r"mine.toml:11: status.state: nothing was found") as bad:
        client_of(any_face, server.url, said(DECLARED)).run({}, timeout=10)
    assert bad.value.field == "status.state"
    assert len(server.calls) == 2


def test_an_id_that_is_not_there_is_a_bad_reply_about_an_uncertain_job(blocking, serve):
    """The service has answered, so a job may exist; the error says which key found nothing, and where."""
    server = serve(lambda call: as_json({"no": "id"}))
    with pytest.raises(gofer.SubmitUncertain, match=r"mine.toml:7: submit.id: nothing was found"):
        client_of(blocking, server.url, said(DECLARED)).submit({})
    assert len(server.calls) == 1


def test_a_submission_may_be_finished_already(any_face, serve):
    """The answer to the submission is enough, and no poll follows."""
    server = serve(states(created="done"))
    outcome = client_of(any_face, server.url, said(DECLARED)).run({}, timeout=10)
    assert (outcome.value["state"], len(server.calls)) == ("done", 1)


AT_ONCE = DECLARED.replace('id = "/id"', 'id = "/id"\nfinished = [200]') + '[result]\nvalue = "/answer"\n'


def test_a_submission_may_be_answered_with_the_result(any_face, serve, tmp_path):
    """No job was made: the answer's document is the result, and there is nothing to attach to."""
    server = serve(lambda call: as_json({"answer": [1, 2]}))
    client = client_of(any_face, server.url, said(AT_ONCE))
    assert client.run({}, to=str(tmp_path / "r.json"), timeout=10).value == [1, 2]
    assert (tmp_path / "r.json").read_text() == "[\n  1,\n  2\n]"
    job = client.submit({})
    assert (job.status.done, job.result(timeout=1), job.cancel()) == (True, [1, 2], True)
    assert len(server.calls) == 2


def test_a_submission_may_be_answered_with_the_file(any_face, serve, tmp_path):
    """What is no document is the file itself."""
    server = serve(lambda call: http(200, b"\x89PNG...", content_type="image/png"))
    client = client_of(any_face, server.url, said(AT_ONCE))
    assert client.run({}, to=str(tmp_path / "r.png"), timeout=10).path.read_bytes() == b"\x89PNG..."


LATE = (
    DECLARED
    + """
[result]
url = "{base}/jobs/{id}/result"
failed = "/exception"
error = "/exception/text"
code = "/exception/code"
value = "/answer"
"""
)


def test_success_may_turn_out_to_be_failure(any_face, serve, tmp_path):
    """The status document says success, the result document that it failed: that is a failed job, with its words."""

    def answer(call):
        if path_of(call).endswith("/result"):
            return as_json({"exception": {"text": "the input was empty", "code": "E7"}})
        return states("done")(call)

    server = serve(answer)
    client = client_of(any_face, server.url, said(LATE))
    with pytest.raises(gofer.JobFailed, match="the input was empty") as failed:
        client.run({}, to=str(tmp_path / "r"), timeout=10)
    assert (failed.value.error_code, failed.value.status) == ("E7", "done")
    assert not list(tmp_path.iterdir())


def test_a_refused_submission_makes_no_job_and_is_not_repeated(any_face, serve):
    """A 422 is final."""
    server = serve(lambda call: as_json({"detail": "no such thing"}, 422))
    with pytest.raises(gofer.Rejected, match="no such thing"):
        client_of(any_face, server.url, said(DECLARED)).run({}, timeout=10)
    assert len(server.calls) == 1


@pytest.mark.parametrize("idempotent", [False, True])
def test_a_lost_submission_is_repeated_only_where_it_is_declared_idempotent(blocking, idempotent):
    """Otherwise the caller gets an error with the key; where it is repeated, every byte is the same."""
    text = DECLARED.replace('id = "/id"', 'id = "/id"\nidempotent = true\nheaders = { idempotency-key = "{key}" }')

    def losing(call):
        return [RESET] if call.method == "POST" and call.nth == 1 else [states("done")(call)]

    server = RawServer(losing)
    try:
        client = client_of(blocking, server.url, said(text if idempotent else DECLARED))
        if idempotent:
            assert client.run({"a": 1}, timeout=10).job_id == "1"
            one, two = sent_to(server, "/jobs")
            assert (one.body, one.headers) == (two.body, two.headers)
        else:
            with pytest.raises(gofer.SubmitUncertain) as unsure:
                client.run({"a": 1}, timeout=10)
            assert (len(server.calls), bool(unsure.value.key)) == (1, True)
    finally:
        server.close()


@pytest.mark.parametrize(
    "key", ['headers = { idempotency-key = "{key}" }', 'query = { token = "{key}" }', 'form = { t = "{key}" }']
)
def test_a_lost_submission_is_not_advised_to_be_repeated_without_its_key(any_face, key):
    """The advice and `key=` are for declarations that send the key, wherever it is; others refuse `key=` unsent."""
    sent = DECLARED.replace('json = "{input}"', key if "form" in key else f'json = "{{input}}"\n{key}')
    with raw_server(lambda call: [RESET]) as server:
        with pytest.raises(gofer.SubmitUncertain, match=r"submit\(request, key=error\.key\)") as unsure:
            client_of(any_face, server.url, said(sent)).submit({"a": 1})
        client = client_of(any_face, server.url, said(DECLARED))
        with pytest.raises(gofer.SubmitUncertain, match="check at the service"):
            client.submit({"a": 1})
        sent_before = len(server.calls)
        for verb in (client.submit, client.run):
            with pytest.raises(gofer.UsageError, match="sends none"):
                verb({"a": 1}, key=unsure.value.key)
        assert len(server.calls) == sent_before


CANCELLABLE = DECLARED + '[cancel]\nmethod = "POST"\nurl = "{base}/jobs/{id}/stop"\n'


def test_without_a_declared_cancellation_there_is_none(any_face, serve):
    """False, and nothing is sent."""
    server = serve(states("working"))
    job = client_of(any_face, server.url, said(DECLARED)).submit({})
    assert (job.cancel(), len(server.calls)) == (False, 1)


@pytest.mark.parametrize("body", ["ok", "", "{}", '{"state": "pondering"}', '{"state": null}'])
def test_a_cancellation_that_lies_is_seen_through(any_face, serve, body):
    """After a 200 the job may go on: the status is what a poll shows, and the job can be waited for."""

    def answer(call):
        if call.path.endswith("/stop"):
            return http(200, body, content_type="application/json")
        return states("working", "done")(call)

    job = client_of(any_face, serve(answer).url, said(CANCELLABLE)).submit({})
    assert (job.cancel(), job.status) == (True, "working")
    assert job.wait(timeout=10) == "done"


@pytest.mark.parametrize("code", [404, 405, 501])
def test_a_service_that_offers_no_cancellation_says_so_by_its_code(blocking, serve, code):
    """The declared request is refused as unknown: False, and the status stays what it was."""
    server = serve(lambda call: http(code) if call.path.endswith("/stop") else as_json({"id": "1", "state": "working"}))
    job = client_of(blocking, server.url, said(CANCELLABLE)).submit({})
    assert (job.cancel(), job.status) == (False, "working")


@pytest.mark.parametrize("code", [400, 404, 409])
def test_a_cancellation_that_comes_too_late_is_true(any_face, serve, code):
    """The job ends a moment before, and the service refuses: the job is polled, `cancel` is True, the result stays."""
    server = serve(lambda call: http(code) if call.path.endswith("/stop") else states("done")(call))
    job = client_of(any_face, server.url, said(CANCELLABLE)).submit({})
    assert (job.status, job.cancel(), job.status) == ("waiting", True, "done")
    assert job.result(timeout=10) == {"state": "done"}


def test_a_job_that_runs_out_of_its_budget_is_cancelled_as_declared(virtual_face):
    """`run` cancels a job that its caller abandons."""
    server = Answering(lambda call: as_json({"id": "1", "state": "working"}))
    with pytest.raises(gofer.WaitTimeout):
        client_of(virtual_face, server, said(CANCELLABLE)).run({}, timeout=3)
    assert len(sent_to(server, "/jobs/1/stop", "POST")) == 1


HELD = DECLARED + '[poll.hold]\nquery = { wait = "{hold}" }\nproof = "header:x-held"\n'


def test_a_service_that_ignores_the_hold_is_not_hammered(virtual_face):
    """Without the declared proof the schedule decides the pauses between polls."""
    server = Answering(lambda call: as_json({"id": "1", "state": "working"}, x_other="1"))
    client = client_of(virtual_face, server, said(HELD), poll=None)
    with pytest.raises(gofer.WaitTimeout):
        client.submit({}).wait(timeout=2)
    assert len(sent_to(server, "/jobs/1")) <= 6


def test_proof_of_holding_lets_the_next_request_follow_at_once(blocking, serve):
    """The word that was held for changes each time, and no pause is made in between."""
    words = ["working", "waiting", "working", "waiting", "done"]

    def answer(call):
        polls = len(sent_to(server, "/jobs/1"))
        if call.path == "/jobs":
            return as_json({"id": "1", "state": "waiting"})
        return as_json({"state": words[polls - 1]}, x_held="yes")

    server = serve(answer)
    client_of(blocking, server.url, said(HELD), poll=wait_fixed(600), hold=9).run({}, timeout=60)
    assert query_of(server.calls[-1])["wait"] == "9"


def test_a_document_of_another_job_is_no_answer(blocking, serve):
    """Where the status document's id is declared, another's is a bad reply."""
    text = DECLARED.replace("[status]", '[status]\nid = "/id"')
    server = serve(lambda call: as_json({"id": "1" if call.method == "POST" else "2", "state": "done"}))
    with pytest.raises(gofer.BadReply, match="another's"):
        client_of(blocking, server.url, said(text)).submit({}).refresh()


@pytest.mark.parametrize("given", [None, [], "text", 3])
def test_an_input_that_is_no_map_is_refused_before_anything_is_sent(any_face, serve, given):
    """A declared submission takes a map."""
    server = serve(states("done"))
    with pytest.raises(gofer.UsageError, match="map"):
        client_of(any_face, server.url, said(DECLARED)).submit(given)
    assert server.calls == []


def test_an_input_that_lacks_a_member_is_refused_before_anything_is_sent(any_face, serve):
    """The error names the member, and the place in the declaration that wants it."""
    text = DECLARED.replace('json = "{input}"', 'json = { a = "{input.one.two}", b = "{input.three?}" }')
    server = serve(states("done"))
    client = client_of(any_face, server.url, said(text))
    for given in ({}, {"one": {}}, {"one": None}, {"one": "text"}):
        with pytest.raises(gofer.UsageError, match=r"no 'one.two', which mine.toml:\d+: submit needs"):
            client.submit(given)
    assert server.calls == []
    client.submit({"one": {"two": [None]}})
    assert server.calls[0].body == b'{"a":[null]}'


@pytest.mark.parametrize("given", [{"a": object()}, {"a": b"bytes"}, {"a": float}])
def test_an_input_that_is_no_json_is_refused_before_anything_is_sent(blocking, serve, given):
    """What JSON cannot write is an error of the call."""
    server = serve(states("done"))
    with pytest.raises(gofer.UsageError, match="JSON"):
        client_of(blocking, server.url, said(DECLARED)).submit(given)
    assert server.calls == []


def test_an_empty_id_is_refused(blocking, serve):
    """Its address would be that of the list."""
    server = serve(states("done"))
    client = client_of(blocking, server.url, said(DECLARED))
    for empty in ("", "  "):
        with pytest.raises(gofer.UsageError):
            client.job(empty)
    assert server.calls == []


def test_an_id_is_one_part_of_an_address(blocking, serve):
    """Slashes, question marks and dots in it cannot make it another address."""
    server = serve(lambda call: as_json({"state": "done"}))
    client_of(blocking, server.url, said(DECLARED)).job("a/../b?c#d%2F é").refresh()
    assert server.calls[0].path == "/jobs/a%2F..%2Fb%3Fc%23d%252F%20%C3%A9"


def test_a_form_and_parts_are_built_as_declared(blocking, serve):
    """Optional fields that are not given are left out; lists repeat a field; files have their names."""
    form = DECLARED.replace('json = "{input}"', 'form = { a = "{input.a}", b = "{input.b?}", c = "x{{{input.a}}}" }')
    server = serve(states("done"))
    client_of(blocking, server.url, said(form)).submit({"a": ["1", "ü&="]})
    assert server.calls[-1].body == b"a=1&a=%C3%BC%26%3D&c=x%7B%5B%221%22%2C%22%5Cu00fc%26%3D%22%5D%7D"
    parts = DECLARED.replace('json = "{input}"', 'multipart = { p = "{input.p}", f = "{input.f*?}" }')
    client_of(blocking, server.url, said(parts)).submit({"p": {"x": 1}, "f": {'a".txt': "A", "b.bin": b"\0"}})
    body = server.calls[-1].body
    assert b'name="p"\r\n\r\n{"x":1}\r\n' in body
    assert b'name="f"; filename="a%22.txt"\r\nContent-Type: application/octet-stream\r\n\r\nA\r\n' in body
    assert b"\0\r\n--gofer-" in body
