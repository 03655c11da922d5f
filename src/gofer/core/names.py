"""File names made of texts. What a service or a request says becomes one part of a path at most, never a path."""

from __future__ import annotations

import re
from pathlib import Path

from gofer.contracts import formats

FORMAT = ".{format}"
"""A target that ends so gets the suffix of the format that came."""

_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")


def safe_name(text: str) -> str:
    """Make a file name of any text: "10.5555_12345678" of the DOI 10.5555/12345678.

    Slashes, braces and characters that some system forbids become "_". The name is not hidden and not reserved. Of a
    long text the last 200 bytes are kept. Two texts may have the same name, as "a/b" and "a_b".
    """
    name = "".join(char if char.isprintable() and char not in '<>:"/\\|?*{}' else "_" for char in text).strip(" .")
    name = name[-200:].lstrip(" .")  # a character has a byte at least
    while len(name.encode()) > 200:
        name = name[1:].lstrip(" .")
    return f"_{name}" if not name or _RESERVED.fullmatch(name) else name


def with_format(path: Path, kind: str | None) -> Path:
    """Return a path whose suffix names a format, where it leaves that open; ".bin" if gofer has no suffix for it."""
    if not path.name.endswith(FORMAT):
        return path
    return path.with_name(path.name.removesuffix(FORMAT) + (formats.suffix_of(kind) or ".bin"))
