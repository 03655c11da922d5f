"""A declaration in words, for the person who writes one: what it sends, what it reads, what its input must have.

Pure: from a declaration, or a request, to lines of text. `rehearsal.py` runs a declaration against recorded replies.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from gofer.contracts.declared.declaration import Call, Declaration, Files, Poll, Result, Templates
from gofer.contracts.declared.selectors import Places, Selector
from gofer.contracts.declared.templates import Hole, Pattern, Template
from gofer.contracts.payload import as_list, as_map
from gofer.models import State
from gofer.wire import Request

MASK = "***"
"""Stands for the value of a secret."""

MOST = 4000
"""Characters of a body that are shown."""

WHOLE = "whatever the service takes: all of it is sent"

WIDTH, LABEL = 100, 16

_MEANINGS = {
    "base": "the service's address",
    "id": "the job's id",
    "key": "the idempotency key, another for each submission",
    "budget": "nine tenths of the errand's seconds",
    "hold": "seconds that the service may hold its answer",
    "word": "the service's last word for the job",
    "item": "what was found at url",
}

Lines = Iterator[str]


def explained(said: Declaration) -> Lines:
    """Say all that a declaration declares."""
    yield from textwrap.wrap(f"{said.name}: {said.about or 'it does not say what it is for'}", WIDTH)
    yield from _rows("docs", [said.docs] if said.docs else [])
    yield from _rows("in tickets", [f"{said.name}@{said.digest}"])
    yield ""
    yield from drawing(said)
    yield from _section("input", _input(said))
    yield from _section("variables", _variables(said))
    yield from _section("every request", _every(said))
    yield from _section("submit", _submit(said))
    if said.start is not None:
        when = f"after a word of {_listed(said.start.when)}" if said.start.when else "after a pending word"
        yield from _section(f"start, {when}", _sent(said.start, "POST"))
    for at, poll in enumerate(said.poll):
        yield from _section(_chosen("poll", poll, at, len(said.poll)), _poll(poll))
    yield from _section("status document", _status(said))
    yield from _section("words", _words(said))
    for at, result in enumerate(said.result):
        yield from _section(_chosen("result", result, at, len(said.result)), _result(result))
    if said.reason is not None:
        told = _found({"error": said.reason.error, "code": said.reason.code})
        yield from _section("reason, where a job has failed", _sent(said.reason, "GET"), told)
    yield from _section("cancel", _sent(said.cancel, "DELETE") if said.cancel else ["  the service is not asked to"])
    if said.refusal is not None:
        signs = {"given away by": said.refusal.when, "words": said.refusal.message, "code": said.refusal.code}
        yield from _section("refusals in spite of 2xx", _found(signs))
    yield from _section("in the templates", _legend(said))


def drawing(said: Declaration) -> Lines:
    """Draw the way of a job as a line, with what branches off it."""
    asked = any(result.url is not None for result in said.result)
    brought = "files" if any(result.files or result.file for result in said.result) else "value"
    stations = ["submit", *(["start"] if said.start else []), "poll", *(["result"] if asked else [])]
    stations.append("file or value" if asked and brought == "value" else brought)
    line = "  " + " ---> ".join(stations)
    if said.submit.finished:
        start, end = line.index("submit") + 2, line.rindex(stations[-1]) + 1
        yield " " * start + "." + " finished ".center(end - start - 1, "-") + "."
        yield " " * start + "|" + " " * (end - start - 1) + "v"
    yield line
    under = " " * (line.index("poll") + 1)
    held = ", held by the service" if any(poll.hold for poll in said.poll) else ""
    yield f"{under}|  ^"
    yield f"{under}+--'  until a word ends the job{held}"
    branches = (["reason, where it has failed"] if said.reason else []) + (["cancel"] if said.cancel else [])
    for branch in branches:
        yield f"{under}|"
        yield f"{under}{chr(39) if branch == branches[-1] else '+'}---> {branch}"


def needs(said: Declaration) -> tuple[list[str], list[str]]:
    """Return what the input must have and what it may have, by dotted names; "" is the whole of it."""
    must: dict[str, None] = {}
    may: dict[str, None] = {}
    for hole in said.submit.holes:
        name, dot, member = hole.name.partition(".")
        if name == "input":
            (may if hole.optional else must)[member if dot else ""] = None
    return list(must), [name for name in may if name not in must]


def unsent(said: Declaration, given: Mapping[str, Any]) -> list[str]:
    """Return the input's members that no template sends."""
    names = [name for part in needs(said) for name in part]
    return [] if "" in names else [name for name in given if name not in {full.partition(".")[0] for full in names}]


def request_lines(request: Request) -> Lines:
    """Show a request as it goes over the wire; masked secrets stay readable."""
    yield f"{request.method} {_masked(request.url)}"
    for name, value in request.headers.items():
        yield f"{name}: {value}"
    if request.body:
        text = _masked(request.body.decode("utf-8", "replace"))
        yield ""
        yield from text[:MOST].replace("\r\n", "\n").rstrip("\n").split("\n")
        if len(text) > MOST:
            yield f"... and {len(text) - MOST} characters more"


def in_words(places: Places) -> str:
    """Say where a value is looked for."""
    return ", else ".join(_place(place) for place in places)


def _masked(text: str) -> str:
    return text.replace(quote(MASK, safe=""), MASK)


def _place(selector: Selector) -> str:
    place, tilde, pattern = selector.text.partition(" ~ ")
    kind, _, rest = place.strip().partition(":")
    match kind:
        case "":
            words = "the whole document"
        case "header" | "code" | "text" | "url" | "sent" | "none" | "name":
            words = {
                "header": f"the header {rest}",
                "code": "the HTTP code",
                "text": "the whole body",
                "url": "the address that answered",
                "sent": f"the address it was sent to, by {rest.upper()}",
                "none": "nothing",
                "name": f"the name of the first member of {rest}" if rest else "the name of the XML root",
            }[kind]
        case _:
            words = place.strip()
    return f"{words}, what matches {pattern.strip()}" if tilde else words


# --- parts ---


def _rows(label: str, values: Iterable[str]) -> Lines:
    lines = [line for value in values for line in _wrapped(value)]
    for at, line in enumerate(lines):
        yield f"  {'' if at else label:<{LABEL}}  {line}".rstrip()


def _wrapped(text: str) -> list[str]:
    width = WIDTH - LABEL - 4
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False, replace_whitespace=False) or [""]


def _section(title: str, *parts: Iterable[str]) -> Lines:
    lines = [line for part in parts for line in part]
    if lines:
        yield ""
        yield title
        yield from lines


def _chosen(title: str, call: Call, at: int, of: int) -> str:
    """Say when a call is the one, of several, that is made."""
    if of == 1:
        return title
    wanted = [f"{{{hole.name}}}" for hole in _holes(call) if hole.name.startswith(("links.", "values."))]
    return f"{title} {at + 1}, where there is {' and '.join(wanted)}" if wanted else f"{title} {at + 1}, else"


def _input(said: Declaration) -> Lines:
    must, may = needs(said)
    yield from _rows("must have", [_listed(name or WHOLE for name in must)] if must else [])
    yield from _rows("may have", [_listed(name or WHOLE for name in may)] if may else [])
    if not must and not may:
        yield from _rows("", ["nothing of it is sent"])


def _variables(said: Declaration) -> Lines:
    for name, variable in said.variables.items():
        default = f"by default {variable.default!r}" if variable.default is not None else "must be given"
        secret = "secret" if variable.secret else ""
        yield from _rows(name, ["; ".join(part for part in (variable.about, secret, default) if part)])


def _every(said: Declaration) -> Lines:
    yield from _rows("query", _pairs(said.every.query, "="))
    yield from _rows("headers", _pairs(said.every.headers))
    yield from _rows("cookies", _pairs(said.every.cookies, "="))
    if said.origins:
        yield from _rows("origins", [f"its own, and {_listed(said.origins)}"])


def _submit(said: Declaration) -> Lines:
    submit = said.submit
    yield from _sent(submit, "POST")
    yield from _found({"id": submit.id})
    yield from _kept(submit.links, submit.values)
    yield from _codes(submit.codes)
    if submit.finished:
        yield from _rows("finished", [f"{_listed(submit.finished)}, where it names no job: the answer is the result"])
    repeats = "the same key gives the same job" if submit.idempotent else "never where it might make a second job"
    yield from _rows("sent again", [repeats])


def _poll(poll: Poll) -> Lines:
    yield from _sent(poll, "GET")
    if poll.hold is not None:
        yield from _rows("to be held", [*_pairs(poll.hold.query, "="), *_pairs(poll.hold.headers)])
        yield from _rows("it was, if", [in_words(poll.hold.proof) if poll.hold.proof else "the answer took its time"])
    yield from _codes(poll.codes)
    yield from _found({"word": poll.state})
    yield from _rows("no word", [] if poll.absent is None else [f"is {poll.absent}"])


def _status(said: Declaration) -> Lines:
    status = said.status
    yield from _found({"word": status.state})
    yield from _rows("no word", [] if status.absent is None else [f"is {status.absent}"])
    yield from _found({"failed, if": status.failed, "cancelled, if": status.cancelled})
    of = f", of {status.of:g}" if status.of != 1 else ""
    yield from (f"{line}{of}" for line in _found({"progress": status.progress}))
    yield from _found({"message": status.message, "error": status.error, "code": status.code, "its id": status.id})
    yield from _kept(status.links, status.values)


def _words(said: Declaration) -> Lines:
    if said.states is None:
        yield from _rows("", ["gofer's own: pending, running, succeeded, failed, cancelled"])
        return
    for state in State:
        words = getattr(said.states, state.value, ())
        yield from _rows(str(state), [_listed(words)] if words else [])
    other = f"is {said.states.other}" if said.states.other else f"is an error after {said.grace:g} s of it"
    yield from _rows("any other", [other])


def _result(result: Result) -> Lines:
    if result.url is None:
        yield from _rows("asks", ["nothing: it is in the last status document"])
    else:
        yield from _sent(result, "GET")
    yield from _codes(result.codes)
    yield from _found({"failed, if": result.failed, "error": result.error, "code": result.code})
    if result.file:
        yield from _rows("file", ["the answer is it, whatever its kind"])
        return
    yield from _rows("value", [in_words(result.value) if result.value else "the whole document"])
    if result.files is not None:
        yield from _rows("files", [_files(result.files)])
    if result.url is not None:
        yield from _rows("file", ["the answer is it, where it is no document"])


def _files(files: Files) -> str:
    under = in_words(files.under) if files.under else "the whole document"
    address = in_words(files.url) if files.url else "its text"
    facts = {"name": files.name, "size": files.size, "format": files.format}
    link = f", made into {files.link.text}" if files.link is not None else ""
    told = "".join(f"; {name}: {in_words(places)}" for name, places in facts.items() if places)
    return f"under {under}, {files.depth} deep: what has an address at {address}{link}{told}"


def _legend(said: Declaration) -> Lines:
    calls: list[Call | None] = [said.submit, said.start, *said.poll, *said.result, said.reason, said.cancel]
    links = [result.files.link for result in said.result if result.files and result.files.link]
    used = {hole.name: hole for template in links for hole in template.holes}
    holes = [hole for call in calls if call is not None for hole in _of(call)]
    used |= {hole.name: hole for hole in holes}
    yield from (line for name, means in _MEANINGS.items() if name in used for line in _rows(f"{{{name}}}", [means]))
    if any(hole.reserved for hole in holes):
        yield from _rows("{+...}", ["signs such as / stay as they are"])
    if any(hole.each for hole in holes):
        yield from _rows("{...*}", ["one part for each member of a map, whose key is the file's name"])
    if any(hole.optional for hole in holes):
        yield from _rows("{...?}", ["what holds it is left out where there is no value"])


# --- requests ---


def _sent(call: Call, method: str) -> Lines:
    verb = method if call.method is None else call.method.text
    if call.method is not None and any(hole.optional for hole in call.method.holes):
        verb = f"{verb} (else {method})"
    url = "" if call.url is None else call.url.text
    yield from _rows("sends", [f"{verb} {url}"])
    yield from _rows("query", _pairs(call.query, "="))
    yield from _rows("headers", _pairs(call.headers))
    if call.json is not None:
        yield from _rows("json", json.dumps(_written(call.json.pattern), indent=2).split("\n"))
    if isinstance(call.form, Template):
        yield from _rows("form", [f"the members of {call.form.text}"])
    elif call.form is not None:
        yield from _rows("form", _pairs(call.form, "="))
    if call.multipart is not None:
        yield from _rows("multipart", _pairs(call.multipart, "="))
    if call.text is not None:
        yield from _rows("text", call.text.text.strip("\n").split("\n"))


def _written(pattern: Pattern) -> Any:
    """Turn a compiled value back into what was written."""
    if isinstance(pattern, Template):
        return pattern.text
    members, items = as_map(pattern), as_list(pattern)
    if members is not None:
        return {name: _written(inner) for name, inner in members.items()}
    return pattern if items is None else [_written(inner) for inner in items]


def _pairs(templates: Templates, between: str = ": ") -> list[str]:
    return [f"{name}{between}{template.text}" for name, template in templates.items()]


def _found(where: Mapping[str, Places]) -> Lines:
    for name, places in where.items():
        yield from _rows(name, [in_words(places)] if places else [])


def _kept(links: Mapping[str, Places], values: Mapping[str, Places]) -> Lines:
    """Say what is remembered of the job for later addresses."""
    yield from _found({f"links.{name}": places for name, places in links.items()})
    yield from _found({f"values.{name}": places for name, places in values.items()})


def _codes(codes: Mapping[int, str]) -> Lines:
    yield from _rows("codes", [f"{code} is {word}" for code, word in codes.items()])


def _listed(words: Iterable[object]) -> str:
    return ", ".join(map(str, words))


def _holes(call: Call) -> Iterable[Hole]:
    return () if call.url is None else call.url.holes


def _of(call: Call) -> Iterator[Hole]:
    """Yield every hole of a call, also of what asks to be held."""
    yield from call.held.holes if isinstance(call, Poll) and call.hold is not None else call.holes
