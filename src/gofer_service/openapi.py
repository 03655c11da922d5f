"""The endpoints of the API in OpenAPI 3.1, with links from the submission to the job's other operations.

The fields of the documents are in `schemas`. Tests compare this description with the routes, with what the service
sends, with what the client sends, and with docs/contract.md.
"""

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gofer_service.files import MEDIA_TYPES
from gofer_service.headers import MAX_WAIT, SAMPLE_KEY
from gofer_service.health import CONTRACT
from gofer_service.jobs import MAX_CHANGES, MAX_PAGE, PAGE
from gofer_service.problems import PROBLEMS
from gofer_service.schemas import SCHEMAS, STATUS, Node, ref


def _header(name: str, meaning: str, example: str) -> Node:
    schema = {"type": "string", "examples": [example]}
    return {"name": name, "in": "header", "required": False, "description": meaning, "schema": schema}


def _prefer(meaning: str, example: str) -> Node:
    return _header("Prefer", f"{meaning}, up to N <= {MAX_WAIT} s.", example)


def _query(name: str, meaning: str, schema: Node) -> Node:
    return {"name": name, "in": "query", "description": meaning, "schema": schema}


def _sent(*names: str) -> Node:
    return {"headers": {name: ref("headers", name) for name in names}}


def _json(schema: str, meaning: str, **more: Any) -> Node:
    return {"description": meaning, "content": {"application/json": {"schema": ref("schemas", schema)}}, **more}


def _problems(*statuses: int) -> Node:
    return {str(status): ref("responses", PROBLEMS[status][0]) for status in (*statuses, 500, 503)}


def _operation(name: str, summary: str, responses: Node, *, base: bool = False, **more: Any) -> Node:
    mark = {"x-base": True} if base else {}
    return {"operationId": name, "summary": summary, **mark, **more, "responses": responses}


_JOB_ID: Final = {"name": "job_id", "in": "path", "required": True, "schema": {"type": "string"}}
_IF_NONE_MATCH: Final = _header("If-None-Match", "The `ETag` of the last reply.", '"3"')

_HEADERS: Final[Node] = {
    name: {"description": meaning, "schema": {"type": "string"}}
    for name, meaning in {
        "ETag": "A strong entity tag of the job's document, or of the file.",
        "Location": "The path of the job.",
        "Retry-After": "Seconds to wait before the next request.",
        "Preference-Applied": "The preferences that the service applied (RFC 7240).",
        "Accept-Ranges": "Always `bytes`.",
        "Content-Length": "The length of the reply in bytes.",
        "Content-Range": "The part that is sent, and the size of the file.",
        "Content-Disposition": "A file name (RFC 6266).",
        "Repr-Digest": "The SHA-256 of the complete file (RFC 9530).",
        "WWW-Authenticate": "The scheme of the token (RFC 6750).",
    }.items()
}

_PROBLEM_HEADERS: Final = {
    401: _sent("WWW-Authenticate"),
    416: _sent("Content-Range", "ETag"),
    429: _sent("Retry-After"),
    503: _sent("Retry-After"),
}

_RESPONSES: Final[Node] = {
    code: {
        "description": meaning,
        "content": {"application/problem+json": {"schema": ref("schemas", "Problem")}},
        **_PROBLEM_HEADERS.get(status, {}),
    }
    for status, (code, meaning) in PROBLEMS.items()
}

_FILE: Final = {"content": {media_type: dict[str, Any]() for media_type in MEDIA_TYPES.values()}}
_FILE_HEADERS: Final = ("ETag", "Accept-Ranges", "Content-Length", "Content-Disposition", "Repr-Digest")

_LINKS: Final[Node] = {
    name: {"operationId": name, "parameters": {"job_id": "$response.body#/job_id"}}
    for name in ("getJob", "getFile", "cancelJob")
}

_HEALTH: Final = {"200": _json("Health", "Jobs can run."), "503": _json("Health", "Jobs cannot run.")}
_SUBMITTED: Final = ("Location", "Preference-Applied", "ETag")
_LIMIT: Final = {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": PAGE}
_CHANGES: Final = {"type": "integer", "minimum": 1, "maximum": MAX_CHANGES, "default": MAX_CHANGES}
_CURSOR: Final = {"type": "string"}

_PATHS: Final[Node] = {
    "/retrieve": {
        "post": _operation(
            "retrieve",
            "Submit a job.",
            {
                "200": _json("Job", "The job, which has ended.", links=_LINKS, **_sent(*_SUBMITTED)),
                "202": _json("Job", "The job.", links=_LINKS, **_sent(*_SUBMITTED, "Retry-After")),
                **_problems(400, 401, 413, 415, 422, 429),
            },
            base=True,
            parameters=[
                _header("Idempotency-Key", "The same key and body give the same job.", f'"{SAMPLE_KEY}"'),
                _header("Cache-Control", "`no-cache`: fetch the paper anew, although the store has it.", "no-cache"),
                _prefer("`respond-async`; `wait=N`: hold the reply until the job has ended", "respond-async, wait=10"),
            ],
            requestBody=_json("Submission", "The paper.", required=True),
        )
    },
    "/jobs": {
        "get": _operation(
            "listJobs",
            "List the jobs, newest first.",
            {"200": _json("JobPage", "A page of jobs."), **_problems(400, 401)},
            parameters=[
                _query("status", "Only jobs with this status.", STATUS),
                _query("limit", "How many jobs a page has at most.", _LIMIT),
                _query("cursor", "The `next` of the page before.", {"type": "string"}),
            ],
        ),
    },
    "/jobs/changes": {
        "get": _operation(
            "listChanges",
            "Tell which of the caller's jobs have changed their state since a cursor.",
            {
                "200": _json("Changes", "What has changed, each job once.", **_sent("Preference-Applied")),
                **_problems(400, 401, 410),
            },
            parameters=[
                _query(
                    "since", "The `next` of the answer before; without it there is no change, and a cursor.", _CURSOR
                ),
                _query("limit", "How many jobs an answer has at most.", _CHANGES),
                _prefer("`wait=N`: hold the reply until there is a change", "wait=20"),
            ],
        ),
    },
    "/jobs/{job_id}": {
        "parameters": [_JOB_ID],
        "get": _operation(
            "getJob",
            "Show a job, or wait until it changes.",
            {
                "200": _json("Job", "The job.", **_sent("ETag", "Preference-Applied")),
                "304": {"description": "The job has not changed.", **_sent("ETag", "Preference-Applied")},
                **_problems(401, 404),
            },
            base=True,
            parameters=[
                _prefer("`wait=N`: hold the reply until the job changes", "wait=20"),
                _IF_NONE_MATCH,
            ],
        ),
        "delete": _operation(
            "cancelJob",
            "Cancel a job. A job that has ended stays as it is.",
            {"200": _json("Job", "The job.", **_sent("ETag")), **_problems(401, 404)},
        ),
    },
    "/jobs/{job_id}/file": {
        "parameters": [_JOB_ID],
        "get": _operation(
            "getFile",
            "Download the file, or a part of it.",
            {
                "200": {"description": "The complete file.", **_FILE, **_sent(*_FILE_HEADERS)},
                "206": {"description": "The part.", **_FILE, **_sent(*_FILE_HEADERS, "Content-Range")},
                "304": {"description": "The file is the one with this `ETag`.", **_sent("ETag")},
                **_problems(401, 404, 409, 410, 416),
            },
            base=True,
            parameters=[
                _header("Range", "One range of bytes.", "bytes=1000-"),
                _header("If-Range", "The `ETag` of the file that the range belongs to.", '"9f86d081884c7d65"'),
                _header("Want-Repr-Digest", "`sha-256=0` leaves the digest out.", "sha-256=1"),
                _IF_NONE_MATCH,
            ],
        ),
    },
    "/health": {"get": _operation("getHealth", "Say whether jobs can run.", _HEALTH, base=True, security=[])},
    "/health/ready": {"get": _operation("getReady", "The same as `/health`.", _HEALTH, security=[])},
    "/health/live": {
        "get": _operation("getLive", "Say that the process runs.", {"200": _json("Alive", "It does.")}, security=[])
    },
    "/openapi.json": {
        "get": _operation(
            "getDescription",
            "Give the API as OpenAPI 3.1.",
            {"200": {"description": "OpenAPI 3.1.", "content": {"application/json": {}}}},
            security=[],
        )
    },
}

DESCRIPTION: Final[Node] = {
    "openapi": "3.1.0",
    "info": {"title": "gofer retrieval service", "version": CONTRACT, "license": {"name": "MIT", "identifier": "MIT"}},
    # Whether a token is needed is the operator's choice, so both are described.
    "security": [{}, {"bearer": []}],
    "paths": _PATHS,
    "components": {
        "schemas": SCHEMAS,
        "headers": _HEADERS,
        "responses": _RESPONSES,
        "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
    },
}


async def describe(_: Request) -> Response:
    """GET /openapi.json: the description."""
    return JSONResponse(DESCRIPTION)


routes: Final = [Route("/openapi.json", describe, methods=["GET"])]
