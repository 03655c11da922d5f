"""What starting a foreign server takes: packages of its own, a free port, a process group that surely ends."""

import fcntl
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

PATIENCE = 60.0  # seconds until a started server must answer: a cold disk in CI, not what is usual (1 to 4)
LOOPBACK = Path(__file__).with_name("loopback.cjs")  # what keeps a server of Node.js on 127.0.0.1
GRACE = 3.0  # seconds between asking a process group to end and ending it


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Hold a file lock: with pytest-xdist several processes come to install the same thing at once."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def make_venv(folder: Path, requirements: Path, python: str = sys.executable) -> None:
    """Make a venv of this Python with exactly these pinned packages, unless it is there already."""
    mark = folder / "installed-from"
    wanted = hashlib.sha256(requirements.read_bytes() + f"{sys.version} {python}".encode()).hexdigest()
    with alone(folder.with_name(folder.name + ".lock")):
        if mark.is_file() and mark.read_text() == wanted:
            return
        # what an interrupted or older install has left is not worth mending
        shutil.rmtree(folder, ignore_errors=True)
        run([python, "-m", "venv", str(folder)], "the venv module of this Python (Debian: python3-venv)")
        # --no-deps: the pins are complete, so nothing is resolved anew and nothing newer slips in
        pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "-q", "--no-deps"]
        run([*pip, "-r", str(requirements)], f"the packages of {requirements.name} from the package index")
        mark.write_text(wanted)


def make_modules(folder: Path, pins: Path) -> None:
    """Install the npm packages of `pins/package-lock.json` into a folder, unless they are there already."""
    mark = folder / "installed-from"
    files = [pins / "package.json", pins / "package-lock.json"]
    wanted = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
    with alone(folder.with_name(folder.name + ".lock")):
        if mark.is_file() and mark.read_text() == wanted:
            return
        # what an interrupted or older install has left is not worth mending
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for path in files:
            shutil.copy(path, folder)
        npm = ["npm", "--prefix", str(folder), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        run(npm, "npm with Node.js 20 or newer, and the package registry that it is set to")
        mark.write_text(wanted)


def run(command: Sequence[str], missing: str) -> None:
    """Run a step of an install; say what is missing if it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    except OSError as fault:
        raise RuntimeError(f"missing: {missing} ({fault})") from fault
    if done.returncode:
        raise RuntimeError(f"missing: {missing}; `{' '.join(command)}` said:\n{(done.stdout + done.stderr)[-2000:]}")


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def launched(command: Sequence[str], cwd: Path, log: Path, env: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command as a process group of its own, and end the whole group at the end, whatever happened."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
        # also when the leader has gone in peace: its children may have stayed
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(ready: Callable[[], bool], watched: Mapping[str, tuple[subprocess.Popen[bytes], Path]]) -> None:
    """Wait until a server is ready; raise with its log if one of the watched processes ends or time runs out."""
    deadline = time.monotonic() + PATIENCE
    while not ready():
        for name, (process, log) in watched.items():
            late = time.monotonic() > deadline
            if late or process.poll() is not None:
                what = "did not answer in time" if late else f"ended with {process.returncode} instead of answering"
                raise RuntimeError(f"{name} {what}:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.05)


def fetched(url: str, headers: Mapping[str, str] | None = None) -> bytes | None:
    """Return what a GET brings, or None while it brings no 200."""
    # never through a proxy from the environment: these servers are on loopback
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, headers=dict(headers or {})), timeout=5) as answer:
            body: bytes = answer.read()
            return body
    except (OSError, urllib.error.URLError):
        return None
