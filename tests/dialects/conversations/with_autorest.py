"""Azure's long-running operations, with the test server of AutoRest: each of its 83 operations, to its end.

What each must come to is what AutoRest's own suites for Python and C# expect of Azure's SDKs. Two of them end otherwise
here, and `limits` says how.
"""

import json
from typing import Any

import pytest
from attrs import evolve
from tenacity.stop import stop_after_attempt
from tenacity.wait import wait_fixed

from gofer import (
    BadReply,
    GoferError,
    JobCancelled,
    JobFailed,
    JobLost,
    NotFound,
    Rejected,
    Retry,
    SubmitUncertain,
    UsageError,
    WaitTimeout,
)
from gofer.ticket import Ticket
from replay.conversation import Talk

from .script import PLENTY, Scene, on

FEW = Retry(wait_fixed(0.05), stop_after_attempt(3))
SOON: dict[str, Any] = {"poll": wait_fixed(0.05), "retry": FEW, "patience": FEW}
PRODUCT = {"properties": {"provisioningState": "Succeeded"}, "id": "100", "name": "foo"}
RESOURCE = {"properties": {"provisioningState": "Succeeded"}, "name": "foo"}
PART = {"properties": {"provisioningState": "Succeeded"}, "id": "100", "subresource": "sub1"}
PLAIN = {"id": "100", "name": "foo"}
SKU = {"id": "100", "name": "sku"}

autorest = on("autorest", SOON)


def order(operation: str) -> dict[str, Any]:
    """The input for an operation, which is written as its method and its path."""
    method, path = operation.split()
    return {"method": method, "path": path, **({"body": {"location": "West US"}} if method != "DELETE" else {})}


def succeed(scene: Scene, values: dict[str, Any]) -> Talk:
    """Run each operation, and compare its value."""
    for operation, value in values.items():
        outcome = yield scene.client.run(order(operation), timeout=PLENTY)
        assert (operation, outcome.value) == (operation, value)


def fail(scene: Scene, errors: dict[str, tuple[type[GoferError], str]]) -> Talk:
    """Run each operation, and compare the error that it raises."""
    for operation, (kind, words) in errors.items():
        with pytest.raises(kind, match=words) as caught:
            yield scene.client.run(order(operation), timeout=PLENTY)
        assert (operation, type(caught.value)) == (operation, kind)


@autorest
def puts(scene: Scene) -> Talk:
    """A PUT ends with its own answer, with that of its Location, or with what is where it was put."""
    yield from succeed(
        scene,
        {
            "PUT lro/put/200/succeeded": PRODUCT,
            "PUT lro/put/201/succeeded": PRODUCT,
            "PUT lro/put/200/succeeded/nostate": PLAIN,
            "PUT lro/put/202/retry/200": PLAIN,
            "PUT lro/put/201/creating/succeeded/200": PRODUCT,
            "PUT lro/put/200/updating/succeeded/200": PRODUCT,
            "PUT lro/put/noheader/202/200": PRODUCT,
            "PUT lro/putasync/retry/succeeded": PRODUCT,
            "PUT lro/putasync/noretry/succeeded": PRODUCT,
            "PUT lro/putasync/noheader/201/200": PRODUCT,
            "PUT lro/putnonresource/202/200": SKU,
            "PUT lro/putnonresourceasync/202/200": SKU,
            "PUT lro/putsubresource/202/200": PART,
            "PUT lro/putsubresourceasync/202/200": PART,
        },
    )


@autorest
def patches(scene: Scene) -> Talk:
    """A PATCH is polled at its monitor, whatever state its first answer shows, and ends with what was patched."""
    paths = ["lro/patch/201/retry/onlyAsyncHeader", "lro/patch/202/retry/asyncAndLocationHeader"]
    yield from succeed(scene, {f"PATCH {path}": {**RESOURCE, "id": f"/{path}"} for path in paths})


@autorest
def deletes(scene: Scene) -> Talk:
    """A DELETE ends with nothing, or with what its Location answers: there the state is in the code alone."""
    deleting = "DELETE lro/delete/provisioning/202"
    yield from succeed(
        scene,
        {
            f"{deleting}/accepted/200/succeeded": PRODUCT,
            f"{deleting}/deleting/200/failed": {**PRODUCT, "properties": {"provisioningState": "Failed"}},
            f"{deleting}/deleting/200/canceled": {**PRODUCT, "properties": {"provisioningState": "Canceled"}},
            "DELETE lro/delete/204/succeeded": None,
            "DELETE lro/delete/202/retry/200": None,
            "DELETE lro/delete/202/noretry/204": None,
            "DELETE lro/delete/noheader": None,
            "DELETE lro/deleteasync/noheader/202/204": None,
            "DELETE lro/deleteasync/retry/succeeded": None,
            "DELETE lro/deleteasync/noretry/succeeded": None,
            "DELETE lro/error/delete/204/nolocation": None,
        },
    )


@autorest
def posts(scene: Scene) -> Talk:
    """A POST ends with what its Location answers, whose address may change and may be relative."""
    yield from succeed(
        scene,
        {
            "POST lro/list": [PLAIN],
            "POST lro/post/payload/200": {"id": "1", "name": "product"},
            "POST lro/post/202/retry/200": PRODUCT,
            "POST lro/post/202/noretry/204": None,
            "POST lro/LROPostDoubleHeadersFinalLocationGet": PLAIN,
            "POST lro/LROPostDoubleHeadersFinalAzureHeaderGetDefault": PLAIN,
            "POST lro/postasync/retry/succeeded": PRODUCT,
            "POST lro/postasync/noretry/succeeded": PRODUCT,
            "POST lroParameterizedEndpoints": "success",
            "POST lroConstantParameterizedEndpoints/iAmConstant": "success",
        },
    )


@autorest
def again(scene: Scene) -> Talk:
    """Every request is answered with 500 at first, also the POST that starts an operation, and is sent again."""
    yield from succeed(
        scene,
        {
            "PUT lro/retryerror/put/201/creating/succeeded/200": PRODUCT,
            "PUT lro/retryerror/putasync/retry/succeeded": PRODUCT,
            "DELETE lro/retryerror/delete/provisioning/202/accepted/200/succeeded": PRODUCT,
            "DELETE lro/retryerror/delete/202/retry/200": PRODUCT,
            "DELETE lro/retryerror/deleteasync/retry/succeeded": None,
            "POST lro/retryerror/post/202/retry/200": PRODUCT,
            "POST lro/retryerror/postasync/retry/succeeded": SKU,
        },
    )


@on("autorest", {**SOON, "headers": {"x-ms-client-request-id": "9C4D50EE-2D56-4CD3-8152-34347DC9F2B0"}})
def own_header(scene: Scene) -> Talk:
    """A header of the client's is on every request: the server answers 400 without it."""
    yield from succeed(
        scene,
        {
            "PUT lro/customheader/putasync/retry/succeeded": PRODUCT,
            "PUT lro/customheader/put/201/creating/succeeded/200": PRODUCT,
            "POST lro/customheader/post/202/retry/200": None,
            "POST lro/customheader/postasync/retry/succeeded": None,
        },
    )


@autorest
def failure(scene: Scene) -> Talk:
    """An operation fails or is cancelled, by its monitor or by the state of the resource; its words are the error's."""
    yield from fail(
        scene,
        {
            "PUT lro/put/201/created/failed/200": (JobFailed, "Failed"),
            "PUT lro/put/200/accepted/canceled/200": (JobCancelled, "cancelled"),
            "PUT lro/putasync/retry/failed": (JobFailed, "Failed"),
            "PUT lro/putasync/noretry/canceled": (JobCancelled, "cancelled"),
            "DELETE lro/deleteasync/retry/failed": (JobFailed, "Failed"),
            "DELETE lro/deleteasync/retry/canceled": (JobCancelled, "cancelled"),
            "POST lro/postasync/retry/failed": (JobFailed, "with 500: Internal Server Error"),
            "POST lro/postasync/retry/canceled": (JobCancelled, "cancelled"),
        },
    )


@autorest
def refusals(scene: Scene) -> Talk:
    """A 400 is an error at once, to the first request or to a poll, with or without a document that can be read."""
    expected = (Rejected, "answered 400: Expected bad request message")
    yield from fail(
        scene,
        {
            "PUT lro/nonretryerror/put/400": expected,
            "PUT lro/nonretryerror/put/201/creating/400": (Rejected, "answered 400: Error from the server"),
            "PUT lro/nonretryerror/put/201/creating/400/invalidjson": (Rejected, "answered 400"),
            "PUT lro/nonretryerror/putasync/retry/400": (Rejected, "answered 400"),
            "DELETE lro/nonretryerror/delete/400": expected,
            "DELETE lro/nonretryerror/delete/202/retry/400": expected,
            "DELETE lro/nonretryerror/deleteasync/retry/400": expected,
            "POST lro/nonretryerror/post/400": expected,
            "POST lro/nonretryerror/post/202/retry/400": expected,
            "POST lro/nonretryerror/postasync/retry/400": expected,
        },
    )


@autorest
def nonsense(scene: Scene) -> Talk:
    """Answers without a state, without an end, or with an address where nothing is, are errors and never a success."""
    lost, cut = (JobLost, "/foo answers 404"), (BadReply, "in place of a JSON or XML document")
    no_state = (BadReply, "state: nothing was found in the answer")
    yield from fail(
        scene,
        {
            "PUT lro/error/put/201/noprovisioningstatepayload": no_state,
            "PUT lro/error/putasync/retry/nostatus": no_state,
            "PUT lro/error/putasync/retry/nostatuspayload": no_state,
            "PUT lro/error/putasync/retry/invalidheader": lost,
            "PUT lro/error/putasync/retry/invalidjsonpolling": cut,
            "PUT lro/error/put/200/invalidjson": (SubmitUncertain, "may be made again"),
            "DELETE lro/error/deleteasync/retry/nostatus": no_state,
            "DELETE lro/error/delete/202/retry/invalidheader": lost,
            "DELETE lro/error/deleteasync/retry/invalidheader": lost,
            "DELETE lro/error/deleteasync/retry/invalidjsonpolling": cut,
            "POST lro/error/postasync/retry/nopayload": no_state,
            "POST lro/error/post/202/nolocation": (SubmitUncertain, "nothing was found"),
            "POST lro/error/post/202/retry/invalidheader": lost,
            "POST lro/error/postasync/retry/invalidheader": lost,
            "POST lro/error/postasync/retry/invalidjsonpolling": cut,
        },
    )


@autorest
def limits(scene: Scene) -> Talk:
    """Two operations that succeed are errors here.

    The first is done with its answer, and its monitor, on another origin, should not count. Of the second only the
    description of the API says that its result is in the monitor, and that Location is not to be asked.
    """
    yield from fail(
        scene,
        {
            "PATCH lro/patch/200/succeeded/ignoreheaders": (BadReply, "not its own origin"),
            "POST lro/LROPostDoubleHeadersFinalAzureHeaderGet": (Rejected, "must NOT do a final GET on Location"),
        },
    )


@autorest
def result(scene: Scene) -> Talk:
    """An operation is looked at, and what was put is the value."""
    job = yield scene.client.submit(order("PUT lro/putasync/noretry/succeeded"))
    assert (job.id, job.done) == ("200", False)
    assert (yield job.refresh()) == "Accepted"
    assert (yield job.wait(timeout=PLENTY)) == "Succeeded"
    assert (yield job.result()) == PRODUCT


@autorest
def unknown_id(scene: Scene) -> Talk:
    """An id alone leads nowhere, and nothing is sent; an operation that is no longer where it was is lost."""
    with pytest.raises(UsageError, match="no address for a status request"):
        yield scene.client.job("200").refresh()
    ticket = Ticket.parse((yield scene.client.submit(order("POST lro/list"))).ticket)
    gone = evolve(ticket, links={"operation": ticket.links["operation"] + "9"})
    with pytest.raises(JobLost):
        yield scene.client.attach(str(gone)).wait(timeout=PLENTY)


@autorest
def cancel(scene: Scene) -> Talk:
    """Azure has no general way to cancel: the answer is no, and the operation goes on."""
    job = yield scene.client.submit(order("POST lro/list"))
    assert (yield job.cancel()) is False
    assert (yield job.result(timeout=PLENTY)) == [PLAIN]


@on("autorest", {"poll": wait_fixed(3)})
def timeout(scene: Scene) -> Talk:
    """A budget that is over before the operation is raises with the ticket, which goes on with it."""
    job = yield scene.client.submit(order("PUT lro/put/noheader/202/200"))
    with pytest.raises(WaitTimeout) as caught:
        yield job.wait(timeout=0.2)
    assert caught.value.leg == "poll"
    assert (yield scene.client.attach(caught.value.ticket).result(timeout=PLENTY)) == PRODUCT


@autorest
def file(scene: Scene) -> Talk:
    """A value is written to a file as JSON."""
    outcome = yield scene.client.run(order("POST lro/list"), to=scene.folder / "list.json", timeout=PLENTY)
    assert json.loads(outcome.path.read_text()) == [PLAIN]


@autorest
def folder(scene: Scene) -> Talk:
    """A value is written into a folder as JSON, beside the manifest."""
    outcome = yield scene.client.run(order("POST lro/list"), to=f"{scene.folder / 'out'}/", timeout=PLENTY)
    assert sorted(found.name for found in outcome.path.iterdir()) == ["manifest.json", "result.json"]


@autorest
def ticket(scene: Scene) -> Talk:
    """A ticket carries the addresses that the service handed out."""
    job = yield scene.client.submit(order("POST lro/postasync/noretry/succeeded"))
    assert (yield scene.another().attach(job.ticket).result(timeout=PLENTY)) == PRODUCT


@autorest
def wrong_input(scene: Scene) -> Talk:
    """Without a path nothing is sent, and an unknown path is not found."""
    with pytest.raises(UsageError, match="path"):
        yield scene.client.submit({"body": {}})
    with pytest.raises(NotFound):
        yield scene.client.submit({"path": "lro/nothing"})
