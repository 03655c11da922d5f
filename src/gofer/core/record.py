"""The record of one job: everything that was learned of it. It only goes forward.

`JobRecord` is frozen, and each of its transitions returns the next one. `JobMemory` holds the current record for a
handle and all errands that it starts, and replaces it in one step. What to ask the service is the flows' business.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from attrs import evolve, frozen

from gofer.contracts.base import Ref, Snapshot
from gofer.models import ResultFile, State, Status

Out = TypeVar("Out")


@frozen
class JobRecord(Generic[Out]):
    """Everything that was learned of one job.

    Attributes:
        ref: where it is; None until the service has answered the submission.
        submitted: wall time of the submission, None if this process did not see it.
        accepted: whether the service has shown this job before, so that a 404 may be a passing fault.
        seen: the last status document.
        poll: the number of the poll that `seen` answers; later polls have higher numbers.
        results: what the job came to, once that was asked for: its value and files, or why it failed.
        answered: the question that was answered last, and the monotonic time of that.
        listed: the status that a list of jobs has shown; it shows nothing else that counts.
    """

    ref: Ref | None = None
    submitted: float | None = None
    accepted: bool = False
    seen: Snapshot[Out] | None = None
    poll: int = 0
    results: Snapshot[Out] | None = None
    answered: tuple[object, float] | None = None
    listed: Status | None = None

    @property
    def status(self) -> Status:
        """The last status; an empty word of UNKNOWN before the first poll."""
        newest = self.seen if self.results is None else self.results
        return Status("", State.UNKNOWN) if newest is None else newest.status

    @property
    def shown(self) -> Status:
        """The last status, also that of a list if the job was not polled since."""
        return self.status or self.listed or self.status

    @property
    def files(self) -> tuple[ResultFile, ...]:
        """The files of the results, or before these were read, those that the last status document names."""
        newest = self.seen if self.results is None else self.results
        return () if newest is None else newest.files

    def after_poll(self, snapshot: Snapshot[Out], poll: int) -> JobRecord[Out]:
        """Take in the answer to a poll: an end never changes, and of a late answer only an end counts."""
        newer, state = poll >= self.poll, snapshot.status.state
        if not ((newer and state is self.status.state) if self.status.done else (newer or state.ended)):
            return self
        poll = max(poll, self.poll)
        return JobRecord(snapshot.ref, self.submitted, True, snapshot, poll, self.results, self.answered)

    def after_start(self) -> JobRecord[Out]:
        """Note that the job does not wait to be started any more."""
        return self if self.seen is None else evolve(self, seen=evolve(self.seen, idle=False))

    def after_answer(self, question: object, mono: float) -> JobRecord[Out]:
        """Note that a question was answered: the service may show it a little longer."""
        return evolve(self, answered=(question, mono))

    def after_results(self, results: Snapshot[Out]) -> JobRecord[Out]:
        """Take in what the job came to; the first answer stays."""
        if self.results is not None:
            return self
        return evolve(self, results=results)

    def with_files(self, files: tuple[ResultFile, ...]) -> JobRecord[Out]:
        """Take in files that were read later, or again; everything else stays."""
        if self.results is not None:
            return evolve(self, results=evolve(self.results, files=files))
        return self if self.seen is None else evolve(self, seen=evolve(self.seen, files=files))


class JobMemory(Generic[Out]):
    """The current record of one job, for a handle and the errands that it starts, in any thread."""

    def __init__(self, record: JobRecord[Out] | None = None) -> None:
        self.record: JobRecord[Out] = JobRecord() if record is None else record
        self._lock = threading.Lock()  # held for one transition: without it, two threads could undo each other's
        self._polls = 0

    def next_poll(self) -> int:
        """Return the number of a poll that begins now."""
        with self._lock:
            self._polls += 1
            return self._polls

    def update(self, transition: Callable[[JobRecord[Out]], JobRecord[Out]]) -> JobRecord[Out]:
        """Replace the record by what a transition makes of it, in one step, and return the new one."""
        with self._lock:
            self.record = transition(self.record)
            return self.record
