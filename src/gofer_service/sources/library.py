"""The user's own folder of papers, the first and quickest source.

Found by name, by the folder's index, and last by what the PDFs say about themselves. Nothing outside the folder is
ever named, whatever a link or the index says. New files are seen without a restart.
"""

import json
import os
import re
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any, Final

import anyio.to_thread
from attrs import frozen
from pypdf import PdfReader

from gofer.contracts.doi import normalize
from gofer_service.sources.base import Candidate, Paper

_SUFFIXES: Final = (".pdf", ".epub", ".xml", ".html")
_DOI: Final = re.compile(r"10\.\d{4,9}/[^\s\"<>]+")
_PRISM: Final = re.compile(r"prism:doi\s*(?:=\s*[\"']|>)\s*([^\"'<]+)")


@frozen
class _Entry:
    """A line of the index."""

    doi: str
    file: str
    version: str | None
    licence: str | None


class Library:
    """The papers in ``folder`` and below it.

    A file named like the DOI with ``/`` as ``_`` comes first; then the lines ``{doi, file, version, licence}`` of
    ``index.jsonl``; then any PDF whose metadata or first page gives the DOI.
    """

    name = "library"
    needs_vpn = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[Path, tuple[tuple[int, int], str | None]] = {}

    async def candidates(self, paper: Paper) -> AsyncGenerator[Candidate, None]:
        """Name the files for the paper, the cheapest look-up first."""
        files = await anyio.to_thread.run_sync(self._files)
        stem = paper.doi.replace("/", "_")
        named = [path for path in files if path.stem.lower() == stem]
        for path in sorted(named, key=lambda path: (_SUFFIXES.index(path.suffix.lower()), path)):
            yield self._candidate(path, files[path])
        for entry in await anyio.to_thread.run_sync(self._index):
            path = self._folder / entry.file
            if entry.doi == paper.doi and (real := self._inside(path)):
                yield self._candidate(path, real, entry.version, entry.licence)
        # One file a turn: opening a PDF is slow, and a cancelled job need not wait for the whole folder.
        for path, real in files.items():
            if path.suffix.lower() == ".pdf" and await anyio.to_thread.run_sync(self._doi_of, real) == paper.doi:
                yield self._candidate(path, real)

    def _candidate(self, path: Path, real: Path, version: str | None = None, licence: str | None = None) -> Candidate:
        label = os.path.relpath(path, self._folder)
        return Candidate(real, label, version, licence)

    def _files(self) -> dict[Path, Path]:
        """Find the papers below the folder: each path with the real one it leads to."""
        found = sorted(Path(top) / name for top, _, names in os.walk(self._folder) for name in names)
        papers = (path for path in found if path.suffix.lower() in _SUFFIXES)
        return {path: real for path in papers if (real := self._inside(path))}

    def _inside(self, path: Path) -> Path | None:
        """Give the real path of a regular file of the folder, or None for what lies or leads outside."""
        try:
            real = path.resolve()
            inside = real.is_relative_to(self._folder.resolve()) and real.is_file()
        except (OSError, ValueError, RuntimeError):  # a NUL in the name, a loop of links
            return None
        return real if inside else None

    def _index(self) -> list[_Entry]:
        try:
            lines = (self._folder / "index.jsonl").read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return []
        return [entry for line in lines if (entry := _entry(line))]

    def _doi_of(self, path: Path) -> str | None:
        """Read what a PDF says about itself, once for each state of the file."""
        try:
            stat = path.stat()
        except OSError:
            return None
        state = (stat.st_mtime_ns, stat.st_size)
        if path not in self._known or self._known[path][0] != state:
            self._known[path] = (state, _read_doi(path))
        return self._known[path][1]


def _entry(line: str) -> _Entry | None:
    """Read a line of the index; one that makes no sense is no entry, and the rest still counts."""
    try:
        fields: Any = json.loads(line)
        doi, file, version, licence = (fields.get(name) for name in ("doi", "file", "version", "licence"))
        if isinstance(file, str) and isinstance(version, str | None) and isinstance(licence, str | None):
            return _Entry(normalize(doi), file, version, licence)
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None
    return None


def _read_doi(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            for text in _statements(PdfReader(file)):
                if found := _DOI.search(text):
                    return normalize(found[0])
    except Exception:  # noqa: BLE001 - a broken file makes pypdf raise whatever Python has
        return None
    return None


def _statements(reader: PdfReader) -> Iterator[str]:
    """Give the texts that may hold the DOI, the most deliberate first."""
    about: Any = reader.metadata or {}
    for key in ("/doi", "/DOI", "/Subject", "/Keywords", "/Title"):
        yield str(about.get(key, ""))
    root: Any = reader.root_object
    if "/Metadata" in root:
        xmp = root["/Metadata"].get_data().decode("utf-8", "replace")
        yield from _PRISM.findall(xmp)
    if reader.pages:
        yield reader.pages[0].extract_text()
