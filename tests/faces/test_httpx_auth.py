"""`auth=` as an `httpx.Auth`: the schemes that httpx has, and flows of the caller's own, on every face."""

import contextlib
import hashlib
import re

import anyio
import httpx
import httpx2
import pytest
from tenacity.wait import wait_fixed

import gofer

DOI = "10.5555/12345678"
PAPER = b"%PDF-1.7 paper"
FACES = ("blocking", "asyncio", "trio")


class Service:
    """Answers an errand if `accepts` says so of each request; other requests are refused with a challenge."""

    def __init__(self, accepts, challenge="Basic"):
        self.accepts, self.challenge, self.seen = accepts, challenge, []

    def __call__(self, request):
        """Answer one request."""
        self.seen.append((request.method, request.url.path))
        if request.url.path == "/token":
            return httpx.Response(200, json={"token": "t1"})
        if not self.accepts(request):
            return httpx.Response(401, headers={"www-authenticate": self.challenge})
        if request.url.path.endswith("/file"):
            return httpx.Response(200, content=PAPER, headers={"content-type": "application/pdf"})
        return httpx.Response(202 if request.method == "POST" else 200, json={"job_id": "1", "status": "completed"})


def fetch(face, service, auth, to):
    """Fetch a paper on a face."""
    options = {"base_url": "http://h", "transport": httpx.MockTransport(service), "auth": auth, "poll": wait_fixed(0)}
    if face == "blocking":
        gofer.RetrieveClient(**options).retrieve_and_download(DOI, to)
        return

    async def awaited():
        await gofer.AsyncRetrieveClient(**options).retrieve_and_download(DOI, to)

    anyio.run(awaited, backend=face)


def with_header(**expected):
    """Return what accepts requests that have these headers."""
    return lambda request: all(request.headers.get(name) == value for name, value in expected.items())


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("family", [httpx, httpx2], ids=lambda family: family.__name__)
def test_basic(family, face, tmp_path):
    """The header is on every request, and none is refused first."""
    service = Service(with_header(authorization="Basic bmFtZTpwYXNz"))
    fetch(face, service, family.BasicAuth("name", "pass"), tmp_path / "x.pdf")
    assert [path for _, path in service.seen] == ["/retrieve", "/jobs/1/file"]


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("family", [httpx, httpx2], ids=lambda family: family.__name__)
def test_digest(family, face, tmp_path):
    """The challenge of the first refusal is answered, and later requests use it without being refused."""

    def accepts(request):
        fields = dict(re.findall(r'(\w+)="?([^",]+)"?', request.headers.get("authorization", "")))
        if fields.get("username") != "name":
            return False

        def md5(*parts):
            return hashlib.md5(":".join(parts).encode(), usedforsecurity=False).hexdigest()

        secret, what = md5("name", "papers", "pass"), md5(request.method, request.url.raw_path.decode())
        return fields["response"] == md5(secret, "n0nce", fields["nc"], fields["cnonce"], "auth", what)

    service = Service(accepts, 'Digest realm="papers", nonce="n0nce", qop="auth", algorithm=MD5')
    fetch(face, service, family.DigestAuth("name", "pass"), tmp_path / "x.pdf")
    assert [path for _, path in service.seen] == ["/retrieve", "/retrieve", "/jobs/1/file"]
    assert (tmp_path / "x.pdf").read_bytes() == PAPER


class TokenFirst(httpx.Auth):
    """Fetches a token when it has none, and again when it was refused, as a flow of httpx does."""

    requires_response_body = True

    def __init__(self, token=None):
        self.token = token

    def auth_flow(self, request):
        """Yield the token request and the signed request."""
        if self.token is None:
            yield from self.renewed()
        request.headers["x-token"] = self.token
        response = yield request
        if response.status_code == 401:
            yield from self.renewed()
            request.headers["x-token"] = self.token
            yield request

    def renewed(self):
        """Yield the token request, and keep the token."""
        response = yield httpx.Request("GET", "http://h/token")
        self.token = response.json()["token"]


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("token", [None, "old"])
def test_a_flow_that_fetches_a_token(token, face, tmp_path):
    """What the flow yields is sent over the client's own transport: before the first request, or after a refusal."""
    service = Service(with_header(**{"x-token": "t1"}))
    fetch(face, service, TokenFirst(token), tmp_path / "x.pdf")
    refused = [("POST", "/retrieve")] if token else []
    assert service.seen == [*refused, ("GET", "/token"), ("POST", "/retrieve"), ("GET", "/jobs/1/file")]


@pytest.mark.parametrize("face", FACES)
def test_a_flow_may_sign_the_query(face, tmp_path):
    """A signature in the address is sent as the flow gave it."""

    class InQuery(httpx.Auth):
        def auth_flow(self, request):
            request.url = request.url.copy_merge_params({"signature": "s"})
            yield request

    service = Service(lambda request: request.url.params.get("signature") == "s")
    fetch(face, service, InQuery(), tmp_path / "x.pdf")
    assert (tmp_path / "x.pdf").read_bytes() == PAPER


@pytest.mark.parametrize("face", FACES)
def test_a_flow_that_has_no_other_signature_sends_once(face, tmp_path):
    """A wrong password costs one request, and ends as Unauthorized."""
    service = Service(lambda request: False)
    with pytest.raises(gofer.Unauthorized):
        fetch(face, service, httpx.BasicAuth("name", "wrong"), tmp_path / "x.pdf")
    assert len(service.seen) == 1


@pytest.mark.parametrize("face", FACES)
def test_each_face_uses_its_own_flow(face, tmp_path):
    """A flow that waits is awaited by the awaited client, and the blocking one uses the blocking flow."""

    class Both(httpx.Auth):
        def sync_auth_flow(self, request):
            request.headers["x-face"] = "blocking"
            yield request

        async def async_auth_flow(self, request):
            await anyio.sleep(0)
            request.headers["x-face"] = "awaited"
            yield request

    service = Service(with_header(**{"x-face": "blocking" if face == "blocking" else "awaited"}))
    fetch(face, service, Both(), tmp_path / "x.pdf")
    assert (tmp_path / "x.pdf").read_bytes() == PAPER


@pytest.mark.parametrize("face", FACES)
def test_a_flow_is_closed_before_the_next_try(face, tmp_path):
    """A lock that the flow holds while its token request fails is free again: the try after it does not wait for it."""
    held = []

    def token(request):
        if held:
            raise gofer.UsageError("it waits for ever")
        held.append("locked")
        response = yield httpx.Request("GET", "http://h/token")
        request.headers["x-token"] = response.json()["token"]

    class Locking(httpx.Auth):
        def sync_auth_flow(self, request):
            try:
                yield from token(request)
                yield request
            finally:
                held.clear()

        async def async_auth_flow(self, request):
            try:
                flow = token(request)
                response = yield next(flow)
                with contextlib.suppress(StopIteration):
                    flow.send(response)
                yield request
            finally:
                await anyio.sleep(0)
                held.clear()

    class Failing(Service):
        def __call__(self, request):
            if len(self.seen) == 0:
                self.seen.append(("GET", "/token"))
                raise httpx.ConnectError("away")
            return super().__call__(request)

    service = Failing(with_header(**{"x-token": "t1"}))
    fetch(face, service, Locking(), tmp_path / "x.pdf")
    assert service.seen[:3] == [("GET", "/token"), ("GET", "/token"), ("POST", "/retrieve")]
