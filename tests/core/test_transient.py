"""Which failures may be over later, for how long each kind is retried, and which end an errand sooner."""

import json

import pytest
from tenacity.stop import stop_after_attempt, stop_after_delay, stop_never
from tenacity.wait import wait_fixed

from gofer.contracts.base import Ref
from gofer.contracts.retrieve import RetrieveContract
from gofer.core import flows
from gofer.core.errand import Errand
from gofer.core.judging import is_transient_code, retry_after
from gofer.core.policies import Retry
from gofer.core.record import JobMemory, JobRecord
from gofer.errors import (
    AnswerLost,
    BadReply,
    JobLost,
    NotFound,
    NotReady,
    NotSupported,
    Rejected,
    SubmitUncertain,
    Unauthorized,
    Unavailable,
    UntrustedCertificate,
)
from gofer.models import RetrieveRequest
from gofer.wire import Head, Reply, Request
from support.files import PAPER, Files
from support.world import World, reply

from .test_download import by_id, download
from .test_download import fails as download_fails
from .test_poll import doc
from .test_submit import ACCEPTED, SILENT, Scripted, posts, submit
from .test_submit import fails as submit_fails

HOUR = Retry(wait_fixed(0.5), stop_after_delay(3600))
ALWAYS = Retry(wait_fixed(0.05), stop_never)
PAGE = reply(200, "<html>Please sign in</html>", content_type="text/html")
HALF = reply(200, '{"job_id":"j1","sta')
TRANSIENT = [reply(code) for code in (408, 421, 425, 429, 500, 502, 503, 504, 507, 520, 522, 524, 529, 530, 599)]
TRANSIENT += [reply(400, retry_after="1"), reply(403, retry_after="1.5"), PAGE, HALF, reply(204), reply(200)]
FINAL = [
    (reply(400), Rejected),
    (reply(403), Unauthorized),
    (reply(401, retry_after="1"), Unauthorized),
    (reply(422, retry_after="1"), Rejected),
    (reply(501), NotSupported),
    (reply(505), NotSupported),
]


def shown(answer):
    """Name a scripted answer in a test's id."""
    if not isinstance(answer, Reply):
        return getattr(answer, "__name__", type(answer).__name__)
    return f"{answer.status} {answer.headers.get('retry-after', '')}{answer.body[:6].decode()}"


def wait(service, *, seen=True, flow=flows.wait, **rules):
    """Wait for a job that a poll has shown running; return the error or None, and the world."""
    first = [reply(200, doc("searching"))] if seen else []
    world = World(lambda request, world: first.pop() if first else service(request, world))
    errand = Errand(world.service(**rules), JobMemory(JobRecord(Ref("j1"), accepted=True)))
    try:
        world.play(flow(errand), errand)
    except (
        AnswerLost,
        BadReply,
        JobLost,
        Rejected,
        Unauthorized,
        Unavailable,
        NotSupported,
        UntrustedCertificate,
    ) as e:
        return e, world
    return None, world


def then(*answers):
    """Answer with these, one for each request; the last one for ever."""
    left = list(answers)
    return lambda request, world: left.pop(0) if len(left) > 1 else left[0]


# --- the class of a refusal ---


@pytest.mark.parametrize("fault", TRANSIENT, ids=shown)
def test_a_transient_answer_does_not_end_the_wait(fault):
    """Any 5xx but 501 and 505, a refusal that asks to wait, and a 2xx without a document: the job is polled again."""
    error, _ = wait(then(fault, reply(200, doc("completed"))))
    assert error is None


@pytest.mark.parametrize("fault", [one for one in TRANSIENT if one.status >= 400], ids=shown)
def test_a_transient_answer_does_not_end_the_download(fault):
    """The same refusals of a file are retried."""
    fetched, _ = download(Files(PAPER, fault, fault))
    assert fetched.size == len(PAPER)


@pytest.mark.parametrize(("fault", "kind"), FINAL, ids=str)
def test_a_final_refusal_ends_the_wait_and_the_download_at_once(fault, kind):
    """What the next try would get too is raised: also 501 and 505, and a Retry-After does not change a 401."""
    error, world = wait(then(fault))
    assert isinstance(error, kind)
    assert len(world.requests) == 2
    download_fails(Files(PAPER, fault), kind)


def test_every_code_of_the_5xx_class_is_transient_but_two():
    """The class decides, not a list: a code that no standard has counts as 500."""
    assert [code for code in range(500, 600) if not is_transient_code(code, asked_to_wait=True)] == [501, 505]
    assert [code for code in range(400, 500) if is_transient_code(code, asked_to_wait=False)] == [408, 421, 425, 429]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1.5", 1.5), ("0.25", 0.25), ("3.", 3.0), ("2", 2.0), ("-1.5", None), ("1.5 s", None), ("1e3", None)],
)
def test_retry_after_is_read_in_decimals(text, seconds):
    """Servers send decimals, and what is no number is no wish."""
    assert retry_after(Head("http://service.test", 503, {"retry-after": text}), 0.0) == seconds


def test_every_poll_asks_caches_for_a_fresh_answer():
    """A cache on the way must not answer with an old status."""
    _, world = wait(then(reply(200, doc("searching")), reply(200, doc("completed"))))
    assert [request.headers["cache-control"] for request in world.requests] == ["no-cache"] * 3


# --- the submission ---


@pytest.mark.parametrize("status", [503, 529])
def test_a_submission_that_the_service_put_off_is_sent_again(status):
    """503 and 529 with Retry-After say that nothing was made, also where keys are not replayed; the wish is obeyed."""
    world = submit(Scripted(reply(status, retry_after="1.5"), ACCEPTED, health=SILENT))
    assert len(posts(world)) == 2
    assert world.pauses == [1.5]


@pytest.mark.parametrize("status", [500, 503, 520, 524, 529])
def test_any_other_5xx_of_a_submission_leaves_it_unclear(status):
    """Without Retry-After a job may have been made."""
    submit_fails(Scripted(reply(status), health=SILENT), SubmitUncertain)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (reply(403, retry_after="1"), Unauthorized),
        (reply(400, retry_after="1"), Rejected),
        (reply(408), Rejected),
        (reply(501), NotSupported),
        (reply(505), NotSupported),
    ],
    ids=shown,
)
def test_a_refused_submission_is_sent_once(answer, kind):
    """A submission is not safe to repeat, so that a 403 with Retry-After is the caller's to repeat, and a 408."""
    _, world = submit_fails(Scripted(answer), kind)
    assert len(posts(world)) == 1


class Busy(RetrieveContract):
    """A contract that has a code and a word for "later"."""

    def means_later(self, status, code):
        """Say which refusals are for now only."""
        return status == 423 or code == "QUEUE_FULL"


LATER = [reply(423), reply(409, '{"error_code":"QUEUE_FULL"}'), reply(500, '{"error_code":"QUEUE_FULL"}')]


@pytest.mark.parametrize("answer", LATER, ids=shown)
def test_a_contract_has_codes_and_words_that_mean_later(answer):
    """They are retried on every leg, the submission included: nothing was made."""
    contract = Busy()
    assert len(posts(submit(Scripted(answer, ACCEPTED, health=SILENT), contract=contract))) == 2
    error, _ = wait(then(answer, reply(200, doc("completed"))), contract=contract)
    assert error is None
    fetched, _ = download(Files(PAPER, reply(423)), contract=contract)
    assert fetched.size == len(PAPER)


# --- what time does not cure ---


FRAMING = AnswerLost("two lengths", malformed=True)
CURELESS = [
    (PAGE, BadReply),
    (HALF, BadReply),
    (FRAMING, AnswerLost),
    (UntrustedCertificate("x"), UntrustedCertificate),
]


@pytest.mark.parametrize(("fault", "kind"), CURELESS, ids=shown)
def test_what_time_does_not_cure_is_raised_after_ten_in_a_row_over_ten_seconds(fault, kind):
    """The default patience would be five minutes; a patience of an hour is not asked either."""
    for rules in ({}, {"patience": HOUR}):
        error, world = wait(then(fault), **rules)
        assert isinstance(error, kind)
        assert len(world.requests) >= 11
        assert 10 <= world.mono - 1000 - world.pauses[0] < 13


@pytest.mark.parametrize("fault", [fault for fault, _ in CURELESS], ids=shown)
def test_ten_at_once_are_not_enough(fault):
    """A fast caller waits ten seconds too: a service that is being replaced may be back by then."""
    error, world = wait(then(*[fault] * 100, reply(200, doc("completed"))), patience=ALWAYS)
    assert error is None or world.mono - 1000 - world.pauses[0] >= 10


@pytest.mark.parametrize("fault", [fault for fault, _ in CURELESS], ids=shown)
def test_a_few_of_what_time_does_not_cure_pass(fault):
    """A server rewrites its status file in place, or one of several is set up wrongly."""
    error, _ = wait(then(*[fault] * 8, reply(200, doc("completed"))))
    assert error is None


def test_only_failures_of_one_kind_in_a_row_count():
    """Pages between refusals are a service in trouble, which has five minutes."""
    answers = [reply(503), PAGE] * 30
    error, world = wait(
        then(*answers, reply(200, doc("completed"))), patience=Retry(wait_fixed(1), stop_after_delay(300))
    )
    assert error is None
    assert len(world.requests) == 62


def test_malformed_http_ends_a_download_soon():
    """The target is untouched, and the failure is the one that was met."""
    error, world = download_fails(Files(PAPER, *[FRAMING] * 50), AnswerLost)
    assert error is FRAMING
    assert world.mono - 1000 < 14


def test_an_untrusted_certificate_ends_a_submission_at_once():
    """No job would be lost."""
    _, world = submit_fails(Scripted(UntrustedCertificate("x")), UntrustedCertificate)
    assert len(posts(world)) == 1


# --- jobs and files that are not there ---


def absent(until):
    """Answer 404 until this time, and then with a job that has ended."""
    return lambda request, world: reply(404) if world.mono < 1000 + until else reply(200, doc("completed"))


@pytest.mark.parametrize("seconds", [8, 100, 280])
def test_a_job_that_was_seen_may_be_absent_for_as_long_as_any_failure_may_last(seconds):
    """A balancer without backends answers 404: however often, it costs the job no sooner than 503 would."""
    error, _ = wait(absent(seconds))
    assert error is None


def test_a_job_that_was_submitted_was_seen():
    """The answer to the submission showed it, so that a 404 to the first poll has patience too."""
    done, late = Files(PAPER), absent(60)

    def service(request, world):
        if request.method == "POST":
            return reply(202, '{"job_id":"j1","status":"pending"}')
        return done(request, world) if request.url.endswith("/file") else late(request, world)

    world = World(service)
    errand = Errand(world.service())
    world.play(flows.run(errand, RetrieveRequest("10.5555/12345678"), "key-1", None, hold=0), errand)
    assert world.mono >= 1060


def test_patience_decides_how_long_a_job_may_be_absent():
    """After it, JobLost names the address that answered 404."""
    error, world = wait(then(reply(404)), patience=Retry(wait_fixed(1), stop_after_attempt(20)))
    assert isinstance(error, JobLost)
    assert len(world.requests) == 21
    assert "http://service.test" in str(error)
    error, world = wait(then(reply(404)))
    assert isinstance(error, JobLost)
    assert 300 <= world.mono - 1000 < 330


def test_one_404_at_the_end_of_other_failures_loses_no_job():
    """Only answers of 404 in a row make a JobLost."""
    error, _ = wait(then(*[reply(503)] * 10, reply(404), reply(503)))
    assert isinstance(error, Unavailable)


@pytest.mark.parametrize("flow", [flows.wait, flows.refresh])
def test_a_job_that_was_not_seen_is_lost_after_three_answers_over_five_seconds(flow):
    """A stale ticket is not worth five minutes."""
    error, world = wait(then(reply(404)), seen=False, flow=flow)
    assert isinstance(error, JobLost)
    assert (len(world.requests), world.mono) == (3, 1005)


def test_a_file_that_is_missing_is_named_and_its_job_is_not_lost():
    """The service has just shown the job: NotFound, after ten answers over ten seconds."""
    error, world = download_fails(Files(PAPER, *[reply(404)] * 50), NotFound)
    assert "http://service.test" in str(error)
    assert 10 <= world.mono - 1000 < 14
    fetched, _ = download(Files(PAPER, lambda request, world: reply(404), reply(404), reply(404), reply(404)))
    assert fetched.size == len(PAPER)


@pytest.mark.parametrize("status", [202, 204])
def test_a_file_that_is_being_fetched_is_requested_again(status):
    """A 2xx without the file says that it comes later; Retry-After is obeyed."""
    fetched, world = download(Files(PAPER, reply(status, retry_after="7"), reply(status)))
    assert fetched.size == len(PAPER)
    assert world.pauses[0] == 7
    error, _ = download_fails(
        Files(PAPER, *[reply(status)] * 5), NotReady, patience=Retry(wait_fixed(0), stop_after_attempt(4))
    )
    assert error.status_code == status


# --- a status that the contract does not have ---


@pytest.mark.parametrize(
    ("rules", "seconds"), [({}, 600), ({"grace": 30.0}, 30)], ids=["the contract's", "the option's"]
)
def test_an_unknown_status_is_an_error_after_the_grace(rules, seconds):
    """Ten minutes for the retrieval contract, or what the caller says; without a timeout."""
    error, world = wait(then(reply(200, doc("pondering"))), **rules)
    assert isinstance(error, BadReply)
    assert "pondering" in str(error)
    assert error.ticket
    assert seconds <= world.mono - 1000 <= seconds + 90


# --- fields that are only shown ---


SHOWN = [
    "doi",
    "file_path",
    "error",
    "progress",
    "bytes_done",
    "bytes_total",
    "message",
    "source",
    "version",
    "licence",
]
SHOWN += ["created", "started", "updated", "finished", "expires", "attempts"]
ODD = [{}, [], [1], True, 7, "half", -1e308, 10**400, float("inf"), float("nan"), [{"source": 5}], {"a": {"b": None}}]


@pytest.mark.parametrize("name", SHOWN)
def test_a_field_that_is_only_shown_never_costs_the_job(name):
    """Whatever its type, in the answer to the submission, in a poll and in a failed job."""
    for odd in ODD:
        first = reply(202, json.dumps({"job_id": "j1", "status": "pending", name: odd}))
        submit(Scripted(first, health=SILENT))
        error, _ = wait(then(reply(200, doc("searching", **{name: odd})), reply(200, doc("completed", **{name: odd}))))
        assert error is None
        world = World(lambda request, world, odd=odd: reply(200, doc("failed", **{name: odd})))
        errand = Errand(world.service(), JobMemory(JobRecord(Ref("j1"), accepted=True)))
        assert world.play(flows.wait(errand), errand) == "failed"


def test_a_wrong_health_field_does_not_hide_that_keys_are_replayed():
    """Only the capabilities count after a lost answer."""
    odd = reply(200, '{"status":5,"vpn_connected":null,"capabilities":["idempotency-key", 7]}')
    assert len(posts(submit(Scripted(AnswerLost("cut"), ACCEPTED, health=odd)))) == 2


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), 10**400, "half"], ids=["nan", "inf", "huge", "text"])
def test_a_progress_that_is_no_number_is_none(odd):
    """Nobody has to show it."""
    errand = Errand(World(lambda request, world: reply()).service(), JobMemory(JobRecord(Ref("j1"), accepted=True)))
    World(lambda request, world: reply(200, doc("searching", progress=odd))).play(flows.refresh(errand), errand)
    assert errand.record.status.progress is None


def test_a_slow_caller_meets_ten_too():
    """Ten seconds alone are not enough: one web page a minute is not ten in a row."""
    error, _ = wait(then(*[PAGE] * 8, reply(200, doc("completed"))), patience=Retry(wait_fixed(6), stop_never))
    assert error is None


def test_other_failures_between_two_404s_start_the_count_again():
    """A JobLost needs 404s in a row for as long as `patience` says."""
    answers = [*[reply(404)] * 10, reply(503), *[reply(404)] * 15, reply(200, doc("completed"))]
    error, _ = wait(then(*answers), patience=Retry(wait_fixed(1), stop_after_delay(20)))
    assert error is None


def test_a_single_poll_of_a_job_that_was_seen_is_soon_over():
    """`refresh` has three answers of 404 over five seconds, and not the patience of a wait."""
    memory = JobMemory(JobRecord(Ref("j1"), accepted=True))
    world = World(then(reply(200, doc("searching")), reply(404)))
    first, errand = Errand(world.service(), memory), Errand(world.service(), memory)
    world.play(flows.refresh(first), first)
    with pytest.raises(JobLost):
        world.play(flows.refresh(errand), errand)
    assert (len(world.requests), world.mono) == (4, 1005)


def test_a_file_of_a_job_that_was_never_polled_may_come_later_too():
    """A 202 needs no document that says that the job has ended."""
    fetched, _ = download(Files(PAPER, reply(202)), flow=by_id)
    assert fetched.size == len(PAPER)


class Staged(RetrieveContract):
    """A contract whose results have a document of their own, which may not be ready."""

    def build_results(self, base, snapshot):
        """Ask for the results."""
        return Request("GET", f"{base}/results")

    def read_results(self, base, snapshot, reply):
        """Read them, unless they are not ready."""
        if reply.status == 202:
            raise NotReady("not yet", status_code=202)
        return snapshot


def test_results_that_are_not_ready_are_asked_for_when_the_service_says():
    """Retry-After of a 202 is obeyed."""
    answers = then(reply(200, doc("completed")), reply(202, retry_after="7.5"), reply(200, "{}"))
    world = World(answers)
    errand = Errand(world.service(contract=Staged()), JobMemory(JobRecord(Ref("j1"), accepted=True)))
    world.play(flows.result(errand), errand)
    assert world.pauses == [7.5]
