"""FHIR Bulk Data Access: sekmet-fhir, a FHIR server for tests of hospital systems, with three patients.

An export takes a second. It begins in each test anew; the server keeps all of them until they are deleted.
"""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dialects.servers.processes import fetched, free_port, launched, make_venv, wait_for

REQUIREMENTS = Path(__file__).with_name("sekmet-requirements.txt")
BASE_PATH = "/fhir"
PATIENTS = ("ann", "ben", "cleo")


def install(home: Path) -> None:
    """Make the venv `home/sekmet` with sekmet-fhir."""
    make_venv(home / "sekmet", REQUIREMENTS)


@contextmanager
def running(home: Path, folder: Path) -> Iterator[str]:
    """Run a server that has the patients, and give its base URL, without BASE_PATH."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    port, log, settings = free_port(), folder / "sekmet.log", folder / "settings.json"
    url = f"http://127.0.0.1:{port}"
    said = {"host": "127.0.0.1", "port": port, "base_url": url + BASE_PATH, "data_dir": str(folder / "data")}
    settings.write_text(json.dumps({**said, "simulator": {"delay_seconds": 1.0}}))  # YAML reads JSON, too
    command = [str((home / "sekmet" / "bin").resolve() / "sekmet"), "serve", "--config", str(settings)]
    with launched(command, cwd=folder, log=log, env={}) as process:
        wait_for(lambda: fetched(f"{url}{BASE_PATH}/metadata") is not None, {"sekmet": (process, log)})
        for name in PATIENTS:
            _put(f"{url}{BASE_PATH}/Patient/{name}", {"resourceType": "Patient", "id": name})
        member = [{"entity": {"reference": f"Patient/{name}"}} for name in PATIENTS[:2]]
        group = {"resourceType": "Group", "id": "two", "type": "person", "actual": True, "member": member}
        _put(f"{url}{BASE_PATH}/Group/two", group)
        yield url


def _put(url: str, resource: object) -> None:
    body, headers = json.dumps(resource).encode(), {"content-type": "application/fhir+json"}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url, body, headers, method="PUT"), timeout=10) as answer:
        answer.read()
