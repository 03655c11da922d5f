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
import shutil
from collections.abc import Generator
from functools import lru_cache
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO

from gofer.core.commands import MANIFEST, Mark, Part, Store, Stored
from gofer.errors import TargetError, TargetIsFolder, WrongFile

try:
    import fcntl
except ImportError:  # not POSIX: an open file cannot be replaced there, which is lock enough
    fcntl = None  # type: ignore[assignment]

_HEAD = 4096
_READ = 1 << 20
_BACKLOG = 16 << 20  # bytes in memory only, at most about so many
_LONGEST = 240  # file systems allow 255 bytes for a name; the rest is for our affixes


@lru_cache(64)
def part_of(target: Path) -> Path:
    """Where the part file of a target lies."""
    name = os.fsencode(target.name)
    short = target.name if len(name) <= _LONGEST else hashlib.sha256(name).hexdigest()
    return target.with_name(f".{short}.part")


@lru_cache(64)
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
        raise _unwritable(target, error) from error


def _unwritable(target: Path, error: OSError) -> TargetError:
    """Make the error for a file that cannot be written."""
    return TargetError(f"{target} cannot be written: {error.strerror or error}.")


class PartWriter:
    """A part file being written. `Parts` opened it, and closes it."""

    def __init__(self, file: FileIO, command: Store) -> None:
        self._file, self._target, self._limit = file, command.target, command.limit
        self._hash = hashlib.sha256() if command.hashed else None
        with _writing(command.target):
            _ = file.truncate(command.offset)
            if command.offset == 0:
                with FileIO(mark_of(command.target), "w") as note:
                    _ = note.write(_note(command.mark))
            elif self._hash is not None:
                _hash_into(self._hash, file)  # the kept prefix is read again from disk
            self._size = self._pushed = file.seek(command.offset)

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
        try:
            written = self._file.write(block)
            while written < len(block):
                written += self._file.write(memoryview(block)[written:])
        except OSError as error:
            raise _unwritable(self._target, error) from error
        self._size += len(block)
        if self._hash is not None:
            self._hash.update(block)
        if self._size - self._pushed >= _BACKLOG:
            self._push()
        return self._size

    def _push(self) -> None:
        """Have the system begin to write out what it keeps in memory, so that the sync at the end is short."""
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._file.fileno(), self._pushed, self._size - self._pushed, os.POSIX_FADV_DONTNEED)
        self._pushed = self._size

    def stored(self) -> Stored:
        """Say what is on disk now."""
        with _writing(self._target):
            return Stored(self._size, None if self._hash is None else self._hash.digest(), _head(self._file))


class Parts:
    """The part files of the local disk, for one errand.

    The errand holds a lock on the part it writes until it keeps it, discards it or closes, so that two processes
    never write one part, and none puts another's half-written part in a target's place.
    """

    def __init__(self) -> None:
        self._file: FileIO | None = None
        self._target: Path | None = None

    def look(self, target: Path) -> Part | None:
        """Return the part beside the target, None without a usable one.

        Raises:
            TargetError: the target is a directory, nothing can be written where it should go, or somebody else is
                writing this very file.
        """
        with _writing(target):
            if target.is_dir():
                raise TargetIsFolder(f"{target} is a directory; name the file to write, as in {target / 'paper.pdf'}.")
            _makeable(target)
            part = part_of(target)
            if not part.exists():
                return None
            if self._file is None:
                with FileIO(part, "r+") as file:
                    _lock(file, target)
        try:
            return Part(part.stat().st_size, _mark(json.loads(mark_of(target).read_text())))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def writer(self, command: Store) -> PartWriter:
        """Open the part file, truncated to the command's offset; folders are made as needed."""
        return PartWriter(self._hold(command.target), command)

    def weigh(self, target: Path, hashed: bool) -> Stored:
        """Measure the part as it lies there."""
        file = self._hold(target)
        with _writing(target):
            digest = hashlib.sha256()
            if hashed:
                _hash_into(digest, file)
            return Stored(os.fstat(file.fileno()).st_size, digest.digest() if hashed else None, _head(file))

    def keep(self, target: Path) -> None:
        """Sync the part to disk and put it in the target's place in one step."""
        file, part, mark = self._hold(target), part_of(target), mark_of(target)
        with _writing(target):
            os.fsync(file.fileno())
            if not _same(file, part):
                raise TargetError(f"{target} cannot be written: its part file was removed meanwhile.")
            note = mark.read_bytes()
            mark.unlink()  # before the lock is gone: the next mark is another errand's
            if os.name != "posix":
                file.close()  # other systems do not rename an open file
            try:
                part.replace(target)
            except OSError:
                mark.write_bytes(note)  # the part is whole, and the next errand needs its mark
                raise
            _sync_folder(target.parent)
        self._release()

    def discard(self, target: Path) -> None:
        """Remove the part and the note beside it."""
        with _writing(target):
            mark_of(target).unlink(missing_ok=True)
            part_of(target).unlink(missing_ok=True)
        self._release()

    def put(self, target: Path, content: bytes) -> None:
        """Write a small file by way of its part file."""
        file = self._hold(target)
        with _writing(target):
            _ = file.truncate(0)
            _ = file.seek(0)
            _ = file.write(content)
            mark_of(target).write_bytes(b"")
        self.keep(target)

    def muster(self, folder: Path, staging: Path | None) -> bytes | None:
        """Return the manifest in the staging folder, None without one.

        Raises:
            TargetError: the folder is a file or has something in it, or nothing can be made where it should go.
        """
        with _writing(folder):
            if folder.exists() and not folder.is_dir():
                raise TargetError(f"{folder} is a file; name a folder for the files of this job.")
            if folder.is_dir() and next(folder.iterdir(), None) is not None:
                raise TargetError(f"{folder} has something in it already; name an empty folder, or one to be made.")
            _makeable(folder)
            if staging is None or not (staging / MANIFEST).exists():
                return None
            manifest = (staging / MANIFEST).read_bytes()
            return manifest if _all_there(manifest, staging) else None

    def assemble(self, staging: Path, folder: Path) -> None:
        """Put the staging folder in the place of the folder in one step."""
        with _writing(folder):
            if os.name != "posix" and folder.is_dir():
                folder.rmdir()  # other systems do not rename over a folder
            staging.replace(folder)
            _sync_folder(folder.parent)

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
        if self._file is not None:
            return self._file
        part = part_of(target)
        with _writing(target):
            part.parent.mkdir(parents=True, exist_ok=True)
            while True:
                file = FileIO(os.open(part, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666), "r+")
                try:
                    _lock(file, target)
                    if _same(file, part):
                        self._file, self._target = file, target
                        return file
                except BaseException:
                    file.close()
                    raise
                file.close()  # it was kept or discarded by another between our opening and our locking it

    def _release(self) -> None:
        file, self._file, self._target = self._file, None, None
        if file is not None:
            file.close()


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
    except (ValueError, KeyError, TypeError):
        return False


def pour(source: Path, file: BinaryIO) -> None:
    """Copy a file that is whole into a file object."""
    with source.open("rb") as whole:
        shutil.copyfileobj(whole, file, _READ)


def _lock(file: FileIO, target: Path) -> None:
    """Lock an open part file until it is closed, or raise `TargetError` where somebody else has."""
    if fcntl is None:
        return
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise TargetError(f"{target} is being fetched by another errand just now; wait, or name another.") from None
    except OSError:
        return  # this file system has no locks


def _same(file: FileIO, place: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), place.stat())
    except FileNotFoundError:
        return False


def _head(file: FileIO) -> bytes:
    here = file.tell()
    _ = file.seek(0)
    head = file.read(_HEAD) or b""
    _ = file.seek(here)
    return head


def _hash_into(digest: Any, file: FileIO) -> None:
    _ = file.seek(0)
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


def _note(mark: Mark) -> bytes:
    digest = None if mark.digest is None else mark.digest.hex()
    return json.dumps({"source": mark.source, "etag": mark.etag, "total": mark.total, "digest": digest}).encode()


def _mark(note: dict[str, Any]) -> Mark:
    digest = note["digest"]
    return Mark(note["source"], note["etag"], note["total"], None if digest is None else bytes.fromhex(digest))
