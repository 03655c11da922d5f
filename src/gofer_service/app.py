"""The service as an ASGI application: routes, middleware, error handlers, and the lifespan of the engine."""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect

from gofer_service import files, jobs, openapi
from gofer_service import health as health_routes
from gofer_service.auth import BearerAuth
from gofer_service.engine import Body, Clock, Engine, Prepared, Unavailable
from gofer_service.health import Health
from gofer_service.problems import on_crash, on_disconnect, on_http_exception, on_unavailable
from gofer_service.store import Store


def create_app(
    *,
    engine: Engine,
    store: Store,
    body: Body,
    health: Health,
    token: str | None = None,
    tokens: Sequence[tuple[str, str]] = (),
    background: Sequence[Callable[[], Awaitable[None]]] = (),
    clock: Clock = time.time,
) -> Starlette:
    """Build the application; its lifespan runs the engine, and `Prepared.running` of the body.

    Args:
        engine: keeps the records of jobs and runs them.
        store: keeps the files of jobs. ``body`` must write to the same store.
        body: the work of a job.
        health: the source of /health.
        token: the bearer token that job requests must carry; None and no `tokens` means that they need none.
        tokens: names of callers and their tokens; the jobs of each are another caller's 404.
        background: what runs beside it, for ever.
        clock: wall time.
    """
    accepted = [*([("", token)] if token else []), *tokens]
    app = Starlette(
        routes=[*jobs.routes, *files.routes, *health_routes.routes, *openapi.routes],
        middleware=[Middleware(BearerAuth, tokens=accepted)] if accepted else [],
        exception_handlers={
            HTTPException: on_http_exception,
            ClientDisconnect: on_disconnect,
            Unavailable: on_unavailable,
            Exception: on_crash,
        },
        lifespan=_lifespan,
    )
    app.router.redirect_slashes = False
    app.state.engine = engine
    app.state.store = store
    app.state.body = body
    app.state.health = health
    app.state.background = background
    app.state.clock = clock
    return app


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncGenerator[None]:
    # The server sets it when it begins to stop: held requests are then answered.
    app.state.closing = anyio.Event()
    body: Body = app.state.body
    async with (
        body.running() if isinstance(body, Prepared) else nullcontext(),
        app.state.engine.run(body, app.state.store.delete),
        anyio.create_task_group() as tasks,
    ):
        await app.state.health.probe()
        tasks.start_soon(app.state.health.watch)
        for work in app.state.background:
            tasks.start_soon(work)
        yield
        app.state.closing.set()
        tasks.cancel_scope.cancel()
