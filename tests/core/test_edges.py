"""Sizes, margins and budgets to the last byte and second."""

import pytest
from attrs import evolve

from gofer.core import flows
from gofer.core.commands import Drop, Open, Read, Send
from gofer.core.judging import as_document, retry_after
from gofer.core.slots import Slots, Use
from gofer.errors import NotSupported, OutOfTime, WaitTimeout
from gofer.wire import Head, Request
from support.world import BASE, World, reply

from .test_poll import JobUntil, doc, errand_to
from .test_submit import Scripted
from .test_submit import fails as submit_fails
from .test_transient import Staged, then

DATE = "Thu, 01 Jan 2026 00:00:00 GMT"
SOON = "Thu, 01 Jan 2026 00:00:07 GMT"
MIDNIGHT = 1_767_225_600.0


def sent(world):
    """The commands that sent a request."""
    return [command for command in world.commands if isinstance(command, Send | Open)]


def test_documents_have_the_sizes_of_the_documentation():
    """A status document may have 1 MiB, and a result document 64 MiB."""
    world = World(then(reply(200, doc("completed")), reply(200, "{}")))
    errand = errand_to(world, contract=Staged())
    world.play(flows.result(errand), errand)
    assert [command.cap for command in world.commands if hasattr(command, "cap")] == [1 << 20, 64 << 20]


def test_a_held_request_may_take_ten_seconds_more_than_its_hold():
    """The answer may come at the end of the hold, and has to travel."""
    world = World(JobUntil(50, holds=True))
    errand = errand_to(world, hold=25, timeout=100.0)
    world.play(flows.wait(errand), errand)
    assert [command.timeout for command in sent(world)] == [30.0, 35.0, 35.0]


def test_no_poll_is_held_where_less_than_a_second_is_left():
    """A request that is to be answered in the last second of a budget is not held at all."""
    world = World(JobUntil(100, holds=True))
    errand = errand_to(world, timeout=20.4)
    with pytest.raises(WaitTimeout):
        world.play(flows.wait(errand), errand)
    holds = [request.headers.get("prefer") for request in world.requests]
    assert holds[:2] == [None, "wait=19"]
    assert set(holds[2:]) == {None}


@pytest.mark.parametrize("held", [0, 1])
def test_a_poll_without_a_slot_to_be_held_is_not_held(held):
    """It has the slot of a poll, and asks for nothing that would need another."""
    slots = Slots(2)  # one of them may be held
    for _ in range(held):
        assert slots.take(Use.HELD)
    world = World(JobUntil(5, holds=True))
    errand = errand_to(world, slots=slots)
    world.play(flows.wait(errand), errand)
    assert [request.headers.get("prefer") for request in world.requests[:2]] == [None, None if held else "wait=20"]


@pytest.mark.parametrize(("asked", "tries"), [("9", 2), ("10", 1), ("11", 1)])
def test_a_service_that_asks_for_all_that_is_left_ends_the_errand_at_once(asked, tries):
    """There would be no time for another try after it."""
    error, world = submit_fails(Scripted(*[reply(429, retry_after=asked)] * 2), OutOfTime, timeout=10)
    assert len(world.requests) == tries
    assert error.__cause__.status_code == 429


@pytest.mark.parametrize(
    ("text", "sent", "wall", "seconds"),
    [
        (SOON, DATE, MIDNIGHT + 5000, 7.0),
        (SOON, "", MIDNIGHT + 5, 2.0),
        (SOON, "", MIDNIGHT + 5000, 0.0),
        (DATE, SOON, MIDNIGHT, 0.0),
        (SOON, "yesterday", MIDNIGHT, 7.0),
    ],
)
def test_retry_after_is_read_as_a_date(text, sent, wall, seconds):
    """It counts from the reply's own date where there is one, else from the clock here, and is never negative."""
    headers = {"retry-after": text, "date": sent} if sent else {"retry-after": text}
    assert retry_after(Head(BASE, 503, headers), wall) == seconds


@pytest.mark.parametrize("status", [300, 304, 404])
def test_only_a_success_has_to_be_readable(status):
    """Any other reply counts by its status, whatever its encoding."""
    answer = reply(status, "?", content_encoding="br")
    assert as_document(answer, 10) == answer


class Either(Staged):
    """A contract whose result is a document, or the file itself."""

    def may_be_file(self, leg):
        """Say so."""
        return leg == "result"

    def is_document(self, ref, leg, head):
        """Go by the type."""
        return head.media_type == "application/json"

    def read_results(self, base, snapshot, reply):
        """Keep what was read."""
        return evolve(snapshot, value=reply.body)


@pytest.mark.parametrize("kind", ["application/json", "image/png"])
def test_a_result_that_may_be_the_file_is_read_only_as_a_document(kind):
    """The bytes of a file are for whoever asks for the file."""
    world = World(then(reply(200, doc("completed")), reply(200, "{}", content_type=kind)))
    errand = errand_to(world, contract=Either())
    is_document = kind == "application/json"
    assert world.play(flows.result(errand), errand) == (b"{}" if is_document else b"")
    assert isinstance(world.commands[-1], Read if is_document else Drop)


@pytest.mark.parametrize("status", [404, 405, 501])
def test_what_a_service_need_not_have_is_not_supported(status):
    """A missing address says so too, as for the listing of jobs."""
    world = World(then(reply(status)))
    errand = errand_to(world)
    with pytest.raises(NotSupported):
        world.play(flows.optional(errand, Request("GET", f"{BASE}/jobs")), errand)
    assert len(world.requests) == 1
