"""Two verbs of one handle at once: the reply to the first comes late, after the second verb has ended.

The wire brings this about by itself: before it answers the first verb's poll, it lets the second verb run to its end.
So the order is the same on every run and on both faces, and no thread or timer is needed.
"""

import json
import threading

import pytest
from attrs import define, field

import gofer
from gofer.core.record import JobMemory, JobRecord
from gofer.models import State, Status
from gofer.transports import Head, Now
from support.declared import said

BASE = "http://service.test"
JOB = """name = "jobs"
[submit]
url = "{base}/jobs"
json = "{input}"
id = "/id"
[poll]
url = "{base}/jobs/{id}"
[status]
state = "/status"
[states]
running = "running"
succeeded = "done"
failed = "failed"
"""
DOCUMENT = '[result]\nurl = "{base}/jobs/{id}/result"\n'


@define
class Kind:
    """A kind of contract: what the late poll and every other poll answer, and what the job comes to."""

    contract: object
    late: dict
    poll: dict
    result: dict | bytes = field(factory=dict)
    value: object = None
    file: bytes | None = None
    error: str | None = None


RUNNING, DONE, FAILED = {"status": "running"}, {"status": "done", "output": "42"}, {"status": "failed"}
PAPER = b"%PDF-1.7 paper"
KINDS = {
    "retrieval": Kind(
        None,
        {"job_id": "7", "status": "downloading"},
        {"job_id": "7", "status": "completed", "doi": "10.5555/1", "file_size": len(PAPER), "file_format": "pdf"},
        PAPER,
        gofer.RetrieveResult("7", "completed", "10.5555/1", file_size=len(PAPER), file_format="pdf"),
        PAPER,
    ),
    "older status": Kind(JOB, RUNNING, DONE, value=DONE),
    "value in the status": Kind(JOB + '[result]\nvalue = "/output"\n', DONE, DONE, value="42", file=b"42"),
    "value in a document": Kind(JOB + DOCUMENT, DONE, DONE, {"answer": 42}, {"answer": 42}, b'{"answer": 42}'),
    "a place in a document": Kind(JOB + DOCUMENT + 'value = "/out"\n', DONE, DONE, {"out": "42"}, "42", b"42"),
    "a file": Kind(JOB + DOCUMENT + "file = true\n", DONE, DONE, PAPER, None, PAPER),
    "a reason in a document": Kind(
        JOB + '[reason]\nurl = "{base}/jobs/{id}/result"\nerror = "/why"\n',
        FAILED,
        FAILED,
        {"why": "no ink"},
        error="ink",
    ),
    "failed after all": Kind(
        JOB + DOCUMENT + 'failed = "/fault"\nerror = "/fault"\n', DONE, DONE, {"fault": "no ink"}, error="ink"
    ),
}


class Wire:
    """Answers by path; `meanwhile` runs before the first poll is answered."""

    def __init__(self, kind):
        self.kind, self.mono, self.meanwhile, self.paths = kind, 100.0, None, []

    def now(self):
        """The virtual time."""
        return Now(self.mono, self.mono)

    def answered(self, request, *, late):
        """The head and body for a path."""
        self.mono += 0.01
        self.paths.append(request.url.removeprefix(BASE))
        if request.url.endswith(("/result", "/file")):
            given = self.kind.result
        else:
            given = self.kind.late if late else self.kind.poll
        body = given if isinstance(given, bytes) else json.dumps(given).encode()
        kind = "application/pdf" if body == PAPER else "application/json"
        return Head(request.url, 200, {"content-type": kind, "content-length": str(len(body))}), body

    def taken(self):
        """What is to happen meanwhile, once."""
        meanwhile, self.meanwhile = self.meanwhile, None
        return meanwhile


class BlockingWire(Wire):
    """The blocking one."""

    def sleep(self, seconds):
        """Move the clock."""
        self.mono += seconds

    def open(self, request, *, timeout, stall):
        """Answer, late if something is to happen meanwhile."""
        meanwhile = self.taken()
        if meanwhile is not None:
            meanwhile()
        head, data = self.answered(request, late=meanwhile is not None)
        return head, Body(data)


class AwaitedWire(Wire):
    """The awaited one."""

    async def sleep(self, seconds):
        """Move the clock."""
        self.mono += seconds

    async def open(self, request, *, timeout, stall):
        """Answer, late if something is to happen meanwhile."""
        meanwhile = self.taken()
        if meanwhile is not None:
            await meanwhile()
        head, data = self.answered(request, late=meanwhile is not None)
        return head, AwaitedBody(data)


@define
class Body:
    """A body in one piece."""

    data: bytes

    def chunks(self):
        """Yield it."""
        yield self.data

    def close(self):
        """Close nothing."""


@define
class AwaitedBody:
    """The same, awaited."""

    data: bytes

    async def chunks(self):
        """Yield it."""
        yield self.data

    async def close(self):
        """Close nothing."""


def client_of(kind, face, wire):
    """A client of this kind of contract."""
    contract = said(kind.contract) if isinstance(kind.contract, str) else kind.contract
    return face(BASE, contract=contract, io=wire)


def judge(kind, job, ended, first, wire):
    """Hold what both verbs gave, and what the handle shows afterwards, against what the job came to."""
    error, value = ended
    assert (first.done, job.done) == (True, True)
    assert str(job.status) == str(kind.poll["status"])
    if kind.error is None:
        assert (error, value) == (None, kind.value)
        assert job.status.state is State.SUCCEEDED
    else:
        assert isinstance(error, gofer.JobFailed)
        assert kind.error in error.error
        assert job.status.state is State.FAILED
    assert wire.paths.count("/jobs/7/result") <= (2 if kind.file == PAPER else 1)


@pytest.mark.parametrize("verb", ["wait", "refresh"])
@pytest.mark.parametrize("name", KINDS)
def test_a_late_reply_never_takes_the_place_of_what_was_learned(name, verb, tmp_path):
    """`wait` or `refresh` is answered after `result` has ended: status, value, reason and file stay what they were."""
    kind = KINDS[name]
    wire = BlockingWire(kind)
    job = client_of(kind, gofer.Client, wire).job("7")

    def result():
        try:
            return None, job.result()
        except gofer.JobFailed as error:
            return error, None

    ended = []
    wire.meanwhile = lambda: ended.append(result())
    getattr(job, verb)()
    judge(kind, job, ended[0], job.status, wire)
    judge(kind, job, result(), job.status, wire)
    if kind.file is not None:
        assert job.download(tmp_path / "out").read_bytes() == kind.file


@pytest.mark.parametrize("verb", ["wait", "refresh"])
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.anyio
async def test_a_late_reply_never_takes_the_place_of_what_was_learned_when_awaited(name, verb, tmp_path):
    """The awaited face keeps the same record."""
    kind = KINDS[name]
    wire = AwaitedWire(kind)
    job = client_of(kind, gofer.AsyncClient, wire).job("7")

    async def result():
        try:
            return None, await job.result()
        except gofer.JobFailed as error:
            return error, None

    ended = []

    async def meanwhile():
        ended.append(await result())

    wire.meanwhile = meanwhile
    await getattr(job, verb)()
    judge(kind, job, ended[0], job.status, wire)
    judge(kind, job, await result(), job.status, wire)
    if kind.file is not None:
        assert (await job.download(tmp_path / "out")).read_bytes() == kind.file


def snapshot(state, word="x"):
    """A snapshot with this state."""
    return gofer.Snapshot(gofer.Ref("7"), Status(word, state), None)


@pytest.mark.parametrize("first", list(State))
@pytest.mark.parametrize("second", list(State))
@pytest.mark.parametrize("late", [True, False])
def test_the_record_of_a_job_only_goes_forward(first, second, late):
    """An end stays, whatever comes after it; of two replies about an active job the one to the later poll counts."""
    record = (
        JobRecord().after_poll(snapshot(first, "first"), 2).after_poll(snapshot(second, "second"), 1 if late else 3)
    )
    if first.ended:
        assert record.status.state is first
    elif late and not second.ended:
        assert record.status == "first"
    else:
        assert record.status == "second"


def test_the_first_results_stay():
    """What a job came to is read once; a second reader does not change it."""
    one, two = snapshot(State.SUCCEEDED), snapshot(State.FAILED)
    assert JobRecord().after_results(one).after_results(two).results is one


def test_no_transition_is_lost_between_threads():
    """The memory replaces its record in one step: every thread's transition counts."""
    memory = JobMemory(JobRecord(poll=0))
    numbers = []

    def work():
        for _ in range(500):
            numbers.append(memory.next_poll())
            memory.update(lambda record: record.after_poll(snapshot(State.RUNNING), record.poll + 1))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert memory.record.poll == 4000
    assert sorted(numbers) == list(range(1, 4001))
