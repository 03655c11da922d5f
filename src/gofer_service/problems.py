"""Errors as the caller sees them: RFC 9457 problem details with our ``error_code``.

Every reply that is not a success is made here, so none can leak a traceback or come as plain text.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

_CODES: Final = {
    400: "VALIDATION_ERROR",
    401: "UNAUTHORIZED",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    413: "TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    429: "TOO_MANY_REQUESTS",
    500: "INTERNAL",
}


class Problem(Exception):
    """Raised by a route: the request ends with this reply."""

    def __init__(self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers


def reply(status: int, code: str, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """Build the problem document."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "error_code": code,
    }
    return JSONResponse(body, status, dict(headers or {}), media_type="application/problem+json")


async def on_problem(_: Request, problem: Exception) -> Response:
    """Answer a `Problem`."""
    assert isinstance(problem, Problem)  # noqa: S101 - Starlette's handlers are typed for any exception
    return reply(problem.status, problem.code, problem.detail, problem.headers)


async def on_http_exception(_: Request, error: Exception) -> Response:
    """Answer what the framework found wrong: an unknown path, a method that is not allowed."""
    assert isinstance(error, HTTPException)  # noqa: S101 - as above
    code = _CODES.get(error.status_code, HTTPStatus(error.status_code).name)
    return reply(error.status_code, code, error.detail, error.headers)


async def on_crash(_: Request, __: Exception) -> Response:
    """Answer for a fault of ours without a word about it; the server logs it."""
    return reply(500, "INTERNAL", "the service failed; its log says why")
