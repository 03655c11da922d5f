"""Hundreds of errands that meet faults leave no descriptor, thread, task or file behind."""

import base64
import io
import random
import tempfile
import threading
from pathlib import Path

import anyio
import pytest
from tenacity.stop import stop_after_attempt
from tenacity.wait import wait_fixed

import gofer
from faults.processes import wait_until
from gofer.core.policies import Retry
from support.matrices import EVERY_CASE
from support.raw_server import RESET, http, raw_server

ERRANDS, FIRST = 1000 if EVERY_CASE else 300, 50
PAPER = b"%PDF-1.7 " + random.Random(1).randbytes(20_000)
ONCE = Retry(wait_fixed(0), stop_after_attempt(1))
WRONG = f"sha-256=:{base64.b64encode(bytes(32)).decode()}:"
COMPLETE = http(200, PAPER)
FAULTS = [
    [RESET],
    [],
    [b"garbage\r\n\r\n"],
    [COMPLETE[:40]],
    [http(503)],
    [http(200, "<html>", content_type="application/pdf")],
    [COMPLETE[:10_000]],
    [COMPLETE[:10_000], 0.001, RESET],
    [http(200, PAPER, repr_digest=WRONG)],
    [http(200, PAPER, content_encoding="gzip")],
    [http(302, location="/again")],
    [http(404)],
]
VERBS = 5


def verb(client, number, folder):
    """Return a method of a client and its arguments; the number says which."""
    target = folder / f"{number}.pdf"
    match number % VERBS:
        case 0:
            return client.retrieve, ("10.5555/12345678",)
        case 1:
            return client.get_job_status, ("j1",)
        case 2:
            return client.download_file, ("j1", target)
        case 3:
            return client.job("j1").download_into, (io.BytesIO(), 1)
        case _:
            return client.run, (gofer.RetrieveRequest("10.5555/12345678"),)


def held():
    """Count this process's descriptors and threads."""
    return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()


def back_to(before):
    """Tell whether there are no more descriptors and threads than before."""
    return all(now <= then for now, then in zip(held(), before, strict=True))


@pytest.fixture
def faulty(tmp_path, monkeypatch):
    """A service whose every answer is a fault, and a folder for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    (tmp_path / "out").mkdir()
    drawn = random.Random(1)
    with raw_server(lambda call: drawn.choice(FAULTS)) as server:
        yield server.url


def check_files(tmp_path):
    """Check that nothing is left except the parts of broken transfers, which the next try resumes."""
    assert not list((tmp_path / "tmp").iterdir())
    left = [place for place in (tmp_path / "out").iterdir() if not place.name.endswith((".part", ".part.json"))]
    assert not left


def test_blocking_errands_leave_nothing(faulty, tmp_path):
    """Hundreds of blocking errands that fail leave no descriptor, thread or file behind."""
    before = (0, 0)
    failed = 0
    with gofer.RetrieveClient(base_url=faulty, retry=ONCE, patience=ONCE) as client:
        for number in range(FIRST + ERRANDS):
            if number == FIRST:
                before = held()
            call, args = verb(client, number, tmp_path / "out")
            try:
                call(*args)
            except gofer.GoferError:
                failed += 1
            del call, args
        wait_until(lambda: back_to(before))
    assert failed == FIRST + ERRANDS
    check_files(tmp_path)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_awaited_errands_leave_nothing(backend, faulty, tmp_path):
    """Hundreds of awaited errands that fail leave no descriptor, thread, task or file behind, on both event loops."""

    async def main():
        before, tasks, failed = (0, 0), 0, 0
        async with gofer.AsyncRetrieveClient(base_url=faulty, retry=ONCE, patience=ONCE) as client:
            for number in range(FIRST + ERRANDS):
                if number == FIRST:
                    before, tasks = held(), len(anyio.get_running_tasks())
                call, args = verb(client, number, tmp_path / "out")
                try:
                    await call(*args)
                except gofer.GoferError:
                    failed += 1
                del call, args
            await anyio.to_thread.run_sync(wait_until, lambda: back_to(before))
            assert len(anyio.get_running_tasks()) <= tasks
        assert failed == FIRST + ERRANDS

    anyio.run(main, backend=backend)
    check_files(tmp_path)
