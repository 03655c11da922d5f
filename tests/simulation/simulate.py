"""Play errands on several cores: `python tests/simulation/simulate.py --errands 1000000 --seed 1 --workers 2`.

Progress goes to stderr, and the counts of how errands and calls ended go to stdout. A violation is printed with its
seed; `--only SEED` plays that errand again and prints everything that was sent.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import logging
import multiprocessing
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from attrs import fields

from simulation import errand
from simulation.errand import simulate
from simulation.many import many_plan, simulate_many
from simulation.plan import Plan, plan_of
from simulation.wire import Wire
from simulation.world import Call, End, play

BATCH = 500
SHOWN = 50
"""The most violations that are printed."""


def batch(first: int) -> tuple[int, collections.Counter[str], list[str]]:
    """Play one batch of seeds; return how many, how they ended, and the violations."""
    logging.getLogger("gofer").disabled = True
    tally: collections.Counter[str] = collections.Counter()
    broken: list[str] = []
    for seed in range(first, first + BATCH):
        try:
            ending = simulate(plan_of(seed))
        except Exception as error:
            broken.append(f"seed {seed}: {type(error).__name__}: {error}")
            continue
        tally["errands that succeeded"] += ending.succeeded
        tally["errands that did not succeed"] += not ending.succeeded
        tally.update(f"calls: {name}" for name in ending.endings)
    return BATCH, tally, broken


MANY = 20
"""Batches that are played at once, of about 17 errands each."""


def batches(first: int) -> tuple[int, collections.Counter[str], list[str]]:
    """Play the batches of some seeds; return how many errands they had, how they ended, and the violations."""
    logging.getLogger("gofer").disabled = True
    count, tally, broken = 0, collections.Counter[str](), list[str]()
    for seed in range(first, first + MANY):
        try:
            ending = simulate_many(many_plan(seed))
        except Exception as error:
            broken.append(f"batch {seed}: {type(error).__name__}: {error}")
            continue
        count += sum(ending.counts.values())
        tally["processes of batches"] += ending.processes
        tally.update({f"errands of batches: {fate}": number for fate, number in ending.counts.items()})
    return count, tally, broken


def run_batches(errands: int, seed: int, workers: int) -> int:
    """Play batches until so many errands were in them; return how many batches broke an invariant."""
    tally, done, bad, began = collections.Counter[str](), 0, 0, time.monotonic()
    with multiprocessing.Pool(workers) as pool:
        for count, more, broken in pool.imap_unordered(batches, itertools.count(seed, MANY)):
            done, bad = done + count, bad + len(broken)
            tally += more
            print("".join(f"{line}\n" for line in broken), end="", flush=True)
            sys.stderr.write(f"\r{done} errands in batches, {bad} violations ")
            if done >= errands:
                pool.terminate()
                break
    print(f"\n{done} errands in batches, {done / (time.monotonic() - began):.0f} a second, {bad} violations")
    for name, times in sorted(tally.items()):
        print(f"{times:>10}  {name}")
    return bad


def run(errands: int, seed: int, workers: int) -> int:
    """Play errands, one for each seed from this one on; return how many broke an invariant."""
    tally: collections.Counter[str] = collections.Counter()
    done, bad, began = 0, 0, time.monotonic()
    with multiprocessing.Pool(workers) as pool:
        for count, more, broken in pool.imap_unordered(batch, range(seed, seed + errands, BATCH)):
            done, bad = done + count, bad + len(broken)
            tally += more
            for line in broken[: max(0, SHOWN - bad + len(broken))]:
                print(line, flush=True)
            rate = done / (time.monotonic() - began)
            sys.stderr.write(f"\r{done} errands, {rate:.0f} a second, {bad} violations ")
    sys.stderr.write("\n")
    print(f"{done} errands, from seed {seed} on, {done / (time.monotonic() - began):.0f} a second, {bad} violations")
    for name, times in sorted(tally.items(), key=lambda item: (item[0][:6], -item[1])):
        print(f"{times:>10}  {name}")
    return bad


def show(seed: int) -> None:
    """Play one seed and print its plan, what was sent and how each call ended."""
    plan = plan_of(seed)
    for one in fields(Plan):
        if getattr(plan, one.name) != one.default:
            print(f"{one.name} = {getattr(plan, one.name)}")

    def shown(call: Call, wire: Wire, disk: object) -> End:
        began = len(wire.sent)
        end = play(call, wire, disk)  # type: ignore[arg-type]
        for sent in wire.sent[began:]:
            print(f"  {sent.at - 1000:10.2f} s  {sent.request.method:6} {sent.request.url}  {sent.status or 'lost'}")
        print(f"  {end.how}: {end.value if end.error is None else repr(end.error)}")
        return end

    errand.play = shown  # type: ignore[assignment]
    print(simulate(plan))


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--errands", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=multiprocessing.cpu_count())
    parser.add_argument("--in-batches", type=int, default=100_000, help="errands in batches")
    parser.add_argument("--only", type=int, metavar="SEED")
    asked = parser.parse_args()
    if asked.only is not None:
        show(asked.only)
        return 0
    bad = run_batches(asked.in_batches, asked.seed, asked.workers) if asked.in_batches else 0
    return min(1, bad + (run(asked.errands, asked.seed, asked.workers) if asked.errands else 0))


if __name__ == "__main__":
    sys.exit(main())
