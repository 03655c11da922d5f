"""What refusals mean, by a declaration's table: on any code or body, for each request."""

import pytest

import gofer
from support.declared import PLAIN, Answering, as_json, client_of, path_of, said, sent_to
from support.raw_server import http

RESULT = PLAIN + '[result]\nurl = "{base}/jobs/{id}/result"\n'


def refusing(leg, *replies):
    """A service that gives these replies first to the requests of one leg."""
    left = list(replies)

    def answer(call):
        here = "submit" if call.method == "POST" else "cancel" if call.method == "DELETE" else "poll"
        here = "result" if path_of(call).endswith("/result") else here
        if here == leg and left:
            return left.pop(0)
        return as_json({"id": "7", "state": "waiting" if here == "submit" else "done", "rows": [1]}, 200)

    return Answering(answer)


def table(means, **keys):
    """One refusal with these keys."""
    rows = "".join(f"{name} = {value!r}\n" for name, value in keys.items())
    return f"[[refusal]]\nmeans = {means!r}\n{rows}"


BUSY = as_json({"code": "Busy"}, 400)


@pytest.mark.parametrize("leg", ["submit", "poll", "result"])
@pytest.mark.parametrize(
    ("reply", "keys"),
    [
        (http(423), {"codes": 423}),
        (BUSY, {"words": "busy"}),
        (as_json({"fault": "x"}, 400), {"codes": 400, "when": "/fault"}),
        (as_json({"fault": "x"}, 200), {"when": "/fault"}),
    ],
    ids=["by code", "by word", "by body", "in a 2xx"],
)
def test_what_is_for_now_only_is_tried_again(virtual_face, leg, reply, keys):
    """A submission too, as nothing was made; without the table it is raised or taken for an answer."""
    server = refusing(leg, reply)
    client = client_of(virtual_face, server, said(RESULT + table("later", **keys)))
    assert client.run({}, timeout=60).value["rows"] == [1]
    assert len(sent_to(server, "/jobs", "POST")) == (2 if leg == "submit" else 1)


@pytest.mark.parametrize(
    ("means", "error"), [("rejected", gofer.Rejected), ("missing", gofer.NotFound), ("ended", gofer.Expired)]
)
@pytest.mark.parametrize("reply", [as_json({"code": "Busy"}, 503), as_json({"code": "Busy"}, 200)])
def test_a_refusal_is_raised_as_what_it_means(virtual_face, means, error, reply):
    """Whatever its HTTP code: it is not tried again."""
    server = refusing("submit", reply, reply)
    client = client_of(virtual_face, server, said(RESULT + table(means, words="Busy", code="/code")))
    with pytest.raises(error):
        client.submit({})
    assert len(server.calls) == 1


def test_a_refusal_of_another_request_keeps_its_meaning(virtual_face):
    """`on` says which requests it is about."""
    server = refusing("poll", http(423))
    client = client_of(virtual_face, server, said(RESULT + table("later", codes=423, on="submit")))
    with pytest.raises(gofer.Rejected):
        client.run({}, timeout=60)


def test_the_first_refusal_that_fits_counts(virtual_face):
    """Each of its keys must fit."""
    text = RESULT + table("ended", codes=409, when="/gone") + table("later", codes=409)
    server = refusing("submit", as_json({}, 409))
    assert client_of(virtual_face, server, said(text)).run({}, timeout=60).value["rows"] == [1]
    with pytest.raises(gofer.Expired):
        client_of(virtual_face, refusing("submit", as_json({"gone": True}, 409)), said(text)).submit({})


def test_a_job_that_is_missing_for_good_is_lost(virtual_face):
    """As one that is answered with 404."""
    gone = as_json({"code": "NoSuchJob"}, 400)
    job = client_of(virtual_face, refusing("poll", *[gone] * 50), said(RESULT + table("missing", words="NoSuchJob")))
    with pytest.raises(gofer.JobLost):
        job.submit({}).wait(timeout=600)


@pytest.mark.parametrize("name", [{"id": "7"}, {"error": "there is job 7"}], ids=["as an answer", "in its words"])
def test_a_job_that_exists_is_taken(virtual_face, name):
    """The declaration says that the refusal is about the caller's own job; where it names none, it is raised."""
    text = RESULT.replace('id = "/id"', 'id = ["/id", "/error ~ job (\\\\w+)"]') + table("exists", codes=409)
    server = refusing("submit", as_json(name, 409))
    assert client_of(virtual_face, server, said(text)).run({}, timeout=60).job_id == "7"
    with pytest.raises(gofer.Rejected):
        client_of(virtual_face, refusing("submit", as_json({"error": "?"}, 409)), said(text)).submit({})


def test_a_cancellation_may_be_refused_as_the_job_has_ended(virtual_face):
    """The job is looked at, as after any other refusal of it."""
    server = refusing("cancel", as_json({"error": "over"}, 400))
    text = RESULT + '[cancel]\nurl = "{base}/jobs/{id}"\n' + table("ended", codes=400, on="cancel")
    job = client_of(virtual_face, server, said(text)).submit({})
    assert job.cancel() is True
    assert job.status == "done"


def test_one_document_without_a_state_among_good_ones_is_asked_again(virtual_face):
    """A service that restarts may give one; the first one of all, and many in a row, are an error."""
    given = []

    def answer(call):
        if call.method == "POST":
            return as_json({"id": "7"}, 201)
        given.append(call)
        return as_json({"state": "working"}) if len(given) == 1 else states.pop(0)

    states = [as_json({}), http(200), as_json({"state": "done"})]
    assert client_of(virtual_face, Answering(answer), said(PLAIN)).submit({}).wait(timeout=60) == "done"
    given.clear()
    states = [as_json({})] * 1000
    with pytest.raises(gofer.BadReply, match=r"status\.state"):
        client_of(virtual_face, Answering(answer), said(PLAIN)).submit({}).wait(timeout=600)


KEEP = """
name = "kept"
[submit]
url = "{base}/{input.path}"
method = "{input.method?}"
id = "/id"
keep = { method = "{input.method?}", what = "{input.path}" }
[[poll]]
needs = "values.method ~ ^(PUT|PATCH)$"
url = "{base}/{values.what}/changes"
[[poll]]
url = "{base}/{values.what}/{id}"
[status]
state = "/state"
"""


def test_parts_of_the_input_are_kept_with_the_job(virtual_face):
    """In its ticket too; they choose the request, and stand in its address, encoded."""

    def answer(call):
        return as_json({"id": "7", "state": "pending" if call.method != "GET" else "succeeded"}, 200)

    server = Answering(answer)
    client = client_of(virtual_face, server, said(KEEP))
    assert client.submit({"path": "a b", "method": "PUT"}).wait(timeout=20).done
    job = client.attach(client.submit({"path": "x"}).ticket)
    assert job.wait(timeout=20).done
    assert [call.path for call in server.calls if call.method == "GET"] == ["/a%20b/changes", "/x/7"]


@pytest.mark.parametrize("path", ["x" * 1001, "a\nb"])
def test_what_is_kept_is_a_short_text_of_one_line(virtual_face, path):
    """A ticket would not have room for more; nothing is sent."""
    server = Answering(lambda _: http(500))
    with pytest.raises(gofer.UsageError):
        client_of(virtual_face, server, said(KEEP)).submit({"path": path})
    assert server.calls == []


HEAD = """
name = "head"
origins = "http://other.test"
[variables]
server = ""
[submit]
url = "START/jobs"
headers = { x-secret = "{secret}" }
id = "/id"
[poll]
url = "{base}/jobs/{id}"
[status]
state = "/state"
"""


@pytest.mark.parametrize("start", ["{server}", "{input.server}", "{+input.server}"])
@pytest.mark.parametrize("server", ["http://other.test", "http://elsewhere.test", "no address"])
def test_an_address_may_begin_with_the_callers_own_value(virtual_face, start, server):
    """It goes there as it is written, if the declaration allows that origin, and without secrets."""
    text = HEAD.replace("START", start).replace('server = ""', 'server = ""\nsecret = { secret = true }')
    service = Answering(lambda _: as_json({"id": "7"}, 201))
    contract = said(text, server=server, secret="s3")
    client = client_of(virtual_face, service, contract, auth="token")
    if server != "http://other.test":
        with pytest.raises(gofer.UsageError):
            client.submit({"server": server})
        assert service.calls == []
        return
    assert client.submit({"server": server}).id == "7"
    (call,) = service.calls
    assert call.headers["host"] == "other.test"
    assert not {"x-secret", "authorization"} & set(call.headers)


SHAPES = [
    ({"detail": [{"loc": ["body", "year"], "msg": "too early"}, {"msg": "no name"}]}, "body.year: too early; no name"),
    ({"title": "Bad", "errors": [{"detail": "no", "pointer": "#/a"}]}, "Bad: #/a: no"),
    ({"errors": ["one", "two"]}, "one; two"),
    ({"reason": "no disk"}, "no disk"),
    ({"error_message": "no disk"}, "no disk"),
    ({"resourceType": "OperationOutcome", "issue": [{"diagnostics": "no such type"}]}, "no such type"),
    ({"errors": [{"message": "x" * 9}] * 1000}, "; ".join(["x" * 9] * 5)),
    ({"errors": [[], None, 7, {}], "message": "still"}, "still"),
]


@pytest.mark.parametrize(("body", "words"), SHAPES, ids=[str(body)[:40] for body, _ in SHAPES])
def test_the_usual_shapes_of_errors_are_read_undeclared(virtual_face, body, words):
    """Lists of messages with their places too."""
    with pytest.raises(gofer.Rejected) as caught:
        client_of(virtual_face, Answering(lambda _: as_json(body, 422)), said(PLAIN)).submit({})
    assert caught.value.detail == words


def test_nothing_found_says_what_was_there(virtual_face):
    """By the names in the document, without their values."""
    server = Answering(lambda _: as_json({"job": "secret", "status": "x"}, 201))
    with pytest.raises(gofer.SubmitUncertain, match="which has job, status") as caught:
        client_of(virtual_face, server, said(PLAIN)).submit({})
    assert "secret" not in str(caught.value)
