"""What a command reads for a request: the input, the files of `--attach`, the recorded replies of `--reply`.

Whatever is wrong with them is a `UsageError` in the command line's words. Nothing is sent from here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gofer.contracts.declared.declaration import Declaration
from gofer.contracts.declared.inputs import needs
from gofer.contracts.declared.rehearsal import rehearsed_leg
from gofer.errors import UsageError
from gofer.models import RetrieveRequest

RETRIEVE_FIELDS = ("doi", "title", "authors", "timeout_seconds")
"""What the input of the contract 'retrieve' may have; it must have the first."""


def read_input(file: str) -> Mapping[str, Any]:
    """Read an input, a JSON object, from a file or from stdin (`-`)."""
    where = "The input from stdin" if file == "-" else f"The input {file!r}"
    try:
        raw = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        value = json.loads(raw, parse_constant=refuse_constant)
    except OSError as error:
        raise UsageError(f"{where} cannot be read: {error.strerror or error}.") from error
    except json.JSONDecodeError as error:
        raise UsageError(f"{where} is not JSON: line {error.lineno}, column {error.colno}: {error.msg}.") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where} is not JSON: {error}.") from error
    if not isinstance(value, dict):
        raise UsageError(f'{where} must be a JSON object, as in {{"name": "value"}}, not a {type(value).__name__}.')
    return value  # pyright: ignore[reportUnknownVariableType]


def request_of(declaration: Declaration | None, members: Mapping[str, Any], attached: tuple[str, ...]) -> Any:
    """Make what a client submits out of the input and the attached files; None is the contract 'retrieve'."""
    if declaration is not None:
        return with_files(declaration, members, attached)
    if attached:
        raise UsageError("The contract 'retrieve' takes no files; leave --attach out.")
    other = next((name for name in members if name not in RETRIEVE_FIELDS), None)
    if other is not None or not isinstance(members.get("doi"), str):
        problem = "has no 'doi'" if other is None else f"has {other!r}"
        optional = ", ".join(RETRIEVE_FIELDS[1:])
        raise UsageError(f"The input {problem}; the contract 'retrieve' takes doi, and may take {optional}.")
    return RetrieveRequest(**members)


def with_files(declaration: Declaration, members: Mapping[str, Any], attached: tuple[str, ...]) -> dict[str, Any]:
    """Put the files of `--attach FIELD=FILE` into the input: one, or a map of them where `{input.FIELD*}` sends it."""
    request = dict(members)
    sent = {name for part in needs(declaration) for name in part}
    maps = {hole.name.removeprefix("input.") for hole in declaration.input_holes if hole.each}
    for option in attached:
        field, path = name_and_value(option, "--attach", "FIELD=FILE")
        if sent.isdisjoint(("", field)):
            names = ", ".join(sorted(sent))
            raise UsageError(f"--attach {option}: {declaration.name} sends no {field!r}; it sends {names}.")
        if field not in maps and field not in request:
            request[field] = Path(path)
            continue
        files = request.get(field, {})
        if not isinstance(files, dict):
            raise UsageError(f"--attach {option}: the input has {field!r} already, and it is not a map of files.")
        name = Path(path).name
        if name in files:
            raise UsageError(f"--attach {option}: {field!r} has a file {name!r} already.")
        request[field] = {**files, name: Path(path)}
    return request


def read_replies(options: tuple[str, ...]) -> dict[str, list[tuple[str, bytes]]]:
    """Read the recorded replies of `--reply LEG=FILE`, by leg, in their order."""
    replies: dict[str, list[tuple[str, bytes]]] = {}
    for option in options:
        leg, path = name_and_value(option, "--reply", "LEG=FILE")
        replies.setdefault(rehearsed_leg(leg), []).append((path, _content(path)))
    return replies


def name_and_value(text: str, option: str, form: str) -> tuple[str, str]:
    """Split the value of an option that has the form NAME=VALUE."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise UsageError(f"{option} has the form {form}, not {text!r}.")
    return name, value


def _content(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"The file {path!r} cannot be read: {error.strerror or error}.") from error


def refuse_constant(name: str) -> None:
    """Refuse what Python's reader of JSON takes beside JSON: NaN and the infinities."""
    raise ValueError(f"it has {name}, which is not a JSON value")
