"""The routes that submit, show, list and cancel jobs: from HTTP to the engine and back. `files` sends the files."""

import re
from functools import partial
from typing import Final

import anyio
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gofer_service.documents import job_document, job_tag
from gofer_service.engine import CursorGone, Engine, Job, KeyReused, QueueFull, Status
from gofer_service.headers import read_key, read_prefer, read_tags
from gofer_service.holding import hold
from gofer_service.submissions import read_submission

PAGE: Final = 50
"""Jobs on one page if the caller does not say how many."""

MAX_PAGE: Final = 200
"""Jobs on one page at most."""

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


MAX_CHANGES: Final = 500
"""Changes in one reply at most."""


def caller_of(request: Request) -> str:
    """Return who calls: the name of the token, empty where tokens have none."""
    return str(getattr(request.state, "caller", ""))


def or_404(request: Request, job: Job | None) -> Job:
    """Return the job.

    Raises:
        HTTPException: 404, there is no job, or it is another caller's.
    """
    if job is None or job.owner != caller_of(request):
        raise HTTPException(404, "there is no such job")
    return job


def path_id(request: Request) -> str:
    """Return the job id in the path.

    Raises:
        HTTPException: 404, this cannot be the id of a job.
    """
    job_id: str = request.path_params["job_id"]
    if not _ID.fullmatch(job_id):
        or_404(request, None)
    return job_id


async def submit(request: Request) -> Response:
    """POST /retrieve: make a job, or find the job that the idempotency key has made.

    The reply is 202 at once (RFC 9110, 15.3.3). With ``Prefer: wait=N`` it is held until the job has ended (200), for N
    seconds at most (202; RFC 7240, 4.3). If the reply is lost, the caller finds the job again by its key.
    """
    engine: Engine = request.app.state.engine
    key = _key(request)
    submission = await read_submission(request)
    try:
        job = await engine.submit(submission, key, caller_of(request))
    except KeyReused:
        raise HTTPException(422, "this Idempotency-Key came with another submission before") from None
    except QueueFull:
        raise HTTPException(429, "too many jobs are waiting", {"Retry-After": "5"}) from None
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
    """Wait until the job has ended, ``seconds`` are over or the caller disconnects; return the job as it is then."""
    with anyio.move_on_after(seconds) as scope:
        while not job.ended:
            left = scope.deadline - anyio.current_time()
            later = await hold(request, partial(engine.wait, job.id, job.revision, left))
            if later is None:
                break
            job = later
    return job


async def show(request: Request) -> Response:
    """GET /jobs/{job_id}: the job. With ``Prefer: wait=N`` the reply is held until the job changes (RFC 7240, 4.3)."""
    engine: Engine = request.app.state.engine
    job_id = path_id(request)
    tags = read_tags(request.headers.get("if-none-match", ""))
    seconds = read_prefer(request.headers.get("prefer", "")).wait
    seen = None if not tags or "*" in tags else max(map(_revision, tags))
    if seconds and caller_of(request):
        or_404(request, await engine.get(job_id))  # nobody is held for another's job
    job = await hold(request, lambda: engine.wait(job_id, seen, seconds or 0))
    job = or_404(request, await engine.get(job_id) if job is None else job)
    headers = {} if seconds is None else {"Preference-Applied": f"wait={seconds}"}
    if "*" in tags or str(job.revision) in tags:
        return Response(status_code=304, headers={"ETag": job_tag(job), "Cache-Control": "no-cache", **headers})
    return _show(job, headers)


async def cancel(request: Request) -> Response:
    """DELETE /jobs/{job_id}: cancel the job. A job that has ended stays as it is."""
    engine: Engine = request.app.state.engine
    job_id = path_id(request)
    or_404(request, await engine.get(job_id))
    return _show(or_404(request, await engine.cancel(job_id)), {})


async def index(request: Request) -> Response:
    """GET /jobs: a page of the list, newest first."""
    engine: Engine = request.app.state.engine
    query = request.query_params
    status = query.get("status")
    if status is not None and status not in list(Status):
        raise HTTPException(400, f"status: must be one of {', '.join(Status)}")
    limit = _number(query.get("limit", str(PAGE)), "limit", MAX_PAGE)
    cursor = _number(query["cursor"], "cursor", 2**62) if "cursor" in query else None
    page = await engine.list(None if status is None else Status(status), limit, cursor, caller_of(request))
    following = None if page.next is None else str(page.next)
    return JSONResponse({"jobs": [job_document(job) for job in page.jobs], "next": following})


async def changes(request: Request) -> Response:
    """GET /jobs/changes: the caller's jobs whose state has changed since a cursor, as they are now.

    With ``Prefer: wait=N`` the reply is held until there is one (RFC 7240, 4.3). Without a cursor the reply has the
    cursor of now, and no job.
    """
    engine: Engine = request.app.state.engine
    query = request.query_params
    since = _number(query["since"], "since", 2**62, least=0) if "since" in query else None
    limit = _number(query.get("limit", str(MAX_CHANGES)), "limit", MAX_CHANGES)
    seconds = read_prefer(request.headers.get("prefer", "")).wait
    caller = caller_of(request)
    try:
        found = await hold(request, lambda: engine.changes(caller, since, limit, seconds or 0))
        if found is None:
            found = await engine.changes(caller, since, limit, 0)
    except CursorGone:
        raise HTTPException(410, "there is no such cursor; begin without one, then look at the jobs") from None
    headers = {} if seconds is None else {"Preference-Applied": f"wait={seconds}"}
    document = {"changes": [job_document(job) for job in found.jobs], "next": str(found.next)}
    return JSONResponse(document, headers={"Cache-Control": "no-store", **headers})


def _show(job: Job, headers: dict[str, str], status: int = 200) -> Response:
    return JSONResponse(job_document(job), status, {"ETag": job_tag(job), "Cache-Control": "no-cache", **headers})


def _key(request: Request) -> str | None:
    header = request.headers.get("idempotency-key")
    try:
        return None if header is None else read_key(header)
    except ValueError as error:
        raise HTTPException(400, str(error)) from None


def _revision(tag: str) -> int:
    """Read the revision in a tag. A tag that this service did not make counts as older than every revision."""
    return int(tag) if tag.isdecimal() and len(tag) < 20 else -1


def _number(text: str, name: str, most: int, least: int = 1) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1
    if not least <= number <= most:
        raise HTTPException(400, f"{name}: must be a whole number from {least} to {most}")
    return number


routes: Final = [
    Route("/retrieve", submit, methods=["POST"]),
    Route("/jobs", index, methods=["GET"]),
    Route("/jobs/changes", changes, methods=["GET"]),
    Route("/jobs/{job_id}", show, methods=["GET"]),
    Route("/jobs/{job_id}", cancel, methods=["DELETE"]),
]
