"""`Run`: a flow and its errand, driven by outcomes. Drivers, tests and `watch()` all speak to this one thing.

    step = run.start(now)
    while not isinstance(step, Done):
        step = run.advance(<outcome of performing step>)

A step is the next `Command`, or `Done` with the flow's value. An error that ends the flow is raised by the call that
advanced it, with what the errand has learned written on it, and `run.over` is true from then on.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Generic, TypeVar, cast

from gofer.core.commands import Answer, Asks, Command, Done, Failed, Now, Outcome
from gofer.core.errand import Errand
from gofer.errors import Abandoned

T = TypeVar("T")

A = TypeVar("A")

Flow = Generator[Command, Answer, T]


def ask(command: Asks[A]) -> Flow[A]:
    """Yield a command as it is, and return its answer."""
    return cast("A", (yield cast("Command", command)))


class Run(Generic[T]):
    """One flow on one errand. Not for two threads or tasks at once."""

    def __init__(self, flow: Flow[T], errand: Errand[Any, Any]) -> None:
        self._flow, self._errand = flow, errand
        self.over = False

    def start(self, now: Now) -> Command | Done[T]:
        """Begin at this time; return the first step."""
        self._errand.begin(now)
        return self._step(None)

    def advance(self, outcome: Outcome) -> Command | Done[T]:
        """Hand in what came of the last command; return the next step."""
        self._errand.at(outcome.now)
        if isinstance(outcome, Failed):
            return self._step(outcome.error, throw=True)
        return self._step(outcome.answer)

    def abandon(self, now: Now) -> Command | Done[T]:
        """Tell the flow that its caller has left; it answers with the commands of its farewell, if it has one."""
        self._errand.at(now)
        return self._step(Abandoned("The caller left the errand."), throw=True)

    def close(self) -> None:
        """End the flow where it is, if it is not over; its slot is free for others then."""
        self.over = True
        self._flow.close()
        self._errand.leave()

    def _step(self, value: Any, *, throw: bool = False) -> Command | Done[T]:
        try:
            return self._flow.throw(value) if throw else self._flow.send(value)
        except StopIteration as stop:
            self.over = True
            return Done(stop.value)
        except BaseException as error:
            self.over = True
            self._errand.end(error)
            raise
