"""Lines of a page of TOML, and how names, addresses and pointers are written in them.

Pure. What the document says may be any text: whatever is written is quoted, printable, and what a template may be.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from attrs import frozen

from gofer.cli.drafting.openapi import Operation, Place


@frozen
class Line:
    """A line of the page; `doubt` is why it may be wrong."""

    text: str
    doubt: str = ""

    def __str__(self) -> str:
        return f"{self.text}  # ? {self.doubt}" if self.doubt else self.text


Lines = Iterator[Line]


def address(one: Operation, names: Mapping[str, str]) -> str:
    """Write an address as a template; a name that no variable can have, and any other brace, stands as it is."""
    parts: list[str] = []
    for text in re.split(r"(\{[^{}/]*\})", one.path):
        name = names.get(text[1:-1]) if text.startswith("{") else None
        parts.append(text.replace("{", "{{").replace("}", "}}") if name is None else f"{{{name}}}")
    return quoted("{base}" + "".join(parts))


def is_name(name: object) -> bool:
    """Tell whether a template may have this name."""
    return isinstance(name, str) and re.fullmatch(r"[A-Za-z_][\w-]*", name, re.ASCII) is not None


def is_type(kind: str) -> bool:
    """Tell whether a text is a media type."""
    return re.fullmatch(r"[\w.+-]+/[\w.+-]+(;.*)?", kind, re.ASCII) is not None


def pointer(place: Place) -> str:
    """Write the selector of a place."""
    return "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in place.way)


def inline(entries: Mapping[str, str]) -> str:
    """Write a table of texts on one line."""
    return f"{{ {', '.join(f'{key(name)} = {quoted(text)}' for name, text in entries.items())} }}"


def listed(texts: Iterable[str]) -> str:
    """Write a list of texts."""
    return f"[{', '.join(map(quoted, texts))}]"


def key(name: str) -> str:
    """Write a key."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else quoted(name)


def quoted(text: str) -> str:
    """Write a text as TOML does, which takes what JSON writes."""
    return json.dumps(printable(text), ensure_ascii=False)


def printable(text: str) -> str:
    """Return a text without what ends a line or cannot be written."""
    plain = text.encode(errors="replace").decode()
    return "".join(sign for sign in plain if sign.isprintable())


def others(candidates: Sequence[Operation]) -> Lines:
    """Say which other operations might be meant."""
    if candidates:
        yield Line(f"# ? or {', '.join(printable(str(one)) for one in candidates)}")
