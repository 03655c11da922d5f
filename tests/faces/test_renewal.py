"""Credentials that are renewed while jobs run: once for all who wait, in threads and in several event loops."""

import gzip
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import anyio
import httpx
import pytest
from tenacity.stop import stop_after_attempt
from tenacity.wait import wait_fixed

import gofer
from gofer.core.credentials import Renewal
from support.renewing import DOI, FACES, PAPER, QUICK, Service, Token, fetch, rotating_at

GZIPPED = httpx.ByteStream(gzip.compress(b'{"error_code": "ExpiredToken"}'))


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("leg", ["/retrieve", "/jobs/1", "/jobs/1/file"])
def test_a_token_that_expires_is_renewed_on_every_leg(leg, face, tmp_path):
    """The refused request is sent once more, one job is made, and the renewal is told what was refused."""
    service, auth = Service(rotating_at(leg)), Token()
    fetch(face, httpx.MockTransport(service), auth, tmp_path / "x.pdf")
    assert (tmp_path / "x.pdf").read_bytes() == PAPER
    assert (service.refusals, len(service.paths("/token"))) == (1, 1)
    assert len(service.paths("/retrieve")) == (2 if leg == "/retrieve" else 1)
    (told,) = auth.told
    assert told.reply.status == 401
    assert told.request.headers["authorization"] == "Bearer t0"
    assert "t0" not in repr(told)


@pytest.mark.parametrize("face", FACES)
def test_a_refused_file_on_the_own_origin_is_signed_anew_before_anything_is_learnt_anew(face, tmp_path):
    """The job is not asked for another link: the next request for the file has the next token."""
    service = Service(rotating_at("/jobs/1/file"))
    fetch(face, httpx.MockTransport(service), Token(), tmp_path / "x.pdf")
    paths = [request.url.path for request in service.seen]
    assert paths[-3:] == ["/jobs/1/file", "/token", "/jobs/1/file"]


@pytest.mark.parametrize("face", FACES)
def test_a_renewal_is_not_signed_and_gets_nothing_of_the_clients(face, tmp_path):
    """The token request has neither the old token nor the client's headers, and takes no slot of the client's."""
    service = Service(rotating_at("/jobs/1"))
    fetch(face, httpx.MockTransport(service), Token(), tmp_path / "x.pdf", headers={"x-key": "s"}, max_connections=1)
    (request,) = service.paths("/token")
    assert "authorization" not in request.headers
    assert "x-key" not in request.headers


@pytest.mark.parametrize("face", FACES)
def test_credentials_that_are_due_are_renewed_before_anything_is_sent(face, tmp_path):
    """`is_due` is asked first, so no request is refused; the renewal is told that nothing was."""

    class Due(Token):
        def is_due(self):
            return self.token is None

    service, auth = Service(), Due(None)
    fetch(face, httpx.MockTransport(service), auth, tmp_path / "x.pdf")
    assert service.refusals == 0
    assert auth.told == [None]


@pytest.mark.parametrize("face", FACES)
def test_credentials_that_are_always_due_end_the_errand(face, tmp_path):
    """A renewal that changes nothing is not repeated for ever, and nothing is sent."""

    class Due(Token):
        def is_due(self):
            return True

    service = Service()
    with pytest.raises(gofer.Unreachable, match="due for a renewal again"):
        fetch(face, httpx.MockTransport(service), Due(), tmp_path / "x.pdf")
    assert service.paths("/retrieve") == []


@pytest.mark.parametrize("face", FACES)
def test_credentials_that_stay_refused_are_not_renewed_twice_for_one_request(face, tmp_path):
    """A service that refuses every token gets two requests, and the error is Unauthorized."""
    service = Service(lambda service, request: setattr(service, "valid", f"{service.valid}x"))
    with pytest.raises(gofer.Unauthorized):
        fetch(face, httpx.MockTransport(service), Token(), tmp_path / "x.pdf")
    assert len(service.paths("/retrieve")) == 2


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize(
    "refusal",
    [
        {"status_code": 403, "headers": {"www-authenticate": 'Bearer error="invalid_token"'}},
        {"status_code": 400, "json": {"error_code": "ExpiredToken"}},
        {"status_code": 400, "stream": GZIPPED, "headers": {"content-encoding": "gzip"}},
    ],
    ids=["invalid_token", "the contract's", "the contract's, as gzip"],
)
@pytest.mark.parametrize("leg", ["/jobs/1", "/jobs/1/file"])
def test_other_refusals_of_credentials(leg, refusal, face, tmp_path):
    """A 403 that says `invalid_token` counts as a 401 does, and so does a code that the contract names."""

    class Contract(gofer.contracts.retrieve.RetrieveContract):
        def refuses_credentials(self, status, code):
            return code == "ExpiredToken"

    service, options = Service(rotating_at(leg), refusal), dict(QUICK)
    url = options.pop("base_url")
    options |= {"contract": Contract(), "transport": httpx.MockTransport(service), "auth": Token()}
    request, to = gofer.RetrieveRequest(DOI), tmp_path / "x.pdf"

    async def awaited():
        await gofer.AsyncClient(url, **options).run(request, to=to)

    if face == "blocking":
        gofer.Client(url, **options).run(request, to=to)
    else:
        anyio.run(awaited, backend=face)
    assert to.read_bytes() == PAPER
    assert service.refusals == 1


def test_one_renewal_serves_all_that_wait_in_threads_and_in_several_event_loops(tmp_path):
    """Thirty errands, in ten threads and two loops of both kinds, are refused at once, and one of them renews."""
    many, service = 10, Service()
    everybody = threading.Event()

    def rotates(service, request):
        if request.url.path == "/jobs/1" and len(service.paths("/jobs/1")) == 1:
            service.valid = "t1"
        if service.refusals >= 3 * many - 1:
            everybody.set()

    class Slow(Token):
        def refresh(self, refused):
            yield gofer.Request("GET", "http://h/wait")
            yield from super().refresh(refused)

    auth = Slow()

    class Waiting(httpx.MockTransport):
        """Holds the renewal's first request until everybody was refused."""

        def handle_request(self, request):
            if request.url.path == "/wait":
                assert everybody.wait(60)
                return httpx.Response(200)
            return super().handle_request(request)

        async def handle_async_request(self, request):
            if request.url.path == "/wait":
                with anyio.fail_after(60):
                    while not everybody.is_set():
                        await anyio.sleep(0.01)
                return httpx.Response(200)
            return await super().handle_async_request(request)

    service.rotates = rotates
    transport = Waiting(service)

    def loop(backend):
        async def errands():
            client = gofer.AsyncRetrieveClient(transport=transport, auth=auth, **QUICK)
            with anyio.fail_after(60):
                async with anyio.create_task_group() as group:
                    for number in range(many):
                        group.start_soon(client.retrieve_and_download, DOI, tmp_path / f"{backend}{number}.pdf")

        anyio.run(errands, backend=backend)

    client = gofer.RetrieveClient(transport=transport, auth=auth, **QUICK)
    with ThreadPoolExecutor(many + 2) as pool:
        ends = [pool.submit(loop, backend) for backend in ("asyncio", "trio")]
        ends += [pool.submit(client.retrieve_and_download, DOI, tmp_path / f"{at}.pdf") for at in range(many)]
        for end in ends:
            end.result()
    assert len(list(tmp_path.glob("*.pdf"))) == 3 * many
    assert len(service.paths("/token")) == 1


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_cancelled_renewal_is_handed_over(backend, tmp_path):
    """The next errand in the queue renews in its place, and ends well."""
    service = Service()
    service.valid = "t1"
    begun = []

    async def errands():
        class Stuck(Token):
            async def refresh(self, refused):
                begun.append(refused)
                if len(begun) == 1:
                    started.set()
                    await anyio.sleep_forever()
                self.token = "t1"

        started, auth = anyio.Event(), Stuck()
        client = gofer.AsyncRetrieveClient(transport=httpx.MockTransport(service), auth=auth, **QUICK)

        async def leaves():
            with anyio.CancelScope() as scope:
                scopes.append(scope)
                await client.retrieve_and_download(DOI, tmp_path / "left.pdf")

        async def stays():
            await client.retrieve_and_download(DOI, tmp_path / "x.pdf")

        scopes = []
        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                group.start_soon(leaves)
                await started.wait()
                group.start_soon(stays)
                while service.refusals < 2:
                    await anyio.sleep(0)
                await anyio.wait_all_tasks_blocked()
                scopes[0].cancel()

    anyio.run(errands, backend=backend)
    assert (tmp_path / "x.pdf").read_bytes() == PAPER
    assert len(begun) == 2


@pytest.mark.parametrize("face", FACES)
def test_a_renewal_that_fails_for_a_while_costs_patience_and_no_job(face, tmp_path):
    """Whether the token's service does not answer or the method raises: the poll is tried again, with a renewal."""
    left = iter([httpx.ConnectError("away"), OSError("s3cret")])

    class Failing(Token):
        def refresh(self, refused):
            if (error := next(left, None)) is not None:
                raise error
            return super().refresh(refused)

    service = Service(rotating_at("/jobs/1"))
    fetch(face, httpx.MockTransport(service), Failing(), tmp_path / "x.pdf")
    assert len(service.paths("/retrieve")) == 1
    assert (tmp_path / "x.pdf").read_bytes() == PAPER


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("error", [gofer.AnswerLost("lost"), gofer.BadReply("bad"), RuntimeError("s3cret")], ids=repr)
def test_whatever_goes_wrong_in_a_renewal_the_submission_was_not_sent(error, face, tmp_path):
    """It ends as Unreachable, never as SubmitUncertain, and what was raised is not shown."""

    class Failing(Token):
        def refresh(self, refused):
            raise error

    service = Service(rotating_at("/retrieve"))
    with pytest.raises(gofer.Unreachable, match=type(error).__name__) as caught:
        fetch(face, httpx.MockTransport(service), Failing(), tmp_path / "x.pdf")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("error", [gofer.Unauthorized("no"), gofer.UsageError("no")], ids=repr)
def test_a_renewal_that_says_that_it_cannot_succeed_ends_the_errand(error, face, tmp_path):
    """It is called once, and its own error comes out, with the ticket of the job."""
    calls = []

    class Failing(Token):
        def refresh(self, refused):
            calls.append(refused)
            raise error

    service = Service(rotating_at("/jobs/1"))
    with pytest.raises(type(error)) as caught:
        fetch(face, httpx.MockTransport(service), Failing(), tmp_path / "x.pdf", on_abandon="leave")
    assert len(calls) == 1
    assert caught.value.ticket


@pytest.mark.parametrize("face", FACES)
def test_a_renewal_without_end_is_stopped(face, tmp_path):
    """After ten requests the errand goes on as after any failure."""

    class Endless(Token):
        def refresh(self, refused):
            while True:
                yield gofer.Request("GET", "http://h/token")

    service, once = Service(rotating_at("/retrieve")), gofer.Retry(wait_fixed(0), stop_after_attempt(1))
    with pytest.raises(gofer.Unreachable, match="more than 10 requests"):
        fetch(
            face,
            httpx.MockTransport(service),
            Endless(),
            tmp_path / "x.pdf",
            retry=once,
        )
    assert len(service.paths("/token")) == 10


@pytest.mark.parametrize("face", FACES)
def test_a_renewal_that_yields_no_request_is_a_usage_error(face, tmp_path):
    """The message names the type that came."""

    class Wrong(Token):
        def refresh(self, refused):
            yield "http://h/token"

    with pytest.raises(gofer.UsageError, match="must yield requests"):
        fetch(face, httpx.MockTransport(Service(rotating_at("/retrieve"))), Wrong(), tmp_path / "x.pdf")


@pytest.mark.parametrize("face", FACES)
def test_a_signature_never_leaves_the_services_origin(face, tmp_path):
    """A signer that turns the request to another host is refused, and nothing is sent there."""
    service = Service()
    with pytest.raises(gofer.UsageError, match="origin"):
        fetch(face, httpx.MockTransport(service), lambda request: gofer.Request("GET", "http://other/"), tmp_path / "x")
    assert service.seen == []


def test_who_was_refused_with_older_credentials_takes_the_present_ones():
    """Nobody waits or renews for a count that has passed, and those who wait are served in their order."""
    renewal = Renewal()
    first, second, third = (renewal.queue(0) for _ in range(3))
    assert [turn.granted for turn in (first, second, third)] == [True, False, False]
    renewal.give_up(second)
    renewal.give_up(first)
    assert third.granted
    assert renewal.leads(third)
    renewal.settle()
    assert renewal.queue(0) is None
    assert renewal.queue(1).granted


def test_a_failed_renewal_fails_all_that_wait_and_nobody_later():
    """Those in the queue share the failure; the next to come renews again."""
    renewal, failure = Renewal(), gofer.Unreachable("away")
    turns = [renewal.queue(0) for _ in range(3)]
    renewal.settle(failure)
    assert [turn.failure for turn in turns] == [failure] * 3
    assert all(turn.granted for turn in turns)
    assert renewal.leads(renewal.queue(0))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_fork_waits_for_nobody_of_its_parent(tmp_path):
    """A child renews for itself although its parent was renewing when it forked."""
    auth = Token()
    client = gofer.RetrieveClient(transport=httpx.MockTransport(Service(rotating_at("/jobs/1"))), auth=auth, **QUICK)
    turn = auth.gofer_renewal.queue(0)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            client.retrieve_and_download(DOI, tmp_path / "x.pdf", timeout=30)
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    auth.gofer_renewal.give_up(turn)


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("on_abandon", ["cancel", "leave"])
def test_a_submission_whose_credentials_were_refused_is_not_looked_for_when_time_is_up(
    on_abandon, face, tmp_path, caplog
):
    """No job can have been made: the error has no key, nothing more is sent, and no log warns of a job."""
    service, auth = Service(rotating_at("/retrieve")), Token()
    turn = auth.gofer_renewal.queue(0)  # another errand renews, and takes too long
    with pytest.raises(gofer.OutOfTime) as caught:
        fetch(face, httpx.MockTransport(service), auth, tmp_path / "x", budget=0.2, on_abandon=on_abandon)
    auth.gofer_renewal.give_up(turn)
    assert caught.value.key is None
    assert caught.value.retryable
    assert [request.url.path for request in service.seen] == ["/retrieve"]
    assert caplog.records == []


@pytest.mark.parametrize("face", FACES)
def test_an_errand_with_a_timeout_of_centuries_waits_for_a_renewal(face, tmp_path):
    """No clock of the system overflows: once the errand before it leaves, it renews and ends well."""
    service, auth = Service(rotating_at("/retrieve")), Token()
    turn = auth.gofer_renewal.queue(0)
    leaving = threading.Timer(0.05, auth.gofer_renewal.give_up, [turn])
    leaving.start()
    fetch(face, httpx.MockTransport(service), auth, tmp_path / "x.pdf", budget=1e12)
    assert (tmp_path / "x.pdf").read_bytes() == PAPER
