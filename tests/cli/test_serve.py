"""`gofer serve`, and the demo."""

import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

from gofer_service import sample_library

from .shell import environment, gofer, read_until, started


def test_serves_until_ctrl_c(tmp_path: Path) -> None:
    """It prints its folders and address, the printed command works, and Ctrl-C ends it with 0."""
    with started("serve", "--port", "0", XDG_DATA_HOME=str(tmp_path)) as run:
        output = read_until(run, "Try it: ")
        assert "the sample library" in output
        assert re.search(r"^gofer service on http://localhost:\d+$", output, re.MULTILINE)
        assert f"Records and results: {tmp_path / 'gofer'}\n" in output
        line = output[output.index("Try it: gofer ") :].removeprefix("Try it: gofer ")
        words = [str(tmp_path / word) if word == "paper.pdf" else word for word in shlex.split(line)]
        assert gofer(*words).returncode == 0
        run.send_signal(signal.SIGINT)
        assert run.wait(60) == 0
        assert run.stderr is not None
        assert run.stderr.read() == "Ctrl-C ends it.\n"
    assert (tmp_path / "gofer" / "jobs.sqlite3").exists()


def test_serves_another_library(tmp_path: Path) -> None:
    """--library and --data name the folders, and SERVICE_TOKEN protects the service."""
    (tmp_path / "papers").mkdir()
    args = ("serve", "--port", "0", "--library", tmp_path / "papers", "--data", tmp_path / "data")
    with started(*args, SERVICE_TOKEN="t0ken") as run:
        output = read_until(run, "gofer service on ")
        assert f"Papers: {tmp_path / 'papers'} (empty: it has no papers yet)\n" in output
        url = output.rstrip().rpartition(" ")[2]
        get = ("get", "10.5555/12345678", "--to", tmp_path / "x", "--url", url)
        assert "401 UNAUTHORIZED" in gofer(*get).stderr
        assert "NOT_FOUND" in gofer(*get, SERVICE_TOKEN="t0ken").stderr
        assert "t0ken" not in output


def test_suggests_a_paper_of_the_library(tmp_path: Path) -> None:
    """With --library the papers are counted, and the printed command gets one of them."""
    folder = tmp_path / "papers"
    folder.mkdir()
    shutil.copy(sample_library() / "waiting.pdf", folder / "10.1234_a(b).pdf")
    with started("serve", "--port", "0", "--library", folder, "--data", tmp_path / "data") as run:
        output = read_until(run, "Try it: ")
        assert f"Papers: {folder} (1 paper)\n" in output
        words = shlex.split(output[output.index("Try it: gofer ") :].removeprefix("Try it: gofer "))
        assert words[1] == "10.1234/a(b)"
        assert gofer(*(str(tmp_path / word) if word == "paper.pdf" else word for word in words)).returncode == 0


def test_a_port_in_use(tmp_path: Path) -> None:
    """A port in use is exit code 1 and one line that names it and the option for another."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = gofer("serve", "--port", str(port), "--data", tmp_path)
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"gofer: the service cannot start: port {port} is in use; name another with --port")
    assert ran.stderr.count("\n") == 1


def test_the_demo(tmp_path: Path) -> None:
    """The demo ends with 0, three equal files and a late one; the errand that must fail says NOT_FOUND."""
    ran = subprocess.run(
        [sys.executable, "-m", "gofer_service.demo"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    files = sorted((tmp_path / "demo").iterdir())
    assert [file.name for file in files] == ["async.pdf", "blocking.pdf", "command-line.pdf", "later.pdf"]
    assert len({file.read_bytes() for file in files}) == 2
    assert "searching" in ran.stdout
    assert "gofer serve" in ran.stdout.splitlines()[-1]
    assert "NOT_FOUND" in ran.stdout
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", ran.stdout + ran.stderr)
