"""What must hold in a declaration beyond its shape: `RULES`, a table from which the documentation is made too.

Each rule says which parts of a declaration it is about, when one of them breaks it, and the words of the error. The
shape itself, which keys there are and of which types, is checked by `toml.py`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterator
from typing import Any, TypeVar

from attrs import frozen

from gofer.contracts.declared.declaration import Declaration
from gofer.contracts.declared.parts import (
    Choice,
    Conditions,
    Files,
    Many,
    Poll,
    Refusal,
    Result,
    StatusDocument,
    Variable,
)
from gofer.contracts.declared.refusals import MEANINGS
from gofer.contracts.declared.templates import Template
from gofer.contracts.declared.variables import OWN, allowed
from gofer.contracts.faults import Key
from gofer.contracts.spelling import hint
from gofer.errors import UsageError
from gofer.models import State
from gofer.wire import origin

Part = TypeVar("Part")
Parts = Iterator[tuple[Key, Part]]
"""Parts of a declaration, each with its key."""


@frozen
class Rule:
    """One rule.

    Attributes:
        where: the place in a declaration, as the documentation names it.
        words: the error, a format string into which a part that breaks the rule is filled as {0}.
        breaks: finds the parts of a declaration that break the rule, each with the key that the error names.
    """

    where: str
    words: str
    breaks: Callable[[Declaration], Parts[Any]]


def _rule(
    where: str,
    parts: Callable[[Declaration], Parts[Part]],
    broken: Callable[[Part], object],
    words: str,
    at: Key = (),
) -> Rule:
    """Make a rule about some parts of a declaration; `at` is added to a part's key."""
    return Rule(where, words, lambda declaration: (((*key, *at), it) for key, it in parts(declaration) if broken(it)))


def check(declaration: Declaration) -> None:
    """Raise `DeclarationError` for the first rule in the table that a declaration breaks."""
    for rule in RULES:
        for key, part in rule.breaks(declaration):
            raise declaration.fault(rule.words.format(part), *key)


# --- the parts ---


@frozen
class Word:
    """A word for a state: what the declaration says that it means, and what it must mean where it stands."""

    text: str
    meaning: State | None
    expected: State | None
    words: Collection[str]

    @property
    def hint(self) -> str:
        """What it was probably meant to be."""
        return hint(self.text, self.words)


@frozen
class Use:
    """A variable in a template.

    Attributes:
        name: the variable's name.
        optional: whether it is written with a `?`.
        place: one of those in `variables.OWN`.
        part: where the template is there, as in "url" or "headers".
        alone: whether the template is nothing but this variable.
        names: the variables that may be there.
    """

    name: str
    optional: bool
    place: str
    part: str
    alone: bool
    names: Collection[str]

    @property
    def may_lack(self) -> bool:
        """Whether it may have no value there."""
        return self.name in OWN and OWN[self.name].may_lack(self.place)

    @property
    def is_input(self) -> bool:
        """Whether it is the input or a member of it."""
        return self.name.partition(".")[0] == "input"

    @property
    def is_there(self) -> bool:
        """Whether it is a variable of this place, or a member of the caller's answer."""
        return self.name in self.names or (self.name.startswith("answer.") and "answer" in self.names)

    @property
    def hint(self) -> str:
        """What it was probably meant to be."""
        return hint(self.name, self.names)


def _bodies(declaration: Declaration) -> Parts[list[str]]:
    """Yield the bodies that each request has; the key is that of the second one, if there is one."""
    for key, call in declaration.calls():
        bodies = [name for name in call.bodies if getattr(call, name) is not None]
        yield (*key, *bodies[1:2]), bodies


def _itself(declaration: Declaration) -> Parts[Declaration]:
    yield (), declaration


def _polls(declaration: Declaration) -> Parts[tuple[StatusDocument, Poll]]:
    return ((key, (declaration.status, call)) for key, call in declaration.calls() if isinstance(call, Poll))


def _many(declaration: Declaration) -> Parts[Many]:
    if declaration.many is not None:
        yield declaration.many


def _results(declaration: Declaration) -> Parts[Result]:
    return ((key, call) for key, call in declaration.calls() if isinstance(call, Result))


def _conditions(declaration: Declaration) -> Parts[tuple[str, Collection[str]]]:
    """Yield every name in `needs` and `unless`, with those that there are."""
    for key, call in declaration.calls():
        for part in ("needs", "unless"):
            conditions: Conditions = getattr(call, part) if isinstance(call, Choice) else ()
            yield from (((*key, part), (one.name, declaration.links)) for one in conditions)


def _refusals(declaration: Declaration) -> Parts[Refusal]:
    many = len(declaration.refusal) > 1
    return ((("refusal", at) if many else ("refusal",), one) for at, one in enumerate(declaration.refusal))


def _kept_secrets(declaration: Declaration) -> Parts[str]:
    for name, template in declaration.submit.keep.items():
        for hole in template.holes:
            secret = hole.name in declaration.variables and declaration.variables[hole.name].secret
            yield ("submit", "keep", name), hole.name if secret else ""


def _files(declaration: Declaration) -> Parts[Files]:
    for key, result in _results(declaration):
        yield from (((*key, *at), files) for at, files in result.lists)


def _origins(declaration: Declaration) -> Parts[str]:
    return ((("origins", at), text) for at, text in enumerate(declaration.origins))


def _variables(declaration: Declaration) -> Parts[tuple[str, Variable]]:
    return ((("variables", name), (name, variable)) for name, variable in declaration.variables.items())


def _word(declaration: Declaration, text: str, expected: State | None = None) -> Word:
    return Word(text, declaration.words.get(text.casefold()), expected, declaration.words)


def _state_words(declaration: Declaration) -> Parts[Word]:
    for text, state in declaration.states.meanings() if declaration.states else ():
        yield ("states", state.value), _word(declaration, text, state)


def _start_words(declaration: Declaration) -> Parts[Word]:
    for text in declaration.start.when if declaration.start else ():
        yield ("start", "when"), _word(declaration, text, State.PENDING)


def _used_words(declaration: Declaration) -> Parts[Word]:
    for key, part in ((("status",), declaration.status), *declaration.calls()):
        codes: dict[int, str] = getattr(part, "codes", {})
        words = [((*key, "codes", str(code)), text) for code, text in codes.items()]
        for place, text in (*words, ((*key, "absent"), getattr(part, "absent", None))):
            if text is not None:
                yield place, _word(declaration, text)
    yield from _start_words(declaration)


def _uses(declaration: Declaration) -> Parts[Use]:
    for key, place, part, template in declaration.templates():
        names = allowed(declaration, place, key)
        for hole in template.holes:
            yield key, Use(hole.name, hole.optional, place, part, template.sole is hole, names)


def _fields(declaration: Declaration) -> Parts[tuple[str, Template]]:
    """Yield every header and cookie, each with its name."""
    for key, _, part, template in declaration.templates():
        if part in ("headers", "cookies"):
            yield key, (str(key[-1]), template)


# --- when they are wrong ---


_START = r"\{\+?(base|links\.|values\.|input\.|[\w-]+\})|https?://"
"""How an address starts: with `{base}`, with a link, with a variable or a member of the input, or as one."""


def _is_origin(text: str) -> bool:
    try:
        origin(text)
    except UsageError:
        return False
    return re.fullmatch(r"[a-z]+://[^/?#@]+", text) is not None


def _can_be_sent(field: tuple[str, Template]) -> bool:
    """Tell whether a header's name and text have only characters that may be sent (RFC 9110, section 5)."""
    name, template = field
    text = "".join(part for part in template.parts if isinstance(part, str))
    named = re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name)
    return named is not None and text.isascii() and text.isprintable()


# fmt: off
RULES: tuple[Rule, ...] = (
    _rule("name", _itself, lambda it: not it.name or not it.name.isprintable(),
          "it is empty, or has characters that cannot be printed", ("name",)),
    _rule("origins", _origins, lambda text: not _is_origin(text),
          "an origin is a scheme, a host and a port, as in https://files.example.org, not {0!r}"),
    _rule("grace", _itself, lambda it: not 0 < it.grace < math.inf, "it must be a number above 0", ("grace",)),
    _rule("variables", _variables, lambda it: not re.fullmatch(r"[A-Za-z_][\w-]*", it[0]) or it[0] in {*OWN, "input"},
          "a variable has a plain name that is not one of gofer's own"),
    _rule("variables", _variables, lambda it: it[1].secret and it[1].default is not None, "a secret has no default"),

    _rule("states", _state_words, lambda word: word.meaning is not word.expected,
          "the word {0.text!r} means {0.meaning} too"),
    _rule("states.succeeded", _itself, lambda it: it.states and not it.states.succeeded,
          "no word means that the job has succeeded", ("states", "succeeded")),
    _rule("states.other", _itself,
          lambda it: it.states and it.states.other not in (None, "pending", "running", "failed"),
          "it is pending, running or failed, not {0.states.other!r}", ("states", "other")),
    _rule("codes, absent, start.when", _used_words, lambda word: word.meaning is None,
          "the word {0.text!r} is not among the states.{0.hint}"),
    _rule("start.when", _start_words, lambda word: word.meaning is not word.expected,
          "the word {0.text!r} does not mean pending, and a job before its start is pending"),
    _rule("status.of", _itself, lambda it: not 0 < it.status.of < math.inf, "it must be a number above 0",
          ("status", "of")),
    _rule("status.interval_of", _itself, lambda it: not 0 < it.status.interval_of < math.inf,
          "it must be a number above 0", ("status", "interval_of")),
    _rule("states.waiting", _itself, lambda it: it.states and it.states.waiting and it.answer is None,
          "a job that waits for its caller needs an [answer]", ("states", "waiting")),

    _rule("refusal", _refusals, lambda it: not (it.when or it.codes or it.words),
          "nothing says which answers it is: declare when, codes or words"),
    _rule("refusal.means", _refusals, lambda it: it.means not in MEANINGS,
          "it is one of rejected, missing, exists, later and ended, not {0.means!r}", ("means",)),
    _rule("refusal.on", _refusals,
          lambda it: not {"upload", "submit", "poll", "result", "cancel", "answer"}.issuperset(it.on),
          "it lists some of upload, submit, poll, result, cancel and answer", ("on",)),
    _rule("later.codes", _itself, lambda it: any(code < 400 for code in it.later.codes),
          "a refusal has a code of 400 or more", ("later", "codes")),
    _rule("unauthorized.codes", _itself, lambda it: any(code < 400 for code in it.unauthorized.codes),
          "a refusal has a code of 400 or more", ("unauthorized", "codes")),

    _rule("poll", _itself, lambda it: not it.poll, "there must be at least one status request", ("poll",)),
    _rule("poll", _polls, lambda it: not (it[0].state or it[0].failed or it[0].succeeded or it[1].state or it[1].codes),
          "nothing says the job's state: declare status.state, or codes here"),
    _rule("poll.many", _many, lambda many: many.url is None, "it has no url", ("url",)),
    _rule("poll.many", _many, lambda many: not many.id, "nothing says which job an entry is: declare its id", ("id",)),
    _rule("poll.many", _many, lambda many: many.most < 1, "it must be 1 or more", ("most",)),
    _rule("submit", _itself, lambda it: not it.submit.id and not it.submit.links,
          "the job is found by an id or by links: declare one of them", ("submit", "id")),
    _rule("token.token", _itself, lambda it: it.token and not it.token.token,
          "nothing says where the token is in the answer", ("token", "token")),
    _rule("submit.idempotent", _itself,
          lambda it: it.submit.idempotent and not it.submit.sends_key,
          "a lost submission is repeated by its key, and no {{key}} is sent", ("submit", "idempotent")),
    _rule("submit.keeps_keys", _itself, lambda it: not 0 < it.submit.keeps_keys < math.inf,
          "it must be a number above 0", ("submit", "keeps_keys")),
    _rule("submit.keep", _kept_secrets, lambda it: it, "a secret is not kept: {{{0}}} would be in tickets"),
    _rule("needs, unless", _conditions, lambda it: it[0] not in it[1],
          "{0[0]!r} is neither links.NAME nor values.NAME of a link or value that is kept"),
    _rule("result.file", _results, lambda result: result.file and (result.value or result.failed or result.files),
          "the answer is the file itself, and nothing is read out of it", ("file",)),
    _rule("result.files.depth", _files, lambda files: files.depth < 0, "it must be 0 or more", ("depth",)),

    _rule("every request", Declaration.calls, lambda call: call.url is None and not isinstance(call, Result),
          "it has no url", ("url",)),
    _rule("every request", Declaration.calls, lambda call: call.url and not re.match(_START, call.url.text),
          "an address starts with {{base}}, a link, a variable, http:// or https://", ("url",)),
    _rule("every request", Declaration.calls,
          lambda call: call.method and call.method.is_text and not re.fullmatch("[A-Za-z]+", call.method.text),
          "{0.method.text!r} is no HTTP method", ("method",)),
    _rule("every request", _bodies, lambda bodies: len(bodies) > 1,
          "a request has one body; {0[0]} and {0[1]} are two"),
    _rule("headers, cookies", _fields, lambda field: not _can_be_sent(field),
          "the name or the text has characters that no header may have"),

    _rule("every template", _uses, lambda use: use.is_input and use.place not in ("upload", "submit"),
          "{{{0.name}}}: only the submission has the input, since a ticket does not keep it"),
    _rule("every template", _uses, lambda use: not use.is_input and not use.is_there,
          "{{{0.name}}} is no variable here.{0.hint}"),
    _rule("token", _uses, lambda use: use.name == "token" and use.part != "sends",
          "{{token}} is there once the request was answered: only sends has it"),
    _rule("every template", _uses, lambda use: use.may_lack and not use.optional,
          "{{{0.name}}} may have no value here: write {{{0.name}?}}"),
    _rule("url", _uses, lambda use: use.optional and use.part == "url" and not use.alone,
          "{{{0.name}?}} may have no value, and an address cannot be left out: use query"),
    _rule("text", _uses, lambda use: use.optional and use.part == "text",
          "{{{0.name}?}} may have no value, and all of the text would be left out"),
)
# fmt: on
