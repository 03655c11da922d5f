"""A dry run: a declaration held against recorded replies. Pure: it is given bytes and gives lines of text.

It drives the same `DeclaredContract` as an errand does, so what it reads is what an errand would read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from gofer.contracts.base import Ref, Snapshot
from gofer.contracts.declared.contract import DeclaredContract
from gofer.contracts.declared.layout import request_lines
from gofer.contracts.declared.selectors import MISSING, Places, Reading, first, first_text
from gofer.errors import BadReply, ServiceError, UsageError
from gofer.models import State, Status
from gofer.wire import Reply, Request, origin, shown

RehearsedLeg = Literal["submit", "poll", "result", "reason", "cancel"]

LEGS: tuple[RehearsedLeg, ...] = ("submit", "poll", "result", "reason", "cancel")
"""The legs whose replies can be given, in the order in which they are read."""

UNKNOWN_ID = "JOB-ID"
"""Stands for the id of a job whose submission was not recorded."""

_STATUS = re.compile(rb"HTTP/[\d.]+ +(\d{3})[^\r\n]*\r?\n")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_BLANK = re.compile(rb"\r?\n\r?\n")


def recorded(raw: bytes, url: str, name: str) -> Reply:
    """Read a reply as `curl -i` prints it: a status line, headers, an empty line, the body.

    Of several, as curl prints them for a proxy, `100 Continue` or a redirect it followed, the last one counts.

    Raises:
        UsageError: it is no such thing.
    """
    rest = raw.lstrip()
    while True:
        line = _STATUS.match(rest)
        if line is None:
            raise UsageError(f"{name} is no recorded reply: it must begin with a line such as HTTP/1.1 200 OK.")
        blank = _BLANK.search(rest)
        head = rest[line.end() :] if blank is None else rest[line.end() : max(line.end(), blank.start())]
        body = b"" if blank is None else rest[blank.end() :]
        if not body.startswith(b"HTTP/"):
            break
        rest = body
    headers: dict[str, str] = {}
    for field in head.decode("latin-1").splitlines():
        title, colon, value = field.partition(":")
        if not colon or not _NAME.fullmatch(title.strip()):
            raise UsageError(f"{name} is no recorded reply: {field[:60]!r} is no header; is an empty line missing?")
        title = title.strip().lower()
        headers[title] = f"{headers[title]}, {value.strip()}" if title in headers else value.strip()
    return Reply(url, int(line[1]), headers, body)


class Rehearsal:
    """One dry run; `lines` is what it found, `sound` whether every reply could be read.

    Args:
        contract: the contract, with its variables.
        base: the service's address.
    """

    def __init__(self, contract: DeclaredContract, base: str) -> None:
        self._contract, self._base = contract, base
        self._ref: Ref | None = None
        self._snapshot: Snapshot[Any] | None = None
        self.lines: list[str] = []
        self.sound = True

    def play(self, replies: Mapping[str, Sequence[tuple[str, bytes]]], submission: Request | None) -> None:
        """Read the replies of every leg; each is a file's name and what is in it."""
        for leg in LEGS:
            for name, raw in replies.get(leg, ()):
                self.lines += ["", f"{leg}: {name}"]
                try:
                    self._read(leg, name, raw, submission)
                except ServiceError as refusal:
                    self._say(f"gofer would report: {type(refusal).__name__}: {refusal.message}")
                except BadReply as error:
                    self._fail(error.message)
        self._next(replies)

    def _read(self, leg: RehearsedLeg, name: str, raw: bytes, submission: Request | None) -> None:
        request = self._request(leg, raw, submission)
        if request is None:
            return
        if leg != "submit" or submission is not None:
            self._to(request)
        reply = recorded(raw, request.url, name)
        self._say(str(reply.status), label="code")
        if not self._contract.reads("poll" if leg == "reason" else leg, reply.status):
            self._refused(reply)
            return
        if leg == "cancel":
            self._cancelled(reply)
            return
        if leg in ("poll", "result"):
            reply = self._opened(leg, reply)
        match leg:
            case "submit":
                seen = self._contract.read_submission(self._base, request, reply)
                self._ref = seen.ref
            case "poll":
                seen = self._contract.read_poll(self._base, self._job(raw), reply)
                self._ref = seen.ref
            case "result":
                seen = self._contract.read_results(self._base, self._succeeded(), reply)
            case "reason":
                seen = self._contract.read_reason(self._ended(State.FAILED), reply)
        self._show(leg, seen, reply)

    def _opened(self, leg: Literal["poll", "result"], reply: Reply) -> Reply:
        """Leave the body alone, as an errand does, where it is the file itself."""
        if not self._contract.may_be_file(leg) or self._contract.is_document(self._job(), leg, reply):
            return reply
        return Reply(reply.url, reply.status, reply.headers)

    def _request(self, leg: RehearsedLeg, raw: bytes, submission: Request | None) -> Request | None:
        """Build what this reply is taken for the answer to; None where gofer would send nothing."""
        contract, base = self._contract, self._base
        if leg == "result" and not any(result.url for result in contract.declaration.result):
            self._fail("there is no result.url: the result is in the status document, so give that: --reply poll=FILE.")
            return None
        try:
            match leg:
                case "submit":
                    method = contract.declaration.submit.method
                    verb = "POST" if method is None or any(method.holes) else method.text
                    return submission or Request(verb, base)
                case "poll":
                    status = Status("") if self._snapshot is None else self._snapshot.status
                    return contract.build_poll(base, self._job(raw), hold=0, etag=None, seen=status)
                case "result":
                    asked = contract.build_results(base, self._succeeded())
                    request = asked if isinstance(asked, Request) else None
                case "reason":
                    request = contract.build_reason(base, self._ended(State.FAILED))
                case "cancel":
                    request = contract.build_cancellation(base, self._job())
        except UsageError as error:
            known = self._ref is not None and self._ref.links
            hint = "" if known else " What answered the submission may tell it: --reply submit=FILE."
            raise BadReply(f"{error.message}{hint}") from error
        if request is None:
            self._fail("gofer would send no such request for this job, so the reply is not read.")
        return request

    def _job(self, raw: bytes = b"") -> Ref:
        """Return the job; without a recorded submission its id is the one that the document names."""
        if self._ref is None:
            places = self._contract.declaration.status.id
            try:
                named = first_text(places, Reading(recorded(raw, self._base, ""))) if raw and places else None
            except (BadReply, UsageError):
                named = None
            self._ref = Ref(named or UNKNOWN_ID)
        return self._ref

    def _succeeded(self) -> Snapshot[Any]:
        return self._ended(State.SUCCEEDED)

    def _ended(self, state: State) -> Snapshot[Any]:
        """Return the job as it was last seen, if it has ended so; else one that has."""
        if self._snapshot is not None and self._snapshot.status.state is state:
            return self._snapshot
        words = (word for word, meant in self._contract.declaration.words.items() if meant is state)
        return Snapshot[Any](self._job(), Status(next(words, state.value), state), None)

    # --- what was read ---

    def _show(self, leg: RehearsedLeg, seen: Snapshot[Any], reply: Reply) -> None:
        """Say what a reply told."""
        self._snapshot, status = seen, seen.status
        if leg == "submit" and not seen.ref.id:
            self._say("none: it was finished at once", label="job")
        elif leg in ("submit", "poll"):
            self._say(seen.ref.id, label="id")
            for name, link in seen.ref.links.items():
                self._say(link, label=name if name.startswith("values.") else f"links.{name}")
        self._say(f"{str(status)!r}, which means {status.state}", label="status")
        if status.progress is not None and leg != "result":
            self._say(f"{status.progress:.0%}", label="progress")
        bad = status.state in (State.FAILED, State.CANCELLED)
        for label in ("error", "error_code") if bad else ("message",) if leg != "result" else ():
            if (words := getattr(status, label)) is not None:
                self._say(words, label=label)
        if status.state is State.UNKNOWN:
            declaration = self._contract.declaration
            self._fail(
                f"{declaration.place('states')}: the word {str(status)!r} is not among the states; "
                f"after {declaration.grace:g} s of it gofer gives up."
            )
        if seen.idle:
            self._say("the job waits to be started by a second request", label="next")
        if leg == "result" or (leg == "submit" and not seen.ref.id):
            self._outcome(seen)
        elif leg == "poll":
            self._absent(reply)

    def _outcome(self, seen: Snapshot[Any]) -> None:
        """Say what a result came to."""
        if seen.value is not None:
            text = json.dumps(seen.value, ensure_ascii=False)
            self._say(text if len(text) < 400 else f"{text[:400]} ... {len(text)} characters", label="value")
        for file in seen.files:
            size = "" if file.size is None else f", {file.size} bytes"
            kind = "" if file.format is None else f", {file.format}"
            self._say(f"{file.name!r}{size}{kind}{' from ' + shown(file.url) if file.url else ''}", label="file")
        if seen.value is None and not seen.files and seen.status.state is State.SUCCEEDED:
            self._say("none, and no file", label="value")

    def _absent(self, reply: Reply) -> None:
        """Say which of the declared places found nothing."""
        said, reading = self._contract.declaration.status, Reading(reply)
        places: dict[str, Places] = {"progress": said.progress, "message": said.message, **said.links, **said.values}
        try:
            missing = [name for name, where in places.items() if where and first(where, reading) is MISSING]
        except BadReply:
            return  # a file, or text: the code told the state
        if missing:
            self._say(", ".join(missing), label="not there")

    def _cancelled(self, reply: Reply) -> None:
        seen = self._contract.read_cancellation(self._base, self._job(), reply)
        if seen is None:
            self._say("it shows no job: gofer would look at the job once", label="status")
        else:
            self._show("cancel", seen, reply)

    def _refused(self, reply: Reply) -> None:
        """Say what a reply is that the contract does not read."""
        location = reply.headers.get("location")
        if 300 <= reply.status < 400 and location:
            self._say(f"a redirect: gofer would follow it to {location}")
            return
        problem = self._contract.read_problem(reply)
        self._say("a refusal")
        for label, words in (("words", problem.detail), ("error_code", problem.error_code)):
            if words is not None:
                self._say(words, label=label)

    def _next(self, replies: Mapping[str, Sequence[object]]) -> None:
        """Say what gofer would do after the last reply."""
        seen = self._snapshot
        if not self.sound or seen is None or "result" in replies or not seen.ref.id:
            return
        try:
            if seen.status.state is State.SUCCEEDED:
                asked = self._contract.build_results(self._base, seen)
                request = asked if isinstance(asked, Request) else None
                if isinstance(asked, Snapshot):
                    self.lines += ["", "result: in the last status document"]
                    self._outcome(asked)
            elif seen.status.state is State.FAILED:
                request = None if "reason" in replies else self._contract.build_reason(self._base, seen)
            elif seen.idle:
                request = self._contract.build_start(self._base, seen.ref)
            elif not seen.status.done:
                request = self._contract.build_poll(self._base, seen.ref, hold=0, etag=None, seen=seen.status)
            else:
                request = None
        except (BadReply, UsageError) as error:
            self.lines.append("")
            self._fail(error.message)
            return
        if request is not None:
            self.lines += ["", "next"]
            self._to(request)

    def _to(self, request: Request) -> None:
        """Say where a request goes; its headers and body were told with the declaration."""
        if origin(request.url) == origin(self._base):
            request = self._contract.add_to_every(self._base, self._ref, request)
        self._say(next(iter(request_lines(request))), label="to")

    def _say(self, *words: str, label: str = "reads as") -> None:
        self.lines += [f"  {label:<16}  {line}" for line in words]

    def _fail(self, words: str) -> None:
        self.sound = False
        self._say(words, label="ERROR")


def rehearsed_leg(leg: str) -> RehearsedLeg:
    """Return a leg whose replies can be read, or raise `UsageError`."""
    for known in LEGS:
        if leg == known:
            return known
    raise UsageError(f"A recorded reply is of one of the legs {', '.join(LEGS)}, not {leg!r}.")
