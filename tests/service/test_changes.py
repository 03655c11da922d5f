"""The feed of changes, and callers that have names: what each of them sees."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import httpx
import pytest

from gofer_service import local_app, running, sample_library
from gofer_service.engine import CursorGone, ErrorCode, Job, Status, Submission
from gofer_service.ledger import MAX_TOLD, Ledger

from .conftest import PAPER, finish

LATE = "10.5555/gofer.2026.2"
CALLERS = [("ann", "a-token"), ("bob", "b-token")]


def caller(url: str, token: str) -> httpx.Client:
    """Make a client for a caller."""
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60)


@pytest.fixture
def named(tmp_path: Path) -> Iterator[str]:
    """Give the address of a service with two callers, and a token without a name."""
    with running(local_app(sample_library(), tmp_path, token="plain", tokens=CALLERS)) as url:
        yield url


def told(http: httpx.Client, since: str, **params: str) -> tuple[list[str], str]:
    """Ask the feed, held for a short time; return the ids of jobs and the next cursor."""
    reply = http.get("/jobs/changes", params={"since": since, **params}, headers={"Prefer": "wait=20"})
    assert reply.status_code == 200, reply.text
    assert reply.headers["preference-applied"] == "wait=20"
    return [job["job_id"] for job in reply.json()["changes"]], reply.json()["next"]


def test_the_first_answer_has_a_cursor_and_no_change(http: httpx.Client) -> None:
    """Without a cursor there is the one of now, at once, whatever has happened before."""
    finish(http)
    document = http.get("/jobs/changes", headers={"Prefer": "wait=20"}).json()
    assert document["changes"] == []
    assert http.get("/jobs/changes", params={"since": document["next"]}).json() == document


def test_a_held_request_is_answered_by_a_change(http: httpx.Client) -> None:
    """Each change of a job's state is told until it has ended, each time with the job as it is."""
    cursor = http.get("/jobs/changes").json()["next"]
    job_id = http.post("/retrieve", json={"doi": PAPER}).json()["job_id"]
    states = list[str]()
    while "completed" not in states:
        document = http.get("/jobs/changes", params={"since": cursor}, headers={"Prefer": "wait=20"}).json()
        assert [job["job_id"] for job in document["changes"]] == [job_id]
        states += [job["status"] for job in document["changes"]]
        cursor = document["next"]
    assert told(http, "0")[0].count(job_id) == 1


def test_more_than_one_answer_may_hold_come_one_after_the_other(http: httpx.Client) -> None:
    """`limit` cuts an answer, and its cursor goes on exactly there."""
    cursor = http.get("/jobs/changes").json()["next"]
    ids = [finish(http)["job_id"] for _ in range(3)]
    seen = list[str]()
    for _ in ids:
        some, cursor = told(http, cursor, limit="1")
        seen += some
    assert sorted(seen) == sorted(ids)


@pytest.mark.parametrize("query", ["since=x", "since=-1", "limit=0", "limit=501", f"since={'9' * 30}"])
def test_a_wrong_question_is_refused(http: httpx.Client, query: str) -> None:
    """What is no cursor and no limit is 400."""
    assert http.get(f"/jobs/changes?{query}").status_code == 400


def test_a_cursor_of_other_records_is_gone(http: httpx.Client) -> None:
    """A cursor that no change has had yet was given by a service with other records."""
    assert http.get("/jobs/changes?since=999999999").status_code == 410


def test_nobody_sees_another_callers_jobs(named: str) -> None:
    """The job, its file, its end, the list, the feed and the key are the caller's own."""
    with caller(named, "a-token") as ann, caller(named, "b-token") as bob, caller(named, "plain") as other:
        key = {"Idempotency-Key": '"one"'}
        job = finish(ann)
        path = f"/jobs/{job['job_id']}"
        assert ann.get(f"{path}/file").status_code == 200
        for stranger in (bob, other):
            for method, there in (("GET", path), ("DELETE", path), ("GET", f"{path}/file")):
                refusal = stranger.request(method, there, headers={"Prefer": "wait=20"})
                assert (refusal.status_code, refusal.json()["detail"]) == (404, "there is no such job")
            assert stranger.get("/jobs").json()["jobs"] == []
            assert stranger.get("/jobs/changes?since=0").json()["changes"] == []
        assert [one["job_id"] for one in ann.get("/jobs").json()["jobs"]] == [job["job_id"]]
        first, second = (each.post("/retrieve", json={"doi": PAPER}, headers=key).json() for each in (ann, bob))
        assert first["job_id"] != second["job_id"]
        assert ann.post("/retrieve", json={"doi": PAPER}, headers=key).json()["job_id"] == first["job_id"]


@pytest.mark.parametrize("token", ["other", "a-toke", "a-tokenx", "ann", "ann:a-token"])
def test_a_token_that_is_nobodys_is_refused(named: str, token: str) -> None:
    """Neither a part of a token nor a name is one."""
    with httpx.Client(base_url=named) as http:
        assert http.get("/jobs", headers={"Authorization": f"Bearer {token}"}).status_code == 401


def test_a_change_of_one_caller_wakes_no_answer_for_another(named: str) -> None:
    """A held request ends with its own caller's change, after others have changed."""
    with caller(named, "a-token") as ann, caller(named, "b-token") as bob:
        cursor = ann.get("/jobs/changes").json()["next"]
        answers = list[list[str]]()
        thread = threading.Thread(target=lambda: answers.append(told(ann, cursor)[0]))
        thread.start()
        finish(bob)
        time.sleep(0.1)
        assert not answers
        job_id = ann.post("/retrieve", json={"doi": PAPER}).json()["job_id"]
        thread.join(60)
        assert answers == [[job_id]]


def ledger(path: Path) -> Ledger:
    """Open records."""
    return Ledger(path / "jobs.sqlite3", retention=100.0)


def submitted(records: Ledger, number: int, owner: str = "", doi: str = PAPER) -> Job:
    """Add a job."""
    job = Job(f"job-{number}", Submission(doi), deadline=1e9, created=0, updated=0, owner=owner)
    return records.add(job, None, 10_000)


def test_cursors_hold_across_restarts_and_deletions(tmp_path: Path) -> None:
    """Numbers of changes are never used again, also when the newest job was deleted before the restart."""
    records = ledger(tmp_path)
    for number in range(3):
        submitted(records, number)
    cursor = records.changes("", None, 10).next
    assert records.cancel("job-2", now=10.0) is not None
    after = records.changes("", cursor, 10)
    assert [job.error_code for job in after.jobs] == [ErrorCode.CANCELLED]
    records.purge(now=1000.0)
    records.close()
    records = ledger(tmp_path)
    assert records.get("job-2") is None
    assert records.changes("", after.next, 10).jobs == ()
    submitted(records, 7)
    assert [job.id for job in records.changes("", after.next, 10).jobs] == ["job-7"]
    with pytest.raises(CursorGone):
        records.changes("", after.next + 100, 10)
    records.close()


def test_progress_is_no_change_of_state(tmp_path: Path) -> None:
    """A report without a new state is not told."""
    records = ledger(tmp_path)
    submitted(records, 1)
    job = records.claim()
    assert job is not None
    cursor = records.changes("", None, 10).next
    records.report(job.id, job.attempt, 1.0, {"progress": 0.5})
    assert records.changes("", cursor, 10).jobs == ()
    records.report(job.id, job.attempt, 2.0, {"status": Status.SEARCHING})
    assert [one.status for one in records.changes("", cursor, 10).jobs] == [Status.SEARCHING]
    records.close()


def test_an_answer_is_bounded(tmp_path: Path) -> None:
    """Records that are large are told in several answers; none is passed over."""
    records = ledger(tmp_path)
    big = "10.5555/" + "x" * (MAX_TOLD // 3)
    for number in range(7):
        submitted(records, number, doi=big)
    seen, cursor = list[str](), 0
    for _ in range(4):
        some = records.changes("", cursor, 500)
        assert sum(len(job.submission.doi) for job in some.jobs) <= MAX_TOLD
        seen, cursor = [*seen, *(job.id for job in some.jobs)], some.next
    assert seen == [f"job-{number}" for number in range(7)]
    records.close()


def test_a_stop_answers_held_requests(tmp_path: Path) -> None:
    """When the service stops, a held request is answered with what there is."""
    answers = list[int]()
    with httpx.Client(timeout=60) as http, running(local_app(sample_library(), tmp_path)) as url:
        feed = f"{url}/jobs/changes"
        cursor = http.get(feed).json()["next"]

        def ask() -> None:
            answers.append(http.get(f"{feed}?since={cursor}", headers={"Prefer": "wait=20"}).status_code)

        thread = threading.Thread(target=ask)
        thread.start()
        anyio.run(anyio.sleep, 0.3)
    thread.join(60)
    assert answers == [200]
