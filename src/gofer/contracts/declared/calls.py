"""Which request of a declaration is next, with which variables, and which origins it may go to. Reads no reply."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, TypeVar

from attrs import evolve, field, frozen

from gofer.contracts.base import Ref
from gofer.contracts.declared.declaration import Declaration
from gofer.contracts.declared.inputs import Prepared
from gofer.contracts.declared.parts import Call, Choice, Files, Result, Submit, Templates, Upload, templates_of
from gofer.contracts.declared.sending import address, build_request, header
from gofer.contracts.declared.templates import Lookup, Template, Unfilled
from gofer.contracts.declared.urls import resolve, with_parameter, without
from gofer.contracts.declared.variables import values_of
from gofer.contracts.payload import as_map
from gofer.errors import BadReply, UsageError
from gofer.wire import Head, Request, may_be_address, origin

LONGEST_KEPT = 1000
"""Characters of a text that a declaration's `keep` takes from the input."""

AnyCall = TypeVar("AnyCall", bound=Call)
AnyChoice = TypeVar("AnyChoice", bound=Choice)


@frozen
class Calls:
    """The requests of one declaration, with the values of its variables."""

    declaration: Declaration
    variables: Mapping[str, str] = field(repr=lambda values: str(list(values)))

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "variables", values_of(self.declaration, self.variables))
        for _, _, part, template in self.declaration.templates():
            for hole in template.holes if part in ("headers", "cookies") else ():
                if not self.variables.get(hole.name, "").isascii():
                    raise UsageError(f"The variable {hole.name!r} has characters that no header may have.")

    @cached_property
    def _every_header(self) -> frozenset[str]:
        return frozenset(name.lower() for name in self.declaration.every.headers)

    @cached_property
    def secret_parameters(self) -> frozenset[str]:
        """The names of the query parameters that hold a secret on every request."""
        return frozenset(name for name, template in self.declaration.every.query.items() if self._is_secret(template))

    def _is_secret(self, template: Template) -> bool:
        variables = self.declaration.variables
        return any(hole.name in variables and variables[hole.name].secret for hole in template.holes)

    def add_to_every(self, base: str, ref: Ref | None, request: Request) -> Request:
        """Add what `[every]` declares to a request to the service's own origin."""
        every = self.declaration.every
        if not (every.query or every.headers or every.cookies):
            return request
        lookup = self._lookup(base, ref)
        url = request.url
        try:
            for name, value in _with_values(every.query, lookup):
                url = with_parameter(url, name, value)
            headers = {name.lower(): header(name, value) for name, value in _with_values(every.headers, lookup)}
            cookies = [f"{name}={header('cookie', value)}" for name, value in _with_values(every.cookies, lookup)]
        except (UsageError, UnicodeEncodeError) as error:  # the service's own value, as the caller's were checked
            raise BadReply(str(error), field="values") from error
        if not may_be_address(url):
            raise BadReply("With the service's own values, the address is too long.", field="values")
        if cookies:
            headers["cookie"] = "; ".join(cookies)
        return evolve(request, url=url, headers={**headers, **request.headers})

    def build_submission(self, base: str, request: Any, *, key: str, budget: float | None, hold: int) -> Request:
        """Build the submission from the input, a map as JSON has it."""
        more = {
            "key": key,
            "hold": str(hold) if hold else None,
            "budget": None if budget is None else str(max(1, int(0.9 * budget))),
        }
        return self._build_of_input(base, self.declaration.submit, Prepared.of(request), more)

    def build_upload(self, base: str, request: Any, *, key: str) -> Request | None:
        """Build the next upload of an input; None after the last one."""
        prepared = Prepared.of(request)
        calls = self.declaration.upload[prepared.done :]
        return self._build_of_input(base, calls[0], prepared, {"key": key}) if calls else None

    def _build_of_input(self, base: str, call: Call, prepared: Prepared, more: Mapping[str, Any]) -> Request:
        """Build a request that has the input. An upload may go to any origin that the service has named."""
        assert call.url is not None  # noqa: S101  (a rule of `checks`)
        members, seed = prepared.members, more["key"]
        lookup = self._lookup(base, Ref("", prepared.links), {**more, "input": members})
        try:
            url = address(call.url, lookup)
            away = self._is_elsewhere(base, url, call)
            if away:
                call = self._without_secrets(call)
            keep: Templates = call.keep if isinstance(call, Submit) else {}
            kept = {name: template.fill(lookup) for name, template in keep.items()}
            built = build_request(call, url, lookup, seed=seed, set_later=() if away else self._every_header)
            return evolve(
                built,
                kept={f"values.{name}": _short(text) for name, text in kept.items() if text},
                anonymous=away and isinstance(call, Upload),
            )
        except BadReply as error:
            if isinstance(call, Upload) and prepared.done:
                raise  # the service has named an address that cannot be used
            raise UsageError(error.message) from error
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"The input cannot be written into a request (bytes and files go into multipart or body): {error}."
            ) from error
        except Unfilled as error:
            if error.name.startswith(("links.", "values.")):
                reason = f"the answers to the uploads have no {{{error.name}}}."
                raise self.declaration.bad_reply(reason, *self.declaration.key_of(call)) from error
            missing = error.name.removeprefix("input.")
            has = ", ".join(sorted(members)) or "nothing"
            if missing in members:
                has = f"a null in its place, among {has}"
            where = self.declaration.place(*self.declaration.key_of(call))
            raise UsageError(f"The input has no {missing!r}, which {where} needs; it has {has}.") from error

    def build(self, base: str, ref: Ref, call: Call, more: Mapping[str, Any] | None = None) -> Request:
        """Build a request about a job; only to an origin that the declaration allows."""
        lookup = self._lookup(base, ref, more)
        assert call.url is not None  # noqa: S101  (chosen because it has one)
        try:
            url = address(call.url, lookup)
            if not url.startswith(f"{base}/") and url != base and self._is_elsewhere(base, url, call):
                call = self._without_secrets(call)
            return build_request(call, url, lookup, seed=ref.id, set_later=self._every_header)
        except (UsageError, UnicodeEncodeError) as error:  # the service's own value, as the caller's were checked
            raise self.declaration.bad_reply(str(error), *self.declaration.key_of(call)) from error
        except Unfilled as error:
            where = self.declaration.place(*self.declaration.key_of(call))
            raise UsageError(f"{where}: {{{error.name}}} has no value for this job.") from error

    def build_token(self, base: str, call: Call) -> Request:
        """Build the request for a token: its address is the declaration's own, so that secrets may go there."""
        lookup = self._lookup(base, None)
        assert call.url is not None  # noqa: S101  (a rule of `checks`)
        try:
            return build_request(call, address(call.url, lookup), lookup)
        except Unfilled as error:
            raise UsageError(f"{self.declaration.place('token')}: {{{error.name}}} has no value.") from error

    def token_headers(self, token: str, sends: Templates) -> dict[str, str]:
        """Return the headers that carry a token."""
        lookup = self._lookup("", None, {"token": token})
        return {name: header(name, value) for name, value in _with_values(sends, lookup)}

    def build_many(self, base: str, ids: str, page: str | None) -> Request:
        """Build a look at many jobs, or the request for its next page; only to the service's own origin."""
        assert self.declaration.many is not None  # noqa: S101  (asked where there is one)
        key, many = self.declaration.many
        lookup = self._lookup(base, None, {"ids": ids})
        assert many.url is not None  # noqa: S101  (a rule of `checks`)
        try:
            url = address(many.url, lookup) if page is None else without(resolve(base, page), self.secret_parameters)
            if origin(url) != origin(base):
                raise self.declaration.bad_reply("the next page is on another origin.", *key, "next")
            kept = many if page is None else evolve(many, query={})  # a link has its own
            return build_request(kept, url, lookup, set_later=self._every_header)
        except (UsageError, UnicodeEncodeError) as error:
            raise self.declaration.bad_reply(str(error), *key) from error
        except Unfilled as error:
            raise UsageError(f"{self.declaration.place(*key)}: {{{error.name}}} has no value.") from error

    def result_for(self, base: str, ref: Ref, head: Head | None) -> Result | None:
        """Return what an answer is read by: of the results with the chosen address, the first for its media type."""
        chosen = self.first_of(base, ref, self.declaration.result)
        if chosen is None or head is None:
            return chosen
        url = chosen.url and chosen.url.text
        same = (one for one in self.declaration.result if (one.url and one.url.text) == url and self._fits(ref, one))
        return next((one for one in same if one.reads(head)), None)

    def build_page(self, base: str, ref: Ref, result: Result, page: str, url: str, *, declared: bool) -> Request:
        """Build the request for another page of a result: by its `{page}` if that is declared, or by a link."""
        try:
            return self._build_page(base, ref, result, page, url, by_token=declared)
        except (UsageError, UnicodeEncodeError) as error:  # the service's own value
            raise self.declaration.bad_reply(str(error), "result", "next") from error

    def _build_page(self, base: str, ref: Ref, result: Result, page: str, url: str, *, by_token: bool) -> Request:
        if by_token and result.url is not None and any(hole.name == "page" for hole in result.holes):
            return self.build(base, ref, result, {"page": page})
        link, kept = without(resolve(url, page), self.secret_parameters), evolve(result, query={})
        if origin(link) != origin(base):
            _ = self._is_elsewhere(base, link, result)
            kept = self._without_secrets(kept)
        lookup = self._lookup(base, ref)
        return build_request(kept, link, lookup, seed=ref.id, set_later=self._every_header)

    def file_address(self, base: str, ref: Ref, files: Files, name: str, url: str) -> str | None:
        """Return the address of the file that the document from `url` names so; None where it is not an HTTP one."""
        if files.link is not None:
            try:
                return address(files.link, self._lookup(base, ref, {"item": name}))
            except (UsageError, UnicodeEncodeError) as error:
                raise self.declaration.bad_reply(str(error), "result", "files", "link") from error
        link = without(resolve(url, name), self.secret_parameters)
        return link if link.startswith(("http://", "https://")) else None

    def build_if_possible(self, base: str, ref: Ref, call: Call | None) -> Request | None:
        """Build a request about a job; None where it is not declared, or the job lacks a variable of it."""
        return None if call is None or not self.can_build(base, ref, call) else self.build(base, ref, call)

    def can_build(self, base: str, ref: Ref, call: Call) -> bool:
        """Tell whether this job has a value for every variable that a call needs."""
        if ref.id and call.by_id:
            return True
        lookup = self._lookup(base, ref)
        return all(lookup(name) is not None for name in call.required)

    def first_of(self, base: str, ref: Ref, calls: tuple[AnyChoice, ...]) -> AnyChoice | None:
        """Return the first of several requests that fits a job and can be built for it."""
        for call in calls:
            if self._fits(ref, call) and self.can_build(base, ref, call):
                return call
        return None

    def _fits(self, ref: Ref, call: Choice) -> bool:
        """Tell whether a job has all links and values that a request `needs`, and none of its `unless`."""
        if not (call.needs or call.unless):
            return True
        lookup = self._lookup("", ref)
        return all(one.holds(lookup) for one in call.needs) and not any(one.holds(lookup) for one in call.unless)

    def _lookup(self, base: str, ref: Ref | None, more: Mapping[str, Any] | None = None) -> Lookup:
        """Make the function that finds variables for one request."""
        values: dict[str, Any] = {"base": base, **self.variables, **(more or {})}
        if ref is not None:
            values["id"] = ref.id or None

        def lookup(name: str) -> Any:
            if name in values:
                return values[name]
            if name.startswith(("input.", "answer.")):
                whole, *names = name.split(".")
                return _member(values.get(whole), names)
            if ref is not None and name.startswith("links."):
                return ref.links.get(name[6:])
            return None if ref is None else ref.links.get(name)

        return lookup

    def _without_secrets(self, call: AnyCall) -> AnyCall:
        """Return what may be sent to another origin of a call: no query and no header with a secret in it."""

        def harmless(templates: Templates) -> Templates:
            return {name: template for name, template in templates.items() if not self._is_secret(template)}

        kept = evolve(call, query=harmless(call.query), headers=harmless(call.headers))
        if any(self._is_secret(template) for _, template in templates_of(kept)):
            key = self.declaration.key_of(call)
            raise self.declaration.bad_reply("the service points to another origin, and a secret would go there.", *key)
        return kept

    def _is_elsewhere(self, base: str, url: str, call: Call) -> bool:
        """Tell whether an address is on another origin; raise `BadReply` where the declaration does not allow it."""
        try:
            there = origin(url)
        except UsageError as error:
            raise self.declaration.bad_reply(error.message, *self.declaration.key_of(call)) from error
        if there == origin(base):
            return False
        if isinstance(call, Upload) and call.at_link:
            return True
        if there not in [origin(allowed) for allowed in self.declaration.origins]:
            named = f"{there[0]}://{there[1]}:{there[2]}"
            raise self.declaration.bad_reply(
                f"the service points to {named}, which is not its own origin. If that is right, "
                f'write origins = ["{named}"] into the declaration.',
                *self.declaration.key_of(call),
                "url",
            )
        return True


def _short(text: str) -> str:
    """Return a text that is kept with a job, or raise `UsageError`: tickets are short, and of one line."""
    if len(text) > LONGEST_KEPT or not text.isprintable():
        raise UsageError(f"What is kept with a job has {LONGEST_KEPT} characters at most, in one line: {text[:40]!r}.")
    return text


def _member(value: Any, names: list[str]) -> Any:
    for name in names:
        value = (as_map(value) or {}).get(name)
    return value


def _with_values(templates: Templates, lookup: Lookup) -> Iterator[tuple[str, str]]:
    """Yield the templates whose variables have values by now, filled."""
    for name, template in templates.items():
        with contextlib.suppress(Unfilled):
            value = template.fill(lookup)
            if value:
                yield name, value
