"""Conversations in which the service refuses: each refusal is an error of its own, or a pause."""

import pytest

from gofer import Expired, JobFailed, NotFound, NotReady, Rejected, RetrieveRequest

from .conversation import Scene, Talk, conversation


@conversation()
def unknown_job(scene: Scene) -> Talk:
    """A job that the service never had raises NotFound at once."""
    with pytest.raises(NotFound) as caught:
        yield scene.client.get_job_status("job-9999")
    assert (caught.value.status_code, caught.value.attempts) == (404, 1)


@conversation()
def too_early(scene: Scene) -> Talk:
    """A file that is requested while its job runs raises NotReady, and no file is left."""
    job = yield scene.client.retrieve("10.5555/notready")
    with pytest.raises(NotReady) as caught:
        yield scene.client.download_file(job.job_id, scene.folder / "paper.pdf")
    assert (caught.value.status_code, caught.value.error_code) == (409, "NOT_READY")
    assert not list(scene.folder.iterdir())


@conversation()
def same_key(scene: Scene) -> Talk:
    """A submission that is repeated with its key returns the same job."""
    request = RetrieveRequest("10.5555/quick", timeout_seconds=60)
    first = yield scene.client.submit(request, key="mine")
    again = yield scene.client.submit(request, key="mine")
    assert first.id == again.id


@conversation()
def key_reused(scene: Scene) -> Talk:
    """A key that comes with another request is rejected, so it never returns the job of the first."""
    yield scene.client.submit(RetrieveRequest("10.5555/quick"), key="mine")
    with pytest.raises(Rejected) as caught:
        yield scene.client.submit(RetrieveRequest("10.5555/slow"), key="mine")
    assert (caught.value.status_code, caught.value.error_code) == (422, "KEY_REUSED")


@conversation()
def busy(scene: Scene) -> Talk:
    """A submission to a busy service is sent again after the seconds that it named, with the same key."""
    job = yield scene.client.submit(RetrieveRequest("10.5555/busy"))
    assert job.status == "pending"
    assert scene.clock() == 1.0


@conversation()
def busy_until_a_date(scene: Scene) -> Talk:
    """A date in Retry-After is compared with the service's own clock, not with the caller's."""
    job = yield scene.client.submit(RetrieveRequest("10.5555/busydate"))
    assert job.status == "pending"
    assert scene.clock() == 1.0


@conversation()
def wrong_field(scene: Scene) -> Talk:
    """A wrong request is rejected with the field's name, and not sent again."""
    with pytest.raises(Rejected, match="timeout_seconds") as caught:
        yield scene.client.retrieve("10.5555/quick", timeout_seconds=10**9)
    assert (caught.value.status_code, caught.value.error_code) == (400, "VALIDATION_ERROR")
    assert caught.value.attempts == 1


@conversation()
def expired(scene: Scene) -> Talk:
    """A file that the service has deleted raises Expired, although its job has completed."""
    job = yield scene.client.submit(RetrieveRequest("10.5555/expired"))
    assert (yield job.wait()) == "completed"
    with pytest.raises(Expired) as caught:
        yield job.download(scene.folder / "paper.pdf")
    assert not isinstance(caught.value, JobFailed)
    assert caught.value.status_code == 410
