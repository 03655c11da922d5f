"""Azure's operations, by the shipped page: what is sent again, which address is asked, what answers mean."""

import httpx
import pytest

import gofer
from support.declared import Answering, as_json, client_of, path_of, sent_to
from support.raw_server import http

BASE = Answering.url
MONITOR, LOCATION = f"{BASE}/monitor", f"{BASE}/location"
THING = {"properties": {"provisioningState": "Succeeded"}, "id": "100"}


def run(face, answer, method="POST"):
    """Run one operation; return its outcome and the server."""
    server = Answering(answer)
    return client_of(face, server, "azure-lro").run({"method": method, "path": "thing"}, timeout=20), server


@pytest.mark.parametrize("code", [500, 504])
@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
def test_a_submission_that_fails_at_first_is_sent_again(virtual_face, method, code):
    """The guidelines make every method idempotent, and Azure's own SDKs repeat POST and PATCH after these too."""

    def answer(call):
        if call.method == "GET":
            return as_json(THING)
        return http(code) if call.nth == 1 else http(202, location=LOCATION)

    outcome, server = run(virtual_face, answer, method)
    assert outcome.value == THING
    assert len(sent_to(server, "/thing", method)) == 2


def test_a_post_whose_answer_is_lost_is_not_sent_again(virtual_face):
    """Nothing says what has become of it; Azure's SDKs stop there too."""

    def answer(_):
        raise httpx.ReadError("cut")

    server = Answering(answer)
    with pytest.raises(gofer.SubmitUncertain):
        client_of(virtual_face, server, "azure-lro").run({"path": "thing"}, timeout=20)
    assert len(server.calls) == 1


@pytest.mark.parametrize("code", [200, 201, 202])
def test_a_monitor_counts_more_than_the_state_of_what_was_put(virtual_face, code):
    """A resource may show the end of an older operation, so the status monitor is asked all the same."""

    def answer(call):
        if call.method == "PATCH":
            return as_json(THING, code, azure_asyncoperation=MONITOR, location=LOCATION)
        if path_of(call) == "/monitor":
            return as_json({"status": "Updating" if call.nth == 1 else "Succeeded"})
        return as_json({**THING, "at": path_of(call)})

    outcome, server = run(virtual_face, answer, "PATCH")
    assert outcome.value["at"] == "/thing"
    assert len(sent_to(server, "/monitor")) == 2
    assert sent_to(server, "/location") == []


@pytest.mark.parametrize("state", ["Failed", "Canceled"])
def test_a_location_says_by_its_code_alone_how_it_ended(virtual_face, state):
    """What a DELETE found is its result, whatever state the deleted resource was in."""
    gone = {"properties": {"provisioningState": state}, "id": "100"}
    outcome, _ = run(
        virtual_face, lambda call: as_json(gone) if call.method == "GET" else http(202, location=LOCATION), "DELETE"
    )
    assert outcome.value == gone


def test_a_location_may_move(virtual_face):
    """The last address that was named is asked next, and its answer is the result."""

    def answer(call):
        if path_of(call) == "/moved":
            return as_json(THING)
        return http(202, location=f"{BASE}/moved" if call.method == "GET" else LOCATION)

    outcome, server = run(virtual_face, answer)
    assert outcome.value == THING
    assert [path_of(call) for call in server.calls] == ["/thing", "/location", "/moved"]


@pytest.mark.parametrize("last", [as_json({}), http(200), http(200, '{"status": "Acc')], ids=["{}", "empty", "cut off"])
@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST"])
def test_a_monitor_without_a_status_is_an_error(virtual_face, method, last):
    """It is no success, and the resource is not asked in its place."""

    def answer(call):
        if call.method == "GET":
            return last if path_of(call) == "/monitor" else as_json(THING)
        return http(202, azure_asyncoperation=MONITOR, location=LOCATION)

    with pytest.raises(gofer.BadReply):
        run(virtual_face, answer, method)


def test_an_accepted_post_that_names_no_address_is_uncertain(virtual_face):
    """There is nothing to poll, so nobody knows how it ends."""
    with pytest.raises(gofer.SubmitUncertain, match="nothing was found"):
        run(virtual_face, lambda _: http(202))
