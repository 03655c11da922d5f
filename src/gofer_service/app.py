"""The service as an ASGI application: routes, error pages and the life of the engine, put together."""

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from gofer_service import files, jobs, openapi
from gofer_service import health as health_routes
from gofer_service.engine import Body, Clock, Engine
from gofer_service.guard import Guard
from gofer_service.health import Health
from gofer_service.problems import Problem, on_crash, on_http_exception, on_problem
from gofer_service.store import Store


def create_app(
    *, engine: Engine, store: Store, body: Body, health: Health, token: str | None = None, clock: Clock = time.time
) -> Starlette:
    """Build the application; its lifespan runs the engine.

    Args:
        engine: keeps the jobs.
        store: keeps their files; the one ``body`` writes to.
        body: the work of a job.
        health: what /health answers from.
        token: the bearer token that job requests must carry; None asks for none.
        clock: wall time.
    """
    app = Starlette(
        routes=[*jobs.routes, *files.routes, *health_routes.routes, *openapi.routes],
        middleware=[Middleware(Guard, token=token)] if token else [],
        exception_handlers={Problem: on_problem, HTTPException: on_http_exception, Exception: on_crash},
        lifespan=_lifespan,
    )
    app.router.redirect_slashes = False
    app.state.engine = engine
    app.state.store = store
    app.state.body = body
    app.state.health = health
    app.state.clock = clock
    return app


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncGenerator[None]:
    # Set by the server when it begins to stop: held requests are answered then.
    app.state.closing = anyio.Event()
    async with app.state.engine.run(app.state.body, app.state.store.delete), anyio.create_task_group() as tasks:
        await app.state.health.probe()
        tasks.start_soon(app.state.health.watch)
        yield
        app.state.closing.set()
        tasks.cancel_scope.cancel()
