"""The first leg: exactly one job, whatever happens to the answer."""

import json

import pytest

from gofer.contracts.retrieve import RetrieveContract
from gofer.core import flows
from gofer.core.errand import Errand
from gofer.errors import (
    Abandoned,
    AnswerLost,
    OutOfTime,
    RateLimited,
    Rejected,
    SubmitUncertain,
    Unreachable,
    UntrustedCertificate,
    UsageError,
)
from gofer.models import RetrieveRequest
from support.world import World, reply

PAPER = RetrieveRequest("10.5555/12345678")
ACCEPTED = reply(202, '{"job_id":"j1","status":"pending"}')
REPLAYS = reply(200, '{"status":"healthy","vpn_connected":false,"capabilities":["idempotency-key"]}')
SILENT = reply(200, '{"status":"healthy","vpn_connected":false}')


class Scripted:
    """Answers submissions from a list, and the health question with `health`."""

    def __init__(self, *answers, health=REPLAYS):
        self.answers, self.health = list(answers), health

    def __call__(self, request, world):
        """Answer one request."""
        return self.health if request.url.endswith("/health") else self.answers.pop(0)


def submit(script, *, timeout=None, contract=None, **rules):
    """Play one submission; return its world and errand."""
    world = World(script)
    service = world.service(contract=contract or RetrieveContract(), **rules)
    errand = Errand(service, timeout=timeout)
    world.errand = errand
    world.status = world.play(flows.start(errand, PAPER, "key-1"), errand)
    return world


def fails(script, kind, **options):
    """Play a submission that must raise; return the error and the requests."""
    world = World(script)
    errand = Errand(world.service(contract=options.pop("contract", None) or RetrieveContract()), **options)
    with pytest.raises(kind) as caught:
        world.play(flows.start(errand, PAPER, "key-1"), errand)
    return caught.value, world


def posts(world):
    """The submissions that were sent."""
    return [request for request in world.requests if request.method == "POST"]


def test_an_accepted_submission_costs_one_request():
    """The happy path asks nothing but the submission itself."""
    world = submit(Scripted(ACCEPTED))
    assert [request.method for request in world.requests] == ["POST"]
    assert world.status == "pending"
    assert world.errand.ticket is not None


@pytest.mark.parametrize("status", [200, 201, 202, 203])
def test_any_2xx_is_a_success(status):
    """The base contract names no code, so every 2xx counts."""
    assert submit(Scripted(reply(status, '{"job_id":"j1","status":"pending"}'))).status == "pending"


@pytest.mark.parametrize(
    "lost", [AnswerLost("cut"), reply(500), reply(502), reply(503), reply(504), reply(502, "<html>")], ids=str
)
def test_a_lost_answer_is_sent_again_with_the_same_key_and_bytes_where_keys_are_replayed(lost):
    """After an ambiguous failure the very same submission is repeated."""
    world = submit(Scripted(lost, ACCEPTED))
    first, second = posts(world)
    assert first == second
    assert first.headers["idempotency-key"] == '"key-1"'


def test_the_service_is_asked_about_keys_only_after_a_loss_and_only_once():
    """Several losses in a row cost one health request."""
    world = submit(Scripted(AnswerLost("cut"), AnswerLost("cut"), ACCEPTED))
    assert [request.method for request in world.requests] == ["POST", "GET", "POST", "POST"]


@pytest.mark.parametrize("health", [SILENT, reply(404), reply(200, "<html>")], ids=["plain", "404", "html"])
def test_a_lost_answer_is_uncertain_where_the_service_does_not_promise_to_replay(health):
    """Without the promise nothing is sent twice; the error has the key that settles it."""
    error, world = fails(Scripted(AnswerLost("cut"), health=health), SubmitUncertain)
    assert len(posts(world)) == 1
    assert error.key == "key-1"


@pytest.mark.parametrize("answer", ["yes", "no"])
def test_a_contract_that_knows_about_keys_is_believed_without_a_question(answer):
    """`replays_keys` of yes or no costs no health request."""
    contract = RetrieveContract(replays_keys=answer)
    if answer == "yes":
        world = submit(Scripted(AnswerLost("cut"), ACCEPTED), contract=contract)
    else:
        _, world = fails(Scripted(AnswerLost("cut")), SubmitUncertain, contract=contract)
    assert all(request.method == "POST" for request in world.requests)


@pytest.mark.parametrize(
    "refusal",
    [Unreachable("refused"), reply(429), reply(429, retry_after="3"), reply(503, retry_after="3")],
    ids=["refused", "429", "429 with a pause", "503 with a pause"],
)
def test_a_submission_that_cannot_have_made_a_job_is_sent_again_anywhere(refusal):
    """No connection and an explicit refusal are repeated without any promise of the service."""
    world = submit(Scripted(refusal, ACCEPTED, health=SILENT))
    assert [request.method for request in world.requests] == ["POST", "POST"]


def test_retry_after_is_waited_for():
    """The pause is at least what the service asked for."""
    assert submit(Scripted(reply(429, retry_after="7"), ACCEPTED)).naps[0] >= 7


def test_an_hour_of_retry_after_is_capped():
    """A service cannot make the client sleep as long as it likes."""
    assert submit(Scripted(reply(429, retry_after="3600"), ACCEPTED)).naps[0] <= 121


def test_a_pause_that_would_outlive_the_budget_ends_the_errand_at_once():
    """With 10 s in all, Retry-After of 60 is out of time now, and the error has the key."""
    error, world = fails(Scripted(reply(429, retry_after="60")), OutOfTime, timeout=10)
    assert world.naps == []
    assert error.key == "key-1"
    assert error.leg == "submit"


def test_four_tries_and_no_more():
    """A service that cannot be reached is given up after four tries."""
    error, world = fails(Scripted(*[Unreachable("refused")] * 9), Unreachable)
    assert len(world.requests) == 4
    assert error.attempts == 4


def test_an_untrusted_certificate_is_not_tried_again():
    """The next try would end the same."""
    _, world = fails(Scripted(UntrustedCertificate("bad")), UntrustedCertificate)
    assert len(world.requests) == 1


@pytest.mark.parametrize(("status", "kind"), [(400, Rejected), (409, Rejected), (422, Rejected), (429, RateLimited)])
def test_a_refusal_of_a_first_try_is_raised_with_the_services_words(status, kind):
    """An error document's code and detail reach the caller."""
    body = json.dumps({"error_code": "BAD", "detail": "no such thing"})
    error, _ = fails(Scripted(*[reply(status, body)] * 4), kind)
    assert (error.status_code, error.error_code, error.detail) == (status, "BAD", "no such thing")


def test_a_409_to_a_repeated_submission_means_that_the_first_is_being_worked_on():
    """The client waits and asks again."""
    world = submit(Scripted(AnswerLost("cut"), reply(409), ACCEPTED))
    assert len(posts(world)) == 3


def test_a_422_to_a_repeated_submission_means_that_the_job_exists():
    """A service that rejects a reused key has told us that the first try arrived."""
    error, _ = fails(Scripted(AnswerLost("cut"), reply(422)), SubmitUncertain)
    assert "exists" in str(error)


def test_losses_until_the_policy_gives_up_are_uncertain():
    """The last word after many losses is that a job may exist, not that the network failed."""
    error, _ = fails(Scripted(*[AnswerLost("cut")] * 9), SubmitUncertain)
    assert isinstance(error.__cause__, AnswerLost)


@pytest.mark.parametrize("doi", ["", "  ", "not a doi", "10.1000", "10.5555/a b", None, 5])
def test_a_wrong_doi_is_found_before_anything_is_sent(doi):
    """A malformed DOI is a UsageError that shows what one looks like."""
    world = World(Scripted())
    errand = Errand(world.service())
    with pytest.raises(UsageError, match=r"10\."):
        world.play(flows.start(errand, RetrieveRequest(doi), "key-1"), errand)
    assert world.commands == []


@pytest.mark.parametrize(("timeout", "told"), [(None, 120), (100.0, 90), (1.0, 1), (0.5, 1)])
def test_the_service_is_told_nine_tenths_of_the_budget(timeout, told):
    """So the service gives up first, and its own reason comes back."""
    world = submit(Scripted(ACCEPTED), timeout=timeout)
    assert json.loads(world.requests[0].body)["timeout_seconds"] == told


@pytest.mark.parametrize("later", [reply(400), reply(401), reply(501), reply(302, location="/elsewhere")], ids=str)
def test_a_refusal_of_a_later_try_leaves_the_lost_one_uncertain(later):
    """The try whose answer was lost may have made a job, whatever is said to the next; the error has the key."""
    error, _ = fails(Scripted(AnswerLost("cut"), later), SubmitUncertain)
    assert error.key == "key-1"


def test_the_answer_to_a_submission_may_lie_elsewhere():
    """After 303 the job is fetched, and fetching is repeated like any other GET."""
    world = submit(Scripted(reply(303, location="/jobs/j1"), Unreachable("refused"), reply(503), ACCEPTED))
    assert [request.method for request in world.requests] == ["POST", "GET", "GET", "GET"]


@pytest.mark.parametrize("lost", [Unreachable("refused"), reply(429), reply(503, retry_after="1"), reply(404)], ids=str)
def test_what_is_refused_after_a_303_has_made_its_job(lost):
    """The service took the submission, so what befalls the GET never sends it again without replayed keys."""
    error, world = fails(Scripted(reply(303, location="/jobs/j1"), *[lost] * 4, health=SILENT), SubmitUncertain)
    assert len(posts(world)) == 1
    assert error.key == "key-1"


def test_a_held_submission_that_something_cuts_is_repeated_unheld():
    """A proxy that cuts long requests would cut the next one too; key and bytes stay the same."""
    done = reply(200, '{"job_id":"j1","status":"completed"}')
    world = World(Scripted(reply(504), done))
    errand = Errand(world.service())
    world.play(flows.run(errand, PAPER, "key-1", None, hold=20), errand)
    first, second = posts(world)
    assert (first.body, first.headers["idempotency-key"]) == (second.body, second.headers["idempotency-key"])
    assert (first.headers["prefer"], second.headers["prefer"]) == ("respond-async, wait=20", "respond-async")


def test_the_farewell_finds_the_job_by_an_unheld_submission():
    """There are two seconds to cancel, so the service is not asked to hold the answer."""
    world = World(Scripted(ACCEPTED, ACCEPTED, reply(204)))
    errand = Errand(world.service())
    with pytest.raises(Abandoned):
        world.play(flows.run(errand, PAPER, "key-1", None, hold=20), errand, leave_at=0)
    assert [(request.method, request.headers.get("prefer")) for request in world.requests[-2:]] == [
        ("POST", "respond-async"),
        ("DELETE", None),
    ]
