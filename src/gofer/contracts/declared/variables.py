"""The variables of templates: gofer's own, and those that a declaration names and its caller fills."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from gofer.contracts.declared.declaration import Declaration
from gofer.contracts.faults import Key
from gofer.contracts.spelling import hint
from gofer.errors import UsageError


@frozen
class Own:
    """One of gofer's own variables: what it is, and which places have it, with a `?` where it may have no value."""

    meaning: str
    places: str

    def is_in(self, place: str) -> bool:
        """Tell whether templates in this place may have it."""
        return not {place, f"{place}?"}.isdisjoint(self.places.split())

    def may_lack(self, place: str) -> bool:
        """Tell whether it may have no value in this place."""
        return f"{place}?" in self.places.split()


_LATER = "start poll poll.hold result result.files.link reason cancel answer discard"

OWN: Mapping[str, Own] = {
    "base": Own("the service's address", f"every token upload submit poll.many {_LATER}"),
    "id": Own("the job's id", _LATER),
    "ids": Own("the ids of up to `most` jobs, with commas between them", "poll.many"),
    "key": Own("the idempotency key, another for each submission and each answer", "upload submit answer"),
    "budget": Own("nine tenths of the errand's seconds", "submit?"),
    "hold": Own("seconds that the service may hold its answer", "submit? poll? poll.hold"),
    "word": Own("the service's last word for the job", "poll? poll.hold?"),
    "item": Own("what was found at url", "result.files.link"),
    "page": Own("what was found at next, or the number of the page", "result?"),
    "token": Own("the token that the token request gave", "token"),
    "answer": Own("what the caller answers", "answer"),
}
"""All except `input`, and `links` and `values`, which a declaration names. Members of an answer have any names."""


def allowed(declaration: Declaration, place: str, key: Key) -> set[str]:
    """Return the names of the variables that a template at this place and key may have, without those of the input."""
    names = {name for name, own in OWN.items() if own.is_in(place)} | set(declaration.variables)
    if place in ("upload", "submit"):  # what the uploads before it have
        at = next((part for part in key if isinstance(part, int)), 0) if place == "upload" else None
        return names.union(*(upload.names for upload in declaration.upload[:at]))
    return names if place in ("token", "poll.many") else names | declaration.links


def values_of(declaration: Declaration, variables: Mapping[str, str]) -> dict[str, str]:
    """Return the values of a declaration's variables: the caller's and the defaults, or raise `UsageError`."""
    for name in variables:
        if name not in declaration.variables:
            source = declaration.source or declaration.name
            raise UsageError(f"{source} has no variable {name!r}.{hint(name, declaration.variables)}")
    values: dict[str, str] = {}
    for name, variable in declaration.variables.items():
        value = variables.get(name, variable.default)
        if value is None:
            about = f" ({variable.about})" if variable.about else ""
            raise UsageError(f"{declaration.name} needs the variable {name!r}{about}: pass variables={{{name!r}: …}}.")
        if not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(f"The variable {name!r} is text, not {type(value).__name__}.")
        if not value.isprintable():
            raise UsageError(f"The variable {name!r} has characters that cannot be sent (value not shown).")
        values[name] = value
    return values
