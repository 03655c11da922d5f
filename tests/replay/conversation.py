"""What a conversation is, and how each face plays it.

A conversation is written once, as a generator: it yields what a client's verb returned and is sent the value. The
blocking client returns the value itself, the awaited one an awaitable; so `yield` reads as `await` does, and an error
is raised on the same line.

    job = yield scene.client.submit(RetrieveRequest("10.5555/quick"))
    with pytest.raises(NotReady):
        yield scene.client.download_file(job.id, scene.folder / "paper.pdf")
"""

import contextlib
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from attrs import frozen

Talk = Generator[Any, Any, None]


@frozen
class Scene:
    """What a conversation has to work with.

    Attributes:
        client: a `RetrieveClient`, or an `AsyncRetrieveClient`.
        url: the service's address.
        folder: an empty folder for files.
        clock: returns the virtual time in seconds.
    """

    client: Any
    url: str
    folder: Path
    clock: Callable[[], float]


@frozen
class Conversation:
    """A script and its contract server: with the complete contract, or `plain`, or `degraded`."""

    script: Callable[[Scene], Talk]
    server: dict[str, bool]


CONVERSATIONS: dict[str, Conversation] = {}
"""All conversations by name; a cassette has the name of its conversation."""


def conversation(**server: bool) -> Callable[[Callable[[Scene], Talk]], Callable[[Scene], Talk]]:
    """Add a script to the table."""

    def add(script: Callable[[Scene], Talk]) -> Callable[[Scene], Talk]:
        CONVERSATIONS[script.__name__] = Conversation(script, server)
        return script

    return add


def hold(talk: Talk) -> None:
    """Play a conversation with a blocking client."""
    with contextlib.suppress(StopIteration):
        value = next(talk)
        while True:
            value = talk.send(value)


async def ahold(talk: Talk) -> None:
    """Play a conversation with an awaited client."""
    with contextlib.suppress(StopIteration):
        awaitable = next(talk)
        while True:
            try:
                value = await awaitable
            except Exception as error:
                awaitable = talk.throw(error)
            else:
                awaitable = talk.send(value)
