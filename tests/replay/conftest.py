"""Cassettes by the name of the conversation, and event loops in virtual time."""

from typing import Any

import pytest

from support.virtual_time import jumping

pytest.register_assert_rewrite("replay.errands", "replay.failures", "replay.refusals", "replay.service")


@pytest.fixture
def default_cassette_name(name: str) -> str:
    """Give all faces of a conversation the same cassette."""
    return f"{name}.yaml"


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run every awaited test on both event loops, in virtual time."""
    return jumping(request.param, monkeypatch)
