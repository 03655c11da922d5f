"""Whether a declaration makes sense as a whole: words, variables, addresses. Its shape is `toml.py`'s to see to."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping

from gofer.contracts.declared.declaration import Call, Declaration, Poll, Result, Templates
from gofer.contracts.declared.positions import Key
from gofer.contracts.declared.templates import Template, templates_in
from gofer.models import State
from gofer.wire import origin

_COMMON = {"base"}
_SENT = _COMMON | {"key", "budget", "hold"}
_LATER = _COMMON | {"id"}
_PERHAPS = {"hold", "word", "budget"}


def check(given: Declaration) -> None:
    """Hold the parts against each other."""
    _check_words(given)
    if not given.poll:
        raise given.fault("there must be at least one status request", "poll")
    for at, poll in enumerate(given.poll):
        _check_call(given, poll, _LATER | {"hold", "word"}, given.nth("poll", at))
    for at, result in enumerate(given.result):
        _check_call(given, result, _LATER, given.nth("result", at))
        if result.file and (result.value or result.failed or result.files):
            raise given.fault(
                "the answer is the file itself, and nothing is read out of it", *given.nth("result", at), "file"
            )
        if result.files is not None and result.files.depth < 0:
            raise given.fault("it is 0 or more", *given.nth("result", at), "files", "depth")
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
            if part != "query":
                _check_header(given, name, template, ("every", part, name))
    if given.submit.idempotent and not any(hole.name == "key" for hole in given.submit.holes):
        raise given.fault("it repeats a lost submission by its key, and no {key} is sent", "submit", "idempotent")
    if not given.submit.id and not given.submit.links:
        raise given.fault("the answer's job is found by an id or by links; declare one of them", "submit", "id")
    if not given.name or not given.name.isprintable():
        raise given.fault("it is empty, or no text", "name")
    for index, address in enumerate(given.origins):
        try:
            _ = origin(address)
        except ValueError as error:
            raise given.fault(str(error), "origins", index) from error
        if not re.fullmatch(r"[a-z]+://[^/?#@]+", address):
            raise given.fault(f"an origin is a scheme, a host and a port, not {address!r}", "origins", index)
    for value, key in ((given.grace, ("grace",)), (given.status.of, ("status", "of"))):
        if not 0 < value < math.inf:
            raise given.fault("it is a number above 0", *key)
    for name, variable in given.variables.items():
        if not re.fullmatch(r"[A-Za-z_][\w-]*", name) or name in _SENT | _LATER | _PERHAPS | {"input", "item"}:
            raise given.fault("a variable has a plain name that is not one of gofer's own", "variables", name)
        if variable.secret and variable.default is not None:
            raise given.fault("a secret has no default", "variables", name)


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
    named: list[tuple[str | None, Key]] = [(given.status.absent, ("status", "absent"))]
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
            raise given.fault(f"the word {said!r} is not among the states{meant(said, words)}", *key)
        if said is not None and key[0] == "start" and words[said.casefold()] is not State.PENDING:
            raise given.fault(f"the word {said!r} does not mean pending, as that of a job before its start does", *key)


def _check_call(given: Declaration, call: Call, names: set[str], key: Key) -> None:
    if call.url is None and not isinstance(call, Result):
        raise given.fault("it has no url", *key, "url")
    bodies = [name for name in ("json", "form", "multipart", "text") if getattr(call, name) is not None]
    if len(bodies) > 1:
        raise given.fault(f"a request has one body; {' and '.join(bodies)} are two", *key, bodies[1])
    if call.url is not None and not re.match(r"\{(base|links\.|[\w-]+\})|https?://", call.url.text):
        raise given.fault("it starts with {base}, with a link, or with http:// or https://", *key, "url")
    if call.method is not None and call.method.is_text and not re.fullmatch("[A-Za-z]+", call.method.text):
        raise given.fault(f"{call.method.text!r} is no HTTP method", *key, "method")
    for name, template in call.headers.items():
        _check_header(given, name, template, (*key, "headers", name))
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


def _check_header(given: Declaration, name: str, template: Template, key: Key) -> None:
    """See that a header or a cookie has a name and a text that may be sent (RFC 9110, section 5)."""
    literal = "".join(part for part in template.parts if isinstance(part, str))
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or not (literal.isascii() and literal.isprintable()):
        raise given.fault("the name or the text has characters that no header may have", *key)


def _check_names(given: Declaration, template: Template, names: set[str], key: Key, *, later: bool) -> None:
    known: set[str] = names | set(given.variables) | (given.links if later else set())
    for hole in template.holes:
        if hole.name in _PERHAPS & known and not hole.optional and key[-2:][0] != "hold" and "hold" not in key:
            raise given.fault(f"there may be no {hole.name}: write {{{hole.name}?}}", *key)
        if hole.optional and key[-1] == "url" and template.sole is None:
            raise given.fault(f"{{{hole.name}?}} may be left out, and an address may not: use query", *key)
        if hole.optional and key[-1] == "text":
            raise given.fault(f"{{{hole.name}?}} may be left out, and the whole text would be", *key)
        if hole.name in known or (not later and re.match(r"input(\.|$)", hole.name)):
            continue
        why = f"{{{hole.name}}} names no variable that is known here{meant(hole.name, known)}"
        if later and hole.name.startswith("input"):
            why = f"{{{hole.name}}}: the input is only known to the submission; a ticket goes on without it"
        raise given.fault(why, *key)


def meant(word: str, known: Iterable[str]) -> str:
    """Say what a mistaken word may have been meant to be."""
    close = difflib.get_close_matches(word, list(known), 1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(sorted(known))}"
