"""A declaration: a contract as data, read from TOML, checked as a whole before anything is sent.

The attrs classes here are the declaration's shape, key by key; `docs/reference/declarations.md` describes them. What a
declaration means on the wire is `declared.py`'s business. Every fault is a `DeclarationError` with its line and key.
"""

from __future__ import annotations

import difflib
import hashlib
import operator
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Literal

import attrs
import cattrs
from attrs import field, frozen

from gofer.contracts.payload import as_list, as_map, strict_converter
from gofer.contracts.selectors import Places, Selector
from gofer.contracts.templates import Pattern, Template, compiled, templates_in
from gofer.errors import DeclarationError
from gofer.models import State
from gofer.wire import origin

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
        """A short hash of what it says, whatever the comments and the layout."""
        said = repr(sorted(_flat(tomllib.loads(self.text)))).encode()
        return hashlib.sha256(said).hexdigest()[:8]

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

    def nth(self, many: Literal["poll", "result"], at: int) -> tuple[str | int, ...]:
        """Return the key of one of the status requests, or of the results."""
        return (many, at) if len(getattr(self, many)) > 1 else (many,)

    def fault(self, message: str, *key: str | int) -> DeclarationError:
        """Make the error for a fault at this key."""
        return DeclarationError(message, source=self.source, line=line_of(self.text, key), key=_dotted(key))

    def place(self, *key: str | int) -> str:
        """Say where a key is, as in `mine.toml:12: status.state`."""
        return f"{self.source}:{line_of(self.text, key)}: {_dotted(key)}"


def parse(text: str, source: str) -> Declaration:
    """Read a declaration from TOML and check it; `source` is the file's name, for errors.

    Raises:
        DeclarationError: it is no TOML, or something in it is wrong; names the line and the key.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"line (\d+)", str(error))
        raise DeclarationError(f"It is no TOML: {error}", source=source, line=int(at[1]) if at else None) from error
    for many in ("poll", "result"):
        if isinstance(raw.get(many), dict):
            raw[many] = [raw[many]]
    for name in ("source", "text"):
        if name in raw:
            raise DeclarationError(f"unknown key {name!r}", source=source, line=line_of(text, (name,)), key=name)
    try:
        declaration = _converter.structure({**raw, "source": source, "text": text}, Declaration)
    except (cattrs.BaseValidationError, KeyError, TypeError, ValueError) as error:
        key, why = _first_fault(error, ())
        shown = tuple(part for part in key if part not in ("default_", "pattern"))
        raise DeclarationError(why, source=source, line=line_of(text, shown), key=_dotted(shown)) from error
    _check(declaration)
    return declaration


# --- the whole, checked ---


_COMMON = {"base"}
_SENT = _COMMON | {"key", "budget", "hold"}
_LATER = _COMMON | {"id", "word"}


def _check(given: Declaration) -> None:
    """Hold the parts against each other."""
    _check_words(given)
    if not given.poll:
        raise given.fault("there must be at least one status request", "poll")
    for at, poll in enumerate(given.poll):
        _check_call(given, poll, _LATER | {"hold"}, given.nth("poll", at))
    for at, result in enumerate(given.result):
        _check_call(given, result, _LATER, given.nth("result", at))
        if result.files is not None and result.files.link is not None:
            _check_names(
                given, result.files.link, _LATER | {"item"}, (*given.nth("result", at), "files", "link"), later=True
            )
    _check_call(given, given.submit, _SENT, ("submit",))
    if given.start is not None:
        _check_call(given, given.start, _LATER, ("start",))
    if given.reason is not None:
        _check_call(given, given.reason, _LATER, ("reason",))
    if given.cancel is not None:
        _check_call(given, given.cancel, _LATER, ("cancel",))
    for part in ("query", "headers", "cookies"):
        for name, template in getattr(given.every, part).items():
            _check_names(given, template, _COMMON, ("every", part, name), later=True)
    if not given.submit.id and not given.submit.links:
        raise given.fault("the answer's job is found by an id or by links; declare one of them", "submit", "id")
    for index, address in enumerate(given.origins):
        try:
            _ = origin(address)
        except ValueError as error:
            raise given.fault(str(error), "origins", index) from error
    if given.grace < 0 or given.status.of <= 0:
        key = ("grace",) if given.grace < 0 else ("status", "of")
        raise given.fault("it must be above 0", *key)


def _check_words(given: Declaration) -> None:
    words = given.words
    if given.states is not None:
        seen: dict[str, State] = {}
        for word, state in given.states.meanings():
            if seen.setdefault(word.casefold(), state) is not state:
                raise given.fault(f"the word {word!r} means {seen[word.casefold()]} too", "states", state.value)
        other = given.states.other
        if other is not None and other not in ("pending", "running", "failed"):
            raise given.fault(f"it is pending, running or failed, not {other!r}", "states", "other")
        if not given.states.succeeded:
            raise given.fault("no word means that the job has succeeded", "states", "succeeded")
    named: list[tuple[str | None, tuple[str | int, ...]]] = [(given.status.absent, ("status", "absent"))]
    named += [(word, ("submit", "codes", str(code))) for code, word in given.submit.codes.items()]
    for at, result in enumerate(given.result):
        where = given.nth("result", at)
        named += [(word, (*where, "codes", str(code))) for code, word in result.codes.items()]
    for at, poll in enumerate(given.poll):
        where = given.nth("poll", at)
        named += [(word, (*where, "codes", str(code))) for code, word in poll.codes.items()]
        named.append((poll.absent, (*where, "absent")))
        if not (poll.state or given.status.state or poll.codes or given.status.failed):
            raise given.fault("nothing says the job's state: declare status.state, or codes here", *where)
    if given.start is not None:
        named += [(wanted, ("start", "when")) for wanted in given.start.when]
    for said, key in named:
        if said is not None and said.casefold() not in words:
            raise given.fault(f"the word {said!r} is not among the states{_meant(said, words)}", *key)


def _check_call(given: Declaration, call: Call, names: set[str], key: tuple[str | int, ...]) -> None:
    if call.url is None and not isinstance(call, Result):
        raise given.fault("it has no url", *key, "url")
    bodies = [name for name in ("json", "form", "multipart", "text") if getattr(call, name) is not None]
    if len(bodies) > 1:
        raise given.fault(f"a request has one body; {' and '.join(bodies)} are two", *key, bodies[1])
    later = key != ("submit",)
    for name in ("url", "method", "text"):
        if (template := getattr(call, name)) is not None:
            _check_names(given, template, names, (*key, name), later=later)
    for part in ("query", "headers", "form", "multipart"):
        found: Template | Templates | None = getattr(call, part)
        for name, template in found.items() if isinstance(found, Mapping) else ():
            _check_names(given, template, names, (*key, part, name), later=later)
        if isinstance(found, Template):
            _check_names(given, found, names, (*key, part), later=later)
    if call.json is not None:
        for template in templates_in(call.json.pattern):
            _check_names(given, template, names, (*key, "json"), later=later)
    if isinstance(call, Poll) and call.hold is not None:
        for part in ("query", "headers"):
            for name, template in getattr(call.hold, part).items():
                _check_names(given, template, names, (*key, "hold", part, name), later=True)


def _check_names(
    given: Declaration, template: Template, names: set[str], key: tuple[str | int, ...], *, later: bool
) -> None:
    known: set[str] = names | set(given.variables) | (given.links if later else set())
    for hole in template.holes:
        if hole.name in known or (not later and re.match(r"input(\.|$)", hole.name)):
            continue
        why = f"{{{hole.name}}} names no variable that is known here{_meant(hole.name, known)}"
        if later and hole.name.startswith("input"):
            why = f"{{{hole.name}}}: the input is only known to the submission; a ticket goes on without it"
        raise given.fault(why, *key)


def _meant(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), 1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(sorted(known))}"


# --- from TOML to classes ---


def _selectors(value: Any, _: Any) -> Places:
    written = [value] if as_list(value) is None else as_list(value)
    if not written or not all(isinstance(one, str) for one in written):
        raise TypeError(f"expected a selector or a list of selectors, got {value!r}")
    return tuple(Selector.parse(one) for one in written)


def _template(value: Any, _: Any) -> Template:
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {type(value).__name__}")
    return Template.parse(value)


def _template_or_map(value: Any, _: Any) -> Template | dict[str, Template]:
    members = as_map(value)
    if members is None:
        return _template(value, Template)
    return {name: _template(inner, Template) for name, inner in members.items()}


def _variable(value: Any, _: Any) -> Variable:
    if isinstance(value, str):
        return Variable(default=value)
    if as_map(value) is None:
        raise TypeError(f"expected its default, or a table, got {type(value).__name__}")
    return _plain.structure(value, Variable)


def _code(value: Any, _: Any) -> int:
    code = int(value) if isinstance(value, str) and value.isdigit() else value
    if not isinstance(code, int) or isinstance(code, bool) or not 100 <= code <= 599:
        raise TypeError(f"expected an HTTP status code, got {value!r}")
    return code


def _codes(value: Any, _: Any) -> dict[int, str]:
    members = as_map(value)
    if members is None:
        raise TypeError(f"expected a table of codes and words, got {type(value).__name__}")
    for word in members.values():
        if not isinstance(word, str):
            raise TypeError(f"expected a word, got {word!r}")
    return {_code(code, int): word for code, word in members.items()}


def _several_codes(value: Any, _: Any) -> tuple[int, ...]:
    return tuple(_code(one, int) for one in as_list(value) or [value])


def _json(value: Any, _: Any) -> Json:
    return Json(compiled(value))


def _words(value: Any, _: Any) -> tuple[str, ...]:
    words = as_list(value) or [value]
    if not all(isinstance(word, str) for word in words):
        raise TypeError(f"expected a word or a list of words, got {value!r}")
    return tuple(words)


_plain = strict_converter(closed=True)
_converter = strict_converter(closed=True)
_hooks: tuple[tuple[Any, Any], ...] = (
    (Places, _selectors),
    (Template, _template),
    (Template | Templates | None, _template_or_map),
    (Variable, _variable),
    (Json, _json),
    (Mapping[int, str], _codes),
    (tuple[int, ...], _several_codes),
    (tuple[str, ...], _words),
)
for _kind, _hook in _hooks:
    _converter.register_structure_hook_func(partial(operator.eq, _kind), _hook)


def _structure_map(value: Any, kind: Any) -> dict[str, Any]:
    members = as_map(value)
    if members is None:
        raise TypeError(f"expected a table, got {type(value).__name__}")
    inner = kind.__args__[1]
    made: dict[str, Any] = {}
    for name, one in members.items():
        try:
            made[name] = _converter.structure(one, inner)
        except (cattrs.BaseValidationError, TypeError, ValueError) as error:
            raise _At(name, error) from error
    return made


class _At(Exception):
    """A fault in a member of a map."""

    def __init__(self, name: str, error: Exception) -> None:
        super().__init__(name)
        self.name, self.error = name, error


def _is_map(kind: Any) -> bool:
    return getattr(kind, "__origin__", None) is Mapping and kind != Mapping[int, str]


_converter.register_structure_hook_func(_is_map, _structure_map)


def _first_fault(error: BaseException, key: tuple[str | int, ...]) -> tuple[tuple[str | int, ...], str]:
    """Walk down to the first leaf of a failed structuring; return its key and its reason."""
    if isinstance(error, _At):
        return _first_fault(error.error, (*key, error.name))
    if isinstance(error, cattrs.ForbiddenExtraKeysError):
        wrong = sorted(error.extra_fields)[0]
        known = [one.name for one in attrs.fields(error.cl) if one.name not in ("source", "text")]
        return (*key, wrong), f"unknown key{_meant(wrong, known)}"
    if isinstance(error, cattrs.BaseValidationError):
        # a misspelt key is both unknown and missing; the first tells more
        unknown = [one for one in error.exceptions if isinstance(one, cattrs.ForbiddenExtraKeysError)]
        inner = unknown[0] if unknown else error.exceptions[0]
        for note in getattr(inner, "__notes__", ()):
            if isinstance(note, cattrs.AttributeValidationNote):
                return _first_fault(inner, (*key, note.name))
            if isinstance(note, cattrs.IterableValidationNote):
                return _first_fault(inner, (*key, note.index))
        return _first_fault(inner, key)
    if isinstance(error, KeyError):
        return key, "it is missing"
    return key, str(error)


# --- where a key is ---


def _dotted(key: tuple[str | int, ...]) -> str:
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else part)
    return text


_HEADER = re.compile(r"\s*(\[\[?)\s*([^\]\[]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")


def line_of(text: str, key: tuple[str | int, ...]) -> int | None:
    """Return the line, from 1, on which a key of a TOML text is, or else the nearest thing around it.

    tomllib tells no positions. A line inside a longer text that looks like a key may mislead this; it is for messages.
    """
    best, line = 0, None
    table: tuple[str | int, ...] = ()
    tables: dict[tuple[str | int, ...], int] = {}
    wanted = tuple(part for part in key if part != 0)
    for number, content in enumerate(text.splitlines(), 1):
        header, named = _HEADER.match(content), _KEY.match(content)
        if header is not None:
            table = _parts(header[2])
            if header[1] == "[[":
                tables[table] = tables.get(table, -1) + 1
                table = (*table, tables[table]) if tables[table] else table
            here = table
        elif named is not None:
            here = (*table, *_parts(named[1]))
        else:
            continue
        if len(here) > best and here == wanted[: len(here)]:
            best, line = len(here), number
    return line


def _parts(dotted: str) -> tuple[str | int, ...]:
    return tuple(part.strip().strip("\"'") for part in re.findall(r"""\s*("[^"]*"|'[^']*'|[^.]+)""", dotted))


def _flat(value: Any, key: str = "") -> Iterator[str]:
    members, items = as_map(value), as_list(value)
    if members is None and items is None:
        yield f"{key}={value!r}"
    for name, inner in (members or {}).items():
        yield from _flat(inner, f"{key}/{name}")
    for at, inner in enumerate(items or ()):
        yield from _flat(inner, f"{key}/{at}")
