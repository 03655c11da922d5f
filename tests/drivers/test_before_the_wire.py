"""What fails or waits before a byte has left: no uncertain submission, no retry in vain, and a clear error."""

import contextlib
import gc
import json
import os
import signal
import socket
import threading
import time
import warnings

import anyio
import httpx
import pytest
from tenacity.stop import stop_after_attempt
from tenacity.wait import wait_fixed

import gofer
from gofer.core.commands import Answered, AwaitTurn
from gofer.core.slots import Turn
from gofer.transports import Now, drive
from support.raw_server import RESET, http, raw_server

DOI = "10.5555/12345678"
ENVIRONMENT = {
    "a proxy scheme that is none": ("HTTP_PROXY", "nonsense://user:s3cret@proxy.test"),
    "a port that is none": ("NO_PROXY", "localhost,fe80::/10"),
    "certificates that are not there": ("SSL_CERT_FILE", "/nowhere/certificates.pem"),
}


@pytest.fixture
def no_proxies(monkeypatch):
    """Begin without any variable that httpx reads."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return monkeypatch


@pytest.mark.parametrize("case", ENVIRONMENT)
@pytest.mark.anyio
async def test_an_environment_that_no_client_can_use_is_named(case, no_proxies):
    """The error names the variable and shows no password; nothing is sent or retried, and health checks say no."""
    name, value = ENVIRONMENT[case]
    no_proxies.setenv(name, value)
    with raw_server(lambda call: [http(200, "{}")]) as server:
        blocking, awaited = gofer.RetrieveClient(base_url=server.url), gofer.AsyncRetrieveClient(base_url=server.url)
        with pytest.raises(gofer.UsageError, match=f"Nothing was sent.*{name}") as first:
            blocking.retrieve(DOI)
        with pytest.raises(gofer.UsageError, match=f"Nothing was sent.*{name}") as second:
            await awaited.retrieve(DOI)
        assert blocking.health_check() is await awaited.health_check() is False
        assert server.calls == []
    for error in (first.value, second.value):
        assert error.attempts <= 1
        assert "s3cret" not in str(error)


@pytest.mark.parametrize("value", ["Bearer s3cret\n", "Bearer s3cret\r\nx-more: 1", "Bearer s3crét", b"Bearer s3cret"])
@pytest.mark.anyio
async def test_a_signature_that_cannot_be_sent_is_refused_unshown(value):
    """A token with a line break or another character that no header may have is a UsageError without its value."""

    def sign(request):
        return request.with_headers({"authorization": value})

    with raw_server(lambda call: [http(200, "{}")]) as server:
        with pytest.raises(gofer.UsageError, match="authorization") as first:
            gofer.RetrieveClient(base_url=server.url, auth=sign).retrieve(DOI)
        with pytest.raises(gofer.UsageError, match="authorization") as second:
            await gofer.AsyncRetrieveClient(base_url=server.url, auth=sign).job("1").wait(timeout=60)
        assert server.calls == []
    for error in (first.value, second.value):
        assert "s3cr" not in f"{error} {error.__cause__}"


class Service:
    """A service whose jobs take as many polls as it says; it counts submissions, and holds polls until `release`."""

    def __init__(self):
        self.release, self.lock, self.submissions, self.polls = threading.Event(), threading.Lock(), 0, 0

    def __call__(self, call):
        """Answer one call."""
        with self.lock:
            self.submissions += call.method == "POST"
            self.polls += call.method == "GET"
        if call.method == "POST":
            return [http(200, json.dumps({"job_id": str(self.submissions), "status": "pending"}))]
        job = call.path.rpartition("/")[2]
        done = http(200, json.dumps({"job_id": job, "status": "completed"}), preference_applied="wait=20")
        return [self.release, done]


ONCE = gofer.Retry(wait_fixed(0), stop_after_attempt(1))


def until(condition):
    """Wait for something that happens in other threads."""
    while not condition():
        time.sleep(0.01)


def test_a_submission_that_waits_for_a_place_is_not_uncertain():
    """With every slot taken, a submission waits within its budget; then the error says that nothing was sent."""
    service = Service()
    with (
        raw_server(service) as server,
        gofer.RetrieveClient(base_url=server.url, max_connections=1, retry=ONCE) as client,
    ):
        poll = threading.Thread(target=client.job("1").refresh)
        poll.start()
        until(lambda: service.polls == 1)
        with pytest.raises(gofer.OutOfTime, match="max_connections=1") as caught:
            client.run(gofer.RetrieveRequest(DOI), timeout=1)
        assert (caught.value.key, caught.value.retryable, service.submissions) == (None, True, 0)
        service.release.set()
        poll.join()


@pytest.mark.anyio
async def test_an_awaited_submission_that_waits_for_a_place_is_not_uncertain():
    """The awaited face waits in the same queue; a task that is cancelled there leaves it."""
    service = Service()
    with raw_server(service) as server:
        async with (
            gofer.AsyncRetrieveClient(base_url=server.url, max_connections=1, retry=ONCE) as client,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(client.job("1").refresh)
            await anyio.to_thread.run_sync(until, lambda: service.polls == 1)
            with pytest.raises(gofer.OutOfTime, match="max_connections=1") as caught:
                await client.run(gofer.RetrieveRequest(DOI), timeout=1)
            assert caught.value.key is None
            with anyio.move_on_after(0.2) as left:
                await client.retrieve(DOI)
            assert left.cancelled_caught
            assert service.submissions == 0
            service.release.set()
            assert (await client.retrieve(DOI)).job_id == "1"


def test_jobs_that_are_waited_for_leave_room_for_others():
    """With more held jobs than there are connections, submissions go through, and jobs that are not held are polled."""
    service = Service()
    with raw_server(service) as server, gofer.RetrieveClient(base_url=server.url, max_connections=10) as client:
        threads = [threading.Thread(target=client.job(str(n)).wait) for n in range(30)]
        for thread in threads:
            thread.start()
        until(lambda: service.polls >= 8)
        assert [client.retrieve(DOI).job_id for _ in range(3)] == ["1", "2", "3"]
        service.release.set()
        for thread in threads:
            thread.join()
    assert client._service.slots._taken == 0


def test_a_watch_that_is_left_gives_its_place_back():
    """Leaving the loop early, and not going on with it, takes no slot from others."""
    with (
        raw_server(lambda call: [http(200, '{"job_id":"1","status":"searching"}')]) as server,
        gofer.RetrieveClient(base_url=server.url, max_connections=1) as client,
    ):
        watched = client.job("1").watch()
        next(watched)
        assert client.job("1").refresh() == "searching"
        watched.close()
        for _ in client.job("1").watch():
            break
        assert client.job("1").refresh() == "searching"
    assert client._service.slots._taken == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_has_places_of_its_own():
    """A child that was forked while every slot was taken can send."""
    service = Service()
    with raw_server(service) as server:
        client = gofer.RetrieveClient(base_url=server.url, max_connections=1)
        poll = threading.Thread(target=client.job("1").refresh)
        poll.start()
        until(lambda: service.polls == 1)
        child = os.fork()
        if child == 0:
            signal.alarm(60)  # a child that waits for its parent's slots is not to hang
            os._exit(0 if client.retrieve(DOI).job_id == "1" else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        service.release.set()
        poll.join()


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # anyio leaves such a socket to the collector
@pytest.mark.parametrize("face", ["blocking", "asyncio", "trio"])
@pytest.mark.parametrize("how", ["closes", "is silent"])
def test_a_tls_handshake_that_fails_has_sent_nothing(how, face):
    """A server that breaks off, or says nothing, before TLS stands has not got the submission: it is `Unreachable`."""
    over, kept = threading.Event(), []

    def accept():
        while not over.is_set():
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                if how == "closes":
                    connection.close()
                else:
                    kept.append(connection)

    def retrieve():
        options = {"base_url": f"https://127.0.0.1:{listener.getsockname()[1]}", "timeout": 0.5, "retry": ONCE}
        try:
            if face == "blocking":
                gofer.RetrieveClient(**options).retrieve(DOI)
            else:
                anyio.run(gofer.AsyncRetrieveClient(**options).retrieve, DOI, backend=face)
        except gofer.GoferError as error:
            return type(error)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        server = threading.Thread(target=accept)
        server.start()
        try:
            with warnings.catch_warnings(action="ignore"):  # anyio leaves such a socket to the collector
                assert retrieve() is gofer.Unreachable
                gc.collect()
        finally:
            over.set()
            server.join()
            for connection in kept:
                connection.close()


@pytest.mark.parametrize("face", ["blocking", "asyncio", "trio"])
def test_the_chain_of_an_error_has_an_end(face):
    """Causes lead to the first error and never in a circle, whether a byte was sent or not."""
    chains = []
    with raw_server(lambda call: [RESET]) as server:
        for url in (server.url, "http://127.0.0.1:1"):
            options = {"base_url": url, "retry": ONCE, "patience": ONCE}
            try:
                if face == "blocking":
                    gofer.RetrieveClient(**options).get_job_status("1")
                else:
                    anyio.run(gofer.AsyncRetrieveClient(**options).get_job_status, "1", backend=face)
            except gofer.TransportError as error:
                chain, one = [], error
                while one is not None and one not in chain:
                    chain.append(one)
                    one = one.__cause__ or one.__context__
                chains.append((type(error), one))
    assert chains == [(gofer.AnswerLost, None), (gofer.Unreachable, None)]


STARTED = "http11.send_request_headers.started"
TOLD = {
    "that nothing was sent": (["connection.connect_tcp.started"], gofer.Unreachable),
    "that it was sent": (["connection.connect_tcp.started", STARTED], gofer.SubmitUncertain),
    "nothing": ([], gofer.SubmitUncertain),
}


class Broken(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """A transport that tells of these events, and then reads no answer."""

    def __init__(self, events):
        self.events = events

    def handle_request(self, request):
        """Break."""
        for event in self.events:
            request.extensions["trace"](event, {})
        raise httpx.ReadError("cut")

    async def handle_async_request(self, request):
        """Break."""
        for event in self.events if request.method == "POST" else []:
            await request.extensions["trace"](event, {})
        raise httpx.ReadError("cut")


@pytest.mark.parametrize("told", TOLD)
@pytest.mark.anyio
async def test_a_connection_that_breaks_before_the_request_is_sent_loses_no_answer(told):
    """Whatever the HTTP library calls it, the submission is certain; without a word it is not."""
    events, kind = TOLD[told]
    once = gofer.Retry(wait_fixed(0), stop_after_attempt(1))
    options = {"base_url": "http://service.test", "transport": Broken(events), "retry": once}
    with pytest.raises(kind):
        gofer.RetrieveClient(**options).retrieve(DOI)
    with pytest.raises(kind):
        await gofer.AsyncRetrieveClient(**options).retrieve(DOI)


class Still:
    """A wire whose clock stands still."""

    time = Now(1000.0, 0.0)

    def now(self):
        """Read both clocks."""
        return self.time


@pytest.mark.parametrize(("left", "seconds"), [(None, threading.TIMEOUT_MAX), (0.5, 0.5), (-3.0, 0.0)])
def test_the_blocking_driver_waits_for_a_slot_until_the_budget_ends(monkeypatch, left, seconds):
    """Not a moment longer, and without a budget for as long as it takes."""
    waits = []

    class Event(threading.Event):
        def wait(self, timeout=None):
            waits.append(timeout)
            return False

    monkeypatch.setattr(threading, "Event", Event)
    hands = drive.Hands(None, Still(), None, None)
    turn = AwaitTurn(Turn(), None if left is None else Still.time.mono + left)
    assert hands.perform(turn) == Answered(Still.time, False)
    assert waits == [seconds]
