"""A folder as the target: links, mounts and working directories stay what they are, and nothing in one is harmed."""

import json
import os
import stat
import tempfile
from pathlib import Path

import pytest

import gofer
from contracts.test_results import DECLARED, Results, inside, start
from gofer.core.commands import Assemble, CheckFolder
from gofer.transports.disk import LocalDisk
from support.declared import client_of, said

BOTH = {"a": "content of /f/a", "b": "content of /f/b"}


def run(face, server, to):
    """Submit, wait and download two files."""
    return client_of(face, server.url, said(DECLARED)).run({}, to=to, timeout=10)


@pytest.fixture
def two(serve):
    """A service whose jobs give two files."""
    return serve(Results(files=["/f/a", "/f/b"]))


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("there", [True, False])
def test_the_folder_behind_a_link_is_filled_and_the_link_stays(any_face, two, tmp_path, slash, there):
    """Also where the link leads to a folder that is to be made; nothing is left beside either."""
    if there:
        (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to("real")
    outcome = run(any_face, two, f"{tmp_path}/out{slash}")
    assert (tmp_path / "out").is_symlink()
    assert inside(tmp_path / "real") == BOTH
    assert outcome.path == tmp_path / "out"
    assert {fetched.path for fetched in outcome.files} == {tmp_path / "out" / name for name in BOTH}
    assert sorted(place.name for place in tmp_path.iterdir()) == ["out", "real"]


@pytest.mark.parametrize("to", [".", "./", "../here", "../here/."])
@pytest.mark.parametrize("files", [["/f/a"], ["/f/a", "/f/b"]])
def test_the_working_directory_is_filled_and_stays(any_face, serve, tmp_path, monkeypatch, to, files):
    """A program, and the shell that started it, still are in that folder afterwards."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    before = Path.cwd().stat().st_ino
    run(any_face, serve(Results(files=files)), to)
    assert inside(tmp_path / "here").keys() == {name.removeprefix("/f/") for name in files}
    assert Path.cwd().stat().st_ino == (tmp_path / "here").stat().st_ino == before
    assert [place.name for place in tmp_path.iterdir()] == ["here"]


def test_a_folder_that_is_there_keeps_its_mode(any_face, two, tmp_path):
    """What was private stays private; a folder that is mounted stays mounted, as it is the same one."""
    (tmp_path / "out").mkdir(mode=0o700)
    before = (tmp_path / "out").stat()
    run(any_face, two, tmp_path / "out")
    after = (tmp_path / "out").stat()
    assert (after.st_ino, stat.S_IMODE(after.st_mode)) == (before.st_ino, 0o700)
    assert inside(tmp_path / "out") == BOTH


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="no second file system")
def test_a_folder_on_another_device_is_filled(any_face, two, tmp_path):
    """Where a link leads to another file system, the staging folder lies on that one too."""
    elsewhere = tmp_path / "out"
    with tempfile.TemporaryDirectory(dir="/dev/shm") as real:
        elsewhere.symlink_to(real)
        run(any_face, two, elsewhere)
        assert inside(real) == BOTH


def test_a_folder_in_one_that_cannot_be_written_is_filled(any_face, two, tmp_path, monkeypatch):
    """Only the folder itself has to be writable, as where a volume is mounted for this user."""
    (tmp_path / "out").mkdir()
    really = os.access  # no permission binds root, so what the system says is replaced
    monkeypatch.setattr(os, "access", lambda path, mode, **more: Path(path) != tmp_path and really(path, mode, **more))
    run(any_face, two, tmp_path / "out")
    assert inside(tmp_path / "out") == BOTH


def test_a_later_try_goes_on_in_the_folder_that_is_there(any_face, serve, tmp_path):
    """What came is kept in a hidden folder inside; a new job may still be run into the same folder."""
    (tmp_path / "out").mkdir()
    model = Results(files=["/f/a", "/f/b"])
    model.broken.add("/f/b")
    server = serve(model)
    job = start(any_face, server)
    with pytest.raises(gofer.Unauthorized):
        job.download(tmp_path / "out", timeout=10)
    assert all(place.name.startswith(".") for place in (tmp_path / "out").iterdir())
    model.broken.clear()
    job.download(tmp_path / "out", timeout=10)
    assert inside(tmp_path / "out") == BOTH
    assert [call.path for call in server.calls].count("/f/a") == 1


@pytest.mark.parametrize(
    "change", [{"file": "x" * 300}, {"size": 1e400}, {"size": -1}, {"size": True}, {"verified": []}]
)
def test_a_damaged_manifest_is_not_believed(any_face, serve, tmp_path, change):
    """The files that it lists are fetched again."""
    model = Results(files=["/f/a", "/f/b"])
    model.broken.add("/f/b")
    server = serve(model)
    job = start(any_face, server)
    with pytest.raises(gofer.Unauthorized):
        job.download(f"{tmp_path}/out/", timeout=10)
    (manifest,) = tmp_path.glob(".*/manifest.json")
    listed = json.loads(manifest.read_bytes())
    manifest.write_text(json.dumps({**listed, "files": [{**listed["files"][0], **change}]}))
    model.broken.clear()
    job.download(f"{tmp_path}/out/", timeout=10)
    assert inside(tmp_path / "out") == BOTH
    assert [call.path for call in server.calls].count("/f/a") == 2


def test_a_folder_half_filled_by_a_killed_process_is_filled(tmp_path):
    """The manifest is moved last; until then, what was moved counts as this job's."""
    out, staging = tmp_path / "out", tmp_path / "out" / ".1.parts"
    staging.mkdir(parents=True)
    manifest = json.dumps({"files": [{"file": "a"}, {"file": "b"}]}).encode()
    (out / "a").write_bytes(b"a")
    (staging / "b").write_bytes(b"b")
    (staging / "manifest.json").write_bytes(manifest)
    disk = LocalDisk()
    assert disk.perform(CheckFolder(out)) is None
    assert disk.perform(CheckFolder(out, staging)) == manifest
    disk.perform(Assemble(staging, out))
    assert sorted(place.name for place in out.iterdir()) == ["a", "b", "manifest.json"]


def test_a_file_put_into_the_folder_meanwhile_is_not_overwritten(tmp_path):
    """Neither one of another name nor one of the name of a file of the job."""
    out, staging = tmp_path / "out", tmp_path / "out" / ".1.parts"
    staging.mkdir(parents=True)
    (staging / "a").write_bytes(b"a")
    for name, listed in (("a", [{"file": "a"}]), ("mine", [])):
        (staging / "manifest.json").write_text(json.dumps({"files": listed}))
        (out / name).write_text("mine")
        with pytest.raises(gofer.TargetError, match="meanwhile"):
            LocalDisk().perform(Assemble(staging, out))
        assert (out / name).read_text() == "mine"
        assert (staging / "manifest.json").exists()  # it is moved last
        (out / name).unlink()


@pytest.mark.parametrize("own", ["staging", "manifest"])
def test_what_is_planted_in_place_of_the_staging_folder_is_refused(tmp_path, own):
    """A link to a folder of the user's is not followed, and a FIFO as the manifest is not waited for."""
    precious, staging = tmp_path / "precious", tmp_path / ".out.1.parts"
    precious.mkdir()
    (precious / "a").write_text("precious")
    if own == "staging":
        staging.symlink_to(precious)
        with pytest.raises(gofer.TargetError, match="Remove it"):
            LocalDisk().perform(CheckFolder(tmp_path / "out", staging))
    else:
        staging.mkdir()
        os.mkfifo(staging / "manifest.json")
        assert LocalDisk().perform(CheckFolder(tmp_path / "out", staging)) is None
    assert (precious / "a").read_text() == "precious"
