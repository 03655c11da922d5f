"""OGC API - Processes: pygeoapi, with its hello-world and the processes of pygeoapi_processes.py.

Jobs are threads of the server and are kept in a TinyDB file in the folder that it is given, results in files beside it.
Jobs must not be submitted at the same time: two requests that meet may run each other's process.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dialects.servers.processes import fetched, free_port, launched, make_venv, wait_for

REQUIREMENTS = Path(__file__).with_name("pygeoapi-requirements.txt")
PROCESSES = Path(__file__).with_name("pygeoapi_processes.py")
OURS = ("Sleep", "OnlyAsync", "OnlySync", "Fail", "File", "Several")


def install(home: Path) -> None:
    """Make the venv `home/pygeoapi`, of a Python that need not be the one of the tests."""
    make_venv(home / "pygeoapi", REQUIREMENTS, find_python())


def find_python() -> str:
    """Return a Python that the newest pygeoapi runs on, of PATH or of pyenv, or else the one that runs the tests."""
    names = [f"python3.{minor}" for minor in (12, 13)]
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [path for name in names if (path := shutil.which(name))]
    found += [str(path) for name in names for path in sorted(versions.glob(f"*/bin/{name}"))]
    for path in found:
        # started, not guessed from its name: pyenv has stand-ins on PATH for Pythons that are not chosen
        if subprocess.run([path, "-c", "import venv"], capture_output=True, check=False).returncode == 0:
            return path
    return sys.executable


def installed(home: Path) -> str:
    """Say which pygeoapi is in `home/pygeoapi`: the requirements name an older one for Python 3.11."""
    asked = "import sys; from importlib.metadata import version; print(version('pygeoapi'), sys.version.split()[0])"
    python = home / "pygeoapi" / "bin" / "python"
    said = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True).stdout.split()
    return f"pygeoapi {said[0]} on Python {said[1]}"


@contextmanager
def running(home: Path, folder: Path, url: str | None = None) -> Iterator[str]:
    """Run a server with the jobs of the folder, and give its base URL; `url` is what it shall take for that instead."""
    folder = folder.resolve()
    # a copy of the processes in a folder of its own: beside them here this very file would hide the real pygeoapi
    code, results = folder / "code", folder / "results"
    for made in (code, results):
        made.mkdir(parents=True, exist_ok=True)
    shutil.copy(PROCESSES, code)
    port = free_port()
    reached = f"http://127.0.0.1:{port}"
    # both are YAML for pygeoapi, and JSON is YAML
    (folder / "config.yml").write_text(json.dumps(configuration(url or reached, port, folder, results)))
    # only served, never used: making the true one would take longer than all the rest of the start
    openapi = {"openapi": "3.0.2", "info": {"title": "processes", "version": "1"}, "paths": {}}
    (folder / "openapi.yml").write_text(json.dumps(openapi))
    env = {
        "PYGEOAPI_CONFIG": str(folder / "config.yml"),
        "PYGEOAPI_OPENAPI": str(folder / "openapi.yml"),
        "PYTHONPATH": str(code),
    }
    # not `pygeoapi serve`: that has a debugger and starts itself anew in a second process
    command = [str((home / "pygeoapi" / "bin" / "flask").resolve()), "--app", "pygeoapi.flask_app:APP", "run"]
    log = folder / "pygeoapi.log"
    arguments = ["--host", "127.0.0.1", "--port", str(port)]
    with launched([*command, *arguments], cwd=folder, log=log, env=env) as process:
        wait_for(lambda: fetched(reached + "/jobs?f=json") is not None, {"pygeoapi": (process, log)})
        yield reached


def configuration(url: str, port: int, folder: Path, results: Path) -> dict[str, Any]:
    """Return what pygeoapi wants to be told, most of which no process needs."""
    processors = {"hello-world": "HelloWorld", **{name.lower(): f"pygeoapi_processes.{name}" for name in OURS}}
    who = {"name": "tests", "url": "https://example.org"}
    return {
        "server": {
            "bind": {"host": "127.0.0.1", "port": port},
            "url": url,
            "mimetype": "application/json; charset=UTF-8",
            "encoding": "utf-8",
            "languages": ["en-US"],
            "pretty_print": False,
            "limits": {"default_items": 20, "max_items": 50},
            "map": {"url": "https://example.org", "attribution": "none"},
            "manager": {"name": "TinyDB", "connection": str(folder / "jobs.db"), "output_dir": str(results)},
        },
        "logging": {"level": "ERROR"},
        "metadata": {
            "identification": {
                "title": "processes",
                "description": "processes",
                "keywords": ["processes"],
                "keywords_type": "theme",
                "terms_of_service": "none",
                "url": "https://example.org",
            },
            "license": who,
            "provider": who,
            "contact": {"name": "tests"},
        },
        "resources": {
            name: {"type": "process", "processor": {"name": processor}} for name, processor in processors.items()
        },
    }
