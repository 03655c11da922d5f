"""From TOML to a `Declaration`: parsed, shaped by strict cattrs hooks, checked. Every fault names line and key."""

from __future__ import annotations

import operator
import tomllib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import cattrs

from gofer.contracts.declared.checks import check
from gofer.contracts.declared.declaration import Declaration
from gofer.contracts.declared.parts import Condition, Conditions, Files, Json, Templates, Variable
from gofer.contracts.declared.positions import line_of, misfit, syntax_line
from gofer.contracts.declared.selectors import Places, Selector
from gofer.contracts.declared.templates import Template, compile_value
from gofer.contracts.faults import dotted
from gofer.contracts.payload import as_list, as_map, strict_converter
from gofer.errors import DeclarationError

_NOT_KEYS = ("source", "text")
"""Fields of a `Declaration` that are about its text, and are not written in it."""

_ABOUT_JOBS = ("upload", "submit", "start", "poll", "result", "reason", "cancel", "discard", "answer")
"""The requests that carry what is declared for every one."""


def parse(text: str, source: str) -> Declaration:
    """Read a declaration from TOML and check it; `source` is the file's name, for errors.

    Raises:
        DeclarationError: it is no TOML, or something in it is wrong; names the line and the key.
    """
    try:
        raw = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # the second: brackets within brackets without end
        raise DeclarationError(f"It is no TOML: {error}", source=source, line=syntax_line(error)) from error
    single = {many for many in ("upload", "poll", "result", "refusal") if isinstance(raw.get(many), dict)}
    raw |= {many: [raw[many]] for many in single}
    for name in _NOT_KEYS:
        if name in raw:
            raise DeclarationError(f"unknown key {name!r}", source=source, line=line_of(text, (name,)), key=name)
    try:
        declaration = _converter.structure({**_with_every(raw), "source": source, "text": text}, Declaration)
    except (cattrs.BaseValidationError, KeyError, TypeError, ValueError) as error:
        key, why = misfit(error, _NOT_KEYS)
        key = (key[0], *key[2:]) if key and key[0] in single else key
        raise DeclarationError(why, source=source, line=line_of(text, key), key=dotted(key)) from error
    check(declaration)
    return declaration


def _with_every(raw: dict[str, Any]) -> dict[str, Any]:
    """Lay the JSON bodies of the requests about jobs over the members of `[every] json`."""
    shared = as_map((as_map(raw.get("every")) or {}).get("json"))

    def whole(part: Any) -> Any:
        call, many = as_map(part), as_list(part)
        if call is None:
            return part if many is None else [whole(one) for one in many]
        kept = {**call, "many": whole(call["many"])} if "many" in call else call
        return {**kept, "json": _laid_over(shared, call["json"])} if "json" in call else kept

    return raw if not shared else raw | {name: whole(raw[name]) for name in _ABOUT_JOBS if name in raw}


def _laid_over(below: Any, above: Any) -> Any:
    """Lay one value of JSON over another: maps member by member, at any depth."""
    under, over = as_map(below), as_map(above)
    if under is None or over is None:
        return above
    return {**under, **{name: _laid_over(under.get(name), value) for name, value in over.items()}}


def _table(value: Any, wanted: str = "a table") -> Mapping[str, Any]:
    members = as_map(value)
    if members is None:
        raise TypeError(f"expected {wanted}, got {type(value).__name__}")
    return members


def _selectors(value: Any, _: Any) -> Places:
    texts = [value] if as_list(value) is None else as_list(value)
    if not texts or not all(isinstance(text, str) for text in texts):
        raise TypeError(f"expected a selector or a list of selectors, got {value!r}")
    return tuple(Selector.parse(text) for text in texts)


def _text(value: Any, wanted: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected {wanted}, got {type(value).__name__}")
    return value


def _template(value: Any, _: Any) -> Template:
    return Template.parse(_text(value, "text"))


def _template_or_map(value: Any, _: Any) -> Template | dict[str, Template]:
    members = as_map(value)
    return _template(value, Template) if members is None else _map(members, Templates)


def _variable(value: Any, _: Any) -> Variable:
    if isinstance(value, str):
        return Variable(default=value)
    return _plain.structure(_table(value, "its default, or a table"), Variable)


def _code(value: Any) -> int:
    code = int(value) if isinstance(value, str) and value.isdigit() else value
    if not isinstance(code, int) or isinstance(code, bool) or not 100 <= code <= 599:
        raise TypeError(f"expected an HTTP status code, got {value!r}")
    return code


def _words(value: Any, _: Any) -> tuple[str, ...]:
    return tuple(_text(word, "a word") for word in as_list(value) or [value])


def _files(value: Any, _: Any) -> tuple[Files, ...]:
    if as_list(value) is None:
        return (_converter.structure(_table(value, "a table, or a list of tables"), Files),)
    return tuple(_converter.structure(value, list[Files]))


def _codes(value: Any, _: Any) -> dict[int, str]:
    return {_code(code): _text(word, "a word") for code, word in _table(value, "a table of codes and words").items()}


def _map(value: Any, kind: Any) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, member in _table(value).items():
        try:
            made[name] = _converter.structure(member, kind.__args__[1])
        except (cattrs.BaseValidationError, TypeError, ValueError) as error:
            error.add_note(cattrs.AttributeValidationNote(f"Structuring member {name}", name, kind))
            raise
    return made


def _is_map(kind: Any) -> bool:
    return getattr(kind, "__origin__", None) is Mapping and kind != Mapping[int, str]


_plain = strict_converter(closed=True)
_converter = strict_converter(closed=True)
_hooks: tuple[tuple[Any, Callable[[Any, Any], Any]], ...] = (
    (Places, _selectors),
    (Template, _template),
    (Template | Templates | None, _template_or_map),
    (Variable, _variable),
    (Json, lambda value, _: Json(compile_value(value))),
    (Mapping[int, str], _codes),
    (tuple[int, ...], lambda value, _: tuple(map(_code, as_list(value) or [value]))),
    (tuple[str, ...], _words),
    (tuple[Files, ...], _files),
    (Conditions, lambda value, kind: tuple(map(Condition.parse, _words(value, kind)))),
)
for _kind, _hook in _hooks:
    _converter.register_structure_hook_func(partial(operator.eq, _kind), _hook)
_converter.register_structure_hook_func(_is_map, _map)
