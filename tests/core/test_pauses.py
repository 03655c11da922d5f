"""The pauses between tries, as the documentation names them: drawn at random below a length that doubles."""

import random

import pytest

from gofer.contracts.base import Ref
from gofer.contracts.retrieve import RetrieveContract
from gofer.core import flows
from gofer.core.errand import Errand
from gofer.core.record import JobMemory, JobRecord
from gofer.errors import RateLimited, Unavailable
from gofer.models import RetrieveRequest
from gofer.options import ClientOptions
from gofer.setup import service_of
from support.world import World, reply


class Drawn(random.Random):
    """A source of jitter that always draws this share of the longest pause."""

    def __init__(self, share):
        super().__init__()
        self.share = share

    def uniform(self, a, b):
        """Draw."""
        return a + self.share * (b - a)


def refused(flow, answer, kind, share):
    """Play a flow of a client with the default options, which is refused until it gives up; return the world."""
    service = service_of("http://service.test", RetrieveContract(), ClientOptions(rng=Drawn(share), hold=0))
    world = World(lambda request, world: answer)
    errand = Errand(service, JobMemory(JobRecord(Ref("j1"), accepted=True)))
    with pytest.raises(kind):
        world.play(flow(errand), errand)
    return world


@pytest.mark.parametrize(
    ("share", "pauses"), [(1.0, [0.5, 1.0, 2.0]), (0.5, [0.25, 0.5, 1.0]), (0.0, [])], ids=["long", "half", "none"]
)
def test_a_failed_exchange_has_four_tries(share, pauses):
    """The pauses between them are up to 0.5 s, then 1 s, then 2 s."""

    def start(errand):
        return flows.start(errand, RetrieveRequest("10.5555/12345678"), "key-1")

    world = refused(start, reply(429), RateLimited, share)
    assert (len(world.requests), world.pauses) == (4, pauses)


@pytest.mark.parametrize(("share", "rest"), [(1.0, 14), (0.5, 29)])
def test_a_job_that_exists_is_worth_five_minutes(share, rest):
    """The pauses grow to 20 s, and the failures end with the first one after 300 s."""
    world = refused(flows.wait, reply(503), Unavailable, share)
    assert world.pauses == [share * pause for pause in (0.5, 1, 2, 4, 8, 16, *[20] * rest)]
