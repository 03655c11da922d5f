"""Lines of text for a terminal: sections with titles, rows with labels, requests."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from urllib.parse import quote

from gofer.wire import FileInput, Request

MASK = "***"
"""Stands for the value of a secret."""

WIDTH = 100
_LABEL = 16
_BODY = 4000
_WRAPPER = textwrap.TextWrapper(
    WIDTH - _LABEL - 4, break_long_words=False, break_on_hyphens=False, replace_whitespace=False
)

Lines = Iterator[str]
Row = tuple[str, list[str]]
"""A label and the texts behind it; a row in which every text is empty is left out."""


def section(title: str, rows: Iterable[Row]) -> Lines:
    """Lay out rows below a title; nothing where no row has a text."""
    lines = [line for row in rows for line in row_lines(*row)]
    if lines:
        yield from ("", title, *lines)


def row_lines(label: str, texts: Iterable[str]) -> Lines:
    """Lay out one row, its texts below one another and wrapped."""
    for text in filter(None, texts):
        for line in _WRAPPER.wrap(text):
            yield f"  {label:<{_LABEL}}  {line}"
            label = ""


def request_lines(request: Request) -> Lines:
    """Show a request as it goes over the wire; masked secrets stay readable."""
    yield f"{request.method} {_masked(request.url)}"
    for name, value in request.headers.items():
        yield f"{name}: {value}"
    pieces = (request.body,) if isinstance(request.body, bytes) else request.body.pieces
    if any(pieces):
        text = _masked("".join(map(_shown, pieces)))
        yield ""
        yield from text[:_BODY].replace("\r\n", "\n").rstrip("\n").split("\n")
        if len(text) > _BODY:
            yield f"... and {len(text) - _BODY} characters more"


def _shown(piece: bytes | FileInput) -> str:
    if isinstance(piece, FileInput):
        return f"<file {piece.name}, {piece.size} bytes>"
    return piece.decode("utf-8", "replace")


def _masked(text: str) -> str:
    return text.replace(quote(MASK, safe=""), MASK)
