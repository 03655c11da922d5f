"""Where a target really is, and whether something can be written there. Nothing is opened or made here."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from gofer.core.commands import Place
from gofer.errors import TargetError, TargetIsFolder
from gofer.transports.parts import writing
from gofer.transports.private import is_ours

MOUNTS = Path("/proc/self/mountinfo")
"""Where Linux lists what is mounted."""

_MOST_LINKS = 40
_KINDS = ((stat.S_ISFIFO, "a FIFO"), (stat.S_ISSOCK, "a socket"))


def locate(target: Path) -> Place:
    """Follow the links of a target; a name that is not there yet is one to be made.

    Raises:
        TargetError: something else than a file or a folder is there, or nothing can take its place.
    """
    with writing(target):
        _check_links(target)
        place = Path(os.path.realpath(target))
        try:
            mode = target.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            return Place(place, is_folder=False)
        if stat.S_ISDIR(mode):
            return Place(place, is_folder=True)
        if not stat.S_ISREG(mode):
            what = next((name for is_one, name in _KINDS if is_one(mode)), "a device")
            raise TargetError(f"{target} is {what}; name a regular file, or a new one.")
        if _is_mount_point(place):
            raise TargetError(f"{target} is mounted as a file, and none can take its place; mount its folder.")
        return Place(place, is_folder=False)


def check_file(place: Path) -> None:
    """Raise `TargetError` unless a file can be put at this place."""
    if place.is_dir():
        raise TargetIsFolder(f"{place} is a directory; name the file to write, as in {place / 'paper.pdf'}.")
    check_makeable(place)
    try:
        old, folder = place.lstat(), place.parent.lstat()
    except FileNotFoundError:
        return
    sticky = os.name == "posix" and folder.st_mode & stat.S_ISVTX and os.geteuid() not in (0, folder.st_uid)
    if sticky and not is_ours(old, place.parent):
        raise TargetError(f"{place} cannot be replaced: another user's file is there. Name another.")


def check_makeable(place: Path) -> None:
    """Raise `TargetError` unless something can be made at this place."""
    folder = place.parent
    if not folder.is_dir():
        folder = next(parent for parent in place.absolute().parents if parent.exists())
    if not folder.is_dir():
        raise TargetError(f"{place} cannot be written: {folder} is not a directory.")
    check_writable(folder, place)


def check_writable(folder: Path, place: Path) -> None:
    """Raise `TargetError` for `place` unless this folder can be written into."""
    if not os.access(folder, os.W_OK | os.X_OK):
        raise TargetError(f"{place} cannot be written: no permission to write into {folder}.")


def check_room(place: Path, wanted: int) -> None:
    """Raise `TargetError` unless the file system of a place has room for this many bytes more."""
    if not hasattr(os, "statvfs") or wanted <= 0:
        return
    found = os.statvfs(place.parent)
    free = found.f_bavail * found.f_frsize
    if found.f_blocks and wanted > free:  # some file systems do not say: theirs has no blocks at all
        raise TargetError(f"{place} cannot be written: {wanted} bytes are still to come, and {free} are free.")


def _check_links(target: Path) -> None:
    """Raise `TargetError` if the target is a link that somebody else has put there.

    In a folder that others can write to, such a link would have a file of this user's replaced.
    """
    place = target.absolute()
    for _ in range(_MOST_LINKS):
        try:
            found = place.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return
        if not stat.S_ISLNK(found.st_mode):
            return
        folder = place.parent
        if found.st_uid not in (0, folder.stat().st_uid) and not is_ours(found, folder):
            raise TargetError(f"{target} is a link that another user has made; name the file that it leads to.")
        place = folder / place.readlink()


def _is_mount_point(place: Path) -> bool:
    try:
        mounts = MOUNTS.read_bytes()
    except OSError:
        return os.path.ismount(place)
    name = re.sub(rb"[\\ \t\n]", lambda char: b"\\%03o" % ord(char[0]), os.fsencode(place))
    return name in mounts and any(line.split()[4] == name for line in mounts.splitlines())
