"""Every conversation with the servers themselves, by the blocking client and by the awaited one on both event loops.

Only `nox -s dialects` runs this. The tests of a server stay in one process, one after the other: Azure's mock has one
state for all its callers, and pygeoapi mixes jobs that are submitted at the same moment.
"""

from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from dialects.servers import flower, pygeoapi
from gofer import Client, Unauthorized

from .conftest import HOME, Place
from .conversations import CONVERSATIONS, PLENTY, aconverse, converse

live = pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.xdist_group(held.server)) for name, held in CONVERSATIONS.items()],
)


@live
def test_blocking(name: str, started: Callable[[str], Place], tmp_path: Path) -> None:
    """The conversation goes as its script says, by blocking calls."""
    converse(name, started(CONVERSATIONS[name].server).url, tmp_path, dict)


@live
@pytest.mark.anyio
async def test_awaited(name: str, started: Callable[[str], Place], tmp_path: Path) -> None:
    """The conversation goes as its script says, by awaited calls."""
    await aconverse(name, started(CONVERSATIONS[name].server).url, tmp_path, dict)


@pytest.mark.xdist_group("pygeoapi")
def test_server_that_takes_itself_for_another(tmp_path: Path) -> None:
    """A server behind a proxy, which calls itself by a name that leads nowhere, is asked where the client found it."""
    elsewhere = "https://jobs.example.org/ogc"
    pygeoapi.install(Path(HOME))
    with (
        pygeoapi.running(Path(HOME), tmp_path / "server", url=elsewhere) as url,
        Client(url, contract="ogc-processes") as client,
    ):
        order = {"process": "file", "inputs": {"size": 500}}
        outcome = client.run(order, to=tmp_path / "image.png", timeout=PLENTY)
        assert outcome.verified == "size"
        assert client.job(outcome.job_id).cancel() is True


@pytest.mark.xdist_group("flower")
def test_server_that_asks_who_calls(tmp_path: Path) -> None:
    """With the credentials it wants a server serves as ever, and without them its refusal says what is missing."""
    flower.install(Path(HOME))
    who = {"authorization": "Basic " + b64encode(b"ann:secret").decode()}
    with (
        flower.running(Path(HOME), tmp_path, basic_auth="ann:secret") as url,
        Client(url, contract="flower", headers=who) as ann,
        Client(url, contract="flower") as nobody,
    ):
        job = ann.submit({"task": "tasks.add", "args": [1, 2]})
        assert job.result(timeout=PLENTY) == 3
        with pytest.raises(Unauthorized, match="Pass auth="):
            nobody.attach(job.ticket).refresh()
        with pytest.raises(Unauthorized):
            nobody.submit({"task": "tasks.add", "args": [1, 2]})
