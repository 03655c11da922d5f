"""A model of a service: jobs by key, states over virtual time, held requests, files with ranges, restarts.

It answers well-formed requests as its plan says and never fails by itself; the wire causes the faults. It counts the
requests, and notes a second job that should not be.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
from email.utils import formatdate
from urllib.parse import urlsplit

from attrs import define, field

from gofer.wire import Request
from simulation.plan import NEVER, Plan


@define
class Answer:
    """What the service answers, and when: `wait` seconds after it received the request."""

    status: int
    headers: dict[str, str] = field(factory=dict)
    body: bytes = b""
    wait: float = 0.0


@define
class Job:
    """One job: when it began, which call made it, and whether it was cancelled or lost."""

    id: str
    key: str
    call: int
    began: float
    cancelled: bool = False
    lost: bool = False


def sha256_field(data: bytes) -> str:
    """Write a Repr-Digest field."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"


_VERSIONS: dict[tuple[int, int], bytes] = {}


def version(number: int, size: int) -> bytes:
    """Return the bytes of one version of the file; no two agree beyond their first bytes."""
    made = _VERSIONS.get((number, size))
    if made is None:
        longer = size + 300 * (number % 3 == 0 and size > 100)
        made = _VERSIONS[number, size] = (b"%PDF-1.7 " + random.Random(number).randbytes(longer))[:longer]
    return made


class Model:
    """The service of one plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.jobs: dict[str, Job] = {}
        self.call = 0
        self.requests = 0
        self.file_version = 1
        self.second_job: str | None = None
        self.restart = plan.restart

    # --- jobs ---

    def job_of(self, key: str) -> Job | None:
        """Find the job that this key made, if it is still there."""
        return next((job for job in self.jobs.values() if job.key == key and not job.lost), None)

    def ends(self, job: Job) -> float:
        """When the job ends by itself."""
        return NEVER if self.plan.end == "never" else job.began + sum(seconds for _, seconds in self.plan.states)

    def status(self, job: Job, at: float) -> str:
        """Return the job's status at this time."""
        if job.cancelled:
            return "cancelled"
        for status, seconds in self.plan.states:
            if at < job.began + seconds:
                return status
            at -= seconds
        return "searching" if self.plan.end == "never" else self.plan.end

    def changes(self, job: Job, at: float) -> float:
        """Return the seconds until the job's status changes by itself."""
        if job.cancelled:
            return NEVER
        edge = job.began
        for _, seconds in self.plan.states:
            edge += seconds
            if at < edge:
                return edge - at
        return NEVER

    def ended(self, job: Job, at: float) -> bool:
        """Whether the job has ended."""
        return self.status(job, at) in ("completed", "failed", "cancelled")

    def file(self) -> bytes:
        """Return the file as it is now."""
        return version(self.file_version, self.plan.file_bytes)

    # --- requests ---

    def answer(self, request: Request, at: float) -> Answer:
        """Answer a request that arrives at this time."""
        self.requests += 1
        if self.restart is not None and self.requests > self.restart[0]:
            self._restarted(self.restart[1], at)
            self.restart = None
        parts = urlsplit(request.url)
        if parts.hostname == "cdn.test" or parts.path.startswith("/files/"):
            return self._file(request)
        if parts.path == "/health":
            offered = ["idempotency-key"] if self.plan.keys == "replay" else []
            return self._json(200, {"status": "healthy", "capabilities": offered})
        if request.method == "POST":
            return self._submitted(request, at)
        found = re.fullmatch(r"/jobs/([^/]+)(/file)?", parts.path)
        job = self.jobs.get(found.group(1)) if found else None
        if found is None or job is None or job.lost:
            return self._json(404, {"detail": "no such job"})
        if request.method == "DELETE":
            return self._cancelled(job, at)
        if found.group(2):
            if self.status(job, at) != "completed":
                return self._json(409, {"detail": "not yet"})
            if self.plan.file_at == "here":
                return self._file(request)
            place = {
                "moved": "/files/1",
                "cdn": "https://cdn.test/1",
                "plain cdn": "http://cdn.test/1",
            }
            return Answer(307, {"location": place[self.plan.file_at]})
        return self._poll(request, job, at)

    def _restarted(self, how: str, at: float) -> None:
        for job in self.jobs.values():
            if not self.ended(job, at) or how == "lose":
                job.began, job.lost = at, how == "lose"

    def _submitted(self, request: Request, at: float) -> Answer:
        key = request.headers["idempotency-key"]
        job = self.job_of(key)
        if job is not None and self.plan.keys == "conflict":
            return self._json(409, {"detail": "this key was used"})
        if job is not None and self.plan.keys == "reject":
            return self._json(422, {"detail": "this key was used"})
        if job is None or self.plan.keys == "ignore":
            others = [job for job in self.jobs.values() if job.call == self.call]
            if any(not other.lost or self.plan.keys == "ignore" for other in others):
                self.second_job = f"call {self.call} made a second job"
            job = Job(f"j{len(self.jobs) + 1}", key, self.call, at)
            self.jobs[job.id] = job
        wait = self._hold(request, max(0.0, self.ends(job) - at)) if self.plan.holds else 0.0
        return self._json(202, self.document(job, at + wait), wait=wait)

    def _hold(self, request: Request, until: float) -> float:
        asked = re.search(r"wait=(\d+)", request.headers.get("prefer", ""))
        return 0.0 if asked is None else min(float(asked.group(1)), until)

    def _poll(self, request: Request, job: Job, at: float) -> Answer:
        same = request.headers.get("if-none-match") == f'"{self.status(job, at)}"'
        unheld = self.ended(job, at) or (self.plan.tags and not same)
        wait = self._hold(request, self.changes(job, at)) if self.plan.holds and not unheld else 0.0
        tag = f'"{self.status(job, at + wait)}"'
        headers = {"etag": tag} if self.plan.tags else {}
        if self.plan.holds and "wait" in request.headers.get("prefer", ""):
            headers["preference-applied"] = "wait"
        if self.plan.tags and request.headers.get("if-none-match") == tag:
            return Answer(304, headers, wait=wait)
        return self._json(200, self.document(job, at + wait), headers, wait)

    def document(self, job: Job, at: float, status: str | None = None) -> dict[str, object]:
        """Describe a job."""
        status = self.status(job, at) if status is None else status
        facts: dict[str, object] = {"job_id": job.id, "status": "failed" if status == "cancelled" else status}
        if status == "cancelled":
            facts["error_code"] = "CANCELLED"
        if status == "completed" and self.plan.size:
            facts["file_size"] = len(self.file())
        if status == "completed" and self.plan.format:
            facts["file_format"] = "pdf"
        return facts

    def _cancelled(self, job: Job, at: float) -> Answer:
        if self.plan.cancels == "none":
            return self._json(405, {"detail": "no cancellation here"})
        if not self.ended(job, at):
            job.cancelled = True
        shown = self._json(200, self.document(job, at))
        job.lost = job.lost or self.plan.cancels == "deletes"
        return Answer(204) if self.plan.cancels == "empty" else shown

    def _json(self, status: int, facts: object, headers: dict[str, str] | None = None, wait: float = 0.0) -> Answer:
        return Answer(status, {"content-type": "application/json"} | (headers or {}), json.dumps(facts).encode(), wait)

    # --- files ---

    def _file(self, request: Request) -> Answer:
        data = self.file()
        tag = f'"v{self.file_version}"'
        headers = {"content-type": "application/pdf"}
        if self.plan.etag != "none":
            headers["etag"] = f"W/{tag}" if self.plan.etag == "weak" else tag
        if self.plan.digest:
            headers["repr-digest"] = sha256_field(data)
        if self.plan.date != "none":
            changed = 0 if self.plan.date == "coarse" else self.file_version
            headers["last-modified"] = formatdate(1_700_000_000 + 10 * changed, usegmt=True)
            headers |= {"date": formatdate(1_800_000_000, usegmt=True)} if self.plan.date == "strong" else {}
        validator = tag if self.plan.etag == "strong" else headers.get("last-modified")
        asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
        same = request.headers.get("if-range", validator) == validator or not self.plan.honours_if_range
        if asked is None or not self.plan.ranges or not same:
            return Answer(200, headers | ({"content-length": str(len(data))} if self.plan.length else {}), data)
        start = int(asked.group(1))
        if start >= len(data):
            return Answer(416, headers | {"content-range": f"bytes */{len(data)}"})
        rest = data[start:]
        if self.plan.length:
            headers["content-length"] = str(len(rest))
        return Answer(206, headers | {"content-range": f"bytes {start}-{len(data) - 1}/{len(data)}"}, rest)
