"""The file that a journal is in: how it is recognised, locked for one process, and refused where it cannot be safe."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Generator
from io import FileIO
from pathlib import Path

from gofer.errors import JournalError

try:
    import fcntl
except ImportError:  # not POSIX: SQLite's own locks are all there is
    fcntl = None  # type: ignore[assignment]

APPLICATION = 0x676F6672
"""The application id in the file's header, by which a journal is recognised: "gofr"."""

MOUNTS = Path("/proc/self/mountinfo")
"""Where Linux lists what is mounted."""

_HEADER = b"SQLite format 3\0"
_REMOTE = {"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph", "afs"}
"""File systems on which processes do not share the memory that a journal written ahead needs."""


def is_journal(path: Path) -> bool:
    """Tell by a file's first bytes whether it is a journal."""
    try:
        with path.open("rb") as file:
            head = file.read(72)
    except OSError:
        return False
    return head.startswith(_HEADER) and head[68:72] == APPLICATION.to_bytes(4, "big")


def check_file(path: Path) -> None:
    """Raise `JournalError` unless a file may be a journal, or is empty."""
    with making(path), path.open("rb") as file:
        head = file.read(len(_HEADER))
    if head and head != _HEADER:
        raise JournalError(f"{path} is no journal of gofer's; name another file. It was not changed.")


def hold(path: Path) -> FileIO:
    """Lock a journal for this process; the lock goes with the process, however it ends.

    Raises:
        JournalError: another process has it, or a journal cannot be there.
    """
    if path.exists():
        check_file(path)
    remote = _remote(path)
    if remote is not None:
        raise JournalError(f"The journal {path} is on {remote}, which cannot hold one safely; put it on a local disk.")
    place = _lock_of(path)
    while True:
        with making(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            file = FileIO(os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | _NOFOLLOW, 0o600), "r+")
        try:
            if fcntl is not None:
                fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(file.fileno()), place.stat()):
                return file
        except BlockingIOError:
            file.close()
            raise JournalError(f"Another process runs the journal {path} just now. Wait for it, or stop it.") from None
        except FileNotFoundError:
            pass  # whoever had it has just let go of it
        file.close()


def release(path: Path, file: FileIO) -> None:
    """Let go of a journal, and remove the file that was locked."""
    with contextlib.suppress(OSError):
        _lock_of(path).unlink()  # before the lock is gone: whoever waits looks again
    file.close()


@contextlib.contextmanager
def making(path: Path) -> Generator[None]:
    """Turn the system's errors into `JournalError` for this journal."""
    try:
        yield
    except OSError as error:
        hint = "; the disk is full" if error.errno == errno.ENOSPC else ""
        raise JournalError(f"The journal {path} cannot be opened: {error.strerror or error}{hint}.") from error


_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)


def _lock_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")


def _remote(path: Path) -> str | None:
    """Return the kind of the file system that a path is on, if it is one that cannot hold a journal."""
    try:
        mounts = [line.split() for line in MOUNTS.read_text(errors="replace").splitlines()]
    except OSError:
        return None
    there = str(path.absolute().parent.resolve())
    best, kind = "", None
    for parts in mounts:
        point = parts[4]
        if (there == point or there.startswith(point.rstrip("/") + "/")) and len(point) >= len(best):
            best, kind = point, parts[parts.index("-") + 1]
    return kind if kind in _REMOTE else None
