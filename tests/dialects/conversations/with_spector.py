"""Azure's long-running operations, with the mock of Azure's own specifications.

The mock has no operation that fails, none that can be cancelled, and none that takes longer than two looks; it is
other services' cassettes that hold those.
"""

import json

import pytest
from attrs import evolve

from gofer import JobLost, NotFound, Rejected, UsageError, WaitTimeout
from gofer.ticket import Ticket
from replay.conversation import Talk

from .script import PLENTY, Scene, on

core = on("spector", api_version="2022-12-01-preview")
arm = on("spector", api_version="2023-12-01-preview")

GENERATE = {"path": "azure/core/lro/rpc/generations:submit", "body": {"prompt": "text"}}
GENERATED = {"data": "text data"}
MADGE = "azure/core/lro/standard/users/madge"
SUBSCRIPTION = "subscriptions/00000000-0000-0000-0000-000000000000"
PROVIDER = "providers/Azure.ResourceManager.OperationTemplates"
ORDER = f"{SUBSCRIPTION}/resourceGroups/test-rg/{PROVIDER}/orders/order1"
HEADER = f"{SUBSCRIPTION}/resourceGroups/test-rg/providers/Azure.ResourceManager.LargeHeader/largeHeaders/header1"


@core
def result(scene: Scene) -> Talk:
    """An operation is looked at where its Operation-Location says, and its monitor holds the result."""
    job = yield scene.client.submit(GENERATE)
    assert (job.id, job.status, job.done) == ("operation1", "InProgress", False)
    assert (yield job.refresh()) == "InProgress"
    assert (yield job.wait(timeout=PLENTY)) == "Succeeded"
    assert (yield job.result()) == GENERATED


@core
def put(scene: Scene) -> Talk:
    """What a PUT makes is fetched from where it was put, once the monitor says that it is there."""
    outcome = yield scene.client.run({"method": "PUT", "path": MADGE, "body": {"role": "contributor"}}, timeout=PLENTY)
    assert outcome.value == {"name": "madge", "role": "contributor"}


@core
def delete(scene: Scene) -> Talk:
    """A DELETE gives nothing, and that is no fault."""
    outcome = yield scene.client.run({"method": "DELETE", "path": MADGE}, timeout=PLENTY)
    assert (outcome.value, outcome.files) == (None, ())


@core
def action(scene: Scene) -> Talk:
    """An action without a body, with a query of its own, has its result in the monitor."""
    outcome = yield scene.client.run({"path": f"{MADGE}:export?format=json"}, timeout=PLENTY)
    assert outcome.value == {"name": "madge", "resourceUri": "/users/madge"}


@arm
def resource(scene: Scene) -> Talk:
    """An Azure-AsyncOperation is looked at, and the resource is the result."""
    body = {"location": "eastus", "properties": {"productId": "product1", "amount": 1}}
    outcome = yield scene.client.run({"method": "PUT", "path": ORDER, "body": body}, timeout=PLENTY)
    assert (outcome.value["name"], outcome.value["properties"]["amount"]) == ("order1", 1)


@arm
def two_addresses(scene: Scene) -> Talk:
    """With two addresses the monitor is asked for the state, and Location for the result."""
    outcome = yield scene.client.run({"path": f"{ORDER}/export", "body": {"format": "csv"}}, timeout=PLENTY)
    assert outcome.value == {"content": "order1,product1,1"}


@arm
def location_only(scene: Scene) -> Talk:
    """Where there is only a Location, the HTTP code is the state, and 204 is an end without a result."""
    job = yield scene.client.submit({"method": "DELETE", "path": ORDER})
    assert (yield job.refresh()) == "InProgress"
    assert (yield job.wait(timeout=PLENTY)) == "Succeeded"
    assert (yield job.result()) is None


@arm
def array(scene: Scene) -> Talk:
    """A result may be a list; the pause that the service asks for is kept."""
    order = {"path": f"{SUBSCRIPTION}/{PROVIDER}/exportArray", "body": {"format": "csv"}}
    outcome = yield scene.client.run(order, timeout=PLENTY)
    assert [row["content"] for row in outcome.value] == ["order1,product1,1", "order2,product2,2"]


@arm
def long_addresses(scene: Scene) -> Talk:
    """Addresses of six thousand characters, with a query already, are kept byte for byte, in tickets too."""
    job = yield scene.client.submit({"path": f"{HEADER}/two6k"})
    assert (yield scene.another().attach(job.ticket).result(timeout=PLENTY)) == {"succeeded": True}


@core
def unknown_id(scene: Scene) -> Talk:
    """An id alone leads nowhere, and nothing is sent; an operation that is no longer where it was is lost."""
    with pytest.raises(UsageError, match="no address for a status request"):
        yield scene.client.job("operation9").refresh()
    ticket = Ticket.parse((yield scene.client.submit(GENERATE)).ticket)
    gone = evolve(ticket, links={"operation": ticket.links["operation"] + "9"})
    with pytest.raises(JobLost):
        yield scene.client.attach(str(gone)).wait(timeout=PLENTY)


@core
def cancel(scene: Scene) -> Talk:
    """Azure has no general way to cancel: the answer is no, and the operation goes on."""
    job = yield scene.client.submit(GENERATE)
    assert (yield job.cancel()) is False
    assert (yield job.result(timeout=PLENTY)) == GENERATED


@core
def timeout(scene: Scene) -> Talk:
    """A budget that is over before the operation is raises with the ticket, which goes on with it."""
    job = yield scene.client.submit(GENERATE)
    with pytest.raises(WaitTimeout) as caught:
        yield job.wait(timeout=0.2)
    assert caught.value.leg == "poll"
    assert (yield scene.client.attach(caught.value.ticket).result(timeout=PLENTY)) == GENERATED


@core
def file(scene: Scene) -> Talk:
    """A value is written to a file as JSON."""
    outcome = yield scene.client.run(GENERATE, to=scene.folder / "generated.json", timeout=PLENTY)
    assert json.loads(outcome.path.read_text()) == GENERATED


@core
def folder(scene: Scene) -> Talk:
    """A value is written into a folder as JSON, beside the manifest."""
    outcome = yield scene.client.run(GENERATE, to=f"{scene.folder / 'out'}/", timeout=PLENTY)
    assert sorted(found.name for found in outcome.path.iterdir()) == ["manifest.json", "result.json"]


@core
def ticket(scene: Scene) -> Talk:
    """A ticket carries the addresses that the service handed out."""
    job = yield scene.client.submit(GENERATE)
    assert (yield scene.another().attach(job.ticket).result(timeout=PLENTY)) == GENERATED


@core
def wrong_input(scene: Scene) -> Talk:
    """Without a path nothing is sent, a wrong body is rejected, and an unknown path is not found: each at once."""
    with pytest.raises(UsageError, match="path"):
        yield scene.client.submit({"body": {"prompt": "text"}})
    with pytest.raises(Rejected, match="Body provided") as caught:
        yield scene.client.submit({**GENERATE, "body": {"prompt": "another"}})
    assert (caught.value.status_code, caught.value.attempts) == (400, 1)
    with pytest.raises(NotFound):
        yield scene.client.submit({"path": "azure/core/lro/nothing"})
