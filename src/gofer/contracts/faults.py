"""Where in a document a fault is: the key of a part, and the way to it through cattrs' nested errors."""

from __future__ import annotations

import cattrs

Key = tuple[str | int, ...]
"""The way to a part of a document: names, and numbers for the members of a list."""


def dotted(key: Key, root: str = "") -> str:
    """Write a key as a person would, as in `poll[1].codes`."""
    text = root
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def first_fault(error: BaseException, key: Key = ()) -> tuple[Key, BaseException]:
    """Walk into cattrs' group of errors down to the first single one; return the key that it is at, and it."""
    notes: list[object] = getattr(error, "__notes__", [])
    for note in reversed(notes):  # the innermost was noted first
        if isinstance(note, cattrs.AttributeValidationNote):
            key = (*key, note.name)
        elif isinstance(note, cattrs.IterableValidationNote):
            key = (*key, note.index)
    if not isinstance(error, cattrs.BaseValidationError):
        return key, error
    # a misspelt key is both unknown and missing; that it is unknown says more
    unknown = (one for one in error.exceptions if isinstance(one, cattrs.ForbiddenExtraKeysError))
    return first_fault(next(unknown, error.exceptions[0]), key)
