"""Every conversation, held by the blocking client and by the awaited one on both event loops, from one cassette.

The network is blocked, every request must match the recorded one in its address, headers and body, and none may be
left over: so the faces ask for exactly the same, in the same order.
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

from . import errands, failures, refusals, service  # noqa: F401  (they enter their conversations in the table)
from .conversation import CONVERSATIONS, Scene, ahold, hold

replayed = pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.vcr) for name in CONVERSATIONS])
pytestmark = pytest.mark.block_network


def settled() -> dict[str, Any]:
    """Options that take chance out of a client."""
    return {"rng": random.Random(1), "new_key": map("key-{:04}".format, itertools.count(1)).__next__}


@replayed
def test_blocking(name: str, contract_url: str, tmp_path: Path) -> None:
    """The conversation goes as it was recorded, by blocking calls."""
    with closing(VirtualIO()) as io, RetrieveClient(base_url=contract_url, io=io, **settled()) as client:
        hold(CONVERSATIONS[name].script(Scene(client, contract_url, tmp_path, lambda: io.now().mono)))


@replayed
@pytest.mark.anyio
async def test_awaited(name: str, contract_url: str, tmp_path: Path) -> None:
    """The conversation goes as it was recorded, by awaited calls."""
    began = anyio.current_time()
    async with AsyncRetrieveClient(base_url=contract_url, **settled()) as client:
        scene = Scene(client, contract_url, tmp_path, lambda: anyio.current_time() - began)
        await ahold(CONVERSATIONS[name].script(scene))


def test_every_cassette_is_replayed(vcr_cassette_dir: str) -> None:
    """No cassette is left of a conversation that is no longer held, and none is missing."""
    assert {path.stem for path in Path(vcr_cassette_dir).glob("*.yaml")} == set(CONVERSATIONS)
