"""What a batch does, on every face: each errand its own job and file; limits for all of them; what stops it."""

import json
import sqlite3
import threading
import time
from contextlib import aclosing, closing
from pathlib import Path

import anyio
import pytest

import gofer
from gofer.transports import journal as journals
from support.declared import as_json, path_of, said, service
from support.raw_server import RESET, http, raw_server

from .works import DOCUMENT, LINKED, MODES, Works, all_done, options_of, run_batch, works

pytestmark = pytest.mark.parametrize("mode", MODES)


@pytest.fixture
def model():
    """A service that replays keys."""
    return Works()


@pytest.fixture
def url(model):
    """Its address."""
    with service(model) as server:
        yield server.url


def files(folder):
    """The files in a folder and what is in them."""
    return {path.name: path.read_text() for path in Path(folder).iterdir()}


def test_each_errand_has_its_own_job_and_file(mode, model, url, tmp_path):
    """Every request is one job, and its result is at its own path, as the errand says."""
    ran = run_batch(mode, url, model.contract(), works(12), to=tmp_path / "out" / "{n}.txt")
    assert ran.counts == all_done(12)
    assert len(model.jobs) == 12
    assert files(tmp_path / "out") == {f"{n}.txt": f"content of {n}" for n in range(12)}
    for errand in ran.errands:
        assert errand.path == tmp_path / "out" / f"{errand.request['n']}.txt"
        assert model.jobs[errand.job_id]["n"] == errand.request["n"]


def test_a_failure_is_an_errands_own(mode, model, url, tmp_path):
    """A failed job, a refused one and a target that cannot be written end nothing else; the error says why."""
    (tmp_path / "3.txt").mkdir()

    def refuse(call):
        return http(422, '{"detail": "no such n"}') if call.method == "POST" and b'"n":2' in call.body else None

    model.refuse = refuse
    requests = [{"n": 0}, {"n": 1, "fails": 1}, {"n": 2}, {"n": 3, "fails": 1}, {"n": 4}]
    ran = run_batch(mode, url, model.contract(), requests, to=tmp_path / "{n}.txt")
    errors = {errand.request["n"]: errand.error for errand in ran.errands}
    assert [ran.state(n) for n in range(5)] == ["done", "failed", "failed", "failed", "done"]
    assert isinstance(errors[1], gofer.JobFailed)
    assert isinstance(errors[2], gofer.Rejected)
    assert ran.counts | {"done": 2, "failed": 3} == ran.counts
    assert ran.error is None


def test_an_equal_request_is_taken_once(mode, model, url):
    """The order of members makes no difference, and what is there already is left out."""
    twice = [{"n": 1, "a": 2}, {"a": 2, "n": 1}, {"n": 1, "a": 3}]
    assert run_batch(mode, url, model.contract(), twice).counts == all_done(2)
    assert len(model.jobs) == 2


@pytest.mark.parametrize("to", ["same.txt", "{kind}.txt"])
def test_two_errands_for_one_path_are_refused_before_anything_is_sent(mode, model, url, tmp_path, to):
    """Equal targets, also of texts that become equal as file names, are an error of `add`."""
    requests = [{"n": 1, "kind": "a/b"}, {"n": 2, "kind": "a_b"}]
    with pytest.raises(gofer.UsageError, match="Two errands would write to"):
        run_batch(mode, url, model.contract(), requests, to=tmp_path / to)
    assert model.posts == 0


def test_a_request_for_the_path_of_a_failed_errand_takes_its_place(mode, model, url, tmp_path):
    """A corrected request needs no other journal; one for the path of what is done is still refused."""
    journal, to = tmp_path / "run.gofer", tmp_path / "{n}.txt"
    requests = [{"n": 1, "fails": 1}, {"n": 2}]
    assert run_batch(mode, url, model.contract(), requests, journal=journal, to=to).counts["failed"] == 1
    ran = run_batch(mode, url, model.contract(), [{"n": 1, "title": "right"}], journal=journal, to=to)
    assert ran.counts == all_done(2)
    with pytest.raises(gofer.UsageError, match=r"number 2 \(done\), which is "):
        run_batch(mode, url, model.contract(), [{"n": 2, "title": "other"}], journal=journal, to=to)


@pytest.mark.parametrize("wrong", [{"n": float("nan")}, {"n": b"x"}, {"n": object()}, "text", 3, [{"n": 1}], {1: {2}}])
def test_a_request_that_is_no_json_is_refused_before_anything_is_sent(mode, model, url, wrong):
    """NaN, bytes and objects are none; what the contract does not take is no request either."""
    with pytest.raises(gofer.UsageError):
        run_batch(mode, url, model.contract(), [{"n": 0}, wrong])
    assert model.posts == 0


def test_a_template_with_a_field_that_is_missing_is_refused(mode, model, url, tmp_path):
    """The message lists the fields that there are."""
    with pytest.raises(gofer.UsageError, match=r"nothing fills here. There is \{job_id\}, \{n\}"):
        run_batch(mode, url, model.contract(), works(2), to=tmp_path / "{name}.txt")
    assert model.posts == 0


def test_a_target_that_is_there_is_replaced_or_refused(mode, model, url, tmp_path):
    """`exists="refuse"` refuses one that was there before its errand was added, and none that the batch has brought."""
    (tmp_path / "0.txt").write_text("old")
    refusing = {"to": tmp_path / "{n}.txt", "exists": "refuse"}
    with pytest.raises(gofer.TargetError, match="is there already"):
        run_batch(mode, url, model.contract(), works(1), **refusing)
    assert model.posts == 0
    assert run_batch(mode, url, model.contract(), works(1), to=tmp_path / "{n}.txt").counts == all_done(1)
    assert (tmp_path / "0.txt").read_text() == "content of 0"
    more = [{"n": 7}]
    first = run_batch(mode, url, model.contract(), more, journal=tmp_path / "run.gofer", **refusing)
    again = run_batch(mode, url, model.contract(), journal=tmp_path / "run.gofer", **refusing)
    assert (first.counts, again.counts) == (all_done(1), all_done(1))


def test_no_more_jobs_than_the_limit_are_unfinished(mode, model, url):
    """`jobs` counts what is at the service and has not ended."""
    ran = run_batch(mode, url, model.contract(), works(9), jobs=3)
    assert ran.counts == all_done(9)
    assert 1 < model.most <= 3


@pytest.mark.parametrize("linked", [True, False], ids=["links", "the result itself"])
def test_no_more_downloads_than_the_limit_come_at_once(mode, model, tmp_path, linked):
    """`downloads` counts results whose bytes are on the way, also those that the result's own address answers with."""
    now, most, lock = [0], [0], threading.Lock()

    def script(call):
        if not path_of(call).endswith("/file"):
            return [model(call)]
        answer = model(call)
        head, _, body = answer.partition(b"\r\n\r\n")

        def pieces():
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            yield head + b"\r\n\r\n" + body[:3]
            yield 0.05
            with lock:
                now[0] -= 1
            yield body[3:]

        return pieces()

    contract = said(LINKED) if linked else model.contract()
    with raw_server(script) as server:
        ran = run_batch(mode, server.url, contract, works(10), to=tmp_path / "{n}.txt", downloads=2)
    assert ran.counts == all_done(10)
    assert 1 <= most[0] <= 2


def test_a_result_that_is_the_file_is_asked_for_once(mode, model, url, tmp_path):
    """Also where few may come at once, and few connections are open."""
    few = {"max_connections": 4}
    ran = run_batch(mode, url, model.contract(), works(30), to=tmp_path / "{n}", jobs=30, downloads=2, client=few)
    assert ran.counts == all_done(30)
    assert sorted(model.files.values()) == [1] * 30


def test_a_value_comes_where_no_file_is_asked_for(mode, tmp_path):
    """Without `to` the errand has the job's value, and the journal keeps it."""
    plain = said(DOCUMENT)  # the document is the value
    with service(Works()) as server:
        ran = run_batch(mode, server.url, plain, works(2), journal=tmp_path / "run.gofer")
    assert [errand.value["state"] for errand in ran.errands] == ["succeeded"] * 2
    with closing(sqlite3.connect(tmp_path / "run.gofer")) as db:
        assert [json.loads(value)["state"] for (value,) in db.execute("SELECT value FROM errand")] == ["succeeded"] * 2


def test_refused_credentials_stop_the_batch_and_cost_nothing(mode, model, url, tmp_path):
    """401 concerns everybody: nothing is failed, and the next run goes on with what is left."""
    model.refuse = lambda call: http(401) if call.headers.get("authorization") != "Bearer right" else None
    journal = tmp_path / "run.gofer"
    ran = run_batch(mode, url, model.contract(), works(5), journal=journal, client={"auth": "wrong"})
    assert isinstance(ran.error, gofer.BatchStopped)
    assert isinstance(ran.error.reason, gofer.Unauthorized)
    assert ran.counts["failed"] == ran.counts["done"] == ran.counts["uncertain"] == 0
    again = run_batch(mode, url, model.contract(), journal=journal, client={"auth": "right"})
    assert again.counts == all_done(5)
    assert len(model.jobs) == 5


def test_a_service_that_is_not_there_stops_the_batch_and_costs_nothing(mode, model, tmp_path):
    """No submission has left, so none is uncertain, although the service replays no keys."""
    model.replays = False
    journal = tmp_path / "run.gofer"
    with service(model) as server:
        address = server.url
        assert run_batch(mode, address, model.contract(), works(1), journal=journal).counts == all_done(1)
    ran = run_batch(mode, address, model.contract(), works(4), journal=journal)
    assert isinstance(ran.error, gofer.BatchStopped)
    assert isinstance(ran.error.reason, gofer.Unreachable)
    assert ran.counts == all_done(1) | {"waiting": 3}


def test_failures_in_a_row_stop_the_batch(mode, model, url):
    """`stop_after` counts failures without a success between them."""
    ran = run_batch(mode, url, model.contract(), works(20, fails=1), stop_after=3, jobs=1)
    assert isinstance(ran.error, gofer.BatchStopped)
    assert isinstance(ran.error.reason, gofer.JobFailed)
    assert ran.counts["failed"] == 3
    assert ran.counts["waiting"] == 17


def test_a_full_disk_stops_the_batch(mode, model, url, tmp_path, monkeypatch):
    """No other file could be written either; the jobs stay to be gone on with."""

    def full(*_):
        error = gofer.TargetError("The disk is full.")
        error.full = True
        raise error

    journal, to = tmp_path / "run.gofer", tmp_path / "{n}.txt"
    with monkeypatch.context() as patch:
        patch.setattr("gofer.transports.disk.LocalDisk.writer", full)
        ran = run_batch(mode, url, model.contract(), works(3), to=to, journal=journal)
    assert isinstance(ran.error, gofer.BatchStopped)
    assert ran.counts["failed"] == 0
    assert run_batch(mode, url, model.contract(), to=to, journal=journal).counts == all_done(3)
    assert len(model.jobs) == 3


def test_a_failed_errand_is_tried_again_as_the_caller_says(mode, model, url, tmp_path):
    """`again` sees the error and the number of the attempt; each attempt is a job of its own, and all are kept."""
    asked = list[tuple[str, int]]()
    model.refuse = None

    def again(error, attempt):
        asked.append((type(error).__name__, attempt))
        return 0.01 if attempt < 3 else None

    journal = tmp_path / "run.gofer"
    ran = run_batch(mode, url, model.contract(), [{"n": 1, "fails": 1}, {"n": 2}], again=again, journal=journal)
    assert asked == [("JobFailed", 1), ("JobFailed", 2), ("JobFailed", 3)]
    assert [one.state for one in ran.errands if one.request["n"] == 1] == ["waiting", "waiting", "failed"]
    assert len({one.job_id for one in ran.errands if one.request["n"] == 1}) == 3
    assert len(model.keys) == 4
    with closing(sqlite3.connect(journal)) as db:
        kept = db.execute("SELECT number, job, error FROM attempt ORDER BY number").fetchall()
    assert [(number, error) for number, _, error in kept] == [(1, "JobFailed"), (2, "JobFailed"), (3, "JobFailed")]


def test_failed_errands_can_be_retried(mode, model, url, tmp_path):
    """One whose job has failed gets another job; one that was not fetched goes on with the job that it has."""
    journal, to = tmp_path / "run.gofer", tmp_path / "{n}.txt"
    model.refuse = lambda call: http(404) if path_of(call).endswith("/file") else None
    ran = run_batch(mode, url, model.contract(), [{"n": 1, "fails": 1}, {"n": 2}], journal=journal, to=to)
    assert ran.counts["failed"] == 2
    model.refuse = None
    for job in model.jobs.values():
        job["fails"] = 0
    ran = run_batch(mode, url, model.contract(), journal=journal, to=to, retry="failed")
    assert ran.counts == all_done(2) or ran.counts["failed"] == 1
    assert [job["n"] for job in model.jobs.values()].count(2) == 1
    assert [job["n"] for job in model.jobs.values()].count(1) == 2


def test_a_lost_answer_is_uncertain_where_keys_are_not_replayed(mode, tmp_path):
    """It is not sent again by itself; with `retry` it is, by the same key."""
    model, lost = Works(replays=False), [True]

    def script(call):
        if call.method == "POST" and b'"n":1' in call.body and lost[0]:
            model(call)
            return [RESET]
        return [model(call)]

    journal = tmp_path / "run.gofer"
    with raw_server(script) as server:
        ran = run_batch(mode, server.url, model.contract(), works(3), journal=journal)
        assert [ran.state(n) for n in range(3)] == ["done", "uncertain", "done"]
        assert run_batch(mode, server.url, model.contract(), journal=journal).errands == []
        assert model.posts == 3
        lost[0] = False
        ran = run_batch(mode, server.url, model.contract(), journal=journal, retry="uncertain")
        assert ran.counts == all_done(3)
        keys = [call.headers["idempotency-key"] for call in server.calls if b'"n":1' in call.body]
    assert len(keys) == 2
    assert len(set(keys)) == 1


def test_leaving_the_loop_leaves_the_jobs(mode, model, url, tmp_path):
    """What was submitted goes on at the service, and the next run goes on with it: nothing is submitted twice."""
    journal = tmp_path / "run.gofer"
    ran = run_batch(mode, url, model.contract(), works(8, polls=2), journal=journal, leave_after=1)
    assert ran.counts["done"] >= 1
    assert run_batch(mode, url, model.contract(), journal=journal).counts == all_done(8)
    assert len(model.jobs) == 8
    assert not [call for call in model.keys if call.endswith("DELETE")]


def test_time_that_is_up_leaves_the_jobs(mode, model, url, tmp_path):
    """`timeout` is for the whole run; the next one goes on."""
    journal, stuck = tmp_path / "run.gofer", [True]
    model.refuse = lambda call: as_json({"state": "running"}) if call.method == "GET" and stuck[0] else None
    ran = run_batch(mode, url, model.contract(), works(3), journal=journal, timeout=0.5)
    assert isinstance(ran.error, gofer.OutOfTime)
    assert ran.counts["open"] == 3
    stuck[0] = False
    assert run_batch(mode, url, model.contract(), journal=journal).counts == all_done(3)
    assert len(model.jobs) == 3


def test_a_journal_that_cannot_be_written_stops_the_batch_before_the_next_submission(mode, model, url, monkeypatch):
    """What has no key in the journal is not sent."""
    written = journals.Journal.write

    def failing(self, facts):
        facts = list(facts)
        if any(type(fact).__name__ == "Sending" for _, fact in facts):
            raise gofer.JournalError("The journal cannot be written: the disk is full.")
        written(self, facts)

    monkeypatch.setattr(journals.Journal, "write", failing)
    ran = run_batch(mode, url, model.contract(), works(3))
    assert isinstance(ran.error, gofer.JournalError)
    assert model.posts == 0


def test_no_secret_is_in_the_journal(mode, model, url, tmp_path):
    """The token, headers and secret variables are of the client, and stay there."""
    journal = tmp_path / "run.gofer"
    client = {"auth": "s3cret-token", "headers": {"x-key": "s3cret-header"}}
    ran = run_batch(mode, url, model.contract(), works(3, fails=1), journal=journal, client=client)
    assert ran.counts["failed"] == 3
    assert b"s3cret" not in journal.read_bytes()
    assert journal.stat().st_mode & 0o077 == 0


def test_requests_may_be_added_while_the_batch_runs(mode, model, url):
    """What is added before the last errand has ended is done in the same run."""
    if mode == "blocking":
        with gofer.Client(url, contract=model.contract(), **options_of({})) as client, client.batch() as batch:
            batch.add(works(2))
            seen = []
            for errand in batch.run():
                seen.append(errand.request["n"])
                if len(seen) == 1:
                    batch.add([{"n": 10}, {"n": 11}])
            assert sorted(seen) == [0, 1, 10, 11]
        return

    async def main():
        async with (
            gofer.AsyncClient(url, contract=model.contract(), **options_of({})) as client,
            client.batch() as batch,
        ):
            await batch.add(works(2))
            seen = []
            async for errand in batch.run():
                seen.append(errand.request["n"])
                if len(seen) == 1:
                    await batch.add([{"n": 10}, {"n": 11}])
            assert sorted(seen) == [0, 1, 10, 11]

    anyio.run(main, backend=mode)


def test_a_refusal_for_now_slows_everybody(mode, model, url):
    """After a 429 nothing is sent before its Retry-After is over, by any errand."""
    times, lock = list[tuple[float, int]](), threading.Lock()

    def refuse(call):
        with lock:
            first = not times
            times.append((time.monotonic(), 429 if first else 200))
        return http(429, retry_after="1") if first else None

    model.refuse = refuse
    assert run_batch(mode, url, model.contract(), works(6), jobs=1).counts == all_done(6)
    (refused, _), (after, _) = times[0], times[1]
    assert after - refused >= 0.9


def test_events_of_every_errand_are_heard(mode, model, url, tmp_path):
    """`progress=` of the client hears the events of all errands, one at a time."""
    heard, lock = list[tuple[str, str | None]](), threading.Lock()

    def listen(event):
        assert lock.acquire(blocking=False)
        heard.append((type(event).__name__, event.job_id))
        lock.release()

    to = tmp_path / "{n}.txt"
    assert run_batch(mode, url, model.contract(), works(5), to=to, client={"progress": listen}).counts == all_done(5)
    assert {job for kind, job in heard if kind == "Submitted"} == set(model.jobs)
    assert {job for kind, job in heard if kind == "Saved"} == set(model.jobs)


def test_requests_may_have_no_end(mode, model, url, tmp_path):
    """`map` reads them as there is room: leaving it early has read a few only, and its journal can be gone on with."""
    read, journal = [0], tmp_path / "run.gofer"

    def endless():
        while True:
            read[0] += 1
            yield {"n": read[0]}

    async def awaited_endless():
        for request in endless():
            yield request

    if mode == "blocking":
        client = gofer.Client(url, contract=model.contract(), **options_of({}))
        with client, closing(client.map(endless(), journal=journal, jobs=5)) as ended:
            seen = [next(ended).request["n"] for _ in range(20)]
    else:

        async def main():
            async with (
                gofer.AsyncClient(url, contract=model.contract(), **options_of({})) as client,
                aclosing(client.map(awaited_endless(), journal=journal, jobs=5)) as ended,
            ):
                return [(await anext(ended)).request["n"] for _ in range(20)]

        seen = anyio.run(main, backend=mode)
    assert len(set(seen)) == 20
    assert read[0] <= 600
    with closing(journals.Reader(journal)) as reader:
        counts = reader.counts()
        assert counts["done"] >= 20
        assert sum(counts.values()) == read[0]


def test_more_requests_than_are_read_at_once_are_all_done(mode, model, url, monkeypatch):
    """They are topped up while the batch runs."""
    monkeypatch.setattr("gofer.batch.CHUNK", 20)
    monkeypatch.setattr("gofer.abatch.CHUNK", 20)
    if mode == "blocking":
        with gofer.Client(url, contract=model.contract(), **options_of({})) as client:
            states = [errand.state for errand in client.map(({"n": n, "polls": 0} for n in range(70)), jobs=50)]
    else:

        async def main():
            async with gofer.AsyncClient(url, contract=model.contract(), **options_of({})) as client:
                asked = ({"n": n, "polls": 0} for n in range(70))
                return [errand.state async for errand in client.map(asked, jobs=50)]

        states = anyio.run(main, backend=mode)
    assert states == ["done"] * 70
    assert len(model.jobs) == 70
