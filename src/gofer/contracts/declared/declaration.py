"""A declaration: a contract as data. These classes are its shape, key by key.

`docs/reference/declarations.md` describes the keys. `toml.py` reads a declaration, `checks.py` sees whether it makes
sense, `declared.py` sends what it says and `answers.py` reads what comes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Literal

from attrs import evolve, field, frozen

from gofer.contracts.declared.positions import Key, dotted, line_of
from gofer.contracts.declared.selectors import Places
from gofer.contracts.declared.templates import Hole, Pattern, Template, templates_in
from gofer.errors import DeclarationError
from gofer.models import State

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
    """What every request to the service's own origin carries; an entry without a value is left out."""

    query: Templates = field(factory=dict[str, Template])
    headers: Templates = field(factory=dict[str, Template])
    cookies: Templates = field(factory=dict[str, Template])


@frozen
class Call:
    """One request: at most one of `json`, `form`, `multipart` and `text` is its body."""

    url: Template | None = None
    method: Template | None = None
    query: Templates = field(factory=dict[str, Template])
    headers: Templates = field(factory=dict[str, Template])
    json: Json | None = None
    form: Template | Templates | None = None
    multipart: Templates | None = None
    text: Template | None = None

    @property
    def holes(self) -> Iterator[Hole]:
        """Every hole of it."""
        templates = [one for one in (self.url, self.method, self.text) if one is not None]
        templates += [*self.query.values(), *self.headers.values()]
        templates += templates_in(self.json.pattern if self.json else None)
        for part in (self.form, self.multipart):
            templates += [part] if isinstance(part, Template) else (part or {}).values()
        return (hole for template in templates for hole in template.holes)

    @cached_property
    def needs(self) -> frozenset[str]:
        """The names of what must be known before it can be built."""
        return frozenset(hole.name for hole in self.holes if not hole.optional)

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


@frozen
class Submit(Call):
    """The submission, and what its answer tells."""

    codes: Mapping[int, str] = field(factory=dict[int, str])
    finished: tuple[int, ...] = ()
    idempotent: bool = False
    id: Places = ()
    links: Mapping[str, Places] = field(factory=dict[str, Places])
    values: Mapping[str, Places] = field(factory=dict[str, Places])


@frozen
class Start(Call):
    """The second request that starts a job, where the service wants one: when its word is one of `when`."""

    when: tuple[str, ...] = ()


@frozen
class Hold:
    """How the service is asked to hold a status request, and what in an answer proves that it does."""

    query: Templates = field(factory=dict[str, Template])
    headers: Templates = field(factory=dict[str, Template])
    proof: Places = ()


@frozen
class Poll(Call):
    """A status request. `state` and `absent` go before those of `[status]`."""

    codes: Mapping[int, str] = field(factory=dict[int, str])
    hold: Hold | None = None
    state: Places = ()
    absent: str | None = None

    @cached_property
    def by_id(self) -> bool:
        """Whether it needs nothing of the job but its id."""
        return self.needs <= {"base", "id"}

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
    progress: Places = ()
    of: float = 1.0
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
    name: Places = ()
    size: Places = ()
    format: Places = ()


@frozen
class Result(Call):
    """The result: the document at `url`, or else the status document; and what in it is the value and the files."""

    codes: Mapping[int, str] = field(factory=dict[int, str])
    file: bool = False
    failed: Places = ()
    error: Places = ()
    code: Places = ()
    value: Places = ()
    files: Files | None = None

    @cached_property
    def asks(self) -> bool:
        """Whether its value or its failure is read out of the document, so that the answer must be one."""
        return any(place.in_document for place in (*self.value, *self.failed))


@frozen
class Reason(Call):
    """The document that says why a job has failed, where its status does not."""

    error: Places = ()
    code: Places = ()


@frozen
class Refusal:
    """A refusal that comes with a 2xx status: what gives it away, and where it says what."""

    when: Places
    message: Places = ()
    code: Places = ()


@frozen
class Declaration:
    """A contract as data."""

    name: str
    submit: Submit
    poll: tuple[Poll, ...]
    about: str = ""
    docs: str = ""
    origins: tuple[str, ...] = ()
    grace: float = 60.0
    variables: Mapping[str, Variable] = field(factory=dict[str, Variable])
    every: Every = field(factory=Every)
    start: Start | None = None
    status: StatusDocument = field(factory=StatusDocument)
    states: States | None = None
    result: tuple[Result, ...] = ()
    reason: Reason | None = None
    cancel: Call | None = None
    refusal: Refusal | None = None
    source: str = field(default="", eq=False)
    text: str = field(default="", eq=False, repr=False)

    @property
    def digest(self) -> str:
        """A short hash of what gives a ticket its meaning: where the job's id, links and values were read.

        Everything else may be mended, and a ticket from before goes on by it.
        """
        submit, status = self.submit, self.status
        places = {"id": submit.id, **submit.links, **submit.values, **status.links, **status.values}
        said = sorted((name, [place.text for place in many]) for name, many in places.items())
        return hashlib.sha256(repr(said).encode()).hexdigest()[:8]

    @property
    def links(self) -> set[str]:
        """The names of every link and value that replies are read for, as templates write them."""
        links = {f"links.{name}" for name in (*self.submit.links, *self.status.links)}
        return links | {f"values.{name}" for name in (*self.submit.values, *self.status.values)}

    @property
    def words(self) -> Mapping[str, State]:
        """Every declared word, case folded, and what it means; without `[states]` the words are gofer's own."""
        if self.states is None:
            return {state.value: state for state in State if state is not State.UNKNOWN}
        return {word.casefold(): state for word, state in self.states.meanings()}

    def nth(self, many: Literal["poll", "result"], at: int) -> Key:
        """Return the key of one of the status requests, or of the results."""
        return (many, at) if len(getattr(self, many)) > 1 else (many,)

    def fault(self, message: str, *key: str | int) -> DeclarationError:
        """Make the error for a fault at this key."""
        return DeclarationError(message, source=self.source, line=line_of(self.text, key), key=dotted(key))

    def place(self, *key: str | int) -> str:
        """Say where a key is, as in `mine.toml:12: status.state`."""
        line = line_of(self.text, key)
        return f"{self.source}{'' if line is None else f':{line}'}: {dotted(key)}"
