"""A model of an IVOA UWS 1.1 service, after the standard: job list, phases, WAIT, results, error summary.

https://www.ivoa.net/documents/UWS/20161024/ . A job advances by one phase each time its document is requested;
nothing else makes time pass.
"""

from __future__ import annotations

import threading

from attrs import define, field

from support.declared import as_xml, form_of, here, path_of, query_of
from support.raw_server import Call, http

TABLE = b"<VOTABLE>one row</VOTABLE>"

SPACE = "http://www.ivoa.net/xml/UWS/v1.0"
REFUSAL = f'<VOTABLE xmlns="{SPACE}"><INFO name="QUERY_STATUS" value="ERROR">no QUERY</INFO></VOTABLE>'
NIL = 'xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'


@define
class UwsJob:
    """One job: the phase that it is in, and those that follow."""

    phase: str
    ahead: list[str]
    query: str
    message: str = "no table of this name"


@define
class UwsService:
    """A UWS job list at `/async`; its attributes are the ways in which such services differ.

    Attributes:
        prefix: of the elements' names; empty for the default namespace.
        created: the code of the answer to a submission: 303, or 200 and 201 with the document.
        relative: whether Location and the results' links are relative.
        starting: the code that answers PHASE=RUN.
        waits: whether WAIT is honoured; the answer is then late, and the job has advanced meanwhile.
    """

    prefix: str = "uws:"
    created: int = 303
    relative: bool = False
    starting: int = 303
    waits: bool = False
    jobs: dict[str, UwsJob] = field(factory=dict[str, UwsJob])
    started: int = 0
    closing: threading.Event = field(factory=threading.Event)

    def __call__(self, call: Call) -> bytes:
        """Answer one request."""
        path = path_of(call)
        if path == "/async" and call.method == "POST":
            return self._create(call)
        job_id, _, below = path.removeprefix("/async/").partition("/")
        job = self.jobs.get(job_id)
        if job is None:
            return http(404, "no such job", content_type="text/plain")
        if below == "results/table":
            return http(200, TABLE, content_type="application/x-votable+xml")
        if below == "phase" and call.method == "POST":
            return self._command(call, job_id, job)
        if "WAIT" in query_of(call) and self.waits and job.ahead and query_of(call)["PHASE"] == job.phase:
            self.closing.wait(min(float(query_of(call)["WAIT"]), 0.3))
        answer = self._document(call, job_id, job)
        if job.ahead and job.phase != "PENDING":
            job.phase = job.ahead.pop(0)
        return answer

    def _create(self, call: Call) -> bytes:
        fields = form_of(call)
        query = fields.get("QUERY", "")
        if not query:
            return as_xml(REFUSAL, 400)
        last = {"fail": "ERROR", "archive": "ARCHIVED", "abort": "ABORTED"}.get(query, "COMPLETED")
        phase, ahead = ("ERROR", []) if query == "born" else ("PENDING", ["EXECUTING", last])
        job_id = str(1000 + len(self.jobs))
        self.jobs[job_id] = UwsJob(phase, ["QUEUED", "EXECUTING", "EXECUTING"] if query == "endless" else ahead, query)
        if self.created == 303:
            place = f"async/{job_id}" if self.relative else f"{here(call)}/async/{job_id}"
            return http(303, location=place)
        return self._document(call, job_id, self.jobs[job_id], self.created)

    def _command(self, call: Call, job_id: str, job: UwsJob) -> bytes:
        phase = form_of(call)["PHASE"]
        if phase == "ABORT":
            job.phase, job.ahead = "ABORTED", []
            return http(303, location=f"{here(call)}/async/{job_id}")
        self.started += 1
        if job.phase != "PENDING":
            return http(400, "the job is not pending", content_type="text/plain")
        if self.starting < 400:
            job.phase = "QUEUED"
        return http(
            self.starting, "" if self.starting < 400 else "you may not", location=f"{here(call)}/async/{job_id}"
        )

    def _document(self, call: Call, job_id: str, job: UwsJob, status: int = 200) -> bytes:
        pre, more = self.prefix, ""
        space = f":{pre[:-1]}" if pre else ""
        if job.phase == "COMPLETED":
            place = "" if self.relative else f"{here(call)}/async/"
            link = f'xlink:href="{place}{job_id}/results/table" xlink:type="simple"'
            more = (
                f'<{pre}results><{pre}result id="table.vot" {link} mime-type="application/x-votable+xml" '
                f'size="{len(TABLE)}"/></{pre}results>'
            )
        elif job.phase == "ERROR":
            more = (
                f'<{pre}errorSummary type="fatal" hasDetail="false"><{pre}message>\n  {job.message}\n'
                f"</{pre}message></{pre}errorSummary>"
            )
        return as_xml(
            f"<?xml-stylesheet href='/style.xsl' type='text/xsl'?><{pre}job xmlns{space}='{SPACE}' {NIL} version='1.1'>"
            f"<{pre}jobId>{job_id}</{pre}jobId><{pre}ownerId xsi:nil='true'/><{pre}phase> {job.phase} </{pre}phase>"
            f"<{pre}startTime xsi:nil='true'/><{pre}parameters><{pre}parameter id='QUERY'>{job.query}</{pre}parameter>"
            f"</{pre}parameters>{more}<{pre}jobInfo><other xmlns='urn:other'><phase>nonsense</phase></other>"
            f"</{pre}jobInfo></{pre}job>",
            status,
        )
