"""The source for the user's own folder of papers.

It finds papers by file name, by the folder's index, and by the metadata of PDFs. It never names a file outside the
folder, whatever a link or the index says. New files need no restart.
"""

import json
import logging
import os
import re
from collections.abc import AsyncGenerator, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import anyio.to_thread
from attrs import frozen
from pypdf import PdfReader

from gofer.contracts.doi import normalize
from gofer_service.pdf import open_pdf
from gofer_service.sources.base import Candidate, Paper

_log = logging.getLogger(__name__)

_SUFFIXES: Final = (".pdf", ".epub", ".xml", ".html")
_DOI: Final = re.compile(r"10\.\d{4,9}/[^\s\"<>]+")
_PRISM: Final = re.compile(r"prism:doi\s*(?:=\s*[\"']|>)\s*([^\"'<]+)")


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


class Library:
    """The papers in ``folder`` and below it.

    First come files that are named after the DOI, with ``_`` for ``/``. Then come the lines
    ``{doi, file, version, licence}`` of ``index.jsonl``, and then PDFs with the DOI in their metadata or on their first
    page.
    """

    name = "library"
    needs_vpn = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._index_path = folder / "index.jsonl"
        self._dois: dict[Path, tuple[tuple[int, int], str | None]] = {}

    def overview(self) -> Overview:
        """Count the files, and find a DOI by file name or index. No paper is opened."""
        files = self._files()
        listed = [(entry.doi, self._inside(self._folder / entry.file)) for entry in self._index()]
        dois = [doi for path in files if (doi := _doi_in_name(path))] + [doi for doi, real in listed if real]
        return Overview(len(set(files.values()) | {real for _, real in listed if real}), next(iter(dois), None))

    async def candidates(self, paper: Paper) -> AsyncGenerator[Candidate, None]:
        """Name the files for the paper. The quickest search comes first."""
        files = await anyio.to_thread.run_sync(self._files)
        stem = paper.doi.replace("/", "_")
        named = [path for path in files if path.stem.lower() == stem]
        for path in sorted(named, key=lambda path: (_SUFFIXES.index(path.suffix.lower()), path)):
            yield self._candidate(path, files[path])
        for entry in await anyio.to_thread.run_sync(self._index):
            if entry.doi != paper.doi:
                continue
            path = self._folder / entry.file
            if real := self._inside(path):
                yield self._candidate(path, real, entry.version, entry.licence)
            else:
                _warn_once(f"line {entry.line} of {self._index_path}: there is no file {entry.file!r} in the library")
        # One file at a time: opening a PDF is slow, and a cancelled job must not wait for all files.
        for path, real in files.items():
            if path.suffix.lower() == ".pdf" and await anyio.to_thread.run_sync(self._doi_of, real) == paper.doi:
                yield self._candidate(path, real)

    def _candidate(self, path: Path, real: Path, version: str | None = None, licence: str | None = None) -> Candidate:
        label = os.path.relpath(path, self._folder)
        return Candidate(real, label, version, licence)

    def _files(self) -> dict[Path, Path]:
        """Find the papers in the folder and below it: each path with its real path."""
        found = sorted(Path(top) / name for top, _, names in os.walk(self._folder) for name in names)
        papers = (path for path in found if path.suffix.lower() in _SUFFIXES)
        return {path: real for path in papers if (real := self._inside(path))}

    def _inside(self, path: Path) -> Path | None:
        """Return the real path of a regular file in the folder, or None if it is or leads outside."""
        try:
            real = path.resolve()
            inside = real.is_relative_to(self._folder.resolve()) and real.is_file()
        except (OSError, ValueError, RuntimeError):  # a NUL in the name, a loop of links
            return None
        return real if inside else None

    def _index(self) -> list[_Entry]:
        try:
            lines = self._index_path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return []
        entries: list[_Entry] = []
        for number, line in enumerate(lines, 1):
            if entry := _entry(number, line):
                entries.append(entry)
            elif line.strip():
                wanted = '{"doi": "10.1234/abc", "file": "paper.pdf"}'
                _warn_once(
                    f"line {number} of {self._index_path} is left out, as it is not like {wanted}: {line[:100]!r}"
                )
        return entries

    def _doi_of(self, path: Path) -> str | None:
        """Read the DOI in a PDF, once for each modification of the file."""
        try:
            stat = path.stat()
        except OSError:
            return None
        state = (stat.st_mtime_ns, stat.st_size)
        if path not in self._dois or self._dois[path][0] != state:
            self._dois[path] = (state, _read_doi(path))
        return self._dois[path][1]


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


def _read_doi(path: Path) -> str | None:
    try:
        with path.open("rb") as file, open_pdf(file) as reader:
            for text in _texts(reader):
                if found := _DOI.search(text):
                    return normalize(found[0])
    except Exception:  # noqa: BLE001 - pypdf raises exceptions of any type for a broken file
        _log.warning("%r cannot be read as a PDF, so no DOI is found in it", str(path))
    return None


def _texts(reader: PdfReader) -> Iterator[str]:
    """Yield the texts that may contain the DOI, the most reliable one first."""
    about: Any = reader.metadata or {}
    for key in ("/doi", "/DOI", "/Subject", "/Keywords", "/Title"):
        yield str(about.get(key, ""))
    root: Any = reader.root_object
    if "/Metadata" in root:
        xmp = root["/Metadata"].get_data().decode("utf-8", "replace")
        yield from _PRISM.findall(xmp)
    if reader.pages:
        yield reader.pages[0].extract_text()
