"""Complete errands: their requests, how they end, and what happens to the job if the caller leaves."""

import json
from pathlib import Path

import pytest

from core.test_download import PAPER as FILE
from core.test_download import Files
from core.test_submit import Keyless
from gofer.contracts.base import Ref
from gofer.core import flows
from gofer.core.commands import CheckTarget, Locate, Send
from gofer.core.errand import Errand
from gofer.core.record import JobMemory, JobRecord
from gofer.core.target import Target
from gofer.errors import Abandoned, AnswerLost, JobFailed, JobLost, OutOfTime, TargetError, Unreachable
from gofer.events import CancelSent, Saved, Submitted
from gofer.models import RetrieveRequest, Verified
from support.world import World, reply

PAPER = RetrieveRequest("10.5555/12345678")
TARGET = Path("/papers/paper.pdf")
HEALTH = reply(200, '{"status":"healthy","capabilities":["idempotency-key"]}')


class Service:
    """A service that makes jobs by key, and counts them."""

    def __init__(self, *, states=("completed",), replays=True, held=False):
        self.states, self.replays, self.held = states, replays, held
        self.jobs, self.polls, self.cancelled, self.faults = {}, {}, [], []
        self.files = Files(FILE)

    def __call__(self, request, world):
        """Answer any request."""
        path = request.url.removeprefix("http://service.test")
        if self.faults and self.faults[0][0] == request.method:
            fault = self.faults.pop(0)[1]
            if fault is not None:
                if request.method == "POST" and isinstance(fault, AnswerLost):
                    self.submit(request)
                return fault
        if path == "/health":
            return HEALTH if self.replays else reply(200, '{"status":"healthy"}')
        if path == "/retrieve":
            job = self.submit(request)
            return reply(202, json.dumps({"job_id": job, "status": "completed" if self.held else "pending"}))
        if path.endswith("/file"):
            return self.files.file(request)
        job = path.removeprefix("/jobs/")
        if request.method == "DELETE":
            self.cancelled.append(job)
            return reply(200, json.dumps({"job_id": job, "status": "failed", "error_code": "CANCELLED"}))
        if job not in self.jobs.values():
            return reply(404)
        at = self.polls[job] = self.polls.get(job, 0) + 1
        return reply(200, json.dumps({"job_id": job, "status": self.states[min(at, len(self.states)) - 1]}))

    def submit(self, request):
        """Make a job, or find it by its key."""
        key = request.headers["idempotency-key"]
        if not self.replays or key not in self.jobs:
            self.jobs[key if self.replays else len(self.jobs)] = f"j{len(self.jobs) + 1}"
        return list(self.jobs.values())[-1] if not self.replays else self.jobs[key]


def run(service, *, to=TARGET, timeout=None, leave_at=None, latency=0.0, **rules):
    """Run a complete errand; return the world, with the outcome or the error in it."""
    world = World(service, latency=latency)
    errand = Errand(world.service(**rules), timeout=timeout)
    world.errand = errand
    try:
        world.outcome = world.play(
            flows.run(errand, PAPER, "key-1", None if to is None else Target(to), hold=20), errand, leave_at=leave_at
        )
        world.error = None
    except Exception as error:
        world.outcome, world.error = None, error
    return world


def test_an_errand_downloads_the_file_and_says_how_it_was_verified():
    """`run` returns the value, the path, the verification and the job's id."""
    world = run(Service(states=("searching", "completed")))
    assert world.outcome.path == TARGET
    assert world.outcome.verified is Verified.LENGTH
    assert (world.outcome.job_id, world.outcome.value.status) == ("j1", "completed")
    assert world.files[TARGET] == FILE
    assert [type(event) for event in world.events if isinstance(event, Submitted | Saved)] == [Submitted, Saved]


def test_a_quick_job_costs_two_requests():
    """If the answer to the submission shows the completed job, the file is the only other request."""
    world = run(Service(held=True))
    assert [(request.method, request.url[-5:]) for request in world.requests] == [("POST", "rieve"), ("GET", "/file")]
    assert world.requests[0].headers["prefer"] == "respond-async, wait=20"


def test_an_errand_without_a_target_fetches_no_file():
    """With no target, only the submission is sent and there is no path."""
    world = run(Service(held=True), to=None)
    assert world.outcome.path is None
    assert len(world.requests) == 1


def test_the_target_is_checked_before_a_job_is_made():
    """If the target cannot be written, nothing is submitted."""
    world = run(Service())
    assert [type(command) for command in world.commands[:3]] == [Locate, CheckTarget, Send]
    refusing = World(Service())
    refusing.handler = Service()
    errand = Errand(refusing.service())

    def refuse(command):
        raise TargetError("no")

    refusing._answer = refuse
    with pytest.raises(TargetError):
        refusing.play(flows.run(errand, PAPER, "key-1", Target(TARGET), hold=0), errand)
    assert refusing.requests == []


def test_a_failed_job_ends_the_errand_without_a_download():
    """A failed job raises JobFailed, and the file is not requested."""
    world = run(Service(states=("failed",)))
    assert isinstance(world.error, JobFailed)
    assert not any(request.url.endswith("/file") for request in world.requests)


def test_at_the_deadline_the_job_is_cancelled():
    """`run` cancels its job when the budget ends, because no caller will fetch the result."""
    service = Service(states=("searching",))
    world = run(service, timeout=10)
    assert isinstance(world.error, OutOfTime)
    assert service.cancelled == ["j1"]
    assert world.mono - 1000 <= 10.5


def test_on_abandon_leave_keeps_the_job_running():
    """With `on_abandon="leave"` the job is not cancelled, and the error has its ticket."""
    service = Service(states=("searching",))
    world = run(service, timeout=10, on_abandon="leave")
    assert service.cancelled == []
    assert world.error.ticket is not None


@pytest.mark.parametrize("end", [{"timeout": 10}, {"leave_at": 6}], ids=["deadline", "interrupted"])
@pytest.mark.parametrize("policy", ["cancel", "leave", "cancel-if-interrupted"])
def test_on_abandon_tells_a_caller_who_leaves_from_a_deadline(policy, end):
    """With "cancel-if-interrupted" the job is cancelled for a caller who leaves, and kept at a deadline."""
    service = Service(states=("searching",))
    world = run(service, on_abandon=policy, **end)
    assert isinstance(world.error, OutOfTime if "timeout" in end else Abandoned)
    cancelled = policy == "cancel" or (policy == "cancel-if-interrupted" and "leave_at" in end)
    assert service.cancelled == (["j1"] if cancelled else [])


@pytest.mark.parametrize("at", range(1, 14))
def test_a_caller_who_leaves_at_any_command_leaves_no_job_behind(at):
    """Wherever the caller leaves, the job is cancelled or has ended."""
    service = Service(states=("searching", "searching", "searching", "completed"))
    world = run(service, leave_at=at)
    if world.error is None:
        return
    assert isinstance(world.error, Abandoned)
    ended = any(request.url.endswith("/file") for request in world.requests)
    if service.jobs:
        assert service.cancelled == ["j1"] or ended or world.errand.record.status.done
    assert len(service.jobs) <= 1


def test_a_job_whose_submission_has_no_answer_yet_is_found_by_its_key_and_cancelled():
    """A caller who leaves while the service holds the submission cancels the job that it made."""
    service = Service(states=("searching",))
    service.faults = [("POST", AnswerLost("cut"))]
    world = World(service)
    errand = Errand(world.service())
    run_ = flows.run(errand, PAPER, "key-1", None, hold=20)
    with pytest.raises(Abandoned):
        world.play(run_, errand, leave_at=1)
    assert service.cancelled == ["j1"]
    assert len(service.jobs) == 1


def test_a_job_is_not_submitted_again_to_be_cancelled_if_keys_are_not_replayed():
    """A caller who leaves never makes another job."""
    service = Service(states=("searching",), replays=False)
    service.faults = [("POST", AnswerLost("cut"))]
    world = World(service)
    errand = Errand(world.service())
    with pytest.raises(Abandoned):
        world.play(flows.run(errand, PAPER, "key-1", None, hold=20), errand, leave_at=1)
    assert len(service.jobs) == 1
    assert service.cancelled == []


def test_cancelling_at_the_deadline_is_limited_in_time():
    """A service that does not answer the cancellation delays the caller by two seconds at most."""

    def service(request, world):
        if request.method == "DELETE":
            world.mono += 1.5
            return AnswerLost("no answer")
        if request.method == "POST":
            return reply(202, '{"job_id":"j1","status":"pending"}')
        return reply(200, '{"job_id":"j1","status":"searching"}')

    world = run(service, timeout=10)
    assert isinstance(world.error, OutOfTime)
    assert world.mono - 1000 <= 13
    deletes = [
        command for command in world.commands if isinstance(command, Send) and command.request.method == "DELETE"
    ]
    assert all(command.timeout <= 2 for command in deletes)


def test_the_cancellation_is_an_event():
    """The event says whether the service confirmed the cancellation."""
    world = run(Service(states=("searching",)), timeout=10)
    assert [event.confirmed for event in world.events if isinstance(event, CancelSent)] == [True]


def test_a_handle_keeps_its_job_running_at_the_deadline():
    """`wait` does not cancel the job when its budget ends."""
    service = Service(states=("searching",))
    service.jobs["k"] = "j1"
    world = World(service)
    errand = Errand(world.service(), JobMemory(JobRecord(Ref("j1"), accepted=True)), timeout=5)
    with pytest.raises(OutOfTime):
        world.play(flows.wait(errand), errand)
    assert service.cancelled == []


def test_a_lost_job_is_submitted_again_once_if_keys_are_replayed():
    """`run` submits again with the same key if the service has lost the job."""
    service = Service()
    gone = {"j1"}

    def forgetful(request, world):
        if any(f"/jobs/{job}" in request.url for job in gone):
            service.jobs = {key: job for key, job in service.jobs.items() if job not in gone} or {"other": "j0"}
            return reply(404)
        return service(request, world)

    world = run(forgetful)
    assert world.error is None
    assert world.outcome.job_id == "j2"


@pytest.mark.parametrize("replays", [True, False])
def test_a_lost_job_is_an_error_if_a_second_submission_does_not_help(replays):
    """JobLost is raised if the second submission gives the same id, or if keys are not replayed."""
    service = Service(replays=replays)

    def forgetful(request, world):
        return reply(404) if "/jobs/" in request.url else service(request, world)

    world = run(forgetful)
    assert isinstance(world.error, JobLost)
    assert len(service.jobs) == 1


def test_a_caller_who_leaves_before_anything_was_submitted_sends_nothing_more():
    """If no connection was made, there is no job to find and cancel."""
    world = World(lambda request, world: Unreachable("refused"))
    errand = Errand(world.service())
    with pytest.raises(Abandoned):
        world.play(flows.run(errand, PAPER, "key-1", None, hold=20), errand, leave_at=2)
    assert len(world.requests) == 1


def test_a_caller_who_leaves_while_a_lost_job_is_submitted_again_leaves_no_job_behind():
    """The job that is cancelled is the one of the new submission, not the lost one."""
    service = Service(states=("searching",))

    def forgetful(request, world):
        if "/jobs/j1" in request.url:
            service.jobs = {"lost": "j1"}
            return reply(404)
        return service(request, world)

    world = run(forgetful, timeout=400, on_abandon="leave")
    second = [n for n, command in enumerate(world.commands) if is_post(command)][1]
    service.jobs = {}
    assert isinstance(run(forgetful, leave_at=second).error, Abandoned)
    assert service.cancelled == ["j2"]


def is_post(command):
    """Tell whether a command is a submission."""
    return isinstance(command, Send) and command.request.method == "POST"


UNANSWERED = {
    "health is silent": (False, [("GET", AnswerLost("health"))] * 9),
    "keys are not replayed": (False, []),
    "the service does not answer": (True, [("POST", AnswerLost("cut"))] * 9),
    "the service is in trouble": (True, [("POST", reply(500))] * 9),
    "the answer is nonsense": (True, [("POST", reply(200, "<html>"))] * 9),
}


@pytest.mark.parametrize("case", UNANSWERED)
def test_a_submission_without_an_answer_is_warned_of_when_the_caller_leaves(case, caplog):
    """If the job cannot be found and cancelled, one warning says that it may exist, and names its key."""
    replays, faults = UNANSWERED[case]
    service = Service(replays=replays)
    service.faults = list(faults)
    with caplog.at_level("WARNING", "gofer"):
        world = run(service, leave_at=2, timeout=60, latency=0.7)
    assert isinstance(world.error, Abandoned)
    (warning,) = [record.getMessage() for record in caplog.records]
    assert "submission" in warning
    assert "'key-1'" in warning
    assert "job  " not in warning
    assert "out of time" not in warning.lower()


@pytest.mark.parametrize("verb", ["start", "run"])
@pytest.mark.parametrize("leave_at", [0, 1])
def test_a_submission_that_is_left_alone_is_warned_of(verb, leave_at, caplog):
    """Also where the job is not to be cancelled, a caller who leaves gets the key, and only if there is no answer."""
    world = World(Service(states=("searching",)))
    errand = Errand(world.service(on_abandon="leave"))
    more = {"target": None, "hold": 0} if verb == "run" else {}
    with caplog.at_level("WARNING", "gofer"), pytest.raises(Abandoned):
        world.play(getattr(flows, verb)(errand, PAPER, "key-1", **more), errand, leave_at=leave_at)
    assert [request.method for request in world.requests] == ["POST"] * leave_at
    assert ["'key-1'" in record.getMessage() for record in caplog.records] == [True] * (1 - leave_at)


def test_a_warning_names_no_key_if_none_is_sent(caplog):
    """The caller cannot find the job by a key that the service never got."""
    world = World(lambda request, world: reply(500))
    errand = Errand(world.service(contract=Keyless(replays_keys="no")))
    with caplog.at_level("WARNING", "gofer"), pytest.raises(Abandoned):
        world.play(flows.run(errand, PAPER, "key-1", None, hold=0), errand, leave_at=0)
    (warning,) = [record.getMessage() for record in caplog.records]
    assert "may have made a job" in warning
    assert "key" not in warning


def test_a_caller_who_leaves_before_the_submission_is_sent_is_not_warned(caplog):
    """Nothing was sent, so nothing is logged."""
    with caplog.at_level("WARNING", "gofer"):
        run(Service(), leave_at=0)
    assert caplog.records == []


@pytest.mark.parametrize("policy", ["cancel", "leave"])
def test_an_error_says_whether_the_job_was_cancelled(policy):
    """After a deadline that cancelled the job there is nothing to attach to, so the error is not retryable."""
    world = run(Service(states=("searching",)), timeout=10, on_abandon=policy)
    assert world.error.cancelled is (policy == "cancel")
    assert world.error.retryable is (policy == "leave")
    assert world.error.ticket
