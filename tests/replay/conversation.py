"""What a conversation is, and how each face holds it.

A conversation is written once, as a generator: it yields what a client's verb returned and is sent the value. The
blocking client returns the value itself, the awaited one a promise of it; so `yield` reads as `await` does, and an
error arrives on the same line.

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
    """Where a conversation is held.

    Attributes:
        client: a `RetrieveClient`, or an `AsyncRetrieveClient`.
        url: the service's address.
        folder: an empty folder for files.
        clock: gives the virtual time in seconds.
    """

    client: Any
    url: str
    folder: Path
    clock: Callable[[], float]


@frozen
class Conversation:
    """A script and the contract server it is held with: the whole contract, or `plain`, or `degraded`."""

    script: Callable[[Scene], Talk]
    server: dict[str, bool]


CONVERSATIONS: dict[str, Conversation] = {}
"""All of them, by name; a cassette is named alike."""


def conversation(**server: bool) -> Callable[[Callable[[Scene], Talk]], Callable[[Scene], Talk]]:
    """Enter a script in the table."""

    def enter(script: Callable[[Scene], Talk]) -> Callable[[Scene], Talk]:
        CONVERSATIONS[script.__name__] = Conversation(script, server)
        return script

    return enter


def hold(talk: Talk) -> None:
    """Hold a conversation with a blocking client."""
    with contextlib.suppress(StopIteration):
        value = next(talk)
        while True:
            value = talk.send(value)


async def ahold(talk: Talk) -> None:
    """Hold a conversation with an awaited client."""
    with contextlib.suppress(StopIteration):
        promise = next(talk)
        while True:
            try:
                value = await promise
            except Exception as error:
                promise = talk.throw(error)
            else:
                promise = talk.send(value)
