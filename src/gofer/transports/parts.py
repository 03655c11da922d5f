"""Part files: a download on disk before it is whole, and the note beside it that lets any process go on.

Beside `paper.pdf` lie `.paper.pdf.part` and, written before the first byte of it, `.paper.pdf.part.json`: where the
bytes come from and the entity tag of the whole. Both survive kill -9. Only the disk lives here: whether a part may be
gone on with, and whether it is whole, is the core's to say.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Generator
from io import FileIO
from pathlib import Path
from typing import Any

from gofer.core.commands import Mark, Part, Store, Stored
from gofer.errors import TargetError, WrongFile

_HEAD = 4096
_READ = 1 << 20
_LONGEST = 240  # file systems allow 255 bytes for a name; the rest is for our affixes


def part_of(target: Path) -> Path:
    """Where the part file of a target lies."""
    name = os.fsencode(target.name)
    short = target.name if len(name) <= _LONGEST else hashlib.sha256(name).hexdigest()
    return target.with_name(f".{short}.part")


def mark_of(target: Path) -> Path:
    """Where the note beside a part file lies."""
    part = part_of(target)
    return part.with_name(f"{part.name}.json")


@contextlib.contextmanager
def _writing(target: Path) -> Generator[None]:
    try:
        yield
    except TargetError:
        raise
    except OSError as error:
        raise TargetError(f"{target} cannot be written: {error.strerror or error}.") from error


class PartWriter:
    """One part file, open for appending."""

    def __init__(self, command: Store) -> None:
        self._target, self._limit = command.target, command.limit
        self._hash = hashlib.sha256() if command.hashed else None
        part = part_of(command.target)
        with _writing(command.target):
            if command.offset == 0:
                part.parent.mkdir(parents=True, exist_ok=True)
                part.unlink(missing_ok=True)
                mark_of(command.target).write_text(_note(command.mark))
            self._file = FileIO(part, "w+" if command.offset == 0 else "r+")
            try:
                self._take_up(command.offset)
            except BaseException:
                self._file.close()
                raise

    def _take_up(self, offset: int) -> None:
        """Read the kept prefix again where its hash is wanted, and stand behind it."""
        _ = self._file.truncate(offset)
        if self._hash is not None:
            _hash_into(self._hash, self._file)
        self._size = self._file.seek(offset)

    def write(self, blocks: list[bytes]) -> int:
        """Append the blocks and return the part's size.

        Raises:
            WrongFile: the whole would have more bytes than the limit.
            TargetError: the disk is full, or gone.
        """
        # Joined, they are one call for the disk; and freeing so large a block teaches malloc to keep what it has, where
        # it would give the pages of many small ones back and fault them in again.
        block = blocks[0] if len(blocks) == 1 else b"".join(blocks)
        if self._size + len(block) > self._limit:
            raise WrongFile(f"More than the {self._limit} bytes that were named came.", reason="size")
        with _writing(self._target):
            written = self._file.write(block)
            while written < len(block):
                written += self._file.write(memoryview(block)[written:])
            self._size += len(block)
            if self._hash is not None:
                self._hash.update(block)
        return self._size

    def stored(self) -> Stored:
        """Say what is on disk now."""
        with _writing(self._target):
            _ = self._file.seek(0)
            head = self._file.read(_HEAD) or b""
            _ = self._file.seek(self._size)
        return Stored(self._size, None if self._hash is None else self._hash.digest(), head)

    def close(self) -> None:
        """Close the file; the part stays."""
        self._file.close()


class Parts:
    """The part files of the local disk."""

    def look(self, target: Path) -> Part | None:
        """Return the part beside the target, None without a usable one.

        Raises:
            TargetError: the target is a directory, or nothing can be written where it should go.
        """
        with _writing(target):
            if target.is_dir():
                raise TargetError(f"{target} is a directory; name the file to write, as in {target / 'paper.pdf'}.")
            folder = next(place for place in target.absolute().parents if place.exists())
            if not folder.is_dir():
                raise TargetError(f"{target} cannot be written: {folder} is not a directory.")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise TargetError(f"{target} cannot be written: no permission to write into {folder}.")
        try:
            return Part(part_of(target).stat().st_size, _mark(json.loads(mark_of(target).read_text())))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def writer(self, command: Store) -> PartWriter:
        """Open the part file, truncated to the command's offset; folders are made as needed."""
        return PartWriter(command)

    def weigh(self, target: Path, hashed: bool) -> Stored:
        """Measure the part as it lies there."""
        with _writing(target), FileIO(part_of(target), "r") as file:
            head = file.read(_HEAD) or b""
            size = file.seek(0, os.SEEK_END)
            digest = hashlib.sha256()
            _ = file.seek(0)
            if hashed:
                _hash_into(digest, file)
        return Stored(size, digest.digest() if hashed else None, head)

    def keep(self, target: Path) -> None:
        """Sync the part to disk and put it in the target's place in one step."""
        with _writing(target):
            part = part_of(target)
            with FileIO(part, "r+") as file:
                os.fsync(file.fileno())
            part.replace(target)
            mark_of(target).unlink(missing_ok=True)
            _sync_folder(target.parent)

    def discard(self, target: Path) -> None:
        """Remove the part and the note beside it."""
        with _writing(target):
            part_of(target).unlink(missing_ok=True)
            mark_of(target).unlink(missing_ok=True)


def _hash_into(digest: Any, file: FileIO) -> None:
    while block := file.read(_READ):
        digest.update(block)


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return  # other systems cannot open a folder to sync it
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _note(mark: Mark) -> str:
    digest = None if mark.digest is None else mark.digest.hex()
    return json.dumps({"source": mark.source, "etag": mark.etag, "total": mark.total, "digest": digest})


def _mark(note: dict[str, Any]) -> Mark:
    digest = note["digest"]
    return Mark(note["source"], note["etag"], note["total"], None if digest is None else bytes.fromhex(digest))
