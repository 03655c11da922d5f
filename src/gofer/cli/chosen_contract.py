"""Which contract a command line names, with the variables from `--var` and the environment.

Whatever is wrong with them is a `UsageError` in the command line's words. Nothing is sent from here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from gofer.cli.inputs import name_and_value
from gofer.cli.service import token
from gofer.contracts.base import Contract
from gofer.contracts.declared import shipped
from gofer.contracts.declared.contract import DeclaredContract
from gofer.contracts.declared.declaration import Declaration
from gofer.contracts.declared.layout import MASK
from gofer.contracts.spelling import did_you_mean
from gofer.errors import TicketError, UsageError
from gofer.setup import RETRIEVE
from gofer.ticket import Ticket


@frozen
class ChosenContract:
    """A contract that was named.

    Attributes:
        contract: it, ready for a client.
        declaration: what it was made of; None for the contract that is a class.
        options: the options that name it and its variables again.
        secret: whether one of its variables is a secret.
    """

    contract: Contract[Any, Any] = RETRIEVE
    declaration: Declaration | None = None
    options: tuple[str, ...] = ()
    secret: bool = False

    def attach_options(self, url: str | None) -> tuple[str, ...]:
        """Return what a later `gofer attach` needs: the contract, and the `--url` if a secret may only go there."""
        return self.options if url is None or not (self.secret or token()) else (*self.options, "--url", url)


def read_declaration(name: str) -> Declaration:
    """Read a declaration: what ends in .toml or has a slash in it is a file, anything else a shipped name."""
    if _is_file(name):
        return shipped.read(Path(name))
    if name in shipped.names():
        return shipped.shipped(name)
    if name == RETRIEVE.name:
        raise UsageError("The contract 'retrieve' is a class and has no declaration: `gofer get` uses it.")
    names = shipped.names()
    raise UsageError(
        f"gofer has no contract named {name!r}.{did_you_mean(name, names)} It has {', '.join(names)}. "
        "Name a declaration of your own by its file, as in mine.toml."
    )


def choose_contract(name: str, variables: tuple[str, ...]) -> ChosenContract:
    """Make the contract of a name or a file, with its variables from `--var` and the environment."""
    if name == RETRIEVE.name:
        if variables:
            raise UsageError("The contract 'retrieve' has no variables; leave --var out.")
        return ChosenContract()
    declaration = read_declaration(name)
    values = _values(declaration, variables)
    options = ("--contract", name) if _is_file(name) else ()
    for variable in variables:
        options = (*options, "--var", variable)
    secret = any(declaration.variables[name].secret for name in values)
    return ChosenContract(DeclaredContract(declaration, values), declaration, options, secret)


def contract_of_ticket(ticket: Ticket, named: str | None, variables: tuple[str, ...]) -> ChosenContract:
    """Make the contract that a ticket is for; one that does not come with gofer must be named."""
    name = ticket.contract.partition("@")[0]
    if named is None and name != RETRIEVE.name and name not in shipped.names():
        raise TicketError(
            f"The ticket is for the contract {name!r}, which does not come with gofer: "
            "name its declaration, as in --contract mine.toml."
        )
    chosen = choose_contract(named or name, variables)
    if named is None and chosen.contract.name != ticket.contract:
        raise TicketError(
            f"The ticket is for {ticket.contract!r}, and this gofer's {name!r} is {chosen.contract.name!r}: "
            "name the declaration that it was made with, as in --contract mine.toml."
        )
    return chosen


def masked_contract(declaration: Declaration, variables: tuple[str, ...]) -> DeclaredContract:
    """Make a contract to be displayed: every secret is masked, and none has to be set."""
    secrets = {name: MASK for name, variable in declaration.variables.items() if variable.secret}
    return DeclaredContract(declaration, {**_values(declaration, variables, secrets), **secrets})


def _values(
    declaration: Declaration, variables: tuple[str, ...], defaults: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the values of a declaration's variables, without those that keep the declaration's default.

    Args:
        declaration: the declaration.
        variables: what `--var` said, as NAME=VALUE.
        defaults: values for variables that are set nowhere.

    Raises:
        UsageError: a variable is missing, or `--var` sets one that it may not.
    """
    options = dict(name_and_value(variable, "--var", "NAME=VALUE") for variable in variables)
    for name in options:
        if name not in declaration.variables:
            names = ", ".join(sorted(declaration.variables)) or "none"
            raise UsageError(f"{declaration.name} has no variable {name!r}; its variables: {names}.")
        if declaration.variables[name].secret:
            raise UsageError(
                f"The variable {name!r} is a secret, and other users of this machine can see a flag: "
                f"set it in the environment, as {_environment_name(name)}."
            )
    values: dict[str, str] = {}
    for name, variable in declaration.variables.items():
        value = options.get(name, os.environ.get(_environment_name(name)) or (defaults or {}).get(name))
        if value is not None:
            values[name] = value
        elif variable.default is None:
            about = f" ({variable.about})" if variable.about else ""
            flag = "" if variable.secret else f" with --var {name}=VALUE, or"
            raise UsageError(
                f"{declaration.name} needs the variable {name!r}{about}: set it{flag} in the environment, "
                f"as {_environment_name(name)}."
            )
    return values


def _is_file(name: str) -> bool:
    return name.endswith(".toml") or "/" in name or os.sep in name


def _environment_name(name: str) -> str:
    return f"GOFER_VAR_{name.upper().replace('-', '_')}"
