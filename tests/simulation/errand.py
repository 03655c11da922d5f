"""One errand by its plan: the calls a caller makes, one after the other, until the file is there or hope is gone.

It is a generator that yields calls and is sent their ends, so that any driver can perform them. After every call the
invariants are held against what happened; in the end nothing more befalls, and what can succeed must.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from attrs import define
from tenacity.stop import stop_after_attempt, stop_after_delay

from gofer.contracts.retrieve import RetrieveContract
from gofer.core import flows
from gofer.core.errand import Errand
from gofer.core.policies import Retry, Rules, wait_full_jitter, wait_retry_after, wait_share
from gofer.core.record import JobMemory
from gofer.core.service import Service
from gofer.core.target import Target
from gofer.errors import JobFailed
from gofer.models import RetrieveRequest
from gofer.wire import Request
from simulation.invariants import Violation, check
from simulation.plan import Plan
from simulation.wire import Wire
from simulation.world import Call, End, Faulty, play
from support.disk import Memory, MemoryDisk

TARGET = Path("/papers/paper.pdf")
ORDER = RetrieveRequest("10.5555/12345678")
KEY = "key-1"
GOES = 3
AMPLE = 3000.0
ROOM = 1 << 20

Reader = Callable[[Path], bytes | None]


@define
class Tally:
    """What became of an errand: how each of its calls ended, and whether it was fulfilled."""

    endings: list[str]
    fulfilled: bool


def sign(request: Request) -> Request:
    """Add a caller's secrets."""
    return request.with_headers({"authorization": "Bearer s3cret", "cookie": "c=1", "x-caller": "me"})


def service_of(plan: Plan) -> Service[Any, Any]:
    """Make the service as a client of this plan knows it."""
    rng = random.Random(plan.seed)
    wait = wait_retry_after(wait_full_jitter(rng))
    rules = Rules(
        Retry(wait, stop_after_attempt(4)),
        Retry(wait, stop_after_delay(300)),
        wait_share(rng),
        hold=plan.hold,
        on_abandon=plan.on_abandon,  # type: ignore[arg-type]
        verify=plan.verify,  # type: ignore[arg-type]
    )
    return Service(RetrieveContract(replays_keys=plan.asked), plan.base, rules, signer=sign)  # type: ignore[arg-type]


def errand(plan: Plan, wire: Wire, read: Reader, target: Path = TARGET) -> Generator[Call, End, Tally]:
    """Yield the calls of an errand and hold the invariants; return what became of it."""
    service, breaks, endings = service_of(plan), list(plan.breaks), list[str]()
    job: JobMemory[Any] | None = None
    verb, timeout, again = plan.verb, plan.timeout, False
    ticket: str | None = None

    def call(name: str) -> Call:
        errand = Errand(service, job if name in VERBS else None, timeout=timeout)
        wire.model.call += 1
        flow = VERBS[name](errand, target) if name in VERBS else _submission(name, errand, target, plan.hold, again)
        return Call(flow, errand, breaks.pop(0) if breaks else None)

    for go in range(GOES):
        if go == GOES - 1:
            wire.becalm()
            breaks, timeout = [None, None], AMPLE
        names = [verb] if verb in ("run", "document") else ["start", "download" if verb == "handle" else "read"]
        if job is not None and job.record.ref is not None:
            names = ["read" if verb == "read" else "download"]
        for name in names:
            made = call(name)
            before = read(target)
            end = yield made
            check(plan, wire, name, made, end, before, read(target))
            endings.append(end.how if end.error is None else type(end.error).__name__)
            job = made.errand.memory if end.how == "ended" else None
            if end.error is not None or end.how != "ended":
                break
        else:
            return Tally(endings, True)
        if isinstance(end.error, JobFailed):
            return Tally(endings, False)
        ticket = (None if end.error is None else end.error.ticket) or end.told or ticket
        if ticket is not None:
            job = JobMemory(service.record_of(ticket))
        else:
            job, again = None, True
            if wire.model.jobs and plan.keys != "replay":
                return Tally(endings, False)  # a second submission of this key is the caller's own risk
    if _possible(plan, wire):
        raise Violation(f"nothing befell the last call, and yet it ended as {endings[-1]}")
    return Tally(endings, False)


def _download(errand: Errand[Any, Any], target: Path) -> Any:
    _, (fetched,) = yield from flows.download(errand, Target(target))
    return fetched


VERBS: dict[str, Callable[[Errand[Any, Any], Path], Any]] = {
    "download": _download,
    "read": lambda errand, _: flows.read(errand, ROOM),
}


def _submission(name: str, errand: Errand[Any, Any], target: Path, hold: int, again: bool) -> Any:
    if name == "start":
        return flows.start(errand, ORDER, KEY, again=again)
    return flows.run(errand, ORDER, KEY, Target(target) if name == "run" else None, hold=hold, again=again)


def _possible(plan: Plan, wire: Wire) -> bool:
    """Tell whether an undisturbed call with ample time must bring the file."""
    jobs = list(wire.model.jobs.values())
    if plan.end != "completed":
        return False
    if any(job.lost or job.cancelled for job in jobs) or (plan.keys != "replay" and len(jobs) != 1):
        return False
    if plan.file_at == "plain cdn" and plan.base.startswith("https:"):
        return False
    return plan.verify != "require" or plan.digest or plan.size or plan.length


def simulate(plan: Plan) -> Tally:
    """Play an errand in memory; a `Violation` says what should not have happened."""
    wire, memory = Wire(plan), Memory()
    if plan.before is not None:
        memory.files[TARGET] = plan.before
    acts = errand(plan, wire, memory.read)
    end: End | None = None
    while True:
        try:
            call = acts.send(end)
        except StopIteration as stop:
            return stop.value
        end = play(call, wire, Faulty(MemoryDisk(memory), wire))
