"""`DeclaredContract`: a declaration at work, as a `Contract[Any, Any]`.

The input is a map, as JSON has it; the value of a job is the document's part that the declaration points at. Nothing
here knows a service: what is particular to one is in its `.toml` file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from attrs import evolve, field, frozen

from gofer.contracts import formats
from gofer.contracts.base import Contract, Leg, Ref, Snapshot
from gofer.contracts.declared.answers import Answers, is_file, is_page, is_prose, itself, joined, last_segment
from gofer.contracts.declared.calls import Calls
from gofer.contracts.declared.declaration import Declaration
from gofer.contracts.declared.selectors import (
    MISSING,
    Reading,
    first,
    first_text,
)
from gofer.contracts.payload import Problem
from gofer.errors import BadReply, NotReady, UsageError
from gofer.models import ResultFile, State, Status
from gofer.wire import Head, Reply, Request


@frozen
class DeclaredContract(Contract[Any, Any]):
    """What a declaration says, with the values of its variables.

    Attributes:
        declaration: the contract as data.
        variables: the values of its variables, defaults included.
    """

    declaration: Declaration
    variables: Mapping[str, str] = field(factory=dict[str, str], repr=lambda given: str(list(given)))
    name: str = field(init=False)
    _answers: Answers = field(init=False, repr=False)
    _calls: Calls = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        said = self.declaration
        calls = Calls(said, self.variables)
        object.__setattr__(self, "variables", calls.variables)
        object.__setattr__(self, "name", f"{said.name}@{said.digest}")
        object.__setattr__(self, "_calls", calls)
        object.__setattr__(self, "_answers", Answers(said, calls.secret_parameters))

    # --- what it is like ---

    @property
    def replays_keys(self) -> Literal["yes", "no", "ask"]:
        """Yes where the declaration says that the submission is idempotent."""
        return "yes" if self.declaration.submit.idempotent else "no"

    @property
    def grace(self) -> float | None:
        """The declaration's `grace`, in seconds."""
        return self.declaration.grace

    @property
    def folders(self) -> bool:
        """Always: how many files there are, the replies tell."""
        return True

    def reads(self, leg: Leg, status: int) -> bool:
        """Tell whether a reply of this status is the declaration's: 2xx, and the codes that it names."""
        if 200 <= status < 300:
            return True
        match leg:
            case "submit":
                return status in self.declaration.submit.codes or status in self.declaration.submit.finished
            case "poll":
                return any(status in poll.codes for poll in self.declaration.poll)
            case "result":
                return any(status in result.codes for result in self.declaration.result)
            case "start" | "cancel":
                return status in (301, 302, 303)  # the answer to a POST often points at the job
            case _:
                return False

    def add_to_every(self, base: str, ref: Ref | None, request: Request) -> Request:
        """Add what `[every]` declares to a request to the service's own origin."""
        return self._calls.add_to_every(base, ref, request)

    # --- submit ---

    def ref(self, job_id: str) -> Ref:
        """Return where the job of this id is; an id is enough where an address can be made of it."""
        if not isinstance(job_id, str) or not job_id.strip():  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError("The job id is empty; pass the id that the submission gave.")
        return Ref(job_id)

    def build_submission(self, base: str, request: Any, *, key: str, budget: float | None, hold: int) -> Request:
        """Build the submission from the input, a map as JSON has it."""
        return self._calls.build_submission(base, request, key=key, budget=budget, hold=hold)

    def read_submission(self, base: str, request: Request, reply: Reply) -> Snapshot[Any]:
        """Read the answer to a submission: a job, or where it was finished at once, its result."""
        said, reading = self.declaration.submit, Reading(reply, request)
        if reply.status in said.finished and (is_file(reply) or is_prose(reply)):
            reading = reading.blind()
        self._answers.hold_refusal(reading)
        links = self._answers.found(said.links, said.values, reading)
        links |= self._answers.found(self.declaration.status.links, self.declaration.status.values, reading)
        job_id = first_text(said.id, reading) or None
        if job_id is not None and not job_id.isprintable():
            raise BadReply(f"The service's id of the job is no text: {job_id[:80]!r}.", field="submit.id")
        ref = Ref(job_id or last_segment(links), links)
        if reply.status in said.finished and job_id is None and self._calls.poll_of(base, ref) is None:
            done = self._answers.success
            finished = Snapshot[Any](Ref(""), Status(done, State.SUCCEEDED), None)
            return self._answers.outcome(
                self._answers.plain_result(), finished, reading, self._calls.addresses(base, finished.ref)
            )
        if job_id is None and self._calls.poll_of(base, ref) is None:
            key = ("submit", "id") if said.id else ("submit", "links")
            raise BadReply(f"{self.declaration.place(*key)}: nothing was found in the answer.", field=".".join(key))
        word = said.codes.get(reply.status)
        if word is not None:
            return self._answers.seen(ref, self._answers.coded(reading, word), reading)
        status = self._answers.status(reading, self.declaration.status.state, self.declaration.status.absent)
        if status is None:
            status = Status(State.PENDING.value, State.PENDING)
        if not status.done and self._calls.poll_of(base, ref) is None:  # its id alone is no way to ask for it
            where = self.declaration.place("submit", "links")
            raise BadReply(f"{where}: nothing was found in the answer.", field="submit.links")
        return self._answers.seen(ref, status, reading)

    def build_start(self, base: str, ref: Ref) -> Request | None:
        """Build the declared start."""
        call = self.declaration.start
        return None if call is None else self._calls.call(base, ref, call, ("start",), method="POST")

    # --- poll ---

    def build_poll(self, base: str, ref: Ref, *, hold: int, etag: str | None, seen: Status) -> Request:
        """Build the first declared status request that can be built of what is known of the job."""
        found = self._calls.poll_of(base, ref)
        if found is None:
            names = sorted({f"{{{name}}}" for poll in self.declaration.poll for name in poll.needs - {"base"}})
            where, needs = self.declaration.place("poll"), ", ".join(names)
            raise UsageError(f"{where}: this job has no address to be asked at; it would need {needs}.")
        call, key = found
        if hold and call.hold is not None:
            call = call.held
        more = {"hold": str(hold) if hold else None, "word": str(seen) or None}
        return self._calls.call(base, ref, call, key, more, method="GET")

    def read_poll(self, base: str, ref: Ref, reply: Reply) -> Snapshot[Any]:
        """Read a status document, or what stands for one."""
        found = self._calls.poll_of(base, ref)
        assert found is not None  # noqa: S101  (the request was built of it)
        (call, key), said, reading = found, self.declaration.status, Reading(reply)
        word = call.codes.get(reply.status)
        if word is not None:
            links = self._answers.found(said.links, said.values, reading)
            return self._answers.seen(joined(ref, links), self._answers.coded(reading, word), reading)
        self._answers.hold_refusal(reading)
        other = first_text(said.id, reading)
        if other is not None and other != ref.id:
            raise BadReply(f"Asked for job {ref.id!r}, the service answered with another's.", field="status.id")
        status = self._answers.status(reading, call.state or said.state, call.absent or said.absent)
        if status is None:
            where = ("status", "state") if not call.state else (*key, "state")
            raise BadReply(f"{self.declaration.place(*where)}: nothing was found in the answer.", field="status.state")
        ref = joined(ref, self._answers.found(said.links, said.values, reading))
        return self._answers.seen(ref, status, reading)

    def held(self, reply: Reply, *, hold: int, took: float) -> bool:
        """Tell whether the declared proof is there; where none is declared, whether the answer took its time."""
        proofs = self._answers.proofs
        return first(proofs, Reading(reply)) is not MISSING if proofs else took >= 0.9 * hold

    # --- result ---

    def may_be_file(self, leg: Leg) -> bool:
        """Tell whether the answer may be the file: a poll whose code says success, or a result."""
        return leg == "result" or (leg == "poll" and self._answers.may_be_file)

    def is_document(self, ref: Ref, leg: Leg, head: Head) -> bool:
        """Tell whether an answer is a document: by its media type, or because nothing in it is asked for."""
        if leg == "poll":
            found = self._calls.poll_of("", ref)
            return not is_file(head) and not (found and self._answers.told_by_code(found[0], head.status))
        result = self._calls.result_of("", ref)
        return result is None or self._answers.is_document(result[0], head)

    def build_results(self, base: str, snapshot: Snapshot[Any]) -> Request | Snapshot[Any]:
        """Return a succeeded job with its results, or the request for the document that tells them."""
        found = self._calls.result_of(base, snapshot.ref)
        if found is None or not (snapshot.ref.id or snapshot.ref.links):
            return snapshot  # what was answered at once has its result already
        call, key = found
        if call.url is not None:
            return self._calls.call(base, snapshot.ref, call, key, method="GET")
        known = Reading.over(snapshot.value, snapshot.url or base)
        return self._answers.outcome(call, snapshot, known, self._calls.addresses(base, snapshot.ref))

    def read_results(self, base: str, snapshot: Snapshot[Any], reply: Reply) -> Snapshot[Any]:
        """Read the result document; what is none is the file itself."""
        found = self._calls.result_of(base, snapshot.ref)
        assert found is not None  # noqa: S101  (the request was built of it)
        call, key = found
        word = call.codes.get(reply.status)
        if reply.status == 202 if word is None else not self._answers.means(word).ended:
            raise NotReady("The job has succeeded, and its result is not ready yet.", status_code=reply.status)
        if word is not None and self._answers.means(word) is not State.SUCCEEDED:
            problem = self.read_problem(reply)
            return evolve(
                snapshot,
                status=Status(word, self._answers.means(word), error=problem.detail, error_code=problem.error_code),
            )
        if is_page(reply) and not (call.file or call.asks):
            kind = reply.headers.get("content-type", "")
            raise BadReply(
                f"The service answered with {kind} in place of the job's result. If that is right, write file = true, "
                "or a value, into the declaration's [result]."
            )
        if not self._answers.is_document(call, reply):
            asked = self._calls.call(base, snapshot.ref, call, key, method="GET")
            return evolve(snapshot, value=None, files=(itself(asked, reply),))
        return self._answers.outcome(call, snapshot, Reading(reply), self._calls.addresses(base, snapshot.ref))

    def build_reason(self, base: str, snapshot: Snapshot[Any]) -> Request | None:
        """Build the declared request for why a job has failed."""
        call = self.declaration.reason
        if call is None or not self._calls.fits(base, snapshot.ref, call):
            return None
        return self._calls.call(base, snapshot.ref, call, ("reason",), method="GET")

    def read_reason(self, snapshot: Snapshot[Any], reply: Reply) -> Snapshot[Any]:
        """Read why a job has failed."""
        said, reading, status = self.declaration.reason, Reading(reply), snapshot.status
        if said is None:
            return snapshot
        told = Status(
            str(status),
            status.state,
            error=first_text(said.error, reading) or status.error,
            error_code=first_text(said.code, reading) or status.error_code,
        )
        return evolve(snapshot, status=told)

    def file_of_value(self, snapshot: Snapshot[Any]) -> ResultFile | None:
        """Return an inline value as a file: text as it is, anything else as JSON."""
        value = snapshot.value
        if value is None:
            return None
        if snapshot.whole is not None:
            return snapshot.whole
        if isinstance(value, str):
            return ResultFile("result", content=value.encode(errors="replace"), format="text/plain")
        content = json.dumps(value, ensure_ascii=False, indent=2).encode(errors="replace")
        return ResultFile("result", content=content, format="application/json")

    def judge(self, promised: str | None, head: bytes) -> str | None:
        """Hold the first bytes against the promised format; an unknown format is believed."""
        return formats.unlike(promised, head)

    # --- cancel, and errors ---

    def build_cancellation(self, base: str, ref: Ref) -> Request | None:
        """Build the declared cancellation; None where there is none, or nothing to send it to."""
        call = self.declaration.cancel
        if call is None or not self._calls.fits(base, ref, call):
            return None
        return self._calls.call(base, ref, call, ("cancel",), method="DELETE")

    def read_cancellation(self, base: str, ref: Ref, reply: Reply) -> Snapshot[Any] | None:
        """Read the job, if the answer shows it."""
        try:
            reading = Reading(reply)
            status = (
                self._answers.status(reading, self.declaration.status.state) if self.declaration.status.state else None
            )
        except BadReply:
            return None
        if status is None or status.state is State.UNKNOWN or not reply.body:
            return None
        return self._answers.seen(ref, status, reading)

    def read_problem(self, reply: Reply) -> Problem:
        """Read an error answer: by the declared places first, then by the usual names; never raises."""
        return self._answers.read_problem(reply)
