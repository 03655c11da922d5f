"""From TOML to a `Declaration`: parsed, shaped by strict cattrs hooks, checked. Every fault names line and key."""

from __future__ import annotations

import operator
import re
import tomllib
from collections.abc import Mapping
from functools import partial
from typing import Any

import attrs
import cattrs

from gofer.contracts.declared.checks import check, meant
from gofer.contracts.declared.declaration import Declaration, Json, Templates, Variable
from gofer.contracts.declared.positions import Key, dotted, line_of
from gofer.contracts.declared.selectors import Places, Selector
from gofer.contracts.declared.templates import Template, compiled
from gofer.contracts.payload import as_list, as_map, strict_converter
from gofer.errors import DeclarationError


def parse(text: str, source: str) -> Declaration:
    """Read a declaration from TOML and check it; `source` is the file's name, for errors.

    Raises:
        DeclarationError: it is no TOML, or something in it is wrong; names the line and the key.
    """
    try:
        raw = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # the second: brackets within brackets without end
        at = re.search(r"line (\d+)", str(error))
        raise DeclarationError(f"It is no TOML: {error}", source=source, line=int(at[1]) if at else None) from error
    single = {many for many in ("poll", "result") if isinstance(raw.get(many), dict)}
    raw |= {many: [raw[many]] for many in single}
    for name in ("source", "text"):
        if name in raw:
            raise DeclarationError(f"unknown key {name!r}", source=source, line=line_of(text, (name,)), key=name)
    try:
        declaration = _converter.structure({**raw, "source": source, "text": text}, Declaration)
    except (cattrs.BaseValidationError, KeyError, TypeError, ValueError) as error:
        key, why = _first_fault(error, ())
        shown = (key[0], *key[2:]) if key and key[0] in single else key
        raise DeclarationError(why, source=source, line=line_of(text, shown), key=dotted(shown)) from error
    check(declaration)
    return declaration


def _selectors(value: Any, _: Any) -> Places:
    written = [value] if as_list(value) is None else as_list(value)
    if not written or not all(isinstance(one, str) for one in written):
        raise TypeError(f"expected a selector or a list of selectors, got {value!r}")
    return tuple(Selector.parse(one) for one in written)


def _template(value: Any, _: Any) -> Template:
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {type(value).__name__}")
    return Template.parse(value)


def _template_or_map(value: Any, _: Any) -> Template | dict[str, Template]:
    members = as_map(value)
    if members is None:
        return _template(value, Template)
    return {name: _template(inner, Template) for name, inner in members.items()}


def _variable(value: Any, _: Any) -> Variable:
    if isinstance(value, str):
        return Variable(default=value)
    if as_map(value) is None:
        raise TypeError(f"expected its default, or a table, got {type(value).__name__}")
    return _plain.structure(value, Variable)


def _code(value: Any, _: Any) -> int:
    code = int(value) if isinstance(value, str) and value.isdigit() else value
    if not isinstance(code, int) or isinstance(code, bool) or not 100 <= code <= 599:
        raise TypeError(f"expected an HTTP status code, got {value!r}")
    return code


def _codes(value: Any, _: Any) -> dict[int, str]:
    members = as_map(value)
    if members is None:
        raise TypeError(f"expected a table of codes and words, got {type(value).__name__}")
    for word in members.values():
        if not isinstance(word, str):
            raise TypeError(f"expected a word, got {word!r}")
    return {_code(code, int): word for code, word in members.items()}


def _several_codes(value: Any, _: Any) -> tuple[int, ...]:
    return tuple(_code(one, int) for one in as_list(value) or [value])


def _json(value: Any, _: Any) -> Json:
    return Json(compiled(value))


def _words(value: Any, _: Any) -> tuple[str, ...]:
    words = as_list(value) or [value]
    if not all(isinstance(word, str) for word in words):
        raise TypeError(f"expected a word or a list of words, got {value!r}")
    return tuple(words)


_plain = strict_converter(closed=True)
_converter = strict_converter(closed=True)
_hooks: tuple[tuple[Any, Any], ...] = (
    (Places, _selectors),
    (Template, _template),
    (Template | Templates | None, _template_or_map),
    (Variable, _variable),
    (Json, _json),
    (Mapping[int, str], _codes),
    (tuple[int, ...], _several_codes),
    (tuple[str, ...], _words),
)
for _kind, _hook in _hooks:
    _converter.register_structure_hook_func(partial(operator.eq, _kind), _hook)


def _structure_map(value: Any, kind: Any) -> dict[str, Any]:
    members = as_map(value)
    if members is None:
        raise TypeError(f"expected a table, got {type(value).__name__}")
    inner = kind.__args__[1]
    made: dict[str, Any] = {}
    for name, one in members.items():
        try:
            made[name] = _converter.structure(one, inner)
        except (cattrs.BaseValidationError, TypeError, ValueError) as error:
            raise _At(name, error) from error
    return made


class _At(Exception):
    """A fault in a member of a map."""

    def __init__(self, name: str, error: Exception) -> None:
        super().__init__(name)
        self.name, self.error = name, error


def _is_map(kind: Any) -> bool:
    return getattr(kind, "__origin__", None) is Mapping and kind != Mapping[int, str]


_converter.register_structure_hook_func(_is_map, _structure_map)


def _first_fault(error: BaseException, key: Key) -> tuple[Key, str]:
    """Walk down to the first leaf of a failed structuring; return its key and its reason."""
    if isinstance(error, _At):
        return _first_fault(error.error, (*key, error.name))
    if isinstance(error, cattrs.ForbiddenExtraKeysError):
        wrong = sorted(error.extra_fields)[0]
        known = [one.name for one in attrs.fields(error.cl) if one.name not in ("source", "text")]
        return (*key, wrong), f"unknown key{meant(wrong, known)}"
    if isinstance(error, cattrs.BaseValidationError):
        # a misspelt key is both unknown and missing; the first tells more
        unknown = [one for one in error.exceptions if isinstance(one, cattrs.ForbiddenExtraKeysError)]
        inner = unknown[0] if unknown else error.exceptions[0]
        for note in getattr(inner, "__notes__", ()):
            if isinstance(note, cattrs.AttributeValidationNote):
                return _first_fault(inner, (*key, note.name))
            if isinstance(note, cattrs.IterableValidationNote):
                return _first_fault(inner, (*key, note.index))
        return _first_fault(inner, key)
    if isinstance(error, KeyError):
        return key, "it is missing"
    return key, str(error)
