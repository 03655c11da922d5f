"""Batches against a model of a service, in virtual time: many errands, faults, storms, restarts, and kills.

A plan comes from a seed. The process is killed at random commands; the journal and the disk stay, and the next process
goes on. What must hold is checked while it runs and at the end; a `Violation` names the rule that was broken.
"""

from __future__ import annotations

import heapq
import itertools
import json
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from attrs import define, evolve, field, frozen
from tenacity.wait import wait_fixed

from gofer import setup
from gofer.batches import BatchOptions, Book
from gofer.contracts.retrieve import RetrieveContract
from gofer.core.batch import BatchRun, Consult, Finish, Load, Retract, Step
from gofer.core.commands import (
    Answered,
    Body,
    Drop,
    Failed,
    Note,
    Now,
    Open,
    Read,
    Send,
    Store,
    Stored,
    Tell,
)
from gofer.core.journal import Accepted, Fate, Sending
from gofer.core.schedule import Task
from gofer.errors import AnswerLost, GoferError, JobFailed, Unreachable
from gofer.options import ClientOptions
from gofer.transports.drive_many import facts_of
from gofer.wire import Head, Reply, Request
from simulation.invariants import Violation
from support.disk import Memory, MemoryDisk

BASE = "http://many.test"
EPOCH = 1_767_225_600.0
LATENCY = 0.02
ENOUGH = 200_000


@frozen
class ManyPlan:
    """What happens to one batch."""

    seed: int = 0
    errands: int = 12
    jobs: int = 4
    downloads: int = 2
    per_second: float | None = None
    replays: bool = True
    feed: bool = True
    held: bool = True
    slow: tuple[float, float] = (0.5, 20.0)
    failing: float = 0.1
    lost: float = 0.0
    unreachable: float = 0.0
    broken: float = 0.0
    storms: tuple[tuple[float, float], ...] = ()
    restarts: tuple[float, ...] = ()
    deaf: tuple[tuple[float, float], ...] = ()
    kills: tuple[int, ...] = ()
    again: bool = False


def many_plan(seed: int) -> ManyPlan:
    """Make the plan of a seed."""
    rng = random.Random(seed)
    bad = rng.choice([0.0, 0.0, 0.02, 0.1, 0.3])
    spans = lambda most: tuple((at, at + rng.uniform(1, 30)) for at in (rng.uniform(0, 60) for _ in range(most)))  # noqa: E731
    return ManyPlan(
        seed=seed,
        errands=rng.choice([1, 2, 5, 12, 12, 30, 60]),
        jobs=rng.choice([1, 2, 4, 8, 20]),
        downloads=rng.choice([1, 2, 8]),
        per_second=rng.choice([None, None, None, 2.0, 10.0]),
        replays=rng.random() < 0.7,
        feed=rng.random() < 0.6,
        held=rng.random() < 0.7,
        slow=rng.choice([(0.0, 0.2), (0.5, 20.0), (5.0, 200.0)]),
        failing=rng.choice([0.0, 0.1, 0.5]),
        lost=bad * rng.random(),
        unreachable=bad * rng.random(),
        broken=bad * rng.random(),
        storms=spans(rng.choice([0, 0, 1, 2])),
        restarts=tuple(rng.uniform(0, 60) for _ in range(rng.choice([0, 0, 1, 3]))),
        deaf=spans(rng.choice([0, 0, 1])),
        kills=tuple(rng.randrange(1, 400) for _ in range(rng.choice([0, 0, 1, 3, 6]))),
        again=rng.random() < 0.3,
    )


@define
class ManyJob:
    """A job of the model."""

    id: str
    doi: str
    began: float
    seconds: float
    fails: bool
    told: bool = False


def content(job_id: str) -> bytes:
    """Return the file of a job."""
    return b"%PDF-1.7 " + job_id.encode() * 300


class ManyService:
    """The service: it answers by the clock, and notes what a client may not do."""

    def __init__(self, plan: ManyPlan) -> None:
        self.plan, self.rng = plan, random.Random(plan.seed + 1)
        self.jobs = dict[str, ManyJob]()
        self.keys = dict[str, str]()
        self.changes = list[tuple[float, str]]()
        self.cursors = list[set[str]]()  # what each cursor has told
        self.posts = Counter[str]()
        self.polls = Counter[str]()
        self.most = 0

    def ended(self, job: ManyJob, at: float) -> bool:
        """Whether a job has ended."""
        return at >= job.began + job.seconds

    def unfinished(self, at: float) -> int:
        """How many jobs have not ended."""
        return sum(not self.ended(job, at) for job in self.jobs.values())

    def answer(self, request: Request, at: float) -> tuple[Head, bytes, float]:
        """Answer a request that arrives now; the last member is how long that takes."""
        parts = urlsplit(request.url)
        if any(first <= at < last for first, last in self.plan.storms) and parts.path != "/health":
            return *self._json(request, 429, {"detail": "busy"}, retry_after="3"), 0.0
        held = re.search(r"wait=(\d+)", request.headers.get("prefer", "")) if self.plan.held else None
        hold = 0.0 if held is None else float(held[1])
        if parts.path == "/health":
            capabilities = ["idempotency-key"] if self.plan.replays else []
            return *self._json(request, 200, {"status": "healthy", "capabilities": capabilities}), 0.0
        if request.method == "POST":
            return self._post(request, at, hold)
        if parts.path == "/jobs/changes":
            return self._changes(request, parse_qs(parts.query), at, hold)
        found = re.fullmatch(r"/jobs/([^/]+)(/file)?", parts.path)
        job = self.jobs.get(found[1]) if found else None
        if found is None or job is None:
            return *self._json(request, 404, {"detail": "no such job"}), 0.0
        if found[2]:
            if not self.ended(job, at) or job.fails:
                return *self._json(request, 409, {"detail": "not yet"}), 0.0
            body = content(job.id)
            return (
                Head(request.url, 200, {"content-length": str(len(body)), "content-type": "application/pdf"}),
                body,
                0.0,
            )
        self.polls[job.id] += 1
        left = max(0.0, job.began + job.seconds - at)
        wait = min(left, hold)
        applied = {"preference_applied": "wait"} if hold else {}
        return *self._json(request, 200, self._document(job, at + wait), **applied), wait

    def _post(self, request: Request, at: float, hold: float) -> tuple[Head, bytes, float]:
        key, doi = request.headers["idempotency-key"], json.loads(request.body)["doi"]
        self.posts[doi] += 1
        job_id = self.keys.get(key) if self.plan.replays else None
        if job_id is None:
            job_id = f"j{len(self.jobs) + 1}"
            rng = random.Random(f"{self.plan.seed} {doi} {self.posts[doi]}")
            job = ManyJob(job_id, doi, at, rng.uniform(*self.plan.slow), rng.random() < self.plan.failing)
            self.jobs[job_id], self.keys[key] = job, job_id
            self.changes.append((at + job.seconds, job_id))
            self.most = max(self.most, self.unfinished(at))
        job = self.jobs[job_id]
        wait = min(max(0.0, job.began + job.seconds - at), hold)
        return *self._json(request, 202, self._document(job, at + wait)), wait

    def _changes(self, request: Request, query: Any, at: float, hold: float) -> tuple[Head, bytes, float]:
        deaf = any(first <= at < last for first, last in self.plan.deaf)
        if not self.plan.feed:
            return *self._json(request, 404, {"detail": "no such job"}), 0.0
        if deaf:
            return *self._json(request, 503, {"detail": "restarting"}), 0.0
        if "since" not in query:
            self.cursors.append({job for when, job in self.changes if when <= at})
            return *self._json(request, 200, {"changes": [], "next": str(len(self.cursors) - 1)}), 0.0
        known = self.cursors[int(query["since"][0])]
        due = [when for when, job in self.changes if job not in known]
        # Jobs that are made while the request is held are not foreseen, so it is held for a short time.
        wait = 0.0 if any(when <= at for when in due) else min([hold, 0.5, *(when - at for when in due)])
        new = [job for when, job in self.changes if job not in known and when <= at + wait]
        self.cursors.append(known | set(new))
        told = [self._document(self.jobs[job], at + wait) for job in new]
        document = {"changes": told, "next": str(len(self.cursors) - 1)}
        return *self._json(request, 200, document, preference_applied="wait"), wait

    def _document(self, job: ManyJob, at: float) -> dict[str, Any]:
        status = ("failed" if job.fails else "completed") if self.ended(job, at) else "searching"
        more = {"file_size": len(content(job.id)), "file_format": "pdf"} if status == "completed" else {}
        return {"job_id": job.id, "status": status, "doi": job.doi, **more}

    def _json(self, request: Request, status: int, document: object, **headers: str) -> tuple[Head, bytes]:
        body = json.dumps(document).encode()
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return Head(request.url, status, {"content-type": "application/json", **names}), body


@define(order=False)
class Flight:
    """A command under way: what comes of it, and when."""

    step: Step
    answer: Any = None
    error: GoferError | None = None


@define
class Ending:
    """What came of a batch."""

    counts: dict[str, int] = field(factory=dict)
    processes: int = 0
    commands: int = 0
    ended: float = 0.0
    requests: int = 0
    polls: int = 0


class Process:
    """One process that runs the batch, until it is over or killed."""

    def __init__(self, world: World, kill: int | None) -> None:
        self.world, self.kill = world, kill
        self.flights: list[tuple[float, int, Flight]] = []
        self.bunch = list[Step]()
        self.writing = False
        self.disks = dict[int, MemoryDisk]()
        self.bodies = dict[int, tuple[bytes, bool]]()
        self.downloading = set[int]()

    def run(self) -> bool:
        """Run; return whether the batch is over."""
        world = self.world
        batch: BatchRun[Any, Any] = world.book.run(lambda: None, heard=False)
        while not batch.over:
            while (step := batch.next(world.now())) is not None:
                world.ending.commands += 1
                if self.kill is not None and world.ending.commands >= self.kill:
                    ready = [Task(seat, seat.step) for seat in batch._schedule.seats if seat.step is not None]
                    return self._killed(batch, [step, *ready])
                self._begin(batch, step)
            if self.bunch and not self.writing:
                bunch, self.bunch, self.writing = self.bunch, [], True
                self._fly(0.005, Flight(bunch))  # type: ignore[arg-type]
            if batch.over:
                break
            due = batch.due()
            at = min([flight[0] for flight in self.flights[:1]] + ([] if due is None else [due]), default=None)
            if at is None:
                raise Violation("nothing is under way, nothing is due, and the batch is not over")
            world.mono = max(world.mono, at)
            while self.flights and self.flights[0][0] <= world.mono:
                self._land(batch, heapq.heappop(self.flights)[2])
        if batch.reason is not None:
            world.stopped += 1
        return True

    def _killed(self, batch: BatchRun[Any, Any], begun: list[Step]) -> bool:
        """Lose everything but the journal and the disk; what was under way may have happened."""
        world, under_way = self.world, [*begun, *self.bunch]
        for _, _, flight in self.flights:
            if isinstance(flight.step, list) and world.rng.random() < 0.5:
                self._write(flight.step)  # the commit was on the disk, and nobody heard of it
            under_way += flight.step if isinstance(flight.step, list) else [flight.step]
        world.killed_posts += sum(map(_submits, under_way))
        batch.abandon()  # here, and not whenever Python collects what is left of them
        world.book.service.slots.reset()  # the next process has its own
        return False

    def _fly(self, seconds: float, flight: Flight) -> None:
        heapq.heappush(self.flights, (self.world.mono + seconds, next(self.world.order), flight))

    def _begin(self, batch: BatchRun[Any, Any], step: Step) -> None:
        world = self.world
        match step:
            case Task(command=Note()) | Load() | Finish() | Retract():
                self.bunch.append(step)
            case Consult():
                pause = 5.0 if isinstance(step.error, JobFailed) and step.seat.entry.attempt < 3 else None
                self.bunch.append(batch.decided(step, pause, world.now()))
            case Task(command=Send() | Open() as command):
                self._send(step, command)
            case Task(command=Tell()):
                batch.advance(step, Answered(world.now(), None))
            case Task():
                self._fly(0.001, Flight(step))

    def _send(self, task: Task, command: Send | Open) -> None:
        world, plan = self.world, self.world.plan
        request, number = command.request, task.seat.entry.number
        world.sent(request)
        fate = world.rng.random()
        down = any(at <= world.mono - world.began < at + 1.0 for at in plan.restarts)
        if down or fate < plan.unreachable:
            self._fly(LATENCY, Flight(task, error=Unreachable("refused")))
            return
        head, body, wait = world.service.answer(request, world.mono - world.began)
        if isinstance(command, Open):
            self.downloading.add(number)
            if len(self.downloading) > plan.downloads:
                raise Violation(f"{len(self.downloading)} downloads at once, and {plan.downloads} are allowed")
        if fate < plan.unreachable + plan.lost or LATENCY + wait > command.timeout:
            self.downloading.discard(number)
            self._fly(min(LATENCY + wait, command.timeout), Flight(task, error=AnswerLost("cut")))
            return
        broken = world.rng.random() < plan.broken
        self.bodies[number] = body, broken
        answer = head if isinstance(command, Open) else Reply(head.url, head.status, head.headers, body)
        self._fly(LATENCY + wait, Flight(task, answer))

    def _land(self, batch: BatchRun[Any, Any], flight: Flight) -> None:
        world, step = self.world, flight.step
        if isinstance(step, list):
            self._written(batch, step)
            return
        assert isinstance(step, Task)
        try:
            answer = flight.answer if flight.error is None else self._raise(flight.error)
            if not isinstance(step.command, Send | Open):
                answer = self._perform(step)
        except GoferError as error:
            batch.advance(step, Failed(world.now(), error))
        else:
            batch.advance(step, Answered(world.now(), answer))

    def _raise(self, error: GoferError) -> None:
        raise error

    def _perform(self, task: Task) -> Any:
        number, command = task.seat.entry.number, task.command
        disk = self.disks.setdefault(number, MemoryDisk(self.world.memory))
        if isinstance(command, Store | Read | Drop):
            self.downloading.discard(number)
        match command:
            case Store():
                body, broken = self.bodies[number]
                writer = disk.writer(command)
                half = len(body) // 2
                writer.write([body[:half]])
                if broken:
                    raise AnswerLost("broken")
                writer.write([body[half:]])
                found: Stored = writer.stored()
                return found
            case Read():
                return Body(self.bodies[number][0][: command.cap])
            case Drop():
                return None
            case _:
                return disk.perform(command)  # type: ignore[arg-type]

    def _write(self, bunch: list[Step]) -> dict[int, list[Any]]:
        journal, loaded = self.world.book.journal, dict[int, list[Any]]()
        journal.write(facts_of(bunch))
        for at, step in enumerate(bunch):
            if isinstance(step, Load):
                entries = journal.load(step.count, step.numbers)
                loaded[at] = [one if one.key else evolve(one, key=self.world.new_key()) for one in entries]
        return loaded

    def _written(self, batch: BatchRun[Any, Any], bunch: list[Step]) -> None:
        world, self.writing = self.world, False
        loaded = self._write(bunch)
        for at, step in enumerate(bunch):
            match step:
                case Task():
                    batch.advance(step, Answered(world.now(), None))
                case Load():
                    batch.loaded(step, loaded.get(at, []), world.now())
                case Finish():
                    batch.finished()
                    self.disks.pop(step.entry.number, None)
                    world.finished(step)
                case Retract():
                    batch.finished()
                case Consult():
                    pass


def _submits(step: Step) -> bool:
    """Tell whether a submission is under way in this step: between the note before it and the note after it."""
    if not isinstance(step, Task):
        return False
    if isinstance(step.command, Note):
        return isinstance(step.command.fact, Sending | Accepted)
    return isinstance(step.command, Send) and step.command.request.method == "POST"


class World:
    """The clock, the service, the journal and the disk of one plan, over all its processes."""

    def __init__(self, plan: ManyPlan) -> None:
        self.plan, self.rng = plan, random.Random(plan.seed + 2)
        self.mono = self.began = 1000.0
        self.order, self.keys = itertools.count(), itertools.count(1)
        self.service, self.memory, self.ending = ManyService(plan), Memory(), Ending()
        self.killed_posts = self.stopped = 0
        self.times = list[float]()
        options = ClientOptions(rng=random.Random(plan.seed), poll=wait_fixed(2.0))
        service = setup.service_of(BASE, RetrieveContract(), options)
        again = (lambda *_: 0.0) if plan.again else None
        batch = BatchOptions("/out/{doi}.pdf", plan.jobs, plan.downloads, plan.per_second, again=again)
        self.book: Book[Any, Any] = Book(service, None, batch)
        self.shown = Counter[int]()

    def now(self) -> Now:
        """Read the clock."""
        return Now(self.mono, EPOCH + self.mono)

    def new_key(self) -> str:
        """Make a key."""
        return f"key-{next(self.keys)}"

    def sent(self, request: Request) -> None:
        """Check the rate of requests."""
        self.ending.requests += 1
        self.times.append(self.mono)
        rate = self.plan.per_second
        if rate is not None:
            recent = [at for at in self.times[-int(rate * 2) - 2 :] if at > self.mono - 1.0]
            if len(recent) > rate + 1 and not self.plan.kills:
                raise Violation(f"{len(recent)} requests in a second, and {rate} are allowed")

    def finished(self, step: Finish) -> None:
        """Note an errand that was shown to the caller."""
        if step.ending.fate is not Fate.WAITING:
            self.shown[step.entry.number] += 1


def simulate_many(plan: ManyPlan) -> Ending:
    """Play a batch; a `Violation` says what should not have happened."""
    world = World(plan)
    dois = [f"10.5555/{number}" for number in range(plan.errands)]
    for rows in world.book.chunks(dois):
        world.book.journal.add(rows)
    kills = sorted(plan.kills)
    while True:
        world.ending.processes += 1
        kill = world.ending.commands + kills.pop() if kills else None
        if Process(world, kill).run() and (world.stopped == 0 or world.stopped > 50):
            break
        if world.stopped:  # the service was not reached for long: the next run goes on
            world.stopped, world.mono = 0, world.mono + 60.0
        world.mono += 0.5
        if world.ending.commands > ENOUGH:
            raise Violation("the batch has no end")
    world.ending.ended, world.ending.counts = world.mono - world.began, world.book.journal.counts()
    world.ending.polls = world.service.polls.total()
    _check(world)
    world.book.journal.close()
    return world.ending


def _check(world: World) -> None:
    """Check what must be true in the end."""
    plan, service, counts = world.plan, world.service, world.book.journal.counts()
    if counts["waiting"] or counts["open"] or sum(counts.values()) != plan.errands:
        raise Violation(f"an errand was forgotten: {counts}")
    if any(times > 1 for times in world.shown.values()):
        raise Violation("an errand ended twice")
    if service.most > plan.jobs + (0 if plan.replays else world.killed_posts + plan.errands):
        raise Violation(f"{service.most} unfinished jobs at the service, and {plan.jobs} are allowed")
    jobs = Counter(job.doi for job in service.jobs.values())
    for line in world.book.journal.lines():
        doi = line.request["doi"]
        if line.fate is not Fate.UNCERTAIN and jobs[doi] > line.attempt:
            raise Violation(f"{jobs[doi]} jobs for {doi}, which had {line.attempt} attempts and is {line.fate}")
        if line.fate is Fate.DONE:
            job = service.jobs[line.job_id or ""]
            if world.memory.files.get(Path(f"/out/10.5555_{doi.partition('/')[2]}.pdf")) != content(job.id):
                raise Violation(f"{doi} is done, and its file is not that of {job.id}")
        if line.fate is Fate.FAILED and not service.jobs[line.job_id or ""].fails:
            raise Violation(f"{doi} failed with {line.error}, and its job did not: {line.message}")
    if plan.replays and counts["uncertain"]:
        raise Violation(f"{counts['uncertain']} errands are uncertain, though keys are replayed")
    if not plan.lost and not plan.broken and counts["uncertain"] > world.killed_posts:
        raise Violation(f"{counts['uncertain']} are uncertain, and {world.killed_posts} submissions were killed")
