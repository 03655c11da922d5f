"""GA4GH WES: wes-service, which runs CWL with cwltool. No docker and no node is needed for tools without JavaScript.

The server stages files under the temporary directory and keeps its runs in its working directory: both are the folder
that it is given. CWL tools for it are in WORKFLOWS.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dialects.servers.processes import fetched, free_port, launched, make_venv, wait_for

REQUIREMENTS = Path(__file__).with_name("wes-requirements.txt")
WORKFLOWS = Path(__file__).with_name("workflows")
BASE_PATH = "/ga4gh/wes/v1"


def install(home: Path) -> None:
    """Make the venv `home/wes` with wes-service and cwltool."""
    make_venv(home / "wes", REQUIREMENTS)


@contextmanager
def running(home: Path, folder: Path) -> Iterator[str]:
    """Run a WES server that is empty if the folder is, and give its base URL, without BASE_PATH."""
    folder = folder.resolve()
    scratch = folder / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    binaries = (home / "wes" / "bin").resolve()
    port = free_port()
    log = folder / "wes.log"
    command = [
        *(str(binaries / "wes-server"), "--port", str(port)),
        *("--opt", f"runner={binaries / 'cwltool'}"),
        # a tool with a DockerRequirement shall fail at once, not look for docker
        *("--opt", "extra=--no-container"),
    ]
    # XDG_CACHE_HOME: cwltool keeps fetched schemas there, and a home directory is nothing to write to
    env = {"TMPDIR": str(scratch), "XDG_CACHE_HOME": str(scratch / "cache"), "PYTHONUNBUFFERED": "1"}
    with launched(command, cwd=folder, log=log, env=env) as process:
        url = f"http://127.0.0.1:{port}"
        # not /service-info, which runs cwltool to ask its version
        wait_for(lambda: fetched(url + BASE_PATH + "/runs") is not None, {"wes-server": (process, log)})
        yield url
