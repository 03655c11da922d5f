"""The local disk, as the drivers use it: each command of the core's that concerns files, carried out.

What part files look like and how they are locked is in `parts.py`. Nothing is decided here.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from gofer.core import commands
from gofer.errors import TargetError
from gofer.transports.folders import assemble, check_folder
from gofer.transports.inputs import examine
from gofer.transports.parts import (
    SPOILT,
    PartWriter,
    is_at,
    lock,
    mark_of,
    measure,
    open_part,
    part_of,
    read_mark,
    take_mode,
    writing,
)
from gofer.transports.private import open_private, read_private, write_all, write_private
from gofer.transports.sync import sync, sync_folder
from gofer.transports.targets import check_file, check_room, locate

_READ = 1 << 20


class LocalDisk:
    """The disk of this machine, for one errand.

    The errand holds a lock on the part it writes until it keeps it, discards it or closes, so that two processes
    never write one part, and none puts another's half-written part in a target's place.
    """

    def __init__(self) -> None:
        self._file: FileIO | None = None
        self._target: Path | None = None

    @property
    def holds(self) -> bool:
        """Whether a part is open."""
        return self._file is not None

    def perform(self, command: commands.DiskCommand) -> commands.DiskAnswer:
        """Carry out a command.

        Raises:
            TargetError: what the command wants written cannot be written.
            UsageError: what the command wants sent cannot be read.
        """
        match command:
            case commands.Locate(target):
                return locate(target)
            case commands.CheckTarget(target):
                return self._check_target(target)
            case commands.CheckFolder(folder, staging, job):
                return check_folder(folder, staging, job)
            case commands.Measure(target, hashed):
                return measure(self._hold(target), target, hashed)
            case commands.Keep(target, at):
                self._keep(target, at)
            case commands.Discard(target):
                self._discard(target)
            case commands.Put(target, content):
                self._put(target, content)
            case commands.Assemble(staging, folder, job):
                assemble(staging, folder, job)
            case commands.Recognise(at, size, digest):
                return _recognise(at, size, digest)
            case commands.Examine(body, hashed):
                return examine(body, hashed=hashed)
        return None

    def writer(self, command: commands.Store) -> PartWriter:
        """Open the part file, truncated to the command's offset; folders are made as needed.

        Raises:
            TargetError: it cannot be opened, or the disk has no room for what is still to come.
        """
        file = self._hold(command.target)
        with writing(command.target):
            freed = max(0, os.fstat(file.fileno()).st_size - command.offset)  # truncated away, or compared
            check_room(command.target, command.room - freed)
        return PartWriter(file, command)

    def close(self) -> None:
        """Let go of the part, which stays for the next errand if there is anything in it."""
        file, target = self._file, self._target
        if file is not None and target is not None and os.fstat(file.fileno()).st_size == 0:
            with contextlib.suppress(OSError):
                mark_of(target).unlink(missing_ok=True)
                part_of(target).unlink(missing_ok=True)
        self._release()

    def _hold(self, target: Path) -> FileIO:
        """Return the target's part file, open and locked."""
        if self._file is None:
            self._file, self._target = open_part(target), target
        return self._file

    def _release(self) -> None:
        file, self._file, self._target = self._file, None, None
        if file is not None:
            file.close()

    def _check_target(self, target: Path) -> commands.Part | None:
        with writing(target):
            check_file(target)
            size = self._size_of_part(target)
            try:
                mark = read_mark(target)  # also without a part: whatever lies there is found before a job is made
            except TargetError:
                raise
            except (OSError, *SPOILT):
                return None
        return None if size is None else commands.Part(size, mark)

    def _size_of_part(self, target: Path) -> int | None:
        if self._file is not None:
            return os.fstat(self._file.fileno()).st_size
        try:
            with open_private(part_of(target)) as file:
                lock(file, target)
                return os.fstat(file.fileno()).st_size
        except FileNotFoundError:
            return None

    def _keep(self, target: Path, at: Path) -> None:
        file, part, mark = self._hold(target), part_of(target), mark_of(target)
        with writing(at):
            at = at if at == target else locate(at).path  # its name was not there to be checked before
            sync(file.fileno())
            if not is_at(file, part):
                raise TargetError(f"{at} cannot be written: its part file was removed meanwhile.")
            note = read_private(mark)
            mark.unlink()  # before the lock is gone: the next mark is another errand's
            take_mode(file, at)
            if os.name != "posix":
                file.close()  # other systems do not rename an open file
            try:
                part.replace(at)
            except OSError:
                write_private(mark, note)  # the part is complete, and the next errand needs its mark
                if os.name == "posix":
                    os.fchmod(file.fileno(), os.fstat(file.fileno()).st_mode & 0o777 | 0o600)  # and has to open it
                raise
            sync_folder(at.parent)
        self._release()

    def _discard(self, target: Path) -> None:
        with writing(target):
            mark_of(target).unlink(missing_ok=True)
            part_of(target).unlink(missing_ok=True)
        self._release()

    def _put(self, target: Path, content: bytes) -> None:
        file = self._hold(target)
        with writing(target):
            _ = file.truncate(0)
            _ = file.seek(0)
            write_all(file, content)
            write_private(mark_of(target), b"")
        self._keep(target, target)


def _recognise(at: Path, size: int, digest: str) -> bool:
    """Tell whether a regular file of this size and SHA-256 is at this place."""
    try:
        with at.open("rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode) or found.st_size != size:
                return False
            return hashlib.file_digest(file, "sha256").hexdigest() == digest
    except OSError:
        return False


def copy_into(source: Path, file: BinaryIO) -> None:
    """Copy a complete file into a file object."""
    with source.open("rb") as stored:
        shutil.copyfileobj(stored, file, _READ)
