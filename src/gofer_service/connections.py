"""Ending a request's work early: the caller has gone, or the service stops."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
from starlette.requests import Request
from starlette.types import Receive

_T = TypeVar("_T")


async def until_gone(receive: Receive, work: Callable[[], Awaitable[None]]) -> None:
    """Do the work, or as much of it as happens before the caller disconnects."""
    async with anyio.create_task_group() as tasks:

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            tasks.cancel_scope.cancel()

        tasks.start_soon(watch)
        await work()
        tasks.cancel_scope.cancel()


async def held(request: Request, wait: Callable[[], Awaitable[_T]]) -> _T | None:
    """Give what ``wait`` gives, or None when the caller disconnects or the service stops before."""
    closing: anyio.Event = request.app.state.closing
    answer: list[_T] = []

    async def hold() -> None:
        async with anyio.create_task_group() as tasks:

            async def stop() -> None:
                await closing.wait()
                tasks.cancel_scope.cancel()

            tasks.start_soon(stop)
            answer.append(await wait())
            tasks.cancel_scope.cancel()

    await until_gone(request.receive, hold)
    return answer[0] if answer else None
