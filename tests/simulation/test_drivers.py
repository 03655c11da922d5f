"""The three real drivers perform the same commands as the world without I/O, with part files on a real disk.

The loops' clocks stand still, since only the wire's clock counts.
"""

import asyncio
import contextlib
import shutil
from functools import partial

import anyio
import pytest
import trio.testing
from attrs import evolve

from gofer.core.commands import Open, Send, Sleep, Tell
from gofer.core.run import Run
from gofer.errors import GoferError
from gofer.events import Submitted
from gofer.transports.adrive import adrive
from gofer.transports.disk import LocalDisk
from gofer.transports.drive import drive
from simulation.errand import errand
from simulation.plan import FILE, Break, Fault, Plan, plan_of
from simulation.wire import AwaitedWire, Left, Wire
from simulation.world import End, FaultyDisk, play
from support.disk import Memory, MemoryDisk
from support.matrices import EVERY_CASE

PLANS = [
    *(plan_of(seed) for seed in range(150 if EVERY_CASE else 20)),
    *(Plan(states=(), file=(Fault("cut", at=3000), fault)) for fault in FILE),
    *(Plan(states=(), file=(fault,), timeout=15.0, verb="handle") for fault in FILE),
    *(Plan(end="never", timeout=15.0, breaks=(Break("leave", at, begun),)) for at in range(9) for begun in (0, 1)),
]


class StillLoop(asyncio.SelectorEventLoop):
    """An asyncio loop in which no time passes."""

    def time(self):
        """Stand still."""
        return 0.0


LOOPS = {
    "asyncio": {"loop_factory": StillLoop},
    "trio": {"clock": trio.testing.MockClock()},
}


class KillableLocalDisk(LocalDisk):
    """The disk of a process that may be killed; the system closes its files."""

    def kill(self):
        """Close the files and no more."""
        self._release()


class Recording(Run):
    """A run that keeps its steps, and makes the caller leave where the plan says so."""

    def __init__(self, call, wire):
        super().__init__(call.flow, call.errand)
        self.call, self.wire, self.end = call, wire, End(started=wire.mono)

    def _step(self, value, **how):
        try:
            step = super()._step(value, **how)
        except GoferError as error:
            self.end.error = error
            raise
        if self.over:
            self.end.value = step.value
            return step
        broken, end = self.call.broken, self.end
        if isinstance(step, Tell) and isinstance(step.event, Submitted):
            end.ticket = step.event.ticket
        if broken is not None and broken.at == len(end.commands):
            end.how, end.no_faults_left, self.wire.leaving = "left", self.wire.no_faults_left, broken
        end.commands.append(step)
        self.wire.note_deadline(step)
        return step


def on_disk(target):
    """Read what is at the target."""
    return target.read_bytes() if target.exists() else None


def steps(plan, target, perform, read=on_disk):
    """Play a plan with one driver; return every call's commands and end."""
    shutil.rmtree(target.parent, ignore_errors=True)
    wire = Wire(plan)
    if plan.before is not None:
        target.parent.mkdir()
        target.write_bytes(plan.before)
    calls, end, seen = errand(plan, wire, read, target), None, []
    while True:
        try:
            call = calls.send(end)
        except StopIteration:
            return seen
        end = perform(call, wire)
        end.ended = wire.mono
        assert not wire.unclosed, "the driver left a body open"
        seen.append((end.commands, repr(end.error), end.value, end.how, end.ended))


def pure(call, wire):
    """Perform a call in the world without I/O, on the same disk."""
    return play(call, wire, FaultyDisk(KillableLocalDisk(), wire))


def blocking(call, wire):
    """Perform a call with the blocking driver."""
    run = Recording(call, wire)
    with contextlib.suppress(GoferError, Left):
        drive(run, wire, FaultyDisk(KillableLocalDisk(), wire), lambda event: None)
    return run.end


def awaited(backend, call, wire):
    """Perform a call with the awaited driver, on one of the loops."""
    run = Recording(call, wire)

    async def main():
        with anyio.CancelScope() as scope, contextlib.suppress(GoferError):
            await adrive(run, AwaitedWire(wire, scope), FaultyDisk(KillableLocalDisk(), wire), lambda event: None)

    anyio.run(main, backend=backend, backend_options=LOOPS[backend])
    return run.end


DRIVERS = {
    "blocking": blocking,
    "asyncio": partial(awaited, "asyncio"),
    "trio": partial(awaited, "trio"),
}


def comparable(plan):
    """Change a plan to one that all drivers can perform alike: they gather writes differently, and none is killed."""
    file = plan.file
    if any(fault.kind == "disk full" for fault in file):  # who gathers more finds it later, so no time goes by between
        file = tuple(
            evolve(fault, at=0, seconds=0.0) if fault.kind in ("disk full", "drip") else fault for fault in file
        )
    return evolve(plan, breaks=tuple(broken for broken in plan.breaks if broken.how == "leave"), file=file)


def with_breaks_at_io(plan, target):
    """Move every break to a command during which a driver can be interrupted; return the new plan and its calls."""
    while True:
        seen = steps(plan, target, pure)
        for number, (commands, _, _, how, _) in enumerate(seen):
            if how == "left" and not isinstance(commands[plan.breaks[number].at], Send | Open | Sleep):
                later = evolve(plan.breaks[number], at=plan.breaks[number].at + 1)
                plan = evolve(plan, breaks=(*plan.breaks[:number], later, *plan.breaks[number + 1 :]))
                break
        else:
            return plan, seen


@pytest.mark.parametrize("driver", DRIVERS)
def test_every_driver_performs_the_same_commands(driver, tmp_path):
    """A driver performs the commands of the world without I/O, and ends alike at the same virtual time."""
    target = tmp_path / "papers" / "paper.pdf"
    for drawn in PLANS:
        plan, expected = with_breaks_at_io(comparable(drawn), target)
        assert steps(plan, target, DRIVERS[driver]) == expected, plan


def test_part_files_on_disk_and_in_memory_are_resumed_alike(tmp_path):
    """Errands that are killed and resumed perform the same commands on a real disk as in memory."""
    target = tmp_path / "papers" / "paper.pdf"
    for plan in PLANS:
        memory = Memory()
        if plan.before is not None:
            memory.files[target] = plan.before

        def in_memory(call, wire, memory=memory):
            return play(call, wire, FaultyDisk(MemoryDisk(memory), wire))

        assert steps(plan, target, pure) == steps(plan, target, in_memory, memory.read), plan
