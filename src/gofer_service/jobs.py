"""The routes that submit, show, list and cancel jobs.

HTTP on one side, the engine on the other; files have their own room.
"""

import re
from functools import partial
from typing import Final

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gofer_service.connections import held
from gofer_service.documents import job_document, job_tag
from gofer_service.engine import Engine, Job, KeyReused, QueueFull, Status
from gofer_service.fields import read_key, read_prefer, read_tags
from gofer_service.problems import Problem
from gofer_service.submissions import read_submission

MAX_PAGE: Final = 200
"""Jobs in one reply at most."""

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


def known(job: Job | None) -> Job:
    """Give the job.

    Raises:
        Problem: 404, there is none.
    """
    if job is None:
        raise Problem(404, "NOT_FOUND", "there is no such job")
    return job


def path_id(request: Request) -> str:
    """Give the job id of the path.

    Raises:
        Problem: 404, it cannot be one of ours.
    """
    job_id: str = request.path_params["job_id"]
    if not _ID.fullmatch(job_id):
        raise Problem(404, "NOT_FOUND", "there is no such job")
    return job_id


async def submit(request: Request) -> Response:
    """POST /retrieve: make a job, or find the one that the idempotency key made.

    The reply is 202 at once (RFC 9110, 15.3.3), or with ``Prefer: respond-async, wait=N`` when the job has ended,
    200, but after N seconds at the latest (RFC 7240, 4.3). An answer lost meanwhile is found again by its key.
    """
    engine: Engine = request.app.state.engine
    key = _key(request)
    submission = await read_submission(request)
    try:
        job = await engine.submit(submission, key)
    except KeyReused:
        raise Problem(422, "KEY_REUSED", "this Idempotency-Key came with another submission before") from None
    except QueueFull:
        raise Problem(429, "TOO_MANY_REQUESTS", "too many jobs are waiting", {"Retry-After": "5"}) from None
    wanted = read_prefer(request.headers.get("prefer", ""))
    headers = {"Location": f"/jobs/{job.id}"}
    applied = ["respond-async"] if wanted.respond_async else []
    if wanted.wait:
        job = await _ended(request, engine, job, wanted.wait)
        applied.append(f"wait={wanted.wait}")
    if applied:
        headers["Preference-Applied"] = ", ".join(applied)
    if job.ended:
        return _show(job, headers)
    return _show(job, headers | {"Retry-After": "1"}, status=202)


async def _ended(request: Request, engine: Engine, job: Job, seconds: float) -> Job:
    """Wait for the job's end, but not longer than that, nor for a caller who has gone; give the job as it is then."""
    with anyio.move_on_after(seconds) as scope:
        while not job.ended:
            left = scope.deadline - anyio.current_time()
            later = await held(request, partial(engine.wait, job.id, job.revision, left))
            if later is None:
                break
            job = later
    return job


async def show(request: Request) -> Response:
    """GET /jobs/{job_id}: the job, or with ``Prefer: wait=N`` what becomes of it (RFC 7240, 4.3)."""
    engine: Engine = request.app.state.engine
    job_id = path_id(request)
    tags = read_tags(request.headers.get("if-none-match", ""))
    seconds = read_prefer(request.headers.get("prefer", "")).wait
    seen = None if not tags or "*" in tags else max(map(_revision, tags))
    job = await held(request, lambda: engine.wait(job_id, seen, seconds or 0))
    if job is None:
        job = known(await engine.get(job_id))
    headers = {} if seconds is None else {"Preference-Applied": f"wait={seconds}"}
    if "*" in tags or str(job.revision) in tags:
        return Response(status_code=304, headers={"ETag": job_tag(job), "Cache-Control": "no-cache", **headers})
    return _show(job, headers)


async def cancel(request: Request) -> Response:
    """DELETE /jobs/{job_id}: end the job; one that has ended stays as it is."""
    engine: Engine = request.app.state.engine
    return _show(known(await engine.cancel(path_id(request))), {})


async def index(request: Request) -> Response:
    """GET /jobs: the list, newest first, in pages."""
    engine: Engine = request.app.state.engine
    query = request.query_params
    status = query.get("status")
    if status is not None and status not in list(Status):
        raise Problem(400, "VALIDATION_ERROR", f"status: must be one of {', '.join(Status)}")
    limit = _number(query.get("limit", "50"), "limit", MAX_PAGE)
    cursor = _number(query["cursor"], "cursor", 2**62) if "cursor" in query else None
    page = await engine.list(None if status is None else Status(status), limit, cursor)
    following = None if page.next is None else str(page.next)
    return JSONResponse({"jobs": [job_document(job) for job in page.jobs], "next": following})


def _show(job: Job, headers: dict[str, str], status: int = 200) -> Response:
    return JSONResponse(job_document(job), status, {"ETag": job_tag(job), "Cache-Control": "no-cache", **headers})


def _key(request: Request) -> str | None:
    field = request.headers.get("idempotency-key")
    if field is None:
        return None
    try:
        return read_key(field)
    except ValueError as error:
        raise Problem(400, "VALIDATION_ERROR", str(error)) from None


def _revision(tag: str) -> int:
    """Read a revision from a tag; one that is not ours is older than any."""
    return int(tag) if tag.isdecimal() and len(tag) < 20 else -1


def _number(text: str, name: str, most: int) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
    if not 0 < number <= most:
        raise Problem(400, "VALIDATION_ERROR", f"{name}: must be a whole number from 1 to {most}")
    return number


routes: Final = [
    Route("/retrieve", submit, methods=["POST"]),
    Route("/jobs", index, methods=["GET"]),
    Route("/jobs/{job_id}", show, methods=["GET"]),
    Route("/jobs/{job_id}", cancel, methods=["DELETE"]),
]
