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
    Status.SEARCHING: "the service is searching for the paper",
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


def field(types: str, meaning: str, **limits: Any) -> Node:
    """Describe a field by its JSON types, its meaning and its limits."""
    one, *others = types.split()
    return {"type": [one, *others] if others else one, "description": meaning, **limits}


def one_of(words: Mapping[str, str], meaning: str) -> Node:
    """Describe a string that is one of these words, each with its own meaning."""
    explained = "".join(f"\n- `{word}`: {sense}" for word, sense in words.items())
    return field("string", f"{meaning}\n{explained}", enum=[str(word) for word in words])


def _time(meaning: str) -> Node:
    return field("string", meaning, format="date-time")


def _object(required: str, base: Node, more: Node | None = None) -> Node:
    """Describe an object: the names of its required fields, the fields of the base, and those of extensions."""
    fields = {name: {**described, "x-base": True} for name, described in base.items()} | (more or {})
    return {"type": "object", "required": required.split(), "properties": fields}


STATUS: Final = one_of(STATUSES, "Where the job is.")

SCHEMAS: Final[Node] = {
    "Submission": _object(
        "doi",
        {
            "doi": field("string", "The paper, in any usual spelling.", examples=["10.5555/12345678"]),
            "title": field("string null", "Helps to recognise the right paper."),
            "authors": field("array string null", "The names of the authors.", items={"type": "string"}),
            "timeout_seconds": field(
                "number",
                "Seconds that the service may spend on the job.",
                exclusiveMinimum=0,
                maximum=MAX_TIMEOUT,
                default=SERVICE_BUDGET,
            ),
        },
    ),
    "Job": _object(
        "job_id status doi",
        {
            "job_id": field("string", "The id of the job, as in its address."),
            "status": STATUS,
            "doi": field("string", "The paper, in lower case and without a prefix such as `https://doi.org/`."),
            "file_path": field("string", "The service's own name for the file. It is not a path."),
            "file_size": field("integer", "The size of the file in bytes.", minimum=0),
            "file_format": one_of(MEDIA_TYPES, "The format of the file."),
            "error": field("string", "Why the job failed, as a sentence for people."),
            "error_code": one_of(ERROR_CODES, "Why the job failed."),
        },
        {
            "progress": field("number", "The share that is done.", minimum=0, maximum=1),
            "bytes_done": field("integer", "Bytes of the file that the service has fetched.", minimum=0),
            "bytes_total": field("integer", "Bytes of the file in all.", minimum=0),
            "message": field("string", "What the service is doing, as a sentence for people."),
            "source": field("string", "The source that had the paper."),
            "version": field("string", "The version of the paper, as in `publishedVersion`."),
            "licence": field("string", "The licence of the paper, as in `cc-by-4.0`."),
            "created": _time("When the job was submitted."),
            "started": _time("When work on the job started."),
            "updated": _time("When the job changed last."),
            "finished": _time("When the job ended."),
            "expires": _time("When the service deletes the file."),
            "attempts": field("array", "The places that failed for this job.", items=ref("schemas", "Attempt")),
        },
    ),
    "Attempt": _object(
        "",
        {},
        {
            "source": field("string", "The source that named the place."),
            "place": field("string", "The place, as the source calls it."),
            "failure": field("string", "A code for the reason."),
        },
    ),
    "JobPage": _object(
        "jobs next",
        {},
        {
            "jobs": field("array", "The jobs, newest first.", items=ref("schemas", "Job")),
            "next": field("string null", "The `cursor` of the next page; null on the last one."),
        },
    ),
    "Changes": _object(
        "changes next",
        {},
        {
            "changes": field(
                "array", "The jobs whose state has changed, as they are now.", items=ref("schemas", "Job")
            ),
            "next": field("string", "The `since` of the next request."),
        },
    ),
    "Health": _object(
        "status vpn_connected vpn_ip",
        {
            "status": one_of(HEALTH, "Whether jobs can run."),
            "vpn_connected": field("boolean", "Whether the VPN is up; false also if no VPN is configured."),
            "vpn_ip": field("string null", "The public address of the VPN."),
        },
        {
            "contract": field("string", "The version of this contract.", const=CONTRACT),
            "capabilities": field(
                "array", "The extensions that the service has.", items=one_of(CAPABILITIES, "An extension.")
            ),
            "version": field("string", "The service's own version."),
            "checks": field(
                "object",
                "The last result of each probe, in the shape of draft-inadarei-api-health-check.",
                additionalProperties={"type": "array", "items": {"type": "object"}},
            ),
        },
    ),
    "Alive": _object("status", {}, {"status": field("string", "The process runs.", const="alive")}),
    "Problem": _object(
        "title status detail error_code",
        {},
        {
            "type": field("string", "Always `about:blank` (RFC 9457)."),
            "title": field("string", "The name of the HTTP status."),
            "status": field("integer", "The HTTP status."),
            "detail": field("string", "What is wrong, as a sentence for people."),
            "error_code": one_of(dict(PROBLEMS.values()), "What is wrong."),
        },
    ),
}
