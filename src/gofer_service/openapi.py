"""The API described in OpenAPI 3.1, with links from the submission to what can be done with its job.

The description is data; a test holds it against the routes.
"""

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gofer_service.engine import ErrorCode, Status
from gofer_service.fields import MAX_WAIT
from gofer_service.submissions import MAX_TIMEOUT

_Node = dict[str, Any]


def _ref(kind: str, name: str) -> _Node:
    return {"$ref": f"#/components/{kind}/{name}"}


def _json(schema: str, description: str, **more: Any) -> _Node:
    return {"description": description, "content": {"application/json": {"schema": _ref("schemas", schema)}}, **more}


def _header(name: str, description: str, example: str) -> _Node:
    schema = {"type": "string", "examples": [example]}
    return {"name": name, "in": "header", "required": False, "description": description, "schema": schema}


def _sent(*names: str) -> _Node:
    return {name: _ref("headers", name) for name in names}


def _problems(*codes: int) -> _Node:
    return {str(code): _ref("responses", "Problem") for code in (*codes, 500)}


_JOB_ID: Final = {"name": "job_id", "in": "path", "required": True, "schema": {"type": "string"}}
_PREFER_WAIT: Final = _header("Prefer", f"`wait=N`: hold the reply for up to N <= {MAX_WAIT} s.", "wait=20")
_IF_NONE_MATCH: Final = _header("If-None-Match", "The ETag last seen.", '"3"')

_TIME: Final = {"type": "string", "format": "date-time"}
_TEXT: Final = {"type": "string"}
_COUNT: Final = {"type": "integer", "minimum": 0}

_SCHEMAS: Final[_Node] = {
    "Submission": {
        "type": "object",
        "required": ["doi"],
        "properties": {
            "doi": {"type": "string", "description": "Any usual spelling.", "examples": ["10.5555/12345678"]},
            "title": {"type": ["string", "null"], "description": "Guards against the wrong paper."},
            "authors": {"type": ["array", "string", "null"], "items": _TEXT},
            "timeout_seconds": {"type": "number", "exclusiveMinimum": 0, "maximum": MAX_TIMEOUT, "default": 120},
        },
    },
    "Job": {
        "type": "object",
        "required": ["job_id", "status", "doi"],
        "properties": {
            "job_id": _TEXT,
            "status": {"enum": [status.value for status in Status]},
            "doi": _TEXT,
            "file_path": {"type": "string", "description": "The service's own name for the file; not a path."},
            "file_size": {"type": "integer", "minimum": 0, "description": "Bytes."},
            "file_format": {"enum": ["pdf", "epub", "xml", "html"]},
            "error": _TEXT,
            "error_code": {"enum": [code.value for code in ErrorCode]},
            "progress": {"type": "number", "minimum": 0, "maximum": 1},
            "bytes_done": _COUNT,
            "bytes_total": _COUNT,
            "message": _TEXT,
            "source": _TEXT,
            "version": _TEXT,
            "licence": _TEXT,
            "attempts": {
                "type": "array",
                "description": "Each place that was tried and why it did not give the paper.",
                "items": {"type": "object", "properties": {"source": _TEXT, "place": _TEXT, "failure": _TEXT}},
            },
            **dict.fromkeys(("created", "started", "updated", "finished", "expires"), _TIME),
        },
    },
    "JobPage": {
        "type": "object",
        "required": ["jobs", "next"],
        "properties": {
            "jobs": {"type": "array", "items": _ref("schemas", "Job")},
            "next": {"type": ["string", "null"], "description": "The `cursor` of the next page."},
        },
    },
    "Health": {
        "type": "object",
        "required": ["status", "vpn_connected", "vpn_ip"],
        "properties": {
            "status": {"enum": ["healthy", "degraded", "unhealthy"]},
            "vpn_connected": {"type": "boolean"},
            "vpn_ip": {"type": ["string", "null"]},
            "contract": {"const": "1"},
            "capabilities": {"type": "array", "items": _TEXT},
            "version": _TEXT,
            "checks": {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "object"}}},
        },
    },
    "Alive": {"type": "object", "properties": {"status": {"const": "alive"}}},
    "Problem": {
        "type": "object",
        "description": "RFC 9457.",
        "required": ["title", "status", "detail", "error_code"],
        "properties": {
            "type": _TEXT,
            "title": _TEXT,
            "status": {"type": "integer"},
            "detail": _TEXT,
            "error_code": _TEXT,
        },
    },
}

_HEADERS: Final[_Node] = {
    name: {"description": description, "schema": _TEXT}
    for name, description in {
        "ETag": "Strong entity tag.",
        "Location": "Where the job is.",
        "Retry-After": "Seconds to the next try.",
        "Preference-Applied": "The preferences that were applied (RFC 7240).",
        "Accept-Ranges": "`bytes`.",
        "Content-Range": "The part that is sent.",
        "Content-Disposition": "A file name (RFC 6266).",
        "Repr-Digest": "SHA-256 of the whole file (RFC 9530).",
    }.items()
}

_FILE: Final[_Node] = {
    media_type: dict[str, Any]()
    for media_type in ("application/pdf", "application/epub+zip", "application/xml", "text/html")
}
_FILE_HEADERS: Final = _sent("ETag", "Accept-Ranges", "Content-Disposition", "Repr-Digest")

_LINKS: Final[_Node] = {
    name: {"operationId": name, "parameters": {"job_id": "$response.body#/job_id"}}
    for name in ("getJob", "getFile", "cancelJob")
}

_SUBMIT: Final[_Node] = {
    "operationId": "retrieve",
    "summary": "Submit a job.",
    "parameters": [
        _header(
            "Idempotency-Key", "The same key and body give the same job.", '"8e03978e-40d5-43dd-bc93-6894a57f9324"'
        ),
        _header(
            "Prefer", f"`respond-async`; `wait=N`: hold for the end, up to {MAX_WAIT} s.", "respond-async, wait=10"
        ),
    ],
    "requestBody": {"required": True, "content": {"application/json": {"schema": _ref("schemas", "Submission")}}},
    "responses": {
        "200": _json(
            "Job", "The job, which has ended.", headers=_sent("Location", "Preference-Applied", "ETag"), links=_LINKS
        ),
        "202": _json(
            "Job",
            "The job.",
            headers=_sent("Location", "Retry-After", "Preference-Applied", "ETag"),
            links=_LINKS,
        ),
        **_problems(400, 401, 413, 415, 422, 429),
    },
}

_PATHS: Final[_Node] = {
    "/retrieve": {"post": _SUBMIT},
    "/jobs": {
        "get": {
            "operationId": "listJobs",
            "summary": "List jobs, newest first.",
            "parameters": [
                {"name": "status", "in": "query", "schema": {"enum": [status.value for status in Status]}},
                {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 200}},
                {"name": "cursor", "in": "query", "schema": _TEXT},
            ],
            "responses": {"200": _json("JobPage", "A page."), **_problems(400, 401)},
        },
    },
    "/jobs/{job_id}": {
        "parameters": [_JOB_ID],
        "get": {
            "operationId": "getJob",
            "summary": "Show a job, or wait for what becomes of it.",
            "parameters": [_PREFER_WAIT, _IF_NONE_MATCH],
            "responses": {
                "200": _json("Job", "The job.", headers=_sent("ETag", "Preference-Applied")),
                "304": {"description": "Nothing new.", "headers": _sent("ETag", "Preference-Applied")},
                **_problems(401, 404),
            },
        },
        "delete": {
            "operationId": "cancelJob",
            "summary": "Cancel a job; one that has ended stays as it is.",
            "responses": {"200": _json("Job", "The job.", headers=_sent("ETag")), **_problems(401, 404)},
        },
    },
    "/jobs/{job_id}/file": {
        "parameters": [_JOB_ID],
        "get": {
            "operationId": "getFile",
            "summary": "Fetch the file, whole or in part.",
            "parameters": [
                _header("Range", "One range of bytes.", "bytes=1000-"),
                _header("If-Range", "The ETag the part belongs to.", '"9f86d081884c7d65"'),
                _header("Want-Repr-Digest", "`sha-256=0` leaves the digest out.", "sha-256=1"),
                _IF_NONE_MATCH,
            ],
            "responses": {
                "200": {"description": "The file.", "content": _FILE, "headers": _FILE_HEADERS},
                "206": {
                    "description": "The part.",
                    "content": _FILE,
                    "headers": {**_FILE_HEADERS, **_sent("Content-Range")},
                },
                "304": {"description": "The file is the one of the ETag.", "headers": _sent("ETag")},
                **_problems(401, 404, 409, 410, 416),
            },
        },
    },
    **{
        path: {
            "get": {
                "operationId": name,
                "summary": "Say whether jobs can run, from the last probes.",
                "security": [],
                "responses": {"200": _json("Health", "They can."), "503": _json("Health", "They cannot.")},
            }
        }
        for path, name in {"/health": "getHealth", "/health/ready": "getReady"}.items()
    },
    "/health/live": {
        "get": {
            "operationId": "getLive",
            "summary": "Say that the process answers.",
            "security": [],
            "responses": {"200": _json("Alive", "It does.")},
        }
    },
    "/openapi.json": {
        "get": {
            "operationId": "getDescription",
            "summary": "Give this description.",
            "security": [],
            "responses": {"200": {"description": "OpenAPI 3.1.", "content": {"application/json": {}}}},
        }
    },
}

DESCRIPTION: Final[_Node] = {
    "openapi": "3.1.0",
    "info": {"title": "gofer retrieval service", "version": "1", "license": {"name": "MIT", "identifier": "MIT"}},
    # With or without a token is the operator's choice, so both are described.
    "security": [{}, {"bearer": []}],
    "paths": _PATHS,
    "components": {
        "schemas": _SCHEMAS,
        "headers": _HEADERS,
        "responses": {
            "Problem": {
                "description": "An error; see `error_code` and `detail`.",
                "content": {"application/problem+json": {"schema": _ref("schemas", "Problem")}},
            }
        },
        "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
    },
}


async def describe(_: Request) -> Response:
    """GET /openapi.json: the description."""
    return JSONResponse(DESCRIPTION)


routes: Final = [Route("/openapi.json", describe, methods=["GET"])]
