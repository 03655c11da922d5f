"""A declared token request, jobs that are thrown away after their result, and declarations with a part in Python."""

import json

import pytest

import gofer
from gofer.auth import ContractToken
from gofer.contracts.declared import toml
from support.declared import PLAIN, Answering, as_json, client_of, form_of, path_of, said, sent_to
from support.raw_server import http

TOKEN = (
    PLAIN.replace('name = "mine"', 'name = "mine"\n[variables]\npassword = { secret = true }')
    + """
[token]
url = "http://login.test/token"
form = { user = "me", password = "{password}" }
token = "/access/token"
life = "/access/seconds"
"""
)


def guarded(*, life=None, refuse=0, login=None):
    """A service that wants the token which was given last, and refuses the first ones of a job's polls."""
    given, refused = [], []

    def answer(call):
        if call.headers["host"] == "login.test":
            if login is not None:
                return login
            given.append(form_of(call))
            return as_json({"access": {"token": f"t{len(given)}", "seconds": life}})
        if call.headers.get("authorization") != f"Bearer t{len(given)}" or (
            call.method == "GET" and len(refused) < refuse and not refused.append(call)
        ):
            return http(401)
        return as_json({"id": "7", "state": "waiting" if call.method == "POST" else "done"}, 200)

    server = Answering(answer)
    server.given = given
    return server


def test_a_declared_token_signs_every_request(virtual_face):
    """It is asked for once, with the secret; no request to its address has the token or other headers."""
    server = guarded()
    client = client_of(virtual_face, server, said(TOKEN, password="s3cret"), headers={"x-mine": "1"})
    for _ in range(2):
        assert client.run({}, timeout=20).job_id == "7"
    assert server.given == [{"user": "me", "password": "s3cret"}]
    assert "s3cret" not in repr(client)
    (asked,) = sent_to(server, "/token")
    assert not {"authorization", "x-mine"} & set(asked.headers)


def test_a_token_that_is_refused_is_replaced(virtual_face):
    """In the middle of a job, once for each refusal."""
    server = guarded(refuse=1)
    assert client_of(virtual_face, server, said(TOKEN, password="x")).run({}, timeout=20).job_id == "7"
    assert len(server.given) == 2


def test_a_token_is_replaced_before_it_ends(virtual_face):
    """Its lifetime is in the answer that gave it; a token without one has no end."""
    now, server = [0.0], guarded(life=100)
    auth = ContractToken(server.url, said(TOKEN, password="x"), clock=lambda: now[0])
    client = client_of(virtual_face, server, said(TOKEN, password="x"), auth=auth)
    for time, tokens in ((0.0, 1), (49.0, 1), (51.0, 2), (1000.0, 3)):
        now[0] = time
        client.submit({})
        assert len(server.given) == tokens
    server, now[0] = guarded(), 0.0
    auth = ContractToken(server.url, said(TOKEN, password="x"), clock=lambda: now[0])
    client = client_of(virtual_face, server, said(TOKEN, password="x"), auth=auth)
    client.submit({})
    now[0] = 1e9
    client.submit({})
    assert len(server.given) == 1


def test_the_callers_own_credentials_count_before_a_declared_token(virtual_face):
    """Then no token is asked for."""
    server = guarded()
    with pytest.raises(gofer.Unauthorized):
        client_of(virtual_face, server, said(TOKEN, password="x"), auth="mine").submit({})
    assert server.given == []


@pytest.mark.parametrize(
    ("login", "error"),
    [
        (http(401), gofer.Unauthorized),
        (as_json({"error": "no"}, 400), gofer.Unauthorized),
        (as_json({"access": {}}), gofer.Unreachable),
        (http(200, "<html>"), gofer.Unreachable),
        (http(503), gofer.Unreachable),
    ],
)
def test_no_token_is_an_error_before_anything_is_sent(virtual_face, login, error):
    """Only a refusal is final."""
    server = guarded(login=login)
    with pytest.raises(error):
        client_of(virtual_face, server, said(TOKEN, password="x")).submit({})
    assert {call.headers["host"] for call in server.calls} == {"login.test"}


def test_a_token_may_be_sent_in_other_headers(virtual_face):
    """As the declaration says."""
    server = guarded()
    text = TOKEN + 'sends = { x-token = "{token}" }\n'
    with pytest.raises(gofer.Unauthorized):
        client_of(virtual_face, server, said(text, password="x")).submit({})
    assert sent_to(server, "/jobs")[0].headers["x-token"] == "t1"


DISCARD = PLAIN + '[result]\nurl = "{base}/jobs/{id}/file"\nfile = true\n[discard]\nurl = "{base}/jobs/{id}"\n'


def throwing_away(reply):
    """A service that answers the deletion of its job with this."""

    def answer(call):
        if call.method == "DELETE":
            return reply
        if path_of(call).endswith("/file"):
            return http(200, "content")
        return as_json({"id": "7", "state": "waiting" if call.method == "POST" else "done"}, 200)

    return Answering(answer)


@pytest.mark.parametrize("reply", [http(204), http(500), as_json({}, 404)])
def test_a_job_is_thrown_away_after_its_file_was_brought(virtual_face, tmp_path, caplog, reply):
    """Once; that it goes wrong is only logged, as the file is there."""
    server = throwing_away(reply)
    client = client_of(virtual_face, server, said(DISCARD), discard=True)
    assert client.run({}, to=str(tmp_path / "x"), timeout=20).path.read_text() == "content"
    assert len(sent_to(server, "/jobs/7", "DELETE")) == 1
    assert client.job("7").download(tmp_path / "y").read_text() == "content"
    assert [call.method for call in server.calls][-1] == "DELETE"
    assert ("not thrown away" in caplog.text) is (b" 204 " not in reply[:20])


def test_a_job_is_kept_while_some_of_its_files_were_not_brought(virtual_face, tmp_path):
    """A download of some of them is no reason to throw the others away."""
    server = throwing_away(http(204))
    client = client_of(virtual_face, server, said(DISCARD), discard=True)
    client.submit({}).download(tmp_path / "x", only="*")
    assert sent_to(server, "/jobs/7", "DELETE") == []


def test_a_job_is_kept_unless_asked_otherwise(virtual_face, tmp_path):
    """Without the option, without a file brought, and where its result could not be had."""
    server = throwing_away(http(204))
    client_of(virtual_face, server, said(DISCARD)).run({}, to=str(tmp_path / "x"), timeout=20)
    client = client_of(virtual_face, server, said(DISCARD), discard=True)
    client.run({}, timeout=20)
    (tmp_path / "file").write_text("")
    with pytest.raises(gofer.TargetError):
        client.submit({}).download(tmp_path / "file" / "in")
    client_of(virtual_face, server, said(PLAIN), discard=True).run({}, to=str(tmp_path / "y"), timeout=20)
    assert sent_to(server, "/jobs/7", "DELETE") == []


class Shouting(gofer.DeclaredContract):
    """A declaration whose service writes its states in another way."""

    def read_poll(self, base, ref, reply):
        """Read a state in capital letters, turned around."""
        document = json.loads(reply.body)
        body = json.dumps({**document, "state": document["state"][::-1].lower()}).encode()
        return super().read_poll(base, ref, gofer.Reply(reply.url, reply.status, reply.headers, body))


def test_a_part_of_a_declaration_may_be_python(virtual_face, tmp_path):
    """A class derived from the declared contract has one method of its own; the page says everything else."""
    page = tmp_path / "mine.toml"
    page.write_text(PLAIN)

    def answer(call):
        return as_json({"id": "7", "state": "waiting" if call.method == "POST" else "ENOD"}, 200)

    contract = gofer.declared(page, kind=Shouting)
    assert isinstance(contract, Shouting)
    assert contract.name == said(toml.parse(PLAIN, "").text).name
    assert client_of(virtual_face, Answering(answer), contract).run({}, timeout=20).job_id == "7"
