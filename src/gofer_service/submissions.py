"""Validation of POST /retrieve: from the bytes of the body to a `Submission`.

Every bad field is answered 400 with its name. 422 means a reused idempotency key and nothing else, so that a caller who
repeats a submission can distinguish the two.
"""

import json
from typing import Any, Final, NoReturn, cast

from attrs import evolve
from starlette.exceptions import HTTPException
from starlette.requests import Request

from gofer.contracts.doi import normalize
from gofer.contracts.retrieve import SERVICE_BUDGET
from gofer_service.engine import Submission
from gofer_service.headers import wants_fresh

MAX_BODY: Final = 64 * 1024
"""Bytes of a request body at most."""

MAX_TIMEOUT: Final = 86400
"""Seconds in ``timeout_seconds`` at most."""


async def read_submission(request: Request) -> Submission:
    """Read and check the body of POST /retrieve.

    Raises:
        HTTPException: 400, 413 or 415.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise HTTPException(415, "the body must be application/json")
    submission = parse_submission(await _read_body(request))
    return evolve(submission, fresh=wants_fresh(request.headers.get("cache-control", "")))


def parse_submission(body: bytes) -> Submission:
    """Check a JSON document; unknown fields are ignored.

    Raises:
        HTTPException: 400.
    """
    try:
        document: Any = json.loads(body.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise HTTPException(400, "the body is not valid JSON in UTF-8") from None
    if not isinstance(document, dict):
        raise HTTPException(400, "the body must be a JSON object")
    fields = cast("dict[str, Any]", document)
    doi = _text(fields, "doi")
    if doi is None:
        raise HTTPException(400, "doi: required")
    try:
        doi = normalize(doi)
    except ValueError as error:
        raise HTTPException(400, f"doi: {error}") from None
    return Submission(doi, _text(fields, "title"), _authors(fields), _timeout(fields))


async def _read_body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise HTTPException(413, f"the body must not exceed {MAX_BODY} bytes", {"Connection": "close"})
    return bytes(body)


def _text(fields: dict[str, Any], name: str) -> str | None:
    value = fields.get(name)
    return None if value is None else _checked(value, name)


def _authors(fields: dict[str, Any]) -> tuple[str, ...]:
    value = fields.get("authors")
    if value is None:
        return ()
    authors = fields["authors"] if isinstance(value, list) else [value]
    return tuple(_checked(author, "authors", "must be a string or a list of strings") for author in authors)


def _timeout(fields: dict[str, Any]) -> float:
    value = fields.get("timeout_seconds", SERVICE_BUDGET)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MAX_TIMEOUT:
        raise HTTPException(400, f"timeout_seconds: must be a number above 0 and up to {MAX_TIMEOUT}")
    return float(value)


def _checked(value: Any, name: str, kind: str = "must be a string") -> str:
    if not isinstance(value, str):
        raise HTTPException(400, f"{name}: {kind}")
    # JSON allows half a surrogate pair in a string, UTF-8 does not.
    if "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
        raise HTTPException(400, f"{name}: must be text without NUL or lone surrogates")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)
