"""Credentials: a token is added in the core; a function of the caller's is called by the driver, as a command."""

import itertools
import threading

import anyio
import httpx
import pytest
from tenacity.stop import stop_after_attempt
from tenacity.wait import wait_fixed

import gofer

DOI = "10.5555/12345678"
DONE = {"job_id": "1", "status": "completed"}


class Service:
    """Answers every request with a finished job, and keeps the credentials that came."""

    def __init__(self):
        self.seen = []

    def __call__(self, request):
        """Answer one request."""
        self.seen.append(request.headers.get("authorization"))
        return httpx.Response(200, json=DONE)


def sign(request):
    """Sign a request."""
    return request.with_headers({"authorization": f"Signed {request.method}"})


async def sign_later(request):
    """Sign a request, in a coroutine."""
    return sign(request)


def refresh(auth):
    """Poll a job once with the blocking client; return the credentials that came."""
    service = Service()
    gofer.RetrieveClient(base_url="http://h", transport=httpx.MockTransport(service), auth=auth).get_job_status("1")
    return service.seen


async def refresh_awaited(auth):
    """Poll a job once with the awaited client; return the credentials that came."""
    service = Service()
    client = gofer.AsyncRetrieveClient(base_url="http://h", transport=httpx.MockTransport(service), auth=auth)
    await client.get_job_status("1")
    return service.seen


@pytest.mark.parametrize(
    ("auth", "sent"), [("s3cret", "Bearer s3cret"), (sign, "Signed GET")], ids=["token", "function"]
)
@pytest.mark.anyio
async def test_both_faces_sign_alike(auth, sent):
    """A token and a function give the same header on both faces."""
    assert refresh(auth) == await refresh_awaited(auth) == [sent]


@pytest.mark.anyio
async def test_the_awaited_face_awaits_what_a_signer_returns():
    """A coroutine function signs, so that it can fetch a token without holding up the event loop."""
    assert await refresh_awaited(sign_later) == ["Signed GET"]


@pytest.mark.parametrize(
    "wrong", [None, "signed", httpx.Request("GET", "http://h")], ids=lambda value: type(value).__name__
)
@pytest.mark.anyio
async def test_a_signer_that_returns_no_request_is_a_usage_error(wrong):
    """Nothing is sent unsigned, and the error says what to return; on both faces."""
    with pytest.raises(gofer.UsageError, match="must return the signed request"):
        refresh(lambda request: wrong)
    with pytest.raises(gofer.UsageError, match="must return the signed request"):
        await refresh_awaited(lambda request: wrong)


def test_the_core_never_calls_a_signer():
    """The function runs in the driver: in the caller's thread, and not while a flow decides."""
    from gofer.core import flows
    from gofer.core.commands import Authorise
    from gofer.core.errand import Errand
    from gofer.core.record import JobMemory, JobRecord
    from gofer.core.run import Run
    from gofer.transports import Now
    from support.world import World

    called = threading.Event()
    errand = Errand(World(None).service(signer=lambda request: called.set()), JobMemory(JobRecord(gofer.Ref("1"))))
    step = Run(flows.refresh(errand), errand).start(Now(0.0, 0.0))
    assert isinstance(step, Authorise)
    assert not called.is_set()


class Expiring:
    """Refuses a token from its third request on, until another one comes; a job ends with the sixth request."""

    def __init__(self, refusal):
        self.refusal, self.count, self.valid, self.sent = refusal, 0, "old", []

    def __call__(self, request):
        """Answer one request."""
        self.count += 1
        self.sent.append((request.method, request.headers["authorization"]))
        if self.count == 3:
            self.valid = "new"
        if request.headers["authorization"] != f"Bearer {self.valid}":
            return httpx.Response(self.refusal, headers={"www-authenticate": 'Bearer error="invalid_token"'})
        if request.url.path.endswith("/file"):
            return httpx.Response(200, content=b"%PDF-1.7 paper", headers={"content-type": "application/pdf"})
        return httpx.Response(200, json={"job_id": "1", "status": "searching" if self.count < 6 else "completed"})


QUICK = {"poll": wait_fixed(0), "hold": 0}


async def errand(face, service, auth, to):
    """Run an errand on a face; return the error that it ended with, if any."""
    options = {"base_url": "http://h", "transport": httpx.MockTransport(service), "auth": auth, **QUICK}
    try:
        if face == "blocking":
            await anyio.to_thread.run_sync(gofer.RetrieveClient(**options).retrieve_and_download, DOI, to)
        else:
            await gofer.AsyncRetrieveClient(**options).retrieve_and_download(DOI, to)
    except gofer.GoferError as error:
        return error


@pytest.mark.parametrize("face", ["blocking", "awaited"])
@pytest.mark.parametrize("refusal", [401, 403])
@pytest.mark.anyio
async def test_a_function_is_asked_again_once_its_token_was_refused(refusal, face, tmp_path):
    """A token that is replaced while the job runs costs one request more, and makes no second job."""
    service = Expiring(refusal)
    tokens = iter(["old", "old", "old", *["new"] * 20])

    def sign(request):
        return request.with_headers({"authorization": f"Bearer {next(tokens)}"})

    assert await errand(face, service, sign, tmp_path / "x.pdf") is None
    assert (tmp_path / "x.pdf").read_bytes() == b"%PDF-1.7 paper"
    assert [method for method, _ in service.sent].count("POST") == 1


@pytest.mark.parametrize("face", ["blocking", "awaited"])
@pytest.mark.parametrize("auth", ["old", lambda request: request.with_headers({"authorization": "Bearer old"})])
@pytest.mark.anyio
async def test_a_token_that_stays_refused_ends_the_errand(auth, face, tmp_path):
    """The same signature is not sent again: one refused request, then Unauthorized with the ticket."""
    service = Expiring(401)
    error = await errand(face, service, auth, tmp_path / "x.pdf")
    assert isinstance(error, gofer.Unauthorized)
    assert error.ticket
    assert service.count - 3 <= 1  # the cancellation of the job nobody waits for any more


@pytest.mark.parametrize("face", ["blocking", "awaited"])
@pytest.mark.anyio
async def test_a_function_that_fails_for_a_while_costs_no_job(face, tmp_path):
    """Whatever it raises counts as a request that was not sent, so it is retried; no foreign error escapes."""
    calls = itertools.count(1)

    def fails(request):
        if next(calls) in (1, 3, 4):
            raise httpx.ConnectError("s3cret: the token service is away")
        return request.with_headers({"authorization": "Bearer old"})

    service = Expiring(401)
    service.count = 3
    assert await errand(face, service, fails, tmp_path / "x.pdf") is None
    assert [method for method, _ in service.sent].count("POST") == 1


@pytest.mark.anyio
async def test_a_function_that_always_fails_ends_as_a_gofer_error(tmp_path, monkeypatch):
    """The error names the kind of the failure and nothing that it says."""
    monkeypatch.setitem(QUICK, "retry", gofer.Retry(wait_fixed(0), stop_after_attempt(4)))

    def fails(request):
        raise RuntimeError("s3cret")

    for face in ("blocking", "awaited"):
        error = await errand(face, Service(), fails, tmp_path / "x.pdf")
        assert isinstance(error, gofer.Unreachable)
        assert "RuntimeError" in str(error)
        assert "s3cret" not in str(error)


class Awaited(gofer.Auth):
    """Signs in a coroutine."""

    async def sign(self, request):
        """Sign a request."""
        return sign(request)


class AwaitedCall:
    """An object whose call is a coroutine."""

    async def __call__(self, request):
        """Sign a request."""
        return sign(request)


@pytest.mark.parametrize("auth", [sign_later, Awaited(), AwaitedCall()], ids=["function", "Auth", "object"])
@pytest.mark.anyio
async def test_the_blocking_face_refuses_what_it_would_have_to_await(auth):
    """It is a UsageError that names the function when the client is made; the awaited face takes it."""
    name = "sign_later" if auth is sign_later else type(auth).__name__
    with pytest.raises(gofer.UsageError, match=name):
        gofer.RetrieveClient(base_url="http://h", auth=auth)
    assert await refresh_awaited(auth) == ["Signed GET"]


@pytest.mark.anyio
async def test_an_awaitable_that_a_plain_function_returns_is_refused_by_the_blocking_face():
    """Nothing is sent, the error names what came, and Python warns of no coroutine that was never awaited."""
    service = Service()
    client = gofer.RetrieveClient(
        base_url="http://h", transport=httpx.MockTransport(service), auth=lambda request: sign_later(request)
    )
    with pytest.raises(gofer.UsageError, match="sign_later"):
        client.get_job_status("1")
    assert service.seen == []


@pytest.mark.parametrize("auth", [("name", "pass"), 7, object()], ids=["pair", "number", "object"])
def test_what_cannot_sign_is_a_usage_error(auth):
    """The error says what `auth=` takes."""
    for face in (gofer.RetrieveClient, gofer.AsyncRetrieveClient):
        with pytest.raises(gofer.UsageError, match="auth= is a token, a function"):
            face(base_url="http://h", auth=auth)


@pytest.mark.parametrize("face", ["blocking", "awaited"])
@pytest.mark.anyio
async def test_a_function_with_a_parameter_for_it_is_told_what_was_refused(face, tmp_path):
    """It gets None at first, and after a refusal the signed request with the head of the reply."""
    told = []

    def sign(request, refused=None):
        told.append(refused)
        return request.with_headers({"authorization": "Bearer new" if refused else "Bearer old"})

    service = Expiring(401)
    service.valid = "new"
    await errand(face, service, sign, tmp_path / "x.pdf")
    assert told[0] is None
    assert told[1].reply.status == 401
    assert told[1].request.headers["authorization"] == "Bearer old"
