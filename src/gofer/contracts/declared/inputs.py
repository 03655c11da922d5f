"""What the input of a declaration must have and may have, by what the templates of its submission use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen

from gofer.contracts.declared.declaration import Declaration
from gofer.contracts.payload import as_list, as_map
from gofer.errors import UsageError

_FILE = "gofer:file"
"""The name of the only member of what stands for a path in plain JSON."""


@frozen
class Prepared:
    """An input, the number of its uploads that were answered, and the links and values in their answers."""

    members: Mapping[str, Any]
    done: int = 0
    links: Mapping[str, str] = field(factory=dict[str, str], repr=False)

    @classmethod
    def of(cls, request: Any) -> Prepared:
        """Return an input as one whose uploads are still to come; what is no map is a `UsageError`."""
        members = as_map(request)
        if members is None and not isinstance(request, cls):
            raise UsageError(f"The input is a map, as JSON has it, not {type(request).__name__}.")
        return request if members is None else cls(members)

    def after(self, links: Mapping[str, str]) -> Prepared:
        """Return it after its next upload, whose answer has these links and values."""
        return Prepared(self.members, self.done + 1, {**self.links, **links})


def needs(declaration: Declaration) -> tuple[list[str], list[str]]:
    """Return what the input must have and what it may have, by dotted names; "" is all of it."""
    must: dict[str, None] = {}
    may: dict[str, None] = {}
    for hole in declaration.input_holes:
        name, _, member = hole.name.partition(".")
        if name == "input":
            (may if hole.optional else must)[member] = None
    return list(must), [name for name in may if name not in must]


def unsent(declaration: Declaration, members: Mapping[str, Any]) -> list[str]:
    """Return the members of an input that no template sends."""
    names = {name.partition(".")[0] for part in needs(declaration) for name in part}
    return [] if "" in names else [name for name in members if name not in names]


def as_plain(value: Any) -> Any:
    """Return an input as plain JSON, for a journal: a path as a map that says so, and complete."""
    if isinstance(value, Path):
        return {_FILE: str(value.absolute())}
    members, items = as_map(value), as_list(value)
    if members is not None:
        if _FILE in members:  # it would be read as a path, and its writer may be nobody who may choose files
            raise UsageError(f"The input has a member {_FILE!r}, which is gofer's own name. Pass a pathlib.Path.")
        return {name: as_plain(inner) for name, inner in members.items()}
    return value if items is None else [as_plain(inner) for inner in items]


def from_plain(value: Any) -> Any:
    """Return the input that `as_plain` has made this of."""
    members, items = as_map(value), as_list(value)
    if members is not None:
        if _FILE in members:
            return Path(members[_FILE])
        return {name: from_plain(inner) for name, inner in members.items()}
    return value if items is None else [from_plain(inner) for inner in items]
