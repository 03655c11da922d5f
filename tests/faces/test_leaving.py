"""Callers who leave: Ctrl-C, cancelled tasks, deadlines. The job is cancelled or left, and nothing stays running."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import anyio
import pytest
import trio

import gofer
from support.raw_server import http, raw_server

DOI = "10.5555/12345678"


class Endless:
    """A service whose job never ends; `held` is set while a request waits, `cancelled` by a cancellation."""

    def __init__(self, *, holds_submission=False):
        self.holds_submission = holds_submission
        self.held, self.cancelled = threading.Event(), threading.Event()

    def __call__(self, call):
        """Answer one call."""
        if call.path == "/health":
            return [http(200, '{"status":"healthy","capabilities":["idempotency-key"]}')]
        if call.method == "DELETE":
            self.cancelled.set()
            return [http(200, self.doc("failed", error_code="CANCELLED"))]
        if call.method == "POST":
            return self.hold() if self.holds_submission and call.nth == 1 else [http(202, self.doc("pending"))]
        return self.hold() if "prefer" in call.headers else [http(200, self.doc("searching"))]

    def hold(self):
        """Do not answer for longer than any test takes."""
        self.held.set()
        return [60]

    def doc(self, status, **more):
        """The job's document."""
        return json.dumps({"job_id": "j1", "status": status, **more})


@pytest.fixture(autouse=True)
def ample_farewell(monkeypatch):
    """Give the cancellation the time that it needs on a busy machine."""
    monkeypatch.setattr("gofer.core.flows.FAREWELL", 60.0)


@pytest.fixture(autouse=True)
def ctrl_c_interrupts():
    """Take SIGINT as a terminal's program does, also under a runner that has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt_when(event):
    """Send this process Ctrl-C after an event."""

    def press():
        event.wait(60)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    return thread


@pytest.mark.parametrize("holds", [False, True], ids=["while polling", "while submitting"])
def test_ctrl_c_cancels_a_one_shot_errand(holds, tmp_path):
    """KeyboardInterrupt comes out as it went in, and the job is cancelled, known by its id or only by its key."""
    service = Endless(holds_submission=holds)
    with raw_server(service) as server:
        presser = interrupt_when(service.held)
        began = time.monotonic()
        with gofer.RetrieveClient(base_url=server.url) as client, pytest.raises(KeyboardInterrupt):
            client.retrieve_and_download(DOI, tmp_path / "paper.pdf")
        presser.join()
        assert service.cancelled.is_set()
        assert time.monotonic() - began < 60
    assert list(tmp_path.iterdir()) == []


def the_warned_key(caplog):
    """Return the key that the one warning names."""
    (warning,) = [record.getMessage() for record in caplog.records if record.name == "gofer"]
    assert "may have made a job" in warning
    return warning.partition("key='")[2].partition("'")[0]


def test_ctrl_c_in_a_submission_alone_is_warned_of_with_the_key(caplog):
    """`retrieve` sends nothing more, and the warning has the key that was sent."""
    service = Endless(holds_submission=True)
    with raw_server(service) as server:
        presser = interrupt_when(service.held)
        with gofer.RetrieveClient(base_url=server.url) as client, pytest.raises(KeyboardInterrupt):
            client.retrieve(DOI)
        presser.join()
        (call,) = server.calls
    assert the_warned_key(caplog) == call.headers["idempotency-key"].strip('"')


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_cancelled_submission_alone_is_warned_of_with_the_key(backend, caplog):
    """The async face gives the same warning."""
    service = Endless(holds_submission=True)

    async def main(url):
        async with gofer.AsyncRetrieveClient(base_url=url) as client, anyio.create_task_group() as tasks:
            tasks.start_soon(client.retrieve, DOI)
            await anyio.to_thread.run_sync(service.held.wait)
            tasks.cancel_scope.cancel()

    with raw_server(service) as server:
        anyio.run(main, server.url, backend=backend)
        (call,) = server.calls
    assert the_warned_key(caplog) == call.headers["idempotency-key"].strip('"')


def test_ctrl_c_leaves_the_job_of_a_handle():
    """A handle's wait may be broken off and taken up again."""
    service = Endless()
    with raw_server(service) as server, gofer.RetrieveClient(base_url=server.url) as client:
        job = client.retrieve(DOI)
        presser = interrupt_when(service.held)
        with pytest.raises(KeyboardInterrupt):
            job.wait()
        presser.join()
        assert not service.cancelled.is_set()


def test_on_abandon_cancel_holds_for_handles_too():
    """The policy that the caller names is obeyed by every verb."""
    service = Endless()
    with raw_server(service) as server, gofer.RetrieveClient(base_url=server.url, on_abandon="cancel") as client:
        with pytest.raises(gofer.WaitTimeout):
            client.retrieve(DOI).wait(timeout=0.5)
        assert service.cancelled.is_set()


@pytest.mark.parametrize("holds", [False, True], ids=["while polling", "while submitting"])
@pytest.mark.parametrize("policy", [None, "leave"])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_cancelled_scope_obeys_on_abandon(backend, policy, holds, tmp_path):
    """Inside a task group, cancellation cancels the job or leaves it, and ends soon."""
    service = Endless(holds_submission=holds)

    async def main(url):
        async with (
            gofer.AsyncRetrieveClient(base_url=url, on_abandon=policy) as client,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(client.retrieve_and_download, DOI, tmp_path / "paper.pdf")
            await anyio.to_thread.run_sync(service.held.wait)
            tasks.cancel_scope.cancel()

    with raw_server(service) as server:
        began = time.monotonic()
        anyio.run(main, server.url, backend=backend)
        assert time.monotonic() - began < 60
        assert service.cancelled.is_set() == (policy is None)


def test_a_natively_cancelled_asyncio_task_cancels_its_job(tmp_path):
    """task.cancel() and wait_for() are answered like anyio's scopes, and CancelledError comes out."""
    service = Endless()

    async def main(url):
        async with gofer.AsyncRetrieveClient(base_url=url) as client:
            task = asyncio.create_task(client.retrieve_and_download(DOI, tmp_path / "paper.pdf"))
            await asyncio.to_thread(service.held.wait)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    with raw_server(service) as server:
        asyncio.run(main(server.url))
        assert service.cancelled.is_set()


def test_a_trio_deadline_cancels_the_job(tmp_path):
    """A scope whose deadline passes ends the errand and the job with it."""
    service = Endless()

    async def main(url):
        async with gofer.AsyncRetrieveClient(base_url=url) as client, trio.open_nursery() as nursery:
            scope = trio.CancelScope()

            async def end_it():
                await trio.to_thread.run_sync(service.held.wait)
                scope.deadline = trio.current_time()

            nursery.start_soon(end_it)
            with scope:
                await client.retrieve_and_download(DOI, tmp_path / "paper.pdf")
            assert scope.cancelled_caught

    with raw_server(service) as server:
        trio.run(main, server.url)
        assert service.cancelled.is_set()


def test_leaving_watch_does_no_io():
    """Breaking out of the loop sends nothing and leaves the job."""
    service = Endless()
    with raw_server(service) as server, gofer.RetrieveClient(base_url=server.url, hold=0) as client:
        job = client.retrieve(DOI)
        for _ in job.watch():
            break
        sent = len(server.calls)
        time.sleep(0.2)
        assert len(server.calls) == sent
        assert not service.cancelled.is_set()


def test_a_second_ctrl_c_ends_at_once(tmp_path):
    """Whoever presses twice does not wait for the farewell."""
    script = textwrap.dedent(
        """
        import signal, sys, gofer
        from gofer.core import flows
        flows.FAREWELL = 600  # so that the second Ctrl-C ends it, and not the time
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a runner may have had it ignored
        gofer.RetrieveClient(base_url=sys.argv[1]).retrieve_and_download("10.5555/12345678", sys.argv[2])
        """
    )
    polling, leaving = threading.Event(), threading.Event()

    def service(call):
        if call.method == "POST":
            return [http(202, '{"job_id":"j1","status":"pending"}')]
        if call.path != "/health":
            (leaving if call.method == "DELETE" else polling).set()
        return [60]

    with raw_server(service) as server, contextlib.ExitStack() as stack:
        command = [sys.executable, "-c", script, server.url, str(tmp_path / "paper.pdf")]
        child = stack.enter_context(subprocess.Popen(command, stderr=subprocess.PIPE))
        assert polling.wait(60)
        child.send_signal(signal.SIGINT)
        assert leaving.wait(60)
        assert child.poll() is None  # it waits for the answer to the cancellation
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=60)
    assert b"KeyboardInterrupt" in said


def test_no_thread_stays_behind(tmp_path):
    """The blocking face starts no thread of its own."""
    service, before = Endless(), set(threading.enumerate())
    with raw_server(service) as server, gofer.RetrieveClient(base_url=server.url) as client:
        with pytest.raises(gofer.OutOfTime):
            client.retrieve_and_download(DOI, tmp_path / "paper.pdf", timeout=1)
        names = {thread.name for thread in {*threading.enumerate()} - before}
    assert not any("gofer" in name.lower() or "AnyIO" in name for name in names)
