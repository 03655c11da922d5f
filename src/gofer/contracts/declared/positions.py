"""Where a key of a TOML text is, for messages: `tomllib` gives no positions."""

from __future__ import annotations

import re

from gofer.contracts.faults import Key

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\]\[]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")


def line_of(text: str, key: Key) -> int | None:
    """Return the line, from 1, on which a key of a TOML text is, or else the nearest thing around it.

    A line inside a longer text that looks like a key may mislead this; it is for messages.
    """
    best, line = 0, None
    table: Key = ()
    tables: dict[Key, int] = {}
    wanted = tuple(part for part in key if part != 0)
    for number, content in enumerate(text.splitlines(), 1):
        header, named = _HEADER.match(content), _KEY.match(content)
        if header is not None:
            table = _parts(header[2])
            if header[1] == "[[":
                tables[table] = tables.get(table, -1) + 1
                table = (*table, tables[table]) if tables[table] else table
            here = table
        elif named is not None:
            here = (*table, *_parts(named[1]))
        else:
            continue
        if len(here) > best and here == wanted[: len(here)]:
            best, line = len(here), number
    return line


def _parts(dotted: str) -> Key:
    return tuple(part.strip().strip("\"'") for part in re.findall(r"""\s*("[^"]*"|'[^']*'|[^.]+)""", dotted))
