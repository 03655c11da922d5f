"""What `gofer batch` reads: a list, CSV, TSV or JSON lines, line by line, so that it may be larger than memory.

Whatever is wrong is a `UsageError` that names the line. Nothing is sent from here.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import sys
from collections.abc import Generator, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, TextIO, cast

from gofer.cli.inputs import RETRIEVE_FIELDS, refuse_constant
from gofer.errors import UsageError

LONGEST_LINE = 1 << 20
"""Characters of one line at most."""


def read_requests(file: str, *, retrieves: bool) -> Iterator[Any]:
    """Yield the requests of a file, or of stdin (`-`).

    Args:
        file: the file; its suffix says how it is written (.csv, .tsv, .jsonl), else its first line does.
        retrieves: whether they are for the contract 'retrieve': then a list has a DOI in each line.

    Raises:
        UsageError: a line is wrong, or the file cannot be read.
    """
    where = "The input from stdin" if file == "-" else f"The input {file!r}"
    try:
        with _opened(file) as stream:
            lines = _lines(stream, where)
            first = next(lines, None)
            if first is None:
                raise UsageError(f"{where} is empty.")
            yield from _parsed(chain([first], lines), _kind(file, first[1]), where, retrieves=retrieves)
    except OSError as error:
        raise UsageError(f"{where} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{where} is not in UTF-8.") from error


@contextlib.contextmanager
def _opened(file: str) -> Generator[TextIO]:
    if file != "-":
        with Path(file).open(encoding="utf-8-sig", newline="") as stream:
            yield stream
        return
    yield io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8-sig", newline="")


def _lines(stream: TextIO, where: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that have something on them, with their numbers."""
    number = 0
    while line := stream.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise UsageError(f"{where}: line {number} has more than {LONGEST_LINE} characters.")
        if line.strip():
            yield number, line


def _kind(file: str, first: str) -> str:
    """Tell how a file is written: "csv", "tsv", "jsonl" or "list"."""
    suffix = Path(file).suffix.lower()
    if suffix in (".csv", ".tsv", ".jsonl", ".ndjson"):
        return suffix[1:].replace("ndjson", "jsonl")
    if first.lstrip().startswith("{"):
        return "jsonl"
    return "tsv" if "\t" in first.strip() else "list"


def _parsed(lines: Iterator[tuple[int, str]], kind: str, where: str, *, retrieves: bool) -> Iterator[Any]:
    if kind == "jsonl":
        for number, line in lines:
            yield _request(_json(line, f"{where}: line {number}"), f"{where}: line {number}", retrieves=retrieves)
    elif kind == "list":
        if not retrieves:
            raise UsageError(f"{where} is a list, which only the contract 'retrieve' takes; write CSV or JSON lines.")
        yield from (line.strip() for _, line in lines if not line.lstrip().startswith("#"))
    else:
        yield from _rows(lines, "," if kind == "csv" else "\t", where, retrieves=retrieves)


def _rows(lines: Iterator[tuple[int, str]], delimiter: str, where: str, *, retrieves: bool) -> Iterator[Any]:
    """Yield a map for each row after the first, which has the names; empty cells are left out."""
    at = 0

    def texts() -> Iterator[str]:
        nonlocal at
        for number, line in lines:
            at = number
            yield line

    try:
        table = csv.reader(texts(), delimiter=delimiter, strict=True)
        names = [name.strip() for name in next(table)]
        if not all(names) or len(set(names)) < len(names):
            raise UsageError(f"{where}: its first row must have a name for each column, each another one.")
        for row in table:
            if len(row) > len(names):
                raise UsageError(f"{where}: line {at} has {len(row)} cells, and there are {len(names)} columns.")
            cells = {name: cell for name, cell in zip(names, row, strict=False) if cell}
            yield _request(cells, f"{where}: line {at}", retrieves=retrieves)
    except csv.Error as error:
        raise UsageError(f"{where}: line {at}: {error}.") from error


def _json(line: str, where: str) -> Any:
    try:
        return json.loads(line, parse_constant=refuse_constant)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where} is not JSON: {error}.") from error


def _request(value: Any, where: str, *, retrieves: bool) -> Any:
    if not isinstance(value, dict):
        raise UsageError(f"{where} is no JSON object.")
    request = cast("dict[str, Any]", value)
    if not retrieves:
        return request
    other = next((name for name in request if name not in RETRIEVE_FIELDS), None)
    if other is not None or not isinstance(request.get("doi"), str):
        problem = "has no 'doi'" if other is None else f"has {other!r}"
        raise UsageError(f"{where} {problem}; the contract 'retrieve' takes {', '.join(RETRIEVE_FIELDS)}.")
    return request
