"""Batches against a model of a service, with faults, storms, restarts and kills, in virtual time."""

import pytest
from attrs import evolve

from simulation.many import ManyPlan, many_plan, simulate_many
from support.matrices import EVERY_CASE

SEEDS = 1000 if EVERY_CASE else 24
CHUNKS = 4


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_no_seed_breaks_an_invariant_of_a_batch(chunk):
    """Whatever happens, each errand has one job for each attempt, its own file, and one end, within the limits."""
    for seed in range(chunk, SEEDS, CHUNKS):
        try:
            simulate_many(many_plan(seed))
        except AssertionError as error:
            raise AssertionError(f"batch {seed}: {error}") from error


@pytest.mark.parametrize("replays", [True, False])
def test_a_kill_at_any_command_breaks_no_invariant(replays):
    """The process is killed before each command of a batch in turn, with and without replayed keys."""
    plan = ManyPlan(seed=3, errands=6, jobs=3, replays=replays)
    for kill in range(1, 160, 1 if EVERY_CASE else 4):
        simulate_many(evolve(plan, kills=(kill,)))


def test_a_feed_takes_the_place_of_polls():
    """With the feed no job is polled; without it, and without held requests, again and again."""
    plan = ManyPlan(seed=1, errands=30, jobs=30, slow=(50.0, 100.0), failing=0.0)
    told, asked = simulate_many(plan), simulate_many(evolve(plan, feed=False, held=False))
    assert told.polls == 0
    assert asked.polls > 10 * 30


def test_jobs_wait_for_their_turn():
    """With one job at a time the batch takes as long as all of them one after the other."""
    plan = ManyPlan(errands=5, jobs=1, slow=(10.0, 10.0), failing=0.0)
    assert simulate_many(plan).ended >= 50.0
    assert simulate_many(evolve(plan, jobs=5)).ended < 20.0


def test_a_feed_that_falls_silent_is_noticed():
    """Each job is polled for itself while the feed fails."""
    plan = ManyPlan(errands=60, jobs=60, slow=(50.0, 100.0), failing=0.0, deaf=((5.0, 4000.0),))
    assert simulate_many(plan).ended < 200.0
