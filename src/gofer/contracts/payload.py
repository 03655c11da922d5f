"""From JSON bytes to models, strictly: cattrs with hooks that convert nothing silently; and error documents, leniently.

cattrs' defaults turn a null into "None" and "12" into 12; here a value is of its kind or the reply is bad, and the
error names the field. Unknown fields are ignored, and so is a wrong value in a field that is only shown. Nothing here
may be particular to one contract.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

import cattrs
from attrs import fields, frozen, resolve_types
from cattrs.gen import make_dict_structure_fn, override

from gofer.contracts.faults import dotted, first_fault
from gofer.errors import BadReply
from gofer.wire import Reply

T = TypeVar("T")


def _exactly(*kinds: type) -> Callable[[object, object], Any]:
    wanted = " or ".join(kind.__name__ for kind in kinds)

    def structure(value: object, _: object) -> object:
        if type(value) not in kinds:
            raise TypeError(f"expected {wanted}, got {'null' if value is None else type(value).__name__}")
        return value

    return structure


def _number(value: object, _: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"expected a number, got {'null' if value is None else type(value).__name__}")
    return float(value)


def strict_converter(*, closed: bool = False) -> cattrs.Converter:
    """Make a converter without silent conversions; `closed` also refuses unknown fields (for contract tests)."""
    converter = cattrs.Converter(forbid_extra_keys=closed)
    for kind in (str, int, bool):
        converter.register_structure_hook(kind, _exactly(kind))
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook_func(_is_mapping, _exactly(dict))
    return converter


def only_shown(converter: cattrs.Converter, model: type[Any], names: frozenset[str]) -> None:
    """Let the converter read a value of the wrong type in one of these fields of `model` as if it were missing."""
    resolve_types(model)
    overrides: dict[str, Any] = {
        one.name: override(struct_hook=_or_default(converter, one.default))
        for one in fields(model)
        if one.name in names
    }
    converter.register_structure_hook(model, make_dict_structure_fn(model, converter, **overrides))


def _or_default(converter: cattrs.Converter, default: Any) -> Callable[[object, Any], Any]:
    def structure(value: object, kind: Any) -> object:
        try:
            read = converter.structure(value, kind)
        except (cattrs.BaseValidationError, ArithmeticError, LookupError, TypeError, ValueError):
            return default
        return default if isinstance(read, float) and not math.isfinite(read) else read

    return structure


def _is_mapping(kind: Any) -> bool:
    return getattr(kind, "__origin__", None) is Mapping


_converter = strict_converter()

DEEPEST = 128
"""Lists and objects within one another; a deeper document is refused."""


def document(reply: Reply) -> Mapping[str, Any]:
    """Parse a reply's body as a JSON object, or raise `BadReply` that says what came instead."""
    try:
        value = parsed(reply.body)
    except ValueError as error:
        raise no_document(reply, "JSON") from error
    if not isinstance(value, dict):
        raise BadReply(f"The service answered with a JSON {type(value).__name__} in place of an object.", field="$")
    return value  # pyright: ignore[reportUnknownVariableType]


def parsed(body: bytes) -> Any:
    """Parse JSON, or raise `ValueError`; also where it is nested so deep that what works on it might give up."""
    try:
        value = json.loads(body)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if body.count(b"{") + body.count(b"[") > DEEPEST and _is_deeper(value, DEEPEST):
        raise ValueError(f"more than {DEEPEST} lists and objects within one another")
    return value


def _is_deeper(value: Any, depth: int) -> bool:
    """Tell whether a value has more lists and objects within one another, without recursion."""
    level: list[Any] = [value]
    for _ in range(depth + 1):
        level = [inner for one in level for inner in (as_map(one) or {}).values() or as_list(one) or ()]
    return bool(level)


def no_document(reply: Reply, wanted: str) -> BadReply:
    """Make the error for a body that is not the document that was wanted."""
    kind = reply.headers.get("content-type", "no content type")
    what = f"{kind}, {len(reply.body)} bytes" if reply.body else "an empty body"
    return BadReply(f"The service answered {reply.status} with {what} in place of {wanted}.")


def as_map(value: object) -> Mapping[str, Any] | None:
    """Return a value that is an object, as one; None for any other."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else None


def as_list(value: object) -> list[Any] | None:
    """Return a value that is a list, as one; None for any other."""
    return value if isinstance(value, list) else None  # pyright: ignore[reportUnknownVariableType]


@frozen
class Problem:
    """An error document, read: the service's code and its message; either may be missing."""

    error_code: str | None = None
    detail: str | None = None


_CODES = ("error_code", "code", "status")
_MESSAGES = ("detail", "error", "message", "msg", "description", "title", "error_description", "error_message")
_MORE = ("errorMessage", "reason", "diagnostics", "exception")
_LISTS = ("detail", "errors", "error", "issue", "messages")
_PLACES = ("loc", "pointer", "field", "path", "param", "location", "expression")


def read_problem(reply: Reply) -> Problem:
    """Read an error answer, and never raise.

    RFC 9457 problem+json with its usual `errors`, the usual names in any JSON object, lists of messages with their
    places as FastAPI, FHIR and others write them, or plain text.
    """
    try:
        body = document(reply)
    except BadReply:
        text = reply.body[:1000].decode(errors="replace") if reply.media_type == "text/plain" else ""
        return Problem(None, " ".join(text.split()) or None)
    inner = as_map(body.get("error"))
    if inner is not None:  # {"error": {"code": …, "message": …}}, as Google and Microsoft write it
        body = {**body, **inner, "error": None}
    code = next((body[name] for name in _CODES if isinstance(body.get(name), str)), None)
    detail = next((body[name] for name in (*_MESSAGES, *_MORE) if isinstance(body.get(name), str) and body[name]), None)
    lists = (as_list(body.get(name)) for name in _LISTS)
    single = [_one_of_many(one) for one in next(filter(None, lists), list[Any]())[:5]]
    return Problem(code, ": ".join(filter(None, (detail, "; ".join(filter(None, single))))) or None)


def _one_of_many(value: object) -> str:
    """Read one of several messages, with the place in the request that it is about."""
    members = as_map(value)
    if members is None:
        return value if isinstance(value, str) else ""
    text = next((members[name] for name in (*_MESSAGES, *_MORE) if isinstance(members.get(name), str)), "")
    place = next((members[name] for name in _PLACES if members.get(name)), "")
    where = ".".join(str(part) for part in as_list(place) or [place] if isinstance(part, str | int))
    return f"{where}: {text}" if where and text else text


def structure(value: Mapping[str, Any], model: type[T], converter: cattrs.Converter = _converter) -> T:
    """Make a `model` out of a JSON object, or raise `BadReply` that names the field, as in `$.job_id`."""
    try:
        return converter.structure(value, model)
    except (cattrs.BaseValidationError, KeyError, TypeError, ValueError) as error:
        key, fault = first_fault(error)
        where, why = dotted(key, "$"), "it is missing" if isinstance(fault, KeyError) else fault
        raise BadReply(f"The service's answer does not follow the contract: {where}: {why}.", field=where) from error
