"""Files that are gofer's own: part files, their notes, manifests. Nothing planted under their names is followed.

In a folder that others can write to, anything may lie where such a file belongs: a link to a file of the user's, a
second name of it, a FIFO that nobody writes to. A file is therefore opened without following a link and without
waiting, and used only if it is a regular file, has one name, and belongs to this user.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from io import FileIO
from pathlib import Path

from gofer.errors import TargetError

_FLAGS = sum(getattr(os, name, 0) for name in ("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "O_NOCTTY", "O_BINARY"))
_NO_FILE = {errno.ELOOP, errno.EMLINK, errno.ENXIO, errno.EISDIR, errno.EOPNOTSUPP}
"""What systems answer where a link, a socket, a FIFO or a directory is opened with these flags."""

_LONGEST = 1 << 22  # bytes; a manifest of 20,000 files has about as many


def open_private(place: Path, *, create: bool = False, mode: int = 0o666) -> FileIO:
    """Open a file of gofer's own for reading and writing; nothing in it is changed.

    Raises:
        TargetError: something else lies there.
        OSError: it cannot be opened, or is not there.
    """
    try:
        file = FileIO(os.open(place, os.O_RDWR | _FLAGS | (os.O_CREAT if create else 0), mode), "r+")
    except OSError as error:
        if error.errno in _NO_FILE:
            raise _refused(place, "it is not a regular file") from error
        raise
    try:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise _refused(place, "it is not a regular file")
        if found.st_nlink > 1:
            raise _refused(place, "it has another name too (a hard link)")
        if not is_ours(found, place.parent):
            raise _refused(place, "it belongs to another user")
    except BaseException:
        file.close()
        raise
    return file


def read_private(place: Path) -> bytes:
    """Read a small file of gofer's own; raises as `open_private` does."""
    with open_private(place) as file:
        return file.read(_LONGEST) or b""


def write_private(place: Path, content: bytes) -> None:
    """Write a small file of gofer's own, in place of what it had; raises as `open_private` does."""
    with open_private(place, create=True) as file:
        _ = file.truncate(0)
        write_all(file, content)


def write_all(file: FileIO, content: bytes) -> None:
    """Write all of it: where a disk is nearly full, one call of the system's writes what fits, and no error comes."""
    written = file.write(content)
    while written < len(content):
        written += file.write(memoryview(content)[written:])


def is_ours(found: os.stat_result, folder: Path) -> bool:
    """Tell whether what was found in a folder belongs to this user."""
    if os.name != "posix" or found.st_uid in (os.geteuid(), os.getuid()):
        return True
    try:  # some mounts show every file as one user's (CIFS, vboxsf, NFS for root): compare with a file made now
        with tempfile.TemporaryFile(dir=folder) as fresh:
            return os.fstat(fresh.fileno()).st_uid == found.st_uid
    except OSError:
        return False


def _refused(place: Path, why: str) -> TargetError:
    return TargetError(f"gofer keeps a file of its own at {place}, and does not use what is there: {why}. Remove it.")
