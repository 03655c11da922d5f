"""Held requests: what releases them, and when. That one was released is shown by less time than its wait."""

import socket
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.from_thread
import httpx
import pytest
from starlette.applications import Starlette

from gofer_service import running
from gofer_service.engine import ErrorCode, Failure, Job, Result, Run, Status

from .conftest import assemble


class Stage:
    """A job that the test moves from outside: it writes the reports of the test, one after the other."""

    def __init__(self) -> None:
        self._reports: list[dict[str, Any]] = []
        self.cancelled = threading.Event()
        self.read = threading.Event()  # set when the engine has read a job, as it does before it holds a request

    def tell(self, **changes: Any) -> None:
        """Have the job report this; nothing at all ends it as failed."""
        self._reports.append(changes)

    def when_held(self, act: Callable[[], object]) -> None:
        """Do something as soon as the request that is sent next is held."""
        self.read.clear()
        threading.Thread(target=lambda: self.read.wait(60) and act()).start()

    async def body(self, run: Run) -> Result:
        """Play the reports as they come."""
        try:
            while True:
                while not self._reports:
                    await anyio.sleep(0.005)
                changes = self._reports.pop(0)
                if not changes:
                    raise Failure(ErrorCode.DOWNLOAD_FAILED, "the test said so")
                await run.report(**changes)
        except anyio.get_cancelled_exc_class():
            self.cancelled.set()
            raise


@pytest.fixture
def stage() -> Stage:
    """Give a stage."""
    return Stage()


@pytest.fixture
def app(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Starlette:
    """Give a service whose jobs play on the stage."""
    app = assemble(tmp_path, stage.body)
    get = app.state.engine.get

    async def told(job_id: str) -> Job | None:
        job: Job | None = await get(job_id)
        stage.read.set()
        return job

    monkeypatch.setattr(app.state.engine, "get", told)
    return app


@pytest.fixture
def http(app: Starlette) -> Generator[httpx.Client]:
    """Give a client of the service."""
    with running(app) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


def submit(http: httpx.Client, **fields: Any) -> tuple[str, str]:
    """Submit a job; give its path and its tag."""
    reply = http.post("/retrieve", json={"doi": "10.5555/x", **fields})
    return reply.headers["location"], reply.headers["etag"]


def settle(http: httpx.Client, path: str, holds: Callable[[dict[str, Any]], bool]) -> httpx.Response:
    """Ask without waiting until the job is as wanted."""
    for _ in range(6000):
        if holds((reply := http.get(path)).json()):
            return reply
        time.sleep(0.01)
    raise AssertionError(reply.text)


def test_a_new_state_releases_at_once(http: httpx.Client, stage: Stage) -> None:
    """A poll that is held ends as soon as the job enters a new state, and says that it was held."""
    path, tag = submit(http)
    stage.when_held(lambda: stage.tell(status=Status.SEARCHING))
    begun = time.monotonic()
    reply = http.get(path, headers={"Prefer": "wait=20", "If-None-Match": tag})
    assert time.monotonic() - begun < 20
    assert (reply.status_code, reply.json()["status"]) == (200, "searching")
    assert reply.headers["preference-applied"] == "wait=20"
    assert reply.headers["etag"] != tag


def test_without_a_tag_a_poll_is_held_too(http: httpx.Client, stage: Stage) -> None:
    """Without If-None-Match the poll waits for what differs from the job as it is now."""
    path, _ = submit(http)
    stage.when_held(lambda: stage.tell(status=Status.SEARCHING))
    begun = time.monotonic()
    reply = http.get(path, headers={"Prefer": "wait=20"})
    assert time.monotonic() - begun < 20
    assert reply.json()["status"] == "searching"


def test_nothing_new_is_304_after_the_wait(http: httpx.Client) -> None:
    """A poll without news ends after its wait: 304 with a tag, the complete job without."""
    path, tag = submit(http)
    begun = time.monotonic()
    reply = http.get(path, headers={"Prefer": "wait=1", "If-None-Match": tag})
    assert 0.8 < time.monotonic() - begun < 20
    assert (reply.status_code, reply.content) == (304, b"")
    assert (reply.headers["preference-applied"], reply.headers["etag"]) == ("wait=1", tag)
    assert http.get(path, headers={"Prefer": "wait=1"}).json()["status"] == "pending"


def test_an_older_state_is_told_at_once(http: httpx.Client, stage: Stage) -> None:
    """A poll whose tag is of a former state is not held."""
    path, tag = submit(http)
    stage.tell(status=Status.SEARCHING)
    settle(http, path, lambda job: job["status"] == "searching")
    begun = time.monotonic()
    assert http.get(path, headers={"Prefer": "wait=20", "If-None-Match": tag}).status_code == 200
    assert time.monotonic() - begun < 20


def test_progress_releases_after_two_seconds(http: httpx.Client, stage: Stage) -> None:
    """Progress alone is sent no sooner than 2 s after the poll began, and long before its wait is over."""
    path, _ = submit(http)
    stage.tell(status=Status.DOWNLOADING, progress=0.1)
    tag = settle(http, path, lambda job: job["status"] == "downloading").headers["etag"]
    stage.when_held(lambda: [stage.tell(progress=0.2), stage.tell(progress=0.3)])
    begun = time.monotonic()
    reply = http.get(path, headers={"Prefer": "wait=20", "If-None-Match": tag})
    assert 1.8 < time.monotonic() - begun < 20
    assert (reply.status_code, reply.json()["progress"] in (0.2, 0.3)) == (200, True)


def test_an_ended_job_is_never_held(http: httpx.Client, stage: Stage) -> None:
    """A job that can change no more is answered at once, tag or not."""
    path, _ = submit(http)
    stage.tell()
    job = settle(http, path, lambda job: job["status"] == "failed")
    begun = time.monotonic()
    assert http.get(path, headers={"Prefer": "wait=20"}).json()["error"] == "the test said so"
    held = http.get(path, headers={"Prefer": "wait=20", "If-None-Match": job.headers["etag"]})
    assert (held.status_code, held.headers["preference-applied"]) == (304, "wait=20")
    assert time.monotonic() - begun < 20


def test_a_long_wait_is_cut_to_twenty_seconds(http: httpx.Client, stage: Stage) -> None:
    """The wait that is applied is at most 20 s, and the reply says how long it was."""
    path, tag = submit(http)
    stage.when_held(lambda: stage.tell(status=Status.SEARCHING))
    reply = http.get(path, headers={"Prefer": "wait=3600", "If-None-Match": tag})
    assert reply.headers["preference-applied"] == "wait=20"


@pytest.mark.parametrize("prefer", ["", "wait", "wait=-1", "wait=x", "respond-async", "wait=1.5"])
def test_a_preference_that_makes_no_sense_is_not_applied(http: httpx.Client, prefer: str) -> None:
    """Without a readable wait the job is answered at once, without Preference-Applied."""
    path, _ = submit(http)
    reply = http.get(path, headers={"Prefer": prefer})
    assert reply.status_code == 200
    assert "preference-applied" not in reply.headers


def test_a_submission_is_not_held_past_its_wait(http: httpx.Client, stage: Stage) -> None:
    """A POST that waits is held through new states and answered 202 with the job as it is when the time is up."""
    stage.when_held(lambda: stage.tell(status=Status.SEARCHING))
    begun = time.monotonic()
    reply = http.post("/retrieve", json={"doi": "10.5555/x"}, headers={"Prefer": "respond-async, wait=1"})
    assert 0.8 < time.monotonic() - begun < 20
    assert (reply.status_code, reply.json()["status"]) == (202, "searching")
    assert reply.headers["preference-applied"] == "respond-async, wait=1"


def test_cancelling_reaches_the_job_and_who_waits(http: httpx.Client, stage: Stage) -> None:
    """DELETE ends the job as failed and cancelled, stops its body, and releases a held poll."""
    path, tag = submit(http)
    stage.when_held(lambda: http.delete(path))
    reply = http.get(path, headers={"Prefer": "wait=20", "If-None-Match": tag})
    assert (reply.json()["status"], reply.json()["error_code"]) == ("failed", "CANCELLED")
    assert stage.cancelled.wait(60)
    assert http.delete(path).json() == reply.json()


def test_a_job_past_its_time_has_ended(http: httpx.Client, stage: Stage) -> None:
    """A deadline ends the job as TIMEOUT, stops its body and releases a held poll."""
    path, tag = submit(http, timeout_seconds=0.3)
    reply = http.get(path, headers={"Prefer": "wait=20", "If-None-Match": tag})
    assert (reply.json()["status"], reply.json()["error_code"]) == ("failed", "TIMEOUT")
    assert stage.cancelled.wait(60)


def test_a_file_that_is_not_ready_is_a_conflict(http: httpx.Client) -> None:
    """The file of a job that has not completed is answered 409."""
    path, _ = submit(http)
    reply = http.get(f"{path}/file")
    assert (reply.status_code, reply.json()["error_code"]) == (409, "NOT_READY")


def test_a_stopping_service_answers_held_polls(app: Starlette, stage: Stage) -> None:
    """A poll that is held when the service stops is answered with the job as it is, and the service stops at once."""
    answers: list[httpx.Response] = []
    with running(app) as url:
        location = httpx.post(f"{url}/retrieve", json={"doi": "10.5555/x"}).headers["location"]
        ask = lambda: answers.append(httpx.get(url + location, headers={"Prefer": "wait=20"}, timeout=60))  # noqa: E731
        poll = threading.Thread(target=ask)
        stage.read.clear()
        poll.start()
        assert stage.read.wait(60)
        begun = time.monotonic()
    assert time.monotonic() - begun < 20
    poll.join()
    assert (answers[0].status_code, answers[0].json()["status"]) == (200, "pending")


def test_who_has_gone_is_not_waited_for(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A held poll ends when its caller disconnects."""
    app = assemble(tmp_path, stage.body)
    begun, ended = threading.Event(), threading.Event()

    async def wait(*_: Any) -> None:
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    monkeypatch.setattr(app.state.engine, "wait", wait)
    with running(app) as url:
        address = urlsplit(url)
        with socket.create_connection((address.hostname, address.port)) as caller:
            caller.sendall(b"GET /jobs/x HTTP/1.1\r\nHost: localhost\r\nPrefer: wait=20\r\n\r\n")
            assert begun.wait(60)
            assert not ended.is_set()
        assert ended.wait(60)


def test_too_many_waiting_jobs_are_refused(stage: Stage, tmp_path: Path) -> None:
    """When the queue is full a submission gives 429 with Retry-After, and a key that was used still finds its job."""
    app = assemble(tmp_path, stage.body, concurrency=1, max_pending=2)
    with running(app) as url, httpx.Client(base_url=url) as http:
        posts = [
            http.post("/retrieve", json={"doi": "10.5555/x"}, headers={"Idempotency-Key": f"k{n}"}) for n in range(3)
        ]
        assert [post.status_code for post in posts] == [202, 202, 429]
        assert posts[2].headers["retry-after"] == "5"
        assert posts[2].json()["error_code"] == "TOO_MANY_REQUESTS"
        again = http.post("/retrieve", json={"doi": "10.5555/x"}, headers={"Idempotency-Key": "k0"})
        assert again.json()["job_id"] == posts[0].json()["job_id"]


def test_a_fault_of_the_body_tells_nothing(tmp_path: Path) -> None:
    """A body that breaks ends its job without a word about the inside."""

    async def broken(_: Run) -> Result:
        raise ZeroDivisionError("secret inside")

    with running(assemble(tmp_path, broken)) as url, httpx.Client(base_url=url) as http:
        path, _ = submit(http)
        job = settle(http, path, lambda job: job["status"] == "failed")
        assert job.json()["error_code"] == "DOWNLOAD_FAILED"
        assert "secret" not in job.text
        assert "Zero" not in job.text


def test_a_fault_of_the_service_tells_nothing(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error in a route is a 500 problem without a word about the inside."""
    app = assemble(tmp_path, stage.body)

    async def broken(*_: Any) -> None:
        raise ZeroDivisionError("secret inside")

    monkeypatch.setattr(app.state.engine, "get", broken)
    with running(app) as url:
        reply = httpx.get(f"{url}/jobs/x/file")
    assert (reply.status_code, reply.json()["error_code"]) == (500, "INTERNAL")
    assert "secret" not in reply.text
