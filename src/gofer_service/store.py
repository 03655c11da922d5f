"""Where the files of finished jobs are kept.

A store knows bytes and keys. A key is ours and never comes from a caller: ``<job id>.<attempt>.<format>``, so that
two attempts at one job cannot write to the same place.
"""

import hashlib
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import IO, Final, Protocol

import anyio
import anyio.to_thread
from attrs import frozen

CHUNK: Final = 64 * 1024
"""Bytes read at a time."""

_KEY: Final = re.compile(r"[A-Za-z0-9_-]+\.[0-9]+\.[a-z]+")
_UNFINISHED: Final = ".unfinished"


@frozen
class Stored:
    """What was written: its size in bytes and its SHA-256 in hex."""

    size: int
    sha256: str


class Store(Protocol):
    """Keeps files under keys."""

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> Stored:
        """Write a file whole or not at all."""
        ...

    def read(self, key: str, start: int, length: int) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open a file for ``length`` bytes from offset ``start``.

        Raises:
            FileNotFoundError: there is no such file.
        """
        ...

    async def delete(self, key: str) -> None:
        """Delete the file if it is there."""
        ...


class FolderStore:
    """A store in a local folder, which is created."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> Stored:
        """Write to a name of its own, fsync, and rename: a reader sees the whole file or none.

        What former attempts at the same job left behind is removed first.
        """
        path = self._path(key)
        part = path.with_name(path.name + _UNFINISHED)
        digest = hashlib.sha256()
        size = 0
        file = await anyio.to_thread.run_sync(_begin, part, key)
        try:
            async for chunk in chunks:
                digest.update(chunk)
                size += await anyio.to_thread.run_sync(file.write, chunk)
            await anyio.to_thread.run_sync(_settle, file, part, path)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(_abandon, file, part)
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

    async def delete(self, key: str) -> None:
        """Delete the file if it is there."""
        await anyio.to_thread.run_sync(lambda: self._path(key).unlink(missing_ok=True))

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError(f"{key!r} is no key of this store")
        return self._folder / key


async def _chunks(file: IO[bytes], start: int, length: int) -> AsyncIterator[bytes]:
    await anyio.to_thread.run_sync(file.seek, start)
    while length and (chunk := await anyio.to_thread.run_sync(file.read, min(CHUNK, length))):
        length -= len(chunk)
        yield chunk


def _begin(part: Path, key: str) -> IO[bytes]:
    for left in part.parent.glob(f"{key.partition('.')[0]}.*"):
        left.unlink(missing_ok=True)
    return part.open("wb")


def _settle(file: IO[bytes], part: Path, path: Path) -> None:
    file.flush()
    os.fsync(file.fileno())
    file.close()
    part.replace(path)
    # The rename itself is only durable once the folder is.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _abandon(file: IO[bytes], part: Path) -> None:
    file.close()
    part.unlink(missing_ok=True)
