"""The slots of one client: counts, queues, and what is kept free for whom."""

import random
from pathlib import Path

import pytest

from gofer.contracts.base import Ref
from gofer.core import flows, verbs
from gofer.core.commands import Answered, AwaitTurn, Done, Now, Open, Send, Sleep, Store
from gofer.core.errand import Errand
from gofer.core.record import JobMemory, JobRecord
from gofer.core.run import Run
from gofer.core.slots import Slots, Use
from gofer.core.target import Target
from gofer.transports import Head, Reply, Request
from support.files import PAPER, Files, cut_after
from support.linear import is_linear
from support.world import BASE, World

POLLS, OTHERS = (Use.HELD, Use.POLL), (Use.OTHER,)


def taken(slots, use):
    """Take slots until there is none; return how many there were."""
    count = 0
    while slots.take(use):
        count += 1
    return count


@pytest.mark.parametrize("total", [1, 2, 3, 4, 10, 20, 100])
def test_polls_leave_room_for_everything_else(total):
    """Held requests take at most half, polls leave a tenth, and one slot is for farewells (of more than three)."""
    last = 1 if total > 3 else 0
    slots = Slots(total)
    held = taken(slots, Use.HELD)
    assert held == min(total // 2, total - last - total // 10)
    assert held + taken(slots, Use.POLL) == total - last - total // 10 >= 1
    assert taken(slots, Use.OTHER) == total // 10
    assert taken(slots, Use.FAREWELL) == last


def test_whoever_came_first_is_served_first():
    """Slots that are given back go to the queue in its order, and nobody overtakes it."""
    slots = Slots(4)
    taken(slots, Use.OTHER)
    turns = [slots.queue(Use.OTHER) for _ in range(3)]
    assert [turn.granted for turn in turns] == [False, False, False]
    slots.give_back(Use.OTHER)
    assert [turn.granted for turn in turns] == [True, False, False]
    assert not slots.take(Use.OTHER)
    slots.give_back(Use.OTHER)
    assert [turn.granted for turn in turns] == [True, True, False]


def test_a_poll_in_the_queue_does_not_hold_up_a_submission():
    """What is kept free of polls stays free for others, also while polls wait."""
    slots = Slots(20)
    taken(slots, Use.POLL)
    poll = slots.queue(Use.POLL)
    assert slots.take(Use.OTHER)
    assert not poll.granted


def test_leaving_the_queue_frees_what_was_granted_meanwhile():
    """A turn that is given up after it was granted passes its slot on."""
    slots = Slots(4)
    taken(slots, Use.OTHER)
    first, second = slots.queue(Use.OTHER), slots.queue(Use.OTHER)
    slots.give_back(Use.OTHER)
    assert first.granted
    slots.give_up(first)
    assert second.granted
    third = slots.queue(Use.OTHER)
    slots.give_up(third)
    slots.give_back(Use.OTHER)
    assert not third.granted
    assert slots.take(Use.OTHER)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_turn_wakes_whoever_waits(when):
    """The function is called whether the slot is granted before or after it was named."""
    slots, calls = Slots(1), []
    assert slots.take(Use.OTHER)
    turn = slots.queue(Use.OTHER)
    if when == "before":
        slots.give_back(Use.OTHER)
    turn.when_granted(lambda: calls.append(turn.granted))
    if when == "after":
        slots.give_back(Use.OTHER)
    assert calls == [True]


def test_a_fork_begins_with_every_place():
    """reset() forgets the parent's requests, and a reply of the parent's that is closed later does no harm."""
    slots = Slots(4)
    taken(slots, Use.OTHER)
    slots.queue(Use.OTHER)
    slots.reset()
    slots.give_back(Use.OTHER)
    assert taken(slots, Use.OTHER) == 3


def test_a_run_that_is_closed_has_no_place():
    """A flow that ends between a reply's head and its body gives its slot back when the driver closes the run."""
    slots = Slots(1)
    errand = Errand(World(None).service(slots=slots))

    def flow():
        yield from verbs.open_body(errand, Request("GET", f"{BASE}/file"))
        yield from verbs.sleep(errand, 1.0)

    run = Run(flow(), errand)
    run.start(Now(0.0, 0.0))
    assert isinstance(run.advance(Answered(Now(0.0, 0.0), Head(BASE, 200))), Sleep)
    assert not slots.take(Use.OTHER)
    run.close()
    assert slots.take(Use.OTHER)


def test_a_slot_that_was_waited_for_is_given_back_too():
    """The errand has it from when it is granted until its reply is there."""
    slots = Slots(1)
    assert slots.take(Use.OTHER)
    errand = Errand(World(None).service(slots=slots))
    run = Run(verbs.send(errand, Request("GET", f"{BASE}/jobs/1"), 5.0), errand)
    now = Now(0.0, 0.0)
    assert isinstance(run.start(now), AwaitTurn)
    slots.give_back(Use.OTHER)
    assert isinstance(run.advance(Answered(now, True)), Send)
    assert not slots.take(Use.OTHER)
    assert isinstance(run.advance(Answered(now, Reply(BASE, 200))), Done)
    assert slots.take(Use.OTHER)


def test_an_errand_has_no_slot_between_its_requests():
    """Neither while it pauses, nor while the disk is at work; by default there are 100."""
    slots, counts = Slots(), set()
    world = World(Files(PAPER, cut_after(Files, 100)))
    perform = world.perform

    def watched(command):
        if not isinstance(command, Send | Open | Store):
            counts.add(slots._taken)
        return perform(command)

    world.perform = watched
    errand = Errand(world.service(slots=slots), JobMemory(JobRecord(Ref("j1"), accepted=True)))
    world.play(flows.download(errand, Target(Path("/paper.pdf"))), errand)
    assert counts == {0}
    assert slots.total == 100


@pytest.mark.parametrize("seed", range(20))
def test_no_order_of_events_loses_a_place(seed):
    """After any sequence of taking, queueing, giving back and giving up, every slot is there again."""
    rng = random.Random(seed)
    slots = Slots(rng.choice([1, 4, 10, 33]))
    held, turns = [], []
    for _ in range(500):
        use = rng.choice(list(Use))
        match rng.randrange(4):
            case 0 if slots.take(use):
                held.append(use)
            case 1 if use is not Use.HELD:
                turns.append(slots.queue(use))
            case 2 if held:
                slots.give_back(held.pop(rng.randrange(len(held))))
            case 3 if turns:
                turn = turns.pop(rng.randrange(len(turns)))
                if turn.granted and rng.random() < 0.5:
                    held.append(turn.use)
                else:
                    slots.give_up(turn)
        assert slots._taken <= slots.total
        assert slots._held <= slots.total // 2
    for turn in turns:
        slots.give_up(turn)
    for use in held:
        slots.give_back(use)
    assert (slots._taken, slots._held, any(slots._queues.values())) == (0, 0, False)


def test_a_slot_may_be_given_back_within_another_count():
    """Python may collect a flow that nobody closed while the same thread counts: this ends, with the right counts."""
    slots = Slots(4)
    assert slots.take(Use.OTHER)
    with slots._lock:
        slots.give_back(Use.OTHER)
    assert [slots.take(Use.FAREWELL) for _ in range(5)] == [True] * 4 + [False]


def test_who_came_first_is_next_among_all_that_may_go_on():
    """Requests of several uses that may go on are granted in the order in which they came."""
    slots = Slots(4)
    for _ in range(4):
        assert slots.take(Use.FAREWELL)
    turns = [slots.queue(use) for use in (Use.OTHER, Use.POLL, Use.OTHER, Use.POLL)]
    for _ in range(3):
        slots.give_back(Use.FAREWELL)
    assert [turn.granted for turn in turns] == [True, True, False, False]


def test_many_wait_without_slowing_each_other():
    """What a step costs does not depend on how many wait: eight times as many take about eight times as long."""

    def work(text):
        slots = Slots(4)
        assert all(slots.take(Use.OTHER) for _ in range(3))
        turns = [slots.queue(Use.OTHER) for _ in text.split()]
        for _ in turns:
            slots.give_back(Use.OTHER)
        assert all(turn.granted for turn in turns)

    assert is_linear(work, f"{'x' * 127} ")
