"""MCP, with fastmcp: calls that become tasks and calls that do not, tools that fail in two ways, and one that asks."""

import json

import pytest

from gofer import JobCancelled, JobFailed, NeedsInput, NotFound, Rejected, State, UsageError, WaitTimeout
from replay.conversation import Talk

from .script import PLENTY, Scene, on


def call(tool: str, **arguments: object) -> dict[str, object]:
    """Order a call of one of the tools."""
    return {"tool": tool, "arguments": arguments}


@on("fastmcp")
def result(scene: Scene) -> Talk:
    """A call becomes a task, is polled as often as the server wants, and what the tool returns is the value."""
    job = yield scene.client.submit(call("slow", seconds=1))
    assert (job.status, job.done) == ("working", False)
    assert (yield job.wait(timeout=PLENTY)) == "completed"
    assert (yield job.result()) == {"result": "slept 1.0 s"}
    assert job.status.error is None


@on("fastmcp")
def finished_at_once(scene: Scene) -> Talk:
    """A tool that runs as no task answers with its result; if it fails, that is a failed job."""
    outcome = yield scene.client.run(call("add", x=1, y=2), timeout=PLENTY)
    assert (outcome.value, outcome.job_id) == ({"result": 3.0}, "")
    with pytest.raises(JobFailed, match=r"no luck$"):
        yield scene.client.run(call("refuse", why="no luck"), timeout=PLENTY)


@on("fastmcp")
def event_stream(scene: Scene) -> Talk:
    """A call that takes longer is answered by an event stream, whose last event has the same as the JSON would."""
    outcome = yield scene.client.run(call("think", seconds=1), timeout=PLENTY)
    assert outcome.value == {"thought": 1.0}


@on("fastmcp")
def failure(scene: Scene) -> Talk:
    """A tool's error ends its task as completed and is a failure all the same; an error of the protocol has a code."""
    with pytest.raises(JobFailed, match="no luck") as caught:
        yield scene.client.run(call("fail", why="no luck"), timeout=PLENTY)
    assert (caught.value.status, caught.value.error_code) == ("completed", None)
    with pytest.raises(JobFailed, match="broken") as caught:
        yield scene.client.run(call("fault", why="broken"), timeout=PLENTY)
    assert (caught.value.status, caught.value.error_code) == ("failed", "-32042")


@on("fastmcp")
def asked_back(scene: Scene) -> Talk:
    """A task that asks is raised with its questions; any client with its ticket answers them by their names."""
    with pytest.raises(NeedsInput) as caught:
        yield scene.client.run(call("ask"), timeout=PLENTY)
    ((name, question),) = caught.value.question.items()
    assert question["params"]["message"] == "Which year?"
    job = scene.another().attach(caught.value.ticket)
    yield job.answer({name: {"action": "accept", "content": {"year": 2026}}})
    assert (yield job.result(timeout=PLENTY)) == {"year": {"action": "accept", "content": {"year": 2026}}}


@on("fastmcp")
def asked_at_once(scene: Scene) -> Talk:
    """A call that asks and becomes no task is refused: there is nothing that could be answered."""
    with pytest.raises(Rejected) as caught:
        yield scene.client.submit(call("ask_at_once"))
    assert (caught.value.error_code, caught.value.attempts) == ("input_required", 1)


@on("fastmcp")
def unknown_id(scene: Scene) -> Talk:
    """A task that the server never had is not found, whatever the HTTP code: invalid parameters."""
    with pytest.raises(NotFound) as caught:
        yield scene.client.job("nope").wait(timeout=PLENTY)
    assert caught.value.error_code == "-32602"


@on("fastmcp")
def cancel(scene: Scene) -> Talk:
    """A cancelled task is cancelled, and its result is refused as that."""
    job = yield scene.client.submit(call("slow", seconds=5))
    assert (yield job.cancel()) is True
    assert (job.status, job.status.state) == ("cancelled", State.CANCELLED)
    with pytest.raises(JobCancelled):
        yield job.result()


@on("fastmcp")
def timeout(scene: Scene) -> Talk:
    """A budget that ends before the task does is a timeout of the wait, and the task nobody waits for is cancelled."""
    with pytest.raises(WaitTimeout) as caught:
        yield scene.client.run(call("slow", seconds=5), timeout=1.0)
    assert (caught.value.leg, caught.value.status) == ("poll", "cancelled")


@on("fastmcp")
def file(scene: Scene) -> Talk:
    """What a tool returns is stored as JSON, where it has no file in it."""
    outcome = yield scene.client.run(call("report", title="squares"), to=scene.folder / "out.json", timeout=PLENTY)
    assert json.loads(outcome.path.read_text()) == outcome.value
    assert outcome.value["rows"][1] == {"row": 1, "square": 1}


@on("fastmcp")
def folder(scene: Scene) -> Talk:
    """Pictures and resources are files, as text or as Base64; they and the other text are in the value, too."""
    outcome = yield scene.client.run(call("draw"), to=f"{scene.folder / 'out'}/", timeout=PLENTY)
    assert sorted(found.name for found in outcome.path.iterdir()) == ["file.png", "manifest.json", "points.csv"]
    assert (outcome.path / "points.csv").read_text() == "x,y\n1,2\n"
    assert outcome.value[0] == {"type": "text", "text": "two files"}


@on("fastmcp")
def ticket(scene: Scene) -> Talk:
    """A ticket goes on with the task in a client that knows nothing else of it."""
    job = yield scene.client.submit(call("slow", seconds=0))
    assert (yield scene.another().attach(job.ticket).result(timeout=PLENTY)) == {"result": "slept 0.0 s"}


@on("fastmcp")
def wrong_input(scene: Scene) -> Talk:
    """Without a tool nothing is sent; an unknown one, or wrong arguments, are what the call comes to."""
    with pytest.raises(UsageError, match="tool"):
        yield scene.client.submit({"arguments": {}})
    with pytest.raises(JobFailed, match="Unknown tool"):
        yield scene.client.run(call("nothing"), timeout=PLENTY)
    with pytest.raises(JobFailed, match="seconds"):
        yield scene.client.run(call("slow"), timeout=PLENTY)
    with pytest.raises(Rejected) as caught:
        yield scene.client.run({"tool": "add", "arguments": []}, timeout=PLENTY)
    assert (caught.value.error_code, caught.value.attempts) == ("-32602", 1)
