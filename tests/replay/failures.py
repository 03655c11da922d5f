"""Conversations about jobs that end without a file, each with the service's own code and words."""

import pytest

from gofer import JobCancelled, JobFailed, RetrieveRequest, State, WaitTimeout

from .conversation import Scene, Talk, conversation


@conversation()
def not_found(scene: Scene) -> Talk:
    """No source has the document: the one call says so."""
    with pytest.raises(JobFailed, match="NOT_FOUND: no source has") as caught:
        yield scene.client.retrieve_and_download("10.5555/notfound", scene.folder / "paper.pdf")
    assert caught.value.error_code == "NOT_FOUND"
    assert not list(scene.folder.iterdir())


@conversation()
def download_failed(scene: Scene) -> Talk:
    """Copies were found and none was sound: the error carries every place that was tried."""
    job = yield scene.client.submit(RetrieveRequest("10.5555/downloadfailed"))
    with pytest.raises(JobFailed) as caught:
        yield job.result()
    assert caught.value.error_code == "DOWNLOAD_FAILED"
    assert [attempt.failure for attempt in caught.value.value.attempts] == ["TRUNCATED", "BROKEN_PDF"]


@conversation()
def vpn_error(scene: Scene) -> Talk:
    """The VPN was down: waiting returns the failed job and raises nothing."""
    job = yield scene.client.retrieve("10.5555/vpnerror")
    result = yield scene.client.wait_for_completion(job.job_id)
    assert (result.status, result.error_code, result.error) == ("failed", "VPN_ERROR", "the VPN is down")


@conversation(plain=True)
def timed_out(scene: Scene) -> Talk:
    """The service's own time was up, on the base contract: the error is a RuntimeError with the ticket on it."""
    with pytest.raises(RuntimeError, match="TIMEOUT: not done in time") as caught:
        yield scene.client.run(RetrieveRequest("10.5555/timeout"), to=scene.folder / "paper.pdf")
    assert (caught.value.error_code, caught.value.job_id, bool(caught.value.ticket)) == ("TIMEOUT", "job-0001", True)


@conversation()
def cancelled(scene: Scene) -> Talk:
    """A cancelled job has ended, its result is refused as cancelled, and to cancel it again does no harm."""
    job = yield scene.client.submit(RetrieveRequest("10.5555/cancelme"))
    assert (yield job.refresh()) == "searching"
    assert (yield job.cancel()) is True
    assert (job.status, job.status.state, job.status.error_code) == ("failed", State.CANCELLED, "CANCELLED")
    with pytest.raises(JobCancelled):
        yield job.result()
    assert (yield job.cancel()) is True


@conversation(plain=True)
def late(scene: Scene) -> Talk:
    """A wait that is over before the job is raises a TimeoutError that says where the time went; the job goes on."""
    job = yield scene.client.retrieve("10.5555/notready")
    with pytest.raises(TimeoutError) as caught:
        yield scene.client.wait_for_completion(job.job_id, timeout=10, poll_interval=4.0)
    assert isinstance(caught.value, WaitTimeout)
    assert caught.value.leg == "poll"
    assert caught.value.spent["poll"] == pytest.approx(scene.clock())
    assert scene.clock() <= 10
    assert (yield job.refresh()) == "searching"
