"""A dry run: a declaration held against recorded replies. Pure: from bytes to lines of text.

It calls the same `DeclaredContract` as an errand does, so it reads what an errand would read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from gofer.contracts.base import Ref, Snapshot
from gofer.contracts.declared.contract import DeclaredContract
from gofer.contracts.declared.layout import request_lines
from gofer.contracts.declared.recordings import recorded
from gofer.contracts.declared.selectors import MISSING, Places, Reading, first, first_text
from gofer.errors import BadReply, ServiceError, UsageError
from gofer.models import State, Status
from gofer.wire import Reply, Request, origin, shown

RehearsedLeg = Literal["submit", "poll", "result", "reason", "cancel"]

LEGS: tuple[RehearsedLeg, ...] = ("submit", "poll", "result", "reason", "cancel")
"""The legs whose replies can be read, from the first to the last."""

UNKNOWN_ID = "JOB-ID"
"""Stands for the id of a job whose submission was not recorded."""


def rehearsed_leg(leg: str) -> RehearsedLeg:
    """Return a leg whose replies can be read, or raise `UsageError`."""
    for name in LEGS:
        if leg == name:
            return name
    raise UsageError(f"A recorded reply is of one of the legs {', '.join(LEGS)}, not {leg!r}.")


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
        """Read the replies of every leg, each a file's name and what is in it; say what gofer would do next."""
        for leg in LEGS:
            for name, raw in replies.get(leg, ()):
                self.lines += ["", f"{leg}: {name}"]
                try:
                    self._read(leg, name, raw, submission)
                except ServiceError as refusal:
                    self._say("reads as", f"gofer would report: {type(refusal).__name__}: {refusal.message}")
                except BadReply as error:
                    self._fail(error.message)
        last = self._snapshot
        if self.sound and last is not None and last.ref.id and "result" not in replies:
            self._next(last, reasoned="reason" in replies)

    def _read(self, leg: RehearsedLeg, name: str, raw: bytes, submission: Request | None) -> None:
        contract, base, job = self._contract, self._base, self._job
        try:
            request = submission if leg == "submit" and submission else self._request(leg, raw)
        except UsageError as error:
            has_links = self._ref is not None and self._ref.links
            hint = "" if has_links else " What answered the submission may have it: --reply submit=FILE."
            raise BadReply(f"{error.message}{hint}") from error
        if leg != "submit" or submission is not None:
            self._to(request)
        reply = recorded(raw, request.url, name)
        self._say("code", str(reply.status))
        if not contract.reads("poll" if leg == "reason" else leg, reply.status):
            self._refused(reply)
            return
        if (
            leg in ("poll", "result")
            and contract.may_be_file(leg)
            and not contract.is_document(self._job(), leg, reply)
        ):
            reply = Reply(reply.url, reply.status, reply.headers)  # it is the file, whose body an errand does not read
        match leg:
            case "submit":
                snapshot = contract.read_submission(base, request, reply)
            case "poll":
                snapshot = contract.read_poll(base, job(raw), reply)
            case "result":
                snapshot = contract.read_results(base, self._ended(State.SUCCEEDED), reply)
            case "reason":
                snapshot = contract.read_reason(self._ended(State.FAILED), reply)
            case "cancel":
                shows = contract.read_cancellation(base, job(), reply)
                if shows is None:
                    self._say("status", "it shows no job: gofer would poll the job once")
                    return
                snapshot = shows
        if leg in ("submit", "poll"):
            self._ref = snapshot.ref
        self._snapshot = snapshot
        self._show(leg, snapshot, reply)

    def _request(self, leg: RehearsedLeg, raw: bytes) -> Request:
        """Build what this reply is taken for the answer to."""
        contract, base = self._contract, self._base
        request: Request | Snapshot[Any] | None
        match leg:
            case "submit":
                method = contract.declaration.submit.method
                request = Request("POST" if method is None or not method.is_text else method.text, base)
            case "poll":
                seen = Status("") if self._snapshot is None else self._snapshot.status
                request = contract.build_poll(base, self._job(raw), hold=0, etag=None, seen=seen)
            case "result":
                if not any(result.url for result in contract.declaration.result):
                    raise BadReply(
                        "there is no result.url: the result is in the status document, so give that: --reply poll=FILE."
                    )
                request = contract.build_results(base, self._ended(State.SUCCEEDED))
            case "reason":
                request = contract.build_reason(base, self._ended(State.FAILED))
            case "cancel":
                request = contract.build_cancellation(base, self._job())
        if not isinstance(request, Request):
            raise BadReply("gofer would send no such request for this job, so the reply is not read.")
        return request

    def _job(self, raw: bytes = b"") -> Ref:
        """Return the job; without a recorded submission its id is the one that the document names."""
        if self._ref is None:
            places = self._contract.declaration.status.id
            try:
                job_id = first_text(places, Reading(recorded(raw, self._base, ""))) if raw and places else None
            except (BadReply, UsageError):
                job_id = None
            self._ref = Ref(job_id or UNKNOWN_ID)
        return self._ref

    def _ended(self, state: State) -> Snapshot[Any]:
        """Return the last snapshot of the job, if it has ended in this state; else one that has."""
        if self._snapshot is not None and self._snapshot.status.state is state:
            return self._snapshot
        words = (word for word, meaning in self._contract.declaration.words.items() if meaning is state)
        return Snapshot[Any](self._job(), Status(next(words, state.value), state), None)

    # --- what was read ---

    def _show(self, leg: RehearsedLeg, snapshot: Snapshot[Any], reply: Reply) -> None:
        """Say what was read out of a reply."""
        status, declaration = snapshot.status, self._contract.declaration
        finished = leg == "submit" and not snapshot.ref.id
        if finished:
            self._say("job", "none: it was finished at once")
        elif leg in ("submit", "poll"):
            self._say("id", snapshot.ref.id)
            for name, link in snapshot.ref.links.items():
                self._say(name if name.startswith("values.") else f"links.{name}", link)
        self._say("status", f"{str(status)!r}, which means {status.state}")
        if leg != "result":
            self._say("progress", None if status.progress is None else f"{status.progress:.0%}")
        if status.state in (State.FAILED, State.CANCELLED):
            self._say("error", status.error)
            self._say("error_code", status.error_code)
        elif leg != "result":
            self._say("message", status.message)
        if status.state is State.UNKNOWN:
            self._fail(
                f"{declaration.place('states')}: the word {str(status)!r} is not among the states; "
                f"after {declaration.grace:g} s of it gofer gives up."
            )
        if snapshot.idle:
            self._say("next", "the job waits to be started by a second request")
        if leg == "result" or finished:
            self._show_result(snapshot)
        elif leg == "poll":
            self._say("not there", self._missing(reply))

    def _show_result(self, snapshot: Snapshot[Any]) -> None:
        if snapshot.value is not None:
            text = json.dumps(snapshot.value, ensure_ascii=False)
            self._say("value", text if len(text) < 400 else f"{text[:400]} ... {len(text)} characters")
        for file in snapshot.files:
            size = "" if file.size is None else f", {file.size} bytes"
            kind = "" if file.format is None else f", {file.format}"
            self._say("file", f"{file.name!r}{size}{kind}{f' from {shown(file.url)}' if file.url else ''}")
        if snapshot.more:
            self._say("next page", ", ".join(shown(request.url) for request in snapshot.more[:3]))
        if snapshot.value is None and not snapshot.files and snapshot.status.state is State.SUCCEEDED:
            self._say("value", "none, and no file")

    def _missing(self, reply: Reply) -> str:
        """List the declared places that find nothing."""
        document, reading = self._contract.declaration.status, Reading(reply)
        places: dict[str, Places] = {"progress": document.progress, "message": document.message}
        places |= {**document.links, **document.values}
        try:
            return ", ".join(name for name, where in places.items() if where and first(where, reading) is MISSING)
        except BadReply:
            return ""  # a file, or plain text: the state was read from the code

    def _refused(self, reply: Reply) -> None:
        """Say what a reply is that the contract does not read."""
        location = reply.headers.get("location")
        if 300 <= reply.status < 400 and location:
            self._say("reads as", f"a redirect: gofer would follow it to {location}")
            return
        problem = self._contract.read_problem(reply)
        self._say("reads as", "a refusal")
        self._say("words", problem.detail)
        self._say("error_code", problem.error_code)

    def _next(self, last: Snapshot[Any], *, reasoned: bool) -> None:
        """Say what gofer would do after the last reply; `reasoned`: whether a reply said why the job has failed."""
        contract, base, request = self._contract, self._base, None
        try:
            if last.status.state is State.SUCCEEDED:
                request = contract.build_results(base, last)
            elif last.status.state is State.FAILED:
                request = None if reasoned else contract.build_reason(base, last)
            elif last.idle:
                request = contract.build_start(base, last.ref)
            elif not last.status.done:
                request = contract.build_poll(base, last.ref, hold=0, etag=None, seen=last.status)
        except (BadReply, UsageError) as error:
            self.lines.append("")
            self._fail(error.message)
        if isinstance(request, Snapshot):
            self.lines += ["", "result: in the last answer"]
            self._show_result(request)
        elif request is not None:
            self.lines += ["", "next"]
            self._to(request)

    def _to(self, request: Request) -> None:
        """Say where a request goes; its headers and body are shown with the declaration."""
        if origin(request.url) == origin(self._base):
            request = self._contract.add_to_every(self._base, self._ref, request)
        self._say("to", next(request_lines(request)))

    def _say(self, label: str, text: str | None) -> None:
        if text:
            self.lines.append(f"  {label:<16}  {text}")

    def _fail(self, text: str) -> None:
        self.sound = False
        self._say("ERROR", text)
