"""An index of a folder and the folders below it: the names and states of the files. It opens no file.

A folder is listed again only if its modification time has changed, so that a look costs one `stat` for each folder and
none for each file. Network shares and mounts send no notices of changes, but they keep this time.
"""

import os
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from attrs import field, frozen, mutable

SETTLED: Final = 2.0
"""Seconds for which a folder is listed again although its time is the same: some file systems count whole seconds."""

LOOK_EVERY: Final = 2.0
"""Seconds for which a look at the folders is enough, unless something is missing."""


State = tuple[int, int]
"""The modification time of a file, in nanoseconds, and its size. It differs after the file was changed."""


@frozen
class _Folder:
    modified: int
    since: float
    settled: bool
    files: Mapping[str, State]
    folders: Sequence[str]


@frozen
class Files:
    """The files at one time, sorted by path: all of them by the lower-case stem of the name, and the PDFs."""

    by_stem: Mapping[str, Sequence[Path]] = field(factory=dict[str, Sequence[Path]])
    pdfs: Mapping[Path, State] = field(factory=dict[Path, State])


@mutable
class FolderIndex:
    """The files with one of these suffixes in ``top`` and below it. Links to folders are not followed."""

    top: Path
    suffixes: Sequence[str]
    _folders: dict[str, _Folder] = field(factory=dict[str, _Folder], init=False)
    _files: Files = field(factory=Files, init=False)
    _looked: float = field(default=float("-inf"), init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)

    def files(self, *, now: bool = False) -> Files:
        """Look at the folders, unless that was done within `LOOK_EVERY` seconds or ``now`` is true; blocks."""
        asked = time.monotonic()
        with self._lock:
            if self._looked < asked - (0 if now else LOOK_EVERY):
                began = time.monotonic()
                self._look()
                self._looked = began
            return self._files

    def _look(self) -> None:
        former, self._folders = self._folders, {}
        changed = False
        waiting = [str(self.top)]
        while waiting:
            path = waiting.pop()
            folder = _listed(path, former.get(path), self.suffixes)
            if folder is None:
                continue
            self._folders[path] = folder
            changed = changed or not _same_names(folder, former.get(path))
            waiting += (os.path.join(path, name) for name in folder.folders)  # noqa: PTH118 - text is quicker
        if changed or len(former) != len(self._folders):
            self._files = _arranged(self._folders)


def _listed(path: str, former: _Folder | None, suffixes: Sequence[str]) -> _Folder | None:
    """List a folder, or return the former list if it still holds; None if the folder cannot be read."""
    try:
        modified = os.stat(path).st_mtime_ns  # noqa: PTH116 - text is quicker
        if former is not None and former.settled and former.modified == modified:
            return former
        began = time.monotonic()
        with os.scandir(path) as entries:
            found = list(entries)
        folders = [entry.name for entry in found if entry.is_dir(follow_symlinks=False)]
        papers = (entry for entry in found if os.path.splitext(entry.name)[1].lower() in suffixes)  # noqa: PTH122
        files = {entry.name: state for entry in papers if (state := state_of(entry.path))}
    except OSError:
        return None
    # By our own clock: the clock of a file server may be wrong.
    since = former.since if former is not None and former.modified == modified else began
    return _Folder(modified, since, began - since >= SETTLED, files, folders)


def _same_names(one: _Folder, other: _Folder | None) -> bool:
    return other is not None and (one.files, one.folders) == (other.files, other.folders)


def _arranged(folders: Mapping[str, _Folder]) -> Files:
    states = {Path(folder, name): state for folder, listed in folders.items() for name, state in listed.files.items()}
    by_stem: defaultdict[str, list[Path]] = defaultdict(list)
    for path in sorted(states):
        by_stem[path.stem.lower()].append(path)
    return Files(by_stem, {path: states[path] for path in sorted(states) if path.suffix.lower() == ".pdf"})


def state_of(path: str | Path) -> State | None:
    """Return the state of a file, or None if there is none."""
    try:
        stat = os.stat(path)  # noqa: PTH116 - text is quicker
    except (OSError, ValueError):
        return None
    return stat.st_mtime_ns, stat.st_size
