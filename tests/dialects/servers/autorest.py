"""Azure's test server for the clients that AutoRest generates, with 83 long-running operations.

It counts the polls of an operation in a cookie, so each client has operations of its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dialects.servers.processes import LOOPBACK, fetched, free_port, launched, make_modules, wait_for

CLI = Path("node_modules", "@microsoft.azure", "autorest.testserver", "dist", "cli", "cli.js")


def install(home: Path) -> None:
    """Install the packages of autorest-npm/package-lock.json into `home/autorest`, unless they are there already."""
    make_modules(home / "autorest", Path(__file__).with_name("autorest-npm"))


@contextmanager
def running(home: Path, folder: Path) -> Iterator[str]:
    """Run the server, and give its base URL."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    log = folder / "autorest.log"
    command = ["node", "--require", str(LOOPBACK), str((home / "autorest").resolve() / CLI), "run"]
    command += ["--port", str(port), "--coverageDirectory", str(folder / "coverage")]
    with launched(command, cwd=folder, log=log, env={}) as process:
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: fetched(url + "/lro/list/finalGet") is not None, {"autorest": (process, log)})
        yield url
