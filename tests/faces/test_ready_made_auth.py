"""`gofer.auth`: OAuth2 client credentials, netrc, and a header from the environment, on a real socket."""

import base64
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import anyio
import pytest
from tenacity.stop import stop_after_attempt
from tenacity.wait import wait_fixed

import gofer
from gofer.auth import ClientCredentials, EnvironmentHeader, Netrc

DOI = "10.5555/12345678"
PAPER = b"%PDF-1.7 paper"
FACES = ("blocking", "asyncio", "trio")
HUGE = b'{"access_token": "t1", "expires_in": 1' + b"0" * 400 + b"}"
ONCE = gofer.Retry(wait_fixed(0), stop_after_attempt(1))


class Server(ThreadingHTTPServer):
    """A service whose requests need credentials, and a token endpoint beside it."""

    accepts = staticmethod(lambda headers: True)
    token_answer = (200, b'{"access_token": "t1", "token_type": "Bearer", "expires_in": 3600}')

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.tokens, self.url = [], f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: Server

    def do_POST(self):
        """Give a token, or take a job that is done at once."""
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        if self.path.startswith("/token"):
            self.server.tokens.append((self.headers, parse_qs(body)))
            self.answer(*self.server.token_answer)
        else:
            self.answer_if_accepted(b'{"job_id": "1", "status": "completed"}')

    def do_GET(self):
        """Give the file."""
        self.answer_if_accepted(PAPER, "application/pdf")

    def answer_if_accepted(self, body, kind="application/json"):
        """Answer, if the credentials are the right ones."""
        accepted = self.server.accepts(self.headers)
        self.answer(200 if accepted else 401, body if accepted else b"", kind)

    def answer(self, status, body, kind="application/json"):
        """Send a reply."""
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Print nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    """Give a server on a socket of its own."""
    with Server() as made:
        threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield made
        made.shutdown()


def fetch(face, server, auth, to):
    """Fetch a paper on a face."""
    options = {"base_url": server.url, "auth": auth, "retry": ONCE, "patience": ONCE}

    async def awaited():
        async with gofer.AsyncRetrieveClient(**options) as client:
            await client.retrieve_and_download(DOI, to)

    if face == "blocking":
        with gofer.RetrieveClient(**options) as client:
            client.retrieve_and_download(DOI, to)
    else:
        anyio.run(awaited, backend=face)
    assert to.read_bytes() == PAPER


def bearer(token):
    """Return what accepts this token."""
    return lambda headers: headers["authorization"] == f"Bearer {token}"


@pytest.mark.parametrize("face", FACES)
def test_client_credentials(face, server, tmp_path):
    """One token is asked for, as RFC 6749 says, and signs every request."""
    server.accepts = bearer("t1")
    auth = ClientCredentials(f"{server.url}/token", "me:1", "s3cret/", "papers read", parameters={"audience": "a"})
    fetch(face, server, auth, tmp_path / "x.pdf")
    ((headers, form),) = server.tokens
    assert headers["authorization"] == "Basic " + base64.b64encode(b"me%3A1:s3cret%2F").decode()
    assert form == {"grant_type": ["client_credentials"], "scope": ["papers read"], "audience": ["a"]}


def test_client_credentials_in_the_body(server, tmp_path):
    """With `in_body` the name and the secret are fields of the form, for endpoints that take them there only."""
    server.accepts = bearer("t1")
    fetch("blocking", server, ClientCredentials(f"{server.url}/token", "me", "s3cret", in_body=True), tmp_path / "x")
    ((headers, form),) = server.tokens
    assert headers["authorization"] is None
    assert (form["client_id"], form["client_secret"]) == (["me"], ["s3cret"])


@pytest.mark.parametrize(
    ("lifetime", "early", "fresh_for"),
    [(3600, 60, 3540), ("3600", 60, 3540), (30, 60, 15), (100.0, 0, 100)],
    ids=["an hour", "as a text", "shorter than twice the margin", "no margin"],
)
def test_a_token_is_renewed_before_it_expires(lifetime, early, fresh_for, server, tmp_path):
    """It is renewed `early` seconds before its end, and half-way through a short life."""
    now = [1000.0]
    server.accepts = bearer("t1")
    quoted = f'"{lifetime}"' if isinstance(lifetime, str) else lifetime
    server.token_answer = (200, f'{{"access_token": "t1", "expires_in": {quoted}}}'.encode())
    auth = ClientCredentials(f"{server.url}/token", "me", "s3cret", early=early, clock=lambda: now[0])
    for passed, tokens in ((0.0, 1), (fresh_for - 1, 1), (fresh_for, 2)):
        now[0] = 1000.0 + passed
        fetch("blocking", server, auth, tmp_path / "x.pdf")
        assert len(server.tokens) == tokens


@pytest.mark.parametrize("said", [b'{"access_token": "t1"}', b'{"access_token": "t1", "expires_in": "soon"}', HUGE])
def test_a_token_without_an_end_is_used_until_it_is_refused(said, server, tmp_path):
    """No lifetime, or one that is no number, means that the token is not renewed by time."""
    server.token_answer, server.accepts = (200, said), bearer("t1")
    auth = ClientCredentials(f"{server.url}/token", "me", "s3cret")
    for _ in range(2):
        fetch("blocking", server, auth, tmp_path / "x.pdf")
    assert len(server.tokens) == 1
    server.token_answer, server.accepts = (200, said.replace(b"t1", b"t2")), bearer("t2")
    fetch("blocking", server, auth, tmp_path / "x.pdf")
    assert len(server.tokens) == 2


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        ((401, b'{"error": "invalid_client"}'), gofer.Unauthorized, "401 invalid_client"),
        ((400, b'{"error": "invalid_scope"}'), gofer.Unauthorized, "400 invalid_scope"),
        ((503, b""), gofer.Unreachable, "gave no token: 503"),
        ((200, b"<html>"), gofer.Unreachable, "gave no token: 200"),
        ((200, b"[" * 100_000), gofer.Unreachable, "gave no token: 200"),
        ((200, b'{"access_token": 7}'), gofer.Unreachable, "gave no token: 200"),
    ],
)
def test_an_endpoint_that_gives_no_token(answer, error, words, face, server, tmp_path):
    """A refusal is final and named; anything else may pass. Nothing was sent, and no secret is shown."""
    server.token_answer = answer
    with pytest.raises(error, match=words) as caught:
        fetch(face, server, ClientCredentials(f"{server.url}/token?s3cret", "me", "s3cret"), tmp_path / "x.pdf")
    assert "s3cret" not in str(caught.value)


def test_nothing_ready_made_shows_a_secret():
    """The repr has the address and the name, without the secret, the token or the query."""
    auth = ClientCredentials("https://h/token?k=s3cret", "me", "s3cret", parameters={"p": "s3cret"})
    auth._token = "s3cret"
    assert "me" in repr(auth)
    assert "s3cret" not in repr(auth)
    with pytest.raises(gofer.UsageError) as caught:
        ClientCredentials("https://me:s3cret@h/token", "me", "x")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("face", FACES)
def test_netrc(face, server, tmp_path, monkeypatch):
    """The entry for the service's host signs every request; a changed file is read again once it was refused."""
    file, right = tmp_path / "netrc", "Basic " + base64.b64encode(b"me:new").decode()
    file.write_text("machine 127.0.0.1 login me password old\n")
    monkeypatch.setenv("NETRC", str(file))
    seen = []

    def accepts(headers):
        seen.append(headers["authorization"])
        file.write_text("machine 127.0.0.1 login me password new\n")
        return headers["authorization"] == right

    server.accepts = accepts
    fetch(face, server, Netrc(), tmp_path / "x.pdf")
    assert seen[1:] == [right] * (len(seen) - 1)
    assert seen[0] != right


@pytest.mark.parametrize("text", [None, "machine", "\0"])
def test_a_netrc_file_that_cannot_be_read_is_a_usage_error(text, server, tmp_path):
    """The error names the file; nothing is sent."""
    file = tmp_path / "netrc"
    if text is not None:
        file.write_text(text)
    with pytest.raises(gofer.UsageError, match="netrc"):
        fetch("blocking", server, Netrc(file), tmp_path / "x.pdf")


def test_a_host_that_netrc_does_not_have_gets_no_credentials(server, tmp_path):
    """Without an entry the request goes unsigned."""
    file, seen = tmp_path / "netrc", []
    file.write_text("machine elsewhere.example login me password pass\n")
    server.accepts = lambda headers: seen.append(headers["authorization"]) or True
    fetch("blocking", server, Netrc(file), tmp_path / "x.pdf")
    assert set(seen) == {None}


@pytest.mark.parametrize("face", FACES)
def test_environment(face, server, tmp_path, monkeypatch):
    """The variable is read at each request, so a value that was replaced is used after a refusal."""
    monkeypatch.setenv("PAPERS_KEY", "old\n")
    seen = []

    def accepts(headers):
        seen.append(headers["x-api-key"])
        monkeypatch.setenv("PAPERS_KEY", "new")
        return headers["x-api-key"] == "new"

    server.accepts = accepts
    fetch(face, server, EnvironmentHeader("PAPERS_KEY", "x-api-key", ""), tmp_path / "x.pdf")
    assert seen == ["old", "new", "new"]


def test_a_variable_that_is_not_set_is_a_usage_error(server, tmp_path, monkeypatch):
    """The error names the variable; nothing is sent."""
    monkeypatch.delenv("PAPERS_KEY", raising=False)
    with pytest.raises(gofer.UsageError, match="PAPERS_KEY"):
        fetch("blocking", server, EnvironmentHeader("PAPERS_KEY"), tmp_path / "x.pdf")
