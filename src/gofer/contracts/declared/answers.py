"""What a declaration reads out of replies: states, links, values and files. It builds no request and keeps nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any
from urllib.parse import unquote, urlsplit

from attrs import evolve, field, frozen

from gofer.contracts import payload
from gofer.contracts.base import Ref, Snapshot
from gofer.contracts.declared.calls import AddressOf
from gofer.contracts.declared.declaration import Declaration, Files, Poll, Refusal, Result
from gofer.contracts.declared.selectors import (
    MISSING,
    Places,
    Reading,
    Selector,
    first,
    first_text,
    found_under,
    resolved,
    text_of,
    without,
)
from gofer.contracts.payload import Problem, as_list, as_map
from gofer.errors import BadReply, Rejected
from gofer.models import ResultFile, State, Status
from gofer.wire import Head, Reply, Request

_DISPOSITION = (
    Selector.parse("header:content-disposition ~ (?i)filename\\*=utf-8'[^']*'([^;\\s]+)"),
    Selector.parse('header:content-disposition ~ (?i)filename="?([^";]+)'),
)


@frozen
class Answers:
    """The replies of one service, as its declaration reads them; `secret` are parameters that no link may keep."""

    declaration: Declaration
    secret: frozenset[str]
    _words: Mapping[str, State] = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "_words", self.declaration.words)

    def told_by_code(self, call: Poll, status: int) -> bool:
        """Tell whether a poll's status code says success, and nothing in its document is asked for."""
        word, said = call.codes.get(status), self.declaration.status
        places = [place for many in (*said.links.values(), *said.values.values()) for place in many]
        return word is not None and self.means(word) is State.SUCCEEDED and not any(one.in_document for one in places)

    def is_document(self, call: Result, head: Head) -> bool:
        """Tell whether the answer to a result request is a document: as something in it is asked for, or by type."""
        kind = head.headers.get("content-type", "").partition(";")[0].strip().lower()
        if call.file:
            return False
        text = any(place.text.startswith("text:") for place in call.value)
        return call.asks or not kind or is_data(kind) or (text and kind.startswith("text/"))

    def read_problem(self, reply: Reply) -> Problem:
        """Read an error answer: by the declared places first, then by the usual names; never raises."""
        said, reading = self.declaration.status, Reading(reply)
        try:
            document = reading.document
            refusal = self.declaration.refusal or Refusal(())
            error = first_text(refusal.message, reading) or first_text(said.error, reading)
            code = first_text(refusal.code, reading) or first_text(said.code, reading)
        except BadReply:
            return payload.read_problem(reply)
        usual = payload.read_problem(reply)
        if error is None and usual.detail is None and reading.root:
            error = _words_in(document)
        return Problem(code or usual.error_code, error or usual.detail)

    @cached_property
    def may_be_file(self) -> bool:
        """Whether a poll's code may say success, so that its body may be the file itself."""
        words = (word for poll in self.declaration.poll for word in poll.codes.values())
        return any(self.means(word) is State.SUCCEEDED for word in words)

    @cached_property
    def proofs(self) -> Places:
        """What in an answer proves that the service holds status requests."""
        return tuple(place for poll in self.declaration.poll if poll.hold is not None for place in poll.hold.proof)

    def means(self, word: str) -> State:
        """Return what one of the service's words means, in whatever case it is written."""
        meant = self._words.get(word.casefold())
        if meant is not None:
            return meant
        states = self.declaration.states
        return State.UNKNOWN if states is None or states.other is None else State(states.other)

    def status(self, reading: Reading, places: Places, absent: str | None = None) -> Status | None:
        """Read a status; None where the document has no word for it."""
        said = self.declaration.status
        word = first_text(places, reading)
        word = absent if word is None else word
        failed = bool(said.failed) and first(said.failed, reading) is not MISSING
        cancelled = bool(said.cancelled) and first(said.cancelled, reading) is not MISSING
        if word is None and not failed and not cancelled:
            return None
        meant = self.means(word or "")
        state = State.FAILED if failed and meant is not State.CANCELLED else meant
        state = State.CANCELLED if cancelled else state
        return Status(
            word or State.FAILED.value,
            state,
            progress=_share(first(said.progress, reading), said.of) if said.progress else None,
            message=first_text(said.message, reading),
            error=first_text(said.error, reading) if state.ended else None,
            error_code=first_text(said.code, reading) if state.ended else None,
        )

    def coded(self, reading: Reading, word: str) -> Status:
        """Make the status of an HTTP code that stands for a word, with what more the answer says."""
        bare = Status(word, self.means(word))
        if not reading.reply.body or is_file(reading.reply):
            return bare
        try:
            return self.status(reading, (), word) or bare
        except BadReply:
            return bare

    @property
    def success(self) -> str:
        """A word that means success, for a job that never had one."""
        states = self.declaration.states
        return states.succeeded[0] if states is not None else State.SUCCEEDED.value

    def seen(self, ref: Ref, status: Status, reading: Reading) -> Snapshot[Any]:
        """Make the snapshot of a job with this status."""
        start = self.declaration.start
        idle = (
            start is not None
            and status.state is State.PENDING
            and (not start.when or status.casefold() in [word.casefold() for word in start.when])
        )
        document = None if reading.tree is MISSING else reading.tree
        return Snapshot(ref, status, document, idle=idle, url=reading.reply.url)

    def found(self, links: Mapping[str, Places], values: Mapping[str, Places], reading: Reading) -> dict[str, str]:
        """Read links, made absolute and without secret parameters, and values."""
        found: dict[str, str] = {}
        for name, places in links.items():
            link = first_text(places, reading)
            if link:
                found[name] = without(resolved(reading.reply.url, link), self.secret)
        for name, places in values.items():
            value = first_text(places, reading)
            if value is not None:
                found[f"values.{name}"] = value
        return found

    def plain_result(self) -> Result:
        """Return the first result that says what is in its document."""
        return next((one for one in self.declaration.result if one.value or one.files or one.failed), Result())

    def outcome(self, call: Result, snapshot: Snapshot[Any], reading: Reading, address_of: AddressOf) -> Snapshot[Any]:
        """Read value and files out of the result document."""
        reply = reading.reply
        if reply.body and (reading.unread or not self.is_document(call, reply)):
            return evolve(snapshot, value=None, files=(_sent_along(reply),))
        if call.failed and first(call.failed, reading) is not MISSING:
            error, code = first_text(call.error, reading), first_text(call.code, reading)
            error = error if error is not None else text_of(first(call.failed, reading))
            status = Status(str(snapshot.status), State.FAILED, error=error, error_code=code)
            return evolve(snapshot, status=status)
        self.hold_refusal(reading)
        value: Any = None
        whole: ResultFile | None = None
        if not call.value:
            value = None if reading.document is MISSING else reading.document
            whole = _sent_along(reply) if reply.body else None
        else:
            value = first(call.value, reading)
            if value is MISSING:
                self._needed(call.value, "value")
                value = None
        return evolve(snapshot, value=value, files=self._files(call.files, reading, address_of), whole=whole)

    def _files(self, said: Files | None, reading: Reading, address_of: AddressOf) -> tuple[ResultFile, ...]:
        if said is None:
            return ()
        place = first(said.under, reading) if said.under else reading.document
        if place is MISSING:
            if said.under:
                self._needed(said.under, "files", "under")
            return ()

        here = reading.reply.url

        def named(value: Any) -> str | None:
            """Return the link or the id that an entry names."""
            bare = isinstance(value, str) and (said.link is not None or "://" in value)
            if bare and (value is place or not said.url):
                return str(value)  # the place is the link itself, or holds links and nothing else
            return first_text(said.url, Reading.over(value, here)) or None

        def address(value: Any) -> str | None:
            """Return an entry's address; only what is to be had over HTTP is a file."""
            name = named(value)
            if name is None:
                return None
            if said.link is not None:
                return address_of(said.link, name)
            absolute = without(resolved(here, name), self.secret)
            return absolute if absolute.startswith(("http://", "https://")) else None

        files: list[ResultFile] = []
        for key, value in found_under(place, lambda value: address(value) is not None, said.depth):
            one, url = Reading.over(value, here), address(value) or ""
            last = named(value) if said.link is not None else unquote(urlsplit(url).path.rpartition("/")[2])
            files.append(
                ResultFile(
                    first_text(said.name, one) or key or last or "file",
                    url,
                    size=_count(first_text(said.size, one)),
                    format=first_text(said.format, one),
                )
            )
        return tuple(files)

    def hold_refusal(self, reading: Reading) -> None:
        """Raise `Rejected` where an answer is a refusal in spite of its status."""
        said = self.declaration.refusal
        if said is None or first(said.when, reading) is MISSING:
            return
        detail, code = first_text(said.message, reading), first_text(said.code, reading)
        raise Rejected(
            f"The service refused{f' with {code}' if code else ''}{f': {detail}' if detail else '.'}",
            status_code=reading.reply.status,
            error_code=code,
            detail=detail,
        )

    def _needed(self, places: Places, *key: str) -> None:
        """Raise `BadReply` for places that found nothing, unless `none:` says that there may be nothing."""
        if not any(place.text == "none:" for place in places):
            where = self.declaration.place("result", *key)
            raise BadReply(f"{where}: nothing was found in the answer.", field=".".join(("result", *key)))


def joined(ref: Ref, links: Mapping[str, str]) -> Ref:
    """Add links that a later document handed out; a new address takes the place of the old."""
    return evolve(ref, links={**ref.links, **links}) if links else ref


def last_segment(links: Mapping[str, str]) -> str:
    """Make an id out of the first link, where the service names none."""
    url = next((link for name, link in links.items() if not name.startswith("values.")), "")
    return unquote(urlsplit(url).path.rstrip("/").rpartition("/")[2])


def is_data(kind: str) -> bool:
    """Tell whether a media type is JSON or XML; a picture or an office document of XML is neither."""
    return bool(re.fullmatch(r"(application|text)/(xml|[\w.+-]+\+xml|([\w.+-]+[+.-])?json([+.-][\w.+-]+)?)", kind))


def is_page(head: Head) -> bool:
    """Tell whether a body is a web page by its media type, as a proxy or a sign-in sends with status 200."""
    kind = head.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind in ("text/html", "application/xhtml+xml")


def is_file(head: Head) -> bool:
    """Tell whether a body, by its media type, is neither data nor a page: it can only be a file."""
    kind = head.headers.get("content-type", "").partition(";")[0].strip().lower()
    return bool(kind) and kind != "text/plain" and not is_data(kind) and not is_page(head)


def is_prose(reply: Reply) -> bool:
    """Tell whether a body is plain text, and no document that is only labelled so."""
    plain = reply.headers.get("content-type", "").lower().startswith("text/plain")
    return plain and reply.body.lstrip()[:1] not in (b"{", b"[", b"<")


def _sent_along(reply: Reply) -> ResultFile:
    """Make a file of a body that is in memory already."""
    kind = reply.headers.get("content-type", "").partition(";")[0].strip() or None
    return ResultFile(_filename(reply) or "result", size=len(reply.body), format=kind, content=reply.body)


def itself(asked: Request, head: Head) -> ResultFile:
    """Make a file of a result address whose answer was the file itself."""
    kind = head.headers.get("content-type", "").partition(";")[0].strip() or None
    length = head.headers.get("content-length", "")
    name = _filename(head) or unquote(urlsplit(asked.url).path.rstrip("/").rpartition("/")[2]) or "file"
    encoded = head.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity")
    size = None if encoded else _count(length)
    return ResultFile(
        name, asked.url, size=size, format=kind, method=asked.method, headers=asked.headers, body=asked.body
    )


def _count(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch("[0-9]{1,18}", text) else None


def _filename(head: Head) -> str | None:
    """Read the file name of Content-Disposition (RFC 6266), in its two forms."""
    places = Reading(Reply(head.url, head.status, head.headers))
    plain_or_coded = _DISPOSITION[0].read(places)
    name = plain_or_coded if plain_or_coded is not MISSING else _DISPOSITION[1].read(places)
    return unquote(str(name)) if name is not MISSING and name else None


def _share(value: Any, of: float) -> float | None:
    text = text_of(value)
    try:
        share = float((text or "").rstrip("% ")) / of
    except ValueError:
        return None
    return min(1.0, max(0.0, share))


def _words_in(value: Any, depth: int = 0) -> str | None:
    """Find the longest text of an XML error document: services wrap their words in ever other elements."""
    if isinstance(value, str):
        return value or None
    members = as_map(value) or {}
    inner = as_list(value) or [one for name, one in members.items() if not name.startswith("@")]
    if depth > 16:
        return None
    found = [words for one in inner if (words := _words_in(one, depth + 1))]
    return max(found, key=len, default=None)
