"""What is wrong with a TOML text, and on which line, for messages: `tomllib` gives no positions of keys."""

from __future__ import annotations

import re
from collections.abc import Collection

import attrs
import cattrs

from gofer.contracts.faults import Key, first_fault
from gofer.contracts.spelling import hint

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\]\[]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")


def syntax_line(error: BaseException) -> int | None:
    """Return the line that an error of `tomllib` is about; None if it names none."""
    at = re.search(r"line (\d+)", str(error))
    return int(at[1]) if at else None


def misfit(error: BaseException, not_keys: Collection[str] = ()) -> tuple[Key, str]:
    """Return the key that an error of a closed converter is about, and what is wrong with it.

    Args:
        error: what the converter raised.
        not_keys: fields of the classes that are not written in the text; they are not suggested.
    """
    key, fault = first_fault(error)
    if isinstance(fault, KeyError):
        return key, "it is missing"
    if isinstance(fault, cattrs.ForbiddenExtraKeysError):
        unknown = min(fault.extra_fields)
        names = [field.name for field in attrs.fields(fault.cl) if field.name not in not_keys]
        return (*key, unknown), f"unknown key.{hint(unknown, names)}"
    return key, str(fault)


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
        here = here[: len(wanted)]  # [a.b] is a place of a, too
        if len(here) > best and here == wanted[: len(here)]:
            best, line = len(here), number
    return line


def _parts(dotted: str) -> Key:
    return tuple(part.strip().strip("\"'") for part in re.findall(r"""\s*("[^"]*"|'[^']*'|[^.]+)""", dotted))
