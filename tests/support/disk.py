"""The disk in memory that the tests without I/O share: parts, files and folders, as the drivers use a disk."""

from __future__ import annotations

import json
from pathlib import Path

from attrs import define, evolve, field

from gofer.core.commands import (
    MANIFEST,
    Assemble,
    CheckFolder,
    CheckTarget,
    Discard,
    DiskAnswer,
    DiskCommand,
    Keep,
    Locate,
    Mark,
    Measure,
    Part,
    Place,
    Put,
    Recognise,
    Store,
    Stored,
)
from gofer.core.digests import digest_bytes
from gofer.errors import TargetError, WrongFile


@define
class Memory:
    """What is on the disk: parts and files by their targets. It outlives the process that wrote it."""

    parts: dict[Path, tuple[bytearray | bytes, Mark]] = field(factory=dict)
    files: dict[Path, bytes] = field(factory=dict)

    def read(self, target: Path) -> bytes | None:
        """Return what is at the target."""
        return self.files.get(target)


@define
class MemoryDisk:
    """One errand's access to the memory."""

    memory: Memory = field(factory=Memory)
    writing: Path | None = None

    @property
    def holds(self) -> bool:
        """Whether a part is open."""
        return self.writing is not None

    def perform(self, command: DiskCommand) -> DiskAnswer:
        """Perform a command."""
        parts, files = self.memory.parts, self.memory.files
        match command:
            case Locate(target):
                return Place(target, any(target in path.parents for path in files))
            case CheckTarget(target):
                found = parts.get(target)
                return None if found is None else Part(len(found[0]), found[1])
            case CheckFolder(folder, staging, job):
                own = files.get(folder / MANIFEST, b"{}")
                if any(folder in path.parents for path in files) and {**json.loads(own), "files": 0} != {
                    **(job or {}),
                    "files": 0,
                }:
                    raise TargetError(f"{folder} has something in it already.")
                return files.get(folder / MANIFEST) if staging is None else files.get(staging / MANIFEST)
            case Measure(target, hashed):
                return stored(parts[target][0], hashed)
            case Keep(target, at):
                files[at] = bytes(parts.pop(target)[0])
            case Discard(target):
                parts.pop(target, None)
            case Put(target, content):
                files[target] = content
            case Assemble(staging, folder):
                for path in [path for path in files if staging in path.parents]:
                    files[folder / path.name] = files.pop(path)
            case Recognise(at, size, digest):
                found = files.get(at)
                return found is not None and len(found) == size and digest_bytes("sha256", found).hex() == digest
        return None

    def writer(self, command: Store) -> MemoryWriter:
        """Begin a part, or continue one."""
        self.writing = command.target
        data, mark = self.memory.parts.get(command.target, (b"", command.mark))
        kept = bytearray(data[: command.offset + command.overlap])
        self.memory.parts[command.target] = (kept, mark if command.offset else command.mark)
        return MemoryWriter(kept, command, bytes(kept[command.offset :]))

    def kill(self) -> None:
        """Do nothing, as a killed process does."""

    def close(self) -> None:
        """Keep the part unless it is empty."""
        writing, self.writing = self.writing, None
        if writing is not None and writing in self.memory.parts and not self.memory.parts[writing][0]:
            del self.memory.parts[writing]


@define
class MemoryWriter:
    """A part being written."""

    data: bytearray
    command: Store
    same: bytes = b""

    def write(self, blocks: list[bytes]) -> int:
        """Append the blocks; the first bytes must be those that are there already."""
        more = b"".join(blocks)
        if more[: len(self.same)] != self.same[: len(more)]:
            raise WrongFile("it has changed", reason="range")
        more, self.same = more[len(self.same) :], self.same[len(more) :]
        if len(self.data) + len(more) > self.command.limit:
            raise WrongFile("more came", reason="too big" if self.command.mark.total is None else "size")
        self.data += more
        return len(self.data)

    def stored(self) -> Stored:
        """Return what is in the part."""
        found = stored(self.data, self.command.hashed)
        return evolve(found, size=found.size - len(self.same))


def stored(data: bytes | bytearray, hashed: str | None) -> Stored:
    """Measure these bytes."""
    return Stored(len(data), None if hashed is None else digest_bytes(hashed, bytes(data)), bytes(data[:4096]))
