"""Whether a declaration makes sense as a whole: words, variables, addresses. Its shape is `toml.py`'s to see to."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

from gofer.contracts.declaration import Call, Declaration, Poll, Result, Templates
from gofer.contracts.positions import Key
from gofer.contracts.templates import Template, templates_in
from gofer.models import State
from gofer.wire import origin

_COMMON = {"base"}
_SENT = _COMMON | {"key", "budget", "hold"}
_LATER = _COMMON | {"id", "word"}


def check(given: Declaration) -> None:
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


def _check_call(given: Declaration, call: Call, names: set[str], key: Key) -> None:
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


def _check_names(given: Declaration, template: Template, names: set[str], key: Key, *, later: bool) -> None:
    known: set[str] = names | set(given.variables) | (given.links if later else set())
    for hole in template.holes:
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
