"""What a conversation with a real server is: a script, as in `replay.conversation`, and whom it is held with.

A script is written once. It is held with the server itself (`test_live.py`), recorded from it, and replayed in the
default tests (`test_replayed.py`), each time by the blocking client and by the awaited one on both event loops.
"""

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

from attrs import frozen

from gofer import AsyncClient, Client
from replay.conversation import Talk, ahold, hold

PLENTY = 60.0
"""Seconds after which a conversation with a live server has surely gone wrong."""


@frozen
class Server:
    """A server that nobody here wrote: the contract it is spoken to by, where its API is below its address, a token."""

    contract: str
    path: str = ""
    auth: str | None = None


SERVERS = {
    "pygeoapi": Server("ogc-processes"),
    "spector": Server("azure-lro"),
    "autorest": Server("azure-lro"),
    "wes": Server("wes", "/ga4gh/wes/v1"),
    "flower": Server("flower"),
    "fastmcp": Server("mcp", "/mcp"),
    "a2a": Server("a2a"),
    "sekmet": Server("fhir-bulk", "/fhir"),
    "openeo": Server("openeo", "/openeo/1.2", auth="basic//YW5u"),
}
"""The servers by the names of their modules in `dialects.servers`."""


@frozen
class Scene:
    """Where a conversation is held.

    Attributes:
        client: a `Client`, or an `AsyncClient`.
        another: makes a second one, which knows nothing of the first.
        folder: an empty folder for files.
    """

    client: Any
    another: Callable[[], Any]
    folder: Path


@frozen
class Conversation:
    """A script, the server it is held with, the variables of the contract, and other options of its clients."""

    script: Callable[[Scene], Talk]
    server: str
    variables: Mapping[str, str]
    options: Mapping[str, Any] = {}

    def client(self, kind: type[Client[Any, Any]] | type[AsyncClient[Any, Any]], url: str, **options: Any) -> Any:
        """Make a client of either kind for the server at this address."""
        server = SERVERS[self.server]
        options = {"auth": server.auth, **self.options, **options}
        return kind(url + server.path, contract=server.contract, variables=self.variables, **options)


CONVERSATIONS: dict[str, Conversation] = {}
"""All of them, by server and script; a cassette is named alike."""


def on(
    server: str, options: Mapping[str, Any] | None = None, **variables: str
) -> Callable[[Callable[[Scene], Talk]], Callable[[Scene], Talk]]:
    """Enter a script in the table as a conversation with this server."""

    def enter(script: Callable[[Scene], Talk]) -> Callable[[Scene], Talk]:
        name = f"{server}-{script.__name__.replace('_', '-')}"
        CONVERSATIONS[name] = Conversation(script, server, variables, options or {})
        return script

    return enter


def converse(name: str, url: str, folder: Path, options: Callable[[], dict[str, Any]]) -> None:
    """Hold a conversation with the server at `url` by blocking clients, each of them made with fresh `options`."""
    held = CONVERSATIONS[name]
    with ExitStack() as stack:

        def client() -> Any:
            return stack.enter_context(held.client(Client, url, **options()))

        hold(held.script(Scene(client(), client, folder)))


async def aconverse(name: str, url: str, folder: Path, options: Callable[[], dict[str, Any]]) -> None:
    """Hold the same conversation by awaited clients."""
    held = CONVERSATIONS[name]
    async with AsyncExitStack() as stack:

        def client() -> Any:
            made = held.client(AsyncClient, url, **options())
            stack.push_async_exit(made)
            return made

        await ahold(held.script(Scene(client(), client, folder)))
