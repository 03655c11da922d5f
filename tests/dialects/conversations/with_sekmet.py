"""FHIR Bulk Data Access, with sekmet-fhir: files by type, failures as outcomes, and exports that can be deleted."""

import json

import pytest
from attrs import evolve

from gofer import JobCancelled, JobFailed, JobLost, NotFound, Rejected, State, UsageError, WaitTimeout
from gofer.ticket import Ticket
from replay.conversation import Talk

from .script import PLENTY, Scene, on

PATIENTS = {"path": "Patient/$export", "_type": "Patient"}


def ids(text: str) -> list[str]:
    """Read the resources of a file, one in a line."""
    return sorted(json.loads(line)["id"] for line in text.splitlines())


@on("sekmet")
def result(scene: Scene) -> Talk:
    """An export is looked at until its manifest comes, which is the value."""
    job = yield scene.client.submit(PATIENTS)
    assert (job.status, job.status.state) == ("in progress", State.RUNNING)
    yield job.refresh()
    assert job.status.message
    assert (yield job.wait(timeout=PLENTY)) == "complete"
    manifest = yield job.result()
    assert [(one["type"], one["count"]) for one in manifest["output"]] == [("Patient", 3)]


@on("sekmet")
def file(scene: Scene) -> Talk:
    """The export of a group has its patients."""
    export = {"path": "Group/two/$export", "_type": "Patient", "_since": "2026-01-01T00:00:00Z"}
    outcome = yield scene.client.run(export, to=scene.folder / "two.ndjson", timeout=PLENTY)
    assert ids(outcome.path.read_text()) == ["ann", "ben"]


@on("sekmet")
def folder(scene: Scene) -> Talk:
    """A file for each type of resource, and one with what the server has to say."""
    export = {"path": "$export", "_type": "Patient,Group", "_elements": "id"}
    outcome = yield scene.client.run(export, to=f"{scene.folder / 'out'}/", timeout=PLENTY)
    names = ["Group.ndjson", "Patient.ndjson", "errors.ndjson", "manifest.json"]
    assert sorted(found.name for found in outcome.path.iterdir()) == names
    assert "_elements" in (outcome.path / "errors.ndjson").read_text()


@on("sekmet")
def failure(scene: Scene) -> Talk:
    """What stops an export comes with a 500, in an outcome."""
    with pytest.raises(JobFailed, match="Invalid date search value 'never'") as caught:
        yield scene.client.run({**PATIENTS, "_typeFilter": "Patient?birthdate=never"}, timeout=PLENTY)
    assert caught.value.error_code == "exception"


@on("sekmet")
def unknown_id(scene: Scene) -> Talk:
    """An id alone leads nowhere, and nothing is sent; an export that is no longer where it was is lost."""
    with pytest.raises(UsageError, match="no address for a status request"):
        yield scene.client.job("4711").refresh()
    job = yield scene.client.submit(PATIENTS)
    ticket = Ticket.parse(job.ticket)
    gone = evolve(ticket, links={"status": ticket.links["status"].rpartition("/")[0] + "/gone"})
    with pytest.raises(JobLost):
        yield scene.client.attach(str(gone)).wait(timeout=PLENTY)


@on("sekmet")
def cancel(scene: Scene) -> Talk:
    """The server deletes an export that is cancelled, and does not know it from then on."""
    job = yield scene.client.submit(PATIENTS)
    assert (yield job.cancel()) is True
    assert (job.status, job.status.state) == ("cancelled", State.CANCELLED)
    with pytest.raises(JobCancelled):
        yield job.result()
    with pytest.raises(JobLost):
        yield scene.another().attach(job.ticket).wait(timeout=PLENTY)


@on("sekmet")
def timeout(scene: Scene) -> Talk:
    """A budget that ends before the export does is a timeout of the wait, and the export is cancelled."""
    with pytest.raises(WaitTimeout) as caught:
        yield scene.client.run(PATIENTS, timeout=0.5)
    assert (caught.value.leg, caught.value.cancelled) == ("poll", True)


@on("sekmet")
def ticket(scene: Scene) -> Talk:
    """A ticket goes on with the export in a client that knows nothing else of it."""
    job = yield scene.client.submit(PATIENTS)
    manifest = yield scene.another().attach(job.ticket).result(timeout=PLENTY)
    assert manifest["output"][0]["type"] == "Patient"


@on("sekmet", method="POST")
def parameters(scene: Scene) -> Talk:
    """By POST, what is asked for is a resource of its own."""
    asked = {"resourceType": "Parameters", "parameter": [{"name": "_type", "valueString": "Group"}]}
    outcome = yield scene.client.run({"path": "$export", "parameters": asked}, timeout=PLENTY)
    assert [one["type"] for one in outcome.value["output"]] == ["Group"]


@on("sekmet")
def wrong_input(scene: Scene) -> Talk:
    """Without a path nothing is sent; another format and an unknown group are refused with an outcome."""
    with pytest.raises(UsageError, match="path"):
        yield scene.client.submit({"_type": "Patient"})
    with pytest.raises(Rejected, match="Unsupported _outputFormat") as caught:
        yield scene.client.submit({**PATIENTS, "_outputFormat": "csv"})
    assert caught.value.error_code == "not-supported"
    with pytest.raises(NotFound, match="Group/none not found"):
        yield scene.client.submit({"path": "Group/none/$export"})
