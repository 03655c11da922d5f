"""The documents of the API, field by field, as JSON Schema: name, type, range and meaning.

These tables are the source for the OpenAPI document (`openapi`). Tests compare them with what the service sends, with
the client's models and with the tables of docs/contract.md, and name the field that differs. ``x-base`` marks what
belongs to the base of the contract; everything else is an extension.
"""

from collections.abc import Mapping
from typing import Any, Final

from gofer.contracts.retrieve import SERVICE_BUDGET
from gofer_service.engine import ErrorCode, Status
from gofer_service.files import MEDIA_TYPES
from gofer_service.health import CAPABILITIES, CONTRACT
from gofer_service.problems import PROBLEMS
from gofer_service.submissions import MAX_TIMEOUT

Node = dict[str, Any]
"""A part of the OpenAPI document."""

STATUSES: Final[Mapping[str, str]] = {
    Status.PENDING: "the job waits for its turn",
    Status.SEARCHING: "the service looks for the paper",
    Status.DOWNLOADING: "the paper was found and is being fetched",
    Status.COMPLETED: "the file is ready",
    Status.FAILED: "the job ended without a file; `error_code` says why",
}

ERROR_CODES: Final[Mapping[str, str]] = {
    ErrorCode.NOT_FOUND: "no source has the paper, or a usable copy of it",
    ErrorCode.DOWNLOAD_FAILED: "the paper was found, but no complete copy could be fetched",
    ErrorCode.VPN_ERROR: "the paper needs the VPN, which is down",
    ErrorCode.TIMEOUT: "the job took longer than `timeout_seconds`",
    ErrorCode.CANCELLED: "somebody cancelled the job (extension)",
}

HEALTH: Final[Mapping[str, str]] = {
    "healthy": "jobs can run",
    "degraded": "jobs can run, and something is missing that they can do without, such as a VPN that is down",
    "unhealthy": "jobs cannot run",
}


def ref(kind: str, name: str) -> Node:
    """Refer to a component of the OpenAPI document."""
    return {"$ref": f"#/components/{kind}/{name}"}


def text(meaning: str, **more: Any) -> Node:
    """Describe a string."""
    return {"type": "string", "description": meaning, **more}


def one_of(words: Mapping[str, str], meaning: str) -> Node:
    """Describe a string that is one of these words, each with its own meaning."""
    explained = "".join(f"\n- `{word}`: {sense}" for word, sense in words.items())
    return text(f"{meaning}\n{explained}", enum=[str(word) for word in words])


def _time(meaning: str) -> Node:
    return text(meaning, format="date-time")


def _count(meaning: str) -> Node:
    return {"type": "integer", "description": meaning, "minimum": 0}


def _list(item: Node, meaning: str) -> Node:
    return {"type": "array", "description": meaning, "items": item}


def _object(required: str, base: Node, more: Node | None = None, **rest: Any) -> Node:
    """Describe an object: the names of its required fields, the fields of the base, and those of extensions."""
    fields = {name: {**field, "x-base": True} for name, field in base.items()} | (more or {})
    return {"type": "object", **rest, "required": required.split(), "properties": fields}


STATUS: Final = one_of(STATUSES, "Where the job is.")

SCHEMAS: Final[Node] = {
    "Submission": _object(
        "doi",
        {
            "doi": text("The paper, in any usual spelling.", examples=["10.5555/12345678"]),
            "title": {"type": ["string", "null"], "description": "Helps to recognise the right paper."},
            "authors": {
                "type": ["array", "string", "null"],
                "description": "The names of the authors.",
                "items": {"type": "string"},
            },
            "timeout_seconds": {
                "type": "number",
                "description": "Seconds that the service may spend on the job.",
                "exclusiveMinimum": 0,
                "maximum": MAX_TIMEOUT,
                "default": SERVICE_BUDGET,
            },
        },
    ),
    "Job": _object(
        "job_id status doi",
        {
            "job_id": text("The id of the job, as in its address."),
            "status": STATUS,
            "doi": text("The paper, in lower case and without a prefix such as `https://doi.org/`."),
            "file_path": text("The service's own name for the file. It is not a path."),
            "file_size": _count("The size of the file in bytes."),
            "file_format": one_of(MEDIA_TYPES, "The format of the file."),
            "error": text("Why the job failed, as a sentence for people."),
            "error_code": one_of(ERROR_CODES, "Why the job failed."),
        },
        {
            "progress": {"type": "number", "description": "The share that is done.", "minimum": 0, "maximum": 1},
            "bytes_done": _count("Bytes of the file that the service has fetched."),
            "bytes_total": _count("Bytes of the file in all."),
            "message": text("What the service is doing, as a sentence for people."),
            "source": text("The source that had the paper."),
            "version": text("The version of the paper, as in `publishedVersion`."),
            "licence": text("The licence of the paper, as in `cc-by-4.0`."),
            "created": _time("When the job was submitted."),
            "started": _time("When work on the job started."),
            "updated": _time("When the job changed last."),
            "finished": _time("When the job ended."),
            "expires": _time("When the service deletes the file."),
            "attempts": _list(ref("schemas", "Attempt"), "The places that were tried and did not give the paper."),
        },
    ),
    "Attempt": _object(
        "",
        {},
        {
            "source": text("The source that named the place."),
            "place": text("The place, as the source calls it."),
            "failure": text("A code for the reason."),
        },
    ),
    "JobPage": _object(
        "jobs next",
        {},
        {
            "jobs": _list(ref("schemas", "Job"), "The jobs, newest first."),
            "next": {"type": ["string", "null"], "description": "The `cursor` of the next page; null on the last one."},
        },
    ),
    "Health": _object(
        "status vpn_connected vpn_ip",
        {
            "status": one_of(HEALTH, "Whether jobs can run."),
            "vpn_connected": {
                "type": "boolean",
                "description": "Whether the VPN is up; false also if no VPN is configured.",
            },
            "vpn_ip": {"type": ["string", "null"], "description": "The public address of the VPN."},
        },
        {
            "contract": text("The version of this contract.", const=CONTRACT),
            "capabilities": _list(one_of(CAPABILITIES, "An extension."), "The extensions that the service has."),
            "version": text("The service's own version."),
            "checks": {
                "type": "object",
                "description": "The last result of each probe, in the shape of draft-inadarei-api-health-check.",
                "additionalProperties": {"type": "array", "items": {"type": "object"}},
            },
        },
    ),
    "Alive": _object("status", {}, {"status": text("The process answers.", const="alive")}),
    "Problem": _object(
        "title status detail error_code",
        {},
        {
            "type": text("Always `about:blank`."),
            "title": text("The name of the HTTP status."),
            "status": {"type": "integer", "description": "The HTTP status."},
            "detail": text("What is wrong, as a sentence for people."),
            "error_code": one_of(dict(PROBLEMS.values()), "What is wrong."),
        },
        description="An error reply (RFC 9457).",
    ),
}
