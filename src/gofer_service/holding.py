"""Work that ends early when the caller disconnects or the service stops: held requests, and downloads."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
from starlette.requests import Request
from starlette.types import Receive

_T = TypeVar("_T")


async def while_connected(receive: Receive, work: Callable[[], Awaitable[None]]) -> None:
    """Do the work. It is cancelled when the caller disconnects."""
    async with anyio.create_task_group() as tasks:

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            tasks.cancel_scope.cancel()

        tasks.start_soon(watch)
        await work()
        tasks.cancel_scope.cancel()


async def hold(request: Request, wait: Callable[[], Awaitable[_T]]) -> _T | None:
    """Return the result of ``wait``, or None if the caller disconnects or the service stops first.

    An exception of ``wait`` is raised as it is, and not in the group that a task group would make of it.
    """
    closing: anyio.Event = request.app.state.closing
    results: list[_T] = []
    raised: list[Exception] = []

    async def work() -> None:
        async with anyio.create_task_group() as tasks:

            async def stop() -> None:
                await closing.wait()
                tasks.cancel_scope.cancel()

            tasks.start_soon(stop)
            try:
                results.append(await wait())
            except Exception as error:  # noqa: BLE001 - it is raised below
                raised.append(error)
            tasks.cancel_scope.cancel()

    await while_connected(request.receive, work)
    if raised:
        raise raised[0]
    return results[0] if results else None
