"""Celery by Flower: values inline, states of the application's own, and unknown tasks that wait for ever."""

import json

import pytest

from gofer import JobCancelled, JobFailed, NotFound, Rejected, State, SubmitUncertain, UsageError, WaitTimeout
from replay.conversation import Talk

from .script import PLENTY, Scene, on

REPORT = {"task": "tasks.report", "kwargs": {"title": "squares", "rows": 2}}
REPORTED = {"title": "squares", "rows": [{"row": 0, "square": 0}, {"row": 1, "square": 1}], "files": ["squares.csv"]}


@on("flower")
def result(scene: Scene) -> Talk:
    """A task is submitted, looked at, and what it returns is the value."""
    job = yield scene.client.submit({"task": "tasks.slow", "args": [1]})
    assert (job.status, job.done) == ("PENDING", False)
    yield job.refresh()
    assert job.status in ("PENDING", "STARTED")
    assert (yield job.wait(timeout=PLENTY)) == "SUCCESS"
    assert (yield job.result()) == "slept 1 s"


@on("flower")
def own_states(scene: Scene) -> Talk:
    """A state of the task's own means that it is running."""
    job = yield scene.client.submit({"task": "tasks.steps", "args": [2, 1]})
    with pytest.raises(WaitTimeout):
        yield job.wait(timeout=1.0)
    assert (job.status, job.status.state) == ("PROGRESS", State.RUNNING)
    assert (yield job.result(timeout=PLENTY)) == 2


@on("flower")
def tried_again(scene: Scene) -> Talk:
    """A task that the worker tries again has not failed."""
    outcome = yield scene.client.run({"task": "tasks.flaky", "args": [1, 1]}, timeout=PLENTY)
    assert outcome.value == 1


@on("flower")
def failure(scene: Scene) -> Talk:
    """A failed task's exception is the error's text, and its type the code."""
    with pytest.raises(JobFailed, match="no luck") as caught:
        yield scene.client.run({"task": "tasks.fail", "args": ["no luck"]}, timeout=PLENTY)
    assert (caught.value.error, caught.value.error_code) == ("ValueError('no luck')", "ValueError")


@on("flower")
def unknown_id(scene: Scene) -> Talk:
    """An unknown task cannot be told from one that waits for its turn: only the budget ends the wait."""
    with pytest.raises(WaitTimeout) as caught:
        yield scene.client.job("nope").wait(timeout=1.0)
    assert caught.value.status == "PENDING"


@on("flower")
def cancel(scene: Scene) -> Talk:
    """A running task that is cancelled is revoked, and its result is refused as cancelled."""
    job = yield scene.client.submit({"task": "tasks.slow", "args": [30]})
    with pytest.raises(WaitTimeout):
        yield job.wait(timeout=1.0)
    assert (job.status, job.status.state) == ("STARTED", State.RUNNING)
    assert (yield job.cancel()) is True
    assert (yield job.wait(timeout=PLENTY)).state is State.CANCELLED
    with pytest.raises(JobCancelled):
        yield job.result()


@on("flower")
def timeout(scene: Scene) -> Talk:
    """A budget that ends before the task does is a timeout of the wait, and the task nobody waits for is revoked."""
    with pytest.raises(WaitTimeout) as caught:
        yield scene.client.run({"task": "tasks.slow", "args": [30]}, timeout=1.0)
    assert caught.value.leg == "poll"
    assert (yield scene.client.attach(caught.value.ticket).wait(timeout=PLENTY)) == "REVOKED"


@on("flower")
def file(scene: Scene) -> Talk:
    """A text is written to a file as it is."""
    outcome = yield scene.client.run({"task": "tasks.slow", "args": [0]}, to=scene.folder / "said.txt", timeout=PLENTY)
    assert outcome.path.read_text() == "slept 0 s"


@on("flower")
def folder(scene: Scene) -> Talk:
    """A document goes into a folder as JSON, beside the manifest."""
    outcome = yield scene.client.run(REPORT, to=f"{scene.folder / 'out'}/", timeout=PLENTY)
    assert outcome.value == REPORTED
    assert sorted(found.name for found in outcome.path.iterdir()) == ["manifest.json", "result.json"]
    assert json.loads((outcome.path / "result.json").read_text()) == REPORTED


@on("flower")
def ticket(scene: Scene) -> Talk:
    """A ticket goes on with the task in a client that knows nothing else of it."""
    job = yield scene.client.submit({"task": "tasks.add", "args": [1, 2]})
    assert (yield scene.another().attach(job.ticket).result(timeout=PLENTY)) == 3


@on("flower")
def wrong_input(scene: Scene) -> Talk:
    """Without a task nothing is sent, an unknown one is not found, and options that are none are rejected."""
    with pytest.raises(UsageError, match="task"):
        yield scene.client.submit({"args": [1, 2]})
    with pytest.raises(NotFound, match="Unknown task"):
        yield scene.client.submit({"task": "tasks.nothing"})
    with pytest.raises(Rejected, match="args must be an array"):
        yield scene.client.submit({"task": "tasks.add", "args": 5})


@on("flower")
def wrong_arguments(scene: Scene) -> Talk:
    """A 500 to a submission may have made a task, and Flower gives it for too few arguments: it is not sent again."""
    with pytest.raises(SubmitUncertain) as caught:
        yield scene.client.submit({"task": "tasks.add", "args": [1]})
    assert (caught.value.attempts, bool(caught.value.key)) == (1, True)
