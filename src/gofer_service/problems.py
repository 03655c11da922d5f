"""Error replies: RFC 9457 problem details with an ``error_code``.

Routes raise Starlette's ``HTTPException``. Every error reply of the service is built here, so none is plain text and
none contains a traceback.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

PROBLEMS: Final[Mapping[int, tuple[str, str]]] = {
    400: ("VALIDATION_ERROR", "a field, a parameter or a header has a wrong value; `detail` names it"),
    401: ("UNAUTHORIZED", "the token is missing or wrong"),
    404: ("NOT_FOUND", "there is no such job, or no such path"),
    405: ("METHOD_NOT_ALLOWED", "the path does not have this method"),
    409: ("NOT_READY", "the job has no file, or no file yet"),
    410: ("EXPIRED", "the service has deleted the file"),
    413: ("TOO_LARGE", "the request body is too long"),
    415: ("UNSUPPORTED_MEDIA_TYPE", "the request body is not `application/json`"),
    416: ("RANGE_NOT_SATISFIABLE", "the range starts after the end of the file"),
    422: ("KEY_REUSED", "the `Idempotency-Key` belongs to another submission"),
    429: ("TOO_MANY_REQUESTS", "too many jobs are waiting; `Retry-After` says when to try again"),
    500: ("INTERNAL", "the service failed; its log has the reason"),
    503: ("UNAVAILABLE", "the service cannot use its records or files now; `Retry-After` says when to try again"),
}
"""The error code of each HTTP status, and what it means."""


def reply(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """Build the problem document."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "error_code": PROBLEMS[status][0],
    }
    return JSONResponse(body, status, headers, media_type="application/problem+json")


async def on_http_exception(_: Request, error: Exception) -> Response:
    """Answer an error that a route raised, or the framework: an unknown path, a method that is not allowed."""
    assert isinstance(error, HTTPException)  # noqa: S101 - Starlette's handlers are typed for any exception
    return reply(error.status_code, error.detail, error.headers)


async def on_disconnect(_: Request, __: Exception) -> Response:
    """End a request whose caller went away before it was complete. Nobody reads the answer, and nothing is logged."""
    return reply(400, "the request was not complete")


async def on_unavailable(_: Request, __: Exception) -> Response:
    """Answer 503: the records are locked or the disk is full, and nothing was changed."""
    return reply(503, "the service cannot use its records now; nothing was changed", {"Retry-After": "5"})


async def on_crash(_: Request, __: Exception) -> Response:
    """Answer 500 without a reason; the server logs the exception."""
    return reply(500, "the service failed; its log says why")
