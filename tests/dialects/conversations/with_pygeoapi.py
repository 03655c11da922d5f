"""OGC API - Processes, with pygeoapi: jobs that give JSON or a file, and a cancelled job that is gone at once."""

import json

import pytest

from gofer import JobCancelled, JobFailed, NotFound, State, UsageError, WaitTimeout
from replay.conversation import Talk

from .script import PLENTY, Scene, on

HELLO = {"process": "hello-world", "inputs": {"name": "gofer"}}
GREETING = {"id": "echo", "value": "Hello gofer!"}
PNG = {"process": "file", "inputs": {"size": 500}}
SEVERAL = {"process": "several", "inputs": {}}


def nap(seconds: float) -> dict[str, object]:
    """Order a job that takes its time, and says nothing meanwhile."""
    return {"process": "sleep", "inputs": {"seconds": seconds, "steps": 0}}


@on("pygeoapi")
def result(scene: Scene) -> Talk:
    """A job is accepted, is looked at, and its JSON result is its value."""
    job = yield scene.client.submit(nap(1))
    assert (job.status.state, job.done) == ("pending", False)  # before 0.24 its answer does not have the word
    assert (yield job.refresh()) == "accepted"
    assert (yield job.wait(timeout=PLENTY)) == "successful"
    assert (yield job.result()) == {"id": "slept", "value": 1.0}
    assert (job.status.progress, job.files) == (1.0, ())


@on("pygeoapi")
def finished_at_once(scene: Scene) -> Talk:
    """A process that cannot run as a job answers its submission with the result."""
    outcome = yield scene.client.run({"process": "onlysync", "inputs": {"seconds": 0}}, timeout=PLENTY)
    assert outcome.value == {"id": "slept", "value": 0.0}


@on("pygeoapi")
def failure(scene: Scene) -> Talk:
    """A job that fails says why, in the server's own words."""
    with pytest.raises(JobFailed, match="no luck") as caught:
        yield scene.client.run({"process": "fail", "inputs": {"message": "no luck"}}, timeout=PLENTY)
    assert (caught.value.status, bool(caught.value.ticket)) == ("failed", True)


@on("pygeoapi")
def unknown_id(scene: Scene) -> Talk:
    """A job that the server never had is not found, at once."""
    with pytest.raises(NotFound) as caught:
        yield scene.client.job("nope").wait(timeout=PLENTY)
    assert (caught.value.status_code, caught.value.attempts) == (404, 1)


@on("pygeoapi")
def cancel(scene: Scene) -> Talk:
    """A cancelled job is dismissed, its result is refused as cancelled, and the server knows it no longer."""
    job = yield scene.client.submit(nap(3))
    assert (yield job.cancel()) is True
    assert (job.status, job.status.state) == ("dismissed", State.CANCELLED)
    with pytest.raises(JobCancelled):
        yield job.result()
    with pytest.raises(NotFound):
        yield scene.another().job(job.id).refresh()


@on("pygeoapi")
def timeout(scene: Scene) -> Talk:
    """A budget that ends before the job does is a timeout of the wait, and the job nobody waits for is cancelled."""
    with pytest.raises(WaitTimeout) as caught:
        yield scene.client.run(nap(3), timeout=1.0)
    assert (caught.value.leg, caught.value.status) == ("poll", "dismissed")
    with pytest.raises(NotFound):
        yield scene.client.job(caught.value.job_id).refresh()


@on("pygeoapi")
def file(scene: Scene) -> Talk:
    """A result that is no document is the file itself, whole and checked by its size."""
    outcome = yield scene.client.run(PNG, to=scene.folder / "made" / "image.png", timeout=PLENTY)
    assert (outcome.value, outcome.verified) == (None, "size")
    assert outcome.path == scene.folder / "made" / "image.png"
    assert (outcome.path.stat().st_size, outcome.path.read_bytes()[:4]) == (500, b"\x89PNG")


@on("pygeoapi")
def folder(scene: Scene) -> Talk:
    """In a folder the file gets a name that fits its type, beside the manifest."""
    job = yield scene.client.submit(PNG)
    path = yield job.download(f"{scene.folder / 'out'}/")
    assert sorted(found.name for found in path.iterdir()) == ["manifest.json", "results.png"]
    assert [(file.format, file.size) for file in job.files] == [("image/png", 500)]


@on("pygeoapi")
def several(scene: Scene) -> Talk:
    """Several outputs in one document are one value, and a folder gets it as JSON."""
    outcome = yield scene.client.run(SEVERAL, to=f"{scene.folder / 'out'}/", timeout=PLENTY)
    assert (outcome.value["number"], outcome.value["text"]) == (42, "some text")
    assert json.loads((outcome.path / "result.json").read_text()) == outcome.value


@on("pygeoapi")
def ticket(scene: Scene) -> Talk:
    """A ticket goes on with the job in a client that knows nothing else of it."""
    job = yield scene.client.submit(HELLO)
    again = scene.another().attach(job.ticket)
    assert (yield again.result(timeout=PLENTY)) == GREETING
    path = yield again.download(scene.folder / "greeting.json")
    assert json.loads(path.read_text()) == GREETING


@on("pygeoapi")
def wrong_input(scene: Scene) -> Talk:
    """Without a process nothing is sent, an unknown one is not found, and a missing input is found by the job."""
    with pytest.raises(UsageError, match="process"):
        yield scene.client.submit({"inputs": {}})
    with pytest.raises(NotFound) as caught:
        yield scene.client.submit({"process": "nothing", "inputs": {}})
    assert (caught.value.error_code, caught.value.attempts) == ("NoSuchProcess", 1)
    with pytest.raises(JobFailed, match="name"):
        yield scene.client.run({"process": "hello-world", "inputs": {}}, timeout=PLENTY)
