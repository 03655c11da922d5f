"""The first leg: exactly one job, whatever happens to the answer."""

import json

import attrs
import pytest

from gofer.contracts.base import Contract
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
    """Answers submissions from a list, and requests for the health with `health`."""

    def __init__(self, *answers, health=REPLAYS):
        self.answers, self.health = list(answers), health

    def __call__(self, request, world):
        """Answer one request."""
        return self.health if request.url.endswith("/health") else self.answers.pop(0)


def submit(script, *, timeout=None, contract=None, **rules):
    """Submit once; return the world, with the errand and the status in it."""
    world = World(script)
    service = world.service(contract=contract or RetrieveContract(), **rules)
    errand = Errand(service, timeout=timeout)
    world.errand = errand
    world.status = world.play(flows.start(errand, PAPER, "key-1"), errand)
    return world


def fails(script, kind, **options):
    """Submit once, which must raise; return the error and the world."""
    world = World(script)
    errand = Errand(world.service(contract=options.pop("contract", None) or RetrieveContract()), **options)
    with pytest.raises(kind) as caught:
        world.play(flows.start(errand, PAPER, "key-1"), errand)
    return caught.value, world


def posts(world):
    """The submissions that were sent."""
    return [request for request in world.requests if request.method == "POST"]


def test_an_accepted_submission_costs_one_request():
    """If the first answer comes, the submission is the only request."""
    world = submit(Scripted(ACCEPTED))
    assert [request.method for request in world.requests] == ["POST"]
    assert world.status == "pending"
    assert world.errand.ticket is not None


@pytest.mark.parametrize("status", [200, 201, 202, 203])
def test_any_2xx_is_a_success(status):
    """Every 2xx status counts as accepted, because the base contract names none."""
    assert submit(Scripted(reply(status, '{"job_id":"j1","status":"pending"}'))).status == "pending"


@pytest.mark.parametrize(
    "lost", [AnswerLost("cut"), reply(500), reply(502), reply(503), reply(504), reply(502, "<html>")], ids=str
)
def test_a_submission_without_an_answer_is_sent_again_if_keys_are_replayed(lost):
    """After an ambiguous failure, the submission is repeated with the same key and bytes."""
    world = submit(Scripted(lost, ACCEPTED))
    first, second = posts(world)
    assert first == second
    assert first.headers["idempotency-key"] == '"key-1"'


def test_the_service_is_asked_about_keys_once_after_a_lost_answer():
    """Several lost answers in a row cost one request for the health."""
    world = submit(Scripted(AnswerLost("cut"), AnswerLost("cut"), ACCEPTED))
    assert [request.method for request in world.requests] == ["POST", "GET", "POST", "POST"]


@pytest.mark.parametrize("health", [SILENT, reply(404), reply(200, "<html>")], ids=["plain", "404", "html"])
def test_a_lost_answer_is_uncertain_if_the_service_does_not_promise_to_replay_keys(health):
    """Without the promise, the submission is not sent again, and the error has the key."""
    error, world = fails(Scripted(AnswerLost("cut"), health=health), SubmitUncertain)
    assert len(posts(world)) == 1
    assert error.key == "key-1"


@pytest.mark.parametrize("answer", ["yes", "no"])
def test_a_contract_that_declares_whether_keys_are_replayed_costs_no_request(answer):
    """If `replays_keys` is yes or no, the health is not requested."""
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
    """After no connection or an explicit refusal, the submission is sent again without asking about keys."""
    world = submit(Scripted(refusal, ACCEPTED, health=SILENT))
    assert [request.method for request in world.requests] == ["POST", "POST"]


def test_retry_after_is_obeyed():
    """The pause is at least as long as the service asked for."""
    assert submit(Scripted(reply(429, retry_after="7"), ACCEPTED)).pauses[0] >= 7


def test_a_long_retry_after_is_capped():
    """A Retry-After of an hour makes the client sleep for two minutes at most."""
    assert submit(Scripted(reply(429, retry_after="3600"), ACCEPTED)).pauses[0] <= 121


def test_a_pause_that_would_outlive_the_budget_ends_the_errand_at_once():
    """With a budget of 10 s, a Retry-After of 60 s raises OutOfTime at once, with the key."""
    error, world = fails(Scripted(reply(429, retry_after="60")), OutOfTime, timeout=10)
    assert world.pauses == []
    assert error.key == "key-1"
    assert error.leg == "submit"


def test_a_submission_is_tried_four_times():
    """A service that cannot be reached is given up after four tries."""
    error, world = fails(Scripted(*[Unreachable("refused")] * 9), Unreachable)
    assert len(world.requests) == 4
    assert error.attempts == 4


def test_an_untrusted_certificate_is_not_retried():
    """UntrustedCertificate is raised after one request."""
    _, world = fails(Scripted(UntrustedCertificate("bad")), UntrustedCertificate)
    assert len(world.requests) == 1


@pytest.mark.parametrize(("status", "kind"), [(400, Rejected), (409, Rejected), (422, Rejected), (429, RateLimited)])
def test_a_refusal_of_a_first_try_is_raised_with_the_services_message(status, kind):
    """The error has the code and the detail of the service's error document."""
    body = json.dumps({"error_code": "BAD", "detail": "no such thing"})
    error, _ = fails(Scripted(*[reply(status, body)] * 4), kind)
    assert (error.status_code, error.error_code, error.detail) == (status, "BAD", "no such thing")


def test_a_409_to_a_repeated_submission_is_retried():
    """A 409 means that the service is still working on the first try, so the client waits and submits again."""
    world = submit(Scripted(AnswerLost("cut"), reply(409), ACCEPTED))
    assert len(posts(world)) == 3


def test_a_422_to_a_repeated_submission_means_that_the_job_exists():
    """A service that rejects a reused key has received the first try."""
    error, _ = fails(Scripted(AnswerLost("cut"), reply(422)), SubmitUncertain)
    assert "exists" in str(error)


def test_lost_answers_until_the_policy_gives_up_are_uncertain():
    """After the last lost answer SubmitUncertain is raised, with AnswerLost as its cause."""
    error, _ = fails(Scripted(*[AnswerLost("cut")] * 9), SubmitUncertain)
    assert isinstance(error.__cause__, AnswerLost)


@pytest.mark.parametrize("doi", ["", "  ", "not a doi", "10.1000", "10.5555/a b", None, 5])
def test_a_wrong_doi_is_found_before_anything_is_sent(doi):
    """A malformed DOI raises a UsageError with an example of one, and no command is made."""
    world = World(Scripted())
    errand = Errand(world.service())
    with pytest.raises(UsageError, match=r"10\."):
        world.play(flows.start(errand, RetrieveRequest(doi), "key-1"), errand)
    assert world.commands == []


@pytest.mark.parametrize(("timeout", "sent"), [(None, 120), (100.0, 90), (1.0, 1), (0.5, 1)])
def test_the_service_gets_nine_tenths_of_the_budget(timeout, sent):
    """`timeout_seconds` is nine tenths of the budget, so that the service gives up first and can say why."""
    world = submit(Scripted(ACCEPTED), timeout=timeout)
    assert json.loads(world.requests[0].body)["timeout_seconds"] == sent


@pytest.mark.parametrize("later", [reply(400), reply(401), reply(501), reply(302, location="/elsewhere")], ids=str)
def test_a_refusal_after_a_lost_answer_is_uncertain(later):
    """The try whose answer was lost may have made a job, however the next is refused; the error has the key."""
    error, _ = fails(Scripted(AnswerLost("cut"), later), SubmitUncertain)
    assert error.key == "key-1"


@attrs.frozen
class Keyless(RetrieveContract):
    """A contract whose submissions carry no key."""

    sends_key = False

    def build_submission(self, base, request, *, key, budget, hold):
        """Leave the key out."""
        built = super().build_submission(base, request, key=key, budget=budget, hold=hold)
        return attrs.evolve(built, headers={n: v for n, v in built.headers.items() if n != "idempotency-key"})


@pytest.mark.parametrize("lost", [AnswerLost("cut"), reply(500), reply(200, "<html>")], ids=["cut", "500", "page"])
@pytest.mark.parametrize("keyless", [True, False], ids=["no key", "a key"])
def test_repeating_by_the_key_is_advised_only_if_one_is_sent(lost, keyless):
    """Without a key the same call may make a second job, so the message says to check at the service."""
    kind = Keyless if keyless else RetrieveContract
    error, _ = fails(Scripted(lost), SubmitUncertain, contract=kind(replays_keys="no"))
    assert ("error.key" in str(error), "check at the service" in str(error)) == (not keyless, keyless)


@pytest.mark.parametrize(("replays", "sends"), [("yes", True), ("ask", True), ("no", False)])
def test_a_contract_of_ones_own_sends_keys_if_it_speaks_of_replaying_them(replays, sends):
    """A class says by `replays_keys` alone whether its submissions carry the key, unless it says otherwise."""
    own = type("Own", (Contract,), {"replays_keys": replays})()
    assert own.sends_key is sends


@pytest.mark.parametrize("verb", ["start", "run"])
def test_a_key_that_is_not_sent_is_refused(verb):
    """A caller who repeats a submission by its key would make a second job if no key is sent."""
    world = World(Scripted(ACCEPTED))
    errand = Errand(world.service(contract=Keyless(replays_keys="no")))
    more = {"target": None, "hold": 0} if verb == "run" else {}
    with pytest.raises(UsageError, match="sends none"):
        world.play(getattr(flows, verb)(errand, PAPER, "key-1", again=True, **more), errand)
    assert world.requests == []


def test_a_303_to_a_submission_is_followed():
    """After 303 the job is fetched by a GET, and that is retried like any other."""
    world = submit(Scripted(reply(303, location="/jobs/j1"), Unreachable("refused"), reply(503), ACCEPTED))
    assert [request.method for request in world.requests] == ["POST", "GET", "GET", "GET"]


@pytest.mark.parametrize("lost", [Unreachable("refused"), reply(429), reply(503, retry_after="1"), reply(404)], ids=str)
def test_a_failed_get_after_a_303_is_uncertain(lost):
    """The service took the submission, so if the GET fails, it is not sent again unless keys are replayed."""
    error, world = fails(Scripted(reply(303, location="/jobs/j1"), *[lost] * 4, health=SILENT), SubmitUncertain)
    assert len(posts(world)) == 1
    assert error.key == "key-1"


def test_after_a_303_a_broken_answer_is_asked_for_by_the_key():
    """An answer behind a 303 that makes no sense counts as lost: where keys are replayed, the key finds the job."""
    world = submit(Scripted(reply(303, location="/jobs/j1"), reply(200, content_encoding="br"), ACCEPTED))
    assert [request.method for request in world.requests if "health" not in request.url] == ["POST", "GET", "POST"]
    assert len({request.headers["idempotency-key"] for request in posts(world)}) == 1


def test_after_a_303_an_answer_that_cannot_be_had_is_uncertain():
    """An answer behind a 303 that is too large will always be: the submission is uncertain, and not sent again."""
    large = reply(200, "x" * 3_000_000)
    error, world = fails(Scripted(reply(303, location="/jobs/j1"), large), SubmitUncertain)
    assert "its answer is not to be had" in str(error)
    assert len(posts(world)) == 1


@pytest.mark.parametrize("location", ["http://[", "ftp://elsewhere.test/"])
def test_a_303_that_leads_nowhere_is_an_answer_lost(location):
    """The service took the submission and does not say where the job is: only the key can find it."""
    error, world = fails(Scripted(reply(303, location=location), health=SILENT), SubmitUncertain)
    assert "does not say where its answer is" in str(error)
    assert len(posts(world)) == 1
    found = submit(Scripted(reply(303, location=location), ACCEPTED))
    assert len(posts(found)) == 2


def test_a_held_submission_without_an_answer_is_repeated_unheld():
    """The second try has the same key and bytes and is not held, since a proxy may cut long requests."""
    done = reply(200, '{"job_id":"j1","status":"completed"}')
    world = World(Scripted(reply(504), done))
    errand = Errand(world.service())
    world.play(flows.run(errand, PAPER, "key-1", None, hold=20), errand)
    first, second = posts(world)
    assert (first.body, first.headers["idempotency-key"]) == (second.body, second.headers["idempotency-key"])
    assert (first.headers["prefer"], second.headers["prefer"]) == ("respond-async, wait=20", "respond-async")


def test_a_caller_who_leaves_finds_the_job_by_an_unheld_submission():
    """The submission that finds the job to cancel is not held, since only two seconds are left for it."""
    world = World(Scripted(ACCEPTED, ACCEPTED, reply(204)))
    errand = Errand(world.service())
    with pytest.raises(Abandoned):
        world.play(flows.run(errand, PAPER, "key-1", None, hold=20), errand, leave_at=0)
    assert [(request.method, request.headers.get("prefer")) for request in world.requests[-2:]] == [
        ("POST", "respond-async"),
        ("DELETE", None),
    ]
