"""The store for the files of completed jobs.

A store handles bytes and keys. A key is ``<job id>.<attempt>.<format>``, so that two attempts at one job cannot write
to the same file. Keys are made by the service and never come from a caller.
"""

import hashlib
import os
import re
import shutil
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import IO, Final, Protocol

import anyio
import anyio.to_thread
from attrs import frozen

CHUNK: Final = 64 * 1024
"""Bytes that are read at once."""

_KEY: Final = re.compile(r"[A-Za-z0-9_-]+\.[0-9]+\.[a-z]+")
_UNFINISHED: Final = ".unfinished"


@frozen
class Stored:
    """A file that was written: its size in bytes, and its SHA-256 in hex."""

    size: int
    sha256: str


class Store(Protocol):
    """Keeps files under keys."""

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> Stored:
        """Write a file completely or not at all."""
        ...

    def read(self, key: str, start: int, length: int) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open a file for ``length`` bytes from offset ``start``.

        Raises:
            FileNotFoundError: there is no such file.
        """
        ...

    async def copy(self, key: str, new: str) -> None:
        """Make a file that is there available under another key too, completely or not at all.

        Raises:
            FileNotFoundError: there is no such file.
        """
        ...

    async def delete(self, key: str) -> None:
        """Delete the file if it exists."""
        ...


class FolderStore:
    """A store in a local folder. The folder is created."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> Stored:
        """Write to a temporary name, fsync, and rename: a reader finds the complete file or none.

        Files of earlier attempts at the same job are removed first.
        """
        path = self._path(key)
        part = path.with_name(path.name + _UNFINISHED)
        digest = hashlib.sha256()
        size = 0
        file = await anyio.to_thread.run_sync(_open_part, part)
        try:
            async for chunk in chunks:
                digest.update(chunk)
                size += await anyio.to_thread.run_sync(file.write, chunk)
            await anyio.to_thread.run_sync(_commit, file, part, path)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(_discard, file, part)
            raise
        return Stored(size, digest.hexdigest())

    @asynccontextmanager
    async def read(self, key: str, start: int, length: int) -> AsyncGenerator[AsyncIterator[bytes]]:
        """Open a file for ``length`` bytes from offset ``start``.

        Raises:
            FileNotFoundError: there is no such file.
        """
        file = await anyio.to_thread.run_sync(self._path(key).open, "rb")
        try:
            yield _chunks(file, start, length)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(file.close)

    async def copy(self, key: str, new: str) -> None:
        """Link the file, or copy it where the file system has no links. Neither key depends on the other."""
        await anyio.to_thread.run_sync(_link, self._path(key), self._path(new))

    async def delete(self, key: str) -> None:
        """Delete the file if it exists."""
        await anyio.to_thread.run_sync(lambda: self._path(key).unlink(missing_ok=True))

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError(f"{key!r} is not a key of this store")
        return self._folder / key


async def _chunks(file: IO[bytes], start: int, length: int) -> AsyncIterator[bytes]:
    await anyio.to_thread.run_sync(file.seek, start)
    while length and (chunk := await anyio.to_thread.run_sync(file.read, min(CHUNK, length))):
        length -= len(chunk)
        yield chunk


def _open_part(part: Path) -> IO[bytes]:
    _remove_earlier(part)
    return part.open("wb")


def _remove_earlier(path: Path) -> None:
    """Remove what earlier attempts at the same job have left; before the first there was none."""
    job, attempt, _ = path.name.split(".", 2)
    if int(attempt) > 1:
        for left in path.parent.glob(f"{job}.*"):
            left.unlink(missing_ok=True)


def _commit(file: IO[bytes], part: Path, path: Path) -> None:
    file.flush()
    os.fsync(file.fileno())
    file.close()
    part.replace(path)
    # The rename is durable only after the folder has been synced, too.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _link(path: Path, new: Path) -> None:
    part = new.with_name(new.name + _UNFINISHED)
    _remove_earlier(new)
    try:
        part.hardlink_to(path)
    except FileNotFoundError:
        raise
    except OSError:  # the file system has no links, or no more of them for this file
        shutil.copyfile(path, part)
    with part.open("rb") as file:
        _commit(file, part, new)


def _discard(file: IO[bytes], part: Path) -> None:
    file.close()
    part.unlink(missing_ok=True)
