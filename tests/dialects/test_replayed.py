"""Every conversation with the real servers, replayed by the blocking client and the awaited one on both event loops.

As in `replay.test_replay`, the network is blocked, every request must match the recorded one, and none may be left
over. It is `test_blocking` that records, from the servers themselves: `nox -s dialects -- --record`.
"""

import itertools
import random
import re
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from support.virtual_time import VirtualIO, jumping

from .conftest import Place
from .conversations import CONVERSATIONS, SERVERS, aconverse, converse

cut_off = (pytest.mark.vcr, pytest.mark.block_network)
replayed = pytest.mark.parametrize("name", [pytest.param(name, marks=cut_off) for name in CONVERSATIONS])

MACHINE = re.compile(r"127\.0\.0\.1|localhost|/(tmp|home|root|work|Users|var)/|\.nox|:[1-9]\d{4}\b")


class PacedIO(VirtualIO):
    """The clock of a recording: it shows the time that was slept, as a replay's does, and lets it really pass."""

    def sleep(self, seconds: float) -> None:
        """Sleep, and put the clock forward by just that."""
        time.sleep(seconds)
        super().sleep(seconds)


def settled() -> dict[str, Any]:
    """Options that take chance out of a client."""
    return {"rng": random.Random(1), "new_key": map("key-{:04}".format, itertools.count(1)).__next__}


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run every awaited test on both event loops, in virtual time."""
    return jumping(request.param, monkeypatch)


@replayed
def test_blocking(name: str, place: Place, record_mode: str, tmp_path: Path) -> None:
    """The conversation goes as it was recorded, by blocking calls."""
    with closing(VirtualIO() if record_mode == "none" else PacedIO()) as io:
        converse(name, place.url, tmp_path, lambda: {**settled(), "io": io})


@replayed
@pytest.mark.anyio
async def test_awaited(name: str, place: Place, tmp_path: Path) -> None:
    """The conversation goes as it was recorded, by awaited calls."""
    await aconverse(name, place.url, tmp_path, settled)


def test_every_server_is_spoken_to() -> None:
    """With every server there is a conversation about each thing that a caller does, or that goes wrong."""
    asked = {"result", "unknown-id", "cancel", "timeout", "file", "folder", "ticket", "wrong-input"}
    wanted = {f"{server}-{what}" for server in SERVERS for what in asked}
    wanted |= {f"{server}-failure" for server in SERVERS if server != "spector"}  # Azure's mock knows no failure
    assert wanted <= set(CONVERSATIONS)


def test_every_cassette_is_replayed(vcr_cassette_dir: str) -> None:
    """No cassette is left of a conversation that is no longer held, and none is missing."""
    assert {path.stem for path in Path(vcr_cassette_dir).glob("*.yaml")} == set(CONVERSATIONS)


def test_no_cassette_tells_of_the_machine(vcr_cassette_dir: str) -> None:
    """No cassette has an address, a port or a folder of the machine that it was recorded on."""
    told = {path.name: MACHINE.findall(path.read_text()) for path in Path(vcr_cassette_dir).glob("*.yaml")}
    assert not {name: found for name, found in told.items() if found}
