"""Azure's mock of long-running operations: the TypeSpec spector, serving the scenarios of azure-http-specs.

It is a state machine that all clients share: each operation has one counter of its polls, the request that starts the
operation sets it to zero, and nothing else does. So one test at a time may use one server.
"""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dialects.servers.processes import alone, fetched, free_port, launched, run, wait_for

PINS = Path(__file__).with_name("spector-npm")
MODULES = "node_modules"
SPECS = Path(MODULES, "@azure-tools", "azure-http-specs", "specs")
CLI = Path(MODULES, "@typespec", "spector", "cmd", "cli.mjs")


def install(home: Path) -> None:
    """Install the packages of spector-npm/package-lock.json into `home/spector`, unless they are there already."""
    folder = home / "spector"
    mark = folder / "installed-from"
    files = [PINS / "package.json", PINS / "package-lock.json"]
    wanted = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
    with alone(home / "spector.lock"):
        if mark.is_file() and mark.read_text() == wanted:
            return
        # what an interrupted or older install has left is not worth mending
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for path in files:
            shutil.copy(path, folder)
        npm = ["npm", "--prefix", str(folder), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        run(["git", "--version"], "git, which the server calls when it starts")
        # it asks git for a commit to put into its report of what was called, and does not start without an answer
        for part in ("objects", "refs"):
            (folder / ".git" / part).mkdir(parents=True)
        (folder / ".git" / "HEAD").write_text("1" * 40 + "\n")
        run(npm, "npm with Node.js 20 or newer, and the package registry that it is set to")
        mark.write_text(wanted)


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
        *("node", "--require", str(PINS / "loopback.cjs"), str(installed / CLI), "serve"),
        *(str(installed / SPECS), "--port", str(port), "--coverageFile", str(folder / "coverage.json")),
    ]
    with launched(command, cwd=folder, log=log, env={}) as process:
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: fetched(url + "/.coverage") is not None, {"spector": (process, log)})
        yield url
