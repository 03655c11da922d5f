"""GA4GH WES, with wes-service: it names files on its own disk, knows every id, and takes a cancellation for a joke."""

import json
from pathlib import Path
from typing import Any

import pytest

from dialects.servers.wes import WORKFLOWS
from gofer import JobFailed, SubmitUncertain, UsageError, WaitTimeout
from replay.conversation import Talk

from .script import PLENTY, Scene, on


def order(tool: str, attached: dict[str, str] | None = None, **params: Any) -> dict[str, Any]:
    """Order a run of one of the CWL tools."""
    return {
        "workflow_params": params,
        "workflow_type": "CWL",
        "workflow_type_version": "v1.2",
        "workflow_url": tool,
        "workflow_attachment": {tool: Path(WORKFLOWS, tool).read_text(), **(attached or {})},
    }


@on("wes")
def result(scene: Scene) -> Talk:
    """A run is submitted, looked at, and its outputs are its value."""
    job = yield scene.client.submit(order("echo.cwl", message="hello"))
    assert (yield job.refresh()) == "RUNNING"
    assert (yield job.wait(timeout=PLENTY)) == "COMPLETE"
    echoed = (yield job.result())["echoed"]
    assert (echoed["basename"], echoed["size"]) == ("echoed.txt", 6)


@on("wes")
def input_files(scene: Scene) -> Talk:
    """Files go with the submission under their names, and several outputs are in the value."""
    text = {"class": "File", "location": "in.txt"}
    outcome = yield scene.client.run(order("two.cwl", {"in.txt": "some text"}, text=text), timeout=PLENTY)
    assert {name: file["basename"] for name, file in outcome.value.items()} == {
        "upper": "upper.txt",
        "size": "size.txt",
    }


@on("wes")
def failure(scene: Scene) -> Talk:
    """Why a run failed is fetched from its log: the end of it is in the message, all of it in the error."""
    with pytest.raises(JobFailed, match="permanentFail") as caught:
        yield scene.client.run(order("fail.cwl", message="boom"), timeout=PLENTY)
    assert caught.value.status == "EXECUTOR_ERROR"
    assert "boom" in caught.value.error


@on("wes")
def unknown_id(scene: Scene) -> Talk:
    """This server calls every id running, for ever: only the budget ends the wait."""
    with pytest.raises(WaitTimeout) as caught:
        yield scene.client.job("nope").wait(timeout=1.0)
    assert caught.value.status == "RUNNING"


@on("wes")
def cancel(scene: Scene) -> Talk:
    """This server confirms a cancellation and goes on: the status stays what it is, and is not what was hoped for."""
    job = yield scene.client.submit(order("sleep.cwl", seconds="2"))
    assert (yield job.cancel()) is True
    assert (job.status, job.done) == ("RUNNING", False)
    assert (yield job.wait(timeout=PLENTY)) == "COMPLETE"


@on("wes")
def timeout(scene: Scene) -> Talk:
    """A budget that ends before the run does is a timeout of the wait; the ticket goes on with the run."""
    job = yield scene.client.submit(order("sleep.cwl", seconds="2"))
    with pytest.raises(WaitTimeout) as caught:
        yield job.wait(timeout=1.0)
    assert (caught.value.leg, caught.value.status) == ("poll", "RUNNING")
    assert (yield scene.client.attach(caught.value.ticket).wait(timeout=PLENTY)) == "COMPLETE"


@on("wes")
def file(scene: Scene) -> Talk:
    """Files on the server's disk are not to be had over HTTP: the document that names them is what is kept."""
    outcome = yield scene.client.run(
        order("echo.cwl", message="hello"), to=scene.folder / "outputs.json", timeout=PLENTY
    )
    assert json.loads(outcome.path.read_text()) == outcome.value
    assert outcome.value["echoed"]["location"].startswith("file:///")


@on("wes")
def folder(scene: Scene) -> Talk:
    """A folder gets the document that names the outputs, beside the manifest."""
    job = yield scene.client.submit(order("echo.cwl", message="hello"))
    path = yield job.download(f"{scene.folder / 'out'}/")
    assert sorted(found.name for found in path.iterdir()) == ["manifest.json", "result.json"]
    assert job.files == ()


@on("wes")
def ticket(scene: Scene) -> Talk:
    """A ticket goes on with the run in a client that knows nothing else of it."""
    job = yield scene.client.submit(order("echo.cwl", message="hello"))
    value = yield scene.another().attach(job.ticket).result(timeout=PLENTY)
    assert value["echoed"]["size"] == 6


@on("wes")
def wrong_input(scene: Scene) -> Talk:
    """Without a workflow nothing is sent; a missing input fails the run, whose log says which one it is."""
    with pytest.raises(UsageError, match="workflow_url"):
        yield scene.client.submit({"workflow_params": {}})
    with pytest.raises(JobFailed, match="'message'"):
        yield scene.client.run(order("echo.cwl"), timeout=PLENTY)


@on("wes")
def lost_workflow(scene: Scene) -> Talk:
    """A 500 to a submission may have made a run, and this server gives it for a wrong one: it is not sent again."""
    with pytest.raises(SubmitUncertain) as caught:
        yield scene.client.submit({"workflow_params": {}, "workflow_url": "nowhere.cwl"})
    assert (caught.value.attempts, bool(caught.value.key)) == (1, True)
