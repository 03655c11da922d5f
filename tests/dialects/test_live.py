"""Every conversation with the servers themselves, by the blocking client and by the awaited one on both event loops.

Only `nox -s dialects` runs this. The tests of a server stay in one process, one after the other: Azure's mock has one
state for all its callers, and pygeoapi mixes jobs that are submitted at the same moment.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Place
from .conversations import CONVERSATIONS, aconverse, converse

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
