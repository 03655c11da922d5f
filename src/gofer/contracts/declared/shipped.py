"""The declarations that come with gofer, found by name: one `.toml` file each, beside this one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from gofer.contracts.declared import toml
from gofer.contracts.declared.contract import DeclaredContract
from gofer.contracts.declared.declaration import Declaration
from gofer.contracts.spelling import did_you_mean
from gofer.errors import UsageError

_TEXTS: Mapping[str, str] = {
    one.name.removesuffix(".toml"): one.read_text(encoding="utf-8")
    for one in files("gofer.contracts.declared").iterdir()
    if one.name.endswith(".toml")
}
"""Read with this module, so that a client made within an event loop reads nothing from disk."""


def names() -> tuple[str, ...]:
    """Return the names of the declarations that come with gofer."""
    return tuple(sorted(_TEXTS))


@lru_cache(32)
def shipped(name: str) -> Declaration:
    """Return the shipped declaration of this name, or raise `UsageError` that lists what there is."""
    if name not in _TEXTS:
        raise UsageError(
            f"gofer has no contract named {name!r}.{did_you_mean(name, names())} It has: retrieve, "
            f"{', '.join(names())}. A declaration of your own is passed as a Path."
        )
    return toml.parse(_TEXTS[name], f"{name}.toml")


def read(path: Path) -> Declaration:
    """Read a declaration from a file.

    Raises:
        UsageError: the file cannot be read.
        DeclarationError: the declaration is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors write a byte order mark, and TOML has none
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The declaration {str(path)!r} cannot be read: {error}.") from error
    return toml.parse(text, path.name)


Kind = TypeVar("Kind", bound=DeclaredContract)


def declared(
    source: str | Path,
    variables: Mapping[str, str] | None = None,
    kind: type[Kind] = DeclaredContract,  # type: ignore[assignment]  # mypy takes no default for a type variable
) -> Kind:
    """Return the contract of a shipped name or of a declaration's file.

    Args:
        source: the name, or the path.
        variables: the values of its variables.
        kind: a class derived from `DeclaredContract`, for what its methods do differently.

    Raises:
        UsageError: there is no such name, the file cannot be read, or a variable has no value.
        DeclarationError: the declaration is wrong.
    """
    return kind(read(source) if isinstance(source, Path) else shipped(source), variables or {})
