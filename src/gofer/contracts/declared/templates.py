"""Templates: what is sent, as text with holes, compiled once and filled for each request.

    {name}      the variable's value; in an address it is percent-encoded
    {+name}     in an address: reserved characters such as / stay as they are (RFC 6570, section 3.2.3)
    {name?}     what holds it is left out where the variable has no value
    {name*}     in a multipart body: one part for each member of a map, its key the file's name
    {{ and }}   braces

Variables have dotted names, as in `input.inputs.year`. Which there are is not decided here: see `variables.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

from attrs import frozen

from gofer.contracts.payload import as_list, as_map

_HOLE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_NAME = re.compile(r"(\+?)([A-Za-z_][\w-]*(?:\.[\w-]+)*)(\*?)(\??)")

Lookup = Callable[[str], Any]
"""Finds a variable's value by its name; None where it has none."""


Encode = Callable[[str, "Hole"], str]
"""Encodes what is filled into a hole."""


class Unfilled(Exception):
    """A variable that must have a value has none."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@frozen
class Hole:
    """A place in a template for a variable's value."""

    name: str
    reserved: bool = False
    each: bool = False
    optional: bool = False

    def value(self, lookup: Lookup) -> Any:
        """Return the variable's value, None where an optional one has none."""
        value = lookup(self.name)
        if value is None and not self.optional:
            raise Unfilled(self.name)
        return value


@frozen
class Template:
    """A text with holes: `parts` are its literal pieces and its holes, from left to right."""

    text: str
    parts: tuple[str | Hole, ...]

    @classmethod
    def parse(cls, text: str) -> Template:
        """Compile a template, or raise `ValueError` that says what is wrong with it."""
        parts: list[str | Hole] = []
        at = 0
        for match in _HOLE.finditer(text):
            parts.append(text[at : match.start()])
            at = match.end()
            if match[0] in ("{{", "}}"):
                parts.append(match[0][0])
            else:
                parts.append(_hole(match[0], match[1]))
        parts.append(text[at:])
        return cls(text, tuple(part for part in parts if part != ""))

    @property
    def holes(self) -> Iterator[Hole]:
        """Its holes."""
        return (part for part in self.parts if isinstance(part, Hole))

    @cached_property
    def is_text(self) -> bool:
        """Whether it has no holes."""
        return not any(isinstance(part, Hole) for part in self.parts)

    @cached_property
    def sole(self) -> Hole | None:
        """The hole that is all of the template, if one is."""
        only = self.parts[0] if len(self.parts) == 1 else None
        return only if isinstance(only, Hole) else None

    def fill(self, lookup: Lookup, encode: Encode | None = None, first: Encode | None = None) -> str | None:
        """Fill the holes and return the text; None where an optional variable has no value.

        Args:
            lookup: finds the variables.
            encode: encodes what is filled in.
            first: does so where the text begins with a hole, in place of `encode`.

        Raises:
            Unfilled: a variable has no value.
        """
        if self.is_text:
            return "".join(part for part in self.parts if isinstance(part, str))
        texts: list[str] = []
        for part in self.parts:
            if isinstance(part, str):
                texts.append(part)
                continue
            value = part.value(lookup)
            if value is None:
                return None
            text = value if isinstance(value, str) else plain(value)
            how = first if first is not None and not texts else encode
            texts.append(text if how is None else how(text, part))
        return "".join(texts)


def _hole(written: str, inner: str | None) -> Hole:
    match = None if inner is None else _NAME.fullmatch(inner)
    if match is None:
        raise ValueError(f"{written!r} is no variable; write {{{{ and }}}} for braces")
    return Hole(match[2], reserved=bool(match[1]), each=bool(match[3]), optional=bool(match[4]))


def plain(value: Any) -> str:
    """Return a value as text: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


Pattern = Any
"""A value for JSON whose texts are templates: the shape that `compile_value` gives."""


def compile_value(value: Any) -> Pattern:
    """Compile every text in a value of any shape."""
    if isinstance(value, str):
        return Template.parse(value)
    members, items = as_map(value), as_list(value)
    if members is not None:
        return {name: compile_value(inner) for name, inner in members.items()}
    return value if items is None else [compile_value(inner) for inner in items]


def templates_in(pattern: Pattern) -> Iterator[Template]:
    """Yield the templates of a compiled value."""
    if isinstance(pattern, Template):
        yield pattern
    for inner in (as_map(pattern) or {}).values():
        yield from templates_in(inner)
    for inner in as_list(pattern) or ():
        yield from templates_in(inner)


def fill_value(pattern: Pattern, lookup: Lookup) -> Any:
    """Fill a compiled value: a text that is one hole becomes the variable's value, of whatever kind.

    Members whose optional variable has no value are left out.
    """
    if isinstance(pattern, Template):
        return pattern.fill(lookup) if pattern.sole is None else pattern.sole.value(lookup)
    members, items = as_map(pattern), as_list(pattern)
    if members is not None:
        filled = {name: fill_value(inner, lookup) for name, inner in members.items()}
        return {name: value for name, value in filled.items() if value is not None}
    if items is not None:
        return [value for inner in items if (value := fill_value(inner, lookup)) is not None]
    return pattern
