"""`error.retryable`: whether to try again later, for every class of error, and for real errands that failed."""

import inspect

import anyio
import httpx
import pytest
from tenacity.stop import stop_after_attempt
from tenacity.wait import wait_none

import gofer
from gofer import errors

ANSWERS = [
    (errors.GoferError("x"), False),
    (errors.UsageError("x"), False),
    (errors.TicketError("x"), False),
    (errors.DeclarationError("x"), False),
    (errors.TargetError("x"), False),
    (errors.TargetIsFolder("x"), False),
    (errors.TransportError("x"), True),
    (errors.Unreachable("x"), True),
    (errors.UntrustedCertificate("x"), False),
    (errors.AnswerLost("x"), True),
    (errors.ServiceError("x", status_code=418), False),
    (errors.ServiceError("x", status_code=418, retry_after=0.0), True),
    (errors.Rejected("x", status_code=400), False),
    (errors.Rejected("x", status_code=409, retry_after=5.0), True),
    (errors.Rejected("x", status_code=408), True),
    (errors.Rejected("x", status_code=421), True),
    (errors.Rejected("x", status_code=425), True),
    (errors.Unauthorized("x", status_code=403), False),
    (errors.Unauthorized("x", status_code=403, retry_after=60.0), True),
    (errors.NotFound("x", status_code=404), False),
    (errors.NotReady("x", status_code=409), True),
    (errors.Expired("x", status_code=410), False),
    (errors.Expired("x", status_code=410, retry_after=5.0), False),
    (errors.NotSupported("x", status_code=501), False),
    (errors.NotSupported("x", status_code=505), False),
    (errors.NotSupported("x", status_code=501, retry_after=5.0), False),
    (errors.RateLimited("x", status_code=429), True),
    (errors.Unavailable("x", status_code=503), True),
    (errors.Unavailable("x", status_code=501), False),
    (errors.BadReply("x"), True),
    (errors.BadReply("x", field="$"), False),
    (errors.NoResult("x", field="result.url"), False),
    (errors.SubmitUncertain("x", key="k"), False),
    (errors.JobFailed("x"), False),
    (errors.JobCancelled("x"), False),
    (errors.NeedsInput("x"), False),
    (errors.JobLost("x"), False),
    (errors.WrongFile("x"), False),
    (errors.OutOfTime("x"), True),
    (errors.WaitTimeout("x"), True),
    (errors.JournalError("x"), False),
    (errors.BatchStopped("x"), False),
    (errors.BatchStopped("x", reason=errors.Unreachable("x")), True),
    (errors.BatchStopped("x", reason=errors.Unauthorized("x", status_code=401)), False),
    (errors.Abandoned("x"), False),
]


@pytest.mark.parametrize(("error", "answer"), ANSWERS, ids=lambda value: type(value).__name__)
def test_each_error_says_whether_to_try_again(error, answer):
    """True for what may be over later, False for what would end the same, or could make a second job."""
    assert error.retryable is answer


def test_a_timeout_while_a_submission_is_unanswered_is_final():
    """With a key the submission may have arrived: the same call could make a second job."""
    for kind in (errors.OutOfTime, errors.WaitTimeout):
        error = kind("x")
        error.key = "k"
        assert not error.retryable


def test_no_class_is_left_out():
    """Every class of the tree has its answer here."""
    classes = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.GoferError)}
    assert classes == {type(error) for error, _ in ANSWERS}


# --- errands ---

DOI = "10.5555/12345678"
DONE = {"job_id": "7", "status": "completed"}


def broken(request):
    """Break the connection after the request was sent."""
    raise httpx.ReadError("cut")


def refused(request):
    """Make no connection."""
    raise httpx.ConnectError("refused")


def reply(status, document=None, **headers):
    """Answer each request with this status."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda request: httpx.Response(status, json={} if document is None else document, headers=fields)


def page(request):
    """Answer with a web page, as a proxy may."""
    return httpx.Response(200, html="<html>sign in</html>")


def posts(then):
    """Accept the submission, and answer everything after it otherwise."""
    accept = reply(202, {"job_id": "7", "status": "pending"})
    return lambda request: (accept if request.method == "POST" else then)(request)


VERBS = {
    "retrieve": lambda client, to: client.retrieve(DOI),
    "run": lambda client, to: client.retrieve_and_download(DOI, to),
    "wait": lambda client, to: client.job("7").wait(),
    "status": lambda client, to: client.get_job_status("7"),
    "file": lambda client, to: client.download_file("7", to),
    "list": lambda client, to: client.list_jobs(),
}
ERRANDS = [
    # verb, service, error, retryable, whether there is a ticket to attach with
    ("retrieve", refused, gofer.Unreachable, True, False),
    ("retrieve", broken, gofer.SubmitUncertain, False, False),
    ("retrieve", page, gofer.SubmitUncertain, False, False),
    ("retrieve", reply(500), gofer.SubmitUncertain, False, False),
    ("retrieve", reply(501), gofer.NotSupported, False, False),
    ("retrieve", reply(503, retry_after="0"), gofer.Unavailable, True, False),
    ("retrieve", reply(429), gofer.RateLimited, True, False),
    ("retrieve", reply(422), gofer.Rejected, False, False),
    ("run", posts(broken), gofer.AnswerLost, True, True),
    ("run", posts(page), gofer.BadReply, True, True),
    ("run", posts(reply(503)), gofer.Unavailable, True, True),
    ("run", posts(reply(403)), gofer.Unauthorized, False, True),
    ("run", posts(reply(200, {"job_id": "7", "status": "failed"})), gofer.JobFailed, False, True),
    ("wait", broken, gofer.AnswerLost, True, True),
    ("wait", refused, gofer.Unreachable, True, True),
    ("status", reply(404), gofer.NotFound, False, True),
    ("status", reply(200, {"status": 5}), gofer.BadReply, False, True),
    ("file", reply(409), gofer.NotReady, True, True),
    ("file", reply(410), gofer.Expired, False, True),
    ("list", reply(404), gofer.NotSupported, False, False),
    ("list", reply(502), gofer.Unavailable, True, False),
]


async def awaited(ending):
    """Await what a verb of the async face gave."""
    return await ending


@pytest.mark.parametrize("face", [gofer.RetrieveClient, gofer.AsyncRetrieveClient], ids=lambda face: face.__name__)
@pytest.mark.parametrize(("verb", "service", "kind", "retryable", "ticket"), ERRANDS)
def test_an_errand_that_failed_says_how_to_go_on(face, verb, service, kind, retryable, ticket, tmp_path):
    """Without a ticket no job was made, so the same call is safe to repeat; with one there is a job to attach to."""
    once = gofer.Retry(wait_none(), stop_after_attempt(1))
    client = face(transport=httpx.MockTransport(service), retry=once, patience=once)

    def call():
        ending = VERBS[verb](client, tmp_path / "paper.pdf")
        return anyio.run(awaited, ending) if inspect.isawaitable(ending) else ending

    with pytest.raises(kind) as caught:
        call()
    error = caught.value
    assert type(error) is kind
    assert (error.retryable, error.ticket is not None) == (retryable, ticket)
    if ticket:
        assert client.attach(error.ticket).id == "7"
