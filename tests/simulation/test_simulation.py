"""Errands against a model of a service, with faults at every request and breaks at every command, in virtual time.

Some thousand plans from seeds, and some that hypothesis makes and shrinks. `simulate.py` plays as many as one likes.
"""

import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings

from simulation.errand import simulate
from simulation.plan import FILE, LOOK, OTHER, POST, Break, Fault, Plan, plan_of, plans

SEEDS = 1500
CHUNKS = 10
HABITS = [
    Plan(),
    Plan(holds=False, tags=False, size=False, digest=False),
    Plan(keys="ignore", holds=False, length=False, etag="weak"),
    Plan(base="https://service.test", keys="known", file_at="cdn", ranges=False),
    Plan(verb="handle", hold=0, verify="require", before=b"what was there before"),
    Plan(verb="read", timeout=15.0, cutoff=5.0),
]


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_no_seed_breaks_an_invariant(chunk):
    """Whatever befalls an errand: one job, the right file or none, in time, without hammering, and a way to go on."""
    for seed in range(chunk, SEEDS, CHUNKS):
        try:
            simulate(plan_of(seed))
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error


@settings(max_examples=300, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(plans())
def test_no_plan_breaks_an_invariant(plan):
    """The same, of plans that hypothesis makes and makes smaller."""
    simulate(plan)


@pytest.mark.parametrize("route", ["post", "look", "file", "other"])
@pytest.mark.parametrize("habits", HABITS, ids=range(len(HABITS)))
def test_no_single_fault_breaks_an_invariant(habits, route):
    """Every fault, alone, twice in a row and for long, on services and callers of different habits."""
    for fault in {"post": POST, "look": LOOK, "file": FILE, "other": OTHER}[route]:
        for times in (1, 2, 12):
            simulate(evolve(habits, **{route: (fault,) * times}))


@pytest.mark.parametrize("then", range(len(FILE)), ids=lambda at: FILE[at].kind.replace(" ", "-") + str(at))
def test_no_two_faults_of_a_download_break_an_invariant(then):
    """Whatever befalls a transfer after another that broke off or went wrong, on a service that proves little."""
    little = Plan(story=(), size=False, digest=False, honours_if_range=False)
    for first in FILE:
        simulate(evolve(little, file=(first, FILE[then])))
        simulate(evolve(little, file=(first, FILE[then]), verb="read"))
        simulate(evolve(little, file=(Fault("cut", at=700), first, FILE[then]), digest=True))


@pytest.mark.parametrize("how", ["kill", "leave"])
@pytest.mark.parametrize("habits", HABITS, ids=range(len(HABITS)))
def test_no_break_at_any_command_breaks_an_invariant(habits, how):
    """An errand that is killed or left at each of its commands in turn, before it and half-way in it."""
    for at in range(24):
        for heard in (False, True):
            simulate(evolve(habits, breaks=(Break(how, at, heard),)))


def test_an_errand_that_nothing_befalls_is_fulfilled():
    """The tamest plan ends with the file, at the first go."""
    assert simulate(Plan()).endings == ["ended"]
