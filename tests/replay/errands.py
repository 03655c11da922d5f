"""Conversations that succeed, from the submission to the file, by each way of the client's."""

import hashlib
import json

from contract_server import content
from gofer import RetrieveRequest, State
from gofer.transports.parts import mark_of, part_of

from .conversation import Scene, Talk, conversation


@conversation()
def long_poll(scene: Scene) -> Talk:
    """Held requests report every state without a pause, and the file is the promised one."""
    job = yield scene.client.submit(RetrieveRequest("10.5555/slow", title="A paper", authors=["A. Author"]))
    assert (job.id, job.status, job.done) == ("job-0001", "pending", False)
    assert (yield job.wait(timeout=60)) == "completed"
    result = yield job.result()
    assert (result.source, result.version, result.licence) == ("script", "publishedVersion", "cc-by-4.0")
    path = yield job.download(scene.folder / "papers" / "paper.pdf")
    assert path.read_bytes() == content("10.5555/slow")
    assert result.file_size == path.stat().st_size
    assert scene.clock() == 0


@conversation(plain=True)
def four_endpoints(scene: Scene) -> Talk:
    """A service without any extension is polled with the fixed pause, and the file comes too."""
    job = yield scene.client.retrieve("10.5555/slow")
    result = yield scene.client.wait_for_completion(job.job_id, poll_interval=3.0)
    assert (result.status, result.state, result.file_format) == ("completed", State.SUCCEEDED, "pdf")
    assert scene.clock() == 2 * 3.0
    path = yield scene.client.download_file(job.job_id, scene.folder / "paper.pdf")
    assert (scene.folder / "paper.pdf").read_bytes() == content("10.5555/slow")
    assert path == str(scene.folder / "paper.pdf")


@conversation()
def one_call(scene: Scene) -> Talk:
    """A quick job has completed in the answer to its submission, so the errand is two requests."""
    path, result = yield scene.client.retrieve_and_download("10.5555/quick", scene.folder / "paper.pdf", timeout=60)
    assert (scene.folder / "paper.pdf").read_bytes() == content("10.5555/quick")
    assert (path, result.status) == (str(scene.folder / "paper.pdf"), "completed")


@conversation(plain=True)
def one_call_on_four_endpoints(scene: Scene) -> Talk:
    """One call works on the base contract, and the file is verified by the size that the job names."""
    outcome = yield scene.client.run(RetrieveRequest("10.5555/quick"), to=scene.folder / "paper.pdf", timeout=60)
    assert outcome.path.read_bytes() == content("10.5555/quick")
    assert outcome.verified == "size"


@conversation()
def digest(scene: Scene) -> Talk:
    """A file is verified by the digest that the service names."""
    outcome = yield scene.client.run(RetrieveRequest("10.5555/quick"), to=scene.folder / "paper.pdf")
    assert outcome.verified == "digest"


@conversation()
def bytes_in_memory(scene: Scene) -> Talk:
    """A file can be read into memory."""
    job = yield scene.client.submit(RetrieveRequest("10.5555/quick"))
    assert (yield job.read(1 << 20)) == content("10.5555/quick")


@conversation()
def ticket(scene: Scene) -> Talk:
    """A ticket continues with the job of another handle."""
    job = yield scene.client.submit(RetrieveRequest("10.5555/quick"))
    path = yield scene.client.attach(job.ticket).download(scene.folder / "paper.pdf")
    assert path.read_bytes() == content("10.5555/quick")


@conversation()
def no_news(scene: Scene) -> Talk:
    """A poll of an unchanged job is answered by 304, and the job keeps its status."""
    job = yield scene.client.submit(RetrieveRequest("10.5555/notready"))
    assert (yield job.refresh()) == "searching"
    assert (yield job.refresh()) == "searching"
    assert job.status.message == "searching the script"


@conversation()
def resumed_download(scene: Scene) -> Talk:
    """A part file of another process is resumed by Range and If-Range, and the complete file is verified."""
    paper, target = content("10.5555/large"), scene.folder / "paper.pdf"
    job = yield scene.client.submit(RetrieveRequest("10.5555/large"))
    result = yield job.result()
    source = hashlib.sha256(f"{scene.url}/jobs/{result.job_id}/file".encode()).hexdigest()
    sha256 = hashlib.sha256(paper).hexdigest()
    part_of(target).write_bytes(paper[:25_000])
    note = {"source": source, "etag": f'"{sha256[:32]}"', "total": len(paper), "digest": ["sha256", sha256]}
    mark_of(target).write_text(json.dumps(note))
    yield job.download(target)
    assert hashlib.sha256(target.read_bytes()).hexdigest() == sha256
    assert list(scene.folder.iterdir()) == [target]
