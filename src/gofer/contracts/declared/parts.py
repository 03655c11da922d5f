"""The tables of a declaration, key by key: `docs/reference/declarations.md` describes the keys.

Every key and every default is here. `declaration.py` puts the tables together; no request is built here, and no reply
is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import ClassVar

from attrs import evolve, field, frozen

from gofer.contracts.declared.selectors import LONGEST, Places
from gofer.contracts.declared.templates import Hole, Lookup, Pattern, Template, templates_in
from gofer.contracts.faults import Key
from gofer.models import State
from gofer.wire import Head

Templates = Mapping[str, Template]


@frozen
class Json:
    """A JSON body whose texts are templates."""

    pattern: Pattern


@frozen
class Variable:
    """A value that the caller may give with `variables=`; a secret one stays out of tickets and must be given."""

    about: str = ""
    default: str | None = None
    secret: bool = False


@frozen
class Every:
    """What every request to the service's own origin carries, and `json` each that has a map as its JSON body.

    An entry without a value is left out.
    """

    query: Templates = field(factory=dict[str, Template])
    headers: Templates = field(factory=dict[str, Template])
    cookies: Templates = field(factory=dict[str, Template])
    json: Mapping[str, Json] = field(factory=dict[str, Json])


@frozen
class Call:
    """One request: it has one body at most."""

    bodies: ClassVar[tuple[str, ...]] = ("json", "form", "multipart", "text", "body")

    default_method: ClassVar[str] = "GET"

    url: Template | None = None
    method: Template | None = None
    query: Templates = field(factory=dict[str, Template])
    headers: Templates = field(factory=dict[str, Template])
    json: Json | None = None
    form: Template | Templates | None = None
    multipart: Templates | None = None
    text: Template | None = None
    body: Template | None = None

    @property
    def holes(self) -> Iterator[Hole]:
        """Every hole of it."""
        return (hole for _, template in templates_of(self) for hole in template.holes)

    @cached_property
    def required(self) -> frozenset[str]:
        """The names of the variables without which it cannot be built."""
        return frozenset(hole.name for hole in self.holes if not hole.optional)

    @cached_property
    def by_id(self) -> bool:
        """Whether it needs nothing of the job except its id."""
        return self.required <= {"base", "id"}

    @cached_property
    def fixed(self) -> Mapping[str, str]:
        """The headers that are the same every time."""
        return {
            name.lower(): template.fill(lambda _: None) or ""
            for name, template in self.headers.items()
            if template.is_text
        }

    @cached_property
    def varied(self) -> Templates:
        """The headers that are not."""
        return {name.lower(): template for name, template in self.headers.items() if not template.is_text}


def templates_of(part: Call | Hold | Every) -> Iterator[tuple[Key, Template]]:
    """Yield every template of a part of a declaration, with its key there."""
    for name in ("url", "method", "query", "headers", "cookies", "form", "multipart", "text", "body", "keep", "sends"):
        value: Template | Templates | None = getattr(part, name, None)
        if isinstance(value, Template):
            yield (name,), value
        elif value is not None:
            yield from (((name, member), template) for member, template in value.items())
    if isinstance(part, Call) and part.json is not None:
        yield from ((("json",), template) for template in templates_in(part.json.pattern))


@frozen
class Upload(Call):
    """A request before the submission, and what of its answer later uploads and the submission use."""

    default_method: ClassVar[str] = "POST"

    links: Mapping[str, Places] = field(factory=dict[str, Places])
    values: Mapping[str, Places] = field(factory=dict[str, Places])

    def __attrs_post_init__(self) -> None:
        if self.method is None and self.body is not None:
            object.__setattr__(self, "method", Template.parse("PUT"))

    @property
    def at_link(self) -> bool:
        """Whether its address is one that the service has named, which may be anywhere."""
        first = self.url.parts[0] if self.url is not None else ""
        return isinstance(first, Hole) and first.name.startswith("links.")

    @property
    def names(self) -> set[str]:
        """The names of its links and values, as templates write them."""
        return {f"links.{name}" for name in self.links} | {f"values.{name}" for name in self.values}


@frozen
class Submit(Call):
    """The submission, and what is read out of its answer."""

    default_method: ClassVar[str] = "POST"

    codes: Mapping[int, str] = field(factory=dict[int, str])
    finished: tuple[int, ...] = ()
    keep: Templates = field(factory=dict[str, Template])
    idempotent: bool | None = None
    keeps_keys: float = 86_400.0
    id: Places = ()
    links: Mapping[str, Places] = field(factory=dict[str, Places])
    values: Mapping[str, Places] = field(factory=dict[str, Places])

    @property
    def sends_key(self) -> bool:
        """Whether the idempotency key is somewhere in it."""
        sent = (template for (part, *_), template in templates_of(self) if part != "keep")
        return any(hole.name == "key" for template in sent for hole in template.holes)


@frozen
class Start(Call):
    """The second request that starts a job, where the service wants one: when its word is one of `when`."""

    default_method: ClassVar[str] = "POST"

    when: tuple[str, ...] = ()


@frozen
class Hold:
    """How the service is asked to hold a status request, and what in an answer proves that it does."""

    query: Templates = field(factory=dict[str, Template])
    headers: Templates = field(factory=dict[str, Template])
    proof: Places = ()


@frozen
class Many(Call):
    """One look at many jobs: at those whose ids are asked for, or at all, page after page."""

    most: int = 100
    under: Places = ()
    id: Places = ()
    next: Places = ()


@frozen
class Condition:
    """A link or a value that a job has; with an expression, one that it matches."""

    name: str
    pattern: re.Pattern[str] | None

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Compile `values.x` or `values.x ~ ^expression$`, or raise `ValueError`."""
        name, tilde, pattern = text.partition(" ~ ")
        try:
            return cls(name.strip(), re.compile(pattern.strip()) if tilde else None)
        except re.error as error:
            raise ValueError(f"{pattern!r} is no regular expression: {error}") from error

    def __str__(self) -> str:
        return f"{{{self.name}}}" + ("" if self.pattern is None else f" ~ {self.pattern.pattern}")

    def holds(self, lookup: Lookup) -> bool:
        """Tell whether the job has it."""
        value = lookup(self.name)
        if value is None or self.pattern is None:
            return value is not None
        return len(value) <= LONGEST and self.pattern.search(value) is not None


Conditions = tuple[Condition, ...]


@frozen
class Choice(Call):
    """One of several requests: the first that fits a job is sent. `needs` and `unless` name links and values."""

    needs: Conditions = ()
    unless: Conditions = ()


@frozen
class Poll(Choice):
    """A status request. Its `state` and `absent` take the place of those of `[status]`."""

    codes: Mapping[int, str] = field(factory=dict[int, str])
    hold: Hold | None = None
    many: Many | None = None
    state: Places = ()
    absent: str | None = None

    @cached_property
    def held(self) -> Poll:
        """The same request, asking to be held."""
        assert self.hold is not None, "it cannot be held"  # noqa: S101
        return evolve(
            self, query={**self.query, **self.hold.query}, headers={**self.headers, **self.hold.headers}, hold=None
        )


@frozen
class StatusDocument:
    """Where a status document says what."""

    id: Places = ()
    state: Places = ()
    absent: str | None = None
    failed: Places = ()
    cancelled: Places = ()
    succeeded: Places = ()
    question: Places = ()
    progress: Places = ()
    of: float = 1.0
    interval: Places = ()
    interval_of: float = 1.0
    message: Places = ()
    error: Places = ()
    code: Places = ()
    links: Mapping[str, Places] = field(factory=dict[str, Places])
    values: Mapping[str, Places] = field(factory=dict[str, Places])


@frozen
class States:
    """Which of the service's words mean what; `other` says what every other word means."""

    pending: tuple[str, ...] = ()
    running: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    succeeded: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    cancelled: tuple[str, ...] = ()
    other: str | None = None

    def meanings(self) -> Iterator[tuple[str, State]]:
        """Yield every word with what it means."""
        for state in State:
            for word in getattr(self, state.value, ()):
                yield word, state


@frozen
class Files:
    """Where a document lists files: `under` which place, how many levels deep, and what is where in each entry.

    `link` makes the address of an entry in which the service names no more than an id: `{item}` is what `url` found.
    """

    under: Places = ()
    depth: int = 16
    url: Places = ()
    link: Template | None = None
    base64: Places = ()
    text: Places = ()
    name: Places = ()
    size: Places = ()
    format: Places = ()


@frozen
class Result(Choice):
    """The result: the document at `url`, or else the status document; and what in it is the value and the files."""

    type: tuple[str, ...] = ()
    codes: Mapping[int, str] = field(factory=dict[int, str])
    file: bool = False
    failed: Places = ()
    error: Places = ()
    code: Places = ()
    value: Places = ()
    files: tuple[Files, ...] = ()
    next: Places = ()
    pages: Places = ()
    first: int = 1

    def reads(self, head: Head) -> bool:
        """Tell whether it is for an answer of this media type."""
        kind = head.media_type
        return not self.type or any(
            one == kind or (one[-2:] == "/*" and kind.startswith(one[:-1])) for one in self.type
        )

    @property
    def lists(self) -> Iterator[tuple[Key, Files]]:
        """Every list of files with its key, which has a number for one of several."""
        return ((("files", at) if len(self.files) > 1 else ("files",), one) for at, one in enumerate(self.files))

    @cached_property
    def asks(self) -> bool:
        """Whether its value or its failure is read out of a document, so that the answer must be one."""
        return any(place.in_document for place in (*self.value, *self.failed))


@frozen
class Reason(Call):
    """The document that says why a job has failed, where its status does not, or where a text is that says it."""

    error: Places = ()
    code: Places = ()
    link: Places = ()


@frozen
class Cancel(Call):
    """The cancellation."""

    default_method: ClassVar[str] = "DELETE"

    codes: Mapping[int, str] = field(factory=dict[int, str])


@frozen
class Discard(Call):
    """The request that throws a job away once its result was brought."""

    default_method: ClassVar[str] = "DELETE"


@frozen
class Token(Call):
    """The request for a token, where it and its lifetime are in the answer, and the headers that carry it."""

    default_method: ClassVar[str] = "POST"

    token: Places = ()
    life: Places = ()
    sends: Templates = field(factory=lambda: {"authorization": Template.parse("Bearer {token}")})


@frozen
class Answer(Call):
    """What the caller answers to a job that waits for it."""

    default_method: ClassVar[str] = "POST"


@frozen
class Refusal:
    """A kind of refusals, also with a 2xx status: how to tell it, what it means, and where its message and code are."""

    when: Places = ()
    codes: tuple[int, ...] = ()
    words: tuple[str, ...] = ()
    on: tuple[str, ...] = ()
    means: str = "rejected"
    message: Places = ()
    code: Places = ()


@frozen
class Refusals:
    """Refusals that mean something of their own, by their HTTP codes or the service's own."""

    codes: tuple[int, ...] = ()
    words: tuple[str, ...] = ()

    @cached_property
    def _folded(self) -> frozenset[str]:
        return frozenset(word.casefold() for word in self.words)

    def have(self, status: int, code: str | None) -> bool:
        """Tell whether a refusal is one of these; upper and lower case of its code do not matter."""
        return status in self.codes or (code is not None and code.casefold() in self._folded)
