"""Some of a job's files: chosen by name or pattern, and added to a folder that has others of the same job."""

import json

import pytest

import gofer
from contracts.test_results import DECLARED, Results, inside
from gofer.core.commands import Assemble, CheckFolder
from gofer.core.folder import own_folder
from gofer.core.record import JobRecord
from gofer.models import State, Status
from gofer.transports.disk import LocalDisk
from support.declared import as_json, client_of, path_of, said, sent_to

NAMES = ["a.csv", "b.csv", "c.txt", "d[1].txt"]
FILES = [{"href": f"/f/{at}", "title": name} for at, name in enumerate(NAMES)]


def has(*names):
    """What a folder with these files has."""
    return {name: f"content of /f/{NAMES.index(name)}" for name in names}


@pytest.fixture
def model():
    """A service whose jobs give four files."""
    return Results(files=FILES)


@pytest.fixture
def job(any_face, serve, model):
    """A job of it."""
    server = serve(model)
    job = client_of(any_face, server.url, said(DECLARED)).submit({})
    job.server = server
    return job


def listed(folder):
    """The files that the manifest of a folder lists."""
    return [entry["file"] for entry in json.loads((folder / "manifest.json").read_bytes())["files"]]


CHOICES = [
    ("a.csv", ["a.csv"]),
    ("*.csv", ["a.csv", "b.csv"]),
    (["c.txt", "b*"], ["b.csv", "c.txt"]),
    (("?.txt",), ["c.txt"]),
    ("d[1].txt", ["d[1].txt"]),
    (iter(["*"]), NAMES),
]


@pytest.mark.parametrize(("only", "names"), CHOICES, ids=range(len(CHOICES)))
def test_only_what_is_chosen_is_in_the_folder(blocking, serve, model, tmp_path, only, names):
    """A text is one name or pattern, and a name with brackets is found as it is; the manifest lists what came."""
    job = client_of(blocking, serve(model).url, said(DECLARED)).submit({})
    folder = job.download(f"{tmp_path}/out/", timeout=10, only=only)
    assert inside(folder) == has(*names)
    assert sorted(listed(folder)) == sorted(names)
    assert len(job.files) == 4


@pytest.mark.parametrize("only", ["A.CSV", ["a.csv", "x*"], "/f/0"])
def test_what_matches_no_file_is_refused_with_the_names_there_are(job, tmp_path, only):
    """Every name and pattern must match, in this very case; nothing is written."""
    with pytest.raises(gofer.UsageError, match=r"no such file\. There is 'a.csv', 'b.csv', 'c.txt', 'd\[1\]"):
        job.download(f"{tmp_path}/out/", timeout=10, only=only)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("only", [[], "", 7, [7], ["a", None], b"a"])
def test_what_is_no_choice_is_refused_before_anything_is_sent(job, tmp_path, only):
    """An empty choice is a mistake, and no wish for a folder without files."""
    before = len(job.server.calls)
    with pytest.raises(gofer.UsageError, match="only="):
        job.download(f"{tmp_path}/out/", timeout=10, only=only)
    assert len(job.server.calls) == before


def test_a_job_without_files_has_none_to_choose(any_face, serve, tmp_path):
    """Its value has no name of the service's."""
    job = client_of(any_face, serve(Results(out="a value")).url, said(DECLARED)).submit({})
    with pytest.raises(gofer.UsageError, match="It names none"):
        job.download(tmp_path / "x", timeout=10, only="result")


def test_one_chosen_file_goes_to_a_file(job, tmp_path):
    """Several make a folder, as they do without a choice."""
    assert job.download(tmp_path / "x.txt", timeout=10, only="c.txt").read_text() == "content of /f/2"
    assert job.download(tmp_path / "y.{format}", timeout=10, only="c.txt") == tmp_path / "y.txt"
    with pytest.raises(gofer.UsageError, match="gave 2 files"):
        job.download(tmp_path / "z.{format}", timeout=10, only="*.csv")


@pytest.mark.parametrize("there", [True, False])
def test_others_are_added_to_the_folder(job, tmp_path, there):
    """Nothing is fetched twice, and the manifest has all of them; at the end, that is the whole."""
    out = tmp_path / "out"
    if there:
        out.mkdir()
    job.download(f"{out}/", timeout=10, only="a.csv")
    before = out.stat().st_ino
    job.download(out, timeout=10, only=["a.csv", "c.txt"])
    assert (inside(out), sorted(listed(out))) == (has("a.csv", "c.txt"), ["a.csv", "c.txt"])
    job.download(out, timeout=10)
    assert (inside(out), sorted(listed(out))) == (has(*NAMES), NAMES)
    assert out.stat().st_ino == before
    assert [len(sent_to(job.server, f"/f/{at}")) for at in range(4)] == [1, 1, 1, 1]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_another_handle_adds_too(any_face, serve, model, tmp_path):
    """The folder is recognised by the job, and not by who began it."""
    client = client_of(any_face, serve(model).url, said(DECLARED))
    job = client.submit({})
    job.download(tmp_path / "out", timeout=10, only="?.csv")
    client.attach(job.ticket).download(tmp_path / "out", timeout=10, only="c.txt")
    client.job(job.id).download(tmp_path / "out", timeout=10, only="d*")
    assert inside(tmp_path / "out") == has(*NAMES)


def test_a_file_that_was_removed_is_fetched_again_or_forgotten(job, tmp_path):
    """The manifest lists what is there."""
    out = job.download(f"{tmp_path}/out/", timeout=10, only="*.csv")
    (out / "a.csv").unlink()
    job.download(out, timeout=10, only="c.txt")
    assert sorted(listed(out)) == ["b.csv", "c.txt"]
    job.download(out, timeout=10, only="a.csv")
    assert (inside(out), len(listed(out))) == (has("a.csv", "b.csv", "c.txt"), 3)


def snapshot(folder):
    """All that is in a folder, except gofer's hidden staging folders."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")}


CHANGES = {
    "a file that was changed": lambda out: (out / "a.csv").write_text("mine"),
    "a file of the caller's": lambda out: (out / "notes").write_text("mine"),
    "a file of the name of one that is to come": lambda out: (out / "c.txt").write_text("mine"),
    "a link": lambda out: (out / "a.csv").unlink() or (out / "a.csv").symlink_to("b.csv"),
    "a manifest that is not gofer's": lambda out: (out / "manifest.json").write_text('["x"]'),
    "a manifest that is nonsense": lambda out: (out / "manifest.json").write_text("[" * 100_000),
    "a list that is none": lambda out: (out / "manifest.json").write_text(
        json.dumps({**json.loads((out / "manifest.json").read_bytes()), "files": [7]})
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_nothing_of_the_callers_is_overwritten(blocking, serve, model, tmp_path, change):
    """A folder with more than files of this job as they came is refused, and stays as it is."""
    job = client_of(blocking, serve(model).url, said(DECLARED)).submit({})
    out = job.download(f"{tmp_path}/out/", timeout=10, only="?.csv")
    CHANGES[change](out)
    before = snapshot(out)
    with pytest.raises(gofer.TargetError, match="has something in it already"):
        job.download(out, timeout=10, only="c.txt")
    assert snapshot(out) == before


def test_the_folder_of_another_job_is_refused(any_face, serve, tmp_path):
    """It names the same files; nothing is asked for, and nothing changes."""
    ids = iter(["j1", "j2"])

    def answer(call):
        if call.method == "POST":
            return as_json({"id": next(ids), "state": "running"}, 201)
        return Results(files=FILES)(call) if path_of(call) != "/jobs/j2" else as_json({"state": "succeeded"})

    server = serve(answer)
    client = client_of(any_face, server.url, said(DECLARED))
    out = client.submit({}).download(f"{tmp_path}/out/", timeout=10, only="a.csv")
    other, before = client.submit({}), snapshot(out)
    for only in (None, "b.csv"):
        with pytest.raises(gofer.TargetError, match="other results"):
            other.download(out, timeout=10, only=only)
    assert snapshot(out) == before
    assert sent_to(server, "/jobs/j2") == []


def test_a_choice_that_fails_leaves_the_folder_as_it_was(job, model, tmp_path):
    """What came of it is kept aside for the same choice, and another choice has none of it."""
    out = job.download(f"{tmp_path}/out/", timeout=10, only="a.csv")
    before = snapshot(out)
    model.broken.add("/f/2")
    with pytest.raises(gofer.Unauthorized):
        job.download(out, timeout=10, only=["b.csv", "c.txt"])
    assert snapshot(out) == before
    job.download(out, timeout=10, only="d*")
    assert snapshot(out).keys() == {"a.csv", "d[1].txt", "manifest.json"}
    model.broken.clear()
    job.download(out, timeout=10, only=["b.csv", "c.txt"])
    assert (inside(out), sorted(listed(out))) == (has(*NAMES), NAMES)
    assert [len(sent_to(job.server, f"/f/{at}")) for at in (0, 1, 3)] == [1, 1, 1]


def test_files_of_one_name_have_the_same_names_in_every_choice(any_face, serve, tmp_path):
    """They are those in a folder of all, so that a later choice adds the others."""
    files = [{"href": f"/f/{at}", "title": title} for at, title in enumerate(["x", "a/y", "b/y"])]
    job = client_of(any_face, serve(Results(files=files)).url, said(DECLARED)).submit({})
    out = job.download(f"{tmp_path}/out/", timeout=10, only="b/y")
    assert inside(out) == {"y-2": "content of /f/2"}
    assert inside(job.download(out, timeout=10, only="*y")) == {"y-2": "content of /f/2", "y": "content of /f/1"}


def test_a_file_of_another_name_is_not_taken_for_one_that_is_there(any_face, serve, tmp_path):
    """Where the service changes the order of files of one name, the caller is told, and the folder stays."""
    files = [{"href": "/f/1", "title": "a/y"}, {"href": "/f/2", "title": "b/y"}]
    model = Results(files=files)
    client = client_of(any_face, serve(model).url, said(DECLARED))
    job = client.submit({})
    out = job.download(f"{tmp_path}/out/", timeout=10, only="a/y")
    model.given["files"] = files[::-1]
    with pytest.raises(gofer.TargetError, match="y was put there"):
        client.attach(job.ticket).download(out, timeout=10, only="b/y")
    assert (snapshot(out).keys(), snapshot(out)["y"]) == ({"y", "manifest.json"}, b"content of /f/1")


JOB = {"job": "j1", "service": "http://service.test"}


def folder_of(out, names, job=JOB):
    """Make a folder of this job, with a file of one byte of each name."""
    out.mkdir(parents=True)
    for name in names:
        (out / name).write_text(name)
    entries = [{"file": name, "name": name, "size": 1, "verified": "size"} for name in names]
    (out / "manifest.json").write_text(json.dumps({**job, "files": entries}))
    return out


def test_files_that_were_half_moved_into_the_folder_are_added_by_the_next_try(tmp_path):
    """The old manifest is there until the last one was moved, and what the staging folder lists is its own."""
    out = folder_of(tmp_path / "out", "a")
    staging = folder_of(out / ".1.parts", "abc")
    (staging / "a").unlink()
    (staging / "b").rename(out / "b")
    disk = LocalDisk()
    assert [one["file"] for one in json.loads(disk.perform(CheckFolder(out, job=JOB)))["files"]] == ["a"]
    assert disk.perform(CheckFolder(out, staging, JOB)) == (staging / "manifest.json").read_bytes()
    disk.perform(Assemble(staging, out, JOB))
    assert sorted(path.name for path in out.iterdir()) == ["a", "b", "c", "manifest.json"]
    assert len(json.loads((out / "manifest.json").read_bytes())["files"]) == 3


def test_an_id_that_is_used_again_is_another_job(any_face, serve, model, tmp_path):
    """Two submissions are two jobs, whatever their service calls them; a handle made of the id alone may be either."""
    server = serve(model)
    client = client_of(any_face, server.url, said(DECLARED))
    out = client.submit({}).download(f"{tmp_path}/out/", timeout=10, only="a.csv")
    again = client.submit({})
    for only in (None, "b.csv"):
        with pytest.raises(gofer.TargetError, match="other results"):
            again.download(out, timeout=10, only=only)
    assert inside(client.job(again.id).download(out, timeout=10, only="b.csv")) == has("a.csv", "b.csv")


@pytest.mark.parametrize("meanwhile", ["added by another process", "a file", "another job"])
def test_what_came_into_the_folder_meanwhile_is_neither_lost_nor_mixed(tmp_path, meanwhile):
    """The files of another process are not dropped from the manifest, and nothing is moved before that is seen."""
    out, staging = folder_of(tmp_path / "out", "a"), folder_of(tmp_path / "staging", "abc")
    (staging / "a").unlink()
    staging = staging.rename(out / ".1.parts")
    if meanwhile == "a file":
        (out / "c").write_text("mine")
    else:
        job, names = ({**JOB, "job": "j2"}, "a") if meanwhile == "another job" else (JOB, "ad")
        folder_of(tmp_path / "new", names, job).joinpath("manifest.json").replace(out / "manifest.json")
        (out / names[-1]).write_text(names[-1])
    before = snapshot(out)
    with pytest.raises(gofer.TargetError, match="meanwhile"):
        LocalDisk().perform(Assemble(staging, out, JOB))
    assert snapshot(out) == before


def test_a_job_without_an_id_has_no_folder_of_its_own():
    """Two jobs that were done at once would be taken for one."""

    class Done:
        job_id, record = "", JobRecord()

    assert own_folder(Done()) is None
    Done.job_id, Done.service = "j1", type("Service", (), {"base": "http://x"})
    assert own_folder(Done()) == {"job": "j1", "service": "http://x"}
    assert own_folder(Done(), Status("busy", State.RUNNING)) is None
