"""What the input of a declaration must have and may have, by what the templates of its submission use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gofer.contracts.declared.declaration import Declaration


def needs(declaration: Declaration) -> tuple[list[str], list[str]]:
    """Return what the input must have and what it may have, by dotted names; "" is all of it."""
    must: dict[str, None] = {}
    may: dict[str, None] = {}
    for hole in declaration.submit.holes:
        name, _, member = hole.name.partition(".")
        if name == "input":
            (may if hole.optional else must)[member] = None
    return list(must), [name for name in may if name not in must]


def unsent(declaration: Declaration, members: Mapping[str, Any]) -> list[str]:
    """Return the members of an input that no template sends."""
    names = {name.partition(".")[0] for part in needs(declaration) for name in part}
    return [] if "" in names else [name for name in members if name not in names]
