"""One errand by its plan: the calls of a caller, one after the other, until the file is there or cannot come.

It is a generator that yields calls and is sent their ends, so that any driver can perform them. Every call is checked
against the invariants. The last call meets no more faults, so it must succeed if it can.
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
from simulation.world import Call, End, FaultyDisk, play
from support.disk import Memory, MemoryDisk

TARGET = Path("/papers/paper.pdf")
REQUEST = RetrieveRequest("10.5555/12345678")
KEY = "key-1"
ATTEMPTS = 3
AMPLE_TIMEOUT = 3000.0  # seconds
READ_CAP = 1 << 20  # bytes

Reader = Callable[[Path], bytes | None]


@define
class ErrandResult:
    """How each call of an errand ended, and whether the caller has the file."""

    endings: list[str]
    succeeded: bool


def sign(request: Request, refused: object) -> Request:
    """Add a caller's secrets."""
    return request.with_headers({"authorization": "Bearer s3cret", "cookie": "c=1", "x-caller": "me"})


def service_of(plan: Plan) -> Service[Any, Any]:
    """Make the service that a client of this plan would use."""
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
    return Service(RetrieveContract(replays_keys=plan.replays_keys), plan.base, rules, signer=sign)


def errand(plan: Plan, wire: Wire, read: Reader, target: Path = TARGET) -> Generator[Call, End, ErrandResult]:
    """Yield the calls of an errand and check the invariants after each; return how it went."""
    service, breaks, endings = service_of(plan), list(plan.breaks), list[str]()
    job: JobMemory[Any] | None = None
    verb, timeout, again = plan.verb, plan.timeout, False
    ticket: str | None = None

    def call(name: str) -> Call:
        errand = Errand(service, job if name in VERBS else None, timeout=timeout)
        wire.model.call += 1
        flow = VERBS[name](errand, target) if name in VERBS else _submission(name, errand, target, plan.hold, again)
        return Call(flow, errand, breaks.pop(0) if breaks else None)

    for attempt in range(ATTEMPTS):
        if attempt == ATTEMPTS - 1:
            wire.stop_faults()
            breaks, timeout = [None, None], AMPLE_TIMEOUT
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
            return ErrandResult(endings, True)
        if isinstance(end.error, JobFailed):
            return ErrandResult(endings, False)
        ticket = (None if end.error is None else end.error.ticket) or end.ticket or ticket
        if ticket is not None:
            job = JobMemory(service.record_of(ticket))
        else:
            job, again = None, True
            if wire.model.jobs and plan.keys != "replay":
                return ErrandResult(endings, False)  # a second submission of this key is the caller's own risk
    if _must_succeed(plan, wire):
        raise Violation(f"the last call met no fault, and yet it ended as {endings[-1]}")
    return ErrandResult(endings, False)


def _download(errand: Errand[Any, Any], target: Path) -> Any:
    _, (fetched,) = yield from flows.download(errand, Target(target))
    return fetched


VERBS: dict[str, Callable[[Errand[Any, Any], Path], Any]] = {
    "download": _download,
    "read": lambda errand, _: flows.read(errand, READ_CAP),
}


def _submission(name: str, errand: Errand[Any, Any], target: Path, hold: int, again: bool) -> Any:
    if name == "start":
        return flows.start(errand, REQUEST, KEY, again=again)
    return flows.run(errand, REQUEST, KEY, Target(target) if name == "run" else None, hold=hold, again=again)


def _must_succeed(plan: Plan, wire: Wire) -> bool:
    """Tell whether a call without faults and with ample time must succeed."""
    jobs = list(wire.model.jobs.values())
    if plan.end != "completed":
        return False
    if any(job.lost or job.cancelled for job in jobs) or (plan.keys != "replay" and len(jobs) != 1):
        return False
    if plan.file_at == "plain cdn" and plan.base.startswith("https:"):
        return False
    return plan.verify != "require" or plan.digest or plan.size or plan.length


def simulate(plan: Plan) -> ErrandResult:
    """Play an errand in memory; a `Violation` says what should not have happened."""
    wire, memory = Wire(plan), Memory()
    if plan.before is not None:
        memory.files[TARGET] = plan.before
    calls = errand(plan, wire, memory.read)
    end: End | None = None
    while True:
        try:
            call = calls.send(end)
        except StopIteration as stop:
            return stop.value
        end = play(call, wire, FaultyDisk(MemoryDisk(memory), wire))
