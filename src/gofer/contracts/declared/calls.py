"""What a declaration sends: which request is next, of what variables, and where it may go. It reads no reply."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

from attrs import evolve, field, frozen

from gofer.contracts.base import Ref
from gofer.contracts.declared.declaration import Call, Declaration, Poll, Result, Templates
from gofer.contracts.declared.positions import Key
from gofer.contracts.declared.selectors import added
from gofer.contracts.declared.sending import address, built, header
from gofer.contracts.declared.templates import Lookup, Template, Unfilled
from gofer.contracts.payload import as_map
from gofer.errors import BadReply, UsageError
from gofer.wire import Request, origin

AddressOf = Callable[[Template, str], str]
"""Makes a file's address out of the template for it and what the service named."""


@frozen
class Calls:
    """The requests of one declaration, with the values of its variables."""

    declaration: Declaration
    variables: Mapping[str, str] = field(repr=lambda given: str(list(given)))

    def __attrs_post_init__(self) -> None:
        every = self.declaration.every
        object.__setattr__(self, "variables", _variables(self.declaration, self.variables))
        for template in (*every.headers.values(), *every.cookies.values()):
            for hole in template.holes:
                if not self.variables.get(hole.name, "").isascii():
                    raise UsageError(f"The variable {hole.name!r} has characters that no header may have.")

    @cached_property
    def secrets(self) -> frozenset[str]:
        """The names of the variables that are secret."""
        return frozenset(name for name, variable in self.declaration.variables.items() if variable.secret)

    @cached_property
    def secret_parameters(self) -> frozenset[str]:
        """The names of the query parameters that hold a secret on every request."""
        query = self.declaration.every.query
        return frozenset(name for name, one in query.items() if self.secrets & {hole.name for hole in one.holes})

    @cached_property
    def dressed(self) -> frozenset[str]:
        """The names of the headers that every request gets."""
        return frozenset(name.lower() for name in self.declaration.every.headers)

    def add_to_every(self, base: str, ref: Ref | None, request: Request) -> Request:
        """Add what `[every]` declares to a request to the service's own origin."""
        every = self.declaration.every
        if not (every.query or every.headers or every.cookies):
            return request
        lookup = self.lookup(base, ref)
        url = request.url
        for name, value in _known(every.query, lookup):
            url = added(url, name, value)
        try:
            headers = {name.lower(): header(name, value) for name, value in _known(every.headers, lookup)}
            cookies = [f"{name}={header('cookie', value)}" for name, value in _known(every.cookies, lookup)]
        except UsageError as error:  # the service's own value, as the caller's were checked
            raise BadReply(error.message, field="values") from error
        if cookies:
            headers["cookie"] = "; ".join(cookies)
        return evolve(request, url=url, headers={**headers, **request.headers})

    def build_submission(self, base: str, request: Any, *, key: str, budget: float | None, hold: int) -> Request:
        """Build the submission from the input, a map as JSON has it."""
        given = as_map(request)
        if given is None:
            raise UsageError(f"The input is a map, as JSON has it, not {type(request).__name__}.")
        more: dict[str, Any] = {
            "key": key,
            "hold": str(hold) if hold else None,
            "budget": None if budget is None else str(max(1, int(0.9 * budget))),
            "input": given,
        }
        call = self.declaration.submit
        assert call.url is not None  # noqa: S101  (checked when it was read)
        lookup = self.lookup(base, None, more)
        try:
            url = address(call.url, lookup)
            self.hold_origin(base, url, ("submit",))
            return built(call, url, lookup, method="POST", seed=key, dressed=self.dressed)
        except BadReply as error:
            raise UsageError(error.message) from error
        except (TypeError, ValueError) as error:
            raise UsageError(f"The input cannot be written into a request: {error}.") from error
        except Unfilled as error:
            missing = error.name.removeprefix("input.")
            has = ", ".join(sorted(given)) or "nothing"
            if missing in given:
                has = f"a null in its place, among {has}"
            raise UsageError(
                f"The input has no {missing!r}, which {self.declaration.place('submit')} needs; it has {has}."
            ) from error

    def lookup(self, base: str, ref: Ref | None, more: Mapping[str, Any] | None = None) -> Lookup:
        """Make the function that finds variables for one request."""
        known: dict[str, Any] = {"base": base, **self.variables, **(more or {})}
        if ref is not None:
            known["id"] = ref.id or None

        def lookup(name: str) -> Any:
            if name in known:
                return known[name]
            if name.startswith("input."):
                return _member(known.get("input"), name.split(".")[1:])
            if ref is not None and name.startswith("links."):
                return ref.links.get(name[6:])
            return None if ref is None else ref.links.get(name)

        return lookup

    def call(
        self, base: str, ref: Ref, call: Call, key: Key, more: Mapping[str, Any] | None = None, *, method: str
    ) -> Request:
        """Build a request about a job; its address must not leave the service's origin without leave."""
        lookup = self.lookup(base, ref, more)
        assert call.url is not None  # noqa: S101  (chosen because it has one)
        try:
            url = address(call.url, lookup)
            if not url.startswith(f"{base}/") and url != base and self.hold_origin(base, url, key):
                call = self._without_secrets(call, key)
            return built(call, url, lookup, method=method, seed=ref.id, dressed=self.dressed)
        except Unfilled as error:
            raise UsageError(f"{self.declaration.place(*key)}: {{{error.name}}} has no value for this job.") from error

    def _without_secrets(self, call: Call, key: Key) -> Call:
        """Return what may be sent to another origin of a call: no query and no header with a secret in it."""

        def harmless(templates: Templates) -> Templates:
            return {
                name: one for name, one in templates.items() if not self.secrets & {hole.name for hole in one.holes}
            }

        kept = evolve(call, query=harmless(call.query), headers=harmless(call.headers))
        if self.secrets & {hole.name for hole in kept.holes}:
            raise BadReply(
                f"{self.declaration.place(*key)}: the service points to another origin, and a secret would go there.",
                field=".".join(map(str, key)),
            )
        return kept

    def addresses(self, base: str, ref: Ref) -> AddressOf:
        """Return the function that makes the addresses of files that are named by no more than an id."""
        return lambda template, item: address(template, self.lookup(base, ref, {"item": item}))

    def hold_origin(self, base: str, url: str, key: Key) -> bool:
        """Tell whether an address is on another origin; raise `BadReply` where that has no leave."""
        try:
            there = origin(url)
        except UsageError as error:
            raise BadReply(f"{self.declaration.place(*key)}: {error}", field=".".join(map(str, key))) from error
        if there == origin(base):
            return False
        if there not in [origin(allowed) for allowed in self.declaration.origins]:
            raise BadReply(
                f"{self.declaration.place(*key, 'url')}: the service points to {there[0]}://{there[1]}:{there[2]}, "
                f"which is not its own origin. If that is right, write origins = "
                f'["{there[0]}://{there[1]}:{there[2]}"] into the declaration.',
                field=".".join((*map(str, key), "url")),
            )
        return True

    def fits(self, base: str, ref: Ref, call: Call) -> bool:
        """Tell whether all that a call needs to be built is known of this job."""
        lookup = self.lookup(base, ref)
        return all(lookup(name) is not None for name in call.needs)

    def poll_of(self, base: str, ref: Ref) -> tuple[Poll, Key] | None:
        """Return the first status request that can be built of what is known of a job, and its key."""
        polls = self.declaration.poll
        for at, poll in enumerate(polls):
            if (ref.id and poll.by_id) or self.fits(base, ref, poll):
                return poll, ("poll", at) if len(polls) > 1 else ("poll",)
        return None

    def result_of(self, base: str, ref: Ref) -> tuple[Result, Key] | None:
        """Return the first result that can be asked for by what is known of a job, and its key."""
        results = self.declaration.result
        for at, result in enumerate(results):
            if self.fits(base, ref, result):
                return result, ("result", at) if len(results) > 1 else ("result",)
        return None


def _variables(said: Declaration, given: Mapping[str, str]) -> dict[str, str]:
    """Put the caller's values and the defaults together, or raise `UsageError`."""
    unknown = sorted(set(given) - set(said.variables))
    if unknown:
        known = ", ".join(sorted(said.variables)) or "none"
        raise UsageError(f"{said.source or said.name} has no variable {unknown[0]!r}; its variables: {known}.")
    values: dict[str, str] = {}
    for name, variable in said.variables.items():
        value = given.get(name, variable.default)
        if value is None:
            about = f" ({variable.about})" if variable.about else ""
            raise UsageError(f"{said.name} needs the variable {name!r}{about}: pass variables={{{name!r}: …}}.")
        if not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(f"The variable {name!r} is text, not {type(value).__name__}.")
        if not value.isprintable():
            raise UsageError(f"The variable {name!r} has characters that cannot be sent (value not shown).")
        values[name] = value
    return values


def _member(value: Any, names: list[str]) -> Any:
    for name in names:
        value = (as_map(value) or {}).get(name)
    return value


def _known(templates: Templates, lookup: Lookup) -> Iterator[tuple[str, str]]:
    """Yield what has a value by now, filled."""
    for name, template in templates.items():
        with contextlib.suppress(Unfilled):
            value = template.fill(lookup)
            if value:
                yield name, value
