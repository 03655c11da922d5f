"""A submission by PUT or DELETE is sent again after a lost answer, whatever its key (RFC 9110, section 9.2.2)."""

import pytest

import gofer
from gofer.contracts.declared import shipped
from support.declared import Answering, as_json, client_of, said, sent_to
from support.raw_server import http

NAMED = """
name = "named"
[submit]
method = "{input.method}"
url = "{base}/things/{input.name}"
finished = [200, 204]
links = { me = ["sent:PUT", "sent:POST", "sent:PATCH", "none:"] }
[poll]
url = "{links.me}"
[status]
state = "/state"
"""


def service(*answers):
    """A service whose submissions are first answered with these; the thing is there afterwards."""
    left = list(answers)

    def answer(call):
        if call.method != "GET" and left:
            return left.pop(0)
        return as_json({"state": "succeeded"})

    return Answering(answer)


def run(face, server, method, text=NAMED):
    """Submit by this method, and wait."""
    return client_of(face, server, said(text)).run({"name": "one", "method": method}, timeout=20)


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_what_is_idempotent_is_sent_again(virtual_face, method):
    """No key is needed, and the errand ends well."""
    server = service(http(500), http(502))
    run(virtual_face, server, method)
    assert len(sent_to(server, "/things/one", method)) == 3


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_what_is_not_idempotent_is_sent_once(virtual_face, method):
    """Another try might make a second job, so the caller decides."""
    server = service(http(500))
    with pytest.raises(gofer.SubmitUncertain, match="check at the service"):
        run(virtual_face, server, method)
    assert len(server.calls) == 1


def test_a_declaration_may_say_that_its_put_is_not_idempotent(virtual_face):
    """With `idempotent = false` the method does not count."""
    server = service(http(500))
    with pytest.raises(gofer.SubmitUncertain, match="check at the service"):
        run(virtual_face, server, "PUT", NAMED.replace("finished", "idempotent = false\nfinished"))
    assert len(server.calls) == 1


def test_answers_that_stay_lost_are_uncertain_and_the_advice_fits(virtual_face):
    """The same call may be made again, and the message says so."""
    with pytest.raises(gofer.SubmitUncertain, match="may be made again: PUT makes no second job"):
        run(virtual_face, service(*[http(500)] * 9), "PUT")


@pytest.mark.parametrize("gone", [404, 410])
def test_a_repeated_delete_that_finds_nothing_has_been_done(virtual_face, gone):
    """The first one did it, and its answer was lost; a first one that finds nothing is an error."""
    outcome = run(virtual_face, service(http(500), http(gone)), "DELETE")
    assert (outcome.value, outcome.path) == (None, None)
    with pytest.raises((gofer.NotFound, gofer.Expired)):
        run(virtual_face, service(http(gone)), "DELETE")


@pytest.mark.parametrize("code", [400, 409, 422])
def test_a_repeated_put_that_is_refused_is_uncertain(virtual_face, code):
    """What is at its address may have been there before, so it is not taken for what this one made."""
    server = service(http(500), *[http(code)] * 9)
    with pytest.raises(gofer.SubmitUncertain):
        run(virtual_face, server, "PUT")
    assert sent_to(server, "/things/one", "GET") == []


def test_a_put_may_be_repeated_with_a_key_that_it_does_not_send(virtual_face):
    """The caller has its key from an error, and repeats the call with it."""
    server = service()
    client = client_of(virtual_face, server, said(NAMED))
    assert client.submit({"name": "one", "method": "PUT"}, key="k1").status == "succeeded"
    with pytest.raises(gofer.UsageError, match="sends none"):
        client.submit({"name": "one", "method": "POST"}, key="k1")
    assert len(server.calls) == 1


def test_a_deletion_whose_answer_is_needed_is_uncertain(virtual_face):
    """It has been done, and the contract reads its job out of an answer that is lost."""
    with pytest.raises(gofer.SubmitUncertain):
        run(virtual_face, service(http(500), http(404)), "DELETE", NAMED.replace("[200, 204]", "[200]"))


def test_a_key_that_is_not_sent_names_no_job(virtual_face):
    """That it is part of the address by chance proves nothing: the refusal is raised, and nothing else is asked."""
    server = service(http(400))
    with pytest.raises(gofer.Rejected):
        client_of(virtual_face, server, said(NAMED)).submit({"name": "one", "method": "PUT"}, key="on")
    assert len(server.calls) == 1


@pytest.mark.parametrize(("body", "ends"), [(b"not a document", True), (b"", False)])
def test_any_text_is_an_answer_without_a_state(virtual_face, body, ends):
    """The state is in a header that is missing; only an answer with nothing at all does not say so."""
    text = NAMED.replace('state = "/state"', 'state = "header:x-state"\nabsent = "succeeded"')
    server = Answering(lambda _: http(200, body, content_type="text/plain"))
    client = client_of(virtual_face, server, said(text))
    if ends:
        assert client.run({"name": "one", "method": "PUT"}, timeout=20).job_id == "one"
    else:
        with pytest.raises(gofer.BadReply):
            client.run({"name": "one", "method": "PUT"}, timeout=20)


def test_an_empty_answer_has_no_state(virtual_face):
    """The word for a document without a state does not count where there is no document."""
    server = Answering(lambda call: http(201 if call.method == "PUT" else 200))
    with pytest.raises(gofer.BadReply):
        client_of(virtual_face, server, shipped.declared("azure-lro")).run({"method": "PUT", "path": "x"}, timeout=20)
