"""A2A, with the server of a2a-sdk: tasks with artifacts, answers that are no task, and an agent that asks back."""

import json

import pytest

from gofer import JobCancelled, JobFailed, NeedsInput, NotFound, Rejected, State, UsageError, WaitTimeout
from replay.conversation import Talk

from .script import PLENTY, Scene, on


def message(text: str) -> dict[str, object]:
    """Say something to the agent."""
    return {"parts": [{"text": text}]}


@on("a2a")
def result(scene: Scene) -> Talk:
    """A message becomes a task, which says what it is doing, and its artifacts are the value."""
    job = yield scene.client.submit(message("slow 1"))
    assert (job.status, job.status.state) == ("TASK_STATE_SUBMITTED", State.PENDING)
    yield job.refresh()
    assert (job.status, job.status.message) == ("TASK_STATE_WORKING", "working on it")
    assert (yield job.wait(timeout=PLENTY)) == "TASK_STATE_COMPLETED"
    assert (job.status.message, job.status.error) == ("well rested", None)
    (artifact,) = yield job.result()
    assert (artifact["name"], artifact["parts"]) == ("nap", [{"text": "slept 1 s"}])


@on("a2a")
def finished_at_once(scene: Scene) -> Talk:
    """An agent that answers with a message makes no task: the message is the value."""
    outcome = yield scene.client.run(message("hello Ann"), timeout=PLENTY)
    assert (outcome.value["parts"], outcome.job_id) == ([{"text": "Hello Ann!"}], "")


@on("a2a")
def failure(scene: Scene) -> Talk:
    """A task that fails, or that the agent rejects, says why."""
    with pytest.raises(JobFailed, match="no luck") as caught:
        yield scene.client.run(message("fail no luck"), timeout=PLENTY)
    assert (caught.value.status, bool(caught.value.ticket)) == ("TASK_STATE_FAILED", True)
    with pytest.raises(JobFailed, match="not mine") as caught:
        yield scene.client.run(message("reject not mine"), timeout=PLENTY)
    assert caught.value.status == "TASK_STATE_REJECTED"


@on("a2a")
def asked_back(scene: Scene) -> Talk:
    """A task that asks is raised with the question; any client with its ticket answers it with another message."""
    with pytest.raises(NeedsInput, match=r"Which year\?") as caught:
        yield scene.client.run(message("ask"), timeout=PLENTY)
    assert caught.value.question == [{"text": "Which year?"}]
    job = scene.another().attach(caught.value.ticket)
    yield job.answer(message("2026"))
    (artifact,) = yield job.result(timeout=PLENTY)
    assert artifact["parts"] == [{"text": "the year 2026"}]


@on("a2a")
def unknown_id(scene: Scene) -> Talk:
    """A task that the server never had is not found, at once."""
    with pytest.raises(NotFound) as caught:
        yield scene.client.job("nope").wait(timeout=PLENTY)
    assert (caught.value.error_code, caught.value.attempts) == ("TASK_NOT_FOUND", 1)


@on("a2a")
def cancel(scene: Scene) -> Talk:
    """A cancelled task is cancelled, and its result is refused as that; one that has ended is left alone."""
    job = yield scene.client.submit(message("slow 5"))
    assert (yield job.cancel()) is True
    assert (job.status, job.status.state) == ("TASK_STATE_CANCELED", State.CANCELLED)
    with pytest.raises(JobCancelled):
        yield job.result()
    assert (yield scene.another().job(job.id).cancel()) is True


@on("a2a")
def timeout(scene: Scene) -> Talk:
    """A budget that ends before the task does is a timeout of the wait, and the task nobody waits for is cancelled."""
    with pytest.raises(WaitTimeout) as caught:
        yield scene.client.run(message("slow 5"), timeout=1.0)
    assert (caught.value.leg, caught.value.status) == ("poll", "TASK_STATE_CANCELED")


@on("a2a")
def file(scene: Scene) -> Talk:
    """Artifacts that are texts and data are stored as JSON."""
    outcome = yield scene.client.run(message("slow 0"), to=scene.folder / "out.json", timeout=PLENTY)
    assert json.loads(outcome.path.read_text()) == outcome.value


@on("a2a")
def folder(scene: Scene) -> Talk:
    """Parts that are files become files under their names; the others are in the value."""
    outcome = yield scene.client.run(message("files"), to=f"{scene.folder / 'out'}/", timeout=PLENTY)
    assert sorted(found.name for found in outcome.path.iterdir()) == ["manifest.json", "points.csv"]
    assert (outcome.path / "points.csv").read_text() == "x,y\n1,2\n"
    assert outcome.value[1]["parts"] == [{"data": {"rows": 1}}, {"text": "one row"}]


@on("a2a")
def ticket(scene: Scene) -> Talk:
    """A ticket goes on with the task in a client that knows nothing else of it."""
    job = yield scene.client.submit(message("slow 0"))
    (artifact,) = yield scene.another().attach(job.ticket).result(timeout=PLENTY)
    assert artifact["name"] == "nap"


@on("a2a")
def wrong_input(scene: Scene) -> Talk:
    """Without parts nothing is sent, and a message that is none is refused with the server's code."""
    with pytest.raises(UsageError, match="parts"):
        yield scene.client.submit({"text": "hello"})
    with pytest.raises(Rejected) as caught:
        yield scene.client.submit({"parts": []})
    assert (caught.value.error_code, caught.value.attempts) == ("INVALID_PARAMS", 1)
