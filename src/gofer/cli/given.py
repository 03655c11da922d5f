"""What a person gave on the command line, read: contracts, variables, inputs, attachments, recorded replies.

Whatever is wrong with it is a `UsageError` in the command line's words. Nothing is sent from here.
"""

from __future__ import annotations

import difflib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from gofer.contracts.base import Contract
from gofer.contracts.declared import shipped
from gofer.contracts.declared.contract import DeclaredContract
from gofer.contracts.declared.declaration import Declaration
from gofer.contracts.declared.inputs import needs
from gofer.contracts.declared.layout import MASK
from gofer.contracts.declared.rehearsal import rehearsed_leg
from gofer.errors import TicketError, UsageError
from gofer.models import RetrieveRequest
from gofer.setup import RETRIEVE
from gofer.ticket import Ticket

PREFIX = "GOFER_VAR_"
"""What the environment variables for a declaration's variables begin with."""


@frozen
class Spoken:
    """A contract that was named.

    Attributes:
        contract: it, ready for a client.
        declaration: what it says; None for the one that is a class.
        back: what a later `gofer attach` needs to speak it too.
        secret: whether one of its variables is a secret.
    """

    contract: Contract[Any, Any]
    declaration: Declaration | None
    back: tuple[str, ...] = ()
    secret: bool = False


def declaration_of(named: str) -> Declaration:
    """Read a declaration: what ends in .toml or has a slash in it is a file, anything else a shipped name."""
    if _is_file(named):
        return shipped.read(Path(named))
    if named in shipped.names():
        return shipped.shipped(named)
    if named == RETRIEVE.name:
        raise UsageError("The contract 'retrieve' is a class of gofer's own and no declaration: `gofer get` speaks it.")
    close = difflib.get_close_matches(named, shipped.names(), 1)
    meant = f" Did you mean {close[0]!r}?" if close else ""
    raise UsageError(
        f"gofer has no contract named {named!r}.{meant} It has {', '.join(shipped.names())}. "
        "A declaration of your own is named by its file, as in mine.toml."
    )


def spoken(named: str, given: tuple[str, ...]) -> Spoken:
    """Make the contract of a name or a file, with its variables from `--var` and the environment."""
    if named == RETRIEVE.name:
        if given:
            raise UsageError("The contract 'retrieve' has no variables; leave --var out.")
        return Spoken(RETRIEVE, None)
    said = declaration_of(named)
    flags = _flags(said, given)
    back = ("--contract", named) if _is_file(named) else ()
    for flag in given:
        back = (*back, "--var", flag)
    values = variables_of(said, flags)
    secret = any(said.variables[name].secret for name in values)
    return Spoken(DeclaredContract(said, values), said, back, secret)


def of_ticket(ticket: Ticket, named: str | None, given: tuple[str, ...]) -> Spoken:
    """Make the contract that a ticket is for; one that is not gofer's own must be named."""
    name = ticket.contract.partition("@")[0]
    if named is None and name != RETRIEVE.name and name not in shipped.names():
        raise TicketError(
            f"The ticket is for the contract {name!r}, which is none of gofer's own: "
            "name its declaration, as in --contract mine.toml."
        )
    found = spoken(named or name, given)
    if named is None and found.contract.name != ticket.contract:
        raise TicketError(
            f"The ticket is for {ticket.contract!r}, and this gofer's {name!r} is {found.contract.name!r}: "
            "name the declaration that it was made with, as in --contract mine.toml."
        )
    return found


def masked(said: Declaration, given: tuple[str, ...]) -> DeclaredContract:
    """Make a contract to be shown: its secrets are not."""
    shown = {name: MASK for name, variable in said.variables.items() if variable.secret}
    return DeclaredContract(said, {**variables_of(said, _flags(said, given), shown), **shown})


def variables_of(said: Declaration, flags: Mapping[str, str], shown: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the values of a declaration's variables that have no default or were given another.

    Args:
        said: the declaration.
        flags: what `--var` gave.
        shown: values that nobody need give.

    Raises:
        UsageError: one is missing.
    """
    values: dict[str, str] = {}
    for name, variable in said.variables.items():
        value = flags.get(name, os.environ.get(_in_environment(name)) or (shown or {}).get(name))
        if value is not None:
            values[name] = value
        elif variable.default is None:
            about = f" ({variable.about})" if variable.about else ""
            flag = "" if variable.secret else f" with --var {name}=VALUE, or"
            raise UsageError(
                f"{said.name} needs the variable {name!r}{about}: give it{flag} in the environment, "
                f"as {_in_environment(name)}."
            )
    return values


def read_input(named: str) -> Mapping[str, Any]:
    """Read an input, a JSON object, from a file or from stdin (`-`)."""
    where = "The input from stdin" if named == "-" else f"The input {named!r}"
    try:
        raw = sys.stdin.buffer.read() if named == "-" else Path(named).read_bytes()
        value = json.loads(raw, parse_constant=_no_constant)
    except OSError as error:
        raise UsageError(f"{where} cannot be read: {error.strerror or error}.") from error
    except json.JSONDecodeError as error:
        raise UsageError(f"{where} is no JSON: line {error.lineno}, column {error.colno}: {error.msg}.") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where} is no JSON: {error}.") from error
    if not isinstance(value, dict):
        raise UsageError(f'{where} must be a JSON object, as in {{"name": "value"}}, not a {type(value).__name__}.')
    return value  # pyright: ignore[reportUnknownVariableType]


def order_of(speaks: Spoken, given: Mapping[str, Any], attached: tuple[str, ...]) -> Any:
    """Make what a client submits out of the input and the attached files."""
    if speaks.declaration is not None:
        return with_files(speaks.declaration, given, attached)
    if attached:
        raise UsageError("The contract 'retrieve' takes no files; leave --attach out.")
    known = ("doi", "title", "authors", "timeout_seconds")
    strange = next((name for name in given if name not in known), None)
    if strange is not None or not isinstance(given.get("doi"), str):
        what = "has no 'doi'" if strange is None else f"has {strange!r}"
        raise UsageError(f"The input {what}; the contract 'retrieve' takes doi, and may take {', '.join(known[1:])}.")
    return RetrieveRequest(**given)


def with_files(said: Declaration, given: Mapping[str, Any], attached: tuple[str, ...]) -> dict[str, Any]:
    """Put the files of `--attach FIELD=FILE` into the input: each field is a map of file names and contents."""
    order = dict(given)
    sent = {name for part in needs(said) for name in part}
    for one in attached:
        field, path = _pair(one, "--attach", "FIELD=FILE")
        if sent.isdisjoint(("", field)):
            raise UsageError(f"--attach {one}: {said.name} sends no {field!r}; it sends {', '.join(sorted(sent))}.")
        files = order.get(field, {})
        if not isinstance(files, dict):
            raise UsageError(f"--attach {one}: the input's {field!r} is there already, and is no map of files.")
        name = Path(path).name
        if name in files:
            raise UsageError(f"--attach {one}: {field!r} has a file {name!r} already.")
        order[field] = {**files, name: _bytes_of(path)}
    return order


def read_replies(given: tuple[str, ...]) -> dict[str, list[tuple[str, bytes]]]:
    """Read the recorded replies of `--reply LEG=FILE`, by leg, in their order."""
    replies: dict[str, list[tuple[str, bytes]]] = {}
    for one in given:
        leg, path = _pair(one, "--reply", "LEG=FILE")
        replies.setdefault(rehearsed_leg(leg), []).append((path, _bytes_of(path)))
    return replies


def _is_file(named: str) -> bool:
    return named.endswith(".toml") or "/" in named or os.sep in named


def _in_environment(name: str) -> str:
    return PREFIX + name.upper().replace("-", "_")


def _flags(said: Declaration, given: tuple[str, ...]) -> dict[str, str]:
    flags = dict(_pair(one, "--var", "NAME=VALUE") for one in given)
    for name in flags:
        if name not in said.variables:
            known = ", ".join(sorted(said.variables)) or "none"
            raise UsageError(f"{said.name} has no variable {name!r}; its variables: {known}.")
        if said.variables[name].secret:
            raise UsageError(
                f"The variable {name!r} is a secret, and a flag is seen by others: "
                f"give it in the environment, as {_in_environment(name)}."
            )
    return flags


def _pair(given: str, flag: str, form: str) -> tuple[str, str]:
    name, equals, value = given.partition("=")
    if not name or not equals:
        raise UsageError(f"{flag} is of the form {form}, not {given!r}.")
    return name, value


def _bytes_of(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"The file {path!r} cannot be read: {error.strerror or error}.") from error


def _no_constant(name: str) -> None:
    raise ValueError(f"it has {name}, which is no JSON value")
