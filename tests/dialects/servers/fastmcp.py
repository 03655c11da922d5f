"""The Model Context Protocol: fastmcp with its extension for tasks, and the tools of fastmcp_tools.py.

Tasks are kept in memory: the server forgets them all when it ends.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dialects.servers.processes import fetched, free_port, launched, make_venv, wait_for

REQUIREMENTS = Path(__file__).with_name("fastmcp-requirements.txt")
TOOLS = Path(__file__).with_name("fastmcp_tools.py")


def install(home: Path) -> None:
    """Make the venv `home/fastmcp` with fastmcp and its tasks."""
    make_venv(home / "fastmcp", REQUIREMENTS)


@contextmanager
def running(home: Path, folder: Path) -> Iterator[str]:
    """Run the server, and give its base URL, below which /mcp is."""
    folder = folder.resolve()
    # a copy of the tools in a folder of its own: beside them here this very file would hide the real fastmcp
    code = folder / "code"
    code.mkdir(parents=True, exist_ok=True)
    shutil.copy(TOOLS, code)
    port, log = free_port(), folder / "fastmcp.log"
    command = [str((home / "fastmcp" / "bin").resolve() / "python"), str(code / TOOLS.name), str(port)]
    env = {"FASTMCP_HOME": str(folder / "home"), "FASTMCP_CHECK_FOR_UPDATES": "off"}
    with launched(command, cwd=folder, log=log, env=env) as process:
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: fetched(url + "/ready") is not None, {"fastmcp": (process, log)})
        yield url
