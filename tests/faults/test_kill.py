"""kill -9: another process continues where the killed one stopped, with the ticket, the key or the part file."""

import random
import textwrap
import threading

import pytest

import gofer
from faults.processes import SlowService, kill, process, requests, wait_until
from gofer.transports.parts import mark_of, part_of
from support.faces import face
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
    """A service whose first reply with the file stops halfway until the event is set; its server; the event."""
    service, rest = SlowService(PAPER), threading.Event()
    service.halfway = lambda: rest.wait(120)
    with raw_server(service) as server:
        yield service, server, rest
        rest.set()


@pytest.fixture
def ticket(slow):
    """The ticket of a job that was submitted."""
    with gofer.RetrieveClient(base_url=slow[1].url) as client:
        return client.retrieve(DOI).ticket


def killed(mode, server, ticket, target):
    """Start a download in another process and kill it halfway; return how many bytes are on disk."""
    part = part_of(target)
    with process(DOWNLOADS[mode], server.url, ticket, target) as child:
        wait_until(lambda: part.exists() and part.stat().st_size > len(PAPER) // 2)
        kill(child)
    assert not target.exists()
    assert mark_of(target).exists()
    return part.stat().st_size


def download(mode, server, ticket, target):
    """Download in this process."""
    with face(mode, "httpx") as made:
        made.client(server.url).attach(ticket).download(target, timeout=60)


def test_a_ticket_outlives_the_process_that_printed_it(slow, tmp_path):
    """If a process is killed after its submission, the next one waits for the same job and downloads its file."""
    _, server, rest = slow
    rest.set()
    with process(SUBMIT, server.url) as child:
        ticket = child.stdout.readline().strip()
        kill(child)
    download("blocking", server, ticket, tmp_path / "paper.pdf")
    assert (tmp_path / "paper.pdf").read_bytes() == PAPER
    assert requests(server, "POST") == 1


@pytest.mark.parametrize("mode", DOWNLOADS)
def test_a_download_is_resumed_after_kill_9(slow, ticket, tmp_path, mode):
    """If a process is killed during a download, all bytes that came are kept, and the next fetches only the others."""
    service, server, rest = slow
    target = tmp_path / "paper.pdf"
    kept = killed(mode, server, ticket, target)
    rest.set()
    download(mode, server, ticket, target)
    assert target.read_bytes() == PAPER
    assert service.ranges == [None, f"bytes={kept}-"]
    assert service.sent[1] == len(PAPER) - kept
    assert [place.name for place in tmp_path.iterdir()] == ["paper.pdf"]


@pytest.mark.parametrize("mode", DOWNLOADS)
def test_a_file_that_changed_meanwhile_starts_over(slow, ticket, tmp_path, mode):
    """If the file has changed when the next process resumes, that one fetches the complete new file."""
    service, server, rest = slow
    target = tmp_path / "paper.pdf"
    killed(mode, server, ticket, target)
    rest.set()
    service.paper, service.etag = CHANGED, '"two"'
    download(mode, server, ticket, target)
    assert target.read_bytes() == CHANGED
    assert service.ranges[1] is not None
    assert service.sent[1] == len(CHANGED)
    assert [place.name for place in tmp_path.iterdir()] == ["paper.pdf"]


def test_a_key_finds_the_job_of_a_process_killed_while_submitting(slow):
    """If a process is killed before the answer came, its key always returns the job that was made."""
    service, server, _ = slow
    service.answering.clear()
    with process(WITH_KEY, server.url, "my-key") as child:
        assert service.submitted.wait(60)
        kill(child)
    service.answering.set()
    with gofer.RetrieveClient(base_url=server.url) as client:
        found = [client.submit(gofer.RetrieveRequest(DOI), key=key).id for key in ("my-key", "my-key", "another")]
    assert found == ["job-1", "job-1", "job-2"]
    assert service.keys == ['"my-key"', '"another"']


def test_a_second_process_with_the_same_target_raises_target_error(slow, ticket, tmp_path):
    """While one process downloads to a target, a second one ends with a TargetError that says why."""
    service, server, rest = slow
    target = tmp_path / "paper.pdf"
    with process(BLOCKING, server.url, ticket, target) as first:
        wait_until(lambda: part_of(target).exists() and part_of(target).stat().st_size > 0)
        with pytest.raises(gofer.TargetError, match="another errand"):
            download("blocking", server, ticket, target)
        rest.set()
        first.communicate(timeout=60)
        assert first.returncode == 0
    assert target.read_bytes() == PAPER
    assert len(service.sent) == 1


def test_two_processes_that_start_together_leave_the_right_file(slow, ticket, tmp_path):
    """If two processes start a download to one target at once, the right file is there in the end."""
    _, server, rest = slow
    rest.set()
    target = tmp_path / "paper.pdf"
    with process(BLOCKING, server.url, ticket, target) as one, process(BLOCKING, server.url, ticket, target) as two:
        errors = [child.communicate(timeout=60)[1] for child in (one, two)]
        codes = [one.returncode, two.returncode]
    assert 0 in codes
    assert all("TargetError" in stderr for code, stderr in zip(codes, errors, strict=True) if code != 0)
    assert target.read_bytes() == PAPER
    assert [place.name for place in tmp_path.iterdir()] == ["paper.pdf"]
