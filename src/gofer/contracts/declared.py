"""`DeclaredContract`: a declaration at work, as a `Contract[Any, Any]`.

The input is a map, as JSON has it; the value of a job is the document's part that the declaration points at. Nothing
here knows a service: what is particular to one is in its `.toml` file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal
from urllib.parse import unquote, urljoin, urlsplit

from attrs import evolve, field, frozen

from gofer.contracts import formats, payload
from gofer.contracts.base import Contract, Leg, Ref, Snapshot
from gofer.contracts.declaration import Call, Declaration, Files, Poll, Result
from gofer.contracts.payload import Problem, as_list, as_map
from gofer.contracts.selectors import (
    MISSING,
    Places,
    Reading,
    Selector,
    added,
    first,
    first_text,
    found_under,
    text_of,
    without,
)
from gofer.contracts.sending import address, built, for_address, header_values
from gofer.contracts.templates import Lookup, Unfilled
from gofer.errors import BadReply, NotReady, Rejected, UsageError
from gofer.models import ResultFile, State, Status
from gofer.wire import Head, Reply, Request, origin

Key = tuple[str | int, ...]

_DISPOSITION = (
    Selector.parse("header:content-disposition ~ (?i)filename\\*=utf-8'[^']*'([^;\\s]+)"),
    Selector.parse('header:content-disposition ~ (?i)filename="?([^";]+)'),
)


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
    _words: Mapping[str, State] = field(init=False, repr=False)
    _secret: frozenset[str] = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        said = self.declaration
        object.__setattr__(self, "variables", _variables(said, self.variables))
        object.__setattr__(self, "name", f"{said.name}@{said.digest}")
        object.__setattr__(self, "_words", said.words)
        secret = {name for name, variable in said.variables.items() if variable.secret}
        parameters = {
            name for name, template in said.every.query.items() if any(hole.name in secret for hole in template.holes)
        }
        object.__setattr__(self, "_secret", frozenset(parameters))

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
        lookup = self._lookup(base, ref, lenient=True)
        url = request.url
        for name, template in every.query.items():
            value = _or_none(template.fill(lookup))
            url = url if value is None else added(url, name, value)
        headers = header_values(every.headers, lookup)
        cookies = [f"{name}={value}" for name, template in every.cookies.items() if (value := template.fill(lookup))]
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
            return built(call, address(call.url, lookup), lookup, method="POST", seed=key)
        except Unfilled as error:
            missing = error.name.removeprefix("input.")
            has = ", ".join(sorted(given)) or "nothing"
            raise UsageError(
                f"The input has no {missing!r}, which {self.declaration.place('submit')} needs; it has {has}."
            ) from error

    def submitted(self, base: str, request: Request, reply: Reply) -> Snapshot[Any]:
        """Read the answer to a submission: a job, or where it was finished at once, its result."""
        said, reading = self.declaration.submit, Reading(reply, request)
        self._hold_refusal(reading)
        links = self._found(said.links, said.values, reading)
        links |= self._found(self.declaration.status.links, self.declaration.status.values, reading)
        job_id = first_text(said.id, reading)
        ref = Ref(job_id or _last_segment(links), links)
        if reply.status in said.finished and job_id is None and self._poll_of(base, ref) is None:
            done = next((word for word, state in self._words.items() if state is State.SUCCEEDED), "succeeded")
            finished = Snapshot[Any](Ref(""), Status(done, State.SUCCEEDED), None)
            return self._outcome(base, self._plain_result(), finished, reading)
        if job_id is None and self._poll_of(base, ref) is None:
            key = ("submit", "id") if said.id else ("submit", "links")
            raise BadReply(f"{self.declaration.place(*key)}: nothing was found in the answer.", field=".".join(key))
        word = said.codes.get(reply.status)
        if word is not None:
            return self._seen(ref, Status(word, self._means(word)), None)
        status = self._status(reading, self.declaration.status.state)
        if status is None:
            status = Status(State.PENDING.value, State.PENDING)
        return self._seen(ref, status, None if reading.tree is MISSING else reading.tree)

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
            query, headers = {**call.query, **call.hold.query}, {**call.headers, **call.hold.headers}
            call = evolve(call, query=query, headers=headers)
        more = {"hold": str(hold) if hold else None, "word": str(seen) or None}
        return self._call(base, ref, call, key, more, method="GET")

    def polled(self, base: str, ref: Ref, reply: Reply) -> Snapshot[Any]:
        """Read a status document, or what stands for one."""
        found = self._poll_of(base, ref)
        assert found is not None  # noqa: S101  (the request was built of it)
        (call, key), said, reading = found, self.declaration.status, Reading(reply)
        word = call.codes.get(reply.status)
        if word is not None:
            links = self._found(said.links, said.values, reading)
            return self._seen(_joined(ref, links), Status(word, self._means(word)), None)
        self._hold_refusal(reading)
        other = first_text(said.id, reading)
        if other is not None and other != ref.id:
            raise BadReply(f"Asked for job {ref.id!r}, the service answered with another's.", field="status.id")
        status = self._status(reading, call.state or said.state, call.absent)
        if status is None:
            where = ("status", "state") if not call.state else (*key, "state")
            raise BadReply(f"{self.declaration.place(*where)}: nothing was found in the answer.", field="status.state")
        ref = _joined(ref, self._found(said.links, said.values, reading))
        return self._seen(ref, status, None if reading.tree is MISSING else reading.tree)

    def held(self, reply: Reply, *, hold: int, took: float) -> bool:
        """Tell whether the declared proof is there; where none is declared, whether the answer took its time."""
        proofs = [poll.hold.proof for poll in self.declaration.poll if poll.hold is not None and poll.hold.proof]
        if proofs:
            return any(first(proof, Reading(reply)) is not MISSING for proof in proofs)
        return took >= 0.9 * hold

    # --- result ---

    def peeks(self, leg: Leg) -> bool:
        """Tell whether the answer may be the file: a poll whose code says success, or a result."""
        if leg == "result":
            return True
        codes = (word for poll in self.declaration.poll for word in poll.codes.values())
        return leg == "poll" and any(self._means(word) is State.SUCCEEDED for word in codes)

    def is_document(self, leg: Leg, head: Head) -> bool:
        """Tell by its media type whether an answer is a document."""
        kind = head.headers.get("content-type", "").partition(";")[0].strip().lower()
        if leg == "result" and any(result.file for result in self.declaration.result):
            return head.status not in (200, 203)
        texts = any(place.text.startswith("text:") for result in self.declaration.result for place in result.value)
        return not kind or "json" in kind or "xml" in kind or (texts and kind.startswith("text/"))

    def results(self, base: str, snapshot: Snapshot[Any]) -> Request | Snapshot[Any]:
        """Return a succeeded job with its results, or the request for the document that tells them."""
        found = self._result_of(base, snapshot.ref)
        if found is None:
            return snapshot
        call, key = found
        if call.url is not None:
            return self._call(base, snapshot.ref, call, key, method="GET")
        known = Reading.over(snapshot.value, base)
        return self._outcome(base, call, snapshot, known)

    def resulted(self, base: str, snapshot: Snapshot[Any], reply: Reply) -> Snapshot[Any]:
        """Read the result document; what is none is the file itself."""
        found = self._result_of(base, snapshot.ref)
        assert found is not None  # noqa: S101  (the request was built of it)
        call, key = found
        word = call.codes.get(reply.status)
        if word is not None and not self._means(word).ended:
            raise NotReady("The job has succeeded, and its result is not ready yet.", status_code=reply.status)
        if word is not None and self._means(word) is not State.SUCCEEDED:
            problem = self.problem(reply)
            return evolve(
                snapshot,
                status=Status(word, self._means(word), error=problem.detail, error_code=problem.error_code),
            )
        if not self.is_document("result", reply):
            asked = self._call(base, snapshot.ref, call, key, method="GET")
            return evolve(snapshot, value=None, files=(_itself(asked, reply),))
        return self._outcome(base, call, snapshot, Reading(reply))

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
        if isinstance(value, str):
            return ResultFile("result.txt", content=value.encode(), format="text/plain")
        content = json.dumps(value, ensure_ascii=False, indent=2).encode()
        return ResultFile("result.json", content=content, format="application/json")

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
            status = self._status(reading, self.declaration.status.state) if self.declaration.status.state else None
        except BadReply:
            return None
        if status is None or status.state is State.UNKNOWN or not reply.body:
            return None
        return self._seen(ref, status, None if reading.tree is MISSING else reading.tree)

    def problem(self, reply: Reply) -> Problem:
        """Read an error answer: by the declared places first, then by the usual names; never raises."""
        said, reading = self.declaration.status, Reading(reply)
        try:
            error, code = first_text(said.error, reading), first_text(said.code, reading)
        except BadReply:
            return Problem()
        usual = payload.problem(reply)
        if error is None and usual.detail is None and reading.root:
            error = _words_in(reading.tree)
        return Problem(code or usual.error_code, error or usual.detail)

    # --- reading ---

    def _means(self, word: str) -> State:
        meant = self._words.get(word.casefold())
        if meant is not None:
            return meant
        states = self.declaration.states
        return State.UNKNOWN if states is None or states.other is None else State(states.other)

    def _status(self, reading: Reading, places: Places, absent: str | None = None) -> Status | None:
        """Read a status; None where the document has no word for it."""
        said = self.declaration.status
        word = first_text(places, reading)
        word = word if word is not None else absent or said.absent
        failed = bool(said.failed) and first(said.failed, reading) is not MISSING
        cancelled = bool(said.cancelled) and first(said.cancelled, reading) is not MISSING
        if word is None and not failed and not cancelled:
            return None
        meant = self._means(word or "")
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

    def _seen(self, ref: Ref, status: Status, document: Any) -> Snapshot[Any]:
        start = self.declaration.start
        idle = (
            start is not None
            and status.state is State.PENDING
            and (not start.when or status.casefold() in [word.casefold() for word in start.when])
        )
        return Snapshot(ref, status, document, idle=idle)

    def _found(self, links: Mapping[str, Places], values: Mapping[str, Places], reading: Reading) -> dict[str, str]:
        """Read links, made absolute and without secret parameters, and values."""
        found: dict[str, str] = {}
        for name, places in links.items():
            link = first_text(places, reading)
            if link:
                found[name] = without(urljoin(reading.reply.url, link), self._secret)
        for name, places in values.items():
            value = first_text(places, reading)
            if value is not None:
                found[f"values.{name}"] = value
        return found

    def _plain_result(self) -> Result:
        """Return the first result that says what is in its document."""
        return next((one for one in self.declaration.result if one.value or one.files or one.failed), Result())

    def _outcome(self, base: str, call: Result, snapshot: Snapshot[Any], reading: Reading) -> Snapshot[Any]:
        """Read value and files out of the result document."""
        reply = reading.reply
        if reply.body and not self.is_document("result", reply):
            kind = reply.headers.get("content-type")
            whole = ResultFile("result", size=len(reply.body), format=kind, content=reply.body)
            return evolve(snapshot, value=None, files=(whole,))
        if call.failed and first(call.failed, reading) is not MISSING:
            error, code = first_text(call.error, reading), first_text(call.code, reading)
            error = error if error is not None else text_of(first(call.failed, reading))
            status = Status(str(snapshot.status), State.FAILED, error=error, error_code=code)
            return evolve(snapshot, status=status)
        self._hold_refusal(reading)
        value: Any = None
        if not call.value:
            value = None if reading.document is MISSING else reading.document
        else:
            value = first(call.value, reading)
            if value is MISSING:
                self._needed(call.value, "value")
                value = None
        return evolve(snapshot, value=value, files=self._files(base, snapshot, call.files, reading))

    def _files(
        self, base: str, snapshot: Snapshot[Any], said: Files | None, reading: Reading
    ) -> tuple[ResultFile, ...]:
        if said is None:
            return ()
        place = first(said.under, reading) if said.under else reading.document
        if place is MISSING:
            if said.under:
                self._needed(said.under, "files", "under")
            return ()

        here = reading.reply.url

        def link(value: Any) -> str | None:
            """Return the address that an entry names; only what is to be had over HTTP is a file."""
            if isinstance(value, str) and value is not place and said.url and said.url[0].text:
                return None  # a bare text in a list whose entries have their link inside
            found = value if isinstance(value, str) else first_text(said.url, Reading.over(value, here))
            if not found or (isinstance(value, str) and said.link is None and "://" not in value):
                return None
            if said.link is not None:
                return said.link.fill(self._lookup(base, snapshot.ref, {"item": found}), for_address)
            absolute = without(urljoin(here, found), self._secret)
            return absolute if absolute.startswith(("http://", "https://")) else None

        files: list[ResultFile] = []
        for key, value in found_under(place, lambda value: link(value) is not None, said.depth):
            one, url = Reading.over(value, here), str(link(value))
            size = text_of(first(said.size, one)) if said.size else None
            files.append(
                ResultFile(
                    first_text(said.name, one) or key or unquote(urlsplit(url).path.rpartition("/")[2]) or "file",
                    url,
                    size=int(size) if size is not None and size.isdigit() else None,
                    format=first_text(said.format, one),
                )
            )
        return tuple(files)

    def _hold_refusal(self, reading: Reading) -> None:
        """Raise `Rejected` where an answer is a refusal in spite of its status."""
        said = self.declaration.refusal
        if said is None or first(said.when, reading) is MISSING:
            return
        detail, code = first_text(said.message, reading), first_text(said.code, reading)
        raise Rejected(
            f"The service refused{f': {detail}' if detail else '.'}",
            status_code=reading.reply.status,
            error_code=code,
            detail=detail,
        )

    def _needed(self, places: Places, *key: str) -> None:
        """Raise `BadReply` for places that found nothing, unless `none:` says that there may be nothing."""
        if not any(place.text == "none:" for place in places):
            where = self.declaration.place("result", *key)
            raise BadReply(f"{where}: nothing was found in the answer.", field=".".join(("result", *key)))

    # --- building ---

    def _lookup(
        self, base: str, ref: Ref | None, more: Mapping[str, Any] | None = None, *, lenient: bool = False
    ) -> Lookup:
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
            value = None if ref is None else ref.links.get(name)
            return "" if value is None and lenient else value

        return lookup

    def _call(
        self, base: str, ref: Ref, call: Call, key: Key, more: Mapping[str, Any] | None = None, *, method: str
    ) -> Request:
        """Build a request about a job; its address must not leave the service's origin without leave."""
        lookup = self._lookup(base, ref, more)
        assert call.url is not None  # noqa: S101  (chosen because it has one)
        try:
            url = address(call.url, lookup)
            request = built(call, url, lookup, method=method, seed=ref.id)
        except Unfilled as error:
            raise UsageError(f"{self.declaration.place(*key)}: {{{error.name}}} has no value for this job.") from error
        if not url.startswith(f"{base}/") and url != base:
            self._hold_origin(base, url, key)
        return request

    def _hold_origin(self, base: str, url: str, key: Key) -> None:
        try:
            there = origin(url)
        except UsageError as error:
            raise BadReply(f"{self.declaration.place(*key)}: {error}", field=".".join(map(str, key))) from error
        if there != origin(base) and there not in [origin(allowed) for allowed in self.declaration.origins]:
            raise BadReply(
                f"{self.declaration.place(*key, 'url')}: the service points to {there[0]}://{there[1]}:{there[2]}, "
                f"which is not its own origin. If that is right, write origins = "
                f'["{there[0]}://{there[1]}:{there[2]}"] into the declaration.',
                field=".".join((*map(str, key), "url")),
            )

    def _fits(self, base: str, ref: Ref, call: Call) -> bool:
        """Tell whether all that a call's address needs is known of this job."""
        lookup = self._lookup(base, ref)
        holes = () if call.url is None else call.url.holes
        return all(hole.optional or lookup(hole.name) is not None for hole in holes)

    def _poll_of(self, base: str, ref: Ref) -> tuple[Poll, Key] | None:
        polls = self.declaration.poll
        for at, poll in enumerate(polls):
            if self._fits(base, ref, poll):
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
        values[name] = value
    return values


def _holes(call: Call) -> Iterable[Any]:
    return () if call.url is None else call.url.holes


def _member(value: Any, names: list[str]) -> Any:
    for name in names:
        value = (as_map(value) or {}).get(name)
    return value


def _or_none(text: str | None) -> str | None:
    return text or None


def _joined(ref: Ref, links: Mapping[str, str]) -> Ref:
    """Add links that a later document handed out; a new address takes the place of the old."""
    return evolve(ref, links={**ref.links, **links}) if links else ref


def _last_segment(links: Mapping[str, str]) -> str:
    """Make an id out of the first link, where the service names none."""
    url = next((link for name, link in links.items() if not name.startswith("values.")), "")
    return unquote(urlsplit(url).path.rstrip("/").rpartition("/")[2])


def _itself(asked: Request, head: Head) -> ResultFile:
    """Make a file of a result address whose answer was the file itself."""
    kind = head.headers.get("content-type", "").partition(";")[0].strip() or None
    length = head.headers.get("content-length", "")
    name = _filename(head) or unquote(urlsplit(asked.url).path.rstrip("/").rpartition("/")[2]) or "file"
    encoded = head.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity")
    size = int(length) if length.isdigit() and not encoded else None
    return ResultFile(
        name, asked.url, size=size, format=kind, method=asked.method, headers=asked.headers, body=asked.body
    )


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
    inner: Iterable[Any] = as_list(value) or (as_map(value) or {}).values()
    if depth > 16:
        return None
    found = [words for one in inner if (words := _words_in(one, depth + 1))]
    return max(found, key=len, default=None)
