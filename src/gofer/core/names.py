"""File names made of texts. What a service or a request says becomes one part of a path at most, never a path.

A target may have placeholders. `filled` puts in what a request says; `.{format}` and `{job_id}` stay until the format
and the job are there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from gofer.contracts import formats
from gofer.errors import UsageError

FORMAT = ".{format}"
"""A target that ends so gets the suffix of the format that came."""

JOB_ID = "{job_id}"
"""Where a target has this, the job's id comes in."""

_HOLE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")


def safe_name(text: str) -> str:
    """Make a file name of any text: "10.5555_12345678" of the DOI 10.5555/12345678.

    Slashes, braces and characters that some system forbids become "_". The name is not hidden, not reserved, and none
    that is read as a home ("~root"). Of a long text the last 200 bytes are kept. Two texts may have the same name, as
    "a/b" and "a_b".
    """
    name = "".join(char if char.isprintable() and char not in '<>:"/\\|?*{}' else "_" for char in text).strip(" .")
    name = name[-200:].lstrip(" .")  # a character has a byte at least
    while len(name.encode()) > 200:
        name = name[1:].lstrip(" .")
    return f"_{name}" if not name or name.startswith("~") or _RESERVED.fullmatch(name) else name


def filled(template: str, fields: Mapping[str, object]) -> str:
    """Put safe names of these fields' texts and numbers into a target; braces that are doubled stay so.

    Raises:
        UsageError: the target has a placeholder that there is no field for, or a brace by itself.
    """

    def put(hole: re.Match[str]) -> str:
        if hole[0] in ("{{", "}}"):
            return hole[0]
        there = {name: value for name, value in fields.items() if _may_name(value)}
        if hole[1] in there:
            return safe_name(str(there[hole[1]]))
        if hole[0] == JOB_ID:
            return JOB_ID
        names = ", ".join(f"{{{name}}}" for name in {"job_id": None, **there})
        raise UsageError(
            f"The target {template!r} has {hole[0]!r}, which nothing fills here. There is {names}, and {FORMAT} at the "
            "end. A brace of the path itself is written twice."
        )

    end = FORMAT if template.endswith(FORMAT) else ""
    return _HOLE.sub(put, template.removesuffix(end)) + end


def _may_name(value: object) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def with_format(path: Path, kind: str | None) -> Path:
    """Return a path whose suffix names a format, where it leaves that open; ".bin" if gofer has no suffix for it."""
    if not path.name.endswith(FORMAT):
        return path
    return path.with_name(path.name.removesuffix(FORMAT) + (formats.suffix_of(kind) or ".bin"))
