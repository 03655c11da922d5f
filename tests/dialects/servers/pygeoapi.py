"""OGC API - Processes: pygeoapi, with its hello-world and the processes of pygeoapi_processes.py.

Jobs are threads of the server and are kept in a TinyDB file in the folder that it is given, results in files beside it.
Jobs must not be submitted at the same time: two requests that meet may run each other's process.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dialects.servers.processes import alone, fetched, free_port, launched, run, wait_for

REQUIREMENTS = Path(__file__).with_name("pygeoapi-requirements.txt")
PROCESSES = Path(__file__).with_name("pygeoapi_processes.py")
NEEDS = (3, 12)
OURS = ("Sleep", "OnlyAsync", "OnlySync", "Fail", "File", "Several")


def install(home: Path) -> None:
    """Make the venv `home/pygeoapi` with a Python that pygeoapi supports, which need not be the one of the tests."""
    folder = home / "pygeoapi"
    mark = folder / "installed-from"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    with alone(home / "pygeoapi.lock"):
        if mark.is_file() and mark.read_text() == wanted:
            return
        # what an interrupted or older install has left is not worth mending
        shutil.rmtree(folder, ignore_errors=True)
        run([find_python(), "-m", "venv", str(folder)], "the venv module of this Python (Debian: python3-venv)")
        # --no-deps: the pins are complete, so nothing is resolved anew and nothing newer slips in
        pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "-q", "--no-deps"]
        # --only-binary: where a wheel is missing, say so at once; building one takes GDAL and PROJ
        run([*pip, "--only-binary", ":all:", "-r", str(REQUIREMENTS)], f"the packages of {REQUIREMENTS.name} as wheels")
        mark.write_text(wanted)


def find_python() -> str:
    """Return a Python that pygeoapi supports: of PATH, of pyenv, or the one that runs the tests."""
    names = [f"python3.{minor}" for minor in (12, 13)]
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [path for name in names if (path := shutil.which(name))]
    found += [str(path) for name in names for path in sorted(versions.glob(f"*/bin/{name}"))]
    for path in [*found, sys.executable]:
        # asked, not guessed from its name: pyenv has stand-ins on PATH for Pythons that are not chosen
        asked = [path, "-c", f"import sys, venv; sys.exit(sys.version_info < {NEEDS})"]
        if subprocess.run(asked, capture_output=True, check=False).returncode == 0:
            return path
    raise RuntimeError(f"missing: python{NEEDS[0]}.{NEEDS[1]} or newer, on PATH or in {versions}")


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
