"""The DOIs in the metadata and on the first pages of a library's PDFs. Each PDF is read once for each modification.

The PDFs are read in child processes (`gofer_service.inspection`). A job that is cancelled meanwhile keeps what was read
before.
"""

import logging
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from pathlib import Path

import anyio
import anyio.to_thread
from attrs import field, frozen, mutable

from gofer.contracts.doi import normalize
from gofer_service.inspection import BATCH, read_dois
from gofer_service.sources.folder_index import State, state_of

_log = logging.getLogger(__name__)


@frozen
class _Read:
    """The DOI in a PDF that was in this state."""

    state: State | None
    doi: str | None
    readable: bool


@mutable
class PdfDois:
    """Finds PDFs by their content. ``inside`` returns the real path of a file, or None if the file must not be read."""

    _inside: Callable[[Path], Path | None]
    _pdfs: Mapping[Path, State] = field(factory=dict[Path, State], init=False)
    _unread: list[Path] = field(factory=list[Path], init=False)
    _read: dict[Path, _Read] = field(factory=dict[Path, _Read], init=False)
    _found: dict[str, set[Path]] = field(factory=dict[str, set[Path]], init=False)
    _interrupted: Counter[Path] = field(factory=Counter[Path], init=False)
    _reading: anyio.Lock = field(factory=anyio.Lock, init=False)

    async def search(
        self, doi: str, pdfs: Mapping[Path, State], *, again: bool
    ) -> AsyncGenerator[tuple[Path, Path], None]:
        """Yield those of the PDFs that have the DOI in them, each with its real path; new PDFs are read meanwhile.

        A PDF that could not be read, such as one that was still being copied, is read once more if ``again`` is true
        and it has changed.
        """
        await self._update(pdfs, again=again)
        yielded: set[Path] = set()
        while True:
            for path in sorted(self._found.get(doi, set()) - yielded):
                real, state = await anyio.to_thread.run_sync(self._look, path)
                if path not in self._read or state != self._read[path].state:
                    self._forget(path)
                elif real is not None:
                    yielded.add(path)
                    yield path, real
            if not self._unread:
                return
            async with self._reading:
                await self._read_batch()

    async def _update(self, pdfs: Mapping[Path, State], *, again: bool) -> None:
        """Find out what has to be read. The mapping is a new one if a file has changed, and only then."""
        if pdfs is not self._pdfs:
            self._pdfs = pdfs
            for path, read in list(self._read.items()):
                if read.state != pdfs.get(path):
                    self._forget(path)
            self._unread = [path for path in pdfs if path not in self._read]
        if again:
            for path, read in [(path, read) for path, read in self._read.items() if not read.readable]:
                if await anyio.to_thread.run_sync(state_of, path) != read.state:
                    self._forget(path)

    async def _read_batch(self) -> None:
        # A PDF that took longer than a job had time for is read after all others, and alone.
        self._unread.sort(key=lambda path: self._interrupted[path])
        batch = [path for path in self._unread[:BATCH] if not self._interrupted[path]] or self._unread[:1]
        waiting: dict[Path, tuple[Path, State | None]] = {}
        for path in batch:
            real, state = await anyio.to_thread.run_sync(self._look, path)
            if real is None:
                self._keep(path, _Read(state, None, readable=False))
            else:
                waiting[path] = real, state
        if not waiting:
            return
        try:
            async with aclosing(read_dois([real for real, _ in waiting.values()])) as pdfs:
                async for pdf in pdfs:
                    path = next(iter(waiting))
                    _, state = waiting.pop(path)
                    self._keep(path, _Read(state, _normalized(pdf.doi), pdf.readable))
                    if not pdf.readable:
                        _log.warning("%r cannot be read as a PDF, so no DOI is found in it", str(path))
        except anyio.get_cancelled_exc_class():
            self._interrupted.update(list(waiting)[:1])
            raise

    def _look(self, path: Path) -> tuple[Path | None, State | None]:
        return self._inside(path), state_of(path)

    def _keep(self, path: Path, read: _Read) -> None:
        self._read[path] = read
        if path in self._unread:
            self._unread.remove(path)
        if read.doi is not None:
            self._found.setdefault(read.doi, set()).add(path)

    def _forget(self, path: Path) -> None:
        read = self._read.pop(path, None)
        if read is None:
            return  # another job was quicker
        if read.doi is not None:
            self._found[read.doi].discard(path)
        if path in self._pdfs:
            self._unread.append(path)


def _normalized(doi: str | None) -> str | None:
    try:
        return None if doi is None else normalize(doi)
    except ValueError:
        return None
