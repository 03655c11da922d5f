"""Services that want a parameter, a header or a cookie on every request, and where these must not go."""

import base64
import json
import re

import attrs
import pytest

import gofer
from gofer.contracts.declared import toml
from gofer.ticket import Ticket
from support.declared import as_json, client_of, here, path_of, query_of, said
from support.raw_server import http

SECRET = "k-5up3r-53cr3t"
SESSION = "s3ss10n"

DECLARED = """
name = "particular"
[variables]
api_key = { about = "the key", secret = true }
version = "2024-01"

[every]
query = { key = "{api_key}", v = "{version}" }
headers = { x-key = "{api_key}", x-plain = "text" }
cookies = { session = "{values.session}", lang = "en" }

[submit]
url = "{base}/jobs"
json = "{input}"
id = "/id"
links = { status = "/status_url", here = "url:" }
values = { session = "header:set-cookie ~ session=([^;]+)" }

[poll]
url = "{links.status}"
[status]
state = "/state"
[result]
url = "{base}/jobs/{id}/results"
[result.files]
under = "/files"
url = ""
[cancel]
method = "DELETE"
url = "{links.status}"
"""


class Particular:
    """A service that refuses every request without its own parameters, and hands out addresses that lack them."""

    def __init__(self, files=""):
        self.files = files

    def __call__(self, call):
        """Answer one request."""
        asked = query_of(call)
        if (asked.get("key"), asked.get("v"), call.headers.get("x-key")) != (SECRET, "2024-01", SECRET):
            return as_json({"error": f"not without the key; you sent {asked.get('key')}"}, 401)
        if call.method == "POST":
            place = f"{here(call)}/status/1?view=full"
            return as_json({"id": "1", "status_url": place}, 201, set_cookie=f"session={SESSION}; Path=/; HttpOnly")
        if path_of(call) == "/bad":
            return as_json({"error": "a bad address"}, 400)
        if f"session={SESSION}" not in call.headers.get("cookie", ""):
            return as_json({"error": "no session"}, 403)
        if call.method == "DELETE":
            return http(204)
        match path_of(call):
            case "/status/1" if query_of(call).get("view") == "full":
                return as_json({"state": "running" if call.nth == 1 else "succeeded"})
            case "/jobs/1/results":
                return as_json({"files": {"ours": "/files/a.bin", "theirs": f"{self.files}/b.bin"}})
            case "/files/a.bin":
                return http(302, location=f"{self.files}/moved.bin")
        return http(404)


def anything(call):
    """Give a few bytes at every address."""
    return http(200, b"bytes of " + path_of(call).encode(), content_type="application/octet-stream")


def written(call):
    """Everything of a request, as one text."""
    return f"{call.path} {call.headers} {call.body!r}"


def test_every_address_of_the_service_gets_its_parameters_and_no_other_does(any_face, serve, tmp_path):
    """Static and captured ones go with each request to the origin, and none to another, not by redirect either."""
    elsewhere = serve(anything)
    server = serve(Particular(elsewhere.url))
    client = client_of(any_face, server.url, said(DECLARED, api_key=SECRET), auth="t0ken", headers={"x-mine": "m1ne"})
    outcome = client.run({"a": 1}, to=f"{tmp_path}/out/", timeout=10)
    assert sorted(path.name for path in outcome.path.iterdir()) == ["manifest.json", "ours", "theirs"]
    for call in server.calls:
        assert (query_of(call)["key"], call.headers["x-plain"], call.headers["x-mine"]) == (SECRET, "text", "m1ne")
        assert call.path.count("key=") == 1
    assert server.calls[0].headers["cookie"] == "lang=en"
    assert server.calls[-1].headers["cookie"] == f"session={SESSION}; lang=en"
    assert {path_of(call) for call in elsewhere.calls} == {"/moved.bin", "/b.bin"}
    for call in elsewhere.calls:
        assert not any(secret in written(call) for secret in (SECRET, SESSION, "t0ken", "m1ne", "2024-01", "text"))


def test_the_secret_is_in_no_ticket_error_or_repr(blocking, serve):
    """Nor in the addresses that are kept, even where the service repeats its own address with the key in it."""
    server = serve(Particular())
    contract = said(DECLARED, api_key=SECRET)
    client = client_of(blocking, server.url, contract)
    job = client.submit({})
    packed = job.ticket.partition(".")[2]
    ticket = base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4))
    with pytest.raises(gofer.Rejected) as refused:
        client.attach(str(attrs.evolve(Ticket.parse(job.ticket), links={"status": f"{server.url}/bad"}))).refresh()
    shown = [repr(client), repr(job), repr(contract), repr(job.files), str(refused.value), repr(refused.value)]
    assert SECRET.encode() not in ticket
    assert not any(SECRET in text for text in shown)


def test_a_ticket_goes_on_with_what_was_captured(blocking, serve):
    """Another client of the same declaration needs no more than the ticket and its own variables."""
    server = serve(Particular())
    ticket = client_of(blocking, server.url, said(DECLARED, api_key=SECRET)).submit({}).ticket
    job = client_of(blocking, server.url, said(DECLARED, api_key=SECRET)).attach(ticket)
    assert job.wait(timeout=10) == "succeeded"
    assert job.cancel() is True


def test_a_ticket_of_another_declaration_is_refused(blocking, serve):
    """So is one of the same name that finds id or links elsewhere; after any other change the ticket is valid."""
    server = serve(Particular())
    ticket = client_of(blocking, server.url, said(DECLARED, api_key=SECRET)).submit({}).ticket
    other = said(re.sub(r"(?m)^id = .*$", 'id = "/number"', DECLARED, count=1), api_key=SECRET)
    assert other != said(DECLARED, api_key=SECRET)
    with pytest.raises(gofer.TicketError, match="particular@"):
        client_of(blocking, server.url, other).attach(ticket)
    same = said("# a comment\n" + DECLARED.replace("/state", "/phase"), api_key=SECRET)
    assert client_of(blocking, server.url, same).attach(ticket).id == "1"


LEAVING = """
name = "leaving"
ORIGINS
[variables]
api_key = { secret = true }
[every]
headers = { x-every = "{api_key}" }
query = { key = "{api_key}" }
[submit]
url = "{base}/jobs"
id = "/id"
links = { status = "/status_url" }
[poll]
url = "{links.status}"
[status]
state = "/state"
"""


def leaving(monitor):
    """Give a service whose jobs are watched elsewhere."""
    return lambda call: as_json({"id": "1", "status_url": f"{monitor}/status/1"})


def test_a_status_address_elsewhere_is_not_followed_without_leave(any_face, serve):
    """The error names the key and what to write; nothing is sent there."""
    monitor = serve(lambda call: as_json({"state": "succeeded"}))
    contract = said(LEAVING.replace("ORIGINS", ""), api_key=SECRET)
    with pytest.raises(gofer.BadReply, match=r"mine.toml:14: poll.url: .*origins = ") as left:
        client_of(any_face, serve(leaving(monitor.url)).url, contract).run({}, timeout=10)
    assert (left.value.field, left.value.job_id) == ("poll.url", "1")
    assert monitor.calls == []


def test_with_leave_it_is_followed_without_credentials(any_face, serve):
    """`origins` allows requests there, without what belongs to the service's own origin."""
    monitor = serve(lambda call: as_json({"state": "succeeded"}))
    contract = said(LEAVING.replace("ORIGINS", f'origins = ["{monitor.url}"]'), api_key=SECRET)
    client = client_of(any_face, serve(leaving(monitor.url)).url, contract, auth="t0ken", headers={"x-mine": "m1ne"})
    assert client.run({}, timeout=10).job_id == "1"
    (call,) = monitor.calls
    assert not any(secret in written(call) for secret in (SECRET, "t0ken", "m1ne"))


IN_CALLS = (
    LEAVING.replace("ORIGINS", "")
    + """
[result]
url = "{base}/jobs/{id}/result"
headers = { authorization = "Key {api_key}" }
query = { token = "{api_key}" }
"""
)


def test_a_secret_in_a_call_of_its_own_does_not_follow_a_redirect_elsewhere(any_face, serve, tmp_path):
    """A declared header with a secret in it is the origin's, wherever the declaration writes it."""
    elsewhere = serve(anything)

    def moving(call):
        match path_of(call):
            case "/jobs":
                return as_json({"id": "1", "status_url": "/status/1"})
            case "/status/1":
                return as_json({"state": "succeeded"})
        return http(302, location=f"{elsewhere.url}/file")

    client = client_of(any_face, serve(moving).url, said(IN_CALLS, api_key=SECRET))
    assert client.run({}, to=str(tmp_path / "f"), timeout=10).path.read_bytes() == b"bytes of /file"
    assert elsewhere.calls
    assert not any(SECRET in written(call) for call in elsewhere.calls)


def test_a_secret_must_be_given_by_its_declared_name(blocking):
    """Before anything is sent; the error says what the variable is for."""
    with pytest.raises(gofer.UsageError, match=r"needs the variable 'api_key' \(the key\)"):
        said(DECLARED)
    with pytest.raises(gofer.UsageError, match=r"no variable 'apikey'\. Did you mean 'api_key'"):
        said(DECLARED, api_key="x", apikey="y")


@pytest.mark.parametrize("value", ["a\r\nx-evil: 1", "tokén", "a\0b"])
def test_a_variable_that_no_header_may_have_is_refused_before_anything_is_sent(blocking, serve, value):
    """The value is not shown."""
    server = serve(Particular())
    with pytest.raises(gofer.UsageError) as refused:
        client_of(blocking, server.url, said(DECLARED, api_key=value)).submit({})
    assert (server.calls, value in str(refused.value)) == ([], False)


def test_a_captured_value_that_no_header_may_have_is_the_services_fault(blocking, serve):
    """It is never sent, and the error is a bad reply."""
    contract = said(DECLARED.replace('"header:set-cookie ~ session=([^;]+)"', '"/evil"'), api_key=SECRET)
    server = serve(lambda call: as_json({"id": "1", "status_url": "/s", "evil": "a\r\nx-evil: 1"}))
    with pytest.raises(gofer.BadReply):
        client_of(blocking, server.url, contract).run({}, timeout=5)
    assert len(server.calls) == 1


BODIES = """
name = "bodies"
origins = ["http://elsewhere.test"]
[variables]
api_key = { about = "the key", secret = true }
[every]
json = { key = "{api_key}", call = { version = 2, meta = { lang = "en" } } }
[submit]
url = "{base}/jobs"
json = { call = { meta = { lang = "de" }, order = "{input.order}" } }
id = "/id"
links = { status = "/at" }
[poll]
method = "POST"
url = "{links.status}"
json = { id = "{id}" }
[status]
state = "/state"
[cancel]
url = "{base}/jobs/{id}"
"""


def test_members_of_every_json_body_lie_under_those_of_the_request(any_face, serve):
    """Maps are joined at any depth, what the request says itself counts, and a request without a body gets none."""

    def answer(call):
        state = "pending" if path_of(call) == "/jobs" else "running"
        return as_json({"id": "7", "at": "/jobs/7/state", "state": state}, 200)

    server = serve(answer)
    job = client_of(any_face, server.url, said(BODIES, api_key=SECRET)).submit({"order": [1]})
    job.refresh()
    job.cancel()
    submitted, polled, cancelled = (call.body for call in server.calls[:3])
    meta = {"version": 2, "meta": {"lang": "en"}}
    assert json.loads(submitted) == {"key": SECRET, "call": {"version": 2, "meta": {"lang": "de"}, "order": [1]}}
    assert json.loads(polled) == {"key": SECRET, "call": meta, "id": "7"}
    assert cancelled == b""


def test_a_secret_of_every_json_body_goes_to_no_other_origin(blocking, serve):
    """The service points elsewhere, where it may: the request is not sent."""
    server = serve(lambda call: as_json({"id": "7", "at": "http://elsewhere.test/7", "state": "pending"}, 200))
    client = client_of(blocking, server.url, said(BODIES, api_key=SECRET))
    with pytest.raises(gofer.BadReply, match="a secret would go there") as caught:
        client.submit({"order": 1}).refresh()
    assert SECRET not in str(caught.value)


def test_the_look_at_many_jobs_has_the_members_too_and_the_token_request_has_none():
    """A body that is no map stays as it is, and so does what is no body."""
    declaration = toml.parse(
        BODIES.replace("[variables]", '[variables]\njson = "text"').replace(
            "[status]",
            '[poll.many]\nmethod = "POST"\nurl = "{base}/all"\nid = "/id"\njson = { ids = "{ids}" }\n'
            '[answer]\nurl = "{base}/answers"\njson = "{answer}"\n'
            '[token]\nurl = "{base}/token"\ntoken = "/t"\njson = { user = "me" }\n[status]',
        ),
        "mine.toml",
    )
    many, token, answer = declaration.many, declaration.token, declaration.answer
    assert set(many[1].json.pattern) == {"key", "call", "ids"}
    assert set(token.json.pattern) == {"user"}
    assert answer.json.pattern.text == "{answer}"
    assert declaration.variables["json"].default == "text"
