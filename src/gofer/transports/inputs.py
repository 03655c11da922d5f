"""The files of streamed bodies, on this machine: looked at before the first try, and read anew on each.

A file that is no longer the one that was looked at is a `UsageError`. The last block of a file is handed out only after
the file has proved to be the same, so no service gets a complete request with other bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import threading
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import BinaryIO

from attrs import evolve

from gofer.errors import UsageError
from gofer.wire import FileInput, Streamed

BLOCK = 1 << 18
"""Bytes that are read in one piece."""

_positions = threading.Lock()
"""Held while an open file is read: several errands may send it, and it has one position."""


def examine(body: Streamed, *, hashed: bool) -> Streamed:
    """Find the sizes and versions of a body's files, and the digest of the body if it is wanted.

    Raises:
        UsageError: a file cannot be read, or is none that can be sent again after a lost answer.
    """
    pieces = (_found(piece) if isinstance(piece, FileInput) else piece for piece in body.pieces)
    found = evolve(body, pieces=tuple(pieces))
    if not hashed:
        return found
    digest = hashlib.sha256()
    for block in blocks(found):
        digest.update(block)
    return evolve(found, sha256=digest.hexdigest())


def check(body: Streamed) -> None:
    """Raise `UsageError` if a file of a body is not the one that was looked at."""
    for piece in body.files:
        with _opened(piece):
            pass


def blocks(body: Streamed) -> Iterator[bytes]:
    """Read a body that was looked at, in blocks; a file that has changed is a `UsageError`."""
    for piece in body.pieces:
        if isinstance(piece, bytes):
            yield piece
            continue
        with _opened(piece) as file:
            at = 0
            while at < piece.size:
                block = _read(piece, file, at)
                at += len(block)
                if at == piece.size or not block:
                    _check(piece, file, whole=at == piece.size)
                yield block


class Blocks:
    """The blocks of a body, from the first one each time; `renew` is called after each that was taken."""

    def __init__(self, body: Streamed, renew: Callable[[], None]) -> None:
        check(body)
        self._body, self._renew = body, renew

    def __iter__(self) -> Iterator[bytes]:
        for block in blocks(self._body):
            yield block
            self._renew()


def _found(piece: FileInput) -> FileInput:
    source = piece.source
    with _speaking(piece):
        if isinstance(source, Path):
            found = source.stat()
            if not stat.S_ISREG(found.st_mode):
                what = "a folder" if stat.S_ISDIR(found.st_mode) else "no regular file"
                raise UsageError(f"The file {piece.name!r} cannot be sent: it is {what}.")
            return FileInput(source.absolute(), found.st_size, _version(found))
        if not source.seekable() or not isinstance(source.read(0), bytes):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(
                f"The file {piece.name!r} cannot be sent: it is open for text, or cannot go back to its beginning, as "
                'a second try must. Pass its path, a file opened with "rb", or bytes.'
            )
        with _positions:
            size = source.seek(0, os.SEEK_END)
        return evolve(piece, size=size, version=_version(os.fstat(source.fileno())))


@contextlib.contextmanager
def _opened(piece: FileInput) -> Generator[BinaryIO]:
    """Open a file, or take the one that is open, if it is the one that was looked at."""
    with contextlib.ExitStack() as stack:
        file = piece.source
        if isinstance(file, Path):
            with _speaking(piece):
                file = stack.enter_context(file.open("rb", buffering=0))
        _check(piece, file)
        yield file


def _read(piece: FileInput, file: BinaryIO, at: int) -> bytes:
    with _speaking(piece), _positions if file is piece.source else contextlib.nullcontext():
        _ = file.seek(at)
        return file.read(min(BLOCK, piece.size - at))


def _check(piece: FileInput, file: BinaryIO, *, whole: bool = True) -> None:
    with _speaking(piece):
        found = os.fstat(file.fileno())
    if not whole or _version(found) != piece.version:
        raise UsageError(
            f"The file {piece.name!r} has changed since gofer looked at it, and every try must send the same bytes. "
            "This try was not sent, or was cut off before its end."
        )


def _version(found: os.stat_result) -> tuple[int, ...]:
    return found.st_size, found.st_mtime_ns, found.st_ino


@contextlib.contextmanager
def _speaking(piece: FileInput) -> Generator[None]:
    """Turn what the system says of a file into a `UsageError`."""
    try:
        yield
    except UsageError:
        raise
    except OSError as error:
        raise UsageError(f"The file {piece.name!r} cannot be read: {error.strerror or error}.") from error
    except (AttributeError, TypeError, ValueError) as error:  # it is closed, or no file of the system's
        raise UsageError(
            f"The file {piece.name!r} is no open file of this machine ({error}); pass its path, or bytes."
        ) from error
