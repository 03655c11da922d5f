"""The real servers, started when a test first asks for one, and their cassettes.

`nox -s dialects` sets DIALECTS_HOME, where the servers are installed. Without it only cassettes are replayed.
"""

import os
from collections.abc import Callable, Generator
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from dialects.servers import pygeoapi

from .scrubbing import Scrubber, kept_request, stand_in_for

HOME = os.environ.get("DIALECTS_HOME", "")
collect_ignore = [] if HOME else ["test_live.py"]

pytest.register_assert_rewrite("dialects.conversations")


@frozen
class Place:
    """Where a server is: its address, and the folder it runs in."""

    url: str
    folder: Path


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which pygeoapi the tests met: which one it is depends on the Pythons of the machine."""
    if HOME and (Path(HOME) / "pygeoapi").exists():
        terminalreporter.write_line(f"The dialect ogc-processes met {pygeoapi.installed(Path(HOME))}.")


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Generator[Callable[[str], Place]]:
    """Give a function that installs and starts a server when it is first asked for it; one that fails is a failure."""
    places: dict[str, Place] = {}
    with ExitStack() as stack:

        def start(name: str) -> Place:
            if name not in places:
                server, folder = import_module(f"dialects.servers.{name}"), tmp_path_factory.mktemp(name)
                server.install(Path(HOME))
                places[name] = Place(stack.enter_context(server.running(Path(HOME), folder)), folder)
            return places[name]

        yield start


@pytest.fixture
def server(name: str) -> str:
    """Give the server that a conversation is held with."""
    return name.partition("-")[0]


@pytest.fixture
def place(server: str, record_mode: str, request: pytest.FixtureRequest) -> Place:
    """Give the place of the server itself for a recording, and of its stand-in for a replay."""
    if record_mode == "none":
        return Place(stand_in_for(server), Path())
    found: Place = request.getfixturevalue("started")(server)
    return found


@pytest.fixture
def vcr_config(vcr_config: dict[str, Any], server: str, place: Place, record_mode: str) -> dict[str, Any]:
    """Give vcrpy's settings: what every cassette has, and for a recording what stands for what."""
    if record_mode == "none":
        return {**vcr_config, "before_record_request": kept_request, "before_record_response": lambda reply: reply}
    scrubber = Scrubber.of(server, place.url, place.folder, Path(HOME))
    return {**vcr_config, "before_record_request": scrubber.request, "before_record_response": scrubber.response}


@pytest.fixture(scope="module")
def vcr_cassette_dir(vcr_cassette_dir: str) -> str:
    """Give the folder of these cassettes."""
    return str(Path(vcr_cassette_dir) / "dialects")


@pytest.fixture
def default_cassette_name(name: str) -> str:
    """Give all faces of a conversation the same cassette."""
    return f"{name}.yaml"
