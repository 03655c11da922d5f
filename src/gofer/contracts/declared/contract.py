"""`DeclaredContract`: a declaration at work, as a `Contract[Any, Any]`.

The input is a map, as JSON has it; the value of a job is the part of a document that the declaration points at. What is
sent is built by `calls.py`; what comes is read by `statuses.py`, `links.py`, `results.py` and `refusals.py`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import unquote

from attrs import evolve, field, frozen

from gofer.contracts import formats
from gofer.contracts.base import Contract, Leg, Look, Ref, Snapshot
from gofer.contracts.declared import refusals
from gofer.contracts.declared.calls import Calls
from gofer.contracts.declared.declaration import Declaration
from gofer.contracts.declared.inputs import Prepared, as_plain, from_plain
from gofer.contracts.declared.links import id_of_link, links_in, with_links
from gofer.contracts.declared.media import is_file, is_multipart, is_page, is_plain_text
from gofer.contracts.declared.parts import Result
from gofer.contracts.declared.results import file_at, files_in, is_document, with_result
from gofer.contracts.declared.selectors import MISSING, Reading, first, first_text
from gofer.contracts.declared.statuses import may_be_result, snapshot_of, status_in, status_of_code
from gofer.contracts.declared.urls import resolve, without
from gofer.contracts.payload import Problem, as_list, as_map
from gofer.errors import BadReply, NotReady, ServiceError, UsageError
from gofer.models import ResultFile, State, Status
from gofer.wire import Head, Reply, Request, climbs, may_be_id, origin


@frozen
class DeclaredContract(Contract[Any, Any]):
    """A declaration with the values of its variables.

    Attributes:
        declaration: the contract as data.
        variables: the values of its variables, defaults included.
    """

    declaration: Declaration
    variables: Mapping[str, str] = field(factory=dict[str, str], repr=lambda values: str(list(values)))
    name: str = field(init=False)
    _calls: Calls = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        calls = Calls(self.declaration, self.variables)
        object.__setattr__(self, "variables", calls.variables)
        object.__setattr__(self, "name", f"{self.declaration.name}@{self.declaration.digest}")
        object.__setattr__(self, "_calls", calls)

    # --- what the service can do ---

    @property
    def replays_keys(self) -> Literal["yes", "no", "ask"]:
        """Yes where the declaration says that the submission is idempotent."""
        return "yes" if self.declaration.submit.idempotent else "no"

    def is_idempotent(self, request: Request) -> bool:
        """Tell it by the method, unless the declaration says `idempotent = false`."""
        return self.declaration.submit.idempotent is not False and super().is_idempotent(request)

    @property
    def sends_key(self) -> bool:
        """Whether the submission has a `{key}`."""
        return self.declaration.submit.sends_key

    @property
    def keeps_keys(self) -> float:
        """The declaration's `submit.keeps_keys`, in seconds."""
        return self.declaration.submit.keeps_keys

    @property
    def grace(self) -> float | None:
        """The declaration's `grace`, in seconds."""
        return self.declaration.grace

    def means_later(self, status: int, code: str | None) -> bool:
        """Tell whether the declaration has this HTTP status, or this code of the service's own, in `[later]`."""
        return self.declaration.later.have(status, code)

    def refusal_of(self, leg: Leg, reply: Reply) -> tuple[type[ServiceError], bool] | None:
        """Say what the declaration's `[refusal]` says that this answer means."""
        found = refusals.refusal_in(self.declaration, leg, Reading(reply))
        return None if found is None else refusals.kind_of(found)

    def refuses_credentials(self, status: int, code: str | None) -> bool:
        """Tell whether the declaration has this HTTP status, or this code of the service's own, in `[unauthorized]`."""
        return self.declaration.unauthorized.have(status, code)

    @property
    def folders(self) -> bool:
        """Always: only the replies say how many files there are."""
        return True

    def reads(self, leg: Leg, status: int) -> bool:
        """Tell whether a reply of this status is the declaration's: 2xx, and the codes that it names."""
        return 200 <= status < 300 or status in self.declaration.codes.get(leg, ())

    def add_to_every(self, base: str, ref: Ref | None, request: Request) -> Request:
        """Add what `[every]` declares to a request to the service's own origin."""
        return self._calls.add_to_every(base, ref, request)

    # --- tokens ---

    def build_token(self, base: str) -> Request | None:
        """Build the declared request for a token."""
        call = self.declaration.token
        return None if call is None else self._calls.build_token(base, call)

    def read_token(self, reply: Reply) -> tuple[Mapping[str, str], float | None] | None:
        """Read the token and its lifetime."""
        call, reading = self.declaration.token, Reading(reply)
        token = None if call is None or not 200 <= reply.status < 300 else first_text(call.token, reading)
        if call is None or not token:
            return None
        life = first_text(call.life, reading) or ""
        seconds = float(life) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", life) else None
        return self._calls.token_headers(token, call.sends), seconds

    # --- submit ---

    def build_upload(self, base: str, request: Any, *, key: str) -> Request | None:
        """Build the next declared upload of the input."""
        return self._calls.build_upload(base, request, key=key)

    def read_upload(self, base: str, request: Any, reply: Reply) -> Prepared:
        """Read the links and values that the answer has."""
        prepared, reading = Prepared.of(request), Reading(reply)
        if origin(reply.url) == origin(base):
            refusals.raise_refusal(self.declaration, "upload", reading)
        upload = self.declaration.upload[prepared.done]
        return prepared.after(links_in(reading, self._calls.secret_parameters, upload))

    def build_submission(self, base: str, request: Any, *, key: str, budget: float | None, hold: int) -> Request:
        """Build the submission from the input, a map as JSON has it."""
        return self._calls.build_submission(base, request, key=key, budget=budget, hold=hold)

    def to_json(self, request: Any) -> object:
        """Return an input as plain JSON; a path is written so that it is read as one."""
        return as_plain(request)

    def from_json(self, value: object) -> object:
        """Return the input that `to_json` has made this of."""
        return from_plain(value)

    def read_submission(self, base: str, request: Request, reply: Reply) -> Snapshot[Any]:
        """Read the answer to a submission: a job, or where it was finished at once, its result."""
        submit, document, reading = self.declaration.submit, self.declaration.status, Reading(reply, request)
        if reply.status in submit.finished and (is_file(reply) or is_plain_text(reply)):
            reading = reading.without_document()
        refusals.raise_refusal(self.declaration, "submit", reading)
        links = {**links_in(reading, self._calls.secret_parameters, submit, document), **request.kept}
        job_id = first_text(submit.id, reading) or None
        if job_id is not None and (climbs(job_id) or not may_be_id(job_id)):
            raise BadReply(f"The service's id of the job is none: {job_id[:80]!r}.", field="submit.id")
        ref = Ref(job_id or id_of_link(links), links)
        poll = self._calls.first_of(base, ref, self.declaration.poll)
        if job_id is None and poll is None:
            if reply.status not in submit.finished:
                raise self.declaration.nothing_found(reading, "submit", "id" if submit.id else "links")
            states = self.declaration.states
            success = State.SUCCEEDED.value if states is None else states.succeeded[0]
            finished = Snapshot[Any](Ref(""), Status(success, State.SUCCEEDED), None)
            results = (one for one in self.declaration.result if one.value or one.files or one.failed)
            return with_result(self._calls, base, next(results, Result()), finished, reading)
        word, state, absent = submit.codes.get(reply.status), document.state, document.absent
        if poll is not None:  # what its answers mean, this one does; but a code of success may only have made the job
            state, absent, meant = poll.state or state, poll.absent or absent, poll.codes.get(reply.status)
            if word is None and meant is not None and not self.declaration.meaning(meant).ended:
                word = meant
        if word is not None:
            status = status_of_code(self.declaration, reading, word)
        else:
            found = status_in(self.declaration, reading, state, absent)
            status = found or Status(State.PENDING.value, State.PENDING)
            if not status.done and poll is None:  # its id alone is not enough for a status request
                raise self.declaration.nothing_found(reading, "submit", "links")
        return self._snapshot(base, ref, status, reading)

    def existing(self, base: str, request: Request, reply: Reply) -> Snapshot[Any] | None:
        """Return the job that a refusal names, if the declaration says that it exists and is the caller's."""
        reading = Reading(reply, request)
        found = refusals.refusal_in(self.declaration, "submit", reading)
        return self._named(base, request, reading) if found is not None and found.means == "exists" else None

    def job_of(self, base: str, request: Request, key: str) -> Snapshot[Any] | None:
        """Return the job that `sent:` finds in a submission, if it is named by the key and can be asked for."""
        found = self._named(base, request, Reading(Reply("", 204), request)) if self.sends_key and key else None
        named = found is not None and any(key in unquote(text) for text in (found.ref.id, *found.ref.links.values()))
        return found if named else None

    def _named(self, base: str, request: Request, reading: Reading) -> Snapshot[Any] | None:
        """Return the job that an answer or the submission itself names, if it can be asked for."""
        submit = self.declaration.submit
        with contextlib.suppress(BadReply):
            links = {**links_in(reading, self._calls.secret_parameters, submit), **request.kept}
            ref = Ref(first_text(submit.id, reading) or id_of_link(links), links)
            found = ref.id and may_be_id(ref.id) and not climbs(ref.id)
            if found and self._calls.first_of(base, ref, self.declaration.poll) is not None:
                return Snapshot(ref, Status(State.PENDING.value, State.PENDING), None)
        return None

    def build_start(self, base: str, ref: Ref) -> Request | None:
        """Build the declared start."""
        call = self.declaration.start
        return None if call is None else self._calls.build(base, ref, call)

    # --- poll ---

    def build_poll(self, base: str, ref: Ref, *, hold: int, etag: str | None, seen: Status) -> Request:
        """Build the first declared status request for which the job has all variables."""
        call = self._calls.first_of(base, ref, self.declaration.poll)
        if call is None:
            names = sorted({f"{{{name}}}" for poll in self.declaration.poll for name in poll.required - {"base"}})
            where, needs = self.declaration.place("poll"), ", ".join(names)
            raise UsageError(f"{where}: this job has no address for a status request; it would need {needs}.")
        if hold and call.hold is not None:
            call = call.held
        return self._calls.build(base, ref, call, {"hold": str(hold) if hold else None, "word": str(seen) or None})

    def read_poll(self, base: str, ref: Ref, reply: Reply) -> Snapshot[Any]:
        """Read a status document, or what stands for one."""
        call = self._calls.first_of(base, ref, self.declaration.poll)
        assert call is not None  # noqa: S101  (the request was built of it)
        document, reading = self.declaration.status, Reading(reply)
        word = call.codes.get(reply.status)
        if word is None or reply.status >= 400:
            refusals.raise_refusal(self.declaration, "poll", reading)
        if word is not None:
            status = status_of_code(self.declaration, reading, word)
        else:
            other = first_text(document.id, reading)
            if other is not None and other != ref.id:
                raise BadReply(f"Asked for job {ref.id!r}, the service answered with another's.", field="status.id")
            found = status_in(self.declaration, reading, call.state or document.state, call.absent or document.absent)
            if found is None:
                key = self.declaration.key_of(call) if call.state else ("status",)
                error = self.declaration.nothing_found(reading, *key, "state")
                error.stateless = True
                raise error
            status = found
        there = word is not None and status.state is State.SUCCEEDED and reply.status != 204
        unread = there and reply.headers.get("content-length") != "0" and not self.is_document(ref, "poll", reply)
        files = (file_at(self._calls.build(base, ref, call), reply),) if unread else ()
        ref = with_links(ref, links_in(reading, self._calls.secret_parameters, document))
        snapshot = self._snapshot(base, ref, status, reading)
        return evolve(snapshot, files=files) if files else snapshot

    @property
    def holds(self) -> bool:
        """Whether a status request says for how long it may be held."""
        return self.declaration.holds

    def held(self, reply: Reply, *, hold: int, took: float) -> bool:
        """Tell whether the declared proof is there; where none is declared, whether the answer took its time."""
        proofs = self.declaration.proofs
        return first(proofs, Reading(reply)) is not MISSING if proofs else took >= 0.9 * hold

    @property
    def most_at_once(self) -> int:
        """The `most` of `[poll.many]`, or any number where it asks for all; without it none."""
        if self.declaration.many is None:
            return 0
        return sys.maxsize if self.lists_jobs else self.declaration.many[1].most

    @property
    def lists_jobs(self) -> bool:
        """Whether there is a `[poll.many]` without `{ids}`."""
        many = self.declaration.many
        return many is not None and all(hole.name != "ids" for hole in many[1].holes)

    def build_many(self, base: str, ids: Sequence[str], page: str | None) -> Request:
        """Build the request of `[poll.many]`, or that for its next page."""
        return self._calls.build_many(base, ",".join(ids), page)

    def read_many(self, base: str, reply: Reply) -> Look:
        """Read the jobs that the entries show, with their links; entries without an id are passed over."""
        assert self.declaration.many is not None  # noqa: S101  (the request was built of it)
        (key, many), status = self.declaration.many, self.declaration.status
        reading = Reading(reply)
        refusals.raise_refusal(self.declaration, "poll", reading)
        found = first(many.under, reading) if many.under else reading.document
        entries = as_list(found) or list((as_map(found) or {}).values())
        if found is MISSING:
            raise self.declaration.nothing_found(reading, *key, "under")
        jobs = dict[str, Snapshot[Any]]()
        for entry in entries:
            one = Reading.over(entry, reply.url)
            job_id, shown = first_text(many.id, one), status_in(self.declaration, one, status.state, status.absent)
            if job_id is not None and may_be_id(job_id) and not climbs(job_id):
                links = dict[str, str]()
                with contextlib.suppress(BadReply):  # no link: one entry is not to cost all others
                    links = links_in(one, self._calls.secret_parameters, status)
                jobs[job_id] = Snapshot(Ref(job_id, links), shown or Status(""), None)
        return Look(jobs, first_text(many.next, reading) or None)

    # --- result ---

    def may_be_file(self, leg: Leg) -> bool:
        """Tell whether the answer may be the file: to a status request whose code may mean success, or a result's."""
        return leg == "result" or (leg == "poll" and self.declaration.code_may_succeed)

    def is_document(self, ref: Ref, leg: Leg, head: Head) -> bool:
        """Tell whether an answer is a document: by its media type, or because something is read out of it."""
        if leg == "poll":
            poll = self._calls.first_of("", ref, self.declaration.poll)
            return not is_file(head) and not (poll and may_be_result(self.declaration, poll, head))
        result = self._calls.result_for("", ref, head)
        return result is not None and is_document(result, head)

    def build_results(self, base: str, snapshot: Snapshot[Any]) -> Request | Snapshot[Any]:
        """Return a succeeded job with its results, or the request for the document that has them."""
        result = self._calls.first_of(base, snapshot.ref, self.declaration.result)
        if not (snapshot.ref.id or snapshot.ref.links):
            return snapshot  # what was answered at once has its result already
        if result is None:
            if not self.declaration.result:
                return self._last_answer(base, snapshot, Result())
            declared = self.declaration.result[0]
            wanted = [condition.name for condition in declared.needs]
            names = ", ".join(f"{{{name}}}" for name in sorted({*declared.required, *wanted} - {"base", "id"}))
            key = *self.declaration.key_of(declared), "url"
            raise self.declaration.no_result(f"nothing is there for {names}", *key)
        if result.url is not None:
            return self._calls.build(base, snapshot.ref, result)
        if not (result.value or result.failed or result.files):
            return self._last_answer(base, snapshot, result)
        result = self._calls.result_for(base, snapshot.ref, snapshot.answer) or result
        last = Reading.over(snapshot.value, snapshot.url or base)
        if snapshot.answer is not None and (result.value or result.failed):
            last = Reading(snapshot.answer)
        return with_result(self._calls, base, result, snapshot, last)

    def _last_answer(self, base: str, snapshot: Snapshot[Any], result: Result) -> Snapshot[Any]:
        """Take the last answer as the result: the status document, or what came with the code that meant success."""
        answer, poll = snapshot.answer, self._calls.first_of(base, snapshot.ref, self.declaration.poll)
        if answer is None or poll is None or answer.status not in poll.codes:
            return snapshot
        return with_result(self._calls, base, result, snapshot, Reading(answer))

    def read_results(self, base: str, snapshot: Snapshot[Any], reply: Reply) -> Snapshot[Any]:
        """Read the result document; an answer that is none is the file itself."""
        chosen = self._calls.first_of(base, snapshot.ref, self.declaration.result)
        if chosen is None:  # another page of what was finished at once
            chosen = next((one for one in self.declaration.result if one.value or one.files), Result())
        result = self._calls.result_for(base, snapshot.ref, reply) or chosen
        word = result.codes.get(reply.status)
        state = None if word is None else self.declaration.meaning(word)
        if reply.status == 202 if state is None else not state.ended:
            raise NotReady("The job has succeeded, and its result is not ready yet.", status_code=reply.status)
        if word is not None and state is not None and state is not State.SUCCEEDED:
            problem = self.read_problem(reply)
            status = Status(word, state, error=problem.detail, error_code=problem.error_code)
            return evolve(snapshot, status=status, more=())
        if is_page(reply) and not (result.file or result.asks):
            raise BadReply(
                f"The service answered with {reply.headers['content-type']} in place of the job's result. "
                "If that is right, write file = true, or a value, into the declaration's [result]."
            )
        if not result.reads(reply):
            kinds, kind = ", ".join(result.type), reply.media_type or "no type"
            raise self.declaration.bad_reply(
                f"the answer is {kind}, and the results here are {kinds}.", *self.declaration.key_of(result), "type"
            )
        if snapshot.more and (not is_document(result, reply) or is_multipart(reply)):
            raise self.declaration.bad_reply(f"a page is {reply.media_type}, which is no document.", "result", "next")
        if not is_document(result, reply):
            request = self._calls.build(base, snapshot.ref, result)
            return evolve(snapshot, value=None, files=(file_at(request, reply),))
        return with_result(self._calls, base, result, snapshot, Reading(reply))

    def _snapshot(self, base: str, ref: Ref, status: Status, reading: Reading) -> Snapshot[Any]:
        """Make a snapshot; if the job has not succeeded, with the files that `[result]` finds in this very answer."""
        snapshot = snapshot_of(self.declaration, ref, status, reading)
        for result in () if status.state is State.SUCCEEDED else self.declaration.result:
            if result.files and result.url is None:
                try:
                    files = files_in(self._calls, base, result, ref, reading)
                except BadReply:  # the answer is a status all the same
                    continue
                if files and result is self._calls.first_of(base, ref, self.declaration.result):
                    return evolve(snapshot, files=files)
        return snapshot

    def build_partial(self, base: str, snapshot: Snapshot[Any]) -> Request | None:
        """Build the request of `[result]`, if it has one."""
        result = self._calls.first_of(base, snapshot.ref, self.declaration.result)
        return None if result is None or result.url is None else self._calls.build(base, snapshot.ref, result)

    def read_partial(self, base: str, snapshot: Snapshot[Any], reply: Reply) -> tuple[ResultFile, ...]:
        """Read the files that a result document names; an answer that is none is the file itself."""
        result = self._calls.result_for(base, snapshot.ref, reply)
        if result is None:
            return ()
        if is_document(result, reply):
            return files_in(self._calls, base, result, snapshot.ref, Reading(reply))
        if is_page(reply) and not result.file:
            return ()
        return (file_at(self._calls.build(base, snapshot.ref, result), reply),)

    def build_reason(self, base: str, snapshot: Snapshot[Any]) -> Request | None:
        """Build the declared request for why a job has failed."""
        return self._calls.build_if_possible(base, snapshot.ref, self.declaration.reason)

    def read_reason(self, snapshot: Snapshot[Any], reply: Reply) -> Snapshot[Any]:
        """Read why a job has failed, or where the text is that says it, which is read as it is."""
        reason, reading, status = self.declaration.reason, Reading(reply), snapshot.status
        if reason is None:
            return snapshot
        error, code, more = status.error, status.error_code, list[Request]()
        if not snapshot.more:
            error, code = first_text(reason.error, reading) or error, first_text(reason.code, reading) or code
            link = first_text(reason.link, reading)
            address = "" if link is None else without(resolve(reply.url, link), self._calls.secret_parameters)
            if address.startswith(("http://", "https://")):
                more = [Request("GET", address, {"accept": "text/plain, */*;q=0.5"})]
        elif 200 <= reply.status < 300 and not is_page(reply):
            error = reply.body.decode("utf-8", "replace").strip() or error
        explained = Status(str(status), status.state, error=error, error_code=code)
        return evolve(snapshot, status=explained, more=tuple(more))

    def file_of_value(self, snapshot: Snapshot[Any]) -> ResultFile | None:
        """Return an inline value as a file: text as it is, anything else as JSON."""
        value = snapshot.value
        if value is None:
            return None
        if snapshot.document_file is not None:
            return snapshot.document_file
        text = isinstance(value, str)
        content = value if text else json.dumps(value, ensure_ascii=False, indent=2)
        return ResultFile(
            "result", content=content.encode(errors="replace"), format="text/plain" if text else "application/json"
        )

    def judge(self, promised: str | None, head: bytes) -> str | None:
        """Compare the first bytes with the promised format; a format that gofer cannot check is believed."""
        return formats.unlike(promised, head)

    # --- cancel, and errors ---

    def build_cancellation(self, base: str, ref: Ref) -> Request | None:
        """Build the declared cancellation; None where there is none, or the job lacks a variable of it."""
        return self._calls.build_if_possible(base, ref, self.declaration.cancel)

    def read_cancellation(self, base: str, ref: Ref, reply: Reply) -> Snapshot[Any] | None:
        """Read the job, if the answer or its HTTP code shows it."""
        cancel = self.declaration.cancel
        word = None if cancel is None else cancel.codes.get(reply.status)
        if word is None:
            return self._shown(base, ref, reply, "cancel")
        return self._snapshot(base, ref, Status(word, self.declaration.meaning(word)), Reading(reply))

    def _shown(self, base: str, ref: Ref, reply: Reply, leg: Leg) -> Snapshot[Any] | None:
        reading, places = Reading(reply), self.declaration.status.state
        refusals.raise_refusal(self.declaration, leg, reading)
        try:
            status = status_in(self.declaration, reading, places) if places and reply.body else None
        except BadReply:
            return None
        if status is None or status.state is State.UNKNOWN:
            return None
        return self._snapshot(base, ref, status, reading)

    def build_answer(self, base: str, ref: Ref, answer: object, question: object) -> Request | None:
        """Build the declared answer; its key is the same whenever the same is answered to the same question."""
        call = self.declaration.answer
        try:
            seed = json.dumps([ref.id, question, answer], ensure_ascii=False).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise UsageError(f"An answer is plain JSON: {error}.") from error
        key = hashlib.sha256(seed).hexdigest()[:32]
        return None if call is None else self._calls.build(base, ref, call, {"answer": answer, "key": key})

    def read_answer(self, base: str, ref: Ref, reply: Reply) -> Snapshot[Any] | None:
        """Read the job, if what the service says to an answer shows it."""
        return self._shown(base, ref, reply, "answer")

    def build_discard(self, base: str, ref: Ref) -> Request | None:
        """Build the declared request that throws the job away."""
        return self._calls.build_if_possible(base, ref, self.declaration.discard)

    def read_problem(self, reply: Reply) -> Problem:
        """Read an error answer: by the declared places first, then by the usual names; never raises."""
        return refusals.read_problem(self.declaration, reply)
