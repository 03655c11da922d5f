"""The service as a process of its own: its command line, its death in mid-job, and its lock."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

import gofer
import gofer_service
from gofer_service import embedded, sample_library, serve
from gofer_service.engine import EngineLocked
from gofer_service.settings import JobSettings, ServeSettings, Settings

from .conftest import PAPER, finish

SOURCES = os.pathsep.join(str(Path(package.__path__[0]).parent) for package in (gofer, gofer_service))


@contextmanager
def process(data: Path, library: Path, **environment: str) -> Generator[tuple[subprocess.Popen[str], str]]:
    """Start ``python -m gofer_service`` on a free port; give it and its URL."""
    command = [sys.executable, "-m", "gofer_service", "--port", "0", "--data", str(data), "--library", str(library)]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": SOURCES, **environment}
    ) as child:
        assert child.stderr is not None
        try:
            line = child.stderr.readline()
            found = re.fullmatch(r"gofer service on (http://127\.0\.0\.1:\d+)\n", line)
            assert found, line + child.stderr.read()
            yield child, found[1]
        finally:
            child.kill()


def test_the_command_line_serves_and_stops(tmp_path: Path) -> None:
    """The process says where it listens, asks for the token of its environment, and stops on SIGTERM with 0."""
    with process(tmp_path, sample_library(), SERVICE_TOKEN="t0ken") as (child, url):
        assert httpx.get(f"{url}/jobs").status_code == 401
        with httpx.Client(base_url=url, headers={"Authorization": "Bearer t0ken"}) as http:
            assert finish(http, PAPER)["status"] == "completed"
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 0


def test_a_job_survives_kill_9(tmp_path: Path) -> None:
    """A process killed in mid-job leaves nothing lost: after a restart the job completes and its file is complete."""
    library = tmp_path / "library"
    library.mkdir()
    # Big enough to be killed while it is copied, and sparse, so that it costs nothing to make.
    paper = library / "10.5555_big.xml"
    with paper.open("wb") as file:
        file.write(b"<article><body>")
        file.seek(100_000_000)
        file.write(b"</body></article>")
    with process(tmp_path / "data", library) as (child, url):
        location = httpx.post(f"{url}/retrieve", json={"doi": "10.5555/big"}).headers["location"]
        deadline = time.monotonic() + 60
        while (job := httpx.get(url + location).json())["status"] != "downloading" and time.monotonic() < deadline:
            assert job["status"] in ("pending", "searching")
        assert job["status"] == "downloading"
        child.kill()
    assert not list((tmp_path / "data" / "files").glob("*.xml"))
    with process(tmp_path / "data", library) as (_, url), httpx.Client(base_url=url, timeout=60) as http:
        while (job := http.get(location, headers={"Prefer": "wait=5"}).json())["status"] not in ("completed", "failed"):
            pass
        assert job["status"] == "completed"
        assert job["file_size"] == paper.stat().st_size
        assert job["file_path"].endswith(".2.xml")
        tail = http.get(f"{location}/file", headers={"Range": "bytes=-17"})
        assert tail.content == b"</body></article>"
    assert len(list((tmp_path / "data" / "files").iterdir())) == 1


def test_two_services_cannot_share_their_data(tmp_path: Path) -> None:
    """A second service on the same folder is refused in plain words, in the process and on the command line."""
    with embedded(data=tmp_path):
        with pytest.raises(EngineLocked, match="another gofer service"), embedded(data=tmp_path):
            raise AssertionError
        command = [sys.executable, "-m", "gofer_service", "--port", "0", "--data", str(tmp_path)]
        run = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": SOURCES}, timeout=60, check=False
        )
        assert run.returncode == 1
        assert run.stderr.startswith("gofer service: another gofer service is using")
        assert "Traceback" not in run.stderr


def refused(*options: str) -> str:
    """Run a service that must not start, and give its one line."""
    command = [sys.executable, "-m", "gofer_service", "--port", "0", *options]
    environment = {**os.environ, "PYTHONPATH": SOURCES, "SERVICE_TOKEN": ""}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=20, check=False)
    assert run.returncode == 1
    assert run.stderr.count("\n") == 1
    return run.stderr


@pytest.mark.parametrize("content", [b"no database at all, but some text" * 100, b"SQLite format 3\0" + b"x" * 5000])
def test_damaged_records_are_a_sentence_at_the_start(tmp_path: Path, content: bytes) -> None:
    """A service whose records are damaged does not start, and says which file it is and what to do."""
    (tmp_path / "jobs.sqlite3").write_bytes(content)
    said = refused("--data", str(tmp_path))
    assert said.startswith(f"gofer service: the records in {tmp_path / 'jobs.sqlite3'} are damaged (")
    assert "put back a copy, or move it away" in said
    assert (tmp_path / "jobs.sqlite3").read_bytes() == content


def test_a_page_that_is_damaged_is_found_at_the_start(tmp_path: Path) -> None:
    """Damage in the middle of the records is found before a job meets it."""
    with embedded(data=tmp_path) as url, httpx.Client(base_url=url) as http:
        for number in range(30):
            finish(http, f"10.5555/nobody.has.{number}")
    path = tmp_path / "jobs.sqlite3"
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    assert "are damaged" in refused("--data", str(tmp_path))


def test_it_is_open_only_if_asked_to(tmp_path: Path) -> None:
    """On all addresses and without a token, the process starts only with --open."""
    assert "pass --open" in refused("--data", str(tmp_path), "--host", "0.0.0.0")
    options = ("--host", "0.0.0.0", "--open", "--allow-host", "papers.example.org", "--log-requests")
    command = [sys.executable, "-m", "gofer_service", "--port", "0", "--data", str(tmp_path), *options]
    environment = {**os.environ, "PYTHONPATH": SOURCES, "SERVICE_TOKEN": ""}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stderr is not None
        try:
            url = child.stderr.readline().split()[-1].replace("0.0.0.0", "127.0.0.1")
            for host, status in (("papers.example.org", 200), ("other.example.org", 400)):
                assert httpx.get(f"{url}/jobs", headers={"Host": host}).status_code == status
                assert child.stderr.readline().startswith(f"127.0.0.1 GET /jobs {status} ")
        finally:
            child.kill()


def test_a_taken_port_is_an_error(tmp_path: Path) -> None:
    """serve() raises when it cannot listen, and leaves the data to others."""
    with embedded() as url, pytest.raises(OSError, match="in use"):
        serve(Settings(jobs=JobSettings(data=tmp_path), serve=ServeSettings(port=int(url.rpartition(":")[2]))))
    with embedded(data=tmp_path) as url:
        assert httpx.get(f"{url}/health").status_code == 200


def test_an_embedded_service_stops_soon_and_starts_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopping takes less than its grace, and the next one finds the jobs of the last."""
    monkeypatch.setattr("gofer_service.server.SHUTDOWN_GRACE", 60)
    with embedded(data=tmp_path) as url, httpx.Client(base_url=url) as http:
        job = finish(http)
        begun = time.monotonic()
    assert time.monotonic() - begun < 60
    with embedded(data=tmp_path) as url:
        assert httpx.get(f"{url}/jobs/{job['job_id']}").json() == job
