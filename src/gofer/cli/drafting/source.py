"""The bytes of an OpenAPI document, read: as JSON, or as YAML where PyYAML happens to be installed."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any, cast

from gofer.contracts.payload import as_list
from gofer.errors import UsageError

MOST_BYTES = 64 << 20
"""Bytes of an OpenAPI document."""


def parsed(raw: bytes) -> object:
    """Return what is in a document; the names of its objects are texts.

    Raises:
        UsageError: it is neither JSON nor YAML, or is too long.
    """
    if len(raw) > MOST_BYTES:
        raise UsageError(f"The document has more than {MOST_BYTES} bytes.")
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        fault = error
    if b"openapi:" not in raw:
        raise UsageError(f"The document is no JSON: {fault}.") from fault
    try:
        yaml: Any = import_module("yaml")
    except ImportError as error:
        raise UsageError("The document is YAML: convert it to JSON first, or install PyYAML beside gofer.") from error
    try:
        return _with_text_keys(yaml.safe_load(raw))
    except (
        yaml.YAMLError,
        ArithmeticError,
        AttributeError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise UsageError(f"The document is neither JSON nor YAML: {error}") from error


def _with_text_keys(root: object) -> object:
    """Make texts of the keys that YAML reads as something else, such as 200; what is shared is visited once."""
    waiting, seen = [root], set[int]()
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        waiting += as_list(value) or []
        if isinstance(value, dict):
            members = cast("dict[object, object]", value)
            for key in [key for key in members if not isinstance(key, str)]:
                members[str(key)] = members.pop(key)
            waiting += members.values()
    return root
