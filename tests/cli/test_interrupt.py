"""Ctrl-C: what becomes of the job, and how fast the command ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from contract_server import contract_server
from gofer.ticket import Ticket
from support.raw_server import Call, RawServer, http, raw_server

from .shell import PAPER, attach_line, environment, one_object, read_until, started


def wait_for(server: RawServer, method: str) -> None:
    """Wait until a request of this method has come."""
    until = time.monotonic() + 10
    while not any(call.method == method for call in server.calls):
        assert time.monotonic() < until
        time.sleep(0.01)


def test_cancels_the_job(tmp_path: Path) -> None:
    """Ctrl-C cancels the job, says so, and ends with 130."""
    with contract_server() as url, started("get", "10.5555/cancelme", "--to", tmp_path / "x", "--json", url=url) as run:
        read_until(run, "searching")
        run.send_signal(signal.SIGINT)
        stdout, stderr = run.communicate(timeout=10)
        assert run.returncode == 130
        assert "The job is cancelled." in stderr
        assert "gofer attach" not in stderr
        told = one_object(stdout)
        assert (told["status"], told["error"]) == ("failed", "interrupted")
        job = httpx.get(f"{url}/jobs/{told['job_id']}").json()
        assert (job["status"], job["error_code"]) == ("failed", "CANCELLED")


def test_cancels_a_job_still_being_submitted(tmp_path: Path) -> None:
    """Ctrl-C before the submission is answered finds the job again by its key, and cancels it."""

    def answer_late(call: Call) -> list[object]:
        if call.path == "/health":
            return [http(200, '{"status": "healthy", "capabilities": ["idempotency-key"]}')]
        if call.method == "DELETE":
            return [http(200, '{"job_id": "j1", "status": "failed", "error_code": "CANCELLED"}')]
        return [30 if call.nth == 1 else 0, http(200, '{"job_id": "j1", "status": "pending"}')]

    with raw_server(answer_late) as server, started("get", PAPER, "--to", tmp_path / "x", url=server.url) as run:
        wait_for(server, "POST")
        run.send_signal(signal.SIGINT)
        _, stderr = run.communicate(timeout=10)
        first, _, second, last = server.calls
    assert run.returncode == 130
    assert "The job is cancelled." in stderr
    assert (first.body, first.headers["idempotency-key"]) == (second.body, second.headers["idempotency-key"])
    assert (last.method, last.path) == ("DELETE", "/jobs/j1")


def test_a_second_one_ends_at_once(tmp_path: Path) -> None:
    """A second Ctrl-C does not wait for the cancellation, and the line that goes on with the job is printed."""

    def never_cancel(call: Call) -> list[object]:
        return [30] if call.method == "DELETE" else [http(200, '{"job_id": "j1", "status": "searching"}')]

    with raw_server(never_cancel) as server, started("get", PAPER, "--to", tmp_path / "x", url=server.url) as run:
        read_until(run, "submitted")
        run.send_signal(signal.SIGINT)
        wait_for(server, "DELETE")
        run.send_signal(signal.SIGINT)
        _, stderr = run.communicate(timeout=10)  # the answer to DELETE takes longer
    assert run.returncode == 130
    assert attach_line(stderr)


@pytest.mark.parametrize("args", [[], ["--json"]])
def test_a_service_that_cannot_cancel(tmp_path: Path, args: list[str]) -> None:
    """Where the service has no cancellation, that is said, and how to come back for the job."""
    with (
        contract_server(plain=True) as url,
        started("get", "10.5555/cancelme", "--to", tmp_path / "x", *args, url=url) as run,
    ):
        read_until(run, "searching")
        run.send_signal(signal.SIGINT)
        _, stderr = run.communicate(timeout=10)
    assert run.returncode == 130
    assert "does not cancel jobs" in stderr
    assert attach_line(stderr)


def test_during_the_imports() -> None:
    """Ctrl-C before a command could take it ends with 130 and without a traceback."""
    code = """
import builtins, gofer.cli
def pressed(name, *_, before=builtins.__import__):
    if name == "gofer.cli.commands":
        raise KeyboardInterrupt
    return before(name, *_)
builtins.__import__ = pressed
gofer.cli.main()
"""
    ran = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True)
    assert (ran.returncode, ran.stdout, ran.stderr) == (130, "", "")


def test_before_anything_is_sent(tmp_path: Path) -> None:
    """Ctrl-C while the input is still being read says that nothing was sent, and ends with 130."""
    pipe = tmp_path / "input.json"
    os.mkfifo(pipe)
    with started("run", "--contract", "uws", "--input", pipe) as run, pipe.open("wb"):  # opened once it is read
        run.send_signal(signal.SIGINT)
        stdout, stderr = run.communicate(timeout=10)
    assert (run.returncode, stdout, stderr) == (130, "", "Interrupted. Nothing was sent.\n")


def test_attach_leaves_the_job(tmp_path: Path) -> None:
    """Ctrl-C during an attach leaves the job running."""
    with contract_server(plain=True) as url:
        job = httpx.post(f"{url}/retrieve", json={"doi": "10.5555/cancelme"}).json()
        with started("attach", str(Ticket("retrieve", url, job["job_id"])), "--to", tmp_path / "x") as run:
            read_until(run, "searching")
            run.send_signal(signal.SIGINT)
            _, stderr = run.communicate(timeout=10)
        assert run.returncode == 130
        assert attach_line(stderr)
        assert httpx.get(f"{url}/jobs/{job['job_id']}").json()["status"] == "searching"
