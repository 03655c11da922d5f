"""Conversations that end well: the errand in its several ways, from the submission to the file."""

import hashlib
import json

from contract_server import content
from gofer import RetrieveRequest, State
from gofer.transports.parts import mark_of, part_of

from .conversation import Scene, Talk, conversation


@conversation()
def long_poll(scene: Scene) -> Talk:
    """A held request tells of every state without a pause, and the file is the one that was promised."""
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
    """A service without any extension is asked again after the fixed pause, and serves as well."""
    job = yield scene.client.retrieve("10.5555/slow")
    result = yield scene.client.wait_for_completion(job.job_id, poll_interval=3.0)
    assert (result.status, result.state, result.file_format) == ("completed", State.SUCCEEDED, "pdf")
    assert scene.clock() == 2 * 3.0
    path = yield scene.client.download_file(job.job_id, scene.folder / "paper.pdf")
    assert (scene.folder / "paper.pdf").read_bytes() == content("10.5555/slow")
    assert path == str(scene.folder / "paper.pdf")


@conversation()
def one_call(scene: Scene) -> Talk:
    """A quick job is finished in the answer to its submission: the whole errand is two requests."""
    path, result = yield scene.client.retrieve_and_download("10.5555/quick", scene.folder / "paper.pdf", timeout=60)
    assert (scene.folder / "paper.pdf").read_bytes() == content("10.5555/quick")
    assert (path, result.status) == (str(scene.folder / "paper.pdf"), "completed")


@conversation(plain=True)
def one_call_on_four_endpoints(scene: Scene) -> Talk:
    """The one call works on the base contract, where the size that the job names is what checks the file."""
    outcome = yield scene.client.run(RetrieveRequest("10.5555/quick"), to=scene.folder / "paper.pdf", timeout=60)
    assert outcome.path.read_bytes() == content("10.5555/quick")
    assert outcome.verified == "size"


@conversation()
def digest(scene: Scene) -> Talk:
    """A file whose digest the service names is checked by it."""
    outcome = yield scene.client.run(RetrieveRequest("10.5555/quick"), to=scene.folder / "paper.pdf")
    assert outcome.verified == "digest"


@conversation()
def bytes_in_memory(scene: Scene) -> Talk:
    """A file can be read without a disk."""
    job = yield scene.client.submit(RetrieveRequest("10.5555/quick"))
    assert (yield job.read(1 << 20)) == content("10.5555/quick")


@conversation()
def ticket(scene: Scene) -> Talk:
    """A ticket goes on with the job where another handle left it."""
    job = yield scene.client.submit(RetrieveRequest("10.5555/quick"))
    path = yield scene.client.attach(job.ticket).download(scene.folder / "paper.pdf")
    assert path.read_bytes() == content("10.5555/quick")


@conversation()
def no_news(scene: Scene) -> Talk:
    """A job that did not change is answered 304 to its ETag, and keeps the status it had."""
    job = yield scene.client.submit(RetrieveRequest("10.5555/notready"))
    assert (yield job.refresh()) == "searching"
    assert (yield job.refresh()) == "searching"
    assert job.status.message == "searching the script"


@conversation()
def resumed_download(scene: Scene) -> Talk:
    """A transfer that another process left half done goes on by Range and If-Range, and the whole is verified."""
    whole, target = content("10.5555/large"), scene.folder / "paper.pdf"
    job = yield scene.client.submit(RetrieveRequest("10.5555/large"))
    result = yield job.result()
    source = hashlib.sha256(f"{scene.url}/jobs/{result.job_id}/file".encode()).hexdigest()
    sha256 = hashlib.sha256(whole).hexdigest()
    part_of(target).write_bytes(whole[:25_000])
    note = {"source": source, "etag": f'"{sha256[:32]}"', "total": len(whole), "digest": sha256}
    mark_of(target).write_text(json.dumps(note))
    yield job.download(target)
    assert hashlib.sha256(target.read_bytes()).hexdigest() == sha256
    assert list(scene.folder.iterdir()) == [target]
