"""The disk fails during a download: TargetError is raised, no wrong file is at the target, and the part is kept."""

import contextlib
import json
import os
import random
import resource
import shutil
import signal
import stat

import pytest

from faults.processes import SlowService, wait_until
from gofer import TargetError, WrongFile
from gofer.core.commands import CheckFolder, CheckTarget, Keep, Mark, Measure, Part, Put, Store, Stored
from gofer.core.digests import LENGTHS, Digest, digest_bytes
from gofer.transports.disk import LocalDisk
from gofer.transports.parts import mark_of, part_of
from gofer.transports.private import read_private
from support.faces import MODES, face
from support.raw_server import raw_server

PAPER = b"%PDF-1.7 " + random.Random(1).randbytes(400_000)
ROOM = 200_000
NOBODY = 65534


@pytest.fixture(params=MODES)
def driver(request):
    """Give one of the three ways of calling."""
    with face(request.param, "httpx") as made:
        yield made


@pytest.fixture
def slow():
    """A service that sends the file quickly, and its server."""
    service = SlowService(PAPER)
    with raw_server(service) as server:
        yield service, server


@contextlib.contextmanager
def limited(size):
    """Let no file grow beyond this size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


@contextlib.contextmanager
def permission(folder):
    """Yield a function that takes away the permission to write into a folder; restore it in the end."""

    def lose():
        folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
        if os.getuid() == 0:
            os.seteuid(NOBODY)  # permissions do not apply to root

    try:
        yield lose
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
        folder.chmod(stat.S_IRWXU)


def when_written(target, action):
    """Return a function that waits for the part file and its mark, then does the action."""

    def halfway():
        wait_until(lambda: mark_of(target).exists() and mark_of(target).stat().st_size)
        action()

    return halfway


def test_a_full_disk_raises_target_error_and_keeps_the_part(driver, slow, tmp_path):
    """The bytes that fitted stay, and when there is room again, only the rest is fetched."""
    service, server = slow
    (tmp_path / "paper.pdf").write_bytes(b"old")
    job = driver.client(server.url).job("job-1")
    with limited(ROOM), pytest.raises(TargetError, match="too large") as caught:
        job.download(tmp_path / "paper.pdf", timeout=60)
    assert (caught.value.job_id, caught.value.leg) == ("job-1", "download")
    assert caught.value.ticket
    assert (tmp_path / "paper.pdf").read_bytes() == b"old"
    kept = part_of(tmp_path / "paper.pdf").stat().st_size
    assert 0 < kept <= ROOM
    job.download(tmp_path / "paper.pdf", timeout=60)
    assert (tmp_path / "paper.pdf").read_bytes() == PAPER
    assert service.ranges == [None, f"bytes={kept}-"]


def test_a_permission_lost_during_the_download_keeps_the_complete_part(driver, slow, tmp_path):
    """If the complete file may not be put in place, the part stays and no byte is fetched twice."""
    service, server = slow
    target = tmp_path / "paper.pdf"
    job = driver.client(server.url).job("job-1")
    job.refresh()
    with permission(tmp_path) as lose:
        service.halfway = when_written(target, lose)
        with pytest.raises(TargetError, match="Permission denied"):
            job.download(target, timeout=60)
    assert not target.exists()
    assert part_of(target).read_bytes() == PAPER
    job.download(target, timeout=60)
    assert target.read_bytes() == PAPER
    assert service.sent[1:] == [0]
    assert [place.name for place in tmp_path.iterdir()] == ["paper.pdf"]


@pytest.mark.parametrize("target", ["paper.pdf", "new/deep/paper.pdf"])
@pytest.mark.parametrize("command", [CheckTarget, CheckFolder])
def test_a_folder_without_permission_is_found_before_a_job_is_made(tmp_path, monkeypatch, command, target):
    """Also where the folders between are to be made; the error names the one that may not be written into."""
    asked = []  # no permission binds root, so what the system says is replaced

    def access(path, mode):
        asked.append((path, mode))
        return False

    monkeypatch.setattr(os, "access", access)
    with pytest.raises(TargetError, match=f"no permission to write into {tmp_path}"):
        LocalDisk().perform(command(tmp_path / target))
    assert asked == [(tmp_path, os.W_OK | os.X_OK)]


def test_a_folder_removed_during_the_download_raises_target_error(driver, slow, tmp_path):
    """The part is removed with its folder, and the next call makes the folder and fetches the complete file."""
    service, server = slow
    target = tmp_path / "deep" / "paper.pdf"
    service.halfway = when_written(target, lambda: shutil.rmtree(target.parent))
    job = driver.client(server.url).job("job-1")
    with pytest.raises(TargetError):
        job.download(target, timeout=60)
    assert not target.parent.exists()
    job.download(target, timeout=60)
    assert target.read_bytes() == PAPER


def test_the_part_of_another_errand_is_not_put_in_place(driver, slow, tmp_path):
    """If another errand has replaced the part file during the download, TargetError is raised."""
    service, server = slow
    target = tmp_path / "deep" / "paper.pdf"

    def replace():
        shutil.rmtree(target.parent)
        target.parent.mkdir()
        part_of(target).write_bytes(b"half of another's")

    service.halfway = when_written(target, replace)
    with pytest.raises(TargetError, match="removed meanwhile"):
        driver.client(server.url).job("job-1").download(target, timeout=60)
    assert not target.exists()


def test_a_target_that_another_errand_writes_is_found_before_a_job_is_made(tmp_path):
    """The check sees that the part is locked; when the other errand has let go of it, it is there for the next."""
    target, first = tmp_path / "paper.pdf", LocalDisk()
    first.writer(Store(target, 0, 0, Mark("here"), len(PAPER), None, None, None)).write([PAPER])
    with pytest.raises(TargetError, match="another errand"):
        LocalDisk().perform(CheckTarget(target))
    first.close()
    assert LocalDisk().perform(CheckTarget(target)) == Part(len(PAPER), Mark("here"))


def test_a_directory_in_the_targets_place_keeps_the_complete_part(driver, slow, tmp_path):
    """If the target has become a directory during the download, the directory and the part stay."""
    service, server = slow
    target = tmp_path / "paper.pdf"
    service.halfway = when_written(target, target.mkdir)
    job = driver.client(server.url).job("job-1")
    with pytest.raises(TargetError, match="directory"):
        job.download(target, timeout=60)
    assert target.is_dir()
    target.rmdir()
    job.download(target, timeout=60)
    assert target.read_bytes() == PAPER
    assert service.sent[1:] == [0]
    assert [place.name for place in tmp_path.iterdir()] == ["paper.pdf"]


def test_a_part_that_cannot_be_begun_leaves_nothing(driver, slow, tmp_path):
    """If the mark cannot be written, no empty part stays, and no event loop is blocked by its removal."""
    _, server = slow
    with limited(10), pytest.raises(TargetError, match="too large"):
        driver.client(server.url).job("job-1").download(tmp_path / "paper.pdf", timeout=60)
    assert list(tmp_path.iterdir()) == []


def test_the_bytes_are_on_disk_before_they_take_the_targets_place(tmp_path, monkeypatch):
    """The part is synced, then put in place, then the folder is synced, so a power failure leaves no torn file."""
    target, disk, synced = tmp_path / "paper.pdf", LocalDisk(), []
    target.write_bytes(b"old")
    disk.writer(Store(target, 0, 0, Mark("here"), len(PAPER), None, None, None)).write([PAPER])

    def fsync(handle):
        synced.append((stat.S_ISDIR(os.fstat(handle).st_mode), target.read_bytes()))

    monkeypatch.setattr(os, "fsync", fsync)
    disk.perform(Keep(target, target))
    disk.close()
    assert synced == [(False, b"old"), (True, PAPER)]


NOTE = {"source": "here", "etag": '"v1"', "total": 9, "digest": ["sha256", "00" * 32]}
DAMAGED = [
    *(
        json.dumps({**NOTE, key: value})
        for key in NOTE
        for value in (5.5, ["a"], {}, [1, 2], ["sha256", "x"], ["sha3", ""])
    ),
    *("[" * 100_000, "[]", "null", "", "7", '"x"', '{"source": "he', "{}", json.dumps({**NOTE, "more": 1}), "\xff\xfe"),
]


@pytest.mark.parametrize("note", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_note_counts_as_none(tmp_path, note):
    """A note with members of other types, or that is no JSON, is no error: there is no part then."""
    target = tmp_path / "paper.pdf"
    part_of(target).write_bytes(PAPER)
    mark_of(target).write_bytes(note.encode("latin-1", "replace"))
    assert LocalDisk().perform(CheckTarget(target)) is None


def test_no_more_than_four_mebibytes_of_a_note_are_read(tmp_path):
    """Whatever somebody has put there, it does not fill the memory."""
    (tmp_path / "note").write_bytes(bytes(5 << 20))
    assert len(read_private(tmp_path / "note")) == 4 << 20


def test_a_note_is_read_as_it_was_written(tmp_path):
    """What a part file's note says survives the disk."""
    target, mark = tmp_path / "paper.pdf", Mark("here", '"é"', 9, Digest("sha512", bytes(64)))
    disk = LocalDisk()
    disk.writer(Store(target, 0, 0, mark, 9, None, None, None)).write([b"paper"])
    disk.close()
    assert LocalDisk().perform(CheckTarget(target)) == Part(5, mark)


@pytest.mark.parametrize("algorithm", [None, *LENGTHS])
def test_a_complete_part_is_measured_as_it_is(tmp_path, algorithm):
    """Its size, its first 4 KiB, and the digest of all of it, where one is asked for."""
    target, disk = tmp_path / "paper.pdf", LocalDisk()
    disk.writer(Store(target, 0, 0, Mark("here"), len(PAPER), None, None, None)).write([PAPER])
    disk.close()
    digest = None if algorithm is None else digest_bytes(algorithm, PAPER)
    again = LocalDisk()
    assert again.perform(CheckTarget(target)) == Part(len(PAPER), Mark("here"))
    assert again.perform(Measure(target, algorithm)) == Stored(len(PAPER), digest, PAPER[:4096])
    again.close()
    assert part_of(target).read_bytes() == PAPER


@pytest.mark.parametrize(("total", "reason"), [(4, "size"), (None, "too big")])
def test_more_bytes_than_may_come(tmp_path, total, reason):
    """More bytes than the service named are another file; more than the caller takes are too many at any try."""
    disk = LocalDisk()
    writer = disk.writer(Store(tmp_path / "paper.pdf", 0, 0, Mark("here", total=total), 4, None, None, None))
    with pytest.raises(WrongFile) as error:
        writer.write([b"paper"])
    assert error.value.reason == reason
    disk.close()


def test_a_note_of_an_earlier_version_proves_no_more_than_it_says(tmp_path):
    """Members that it lacks say nothing: its date is no strong validator."""
    target = tmp_path / "paper.pdf"
    part_of(target).write_bytes(b"paper")
    mark_of(target).write_text(json.dumps(NOTE))
    digest = Digest("sha256", bytes(32))
    mark = Mark("here", '"v1"', 9, digest, modified=None, dated=False, query="", coding="", kind="")
    assert LocalDisk().perform(CheckTarget(target)) == Part(5, mark)


def test_a_small_file_that_does_not_fit_is_not_cut(tmp_path):
    """What was sent along in the job's document is complete at the target, or there is an error."""
    disk = LocalDisk()
    with contextlib.closing(disk), limited(1000), pytest.raises(TargetError, match="too large"):
        disk.perform(Put(tmp_path / "value.json", bytes(1500)))
    assert not (tmp_path / "value.json").exists()


@pytest.mark.parametrize("content", [b"", b"{}"])
def test_a_small_file_has_nothing_of_a_part_that_was_there(tmp_path, content):
    """What an earlier try left of another file under this name is gone."""
    target = tmp_path / "value.json"
    part_of(target).write_bytes(PAPER)
    disk = LocalDisk()
    disk.perform(Put(target, content))
    disk.close()
    assert target.read_bytes() == content
    assert [place.name for place in tmp_path.iterdir()] == ["value.json"]


@pytest.mark.parametrize("listed", ['{"files": [{"file": "a"}, {"file": "b"}]}', '{"files": [', "[]", "[" * 100_000])
def test_a_manifest_that_lists_a_missing_file_is_ignored(tmp_path, listed):
    """The manifest of a staging folder counts only if all its files are there."""
    staging = tmp_path / ".out.parts"
    staging.mkdir()
    (staging / "a").write_bytes(b"a")
    (staging / "manifest.json").write_text(listed)
    assert LocalDisk().perform(CheckFolder(tmp_path / "out", staging)) is None
    (staging / "b").write_bytes(b"b")
    answer = LocalDisk().perform(CheckFolder(tmp_path / "out", staging))
    assert answer == (listed.encode() if '"b"' in listed else None)
