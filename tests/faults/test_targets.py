"""What lies at a target, or under the names of gofer's own files beside it: found before a job is made, unharmed."""

import errno
import os
import random
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from faults.processes import SlowService, requests, wait_until
from gofer import TargetError, UsageError
from gofer.core.commands import CheckTarget, Keep, Mark, Store
from gofer.transports import targets
from gofer.transports.disk import LocalDisk
from gofer.transports.parts import mark_of, part_of
from support.faces import MODES, face
from support.raw_server import raw_server

DOI = "10.5555/12345678"
PAPER = b"%PDF-1.7 " + random.Random(2).randbytes(40_000)
STRANGER = 65534

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links, FIFOs and owners are POSIX")


@pytest.fixture(params=MODES)
def driver(request):
    """Give one of the three ways of calling."""
    with face(request.param, "httpx") as made:
        yield made


@pytest.fixture
def server():
    """A service whose jobs are completed at once."""
    with raw_server(SlowService(PAPER)) as made:
        yield made


def fetch(driver, server, target):
    """Submit, wait and download to a target; return the path that the caller gets."""
    return driver.client(server.url).retrieve_and_download(DOI, target, timeout=20)[0]


def a_link(place: Path, precious: Path) -> None:
    """Plant a symbolic link to a file of the user's."""
    place.symlink_to(precious)


def a_dangling_link(place: Path, precious: Path) -> None:
    """Plant a symbolic link to a file that is not there, and would be made."""
    place.symlink_to(precious.with_name("nothing"))


def a_hard_link(place: Path, precious: Path) -> None:
    """Plant a second name of a file of the user's."""
    place.hardlink_to(precious)


def a_fifo(place: Path, precious: Path) -> None:
    """Plant a FIFO that nobody writes to."""
    os.mkfifo(place)


def a_socket(place: Path, precious: Path) -> None:
    """Plant a socket."""
    here = Path.cwd()
    os.chdir(place.parent)  # the address of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(place.name)
    finally:
        os.chdir(here)


def a_device(place: Path, precious: Path) -> None:
    """Plant a device."""
    try:
        os.mknod(place, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root makes devices")


def a_folder(place: Path, precious: Path) -> None:
    """Put a folder there."""
    place.mkdir()


def anothers_file(place: Path, precious: Path) -> None:
    """Plant a file that another user can write to."""
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    place.write_bytes(PAPER[:100])
    place.chmod(0o666)
    os.chown(place, STRANGER, STRANGER)


PLANTED: list[Callable[[Path, Path], None]] = [
    a_link,
    a_dangling_link,
    a_hard_link,
    a_fifo,
    a_socket,
    a_device,
    a_folder,
    anothers_file,
]


@pytest.mark.parametrize("own", [part_of, mark_of])
@pytest.mark.parametrize("plant", PLANTED)
def test_what_is_planted_under_our_names_is_refused_before_a_job_is_made(driver, server, tmp_path, plant, own):
    """Nothing is followed, written, read or waited for, and the error names the place."""
    precious, target = tmp_path / "precious", tmp_path / "shared" / "paper.pdf"
    precious.write_bytes(b"precious")
    target.parent.mkdir()
    plant(own(target), precious)
    with pytest.raises(TargetError, match=r"paper\.pdf\.part") as caught:
        fetch(driver, server, target)
    assert "Remove it" in str(caught.value)
    assert server.calls == []
    assert sorted(place.name for place in tmp_path.iterdir()) == ["precious", "shared"]
    assert [place.name for place in target.parent.iterdir()] == [own(target).name]
    assert precious.read_bytes() == b"precious"


@pytest.mark.parametrize("plant", [a_link, a_hard_link, a_fifo])
def test_what_is_planted_in_mid_transfer_is_not_written_to(driver, tmp_path, plant):
    """The part is replaced while it is written: the errand fails, and what it leads to is untouched."""
    precious, target = tmp_path / "precious", tmp_path / "paper.pdf"
    precious.write_bytes(b"precious")
    service = SlowService(PAPER)

    def replace():
        wait_until(lambda: mark_of(target).exists() and mark_of(target).stat().st_size)
        part_of(target).unlink()
        plant(part_of(target), precious)

    service.halfway = replace
    with raw_server(service) as server, pytest.raises(TargetError):
        fetch(driver, server, target)
    assert precious.read_bytes() == b"precious"
    assert not target.exists()


@pytest.mark.parametrize("plant", [a_fifo, a_socket, a_device])
def test_a_target_that_is_no_regular_file_is_refused_before_a_job_is_made(driver, server, tmp_path, plant):
    """FIFOs, sockets and devices are not replaced; also behind a link."""
    target, link = tmp_path / "paper.pdf", tmp_path / "link.pdf"
    plant(target, tmp_path)
    link.symlink_to(target)
    for to in (target, link):
        with pytest.raises(TargetError, match="regular file"):
            fetch(driver, server, to)
    assert server.calls == []
    assert not stat.S_ISREG(target.lstat().st_mode)


def test_a_link_in_a_circle_is_refused(driver, server, tmp_path):
    """No job is made for a target that leads nowhere."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(TargetError):
        fetch(driver, server, tmp_path / "a")
    assert server.calls == []


@pytest.mark.parametrize("there", [True, False])
def test_the_file_behind_a_link_is_replaced_and_the_link_stays(driver, server, tmp_path, there):
    """Also over two links, and where the file is not there yet; the part lies beside the file."""
    real = tmp_path / "store" / "real.pdf"
    real.parent.mkdir()
    if there:
        real.write_bytes(b"old")
    (tmp_path / "second").symlink_to("store/real.pdf")
    link = tmp_path / "paper.pdf"
    link.symlink_to(tmp_path / "second")
    assert fetch(driver, server, link) == str(link)
    assert (link.is_symlink(), real.is_symlink(), real.read_bytes()) == (True, False, PAPER)
    assert sorted(place.name for place in tmp_path.iterdir()) == ["paper.pdf", "second", "store"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files of another user")
def test_anothers_link_is_not_followed(driver, server, tmp_path):
    """In a folder that everybody may write to, another user's link would have a file of ours replaced."""
    precious, link = tmp_path / "precious", tmp_path / "paper.pdf"
    precious.write_bytes(b"precious")
    link.symlink_to(precious)
    os.chown(link, STRANGER, STRANGER, follow_symlinks=False)
    with pytest.raises(TargetError, match="another user"):
        fetch(driver, server, link)
    assert (server.calls, precious.read_bytes()) == ([], b"precious")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files of another user")
def test_anothers_file_that_a_sticky_folder_protects_is_found_before_a_job_is_made(tmp_path, monkeypatch):
    """As in /tmp, where only its owner may replace a file."""
    target = tmp_path / "paper.pdf"
    target.write_bytes(b"old")
    tmp_path.chmod(0o1777)
    for place in (target, tmp_path):
        os.chown(place, STRANGER, STRANGER)
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    with pytest.raises(TargetError, match="another user's"):
        LocalDisk().perform(CheckTarget(target))


def test_a_second_name_of_the_target_keeps_the_old_file(driver, server, tmp_path):
    """A target with a hard link is replaced, and not written through."""
    target, second = tmp_path / "paper.pdf", tmp_path / "second.pdf"
    target.write_bytes(b"old")
    second.hardlink_to(target)
    fetch(driver, server, target)
    assert (target.read_bytes(), second.read_bytes()) == (PAPER, b"old")


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o400, 0o444, 0o666, 0o000])
def test_the_mode_of_what_is_replaced_is_kept(driver, server, tmp_path, mode):
    """What was private stays private, and what a group could write to stays so."""
    target = tmp_path / "paper.pdf"
    target.write_bytes(b"old")
    target.chmod(mode)
    fetch(driver, server, target)
    kept = stat.S_IMODE(target.stat().st_mode)
    target.chmod(0o600)  # to be read
    assert (kept, target.read_bytes()) == (mode, PAPER)


def test_a_part_is_as_private_as_what_it_will_replace(tmp_path):
    """Nobody reads in mid-transfer what they could not read before."""
    target, disk = tmp_path / "paper.pdf", LocalDisk()
    target.write_bytes(b"old")
    target.chmod(0o600)
    disk.writer(Store(target, 0, 0, Mark("here"), 10, None, None, None)).write([b"secret"])
    assert stat.S_IMODE(part_of(target).stat().st_mode) == 0o600
    disk.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files of another user")
def test_the_mode_of_anothers_file_is_not_taken(tmp_path):
    """A file planted at the target, writable for everybody, does not make ours so."""
    target, disk = tmp_path / "paper.pdf", LocalDisk()
    target.write_bytes(b"old")
    target.chmod(0o666)
    os.chown(target, STRANGER, STRANGER)
    disk.writer(Store(target, 0, 0, Mark("here"), 10, None, None, None)).write([b"new"])
    disk.perform(Keep(target, target))
    assert stat.S_IMODE(target.stat().st_mode) & 0o022 == 0
    assert target.stat().st_gid == STRANGER  # what its group may do is still for that group


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_that_cannot_sync_is_no_failure(driver, server, tmp_path, monkeypatch, code):
    """Neither for the file nor for its folder."""

    def fsync(handle):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fsync)
    fetch(driver, server, tmp_path / "paper.pdf")
    assert (tmp_path / "paper.pdf").read_bytes() == PAPER


def test_a_disk_that_fails_to_sync_is_a_failure(tmp_path, monkeypatch):
    """An error of the disk itself is not taken for a file system that cannot sync."""
    target, disk = tmp_path / "paper.pdf", LocalDisk()
    disk.writer(Store(target, 0, 0, Mark("here"), 10, None, None, None)).write([b"new"])

    def fsync(handle):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(TargetError):
        disk.perform(Keep(target, target))
    disk.close()
    assert not target.exists()


def test_a_home_and_a_relative_target_mean_what_they_meant_at_the_start(driver, tmp_path, monkeypatch):
    """`~` is the home; a change of the working directory in mid-transfer does not move the file."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for folder in ("home", "here", "elsewhere"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    service = SlowService(PAPER)
    service.halfway = lambda: os.chdir(tmp_path / "elsewhere")
    with raw_server(service) as server:
        assert fetch(driver, server, "paper.pdf") == "paper.pdf"
        assert (tmp_path / "here" / "paper.pdf").read_bytes() == PAPER
        assert fetch(driver, server, "~/paper.pdf") == str(tmp_path / "home" / "paper.pdf")
    assert (tmp_path / "home" / "paper.pdf").read_bytes() == PAPER
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_name_that_no_file_can_have_is_found_before_a_job_is_made(driver, server, tmp_path):
    """Too long for the file system, or with characters that cannot be encoded."""
    with pytest.raises(TargetError):
        fetch(driver, server, tmp_path / ("x" * 300))
    with pytest.raises(UsageError, match="characters"):
        fetch(driver, server, f"{tmp_path}/\ud800.pdf")
    assert server.calls == []


def test_a_file_that_is_a_mount_is_found_before_a_job_is_made(driver, server, tmp_path, monkeypatch):
    """No file can take the place of one that is mounted by itself, as `docker -v` does."""
    target = tmp_path / "a paper.pdf"
    target.write_bytes(b"old")
    table = tmp_path / "mountinfo"
    escaped = str(target).replace(" ", "\\040")
    table.write_text(f"22 1 8:1 / / rw - ext4 /dev/a rw\n23 1 8:1 /x {escaped} rw - ext4 /dev/a rw\n")
    monkeypatch.setattr(targets, "MOUNTS", table)
    with pytest.raises(TargetError, match="mounted"):
        fetch(driver, server, target)
    assert server.calls == []


def test_room_on_the_disk_is_checked_before_the_first_byte(driver, server, tmp_path, monkeypatch):
    """A file whose size is named and does not fit is not begun; what is there already counts as room."""
    real, target = os.statvfs, tmp_path / "paper.pdf"

    def nearly_full(folder):
        found = list(real(folder))
        found[1:5] = [1, 1000, 100, len(PAPER) - 1]  # blocks of one byte
        return os.statvfs_result(found)

    monkeypatch.setattr(os, "statvfs", nearly_full)
    with pytest.raises(TargetError, match=f"{len(PAPER)} bytes are still to come, and {len(PAPER) - 1} are free"):
        fetch(driver, server, target)
    assert list(tmp_path.iterdir()) == []
    assert requests(server, "GET") > 0
    part_of(target).write_bytes(b"?")
    fetch(driver, server, target)
    assert target.read_bytes() == PAPER


@pytest.mark.parametrize("free", [150, 149])
def test_what_is_compared_with_the_part_needs_no_room(tmp_path, monkeypatch, free):
    """Of 300 bytes the part has 150, of which 50 come once more: room for the other 150 is enough, and is needed."""
    target, disk = tmp_path / "paper.pdf", LocalDisk()
    disk.writer(Store(target, 0, 0, Mark("here"), 300, None, None, None)).write([PAPER[:150]])
    found = list(os.statvfs(tmp_path))
    found[1:5] = [1, 1000, free, free]  # blocks of one byte
    monkeypatch.setattr(os, "statvfs", lambda folder: os.statvfs_result(found))
    rest = Store(target, 100, 50, Mark("here"), 300, None, None, None, room=200)
    if free < 150:
        with pytest.raises(TargetError, match="150 bytes are still to come"):
            disk.writer(rest)
    else:
        assert disk.writer(rest).write([PAPER[100:300]]) == 300
    disk.close()
