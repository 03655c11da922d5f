"""openEO: the server of openeo_driver, which back-ends are built with, and the back-end of openeo_backend.py.

Jobs are kept in memory: the server forgets them all when it ends.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dialects.servers.processes import fetched, free_port, launched, make_venv, wait_for

REQUIREMENTS = Path(__file__).with_name("openeo-requirements.txt")
BACKEND = Path(__file__).with_name("openeo_backend.py")


def install(home: Path) -> None:
    """Make the venv `home/openeo` with openeo_driver."""
    make_venv(home / "openeo", REQUIREMENTS)


@contextmanager
def running(home: Path, folder: Path) -> Iterator[str]:
    """Run the server, and give its base URL, below which /openeo/1.2 is."""
    folder = folder.resolve()
    # a copy of the back-end in a folder of its own: beside it here this very file would hide the real openeo
    code = folder / "code"
    code.mkdir(parents=True, exist_ok=True)
    shutil.copy(BACKEND, code)
    port, log = free_port(), folder / "openeo.log"
    python = str((home / "openeo" / "bin").resolve() / "python")
    env = {"OPENEO_BACKEND_CONFIG": str(code / "config.py")}
    (code / "config.py").write_text("from openeo_driver.dummy.dummy_config import config\n")
    with launched([python, str(code / BACKEND.name), str(port)], cwd=folder, log=log, env=env) as process:
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: fetched(url + "/openeo/1.2/") is not None, {"openeo": (process, log)})
        yield url
