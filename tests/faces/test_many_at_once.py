"""Many errands on one default client: none waits until the service lets go of another's request.

They are a thousand in `nox -s faults`, and enough by default to fill the client's connections three times.
"""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import anyio
import httpx
import pytest
from tenacity.wait import wait_fixed

import gofer
from support.matrices import EVERY_CASE

MANY = 1000 if EVERY_CASE else 300
HELD = 50  # half of the connections of a default client
GIVE_UP = 120
"""Seconds after which a test that is stuck ends."""


class Service:
    """Holds polls until every errand that was not held has ended; a poll that is not held shows a job that is done.

    The first poll of a job shows that it runs, with an entity tag, so that a client asks to be held from then on.
    """

    def __init__(self):
        self.lock, self.numbers = threading.Lock(), itertools.count(1)
        self.polled, self.held, self.most, self.submitted, self.ended = set(), 0, 0, 0, 0
        self.free = threading.Event()
        self.wake = self.free.set

    def answer(self, request):
        """Return the answer to a request; None for one that is held."""
        with self.lock:
            if request.method == "POST":
                self.submitted += 1
                return httpx.Response(202, json={"job_id": str(next(self.numbers)), "status": "pending"})
            job = request.url.path.rpartition("/")[2]
            if job not in self.polled:
                self.polled.add(job)
                return httpx.Response(200, json={"job_id": job, "status": "pending"}, headers={"etag": '"1"'})
            if "wait=" in request.headers.get("prefer", ""):
                self.held += 1
                self.most = max(self.most, self.held)
                return None
        return self.done(request)

    def done(self, request):
        """Return the document of a job that is done."""
        return httpx.Response(200, json={"job_id": request.url.path.rpartition("/")[2], "status": "completed"})

    def has_ended(self):
        """Note an errand's end; those that are held are let go with the last of the others."""
        with self.lock:
            self.ended += 1
            if self.ended == MANY - HELD:
                self.wake()


OPTIONS = {"base_url": "http://h", "poll": wait_fixed(0)}


def check(service):
    """Check that every errand made one job, and that no more were held than may be."""
    assert service.submitted == MANY
    assert 0 < service.most <= HELD


def test_blocking_errands_in_threads():
    """Half of the connections are held at most, and every other errand ends while they are."""
    service = Service()

    def handle(request):
        answer = service.answer(request)
        if answer is None:
            assert service.free.wait(GIVE_UP)
            answer = service.done(request)
        return answer

    client = gofer.RetrieveClient(transport=httpx.MockTransport(handle), **OPTIONS)

    def errand(number):
        job = client.submit(gofer.RetrieveRequest(f"10.5555/{number}"))
        assert job.wait(timeout=GIVE_UP) == "completed"
        service.has_ended()

    with ThreadPoolExecutor(MANY) as pool:
        assert list(pool.map(errand, range(MANY))) == [None] * MANY
    check(service)


@pytest.mark.anyio
async def test_awaited_errands():
    """The same in one event loop."""
    service, free = Service(), anyio.Event()
    service.wake = free.set

    async def handle(request):
        answer = service.answer(request)
        if answer is None:
            await free.wait()
            answer = service.done(request)
        return answer

    client = gofer.AsyncRetrieveClient(transport=httpx.MockTransport(handle), **OPTIONS)

    async def errand(number):
        job = await client.submit(gofer.RetrieveRequest(f"10.5555/{number}"))
        assert await job.wait(timeout=GIVE_UP) == "completed"
        service.has_ended()

    with anyio.fail_after(GIVE_UP):
        async with anyio.create_task_group() as group:
            for number in range(MANY):
                group.start_soon(errand, number)
    check(service)
