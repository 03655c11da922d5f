"""Every conversation, replayed from one cassette by the blocking client, and by the awaited one on both event loops.

The network is blocked, every request must match the recorded one in its address, headers and body, and none may be
left over. So the faces send exactly the same requests in the same order.
"""

import itertools
import random
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest

from gofer import AsyncRetrieveClient, RetrieveClient
from support.virtual_time import VirtualIO

from . import errands, failures, refusals, service  # noqa: F401  (they add their conversations to the table)
from .conversation import CONVERSATIONS, Scene, ahold, hold

replayed = pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.vcr) for name in CONVERSATIONS])
pytestmark = pytest.mark.block_network


def repeatable() -> dict[str, Any]:
    """Options that make a client the same in every run."""
    return {"rng": random.Random(1), "new_key": map("key-{:04}".format, itertools.count(1)).__next__}


@replayed
def test_blocking(name: str, contract_url: str, tmp_path: Path) -> None:
    """The blocking client sends the recorded requests, and the conversation goes as its script says."""
    with closing(VirtualIO()) as io, RetrieveClient(base_url=contract_url, io=io, **repeatable()) as client:
        hold(CONVERSATIONS[name].script(Scene(client, contract_url, tmp_path, lambda: io.now().mono)))


@replayed
@pytest.mark.anyio
async def test_awaited(name: str, contract_url: str, tmp_path: Path) -> None:
    """The awaited client sends the recorded requests, and the conversation goes as its script says."""
    began = anyio.current_time()
    async with AsyncRetrieveClient(base_url=contract_url, **repeatable()) as client:
        scene = Scene(client, contract_url, tmp_path, lambda: anyio.current_time() - began)
        await ahold(CONVERSATIONS[name].script(scene))


def test_every_cassette_is_replayed(vcr_cassette_dir: str) -> None:
    """Every conversation has its cassette, and there is no other cassette."""
    assert {path.stem for path in Path(vcr_cassette_dir).glob("*.yaml")} == set(CONVERSATIONS)
