"""The source for the user's own folder of papers.

It finds papers by file name, by the lines of ``index.jsonl``, and by the content of PDFs. It never names a file outside
the folder, whatever a link or a line says. New files need no restart. The folder is not walked for each job:
`folder_index` notices new files, and `pdf_dois` reads each PDF once.
"""

import json
import logging
import os
import re
from collections import defaultdict
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from functools import cache
from pathlib import Path
from typing import Any, Final

import anyio.to_thread
from attrs import field, frozen, mutable

from gofer.contracts.doi import normalize
from gofer_service.sources.base import LocalFile, Paper, Source, Web
from gofer_service.sources.folder_index import FolderIndex, State, state_of
from gofer_service.sources.pdf_dois import PdfDois

_log = logging.getLogger(__name__)

_SUFFIXES: Final = (".pdf", ".epub", ".xml", ".html")
_DOI: Final = re.compile(r"10\.\d{4,9}/[^\s\"<>]+")


@frozen
class _Entry:
    """A line of the index."""

    line: int
    doi: str
    file: str
    version: str | None
    licence: str | None


@frozen
class Overview:
    """A summary of a library: how many files may be papers, and the DOI of one of them."""

    files: int
    doi: str | None

    @property
    def count_in_words(self) -> str:
        """The number of files as a person says it."""
        return {0: "empty: it has no papers yet", 1: "1 paper"}.get(self.files, f"{self.files} papers")


class Library(Source):
    """The papers in ``folder`` and below it.

    First come files that are named after the DOI, with ``_`` for ``/``. Then come the lines
    ``{doi, file, version, licence}`` of ``index.jsonl``, and then PDFs with the DOI in their metadata or on their first
    page.
    """

    name = "library"
    local = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._index = FolderIndex(folder, _SUFFIXES)
        self._lines = _Lines(folder / "index.jsonl")
        self._contents = PdfDois(self._inside)

    def overview(self) -> Overview:
        """Count the files, and find a DOI by file name or index. No paper is opened."""
        files = self._index.files(now=True)
        named = [path for paths in files.by_stem.values() for path in paths if self._inside(path)]
        listed = [entry for entries in self._lines.read().values() for entry in entries]
        reals = [(entry.doi, self._inside(self._folder / entry.file)) for entry in listed]
        dois = [doi for path in sorted(named) if (doi := _doi_in_name(path))] + [doi for doi, real in reals if real]
        count = len({path.resolve() for path in named} | {real for _, real in reals if real})
        return Overview(count, next(iter(dois), None))

    async def candidates(self, paper: Paper, web: Web) -> AsyncGenerator[LocalFile, None]:  # noqa: ARG002 - it asks nobody
        """Name the files for the paper. The quickest search comes first.

        If the caller takes none of them, the folders are checked for new files, and those are named, too.
        """
        named: set[Path] = set()
        for now in (False, True):
            async with aclosing(self._search(paper, now=now)) as found:
                async for candidate in found:
                    if candidate.path not in named:
                        named.add(candidate.path)
                        yield candidate

    async def _search(self, paper: Paper, *, now: bool) -> AsyncGenerator[LocalFile, None]:
        files = await anyio.to_thread.run_sync(lambda: self._index.files(now=now))
        by_name = files.by_stem.get(paper.doi.replace("/", "_"), ())
        for path in sorted(by_name, key=lambda path: (_SUFFIXES.index(path.suffix.lower()), path)):
            if real := await anyio.to_thread.run_sync(self._inside, path):
                yield self._candidate(path, real)
        for entry in (await anyio.to_thread.run_sync(self._lines.read)).get(paper.doi, ()):
            path = self._folder / entry.file
            if real := await anyio.to_thread.run_sync(self._inside, path):
                yield self._candidate(path, real, entry.version, entry.licence)
            else:
                _warn_once(f"line {entry.line} of {self._lines.path}: there is no file {entry.file!r} in the library")
        async with aclosing(self._contents.search(paper.doi, files.pdfs, again=now)) as found:
            async for path, real in found:
                yield self._candidate(path, real)

    def _candidate(self, path: Path, real: Path, version: str | None = None, licence: str | None = None) -> LocalFile:
        label = os.path.relpath(path, self._folder)
        return LocalFile(real, label, version, licence)

    def _inside(self, path: Path) -> Path | None:
        """Return the real path of a regular file in the folder, or None if it is or leads outside."""
        try:
            real = path.resolve()
            inside = real.is_relative_to(self._folder.resolve()) and real.is_file()
        except (OSError, ValueError, RuntimeError):  # a NUL in the name, a loop of links
            return None
        return real if inside else None


@mutable
class _Lines:
    """The lines of ``index.jsonl`` by DOI. The file is read again if it has changed."""

    path: Path
    _state: State | None = None
    _entries: Mapping[str, Sequence[_Entry]] = field(factory=dict[str, Sequence[_Entry]])

    def read(self) -> Mapping[str, Sequence[_Entry]]:
        """Return the lines; blocks."""
        state = state_of(self.path)
        if state is None:
            return {}
        if state != self._state:
            self._entries, self._state = self._parsed(), state
        return self._entries

    def _parsed(self) -> Mapping[str, Sequence[_Entry]]:
        try:
            lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return {}
        entries: defaultdict[str, list[_Entry]] = defaultdict(list)
        for number, line in enumerate(lines, 1):
            if entry := _entry(number, line):
                entries[entry.doi].append(entry)
            elif line.strip():
                wanted = '{"doi": "10.1234/abc", "file": "paper.pdf"}'
                _warn_once(f"line {number} of {self.path} is left out, as it is not like {wanted}: {line[:100]!r}")
        return entries


@cache
def _warn_once(message: str) -> None:
    """Log a warning. The same message is logged once per process, also if several objects read the folder."""
    _log.warning("%s", message)


def _doi_in_name(path: Path) -> str | None:
    """Read the DOI in a file's name. Only the first underscore certainly stands for a slash."""
    doi = path.stem.lower().replace("_", "/", 1)
    return doi if _DOI.fullmatch(doi) else None


def _entry(number: int, line: str) -> _Entry | None:
    """Read a line of the index; None if it is not a valid entry."""
    try:
        fields: Any = json.loads(line)
        doi, file, version, licence = (fields.get(name) for name in ("doi", "file", "version", "licence"))
        if isinstance(file, str) and isinstance(version, str | None) and isinstance(licence, str | None):
            return _Entry(number, normalize(doi), file, version, licence)
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None
    return None
