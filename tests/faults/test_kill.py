"""kill -9: another process continues where the killed one stopped, with the ticket, the key or the part file."""

import random
import textwrap
import threading

import pytest

from faults.processes import SlowService, finish, kill, process, requests, wait_until
from gofer.transports.parts import mark_of, part_of
from support.raw_server import raw_server

DOI = "10.5555/12345678"
PAPER = b"%PDF-1.7 " + random.Random(1).randbytes(400_000)
CHANGED = b"%PDF-1.7 " + random.Random(2).randbytes(300_000)

SUBMIT = textwrap.dedent(
    """
    import sys, time, gofer
    client = gofer.RetrieveClient(base_url=sys.argv[1])
    print(client.retrieve("10.5555/12345678").ticket, flush=True)
    time.sleep(600)
    """
)
BLOCKING = textwrap.dedent(
    """
    import sys, gofer
    client = gofer.RetrieveClient(base_url=sys.argv[1])
    print(client.attach(sys.argv[2]).download(sys.argv[3], timeout=60))
    """
)
AWAITED = textwrap.dedent(
    """
    import sys, anyio, gofer
    async def main():
        async with gofer.AsyncRetrieveClient(base_url=sys.argv[1]) as client:
            print(await client.attach(sys.argv[2]).download(sys.argv[3], timeout=60))
    anyio.run(main, backend="{}")
    """
)
DOWNLOADS = {"blocking": BLOCKING, "asyncio": AWAITED.format("asyncio"), "trio": AWAITED.format("trio")}
WITH_KEY = textwrap.dedent(
    """
    import sys, gofer
    client = gofer.RetrieveClient(base_url=sys.argv[1])
    print(client.submit(gofer.RetrieveRequest("10.5555/12345678"), key=sys.argv[2]).id)
    """
)


@pytest.fixture
def slow():
    """A service that sends the file slowly, and its server."""
    service = SlowService(PAPER, pace=0.03)
    with raw_server(service) as server:
        yield service, server


def a_ticket(server):
    """The ticket of a process that was killed right after it had submitted."""
    with process(SUBMIT, server.url) as child:
        ticket = child.stdout.readline().strip()
        kill(child)
    return ticket


def test_a_ticket_outlives_the_process_that_printed_it(slow, tmp_path):
    """If a process is killed after its submission, the next one waits for the same job and downloads its file."""
    service, server = slow
    service.pace = 0.0
    ticket = a_ticket(server)
    assert finish(BLOCKING, server.url, ticket, tmp_path / "paper.pdf") == str(tmp_path / "paper.pdf")
    assert (tmp_path / "paper.pdf").read_bytes() == PAPER
    assert requests(server, "POST") == 1


@pytest.mark.parametrize("mode", DOWNLOADS)
def test_a_download_is_resumed_after_kill_9(slow, tmp_path, mode):
    """If a process is killed during a download, the next one fetches only the bytes that are not on disk."""
    service, server = slow
    ticket, target = a_ticket(server), tmp_path / "paper.pdf"
    with process(DOWNLOADS[mode], server.url, ticket, target) as child:
        wait_until(lambda: part_of(target).exists() and part_of(target).stat().st_size > 100_000)
        kill(child)
    kept = part_of(target).stat().st_size
    assert not target.exists()
    assert mark_of(target).exists()
    service.pace = 0.0
    finish(DOWNLOADS[mode], server.url, ticket, target)
    assert target.read_bytes() == PAPER
    assert service.ranges == [None, f"bytes={kept}-"]
    assert service.sent[1] == len(PAPER) - kept
    assert [place.name for place in tmp_path.iterdir()] == ["paper.pdf"]


@pytest.mark.parametrize("mode", DOWNLOADS)
def test_bytes_that_came_before_a_pause_survive_kill_9(slow, tmp_path, mode):
    """If a body pauses, all bytes that came are soon on disk, and a killed process does not lose them."""
    service, server = slow
    ticket, target = a_ticket(server), tmp_path / "paper.pdf"
    service.pace, resumed = 0.0, threading.Event()
    service.halfway = lambda: resumed.wait(120)
    with process(DOWNLOADS[mode], server.url, ticket, target) as child:
        wait_until(lambda: part_of(target).exists() and part_of(target).stat().st_size > len(PAPER) // 2)
        kill(child)
    resumed.set()
    finish(DOWNLOADS[mode], server.url, ticket, target)
    assert target.read_bytes() == PAPER
    assert service.ranges[1] is not None


@pytest.mark.parametrize("mode", DOWNLOADS)
def test_a_file_that_changed_meanwhile_starts_over(slow, tmp_path, mode):
    """If the file has changed when the next process resumes, that one fetches the complete new file."""
    service, server = slow
    ticket, target = a_ticket(server), tmp_path / "paper.pdf"
    with process(DOWNLOADS[mode], server.url, ticket, target) as child:
        wait_until(lambda: part_of(target).exists() and part_of(target).stat().st_size > 100_000)
        kill(child)
    service.paper, service.etag, service.pace = CHANGED, '"two"', 0.0
    finish(DOWNLOADS[mode], server.url, ticket, target)
    assert target.read_bytes() == CHANGED
    assert service.ranges[1] is not None
    assert service.sent[1] == len(CHANGED)
    assert [place.name for place in tmp_path.iterdir()] == ["paper.pdf"]


def test_a_key_finds_the_job_of_a_process_killed_while_submitting(slow):
    """If a process is killed before the answer came, its key always returns the job that was made."""
    service, server = slow
    service.answering.clear()
    with process(WITH_KEY, server.url, "my-key") as child:
        assert service.submitted.wait(60)
        kill(child)
    service.answering.set()
    assert finish(WITH_KEY, server.url, "my-key") == "job-1"
    assert finish(WITH_KEY, server.url, "my-key") == "job-1"
    assert finish(WITH_KEY, server.url, "another") == "job-2"
    assert service.keys == ['"my-key"', '"another"']


def test_a_second_process_with_the_same_target_raises_target_error(slow, tmp_path):
    """While one process downloads to a target, a second one ends with a TargetError that says why."""
    service, server = slow
    ticket, target = a_ticket(server), tmp_path / "paper.pdf"
    with process(BLOCKING, server.url, ticket, target) as first:
        wait_until(lambda: part_of(target).exists() and part_of(target).stat().st_size > 0)
        with process(BLOCKING, server.url, ticket, target) as second:
            _, stderr = second.communicate(timeout=60)
        assert second.returncode == 1
        assert "TargetError" in stderr.splitlines()[-1]
        assert "another errand" in stderr
        first.communicate(timeout=60)
        assert first.returncode == 0
    assert target.read_bytes() == PAPER
    assert len(service.sent) == 1


def test_two_processes_that_start_together_leave_the_right_file(slow, tmp_path):
    """If two processes start a download to one target at once, the right file is there in the end."""
    service, server = slow
    service.pace = 0.005
    ticket, target = a_ticket(server), tmp_path / "paper.pdf"
    with process(BLOCKING, server.url, ticket, target) as one, process(BLOCKING, server.url, ticket, target) as two:
        errors = [child.communicate(timeout=60)[1] for child in (one, two)]
        codes = [one.returncode, two.returncode]
    assert 0 in codes
    assert all("TargetError" in stderr for code, stderr in zip(codes, errors, strict=True) if code != 0)
    assert target.read_bytes() == PAPER
    assert [place.name for place in tmp_path.iterdir()] == ["paper.pdf"]
