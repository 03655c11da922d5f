"""Conversations about jobs that end without a file, each with the service's own code and message."""

import pytest

from gofer import JobCancelled, JobFailed, RetrieveRequest, State, WaitTimeout

from .conversation import Scene, Talk, conversation


@conversation()
def not_found(scene: Scene) -> Talk:
    """JobFailed is raised by one call if no source has the document."""
    with pytest.raises(JobFailed, match="NOT_FOUND: no source has") as caught:
        yield scene.client.retrieve_and_download("10.5555/notfound", scene.folder / "paper.pdf")
    assert caught.value.error_code == "NOT_FOUND"
    assert not list(scene.folder.iterdir())


@conversation()
def download_failed(scene: Scene) -> Talk:
    """If every copy was broken, the error has all places that were tried."""
    job = yield scene.client.submit(RetrieveRequest("10.5555/downloadfailed"))
    with pytest.raises(JobFailed) as caught:
        yield job.result()
    assert caught.value.error_code == "DOWNLOAD_FAILED"
    assert [attempt.failure for attempt in caught.value.value.attempts] == ["TRUNCATED", "BROKEN_PDF"]


@conversation()
def vpn_error(scene: Scene) -> Talk:
    """Waiting for a job that failed because the VPN was down returns its status and raises nothing."""
    job = yield scene.client.retrieve("10.5555/vpnerror")
    result = yield scene.client.wait_for_completion(job.job_id)
    assert (result.status, result.error_code, result.error) == ("failed", "VPN_ERROR", "the VPN is down")


@conversation(plain=True)
def timed_out(scene: Scene) -> Talk:
    """If the service's own time ended, on the base contract, the error is a RuntimeError with the ticket."""
    with pytest.raises(RuntimeError, match="TIMEOUT: not done in time") as caught:
        yield scene.client.run(RetrieveRequest("10.5555/timeout"), to=scene.folder / "paper.pdf")
    assert (caught.value.error_code, caught.value.job_id, bool(caught.value.ticket)) == ("TIMEOUT", "job-0001", True)


@conversation()
def cancelled(scene: Scene) -> Talk:
    """A cancelled job has ended, its result raises JobCancelled, and it can be cancelled again."""
    job = yield scene.client.submit(RetrieveRequest("10.5555/cancelme"))
    assert (yield job.refresh()) == "searching"
    assert (yield job.cancel()) is True
    assert (job.status, job.status.state, job.status.error_code) == ("failed", State.CANCELLED, "CANCELLED")
    with pytest.raises(JobCancelled):
        yield job.result()
    assert (yield job.cancel()) is True


@conversation(plain=True)
def late(scene: Scene) -> Talk:
    """A wait that ends before its job raises a TimeoutError with the time of each leg, and the job keeps running."""
    job = yield scene.client.retrieve("10.5555/notready")
    with pytest.raises(TimeoutError) as caught:
        yield scene.client.wait_for_completion(job.job_id, timeout=10, poll_interval=4.0)
    assert isinstance(caught.value, WaitTimeout)
    assert caught.value.leg == "poll"
    assert caught.value.spent["poll"] == pytest.approx(scene.clock())
    assert scene.clock() <= 10
    assert (yield job.refresh()) == "searching"
