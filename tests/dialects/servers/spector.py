"""Azure's mock of long-running operations: the TypeSpec spector, serving the scenarios of azure-http-specs.

It is a state machine that all clients share: each operation has one counter of its polls, the request that starts the
operation sets it to zero, and nothing else does. So one test at a time may use one server.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dialects.servers.processes import LOOPBACK, fetched, free_port, launched, make_modules, run, wait_for

PINS = Path(__file__).with_name("spector-npm")
MODULES = "node_modules"
SPECS = Path(MODULES, "@azure-tools", "azure-http-specs", "specs")
CLI = Path(MODULES, "@typespec", "spector", "cmd", "cli.mjs")


def install(home: Path) -> None:
    """Install the packages of spector-npm/package-lock.json into `home/spector`, unless they are there already."""
    folder = home / "spector"
    run(["git", "--version"], "git, which the server calls when it starts")
    make_modules(folder, PINS)
    # it asks git for a commit to put into its report of what was called, and does not start without an answer
    for part in ("objects", "refs"):
        (folder / ".git" / part).mkdir(parents=True, exist_ok=True)
    (folder / ".git" / "HEAD").write_text("1" * 40 + "\n")


@contextmanager
def running(home: Path, folder: Path) -> Iterator[str]:
    """Run the mock with all operations at rest, and give its base URL."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    installed = (home / "spector").resolve()
    port = free_port()
    log = folder / "spector.log"
    command = [
        # not npx: it would stand between us and the server, and may ask the registry
        *("node", "--require", str(LOOPBACK), str(installed / CLI), "serve"),
        *(str(installed / SPECS), "--port", str(port), "--coverageFile", str(folder / "coverage.json")),
    ]
    with launched(command, cwd=folder, log=log, env={}) as process:
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: fetched(url + "/.coverage") is not None, {"spector": (process, log)})
        yield url
