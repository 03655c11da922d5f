"""The Agent2Agent protocol: the server of a2a-sdk, with the agent of a2a_agent.py.

Tasks are kept in memory: the server forgets them all when it ends.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dialects.servers.processes import fetched, free_port, launched, make_venv, wait_for

REQUIREMENTS = Path(__file__).with_name("a2a-requirements.txt")
AGENT = Path(__file__).with_name("a2a_agent.py")


def install(home: Path) -> None:
    """Make the venv `home/a2a` with a2a-sdk and what its HTTP server needs."""
    make_venv(home / "a2a", REQUIREMENTS)


@contextmanager
def running(home: Path, folder: Path) -> Iterator[str]:
    """Run the server, and give its base URL."""
    folder = folder.resolve()
    # a copy of the agent in a folder of its own: beside it here this very file would hide the real a2a
    code = folder / "code"
    code.mkdir(parents=True, exist_ok=True)
    shutil.copy(AGENT, code)
    port, log = free_port(), folder / "a2a.log"
    command = [str((home / "a2a" / "bin").resolve() / "python"), str(code / AGENT.name), str(port)]
    with launched(command, cwd=folder, log=log, env={}) as process:
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: fetched(url + "/.well-known/agent-card.json") is not None, {"a2a": (process, log)})
        yield url
