"""Part files: a download on disk before it is complete, and the note beside it that lets any process go on.

Beside `paper.pdf` lie `.paper.pdf.part` and, written before the first byte of it, `.paper.pdf.part.json`: where the
bytes come from and the entity tag of the complete file. Both survive kill -9. Here a part is named, locked, written and
measured. Whether one may be resumed, and whether it is complete, the core decides; which command does what to it is
`disk.py`'s.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from functools import lru_cache
from io import FileIO
from pathlib import Path

from attrs import asdict

from gofer.core.commands import Mark, Store, Stored
from gofer.core.digests import Digest, Hasher, hasher
from gofer.errors import TargetError, WrongFile
from gofer.transports.private import is_ours, open_private, read_private, write_all, write_private

try:
    import fcntl
except ImportError:  # not POSIX: an open file cannot be replaced there, which is lock enough
    fcntl = None  # type: ignore[assignment]

_HEAD = 4096
_READ = 1 << 20
_BACKLOG = 16 << 20  # bytes that are in memory only, at most about
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


SPOILT = (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError)
"""What reading a note raises that something has damaged: it counts as none."""


class writing:
    """Turns the system's errors into `TargetError` for this target."""

    __slots__ = ("_target",)

    def __init__(self, target: Path) -> None:
        self._target = target

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, OSError) and not isinstance(error, TargetError):
            raise unwritable(self._target, error) from error


def unwritable(target: Path, error: OSError) -> TargetError:
    """Make the error for a file that cannot be written."""
    found = TargetError(f"{target} cannot be written: {error.strerror or error}.")
    found.full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return found


def open_part(target: Path) -> FileIO:
    """Open the part file of a target and lock it, for this errand alone; folders are made as needed.

    Raises:
        TargetError: another errand has it, or it cannot be opened.
    """
    part = part_of(target)
    with writing(target):
        part.parent.mkdir(parents=True, exist_ok=True)
        while True:
            file = open_private(part, create=True, mode=mode_for(target))
            try:
                lock(file, target)
                if is_at(file, part):
                    return file
            except BaseException:
                file.close()
                raise
            file.close()  # another errand kept or discarded it between our opening and our locking it


def mode_for(target: Path) -> int:
    """Return the permissions to make a target's part with: what is private is so from its first byte on."""
    try:
        found = target.lstat().st_mode
    except FileNotFoundError:
        return 0o666
    return (found & 0o777) | 0o600 if stat.S_ISREG(found) else 0o666


def take_mode(file: FileIO, target: Path) -> None:
    """Give a part the permissions of the file that it replaces: whoever could not read that file cannot read it."""
    try:
        old, new = target.lstat(), os.fstat(file.fileno())
    except FileNotFoundError:
        return
    if os.name != "posix" or not stat.S_ISREG(old.st_mode):
        return
    mode = old.st_mode & 0o777
    if not is_ours(old, target.parent):
        mode &= new.st_mode  # another user has chosen them
    if old.st_gid != new.st_gid:
        try:
            os.fchown(file.fileno(), -1, old.st_gid)
        except OSError:
            mode &= ~0o070  # not a group of ours: what it may do is not for the group of the new file
    if mode != new.st_mode & 0o777:
        os.fchmod(file.fileno(), mode)


def lock(file: FileIO, target: Path) -> None:
    """Lock an open part file until it is closed, or raise `TargetError` where somebody else has."""
    if fcntl is None:
        return
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise TargetError(f"{target} is being fetched by another errand just now; wait, or name another.") from None
    except OSError:
        return  # this file system has no locks


def is_at(file: FileIO, place: Path) -> bool:
    """Tell whether an open file is the one at this place."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), place.lstat())
    except FileNotFoundError:
        return False


def measure(file: FileIO, target: Path, hashed: str | None) -> Stored:
    """Measure a part as it is; a digest reads all of it."""
    with writing(target):
        digest = None
        if hashed is not None:
            _hash_into(made := hasher(hashed), file)
            digest = made.digest()
        return Stored(os.fstat(file.fileno()).st_size, digest, _head(file))


def read_mark(target: Path) -> Mark:
    """Read the note beside a part.

    Raises:
        TargetError: something else lies in its place.
        OSError, or one of `SPOILT`: there is none, or something has damaged it.
    """
    note = json.loads(read_private(mark_of(target)))
    digest = note.pop("digest")
    return Mark(**note, digest=None if digest is None else Digest(digest[0], bytes.fromhex(digest[1])))


def _note(mark: Mark) -> bytes:
    note = asdict(mark, recurse=False)
    note["digest"] = None if mark.digest is None else [mark.digest.algorithm, mark.digest.value.hex()]
    return json.dumps(note).encode()


class PartWriter:
    """A part file being written. The disk opened it, and closes it."""

    def __init__(self, file: FileIO, command: Store) -> None:
        self._file, self._target, self._limit = file, command.target, command.limit
        self._named = command.mark.total is not None
        self._hash = None if command.hashed is None else hasher(command.hashed)
        with writing(command.target):
            kept = command.offset + command.overlap
            _ = file.truncate(kept)
            if kept == 0:
                write_private(mark_of(command.target), _note(command.mark))
            elif self._hash is not None:
                _hash_into(self._hash, file)  # the kept prefix is read again from disk
            _ = file.seek(command.offset)
            self._same = file.read(command.overlap) or b""  # what the first bytes of the body must be
            self._size, self._pushed = command.offset, file.seek(kept)

    def write(self, blocks: list[bytes]) -> int:
        """Append the blocks and return the part's size, or how far it has been compared.

        Raises:
            WrongFile: the complete file would have more bytes than the limit, or begins to differ from the part.
            TargetError: the disk is full, or gone.
        """
        # Joined, they are one call for the disk; and freeing so large a block teaches malloc to keep what it has, where
        # it would give the pages of many small ones back and fault them in again.
        block = blocks[0] if len(blocks) == 1 else b"".join(blocks)
        if self._size + len(block) > self._limit:
            named, reason = ("were named", "size") if self._named else ("may come", "too big")
            raise WrongFile(f"More than the {self._limit} bytes that {named} came.", reason=reason)
        if self._same:
            block = self._compared(block)
        try:
            write_all(self._file, block)
        except OSError as error:
            raise unwritable(self._target, error) from error
        self._size += len(block)
        if self._hash is not None:
            self._hash.update(block)
        if self._size - self._pushed >= _BACKLOG:
            self._push()
        return self._size

    def _compared(self, block: bytes) -> bytes:
        """Compare the block with what the part has already; return what is new."""
        size = min(len(block), len(self._same))
        if block[:size] != self._same[:size]:
            raise WrongFile("The file has changed since its first part came.", reason="range")
        self._same = self._same[size:]
        self._size += size
        return block[size:]

    def _push(self) -> None:
        """Have the system begin to write out what it keeps in memory, so that the sync at the end is short."""
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._file.fileno(), self._pushed, self._size - self._pushed, os.POSIX_FADV_DONTNEED)
        self._pushed = self._size

    def stored(self) -> Stored:
        """Return what is on disk now."""
        with writing(self._target):
            return Stored(self._size, None if self._hash is None else self._hash.digest(), _head(self._file))


def _head(file: FileIO) -> bytes:
    here = file.tell()
    _ = file.seek(0)
    head = file.read(_HEAD) or b""
    _ = file.seek(here)
    return head


def _hash_into(digest: Hasher, file: FileIO) -> None:
    _ = file.seek(0)
    while block := file.read(_READ):
        digest.update(block)
