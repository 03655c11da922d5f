"""The local disk, as the drivers use it: each command of the core's that concerns files, carried out.

What part files look like and how they are locked is in `parts.py`. Nothing is decided here.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from gofer.core import commands
from gofer.errors import TargetError, TargetIsFolder
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
    writing,
)

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
        """
        match command:
            case commands.CheckTarget(target):
                return self._check_target(target)
            case commands.CheckFolder(folder, staging):
                return _check_folder(folder, staging)
            case commands.Measure(target, hashed):
                return measure(self._hold(target), target, hashed)
            case commands.Keep(target):
                self._keep(target)
            case commands.Discard(target):
                self._discard(target)
            case commands.Put(target, content):
                self._put(target, content)
            case commands.Assemble(staging, folder):
                _assemble(staging, folder)
        return None

    def writer(self, command: commands.Store) -> PartWriter:
        """Open the part file, truncated to the command's offset; folders are made as needed."""
        return PartWriter(self._hold(command.target), command)

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
            if target.is_dir():
                raise TargetIsFolder(f"{target} is a directory; name the file to write, as in {target / 'paper.pdf'}.")
            _makeable(target)
            part = part_of(target)
            if not part.exists():
                return None
            if self._file is None:
                with FileIO(part, "r+") as file:
                    lock(file, target)
        try:
            return commands.Part(part.stat().st_size, read_mark(target))
        except (OSError, *SPOILT):
            return None

    def _keep(self, target: Path) -> None:
        file, part, mark = self._hold(target), part_of(target), mark_of(target)
        with writing(target):
            os.fsync(file.fileno())
            if not is_at(file, part):
                raise TargetError(f"{target} cannot be written: its part file was removed meanwhile.")
            note = mark.read_bytes()
            mark.unlink()  # before the lock is gone: the next mark is another errand's
            if os.name != "posix":
                file.close()  # other systems do not rename an open file
            try:
                part.replace(target)
            except OSError:
                mark.write_bytes(note)  # the part is complete, and the next errand needs its mark
                raise
            _sync_folder(target.parent)
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
            _ = file.write(content)
            mark_of(target).write_bytes(b"")
        self._keep(target)


def _check_folder(folder: Path, staging: Path | None) -> bytes | None:
    with writing(folder):
        if folder.exists() and not folder.is_dir():
            raise TargetError(f"{folder} is a file; name a folder for the files of this job.")
        if folder.is_dir() and next(folder.iterdir(), None) is not None:
            raise TargetError(f"{folder} has something in it already; name an empty folder, or one to be made.")
        _makeable(folder)
        if staging is None or not (staging / commands.MANIFEST).exists():
            return None
        manifest = (staging / commands.MANIFEST).read_bytes()
        return manifest if _all_there(manifest, staging) else None


def _assemble(staging: Path, folder: Path) -> None:
    with writing(folder):
        if os.name != "posix" and folder.is_dir():
            folder.rmdir()  # other systems do not rename over a folder
        staging.replace(folder)
        _sync_folder(folder.parent)


def _makeable(target: Path) -> None:
    """Raise `TargetError` unless something can be made at this place."""
    folder = target.parent
    if not folder.is_dir():
        folder = next(place for place in target.absolute().parents if place.exists())
    if not folder.is_dir():
        raise TargetError(f"{target} cannot be written: {folder} is not a directory.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise TargetError(f"{target} cannot be written: no permission to write into {folder}.")


def _all_there(manifest: bytes, staging: Path) -> bool:
    """Tell whether every file that a manifest lists still is where it was put."""
    try:
        return all((staging / entry["file"]).is_file() for entry in json.loads(manifest)["files"])
    except (OSError, *SPOILT):
        return False


def copy_into(source: Path, file: BinaryIO) -> None:
    """Copy a complete file into a file object."""
    with source.open("rb") as stored:
        shutil.copyfileobj(stored, file, _READ)


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return  # other systems cannot open a folder to sync it
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
