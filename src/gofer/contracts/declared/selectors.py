r"""Selectors: where in a reply a value is found. Written as text, compiled once, read many times.

    /a/b/0                      a JSON Pointer (RFC 6901) into the document, be it JSON or XML (see `markup.py`)
    /links/[rel=self]/href      the first member of a list whose `rel` is `self`
    name:/Status                the name of the first member there: for states that are an element's name; `name:` alone
                                is the XML root's
    header:location             a header
    code:                       the HTTP status code
    text:                       the whole body
    url:                        the address that answered, after redirects
    sent:PUT                    the address that the request was sent to, if its method was this one
    none:                       nothing: written last, it says that the others may find nothing
    ... ~ /jobs/([^/]+)         any of them, and then the first group of a regular expression

A value that is not there is `MISSING`; only a body that is no document is an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

from attrs import frozen

from gofer.contracts.declared import markup
from gofer.contracts.declared.media import is_stream
from gofer.contracts.declared.streams import last_event
from gofer.contracts.payload import as_list, as_map, no_document, parsed
from gofer.errors import BadReply
from gofer.wire import Reply, Request


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = _Missing()


class Reading:
    """One reply being read. Its document is parsed when something first points into it."""

    __slots__ = ("_parsed", "data", "reply", "request", "root", "tree", "unread")

    def __init__(self, reply: Reply, request: Request | None = None) -> None:
        self.reply, self.request = reply, request
        self.root, self.tree, self.data, self._parsed, self.unread = "", MISSING, MISSING, False, False

    @classmethod
    def over(cls, value: Any, url: str) -> Reading:
        """Make a reading of a document, or of a part of one, that is parsed already; it came from `url`."""
        reading = cls(Reply(url, 200))
        reading.tree, reading._parsed = MISSING if value is None else value, True
        return reading

    def without_document(self) -> Reading:
        """Leave the body unread, as it is no document; headers and the code can be read."""
        self._parsed = self.unread = True
        return self

    @property
    def sent(self) -> dict[str, str]:
        """The address that the request was sent to, by its method; empty without the request."""
        return {} if self.request is None else {self.request.method: self.request.url}

    @property
    def contents(self) -> str:
        """What the answer has, for an error: the names in its document, without the values."""
        try:
            document = self.document
        except BadReply:
            return f"no document ({self.reply.media_type or 'of no type'})"
        names, items = as_map(document), as_list(document)
        if names is not None:
            shown = ", ".join([str(name)[:40] for name in names][:10]) or "no member"
            return shown + (", ..." if len(names) > 10 else "")
        return "no body" if document is MISSING else "only a text" if items is None else f"a list of {len(items)}"

    @property
    def empty(self) -> bool:
        """Whether there is no body, and no document that was parsed already."""
        return self.tree is MISSING and not self.reply.body.strip()

    @property
    def document(self) -> Any:
        """The document as plain values; MISSING where the body is empty."""
        if self._parsed:
            return self.tree
        self._parsed, body = True, self.reply.body.strip()
        try:
            if body[:1] in (b"{", b"["):
                self.tree = parsed(body)
            elif is_stream(self.reply):
                event = last_event(body)
                self.tree, self.data = (MISSING, MISSING) if event is None else (event, event["data"])
            elif _is_markup(body):
                self.root, self.tree = markup.parse(body)
                if self.root.casefold() == "html":
                    raise ValueError("a web page")  # also where it is well-formed
            elif body:
                self.tree = parsed(body)
        except ValueError as error:
            raise no_document(self.reply, "a JSON or XML document") from error
        return self.tree


def _is_markup(body: bytes) -> bool:
    """Tell whether a document is XML, whatever its encoding."""
    return body[:64].decode(json.detect_encoding(body), "ignore").lstrip("\ufeff \t\r\n").startswith("<")


Read = Callable[[Reading], Any]
Follow = Callable[[Any], Any]

_HOLE: Final = re.compile(r"\{\+?[A-Za-z_][\w.-]*\*?\??\}")
_OWN_HOLE: Final = re.compile(r"\{\+?(?:base|id|key|item|word|(?:input|links|values)[\w.-]*)\??\}")
"""A template in a regular expression, where braces have a meaning of their own."""

LONGEST: Final = 1 << 16
"""Characters of a text that a regular expression is tried on: some take the square of the length."""


@frozen
class Selector:
    """One place in a reply: as it was written, and the function that reads it."""

    text: str
    read: Read

    @property
    def in_document(self) -> bool:
        """Whether it points into the document."""
        return self.text.startswith(("/", "name:")) or not self.text

    @classmethod
    def parse(cls, text: str) -> Selector:
        """Compile a selector, or raise `ValueError` that says what is wrong with it."""
        place, tilde, pattern = text.partition(" ~ ")
        hole = _HOLE.search(place) or _OWN_HOLE.search(pattern)
        if hole is not None:
            raise ValueError(f"{hole[0]} is a template, and a selector has none: it would be taken as this very text")
        read = _place(place.strip())
        if tilde:
            read = _matching(read, pattern.strip())
        return cls(text, read)


Places = tuple[Selector, ...]
"""Alternatives: the first that finds something counts."""


def first(places: Places, reading: Reading) -> Any:
    """Return what the first selector finds that finds anything, else MISSING. A null counts as nothing."""
    for place in places:
        value = place.read(reading)
        if value is not MISSING and value is not None:
            return value
    return MISSING


def text_of(value: Any) -> str | None:
    """Return a value as text: texts, numbers, true and false; None for any other."""
    if isinstance(value, str):
        return value
    if value is MISSING or value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    inner = (as_map(value) or {}).get("#text")
    return inner if isinstance(inner, str) else None


def first_text(places: Places, reading: Reading) -> str | None:
    """Return what `first` finds as text; None where it finds none."""
    return text_of(first(places, reading)) if places else None


def _place(text: str) -> Read:
    kind, colon, rest = text.partition(":")
    if not text or text.startswith("/"):
        return _pointed(pointer(text), inside=bool(text))
    if not colon:
        raise ValueError(
            f"{text!r} is no selector: it is a /pointer, or starts with "
            "name:, header:, code:, text:, url:, sent: or none:"
        )
    match kind:
        case "name":
            return _name(rest)
        case "header" if rest and "~" in rest:
            raise ValueError(f"{text!r} has no blanks around its ~: write header:name ~ expression")
        case "header" if re.fullmatch(r"[!#$%&'*+.^_`|0-9A-Za-z-]+", rest):  # a token (RFC 9110, section 5.1)
            name = rest.lower()
            return lambda reading: reading.reply.headers.get(name, MISSING)
        case "code" if not rest:
            return lambda reading: reading.reply.status
        case "text" if not rest:
            return lambda reading: reading.reply.body.decode("utf-8", "replace").strip() or MISSING
        case "url" if not rest:
            return lambda reading: reading.reply.url
        case "none" if not rest:
            return lambda _: MISSING
        case "sent" if re.fullmatch("[A-Za-z]+", rest):
            method = rest.upper()
            return lambda reading: reading.sent.get(method, MISSING)
        case _:
            raise ValueError(f"{text!r} is no selector")


def _pointed(follow: Follow, *, inside: bool) -> Read:
    """Follow a pointer in the data of an event stream, which others send as the document, and in the document."""

    def read(reading: Reading) -> Any:
        document = reading.document
        found = MISSING if reading.data is MISSING or not inside else follow(reading.data)
        return follow(document) if found is MISSING else found

    return read


def _name(text: str) -> Read:
    follow = pointer(text)

    def read(reading: Reading) -> Any:
        document = reading.document
        if not text and reading.root:
            return reading.root
        there = as_map(follow(document)) or {}
        return next((name for name in there if not name.startswith(("@", "#"))), MISSING)

    return read


def _matching(read: Read, pattern: str) -> Read:
    try:
        find = re.compile(pattern).search
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from error

    def matched(reading: Reading) -> Any:
        text = text_of(read(reading))
        match = None if text is None or len(text) > LONGEST else find(text)
        if match is None:
            return MISSING
        return match[0] if match.re.groups == 0 else next((group for group in match.groups() if group), MISSING)

    return matched


def pointer(text: str) -> Follow:
    """Compile a JSON Pointer, with `[name=value]` for a member of a list, or raise `ValueError`."""
    if text and not text.startswith("/"):
        raise ValueError(f"{text!r} is no pointer: it must start with /")
    steps = tuple(_step(token) for token in re.findall(r"/(\[[^\]]*\]|[^/]*)", text))
    if len(steps) == 1:
        return steps[0]

    def follow(value: Any) -> Any:
        for step in steps:
            value = step(value)
            if value is MISSING:
                break
        return value

    return follow


def _step(token: str) -> Follow:
    chosen = re.fullmatch(r"\[([^=]+)=(.*)\]", token)
    if chosen is not None:
        return _member(*chosen.groups())
    if token.startswith("["):
        raise ValueError(f"{token!r} is no choice of a member of a list: that is written [name=value]")
    if re.search(r"~(?![01])", token):
        raise ValueError(f"{token!r} has a ~ that is neither ~0 nor ~1")
    name = token.replace("~1", "/").replace("~0", "~")
    index = int(name) if re.fullmatch(r"0|[1-9][0-9]{0,8}", name) else -1

    if index < 0:
        return lambda value: value.get(name, MISSING) if isinstance(value, dict) else MISSING  # pyright: ignore

    def step(value: Any) -> Any:
        members, items = as_map(value), as_list(value)
        if members is not None and name in members:
            return members[name]
        if items is not None:
            return items[index] if 0 <= index < len(items) else MISSING
        return value if index == 0 and value is not MISSING and value else MISSING  # in XML, a list of one is no list

    return step


def _member(name: str, wanted: str) -> Follow:
    def step(value: Any) -> Any:
        for one in as_list(value) or [value]:
            if text_of((as_map(one) or {}).get(name)) == wanted:
                return one
        return MISSING

    return step
