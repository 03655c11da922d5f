"""Credentials: a token is added in the core; a function of the caller's is called by the driver, as a command."""

import threading

import httpx
import pytest

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
