"""openEO, with the server of openeo_driver: jobs that must be started, assets as files, reasons in the log."""

import pytest

from gofer import JobCancelled, JobFailed, NotFound, Rejected, State, WaitTimeout
from replay.conversation import Talk

from .script import PLENTY, Scene, on


def job_of(process: str, **arguments: object) -> dict[str, object]:
    """Make an input whose process graph has one node."""
    node = {"process_id": process, "arguments": arguments, "result": True}
    return {"process": {"process_graph": {"one": node}}, "title": f"to {process}"}


TWO = job_of("write", files={"a.txt": "A", "b.txt": "B"})


@on("openeo")
def result(scene: Scene) -> Talk:
    """A job is made, started and looked at; the document of its results is the value."""
    job = yield scene.client.submit(job_of("write", seconds=1, files={"a.txt": "A"}))
    assert (job.status, job.status.state) == ("created", State.PENDING)
    assert (yield job.wait(timeout=PLENTY)) == "finished"
    assert job.status.progress == 1
    value = yield job.result()
    assert (value["id"], list(value["assets"])) == (job.id, ["a.txt"])


@on("openeo")
def file(scene: Scene) -> Talk:
    """One asset is one file, of the size that the document says."""
    outcome = yield scene.client.run(job_of("write", files={"a.txt": "A"}), to=scene.folder / "one.txt", timeout=PLENTY)
    assert (outcome.path.read_text(), outcome.verified) == ("A", "size")


@on("openeo")
def folder(scene: Scene) -> Talk:
    """Assets go into a folder by their names in the map."""
    outcome = yield scene.client.run(TWO, to=f"{scene.folder / 'out'}/", timeout=PLENTY)
    assert {found.name: found.read_text() for found in outcome.path.iterdir() if found.suffix == ".txt"} == {
        "a.txt": "A",
        "b.txt": "B",
    }


@on("openeo")
def failure(scene: Scene) -> Talk:
    """The first error in the log is the reason."""
    with pytest.raises(JobFailed, match="no data there") as caught:
        yield scene.client.run(job_of("fail", message="There is no data there."), timeout=PLENTY)
    assert (caught.value.status, caught.value.error_code) == ("error", "NoData")


@on("openeo")
def unknown_id(scene: Scene) -> Talk:
    """A job that the back-end does not have is not found."""
    with pytest.raises(NotFound, match="does not exist"):
        yield scene.client.job("j-0").refresh()


@on("openeo")
def cancel(scene: Scene) -> Talk:
    """A job that is cancelled says so."""
    job = yield scene.client.submit(job_of("write", seconds=30))
    with pytest.raises(WaitTimeout):
        yield job.wait(timeout=1.0)
    assert (job.status, job.status.state) == ("running", State.RUNNING)
    assert (yield job.cancel()) is True
    assert (job.status, job.status.state) == ("canceled", State.CANCELLED)
    with pytest.raises(JobCancelled):
        yield job.result()


@on("openeo")
def timeout(scene: Scene) -> Talk:
    """A budget that ends before the job does is a timeout of the wait, and the job is cancelled."""
    with pytest.raises(WaitTimeout) as caught:
        yield scene.client.run(job_of("write", seconds=30), timeout=1.0)
    assert caught.value.leg == "poll"
    assert (yield scene.client.attach(caught.value.ticket).refresh()) == "canceled"


@on("openeo")
def ticket(scene: Scene) -> Talk:
    """A ticket goes on with the job in a client that knows nothing else of it, and so does its id."""
    job = yield scene.client.submit(TWO)
    value = yield scene.another().attach(job.ticket).result(timeout=PLENTY)
    assert sorted(value["assets"]) == ["a.txt", "b.txt"]
    assert (yield scene.another().job(job.id).refresh()) == "finished"


@on("openeo")
def wrong_input(scene: Scene) -> Talk:
    """A job without a process is refused, with the code of the API."""
    with pytest.raises(Rejected) as caught:
        yield scene.client.submit({"title": "nothing"})
    assert caught.value.error_code == "ProcessGraphMissing"
