"""Ctrl-C: what becomes of the job, and how fast the command ends."""

import os
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from contract_server import contract_server
from gofer.ticket import Ticket
from support.raw_server import Call, http, raw_server

from .shell import PAPER, attach_line, environment, gofer, one_object, read_until, started, wait_for


def test_cancels_the_job(tmp_path: Path) -> None:
    """Ctrl-C cancels the job, says so, and ends with 130."""
    with contract_server() as url, started("get", "10.5555/cancelme", "--to", tmp_path / "x", "--json", url=url) as run:
        read_until(run, "searching")
        run.send_signal(signal.SIGINT)
        stdout, stderr = run.communicate(timeout=60)
        assert run.returncode == 130
        assert "The job is cancelled." in stderr
        assert "gofer attach" not in stderr
        document = one_object(stdout)
        assert (document["status"], document["error"]) == ("failed", "interrupted")
        job = httpx.get(f"{url}/jobs/{document['job_id']}").json()
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
        _, stderr = run.communicate(timeout=60)
        first, _, second, last = server.calls
    assert run.returncode == 130
    assert "The job is cancelled." in stderr
    assert (first.body, first.headers["idempotency-key"]) == (second.body, second.headers["idempotency-key"])
    assert (last.method, last.path) == ("DELETE", "/jobs/j1")


def test_a_second_one_ends_at_once(tmp_path: Path) -> None:
    """A second Ctrl-C does not wait for the cancellation, and the attach line is printed."""

    def never_cancel(call: Call) -> list[object]:
        return [30] if call.method == "DELETE" else [http(200, '{"job_id": "j1", "status": "searching"}')]

    with raw_server(never_cancel) as server, started("get", PAPER, "--to", tmp_path / "x", url=server.url) as run:
        read_until(run, "submitted")
        run.send_signal(signal.SIGINT)
        wait_for(server, "DELETE")
        run.send_signal(signal.SIGINT)
        _, stderr = run.communicate(timeout=60)  # the answer to DELETE takes longer
    assert run.returncode == 130
    assert "has not confirmed that the job is cancelled" in stderr
    assert attach_line(stderr)


@pytest.mark.parametrize(
    ("cancelled", "text", "continues"),
    [
        ([http(200, '{"job_id": "j1", "status": "completed"}')], "The job has ended; its status is completed.", True),
        ([http(200, '{"job_id": "j1", "status": "failed"}')], "The job has ended; its status is failed.", False),
        ([http(204)], "accepted the cancellation, but the last status it showed is searching.", True),
        ([http(500)], "has not confirmed that the job is cancelled", True),
    ],
    ids=["completed meanwhile", "failed meanwhile", "shows nothing", "an error"],
)
def test_says_no_more_than_the_service(tmp_path: Path, cancelled: list[object], text: str, continues: bool) -> None:
    """A job that the service does not show as cancelled is not called so; the attach line is for one that may go on."""
    cancelling = threading.Event()

    def answer(call: Call) -> list[object]:
        if call.method == "DELETE":
            cancelling.set()
            return cancelled
        if call.method == "GET":
            return [http(404)] if cancelling.is_set() else [cancelling]
        return [http(200, '{"job_id": "j1", "status": "searching"}')]

    with raw_server(answer) as server, started("get", PAPER, "--to", tmp_path / "x", url=server.url) as run:
        read_until(run, "submitted")
        run.send_signal(signal.SIGINT)
        _, stderr = run.communicate(timeout=60)
    assert run.returncode == 130
    assert text in stderr
    assert "The job is cancelled." not in stderr
    assert ("gofer attach" in stderr) is continues


@pytest.mark.parametrize("command", ["get", "attach"])
def test_during_the_download(tmp_path: Path, command: str) -> None:
    """Ctrl-C during the download says that the job has ended, and the attach line downloads the file."""
    document = '{"job_id": "j1", "status": "completed", "file_format": "pdf"}'

    def stop_halfway(call: Call) -> list[object]:
        if not call.path.endswith("/file"):
            return [http(200, document)]
        return [http(200, "%PDF-", content_length="8"), *([b"1.4"] if call.nth > 1 else [30])]

    target = tmp_path / "x"
    with raw_server(stop_halfway) as server:
        source = PAPER if command == "get" else str(Ticket("retrieve", server.url, "j1"))
        with started(command, source, "--to", target, url=server.url) as run:
            read_until(run, "completed")
            wait_for(server, "GET", "/file")
            run.send_signal(signal.SIGINT)
            _, stderr = run.communicate(timeout=60)
        assert run.returncode == 130
        assert "The job has ended; its status is completed." in stderr
        assert gofer(*shlex.split(attach_line(stderr))[1:], url=server.url).returncode == 0
    assert target.read_bytes() == b"%PDF-1.4"


@pytest.mark.parametrize("args", [[], ["--json"]])
def test_a_service_that_cannot_cancel(tmp_path: Path, args: list[str]) -> None:
    """If the service has no cancellation, the command says so and prints the attach line."""
    with (
        contract_server(plain=True) as url,
        started("get", "10.5555/cancelme", "--to", tmp_path / "x", *args, url=url) as run,
    ):
        read_until(run, "searching")
        run.send_signal(signal.SIGINT)
        _, stderr = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "does not cancel jobs" in stderr
    assert attach_line(stderr)


def test_during_the_imports() -> None:
    """Ctrl-C before a command has started ends with 130 and without a traceback."""
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
        stdout, stderr = run.communicate(timeout=60)
    assert (run.returncode, stdout, stderr) == (130, "", "Interrupted. Nothing was sent.\n")


def test_attach_leaves_the_job(tmp_path: Path) -> None:
    """Ctrl-C during an attach leaves the job running."""
    with contract_server(plain=True) as url:
        job = httpx.post(f"{url}/retrieve", json={"doi": "10.5555/cancelme"}).json()
        with started("attach", str(Ticket("retrieve", url, job["job_id"])), "--to", tmp_path / "x") as run:
            read_until(run, "searching")
            run.send_signal(signal.SIGINT)
            _, stderr = run.communicate(timeout=60)
        assert run.returncode == 130
        assert "Interrupted. The job was left as it is." in stderr
        assert attach_line(stderr)
        assert httpx.get(f"{url}/jobs/{job['job_id']}").json()["status"] == "searching"
