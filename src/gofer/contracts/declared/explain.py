"""A declaration in words, for the person who writes one: what it sends and what it reads, section by section."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gofer.contracts.declared.declaration import Declaration
from gofer.contracts.declared.drawing import drawing
from gofer.contracts.declared.inputs import needs
from gofer.contracts.declared.layout import WIDTH, Lines, Row, row_lines, section
from gofer.contracts.declared.parts import Call, Choice, Files, Poll, Result, Templates
from gofer.contracts.declared.selectors import Places, Selector
from gofer.contracts.declared.templates import Pattern, Template
from gofer.contracts.declared.variables import OWN
from gofer.contracts.payload import as_list, as_map
from gofer.models import State

Rows = Iterator[Row]

_ANY_INPUT = "whatever the service takes: all of it is sent"


def explained(declaration: Declaration) -> Lines:
    """Say all that a declaration declares."""
    about = declaration.about or "it does not say what it is for"
    yield from textwrap.wrap(f"{declaration.name}: {about}", WIDTH)
    yield from row_lines("docs", [declaration.docs])
    yield from row_lines("in tickets", [f"{declaration.name}@{declaration.digest}"])
    yield ""
    yield from drawing(declaration)
    yield from section("input", _input(declaration))
    yield from section("variables", _variables(declaration))
    yield from section("every request", _every(declaration))
    for at, upload in enumerate(declaration.upload):
        found = _found(_kept(upload.links, upload.values))
        yield from section(f"upload {at + 1}, before the submission", (*_sent(upload), *found))
    yield from section("submit", _submit(declaration))
    if declaration.start is not None:
        when = _listed(declaration.start.when)
        yield from section(f"start, after a {f'word of {when}' if when else 'pending word'}", _sent(declaration.start))
    for at, poll in enumerate(declaration.poll):
        yield from section(_title("poll", poll, at, len(declaration.poll)), _poll(poll))
    yield from section("status document", _status(declaration))
    yield from section("words", _words(declaration))
    for at, result in enumerate(declaration.result):
        yield from section(_title("result", result, at, len(declaration.result)), _result(result))
    if (reason := declaration.reason) is not None:
        found = _found({"error": reason.error, "code": reason.code, "text at": reason.link})
        yield from section("reason, where a job has failed", [*_sent(reason), *found])
    cancel = declaration.cancel
    yield from section("cancel", [*_sent(cancel), *_codes(cancel.codes)] if cancel else [("sends", ["nothing"])])
    if declaration.answer is not None:
        yield from section("answer, where a job waits for its caller", _sent(declaration.answer))
    if declaration.discard is not None:
        yield from section("discard, if the client wants it", _sent(declaration.discard))
    if (token := declaration.token) is not None:
        found = _found({"token": token.token, "seconds": token.life})
        yield from section("token", [*_sent(token), *found, ("sent as", _pairs(token.sends))])
    for refusal in declaration.refusal:
        found = _found({"refused, if": refusal.when, "words": refusal.message, "code": refusal.code})
        rows = [("codes", [_listed(map(str, refusal.codes))]), ("its codes", [_listed(refusal.words)])]
        on = f", in answers to {_listed(refusal.on)}" if refusal.on else ""
        yield from section(f"refusals that mean {refusal.means}{on}", [*rows, *found])
    for title, these in (("refusals for now", declaration.later), ("refused credentials", declaration.unauthorized)):
        rows = [("codes", [_listed(map(str, these.codes))]), ("words", [_listed(these.words)])]
        yield from section(title, rows)
    yield from section("in the templates", _legend(declaration))


# --- sections ---


def _title(name: str, call: Choice, at: int, of: int) -> str:
    """Name a call; one of several with what decides that it is the one that is made."""
    if of == 1:
        return name
    holes = () if call.url is None else call.url.holes
    names = [hole.name for hole in holes if hole.name.startswith(("links.", "values."))]
    wanted = [*dict.fromkeys([*(f"{{{one}}}" for one in names), *map(str, call.needs)])]
    wanted += [f"no {one}" for one in call.unless]
    return f"{name} {at + 1}, " + (f"where there is {' and '.join(wanted)}" if wanted else "else")


def _input(declaration: Declaration) -> Rows:
    must, may = needs(declaration)
    yield "must have", [_listed(name or _ANY_INPUT for name in must)]
    yield "may have", [_listed(name or _ANY_INPUT for name in may)]
    yield "", [] if must or may else ["nothing of it is sent"]


def _variables(declaration: Declaration) -> Rows:
    for name, variable in declaration.variables.items():
        default = "must be given" if variable.default is None else f"by default {variable.default!r}"
        yield name, ["; ".join(filter(None, (variable.about, "secret" if variable.secret else "", default)))]


def _every(declaration: Declaration) -> Rows:
    yield "query", _pairs(declaration.every.query, "=")
    yield "headers", _pairs(declaration.every.headers)
    yield "cookies", _pairs(declaration.every.cookies, "=")
    yield "in each JSON body", [", ".join(declaration.every.json)]
    yield "origins", [f"its own, and {_listed(declaration.origins)}"] if declaration.origins else []


def _submit(declaration: Declaration) -> Rows:
    submit = declaration.submit
    yield from _sent(submit)
    yield from _found({"id": submit.id} | _kept(submit.links, submit.values))
    yield "kept", _pairs(submit.keep, "=")
    yield from _codes(submit.codes)
    codes = _listed(submit.finished)
    yield "finished", [f"{codes}, where it names no job: the answer is the result"] if codes else []
    kept = f"the same key gives the same job, for {submit.keeps_keys / 3600:g} h"
    repeats = kept if submit.idempotent else "never where it might make a second job"
    if submit.idempotent is None and submit.method is not None:
        repeats += ", which PUT and DELETE do not"
    yield "sent again", [repeats]


def _poll(poll: Poll) -> Rows:
    yield from _sent(poll)
    if (hold := poll.hold) is not None:
        yield "to be held", [*_pairs(hold.query, "="), *_pairs(hold.headers)]
        yield "was held, if", [in_words(hold.proof) or "the answer took its time"]
    if (many := poll.many) is not None and many.url is not None:
        yield "many at once", [f"{many.url.text}, up to {many.most} ids"]
        yield from _found({"  in it": many.under, "  their ids": many.id, "  next page": many.next})
    yield from _codes(poll.codes)
    yield from _found({"word": poll.state})
    yield from _absent(poll.absent)


def _status(declaration: Declaration) -> Rows:
    status = declaration.status
    yield from _found({"word": status.state})
    yield from _absent(status.absent)
    of = f", of {status.of:g}" if status.of != 1 and status.progress else ""
    yield from _found({"failed, if": status.failed, "cancelled, if": status.cancelled})
    yield from _found({"succeeded, if": status.succeeded, "question": status.question})
    yield "progress", [in_words(status.progress) + of]
    of = f", {status.interval_of:g} for a second" if status.interval_of != 1 and status.interval else ""
    yield "asks again", [in_words(status.interval) + of]
    yield from _found({"message": status.message, "error": status.error, "code": status.code, "its id": status.id})
    yield from _found(_kept(status.links, status.values))


def _words(declaration: Declaration) -> Rows:
    if (states := declaration.states) is None:
        yield "", ["gofer's own: pending, running, succeeded, failed, cancelled"]
        return
    yield from ((state.value, [_listed(getattr(states, state.value, ()))]) for state in State)
    yield "any other", [f"is {states.other}" if states.other else f"is an error after {declaration.grace:g} s of it"]


def _result(result: Result) -> Rows:
    yield from _sent(result)
    yield "for types", [_listed(result.type)]
    yield from _codes(result.codes)
    yield from _found({"failed, if": result.failed, "error": result.error, "code": result.code})
    if not result.file:
        yield "value", [in_words(result.value) or "the whole document"]
        yield "files", [_files(one) for one in result.files]
        yield "pages", [in_words(result.pages) + (f", from {result.first}" if result.pages else "")]
        yield from _found({"next page": result.next})
    if result.file or result.url is not None:
        yield "file", ["the answer is it, " + ("whatever its type" if result.file else "where it is no document")]


def _files(files: Files) -> str:
    under, address = in_words(files.under) or "the whole document", in_words(files.url) or "its text"
    facts = {"content": (*files.base64, *files.text), "name": files.name, "size": files.size, "format": files.format}
    link = f", made into {files.link.text}" if files.link is not None else ""
    more = "".join(f"; {name}: {in_words(places)}" for name, places in facts.items() if places)
    return f"under {under}, {files.depth} deep: what has an address at {address}{link}{more}"


def _legend(declaration: Declaration) -> Rows:
    holes = [hole for *_, template in declaration.templates() for hole in template.holes]
    used = {hole.name for hole in holes}
    yield from ((f"{{{name}}}", [own.meaning]) for name, own in OWN.items() if name in used)
    yield "{+...}", ["signs such as / stay as they are"] if any(hole.reserved for hole in holes) else []
    each = "one part for each member of a map, whose key is the file's name"
    yield "{...*}", [each] if any(hole.each for hole in holes) else []
    left_out = "what holds it is left out where there is no value"
    yield "{...?}", [left_out] if any(hole.optional for hole in holes) else []


# --- rows ---


def _sent(call: Call) -> Rows:
    if call.url is None:
        yield "sends", ["nothing: it is in the last answer"]
        return
    method = call.default_method if call.method is None else call.method.text
    if call.method is not None and any(hole.optional for hole in call.method.holes):
        method = f"{method} (else {call.default_method})"
    yield "sends", [f"{method} {call.url.text}"]
    yield "query", _pairs(call.query, "=")
    yield "headers", _pairs(call.headers)
    if call.json is not None:
        yield "json", json.dumps(_as_written(call.json.pattern), indent=2).split("\n")
    if isinstance(call.form, Template):
        yield "form", [f"the members of {call.form.text}"]
    elif call.form is not None:
        yield "form", _pairs(call.form, "=")
    yield "multipart", _pairs(call.multipart or {}, "=")
    yield "text", [] if call.text is None else call.text.text.strip("\n").split("\n")
    yield "body", [] if call.body is None else [call.body.text]


def _as_written(pattern: Pattern) -> Any:
    """Turn a compiled value back into what was written."""
    if isinstance(pattern, Template):
        return pattern.text
    members, items = as_map(pattern), as_list(pattern)
    if members is not None:
        return {name: _as_written(inner) for name, inner in members.items()}
    return pattern if items is None else [_as_written(inner) for inner in items]


def _pairs(templates: Templates, between: str = ": ") -> list[str]:
    return [f"{name}{between}{template.text}" for name, template in templates.items()]


def _found(places_by_label: Mapping[str, Places]) -> Rows:
    return ((label, [in_words(places)]) for label, places in places_by_label.items())


def _kept(links: Mapping[str, Places], values: Mapping[str, Places]) -> dict[str, Places]:
    """Return where the links and values are that later addresses may need, with the names that templates use."""
    return {f"links.{name}": links[name] for name in links} | {f"values.{name}": values[name] for name in values}


def _codes(codes: Mapping[int, str]) -> Rows:
    yield "codes", [f"{code} is {word}" for code, word in codes.items()]


def _absent(word: str | None) -> Rows:
    yield "no word", [] if word is None else [f"is {word}"]


def _listed(words: Iterable[object]) -> str:
    return ", ".join(map(str, words))


def in_words(places: Places) -> str:
    """Say where a value is read."""
    return ", else ".join(_place(place) for place in places)


def _place(selector: Selector) -> str:
    place, tilde, pattern = selector.text.partition(" ~ ")
    kind, _, rest = place.strip().partition(":")
    phrases = {
        "": "the whole document",
        "header": f"the header {rest}",
        "code": "the HTTP code",
        "text": "the whole body",
        "url": "the address that answered",
        "sent": f"the address it was sent to, by {rest.upper()}",
        "none": "nothing",
        "name": f"the name of the first member of {rest}" if rest else "the name of the XML root",
    }
    words = phrases.get(kind, place.strip())
    return f"{words}, what matches {pattern.strip()}" if tilde else words
