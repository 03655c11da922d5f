"""What both faces of a batch share: its options, its journal, and what becomes of requests and endings on the way.

No thread and no task here, and nothing that only one face needs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Generic, Literal

from attrs import frozen

from gofer import setup
from gofer.core.batch import BatchRun, Finish
from gofer.core.journal import Entry, Fate, canonical
from gofer.core.names import JOB_ID
from gofer.core.schedule import Limits
from gofer.core.service import Service
from gofer.core.target import Target
from gofer.errors import GoferError, TargetError, UsageError
from gofer.models import BatchErrand
from gofer.setup import In, Out
from gofer.transports.journal import Journal, Line

Again = Callable[[GoferError, int], float | None]
"""What `again=` is: of a failure and the number of the attempt, the seconds until another one; None for no other."""

CHUNK = 500
"""Requests that are written down in one commit."""

ANEW = ("JobFailed", "JobCancelled", "JobLost", "Expired", "NoResult", "WrongFile", "Rejected")
"""Errors after which a failed errand needs another job; after any other it goes on with the one that it has."""


@frozen
class BatchOptions:
    """The options of a batch; see `Client.batch`."""

    to: str | PathLike[str] | None = None
    jobs: int = 20
    downloads: int = 8
    requests_per_second: float | None = None
    exists: Literal["replace", "refuse"] = "replace"
    again: Again | None = None
    stop_after: int | None = None
    look_every: float = 900.0

    def limits(self) -> Limits:
        """Check the options, and return what the batch may take.

        Raises:
            UsageError: one of them is wrong.
        """
        if self.to is not None:
            _ = setup.path_of(self.to)
        if self.exists not in ("replace", "refuse"):
            raise UsageError(f'exists is "replace" or "refuse", not {self.exists!r}.')
        if self.again is not None and not callable(self.again):
            raise UsageError(f"again= is a function of an error and the number of the attempt, not {self.again!r}.")
        if self.stop_after is not None:
            _ = _whole(self.stop_after, "stop_after")
        _ = setup.positive(self.look_every, "look_every")
        rate = self.requests_per_second
        return Limits(
            _whole(self.jobs, "jobs"),
            _whole(self.downloads, "downloads"),
            None if rate is None else setup.positive(rate, "requests_per_second"),
        )


def _whole(value: Any, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UsageError(f"{name} must be a whole number from 1 on, not {value!r}.")
    return value


class Book(Generic[In, Out]):
    """An open journal of one service's errands, and how requests go into it and come out of it."""

    def __init__(self, service: Service[In, Out], journal: str | PathLike[str] | None, options: BatchOptions) -> None:
        self.service, self.options, self.limits = service, options, options.limits()
        path = None if journal is None else Path(setup.path_of(journal)).absolute()
        self.journal = Journal(path, contract=service.contract.name, base=service.base)

    def source(self, requests: Iterable[Any]) -> Iterator[Any]:
        """Return an iterator over requests, or raise `UsageError`."""
        if isinstance(requests, Mapping | str | bytes) or not isinstance(requests, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError("A batch takes several requests: put a single one into a list.")
        return iter(requests)

    def chunks(self, requests: Iterable[In] | Iterable[str]) -> Iterator[list[tuple[str, str | None, str | None]]]:
        """Make rows for the journal of requests, some at a time.

        Raises:
            UsageError, TargetError: a request or its target is wrong; what was yielded before is right.
        """
        rows = list[tuple[str, str | None, str | None]]()
        for request in self.source(requests):
            rows.append(self.row(request))
            if len(rows) == CHUNK:
                yield rows
                rows = []
        yield rows

    def row(self, request: Any) -> tuple[str, str | None, str | None]:
        """Make the row of one request: its JSON, its target, and the place that no other errand may have."""
        contract = self.service.contract
        try:
            text = canonical(contract.to_json(request))
        except (TypeError, ValueError, RecursionError) as error:
            if isinstance(error, GoferError):
                raise
            raise UsageError(f"A request of a batch is plain JSON, which this one is not: {error}.") from error
        asked: Any = contract.from_json(json.loads(text))
        if contract.build_upload(self.service.base, asked, key="check") is None:
            _ = contract.build_submission(self.service.base, asked, key="check", budget=None, hold=0)
        if self.options.to is None:
            return text, None, None
        target = setup.named(self.options.to, contract, asked)
        target = target if os.path.isabs(target) else os.path.join(os.getcwd(), target)  # noqa: PTH109, PTH117, PTH118  (a Path drops the slash at the end)
        if self.options.exists == "refuse" and os.path.lexists(target):
            raise TargetError(f"{target} is there already, and exists='refuse'. Nothing of this request was written.")
        return text, target, None if JOB_ID in target else target

    def prepare(self, entry: Entry) -> tuple[In, Target | None]:
        """Return what the contract takes, and where the result goes."""
        request: Any = self.service.contract.from_json(entry.request)
        if entry.target is None:
            return request, None
        return request, setup.target_of(entry.target, self.service.contract, request)

    def run(self, wake: Callable[[], None], *, heard: bool) -> BatchRun[In, Out]:
        """Begin a pass over the journal."""
        self.journal.rewind()
        return BatchRun(
            self.service,
            self.limits,
            self.prepare,
            wake,
            heard=heard,
            asks_again=self.options.again is not None,
            stop_after=self.options.stop_after,
            look_every=self.options.look_every,
        )

    def retry(self, fate: str) -> int:
        """Have failed or uncertain errands wait again."""
        if fate not in (Fate.FAILED, Fate.UNCERTAIN):
            raise UsageError(f'Only "failed" and "uncertain" errands can be tried again, not {fate!r}.')
        return self.journal.retry(Fate(fate), anew=ANEW)


def ended(finish: Finish) -> BatchErrand[Any]:
    """Return what the caller sees of an errand that has ended."""
    return BatchErrand(
        finish.entry.number,
        finish.entry.request,
        str(finish.ending.fate),
        None if finish.path is None else Path(finish.path),
        finish.value,
        finish.error,
        finish.job_id,
        finish.ticket,
        finish.entry.attempt,
    )


def recorded(line: Line) -> BatchErrand[Any]:
    """Return what the caller sees of an errand as the journal has it."""
    words = None if line.error is None else GoferError(f"{line.error}: {line.message}")
    path = None if line.path is None or line.fate is not Fate.DONE else Path(line.path)
    return BatchErrand(
        line.number, line.request, str(line.fate), path, line.value, words, line.job_id, line.ticket, line.attempt
    )
