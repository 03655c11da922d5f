"""Conversations about the service itself: its health, its jobs, and what it does not support."""

import pytest

from gofer import NotSupported, RetrieveRequest

from .conversation import Scene, Talk, conversation


@conversation()
def healthy(scene: Scene) -> Talk:
    """A healthy service can run jobs and names its extensions."""
    assert (yield scene.client.health_check()) is True
    health = yield scene.client.get_health_status()
    assert (health.status, health.can_run, health.vpn_ip) == ("healthy", True, "203.0.113.7")
    assert {"idempotency-key", "wait", "range"} <= set(health.capabilities)


@conversation(degraded=True)
def degraded(scene: Scene) -> Talk:
    """A service whose VPN is down fails the health check, and can still run jobs."""
    assert (yield scene.client.health_check()) is False
    health = yield scene.client.get_health_status()
    assert (health.status, health.can_run, health.vpn_ip) == ("degraded", True, None)


@conversation()
def pages_of_jobs(scene: Scene) -> Talk:
    """Jobs are listed newest first, in pages, and by status."""
    for name in ("quick", "slow", "notready"):
        yield scene.client.submit(RetrieveRequest(f"10.5555/{name}"))
    yield scene.client.job("job-0001").wait()
    first = yield scene.client.list_jobs(limit=2)
    assert [job.job_id for job in first.jobs] == ["job-0003", "job-0002"]
    rest = yield scene.client.list_jobs(limit=2, cursor=first.next)
    assert ([job.job_id for job in rest.jobs], rest.next) == (["job-0001"], None)
    done = yield scene.client.list_jobs(status="completed")
    assert [job.doi for job in done.jobs] == ["10.5555/quick"]


@conversation(plain=True)
def nothing_but_the_base(scene: Scene) -> Talk:
    """On the base contract, listing jobs raises NotSupported, and cancelling returns False."""
    with pytest.raises(NotSupported):
        yield scene.client.list_jobs()
    job = yield scene.client.submit(RetrieveRequest("10.5555/notready"))
    assert (yield job.cancel()) is False
    health = yield scene.client.get_health_status()
    assert (health.status, health.can_run, health.capabilities) == ("healthy", True, ())
