"""Errands against a model of a service, with faults at every request and breaks at every command, in virtual time.

Some hundred plans come from seeds, and hypothesis makes and shrinks some more. `simulate.py` plays any number.
"""

import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings

from simulation.errand import simulate
from simulation.plan import FILE, OTHER, POLL, POST, Break, Fault, Plan, plan_of, plans
from support.matrices import EVERY_CASE, in_turn

SEEDS = 1500 if EVERY_CASE else 100
CHUNKS = 5
PLANS = [
    Plan(),
    Plan(holds=False, tags=False, size=False, digest=False),
    Plan(keys="ignore", holds=False, length=False, etag="weak"),
    Plan(base="https://service.test", keys="reject", file_at="cdn", ranges=False),
    Plan(verb="handle", hold=0, verify="require", before=b"what was there before"),
    Plan(verb="read", timeout=15.0, cutoff=5.0),
]


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_no_seed_breaks_an_invariant(chunk):
    """Whatever faults an errand meets, it makes one job, gets the right file or none, and ends in time."""
    for seed in range(chunk, SEEDS, CHUNKS):
        try:
            simulate(plan_of(seed))
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error


@settings(
    max_examples=300 if EVERY_CASE else 40,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(plans())
def test_no_plan_breaks_an_invariant(plan):
    """The invariants are true for plans that hypothesis makes and shrinks."""
    simulate(plan)


@pytest.mark.parametrize("route", ["post", "poll", "file", "other"])
@pytest.mark.parametrize("plan", PLANS, ids=range(len(PLANS)))
def test_no_single_fault_breaks_an_invariant(plan, route):
    """The invariants are true for every fault, once and twelve times in a row, on several plans."""
    for fault in {"post": POST, "poll": POLL, "file": FILE, "other": OTHER}[route]:
        for times in (1, 2, 12) if EVERY_CASE else (1, 12):
            simulate(evolve(plan, **{route: (fault,) * times}))


@pytest.mark.parametrize("then", range(len(FILE)), ids=lambda at: FILE[at].kind.replace(" ", "-") + str(at))
def test_no_two_faults_of_a_download_break_an_invariant(then):
    """The invariants are true for pairs of faults of a download, if the service names little to verify it by."""
    little = Plan(states=(), size=False, digest=False, honours_if_range=False)
    for number, first in list(enumerate(FILE, then))[0 if EVERY_CASE else then % 3 :: 1 if EVERY_CASE else 3]:
        pair = (first, FILE[then])
        resumed = (Fault("cut", at=700), *pair)
        for plan in in_turn(
            ({"file": pair}, {"file": pair, "verb": "read"}, {"file": resumed, "digest": True}), number
        ):
            simulate(evolve(little, **plan))


@pytest.mark.parametrize("how", ["kill", "leave"])
@pytest.mark.parametrize("plan", PLANS, ids=range(len(PLANS)))
def test_no_break_at_any_command_breaks_an_invariant(plan, how):
    """The invariants are true if the caller is killed or leaves at any command, before it or half-way in it."""
    for at in range(24):
        for begun in (False, True):
            simulate(evolve(plan, breaks=(Break(how, at, begun),)))


def test_an_errand_without_faults_succeeds():
    """The plan without faults succeeds with one call."""
    assert simulate(Plan()).endings == ["ended"]
