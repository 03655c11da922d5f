"""A library of many papers, and batches as processes of their own."""

import contextlib
import os
import random
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import gofer
import gofer_service

SOURCES = os.pathsep.join(str(Path(package.__path__[0]).parent) for package in (gofer, gofer_service))
RUNNER = Path(__file__).with_name("runner.py")


def content_of(number):
    """The file of a paper: a small article, another one for each number."""
    return (
        f'<?xml version="1.0"?><article><front><n>{number}</n></front><body>{"word " * 200}</body></article>'.encode()
    )


def papers(folder, count):
    """Fill a library with papers that are named after their DOIs."""
    folder.mkdir()
    for number in range(count):
        (folder / f"10.5555_batch.{number}.xml").write_bytes(content_of(number))
    return folder


@contextlib.contextmanager
def runner(face, url, journal, to, count, **options):
    """A batch as a process; it is killed at the end if it is not over."""
    more = [f"{name}={value}" for name, value in options.items()]
    command = [sys.executable, str(RUNNER), face, url, str(journal), str(to), str(count), *more]
    env = {**os.environ, "PYTHONPATH": SOURCES}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as child:
        try:
            yield child
        finally:
            child.kill()


def free_port():
    """A port that nobody listens on, and that no connection is given: systems take those from higher ones."""
    for port in random.Random(os.urandom(8)).sample(range(20_000, 30_000), 100):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError


@contextlib.contextmanager
def serving(library, data, port):
    """The reference service as a process on this port, and its address; it is killed at the end."""
    command = [
        sys.executable,
        "-m",
        "gofer_service",
        "--port",
        str(port),
        "--data",
        str(data),
        "--library",
        str(library),
    ]
    env = {**os.environ, "PYTHONPATH": SOURCES}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env) as child:
        try:
            assert child.stderr is not None
            line = child.stderr.readline()
            assert line.startswith("gofer service on "), line + child.stderr.read()
            yield child, f"http://127.0.0.1:{port}"
        finally:
            child.kill()


def killed_at_random(face, url, journal, to, count, *, kills, seed, longest=1.2, **options):
    """Run a batch and kill it at random moments; then let it end. Return the lines of the last run."""
    rng = random.Random(seed)
    for _ in range(kills):
        with runner(face, url, journal, to, count, **options) as child:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(rng.uniform(0.25, longest))
            child.kill()
            child.communicate()
    with runner(face, url, journal, to, count, **options) as child:
        out, err = child.communicate(timeout=240)
        assert child.returncode == 0, err
        return out.splitlines()


@pytest.fixture
def moment():
    """Wait until something is true, or fail after a long time."""

    def until(true, seconds=60):
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end
            time.sleep(0.02)

    return until
