"""One conversation for each contract: what a service that keeps to it replies on each leg."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from attrs import evolve

import gofer
from faults.hostile import Conversation, Route
from faults.hostile_texts import BASE

PAPER = b"%PDF-1.7 " + bytes(range(256)) * 40
DIGEST = base64.b64encode(hashlib.sha256(PAPER).digest()).decode()
TAGGED = {"etag": '"one"', "repr-digest": f"sha-256=:{DIGEST}:", "content-type": "application/pdf"}

ID = {"job_id": "j1", "status": "completed"}
JOB = {
    **ID,
    "file_size": len(PAPER),
    "file_format": "pdf",
    "error": None,
    "error_code": None,
    "progress": 1.0,
    "bytes_done": 10,
    "message": "done",
    "source": "library",
    "expires": "2026-01-01T00:00:00Z",
    "attempts": [{"source": "library", "failure": "EMPTY"}],
}
HEALTH = {
    "status": "healthy",
    "vpn_connected": True,
    "vpn_ip": "10.0.0.1",
    "capabilities": ["idempotency-key"],
    "version": "1",
    "checks": {"disk": "ok"},
}
PROBLEM = {"title": "no", "detail": "no such job", "error_code": "NO_SUCH_JOB", "status": 404}
FILE = Route("file", "GET /f/", b"a,b\n" * 3000, 200, {"content-type": "text/csv", "etag": '"f"'})
LINK = f"{BASE}/f/a.csv"
PARTS = [{"url": LINK, "filename": "a.csv", "mediaType": "text/csv"}]
TOLD = [{"type": "image", "data": "iVBORw0KGgo=", "mimeType": "image/png"}]
UWS = """<uws:job xmlns:uws="http://www.ivoa.net/xml/UWS/v1.0" xmlns:xlink="http://www.w3.org/1999/xlink">
<uws:jobId>1</uws:jobId><uws:phase>COMPLETED</uws:phase><uws:results>
<uws:result id="table" xlink:href="http://service.test/f/a.csv" size="12000" mime-type="text/csv"/></uws:results>
</uws:job>"""
UWS_FAILED = """<uws:job xmlns:uws="http://www.ivoa.net/xml/UWS/v1.0"><uws:jobId>1</uws:jobId><uws:phase>ERROR</uws:phase>
<uws:errorSummary type="fatal"><uws:message>no table</uws:message></uws:errorSummary></uws:job>"""


def _of(contract: str | None, order: Any, *routes: Route) -> Conversation:
    return Conversation(contract, order, routes)


PAPERS = gofer.RetrieveRequest("10.5555/12345678")
RETRIEVAL = _of(
    None,
    PAPERS,
    Route("submit", "POST /retrieve", {"job_id": "j1", "status": "pending"}, 202),
    Route("health", "GET /health", HEALTH),
    Route("list", "GET /jobs(\\?|$)", {"jobs": [ID], "next": "c2"}),
    Route("file", "GET /jobs/[^/]*/file", PAPER, 200, TAGGED),
    Route("poll", "GET /", JOB, 200, {"etag": '"doc"', "preference-applied": "wait=20"}),
    Route("cancel", "DELETE /", {**ID, "status": "failed", "error_code": "CANCELLED"}),
)
FAILED = _of(
    None,
    PAPERS,
    Route("submit", "POST /retrieve", {**ID, "status": "failed", "error": "not found", "error_code": "NO"}),
    Route("health", "GET /health", PROBLEM, 503),
)
REFUSED = _of(
    None,
    PAPERS,
    Route("submit", "POST /retrieve", ID),
    Route("poll", "GET /", PROBLEM, 404),
    Route("cancel", "DELETE /", PROBLEM, 409),
)
LOCATION = {"location": f"{BASE}/jobs/1"}
MADE = Route("submit", "POST /", {"jobID": "1", "status": "accepted"}, 201, LOCATION)
REASON = {"type": "t", "title": "t", "detail": "d"}
MONITOR = {"operation-location": f"{BASE}/op/1", "location": f"{BASE}/at/1"}
DONE = {"status": "Succeeded", "percentComplete": 100, "resourceLocation": f"{BASE}/res/1"}
OUTPUTS = {"a": {"location": LINK, "basename": "a.csv", "size": 12000}, "b": {"location": LINK, "size": 12000}}

CONVERSATIONS = {
    "retrieval": RETRIEVAL,
    "retrieval failed": FAILED,
    "retrieval refused": REFUSED,
    "ogc": _of(
        "ogc-processes",
        {"process": "add", "inputs": {"a": 1}},
        MADE,
        Route("result", "GET /.*/results", {"out": {"href": LINK, "type": "text/csv"}, "n": 1}),
        FILE,
        Route("poll", "GET /", {"jobID": "1", "status": "successful", "progress": 100, "message": "m"}),
        Route("cancel", "DELETE /", {"jobID": "1", "status": "dismissed"}),
    ),
    "ogc by links": _of(
        "ogc-processes",
        {"process": "add"},
        Route("submit", "POST /", {}, 201, LOCATION),
        Route("result", "GET /.*/results", b"", 204, {"link": f"<{LINK}>; rel=out"}),
        FILE,
        Route("poll", "GET /", {"status": "successful"}),
    ),
    "ogc failed": _of(
        "ogc-processes",
        {"process": "add"},
        MADE,
        Route("poll", "GET /", {"status": "failed", "exception": REASON, "message": "m"}),
    ),
    "azure": _of(
        "azure-lro",
        {"method": "PUT", "path": "x", "body": {}},
        Route("submit", "PUT /x", {"properties": {"provisioningState": "Creating"}}, 201, MONITOR),
        Route("result", "GET /(res|x)", {"properties": {"a": [1, {"b": 2}]}}),
        Route("poll", "GET /op/", DONE),
    ),
    "azure by code": _of(
        "azure-lro",
        {"method": "POST", "path": "x"},
        Route("submit", "POST /x", {}, 202, {"location": f"{BASE}/at/1"}),
        Route("poll", "GET /at/", {"a": 1}),
    ),
    "azure failed": _of(
        "azure-lro",
        {"path": "x"},
        Route("submit", "POST /x", {}, 202, MONITOR),
        Route("poll", "GET /op/", {"status": "Failed", "error": {"code": "c", "message": "m"}}),
    ),
    "aip": _of(
        "aip-151",
        {"path": "op", "body": {}},
        Route("cancel", "POST /.*:cancel", {}),
        Route("submit", "POST /", {"name": "operations/1", "done": False, "metadata": {"progressPercent": 5}}),
        Route("poll", "GET /", {"name": "operations/1", "done": True, "response": {"a": [1]}}),
    ),
    "aip failed": _of(
        "aip-151",
        {"path": "op"},
        Route("submit", "POST /", {"selfLink": f"{BASE}/v1/operations/1", "status": "RUNNING"}),
        Route("poll", "GET /", {"done": True, "error": {"code": 3, "message": "m", "status": "s"}}),
    ),
    "uws": _of(
        "uws",
        {"QUERY": "select"},
        Route("cancel", "POST /1/phase", b"", 303, {"location": f"{BASE}/1"}),
        Route("submit", "POST ", b"", 303, {"location": f"{BASE}/1"}),
        FILE,
        Route("poll", "GET /", UWS),
    ),
    "uws failed": _of("uws", {"QUERY": "select"}, Route("submit", "POST ", UWS), Route("poll", "GET /", UWS_FAILED)),
    "wes": _of(
        "wes",
        {"workflow_url": "x"},
        Route("cancel", "POST /runs/.*/cancel", {"run_id": "1"}),
        Route("submit", "POST /runs", {"run_id": "1"}),
        FILE,
        Route("poll", "GET /runs/.*/status", {"run_id": "1", "state": "COMPLETE"}),
        Route("result", "GET /runs/", {"run_id": "1", "outputs": OUTPUTS}),
    ),
    "wes failed": _of(
        "wes",
        {"workflow_url": "x"},
        Route("submit", "POST /runs", {"run_id": "1"}),
        Route("poll", "GET /runs/.*/status", {"run_id": "1", "state": "EXECUTOR_ERROR"}),
        Route("reason", "GET /runs/", {"run_log": {"stderr": "e", "stdout": "o"}}),
    ),
    "flower": _of(
        "flower",
        {"task": "t"},
        Route("cancel", "POST /api/task/revoke", {"message": "m"}),
        Route("submit", "POST /", {"task-id": "1", "state": "PENDING"}),
        Route("poll", "GET /", {"task-id": "1", "state": "SUCCESS", "result": {"a": 1}}),
    ),
    "flower failed": _of(
        "flower",
        {"task": "t"},
        Route("submit", "POST /", {"task-id": "1"}),
        Route("poll", "GET /", {"task-id": "1", "state": "FAILURE", "result": "ValueError('x')"}),
    ),
    "mcp": _of(
        "mcp",
        {"tool": "t"},
        Route("submit", "POST ", {"result": {"taskId": "1", "status": "completed", "result": {"content": TOLD}}}),
    ),
    "mcp failed": _of(
        "mcp",
        {"tool": "t"},
        Route("submit", "POST ", {"result": {"taskId": "1", "status": "failed", "error": {"code": 1, "message": "m"}}}),
    ),
    "a2a": _of(
        "a2a",
        {"parts": [{"text": "t"}]},
        Route("cancel", "POST /tasks/.*:cancel", {"id": "1", "status": {"state": "TASK_STATE_CANCELED"}}),
        Route("submit", "POST /", {"task": {"id": "1", "status": {"state": "TASK_STATE_SUBMITTED"}}}),
        FILE,
        Route(
            "poll", "GET /", {"id": "1", "status": {"state": "TASK_STATE_COMPLETED"}, "artifacts": [{"parts": PARTS}]}
        ),
    ),
    "a2a failed": _of(
        "a2a",
        {"parts": [{"text": "t"}]},
        Route("submit", "POST /", {"task": {"id": "1", "status": {"state": "TASK_STATE_SUBMITTED"}}}),
        Route(
            "poll",
            "GET /",
            {"id": "1", "status": {"state": "TASK_STATE_FAILED", "message": {"parts": [{"text": "m"}]}}},
        ),
    ),
    "fhir-bulk": _of(
        "fhir-bulk",
        {"path": "$export"},
        Route("cancel", "DELETE /", b"", 202),
        Route("submit", "GET /\\$export", b"", 202, {"content-location": f"{BASE}/status/1"}),
        FILE,
        Route("poll", "GET /", {"output": [{"type": "Patient", "url": LINK}], "error": []}, 200, {"x-progress": "9%"}),
    ),
    "fhir-bulk failed": _of(
        "fhir-bulk",
        {"path": "$export"},
        Route("submit", "GET /\\$export", b"", 202, {"content-location": f"{BASE}/status/1"}),
        Route("poll", "GET /", {"issue": [{"code": "processing", "details": {"text": "t"}}]}, 500),
    ),
    "openeo": _of(
        "openeo",
        {"process": {}},
        Route("cancel", "DELETE /", b"", 204),
        Route("start", "POST /jobs/.*/results", b"", 202),
        Route("submit", "POST /jobs", b"", 201, {"openeo-identifier": "1", "location": f"{BASE}/jobs/1"}),
        FILE,
        Route(
            "result", "GET /jobs/.*/results", {"assets": {"a": {"href": LINK, "type": "text/csv", "file:size": 12000}}}
        ),
        Route("poll", "GET /", {"id": "1", "status": "finished", "progress": 100}),
    ),
    "openeo failed": _of(
        "openeo",
        {"process": {}},
        Route("submit", "POST /jobs", b"", 201, {"openeo-identifier": "1"}),
        Route("reason", "GET /jobs/.*/logs", {"logs": [{"level": "error", "message": "m", "code": "c"}]}),
        Route("poll", "GET /", {"id": "1", "status": "error"}),
    ),
    "openai-batches": _of(
        "openai-batches",
        {"input_file_id": "f", "endpoint": "/e", "completion_window": "24h"},
        Route("cancel", "POST /batches/.*/cancel", {"id": "1", "status": "cancelled"}),
        Route("submit", "POST /", {"id": "1", "status": "validating"}),
        evolve(FILE, asked="GET /files/"),
        Route("poll", "GET /", {"id": "1", "status": "completed", "output_file_id": "f", "error_file_id": None}),
    ),
    "openai-batches failed": _of(
        "openai-batches",
        {"input_file_id": "f", "endpoint": "/e", "completion_window": "24h"},
        Route("submit", "POST /", {"id": "1", "status": "validating"}),
        Route("poll", "GET /", {"id": "1", "status": "failed", "errors": {"data": [{"message": "m", "code": "c"}]}}),
    ),
}
