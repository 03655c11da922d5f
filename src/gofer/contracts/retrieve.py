"""The user's own contract: a DOI in, the paper's file out.

There are four base endpoints, and extensions each of which may be absent; the replies show which are there. No other
module of the SDK has a path or a field of this service.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast
from urllib.parse import quote

from attrs import asdict, evolve, field, fields_dict, frozen

from gofer.contracts import doi, formats
from gofer.contracts.base import Changes, Contract, Look, Ref, Snapshot
from gofer.contracts.payload import Problem, as_list, as_map, document, only_shown, strict_converter, structure
from gofer.errors import BadReply, UsageError
from gofer.models import HealthStatus, JobPage, ResultFile, RetrieveRequest, RetrieveResult, State, Status
from gofer.wire import Reply, Request, may_be_id

SERVICE_BUDGET = 120
"""Seconds that the service gets for a job by default, as in the base contract's own client."""

UNKNOWN_STATUS_SECONDS = 600.0
"""Seconds that a job may stay in a status that this version does not have."""

DECIDING = frozenset({"job_id", "status", "error_code", "file_size", "file_format"})
"""The fields of a job's document that decide something. All others are only shown, so they cannot cost the job."""

_converter = strict_converter()
only_shown(_converter, RetrieveResult, frozenset(fields_dict(RetrieveResult)) - DECIDING)


@frozen
class RetrieveContract(Contract[RetrieveRequest, RetrieveResult]):
    """The retrieval service's API, version 1, as a `Contract[RetrieveRequest, RetrieveResult]`."""

    name: str = "retrieve"
    replays_keys: Literal["yes", "no", "ask"] = field(  # pyright: ignore[reportIncompatibleMethodOverride]
        default="ask", kw_only=True
    )

    @property
    def grace(self) -> float:
        """Ten minutes for a status of a newer service."""
        return UNKNOWN_STATUS_SECONDS

    @property
    def sends_key(self) -> bool:
        """Always: a service that does not replay keys ignores it."""
        return True

    def fields(self, request: RetrieveRequest) -> Mapping[str, object]:
        """Return the DOI as it is sent, and the title if there is one."""
        return {"doi": _doi(request), "title": request.title}

    def to_json(self, request: RetrieveRequest | Mapping[str, object] | str) -> object:
        """Return the fields that are set, the DOI in its one form; a DOI alone is a request, and a map of fields is."""
        asked: RetrieveRequest | object = RetrieveRequest(request) if isinstance(request, str) else request
        if isinstance(request, Mapping):
            other = next((name for name in request if name not in fields_dict(RetrieveRequest)), None)
            if other is not None or "doi" not in request:
                what = "has no 'doi'" if other is None else f"has {other!r}"
                raise UsageError(f"The request {what}; it takes {', '.join(fields_dict(RetrieveRequest))}.")
            asked = RetrieveRequest(**cast("Mapping[str, Any]", request))
        if not isinstance(asked, RetrieveRequest):
            raise UsageError(f"The request is a DOI, a map of fields, or a RetrieveRequest, not {asked!r:.40}.")
        given = asdict(evolve(asked, doi=_doi(asked)))
        return {name: value for name, value in given.items() if value is not None}

    def from_json(self, value: object) -> RetrieveRequest:
        """Return the request of these fields."""
        return structure(as_map(value) or {}, RetrieveRequest)

    def stem(self, request: RetrieveRequest) -> str:
        """Return the DOI."""
        return _doi(request)

    def build_submission(
        self, base: str, request: RetrieveRequest, *, key: str, budget: float | None, hold: int
    ) -> Request:
        """Build POST /retrieve; the DOI is checked and normalised first."""
        wanted: dict[str, object] = {"doi": _doi(request)}
        seconds = request.timeout_seconds
        if seconds is None:
            seconds = SERVICE_BUDGET if budget is None else max(1, int(0.9 * budget))
        elif seconds <= 0:
            raise UsageError(f"timeout_seconds must be above 0, not {seconds}.")
        if request.title is not None:
            wanted["title"] = request.title
        if request.authors is not None:
            wanted["authors"] = [request.authors] if isinstance(request.authors, str) else list(request.authors)
        wanted["timeout_seconds"] = seconds
        return Request(
            "POST",
            f"{base}/retrieve",
            {
                "accept": "application/json",
                "content-type": "application/json",
                "idempotency-key": f'"{key}"',
                "prefer": f"respond-async, wait={hold}" if hold else "respond-async",
            },
            json.dumps(wanted, separators=(",", ":")).encode(),
        )

    def read_submission(self, base: str, request: Request, reply: Reply) -> Snapshot[RetrieveResult]:
        """Read `{job_id, status}` and whatever more the service sent."""
        return _snapshot(base, reply, structure(document(reply), RetrieveResult, _converter))

    def build_poll(self, base: str, ref: Ref, *, hold: int, etag: str | None, seen: Status) -> Request:
        """Build GET /jobs/{id}."""
        headers = {"accept": "application/json"}
        if hold:
            headers["prefer"] = f"wait={hold}"
        if etag is not None:
            headers["if-none-match"] = etag
        return Request("GET", _job(base, ref), headers)

    def read_poll(self, base: str, ref: Ref, reply: Reply) -> Snapshot[RetrieveResult]:
        """Read a job's document; one of another job is a `BadReply`."""
        result = structure(document(reply), RetrieveResult, _converter)
        if result.job_id != ref.id:
            raise BadReply(f"Asked for job {ref.id!r}, the service answered with another's.", field="$.job_id")
        return _snapshot(base, reply, result)

    def held(self, reply: Reply, *, hold: int, took: float) -> bool:
        """Tell whether `Preference-Applied` names `wait` (RFC 7240, section 3)."""
        applied = reply.headers.get("preference-applied", "")
        return any(re.match(r"\s*wait\s*(=|$)", part, re.IGNORECASE) for part in re.split("[,;]", applied))

    def file(self, base: str, ref: Ref) -> ResultFile:
        """Return the file of a job, GET /jobs/{id}/file, whatever its state."""
        return ResultFile(ref.id, f"{_job(base, ref)}/file", linked=False)

    def judge(self, promised: str | None, head: bytes) -> str | None:
        """Compare the first bytes with the promised format; a format that gofer cannot check is believed."""
        return formats.unlike(promised, head)

    def build_cancellation(self, base: str, ref: Ref) -> Request | None:
        """Build DELETE /jobs/{id}."""
        return Request("DELETE", _job(base, ref), {"accept": "application/json"})

    def read_cancellation(self, base: str, ref: Ref, reply: Reply) -> Snapshot[RetrieveResult] | None:
        """Read the cancelled job, if the service sent it."""
        return self.read_poll(base, ref, reply) if reply.body else None

    def build_health(self, base: str) -> Request:
        """Build GET /health."""
        return Request("GET", f"{base}/health", {"accept": "application/json"})

    def read_health(self, reply: Reply) -> HealthStatus:
        """Read a health document, of 200 or 503."""
        return structure(document(reply), HealthStatus)

    def read_capabilities(self, reply: Reply) -> frozenset[str]:
        """Read the extensions the service names; none if it names none. Nothing else of the document counts here."""
        named = as_list(document(reply).get("capabilities")) or []
        return frozenset(name for name in named if isinstance(name, str))

    def build_listing(self, base: str, *, status: str | None, limit: int | None, cursor: str | None) -> Request:
        """Build GET /jobs with these filters."""
        asked = {"status": status, "limit": None if limit is None else str(limit), "cursor": cursor}
        try:
            query = "&".join(f"{name}={quote(value, safe='')}" for name, value in asked.items() if value is not None)
        except (TypeError, UnicodeEncodeError) as error:
            raise UsageError("status and cursor are text; the cursor is that of the page before.") from error
        return Request("GET", f"{base}/jobs" + (f"?{query}" if query else ""), {"accept": "application/json"})

    def read_listing(self, reply: Reply) -> JobPage:
        """Read one page of jobs."""
        return structure(document(reply), JobPage, _converter)

    @property
    def lists_jobs(self) -> bool:
        """Always; a service without the list answers 404."""
        return True

    def build_many(self, base: str, ids: Sequence[str], page: str | None) -> Request:
        """Build GET /jobs for a page of all jobs."""
        return self.build_listing(base, status=None, limit=None, cursor=page)

    def read_many(self, base: str, reply: Reply) -> Look:
        """Read one page of jobs."""
        page = self.read_listing(reply)
        return Look({job.job_id: _snapshot(base, reply, job) for job in page.jobs}, page.next)

    def build_changes(self, base: str, cursor: str | None, *, hold: int) -> Request:
        """Build GET /jobs/changes."""
        query = "" if cursor is None else f"?since={quote(cursor, safe='')}"
        headers = {"accept": "application/json", **({"prefer": f"wait={hold}"} if hold else {})}
        return Request("GET", f"{base}/jobs/changes{query}", headers)

    def read_changes(self, base: str, reply: Reply) -> Changes | None:
        """Read `{changes, next}`; a service without the feed may take "changes" for the id of a job."""
        try:
            shown = document(reply)
        except BadReply:
            return None
        jobs, cursor = as_list(shown.get("changes")), shown.get("next")
        if jobs is None or not isinstance(cursor, str) or not may_be_id(cursor):
            return None
        ended = dict[str, Snapshot[RetrieveResult] | None]()
        for job in filter(None, map(as_map, jobs)):
            job_id = job.get("job_id")
            if isinstance(job_id, str) and job.get("status") in ("completed", "failed"):
                try:
                    ended[job_id] = _snapshot(base, reply, structure(job, RetrieveResult, _converter))
                except BadReply:
                    ended[job_id] = None  # its own poll will say what is wrong
        return Changes(cursor, ended, bool(jobs), reply)

    def read_problem(self, reply: Reply) -> Problem:
        """Read RFC 9457 problem+json, or `error` or `detail` of any JSON object."""
        try:
            body = document(reply)
        except BadReply:
            return Problem()
        code, words = body.get("error_code"), (body.get(name) for name in ("detail", "error", "title"))
        detail = next((word for word in words if isinstance(word, str) and word), None)
        return Problem(code if isinstance(code, str) else None, detail)


def _doi(request: RetrieveRequest) -> str:
    """Return the DOI of a request, checked and normalised."""
    if not isinstance(request, RetrieveRequest):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"The request is a RetrieveRequest, as in RetrieveRequest({str(request)[:40]!r}).")
    return _checked(request.doi)


def _checked(text: object) -> str:
    if not isinstance(text, str):
        raise UsageError(f"A DOI is text, as in 10.5555/12345678, not {type(text).__name__}.")
    try:
        return doi.normalize(text)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _job(base: str, ref: Ref) -> str:
    if not may_be_id(ref.id):  # out of a ticket
        raise UsageError(f"{ref.id[:80]!r} is no job id.")
    return f"{base}/jobs/{quote(ref.id, safe='')}"


def _snapshot(base: str, reply: Reply, result: RetrieveResult) -> Snapshot[RetrieveResult]:
    if not may_be_id(result.job_id):
        raise BadReply(f"The service's id of the job is none: {result.job_id[:80]!r}.", field="$.job_id")
    state = result.state
    status = Status(
        result.status,
        state,
        progress=result.progress,
        message=result.message,
        error=result.error,
        error_code=result.error_code,
    )
    ref = Ref(result.job_id)
    files: tuple[ResultFile, ...] = ()
    if state is State.SUCCEEDED:
        url = f"{_job(base, ref)}/file"
        files = (ResultFile(ref.id, url, size=result.file_size, format=result.file_format, linked=False),)
    return Snapshot(ref, status, result, etag=reply.headers.get("etag"), files=files)
