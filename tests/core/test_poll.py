"""The second leg: polls are few, the delay is short, and no job is lost."""

import itertools
import json
import logging

import pytest
from tenacity import stop_never, wait_fixed

from gofer.contracts.base import Ref
from gofer.core import flows
from gofer.core.errand import Errand
from gofer.core.policies import Retry
from gofer.core.poll import poll_once
from gofer.core.record import JobMemory, JobRecord
from gofer.errors import (
    AnswerLost,
    BadReply,
    Expired,
    JobCancelled,
    JobFailed,
    NotFound,
    Rejected,
    Unauthorized,
    Unreachable,
    WaitTimeout,
)
from gofer.events import Changed
from support.world import World, reply


def doc(status, **more):
    """A job document."""
    return json.dumps({"job_id": "j1", "status": status, "doi": "10.5555/12345678", **more})


def errand_to(world, *, accepted=True, timeout=None, **rules):
    """An errand for a job that was submitted before."""
    return Errand(world.service(**rules), JobMemory(JobRecord(Ref("j1"), accepted=accepted)), timeout=timeout)


def polls(world):
    """Count the polls of the job."""
    return len(world.requests)


class JobUntil:
    """A service whose job ends at a given virtual time; `holds` makes it a long-polling one."""

    def __init__(self, end, *, holds=False):
        self.end, self.holds, self.starts = end, holds, []

    def __call__(self, request, world):
        """Answer a poll."""
        self.starts.append(world.mono)
        began = self.starts[0]
        hold = int(request.headers.get("prefer", "wait=0").removeprefix("wait=")) if self.holds else 0
        if hold:
            world.mono = min(max(world.mono, began + self.end), world.mono + hold)
        done = world.mono >= began + self.end
        applied = {"preference_applied": f"wait={hold}"} if hold else {}
        if self.holds and not done and "if-none-match" in request.headers:
            return reply(304, etag='"1"', **applied)
        extra = {"etag": f'"{int(done)}"', **applied} if self.holds else {}
        return reply(200, doc("completed" if done else "searching"), **extra)


def test_a_held_request_is_followed_by_the_next_at_once():
    """If the service proves that it holds requests, gofer does not pause between two polls."""
    world = World(JobUntil(70, holds=True))
    errand = errand_to(world)
    assert world.play(flows.wait(errand), errand) == "completed"
    assert polls(world) == 5  # the first shows the job at once; 70 s are four holds of 20
    assert world.pauses == []


@pytest.mark.parametrize("length", [0.1, 1, 5, 20, 61, 300, 3600, 36000])
def test_the_delay_in_noticing_the_end_is_bounded_by_the_jobs_length(length):
    """Without long polls the end is noticed within half a second, a fifth of the job's time, or a minute."""
    service = JobUntil(length)
    world = World(service)
    errand = errand_to(world)
    world.play(flows.wait(errand), errand)
    delay = world.mono - service.starts[0] - length
    assert delay <= max(0.56, min(0.2 * length, 66))


def test_polls_grow_with_the_logarithm_of_the_jobs_time():
    """A job of an hour costs far fewer polls than a loop that sleeps two seconds."""
    world = World(JobUntil(3600))
    errand = errand_to(world)
    world.play(flows.wait(errand), errand)
    assert polls(world) < 100


def test_polls_of_a_service_that_ignores_prefer_keep_their_distance():
    """The schedule spaces the polls if the answers lack Preference-Applied, however quickly they come."""
    service = JobUntil(30)
    world = World(service)
    errand = errand_to(world)
    world.play(flows.wait(errand), errand)
    gaps = [later - earlier for earlier, later in itertools.pairwise(service.starts)]
    assert min(gaps) >= 0.25


def test_polls_of_a_service_that_claims_to_hold_but_answers_at_once_keep_their_distance():
    """Two polls of an unchanged job start a quarter of a second apart, although Preference-Applied is sent."""
    answers = [reply(200, doc("searching"), preference_applied="wait=20")] * 20 + [reply(200, doc("completed"))]
    starts = []

    def service(request, world):
        starts.append(world.mono)
        return answers.pop(0)

    world = World(service)
    errand = errand_to(world)
    world.play(flows.wait(errand), errand)
    assert min(b - a for a, b in itertools.pairwise(starts[1:-1])) >= 0.249


@pytest.mark.parametrize("interval", [0, 0.1, 0.25, 0.3, 1, 2.5, 200])
@pytest.mark.parametrize("hold", [0, 20])
def test_the_callers_polling_interval_is_obeyed_down_to_the_floor(interval, hold):
    """If the service does not hold requests, polls are as far apart as `poll=` says, but at least 0.25 s."""
    service = JobUntil(10 * max(interval, 0.25))
    world = World(service)
    errand = errand_to(world, poll=wait_fixed(interval), hold=hold)
    world.play(flows.wait(errand), errand)
    gaps = [later - earlier for earlier, later in itertools.pairwise(service.starts)]
    assert len(gaps) >= 10
    assert gaps == pytest.approx([interval] + [max(interval, 0.25)] * (len(gaps) - 1))  # the first poll shows news


@pytest.mark.parametrize(
    "fault", [AnswerLost("cut"), reply(500), reply(503), reply(429), reply(502, "<html>")], ids=str
)
def test_a_failed_poll_is_retried_and_the_job_is_not_lost(fault):
    """Transient failures of polls do not end the wait."""
    answers = [fault, fault, fault, reply(200, doc("completed"))]
    world = World(lambda request, world: answers.pop(0))
    errand = errand_to(world)
    assert world.play(flows.wait(errand), errand) == "completed"


def test_failed_polls_keep_their_distance_too():
    """A poll that failed at once is not retried within a quarter of a second, whatever the jitter is."""
    starts = []

    def service(request, world):
        starts.append(world.mono)
        return AnswerLost("cut") if len(starts) < 40 else reply(200, doc("completed"))

    world = World(service)
    errand = errand_to(world, patience=Retry(wait_fixed(0), stop_never))
    world.play(flows.wait(errand), errand)
    assert min(later - earlier for earlier, later in itertools.pairwise(starts)) >= 0.25


@pytest.mark.parametrize("timeout", [0.52, 0.6, 0.9, 1.4])
def test_the_last_poll_of_a_budget_keeps_its_distance_too(timeout):
    """After a failure near the end of the budget, the last poll comes no sooner than any other."""
    starts = []

    def service(request, world):
        starts.append(world.mono)
        return reply(503)

    world = World(service)
    errand = errand_to(world, timeout=timeout, patience=Retry(wait_fixed(20), stop_never))
    with pytest.raises(WaitTimeout):
        world.play(flows.wait(errand), errand)
    assert len(starts) == 2
    assert starts[1] - starts[0] >= 0.25


def test_a_poll_after_a_retried_one_keeps_its_distance_from_the_last_try():
    """The distance counts from the last try of a poll, not from its first."""
    starts = []

    def service(request, world):
        starts.append(world.mono)
        if len(starts) == 2:
            return reply(404)
        return reply(200, doc("searching" if len(starts) < 6 else "completed"), preference_applied="wait=20")

    world = World(service)
    errand = errand_to(world)
    world.play(flows.wait(errand), errand)
    assert min(later - earlier for earlier, later in itertools.pairwise(starts)) >= 0.25


def test_after_a_held_poll_that_failed_the_next_one_asks_to_be_held_for_half_as_long():
    """The try after the failure is not held at all, and the length that works is kept."""
    holds = []

    def service(request, world):
        hold = int(request.headers.get("prefer", "wait=0").removeprefix("wait="))
        holds.append(hold)
        if hold > 5:
            return AnswerLost("a proxy cut it")
        applied = {"preference_applied": f"wait={hold}"} if hold else {}
        return reply(200, doc("searching" if len(holds) < 8 else "completed"), etag=f'"{len(holds)}"', **applied)

    world = World(service)
    errand = errand_to(world)
    world.play(flows.wait(errand), errand)
    assert holds == [0, 20, 0, 10, 0, 5, 5, 5]


def test_a_service_that_stays_down_is_given_up_after_five_minutes_with_the_ticket():
    """Five minutes of failures in a row end the wait, and the error carries the ticket."""
    world = World(lambda request, world: AnswerLost("cut"))
    errand = errand_to(world)
    with pytest.raises(AnswerLost) as caught:
        world.play(flows.wait(errand), errand)
    assert 300 <= world.mono - 1000 < 400
    assert caught.value.ticket is not None
    assert caught.value.job_id == "j1"


def test_an_unknown_status_is_still_active_and_logged_once(caplog):
    """A status of a newer service neither ends nor breaks the wait, and is logged once."""
    answers = [reply(200, doc("pondering"))] * 3 + [reply(200, doc("completed"))]
    world = World(lambda request, world: answers.pop(0))
    errand = errand_to(world)
    with caplog.at_level(logging.WARNING, "gofer"):
        assert world.play(flows.wait(errand), errand) == "completed"
    assert [record.getMessage() for record in caplog.records] == [
        "The service reports a status unknown to gofer, 'pondering'; taken as still active."
    ]


def test_a_404_of_an_accepted_job_is_transient_at_first():
    """A replica of the service that does not have the job yet does not end the wait."""
    answers = [reply(404), reply(404), reply(200, doc("completed"))]
    world = World(lambda request, world: answers.pop(0))
    errand = errand_to(world)
    assert world.play(flows.wait(errand), errand) == "completed"


def test_a_404_of_a_job_that_was_never_accepted_is_not_retried():
    """An id of the caller's own that the service does not have raises NotFound at once."""
    world = World(lambda request, world: reply(404))
    errand = errand_to(world, accepted=False)
    with pytest.raises(NotFound):
        world.play(flows.wait(errand), errand)
    assert polls(world) == 1


@pytest.mark.parametrize(("status", "kind"), [(401, Unauthorized), (403, Unauthorized), (410, Expired)])
def test_refusals_that_are_not_transient_end_the_wait_at_once(status, kind):
    """Wrong credentials and expired results are not retried."""
    world = World(lambda request, world: reply(status))
    errand = errand_to(world)
    with pytest.raises(kind):
        world.play(flows.wait(errand), errand)
    assert polls(world) == 1


def test_the_budget_ends_the_wait_and_the_error_says_where_the_time_went():
    """WaitTimeout is a TimeoutError, comes in time, and names the job and the time of each leg."""
    world = World(lambda request, world: reply(200, doc("searching")), latency=0.1)
    errand = errand_to(world, timeout=30)
    with pytest.raises(WaitTimeout) as caught:
        world.play(flows.wait(errand), errand)
    assert isinstance(caught.value, TimeoutError)
    assert 28 < world.mono - 1000 <= 30.2
    assert (caught.value.leg, caught.value.status, caught.value.job_id) == ("poll", "searching", "j1")
    assert caught.value.spent["poll"] == pytest.approx(world.mono - 1000)


def test_no_request_outlives_the_budget():
    """The timeout and the hold of every request are cut to what is left of the budget."""
    world = World(
        lambda request, world: reply(200, doc("searching"), preference_applied="wait=5", etag='"1"'), latency=2
    )
    errand = errand_to(world, timeout=7)
    with pytest.raises(WaitTimeout):
        world.play(flows.wait(errand), errand)
    for command in world.commands:
        if hasattr(command, "timeout"):
            assert command.timeout <= 7
    assert "wait=4" in world.requests[1].headers["prefer"]


def test_retry_after_on_a_status_document_is_obeyed():
    """A service that asks for slower polls gets them."""
    answers = [reply(200, doc("searching"), retry_after="9"), reply(200, doc("completed"))]
    world = World(lambda request, world: answers.pop(0))
    errand = errand_to(world)
    world.play(flows.wait(errand), errand)
    assert world.pauses == [9]


def test_the_entity_tag_is_sent_with_the_next_poll():
    """Every poll after the first is conditional, so that the service can hold it until something changes."""
    answers = [reply(200, doc("searching"), etag='"7"'), reply(304), reply(200, doc("completed"))]
    world = World(lambda request, world: answers.pop(0))
    errand = errand_to(world)
    world.play(flows.wait(errand), errand)
    assert [request.headers.get("if-none-match") for request in world.requests] == [None, '"7"', '"7"']


@pytest.mark.parametrize("code", ["NOT_FOUND", "DOWNLOAD_FAILED", "VPN_ERROR", "TIMEOUT", "SOMETHING_NEW"])
def test_a_failed_job_raises_with_the_services_code_and_message(code):
    """JobFailed is a RuntimeError with the service's error_code and error, also if the code is new."""
    world = World(lambda request, world: reply(200, doc("failed", error="it broke", error_code=code)))
    errand = errand_to(world)
    with pytest.raises(JobFailed, match=f"{code}.*it broke") as caught:
        world.play(flows.result(errand), errand)
    assert isinstance(caught.value, RuntimeError)
    assert (caught.value.error_code, caught.value.error) == (code, "it broke")


def test_a_cancelled_job_has_its_own_error():
    """A job that failed with CANCELLED raises JobCancelled, and the message does not call it failed."""
    for more, words in (
        ({}, "The job was cancelled. [job j1]"),
        ({"error": "by x"}, "The job was cancelled: by x [job j1]"),
    ):
        document = doc("failed", error_code="CANCELLED", **more)
        world = World(lambda request, world, document=document: reply(200, document))
        errand = errand_to(world)
        with pytest.raises(JobCancelled) as caught:
            world.play(flows.result(errand), errand)
        assert str(caught.value) == words
        assert caught.value.error_code == "CANCELLED"


def test_waiting_never_raises_for_a_failed_job():
    """`wait` returns the status of a failed job."""
    world = World(lambda request, world: reply(200, doc("failed", error_code="NOT_FOUND")))
    errand = errand_to(world)
    status = world.play(flows.wait(errand), errand)
    assert status == "failed"
    assert status.error_code == "NOT_FOUND"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"job_id":"j1"}', "$.status"),
        ('{"job_id":null,"status":"pending"}', "$.job_id"),
        ('{"job_id":"j1","status":5}', "$.status"),
        ('{"job_id":"j1","status":"pending","file_format":5}', "$.file_format"),
        ('{"job_id":"j1","status":"pending","file_size":true}', "$.file_size"),
        ('{"job_id":"another","status":"pending"}', "$.job_id"),
        ("[]", "$"),
    ],
)
def test_a_document_that_breaks_the_contract_names_the_field(body, field):
    """A null is never "None" and true is never 1: the reply is bad, and the error says where."""
    world = World(lambda request, world: reply(200, body))
    errand = errand_to(world)
    with pytest.raises(BadReply) as caught:
        world.play(flows.refresh(errand), errand)
    assert caught.value.field == field


def test_unknown_fields_are_ignored():
    """A status document may have fields that the contract does not have."""
    world = World(lambda request, world: reply(200, doc("completed", queue_position=3)))
    errand = errand_to(world)
    assert world.play(flows.refresh(errand), errand) == "completed"


def test_changes_are_reported_as_events():
    """Each new status, progress or message is one event."""
    answers = [
        reply(200, doc("searching")),
        reply(200, doc("searching")),
        reply(200, doc("downloading", progress=0.5)),
        reply(200, doc("completed")),
    ]
    world = World(lambda request, world: answers.pop(0))
    errand = errand_to(world)
    world.play(flows.wait(errand), errand)
    assert [str(event.status) for event in world.events if isinstance(event, Changed)] == [
        "searching",
        "downloading",
        "completed",
    ]


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_service_without_cancellation_keeps_the_job_running(status):
    """`cancel` returns False and raises nothing."""
    world = World(lambda request, world: reply(status))
    errand = errand_to(world)
    assert world.play(flows.cancel(errand), errand) is False


@pytest.mark.parametrize("answer", [reply(200, doc("failed", error_code="CANCELLED")), reply(204)], ids=["200", "204"])
def test_a_cancellation_is_confirmed(answer):
    """`cancel` returns True after 200 with the job and after 204 without it."""
    world = World(lambda request, world: answer)
    errand = errand_to(world)
    assert world.play(flows.cancel(errand), errand) is True


@pytest.mark.parametrize("refusal", [400, 404, 405, 409, 410, 422, 500, 501])
@pytest.mark.parametrize("end", ["completed", "failed"])
def test_cancelling_a_job_that_has_ended_is_true_however_it_is_refused(refusal, end):
    """If the cancellation is refused, the job is polled once, and `cancel` returns True if it has ended."""
    world = World(lambda request, world: reply(refusal) if request.method == "DELETE" else reply(200, doc(end)))
    errand = errand_to(world)
    assert world.play(flows.cancel(errand), errand) is True
    assert errand.record.status == end
    assert [request.method for request in world.requests].count("GET") == 1


@pytest.mark.parametrize("poll", [reply(200, doc("searching")), reply(500), reply(404), Unreachable("cut")], ids=str)
def test_a_refused_cancellation_of_a_running_job_is_raised(poll):
    """If the poll does not show that the job has ended, the service's refusal is raised."""
    world = World(lambda request, world: reply(409) if request.method == "DELETE" else poll)
    errand = errand_to(world)
    with pytest.raises(Rejected, match="409"):
        world.play(flows.cancel(errand), errand)


def test_an_unreachable_service_is_polled_until_the_budget_ends():
    """Refused polls do not end the wait early, and the error has the last failure as its cause."""
    world = World(lambda request, world: Unreachable("No connection: refused."))
    errand = errand_to(world, timeout=20)
    with pytest.raises(WaitTimeout, match="refused") as caught:
        world.play(flows.wait(errand), errand)
    assert 19 < world.mono - 1000 <= 20
    assert isinstance(caught.value.__cause__, Unreachable)


@pytest.mark.parametrize("timeout", [0.5, 0.9, 3, 30])
def test_a_small_budget_is_used_too(timeout):
    """No more than a fifth of a small budget is unused."""
    world = World(lambda request, world: reply(200, doc("searching")))
    errand = errand_to(world, timeout=timeout)
    with pytest.raises(WaitTimeout):
        world.play(flows.wait(errand), errand)
    assert world.mono - 1000 >= 0.8 * timeout


def test_a_poll_for_new_links_is_unconditional():
    """Links are new for every reader, so the document is asked for although its entity tag is the same."""
    world = World(lambda request, world: reply(200, doc("completed"), etag='"1"'))
    errand = errand_to(world)
    world.play(flows.wait(errand), errand)
    again = Errand(errand.service, errand.memory)
    for anew in (False, True):
        world.play(poll_once(again, again.rules.retry, anew=anew), again)
    assert ["if-none-match" in request.headers for request in world.requests] == [False, True, False]
