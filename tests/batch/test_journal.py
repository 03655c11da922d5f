"""The journal of a batch: what it refuses, who may have it, and what an errand goes on from."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from tenacity.stop import stop_after_attempt
from tenacity.wait import wait_fixed

import gofer
from gofer.core.journal import Ending, Fate, Sending, Unsent
from gofer.transports import journal_file
from gofer.transports.journal import Journal, Reader
from gofer_service import embedded
from support.declared import as_json, path_of, said, service
from support.matrices import EVERY_CASE

from .conftest import SOURCES
from .works import LINKED, MODES, Works, all_done, run_batch, works

each_face = pytest.mark.parametrize("mode", MODES)


@pytest.fixture
def model():
    """A service that replays keys."""
    return Works()


@pytest.fixture
def url(model):
    """Its address."""
    with service(model) as server:
        yield server.url


def opened(path, contract="works", base="http://x"):
    """Open a journal."""
    return closing(Journal(path, contract=contract, base=base))


def change(path, statement):
    """Change a journal behind gofer's back, as if a process had been killed there."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(statement)


WRONG = {
    "a text": lambda path: path.write_text("10.5555/1\n" * 100),
    "a short text": lambda path: path.write_text("x"),
    "another database": lambda path: change(path, "CREATE TABLE mine (x)"),
    "a folder": lambda path: path.mkdir(),
    "a later version": lambda path: (
        Journal(path, contract="works", base="b").close(),
        change(path, "PRAGMA user_version = 9"),
    ),
    "another contract": lambda path: Journal(path, contract="other", base="http://x").close(),
    "another address": lambda path: Journal(path, contract="works", base="http://y").close(),
    "a damaged page": lambda path: damaged(path),
    "half of one": lambda path: damaged(path, cut=True),
}


def later(path):
    """Make a journal of a gofer to come."""
    Journal(path, contract="works", base="http://x").close()
    change(path, "PRAGMA user_version = 9")


def damaged(path, *, cut=False):
    """Make a journal with many errands, and spoil it."""
    with opened(path) as journal:
        journal.add([(json.dumps({"n": number}), None, None) for number in range(2000)])
    content = path.read_bytes()
    middle = len(content) // 2 // 4096 * 4096
    path.write_bytes(content[:middle] if cut else content[:middle] + os.urandom(4096) + content[middle + 4096 :])


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_journal_of_this_batch_is_refused_and_stays(tmp_path, kind):
    """It is a clear error, before anything is sent, and not a byte of the file is changed."""
    path = tmp_path / "run.gofer"
    WRONG[kind](path)
    before = None if path.is_dir() else path.read_bytes()
    with pytest.raises(gofer.JournalError, match=r"run\.gofer"):
        Journal(path, contract="works", base="http://x")
    assert (None if path.is_dir() else path.read_bytes()) == before
    assert [one.name for one in tmp_path.iterdir()] == ["run.gofer"]


def test_a_journal_where_nothing_can_be_written_is_refused(tmp_path):
    """A folder that is a file, and a file system that is kept on another machine."""
    (tmp_path / "file").write_text("")
    with pytest.raises(gofer.JournalError, match=r"Not a directory|File exists"):
        Journal(tmp_path / "file" / "run.gofer", contract="works", base="http://x")


def test_a_journal_on_a_network_file_system_is_refused(tmp_path, monkeypatch):
    """It says so at the start, by what Linux says of the mount."""
    mounts = tmp_path / "mounts"
    mounts.write_text(
        f"21 1 8:1 / / rw - ext4 /dev/a rw\n22 21 0:5 / {tmp_path}/there rw shared:1 - nfs4 server:/x rw\n"
    )
    monkeypatch.setattr(journal_file, "MOUNTS", mounts)
    with pytest.raises(gofer.JournalError, match="is on nfs4"):
        Journal(tmp_path / "there" / "run.gofer", contract="works", base="http://x")
    Journal(tmp_path / "run.gofer", contract="works", base="http://x").close()


def test_one_process_runs_a_journal_and_others_may_read_it(tmp_path):
    """The second is refused, what is in it can be read meanwhile, and a clean close leaves one file."""
    path = tmp_path / "run.gofer"
    with opened(path) as journal:
        journal.add([('{"n":1}', None, None)])
        with pytest.raises(gofer.JournalError, match="Another process runs"):
            Journal(path, contract="works", base="http://x")
        with closing(Reader(path)) as reader:
            assert reader.counts()["waiting"] == 1
            assert [line.request for line in reader.lines()] == [{"n": 1}]
        journal.add([('{"n":2}', None, None)])
    assert [one.name for one in tmp_path.iterdir()] == ["run.gofer"]
    with closing(Reader(path)) as reader:
        assert reader.counts()["waiting"] == 2


def test_a_lock_goes_with_its_process(tmp_path):
    """A process that was killed leaves a file, and it keeps nobody out."""
    path = tmp_path / "run.gofer"
    program = f"""
import time
from pathlib import Path
from gofer.transports.journal import Journal
journal = Journal(Path({str(path)!r}), contract="works", base="http://x")
journal.add([('{{"n":1}}', None, None)])
print("open", flush=True)
time.sleep(60)
"""
    env = {**os.environ, "PYTHONPATH": SOURCES}
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=env) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "open\n"
        with pytest.raises(gofer.JournalError, match="Another process"):
            Journal(path, contract="works", base="http://x")
        child.send_signal(signal.SIGKILL)
    with opened(path) as journal:
        assert journal.counts()["waiting"] == 1
    assert [one.name for one in tmp_path.iterdir()] == ["run.gofer"]


COUNTED = 100_000 if EVERY_CASE else 10_000


def test_many_errands_are_counted_and_listed(tmp_path):
    """They are read in pieces, in their order, and loaded as many as are asked for."""
    path = tmp_path / "run.gofer"
    with opened(path) as journal:
        journal.add([(json.dumps({"n": number}), None, None) for number in range(COUNTED)])
        assert [entry.number for entry in journal.load(3)] == [1, 2, 3]
        assert [entry.number for entry in journal.load(2)] == [4, 5]
        assert journal.counts()["waiting"] == COUNTED
        assert sum(1 for _ in journal.lines()) == COUNTED


def test_open_errands_are_loaded_first_and_once(tmp_path):
    """What may be at the service comes before what waits."""
    with opened(tmp_path / "run.gofer") as journal:
        journal.add([(json.dumps({"n": number}), None, None) for number in range(6)])
        journal.write([(4, Sending("k4", "m", 1.0)), (2, Sending("k2", "m", 1.0))])
        journal.rewind()
        found = [(entry.number, entry.fate) for entry in [*journal.load(3), *journal.load(9)]]
        assert found == [(2, Fate.OPEN), (4, Fate.OPEN), *((n, Fate.WAITING) for n in (1, 3, 5, 6))]
        assert journal.load(9) == []


def left_open(path, number, sent, mark=None):
    """Set an errand back to where a process was killed between its submission and the answer."""
    kept = "" if mark is None else f", mark = '{mark}'"
    change(
        path,
        "UPDATE errand SET fate = 'open', ticket = NULL, job = NULL, path = NULL, kept_at = NULL,"
        f" sent = {sent}{kept} WHERE number = {number}",
    )


@each_face
def test_an_unanswered_submission_is_sent_again_with_the_same_key(mode, model, url, tmp_path):
    """Where keys are replayed, the same bytes find the same job."""
    journal = tmp_path / "run.gofer"
    run_batch(mode, url, model.contract(), works(3), journal=journal)
    left_open(journal, 2, time.time())
    assert run_batch(mode, url, model.contract(), journal=journal).counts == all_done(3)
    assert model.posts == 4
    assert len(model.jobs) == 3


@pytest.mark.parametrize("why", ["old", "changed", "unreplayed"])
def test_a_submission_that_may_make_a_second_job_is_not_sent_again(tmp_path, why):
    """A key that is too old, bytes that are others now, a service that replays no keys: the errand is uncertain."""
    model, journal = Works(replays=why != "unreplayed"), tmp_path / "run.gofer"
    with service(model) as server:
        run_batch("blocking", server.url, model.contract(), works(2), journal=journal)
        left_open(journal, 1, time.time() - (90_000 if why == "old" else 10), "other" if why == "changed" else None)
        ran = run_batch("blocking", server.url, model.contract(), journal=journal)
    assert isinstance(ran.errands[0].error, gofer.SubmitUncertain)
    assert ran.counts == all_done(1) | {"uncertain": 1}
    assert model.posts == 2


@each_face
@pytest.mark.parametrize("why", ["the target", "the input"])
def test_what_keeps_an_unanswered_submission_from_being_repeated_leaves_it_uncertain(mode, model, url, tmp_path, why):
    """It is not told as a failure, whose next try would make a second job; later the same key finds the first."""
    journal, to = tmp_path / "run.gofer", tmp_path / "out" / "{n}.txt"
    run_batch(mode, url, model.contract(), works(2), journal=journal, to=to)
    left_open(journal, 1, time.time())
    other = said(model.contract().declaration.text.replace('{base}/jobs"', '{base}/jobs?to={input.other}"', 1))
    if why == "the target":
        (tmp_path / "out").rename(tmp_path / "elsewhere")
        (tmp_path / "out").write_text("no folder")
    ran = run_batch(mode, url, model.contract() if why == "the target" else other, journal=journal, to=to)
    assert ran.counts == all_done(1) | {"uncertain": 1}
    if why == "the target":
        (tmp_path / "out").unlink()
        (tmp_path / "elsewhere").rename(tmp_path / "out")
    ran = run_batch(mode, url, model.contract(), journal=journal, to=to, retry="uncertain")
    assert ran.counts == all_done(2)
    assert len(model.jobs) == 2


PUT = """
name = "things"
[submit]
method = "PUT"
url = "{base}/things/{input.n}"
links = { me = "sent:PUT" }
[poll]
url = "{links.me}"
[status]
state = "/state"
"""


@each_face
@pytest.mark.parametrize("hours", [0, 300])
def test_an_unanswered_put_is_sent_again_without_a_key(mode, tmp_path, hours):
    """It makes no second job however old it is, so no key is needed; the same bytes are."""
    journal = tmp_path / "run.gofer"
    with service(lambda call: as_json({"state": "running" if call.method == "PUT" else "succeeded"})) as server:
        run_batch(mode, server.url, said(PUT), works(2), journal=journal)
        left_open(journal, 1, time.time() - 3600 * hours)
        assert run_batch(mode, server.url, said(PUT), journal=journal).counts == all_done(2)
        assert sum(call.method == "PUT" for call in server.calls) == 3
        left_open(journal, 1, time.time(), "other")
        assert run_batch(mode, server.url, said(PUT), journal=journal).counts == all_done(1) | {"uncertain": 1}


@each_face
def test_a_file_that_was_complete_is_recognised(mode, model, url, tmp_path):
    """A kill between the file and the end of its errand: nothing is asked of the service again."""
    journal, to = tmp_path / "run.gofer", tmp_path / "{n}.txt"
    run_batch(mode, url, model.contract(), works(3), journal=journal, to=to)
    change(journal, "UPDATE errand SET fate = 'open', path = kept_at WHERE number = 2")
    asked = len(model.files), model.files.total()
    ran = run_batch(mode, url, model.contract(), journal=journal, to=to)
    assert ran.errands[0].path == tmp_path / "1.txt"
    assert ran.counts == all_done(3)
    assert (len(model.files), model.files.total()) == asked
    (tmp_path / "1.txt").write_text("spoilt")
    change(journal, "UPDATE errand SET fate = 'open', path = kept_at WHERE number = 2")
    assert run_batch(mode, url, model.contract(), journal=journal, to=to).counts == all_done(3)
    assert (tmp_path / "1.txt").read_text() == "content of 1"


@each_face
def test_a_folder_that_was_complete_is_recognised(mode, model, url, tmp_path):
    """The manifest tells it; the folder is not refused because something is in it."""
    contract = said(LINKED)
    journal, to = tmp_path / "run.gofer", f"{tmp_path}/{{n}}/"
    run_batch(mode, url, contract, works(2), journal=journal, to=to)
    assert sorted(one.name for one in (tmp_path / "1").iterdir()) == ["file", "manifest.json"]
    change(journal, "UPDATE errand SET fate = 'open', path = 'x' WHERE number = 2")
    asked = model.files.total()
    assert run_batch(mode, url, contract, journal=journal, to=to).counts == all_done(2)
    assert model.files.total() == asked


@each_face
def test_relative_targets_stay_where_the_batch_began(mode, model, url, tmp_path, monkeypatch):
    """A later run from another folder puts nothing elsewhere."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    run_batch(mode, url, model.contract(), works(1, fails=1), journal=tmp_path / "run.gofer", to="{n}.txt")
    model.jobs["j1"]["fails"] = 0
    monkeypatch.chdir(tmp_path / "b")
    for job in model.jobs.values():
        job["fails"] = 0
    change(tmp_path / "run.gofer", "UPDATE errand SET request = '{\"n\":0}'")
    ran = run_batch(mode, url, model.contract(), journal=tmp_path / "run.gofer", to="{n}.txt", retry="failed")
    assert ran.counts == all_done(1)
    assert (tmp_path / "a" / "0.txt").exists()
    assert list((tmp_path / "b").iterdir()) == []


def test_the_same_job_is_gone_on_with(model, url, tmp_path):
    """An errand whose job was accepted is not submitted again: its ticket finds the job."""
    journal = tmp_path / "run.gofer"
    run_batch("blocking", url, model.contract(), works(4), journal=journal)
    change(journal, "UPDATE errand SET fate = 'open' WHERE number > 2")
    assert run_batch("blocking", url, model.contract(), journal=journal).counts == all_done(4)
    assert model.posts == 4


def test_a_batch_says_what_is_in_its_journal(model, url, tmp_path):
    """`errands` yields them as they stand, all or those of some states."""
    journal = tmp_path / "run.gofer"
    run_batch("blocking", url, model.contract(), [{"n": 0}, {"n": 1, "fails": 1}], journal=journal, to=tmp_path / "{n}")
    with gofer.Client(url, contract=model.contract()) as client, client.batch(journal) as batch:
        done, failed = batch.errands()
        assert (done.state, done.path, done.request) == ("done", tmp_path / "0", {"n": 0})
        assert str(failed.error).startswith("JobFailed: The job ended as failed")
        assert [one.number for one in batch.errands("failed", "waiting")] == [2]
        assert repr(batch) == f"Batch({url!r}, {batch.counts})"
        with pytest.raises(ValueError, match="nothing"):
            list(batch.errands("nothing"))


def test_a_closed_batch_is_an_error(model, url, tmp_path):
    """After `close`, and outside of `async with`, nothing can be done with it; a second close does nothing."""
    client = gofer.Client(url, contract=model.contract())
    batch = client.batch(tmp_path / "run.gofer")
    batch.close()
    batch.close()
    with pytest.raises(gofer.JournalError):
        batch.add([{"n": 1}])
    with pytest.raises(gofer.UsageError, match="async with"):
        _ = gofer.AsyncClient(url, contract=model.contract()).batch().counts
    client.close()


@pytest.mark.parametrize(
    "wrong",
    [{"jobs": 0}, {"jobs": 1.5}, {"downloads": True}, {"requests_per_second": 0}, {"exists": "keep"}, {"again": 3},
     {"stop_after": 0}, {"look_every": -1}, {"to": ""}, {"to": "a\0b"}],
)  # fmt: skip
@each_face
def test_wrong_options_are_refused_at_once(mode, tmp_path, wrong):
    """The message names the option, and no journal is made."""
    kind = gofer.Client if mode == "blocking" else gofer.AsyncClient
    with pytest.raises(gofer.UsageError):
        kind("http://127.0.0.1:9").batch(tmp_path / "run.gofer", **wrong)
    assert list(tmp_path.iterdir()) == []


def test_paths_of_results_are_asked_for_once(model, url, tmp_path):
    """A batch asks for each file as often as a single errand does."""
    run_batch("blocking", url, model.contract(), works(3), to=tmp_path / "{n}.txt")
    with service(Works()) as server, gofer.Client(server.url, contract=model.contract()) as client:
        client.run({"n": 0}, to=tmp_path / "one")
        alone = sum(path_of(call).endswith("/file") for call in server.calls)
    assert set(model.files.values()) == {alone}
    assert Path(tmp_path / "one").read_text() == "content of 0"


def test_a_service_that_cannot_be_asked_leaves_an_unanswered_submission_open(tmp_path):
    """Whether keys are replayed is not certain then: the errand neither fails nor gets another key."""
    journal = tmp_path / "run.gofer"
    with embedded() as url, gofer.RetrieveClient(base_url=url) as client:
        assert [one.state for one in client.map(["10.5555/12345678"], journal=journal)] == ["done"]
    left_open(journal, 1, time.time())
    few = gofer.Retry(wait_fixed(0.01), stop_after_attempt(2))
    with (
        gofer.RetrieveClient(base_url=url, patience=few) as client,
        client.batch(journal) as batch,
        pytest.raises(gofer.BatchStopped) as stopped,
    ):
        list(batch.run())
    assert isinstance(stopped.value.reason, gofer.Unreachable)
    with closing(sqlite3.connect(journal)) as db:
        assert db.execute("SELECT fate, attempt, key IS NULL FROM errand").fetchall() == [("open", 1, 0)]


def test_an_errand_that_is_tried_again_is_loaded_when_it_is_due_only(tmp_path):
    """It waits for its pause, although others that wait are loaded meanwhile."""
    with opened(tmp_path / "run.gofer") as journal:
        journal.add([(json.dumps({"n": number}), None, None) for number in range(6)])
        journal.write([(5, Sending("k5", "m", 1.0))])
        journal.rewind()
        assert [entry.number for entry in journal.load(1)] == [5]
        journal.write([(5, Ending(Fate.WAITING, error="JobFailed", message="it broke"))])
        assert [entry.number for entry in journal.load(9)] == [1, 2, 3, 4, 6]
        assert [(entry.number, entry.attempt) for entry in journal.load(1, (5,))] == [(5, 2)]


def test_an_errand_whose_submission_has_not_left_is_not_loaded_twice(tmp_path):
    """It waits again in the journal, and is still under way in this process."""
    with opened(tmp_path / "run.gofer") as journal:
        journal.add([(json.dumps({"n": number}), None, None) for number in range(4)])
        journal.write([(3, Sending("k3", "m", 1.0))])
        journal.rewind()
        assert [entry.number for entry in journal.load(1)] == [3]
        journal.write([(3, Unsent())])
        assert [entry.number for entry in journal.load(9)] == [1, 2, 4]
        journal.rewind()
        assert [(entry.number, entry.sent, entry.key) for entry in journal.load(9)][2] == (3, None, "k3")
