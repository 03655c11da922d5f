"""`DeclaredContract`: a declaration at work, as a `Contract[Any, Any]`.

The input is a map, as JSON has it; the value of a job is the document's part that the declaration points at. Nothing
here knows a service: what is particular to one is in its `.toml` file.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from attrs import evolve, field, frozen

from gofer.contracts import formats
from gofer.contracts.answers import AddressOf, Answers, is_file, is_page, itself, joined, last_segment
from gofer.contracts.base import Contract, Leg, Ref, Snapshot
from gofer.contracts.checks import holes_of
from gofer.contracts.declaration import Call, Declaration, Poll, Result, Templates
from gofer.contracts.payload import Problem, as_map
from gofer.contracts.selectors import (
    MISSING,
    Reading,
    added,
    first,
    first_text,
)
from gofer.contracts.sending import address, built, header
from gofer.contracts.templates import Lookup, Unfilled
from gofer.errors import BadReply, NotReady, UsageError
from gofer.models import ResultFile, State, Status
from gofer.wire import Head, Reply, Request, origin

Key = tuple[str | int, ...]


@frozen
class DeclaredContract(Contract[Any, Any]):
    """What a declaration says, with the values of its variables.

    Attributes:
        declaration: the contract as data.
        variables: the values of its variables, defaults included.
    """

    declaration: Declaration
    variables: Mapping[str, str] = field(factory=dict[str, str], repr=lambda given: str(list(given)))
    name: str = field(init=False)  # pyright: ignore[reportIncompatibleMethodOverride]
    _answers: Answers = field(init=False, repr=False)
    _dressed: frozenset[str] = field(init=False, repr=False)
    _secrets: frozenset[str] = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        said = self.declaration
        object.__setattr__(self, "variables", _variables(said, self.variables))
        for template in (*said.every.headers.values(), *said.every.cookies.values()):
            for hole in template.holes:
                if not self.variables.get(hole.name, "").isascii():
                    raise UsageError(f"The variable {hole.name!r} has characters that no header may have.")
        object.__setattr__(self, "name", f"{said.name}@{said.digest}")
        secrets = frozenset(name for name, variable in said.variables.items() if variable.secret)
        parameters = {
            name for name, template in said.every.query.items() if secrets & {hole.name for hole in template.holes}
        }
        object.__setattr__(self, "_secrets", secrets)
        object.__setattr__(self, "_answers", Answers(said, frozenset(parameters)))
        object.__setattr__(self, "_dressed", frozenset(name.lower() for name in said.every.headers))

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

    def dress(self, base: str, ref: Ref | None, request: Request) -> Request:
        """Add what `[every]` declares to a request to the service's own origin."""
        every = self.declaration.every
        if not (every.query or every.headers or every.cookies):
            return request
        lookup = self._lookup(base, ref)
        url = request.url
        for name, value in _known(every.query, lookup):
            url = added(url, name, value)
        try:
            headers = {name.lower(): header(name, value) for name, value in _known(every.headers, lookup)}
            cookies = [f"{name}={header('cookie', value)}" for name, value in _known(every.cookies, lookup)]
        except UsageError as error:  # the service's own value, as the caller's were checked
            raise BadReply(error.message, field="values") from error
        if cookies:
            headers["cookie"] = "; ".join(cookies)
        return evolve(request, url=url, headers={**headers, **request.headers})

    # --- submit ---

    def ref(self, job_id: str) -> Ref:
        """Return where the job of this id is; an id is enough where an address can be made of it."""
        if not isinstance(job_id, str) or not job_id.strip():  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError("The job id is empty; pass the id that the submission gave.")
        return Ref(job_id)

    def submission(self, base: str, order: Any, *, key: str, budget: float | None, hold: int) -> Request:
        """Build the submission from the input, a map as JSON has it."""
        given = as_map(order)
        if given is None:
            raise UsageError(f"The input is a map, as JSON has it, not {type(order).__name__}.")
        more: dict[str, Any] = {
            "key": key,
            "hold": str(hold) if hold else None,
            "budget": None if budget is None else str(max(1, int(0.9 * budget))),
            "input": given,
        }
        call = self.declaration.submit
        assert call.url is not None  # noqa: S101  (checked when it was read)
        lookup = self._lookup(base, None, more)
        try:
            url = address(call.url, lookup)
            self._hold_origin(base, url, ("submit",))
            return built(call, url, lookup, method="POST", seed=key, dressed=self._dressed)
        except BadReply as error:
            raise UsageError(error.message) from error
        except Unfilled as error:
            missing = error.name.removeprefix("input.")
            has = ", ".join(sorted(given)) or "nothing"
            raise UsageError(
                f"The input has no {missing!r}, which {self.declaration.place('submit')} needs; it has {has}."
            ) from error

    def submitted(self, base: str, request: Request, reply: Reply) -> Snapshot[Any]:
        """Read the answer to a submission: a job, or where it was finished at once, its result."""
        said, reading = self.declaration.submit, Reading(reply, request)
        if reply.status in said.finished and is_file(reply):
            reading = reading.blind()
        self._answers.hold_refusal(reading)
        links = self._answers.found(said.links, said.values, reading)
        links |= self._answers.found(self.declaration.status.links, self.declaration.status.values, reading)
        job_id = first_text(said.id, reading) or None
        if job_id is not None and not job_id.isprintable():
            raise BadReply(f"The service's id of the job is no text: {job_id[:80]!r}.", field="submit.id")
        ref = Ref(job_id or last_segment(links), links)
        if reply.status in said.finished and job_id is None and self._poll_of(base, ref) is None:
            done = self._answers.success
            finished = Snapshot[Any](Ref(""), Status(done, State.SUCCEEDED), None)
            return self._answers.outcome(
                self._answers.plain_result(), finished, reading, self._addresses(base, finished.ref)
            )
        if job_id is None and self._poll_of(base, ref) is None:
            key = ("submit", "id") if said.id else ("submit", "links")
            raise BadReply(f"{self.declaration.place(*key)}: nothing was found in the answer.", field=".".join(key))
        word = said.codes.get(reply.status)
        if word is not None:
            return self._answers.seen(ref, Status(word, self._answers.means(word)), reading)
        status = self._answers.status(reading, self.declaration.status.state, self.declaration.status.absent)
        if status is None:
            status = Status(State.PENDING.value, State.PENDING)
        return self._answers.seen(ref, status, reading)

    def start(self, base: str, ref: Ref) -> Request | None:
        """Build the declared start."""
        call = self.declaration.start
        return None if call is None else self._call(base, ref, call, ("start",), method="POST")

    # --- poll ---

    def poll(self, base: str, ref: Ref, *, hold: int, etag: str | None, seen: Status) -> Request:
        """Build the first declared status request that can be built of what is known of the job."""
        found = self._poll_of(base, ref)
        if found is None:
            needs = ", ".join(sorted({f"{{{hole.name}}}" for poll in self.declaration.poll for hole in _holes(poll)}))
            raise UsageError(
                f"{self.declaration.place('poll')}: this job has no address to be asked at; it would need {needs}."
            )
        call, key = found
        if hold and call.hold is not None:
            call = call.held
        more = {"hold": str(hold) if hold else None, "word": str(seen) or None}
        return self._call(base, ref, call, key, more, method="GET")

    def polled(self, base: str, ref: Ref, reply: Reply) -> Snapshot[Any]:
        """Read a status document, or what stands for one."""
        found = self._poll_of(base, ref)
        assert found is not None  # noqa: S101  (the request was built of it)
        (call, key), said, reading = found, self.declaration.status, Reading(reply)
        word = call.codes.get(reply.status)
        if word is not None:
            links = self._answers.found(said.links, said.values, reading)
            return self._answers.seen(joined(ref, links), Status(word, self._answers.means(word)), reading)
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

    def peeks(self, leg: Leg) -> bool:
        """Tell whether the answer may be the file: a poll whose code says success, or a result."""
        return leg == "result" or (leg == "poll" and self._answers.may_be_file)

    def is_document(self, ref: Ref, leg: Leg, head: Head) -> bool:
        """Tell whether an answer is a document: by its media type, or because nothing in it is asked for."""
        if leg == "poll":
            found = self._poll_of("", ref)
            return not is_file(head) and not (found and self._answers.told_by_code(found[0], head.status))
        result = self._result_of("", ref)
        return result is None or self._answers.is_document(result[0], head)

    def results(self, base: str, snapshot: Snapshot[Any]) -> Request | Snapshot[Any]:
        """Return a succeeded job with its results, or the request for the document that tells them."""
        found = self._result_of(base, snapshot.ref)
        if found is None:
            return snapshot
        call, key = found
        if call.url is not None:
            return self._call(base, snapshot.ref, call, key, method="GET")
        known = Reading.over(snapshot.value, snapshot.url or base)
        return self._answers.outcome(call, snapshot, known, self._addresses(base, snapshot.ref))

    def resulted(self, base: str, snapshot: Snapshot[Any], reply: Reply) -> Snapshot[Any]:
        """Read the result document; what is none is the file itself."""
        found = self._result_of(base, snapshot.ref)
        assert found is not None  # noqa: S101  (the request was built of it)
        call, key = found
        word = call.codes.get(reply.status)
        if reply.status == 202 if word is None else not self._answers.means(word).ended:
            raise NotReady("The job has succeeded, and its result is not ready yet.", status_code=reply.status)
        if word is not None and self._answers.means(word) is not State.SUCCEEDED:
            problem = self.problem(reply)
            return evolve(
                snapshot,
                status=Status(word, self._answers.means(word), error=problem.detail, error_code=problem.error_code),
            )
        if not call.file and is_page(reply):
            raise BadReply("The service answered with a web page in place of the job's result.")
        if not self._answers.is_document(call, reply):
            asked = self._call(base, snapshot.ref, call, key, method="GET")
            return evolve(snapshot, value=None, files=(itself(asked, reply),))
        return self._answers.outcome(call, snapshot, Reading(reply), self._addresses(base, snapshot.ref))

    def reason(self, base: str, snapshot: Snapshot[Any]) -> Request | None:
        """Build the declared request for why a job has failed."""
        call = self.declaration.reason
        if call is None or not self._fits(base, snapshot.ref, call):
            return None
        return self._call(base, snapshot.ref, call, ("reason",), method="GET")

    def reasoned(self, snapshot: Snapshot[Any], reply: Reply) -> Snapshot[Any]:
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

    def packed(self, snapshot: Snapshot[Any]) -> ResultFile | None:
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

    def cancellation(self, base: str, ref: Ref) -> Request | None:
        """Build the declared cancellation; None where there is none, or nothing to send it to."""
        call = self.declaration.cancel
        if call is None or not self._fits(base, ref, call):
            return None
        return self._call(base, ref, call, ("cancel",), method="DELETE")

    def cancelled(self, base: str, ref: Ref, reply: Reply) -> Snapshot[Any] | None:
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

    def problem(self, reply: Reply) -> Problem:
        """Read an error answer: by the declared places first, then by the usual names; never raises."""
        return self._answers.problem(reply)

    # --- building ---

    def _lookup(self, base: str, ref: Ref | None, more: Mapping[str, Any] | None = None) -> Lookup:
        """Make the function that finds variables for one request."""
        known: dict[str, Any] = {"base": base, **self.variables, **(more or {})}
        if ref is not None:
            known["id"] = ref.id or None

        def lookup(name: str) -> Any:
            if name in known:
                return known[name]
            if name.startswith("input."):
                return _member(known.get("input"), name.split(".")[1:])
            if ref is not None and name.startswith("links."):
                return ref.links.get(name[6:])
            return None if ref is None else ref.links.get(name)

        return lookup

    def _call(
        self, base: str, ref: Ref, call: Call, key: Key, more: Mapping[str, Any] | None = None, *, method: str
    ) -> Request:
        """Build a request about a job; its address must not leave the service's origin without leave."""
        lookup = self._lookup(base, ref, more)
        assert call.url is not None  # noqa: S101  (chosen because it has one)
        try:
            url = address(call.url, lookup)
            if not url.startswith(f"{base}/") and url != base and self._hold_origin(base, url, key):
                call = self._without_secrets(call, key)
            return built(call, url, lookup, method=method, seed=ref.id, dressed=self._dressed)
        except Unfilled as error:
            raise UsageError(f"{self.declaration.place(*key)}: {{{error.name}}} has no value for this job.") from error

    def _without_secrets(self, call: Call, key: Key) -> Call:
        """Return what may be sent to another origin of a call: no query and no header with a secret in it."""

        def harmless(templates: Templates) -> Templates:
            return {
                name: one for name, one in templates.items() if not self._secrets & {hole.name for hole in one.holes}
            }

        kept = evolve(call, query=harmless(call.query), headers=harmless(call.headers))
        if self._secrets & {hole.name for hole in holes_of(kept)}:
            raise BadReply(
                f"{self.declaration.place(*key)}: the service points to another origin, and a secret would go there.",
                field=".".join(map(str, key)),
            )
        return kept

    def _addresses(self, base: str, ref: Ref) -> AddressOf:
        """Return the function that makes the addresses of files that are named by no more than an id."""
        return lambda template, item: address(template, self._lookup(base, ref, {"item": item}))

    def _hold_origin(self, base: str, url: str, key: Key) -> bool:
        """Tell whether an address is on another origin; raise `BadReply` where that has no leave."""
        try:
            there = origin(url)
        except UsageError as error:
            raise BadReply(f"{self.declaration.place(*key)}: {error}", field=".".join(map(str, key))) from error
        if there == origin(base):
            return False
        if there not in [origin(allowed) for allowed in self.declaration.origins]:
            raise BadReply(
                f"{self.declaration.place(*key, 'url')}: the service points to {there[0]}://{there[1]}:{there[2]}, "
                f"which is not its own origin. If that is right, write origins = "
                f'["{there[0]}://{there[1]}:{there[2]}"] into the declaration.',
                field=".".join((*map(str, key), "url")),
            )
        return True

    def _fits(self, base: str, ref: Ref, call: Call) -> bool:
        """Tell whether all that a call's address needs is known of this job."""
        lookup = self._lookup(base, ref)
        holes = () if call.url is None else call.url.holes
        return all(hole.optional or lookup(hole.name) is not None for hole in holes)

    def _poll_of(self, base: str, ref: Ref) -> tuple[Poll, Key] | None:
        polls = self.declaration.poll
        for at, poll in enumerate(polls):
            if (ref.id and poll.by_id) or self._fits(base, ref, poll):
                return poll, ("poll", at) if len(polls) > 1 else ("poll",)
        return None

    def _result_of(self, base: str, ref: Ref) -> tuple[Result, Key] | None:
        results = self.declaration.result
        for at, result in enumerate(results):
            if self._fits(base, ref, result):
                return result, ("result", at) if len(results) > 1 else ("result",)
        return None


def _variables(said: Declaration, given: Mapping[str, str]) -> dict[str, str]:
    """Put the caller's values and the defaults together, or raise `UsageError`."""
    unknown = sorted(set(given) - set(said.variables))
    if unknown:
        known = ", ".join(sorted(said.variables)) or "none"
        raise UsageError(f"{said.source or said.name} has no variable {unknown[0]!r}; its variables: {known}.")
    values: dict[str, str] = {}
    for name, variable in said.variables.items():
        value = given.get(name, variable.default)
        if value is None:
            about = f" ({variable.about})" if variable.about else ""
            raise UsageError(f"{said.name} needs the variable {name!r}{about}: pass variables={{{name!r}: …}}.")
        if not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(f"The variable {name!r} is text, not {type(value).__name__}.")
        if not value.isprintable():
            raise UsageError(f"The variable {name!r} has characters that cannot be sent (value not shown).")
        values[name] = value
    return values


def _holes(call: Call) -> Iterable[Any]:
    return () if call.url is None else call.url.holes


def _member(value: Any, names: list[str]) -> Any:
    for name in names:
        value = (as_map(value) or {}).get(name)
    return value


def _known(templates: Templates, lookup: Lookup) -> Iterator[tuple[str, str]]:
    """Yield what has a value by now, filled."""
    for name, template in templates.items():
        with contextlib.suppress(Unfilled):
            value = template.fill(lookup)
            if value:
                yield name, value
