"""The flow of one errand of a batch: from its beginning, or from wherever its journal says that it was left.

The legs are those of `flows.run`. What is added is the question what may be done with a submission that nobody has seen
the answer of.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

from gofer.core import verbs
from gofer.core.commands import Recognise
from gofer.core.errand import Errand
from gofer.core.flows import complete
from gofer.core.journal import Entry, Sending, mark_of
from gofer.core.run import Flow, ask
from gofer.core.submit import promises_replay, submit
from gofer.core.table import Move
from gofer.core.target import Target, check_target
from gofer.errors import (
    BadReply,
    ServiceError,
    SubmitUncertain,
    TargetError,
    TransportError,
    Unreachable,
    UsageError,
)
from gofer.models import Outcome, Verified

In = TypeVar("In")
Out = TypeVar("Out")


Prepare = Callable[[Entry], tuple[In, Target | None]]
"""Makes of an entry what the contract takes, and where the result goes."""


def go_on(errand: Errand[In, Out], entry: Entry, prepare: Prepare[In], *, hold: int) -> Flow[Outcome[Out]]:
    """Do what is left of an errand.

    A file that was complete when the process ended is recognised, and nothing is asked of the service then; the value
    of such an outcome is None.

    Raises:
        SubmitUncertain: its submission was left without an answer, and sending it again could make a second job.
    """
    kept = entry.keeping
    if kept is not None and (yield from ask(Recognise(Path(kept.at), kept.size, kept.digest))):
        job_id = "" if entry.accepted is None else entry.accepted.job_id
        return Outcome(cast("Out", None), Path(kept.path), Verified(kept.verified), job_id)
    unanswered = entry.sent if entry.accepted is None else None
    try:
        request, target = prepare(entry)
        if target is not None:
            target = yield from check_target(target)
        if unanswered is not None:
            yield from _may_be_repeated(errand, request, entry.key, unanswered)
    except (UsageError, TargetError) as error:
        if unanswered is None or (isinstance(error, TargetError) and error.full):
            raise
        # What failed is not the job, which may be there; tried again as a failure, the errand would make another.
        raise _uncertain(entry.key, f"it cannot be sent again ({error.message})") from error
    if entry.accepted is not None:
        errand.move(Move.ATTACH)
    else:
        yield from submit(errand, request, entry.key, hold=hold, again=entry.sent is not None)
    return (yield from complete(errand, request, entry.key, target))


def _may_be_repeated(errand: Errand[In, Out], request: In, key: str, sent: Sending) -> Flow[None]:
    """Return if the same submission again cannot make a second job, else raise `SubmitUncertain`."""
    contract = errand.contract
    age = errand.now.wall - sent.at
    if contract.build_upload(errand.service.base, request, key=key) is not None:
        raise _uncertain(key, "what was uploaded before it would be named anew")
    built = contract.build_submission(errand.service.base, request, key=key, budget=None, hold=0)
    same = yield from verbs.examined(errand, built)
    by_method = contract.is_idempotent(same)
    if not by_method and (not contract.sends_key or not (yield from _replays(errand))):
        why = "the service does not promise to replay keys"
    elif not by_method and age > contract.keeps_keys:
        why = f"its key is {age / 3600:.1f} hours old, and the service forgets keys after {contract.keeps_keys:g} s"
    elif mark_of(same) != sent.mark:
        why = "the contract now makes another request of it, which the service would not take for the same one"
    else:
        return
    raise _uncertain(key, why)


def _uncertain(key: str, why: str) -> SubmitUncertain:
    return SubmitUncertain(
        f"The submission may have made a job: the process ended before the answer was written down, and {why}.", key=key
    )


def _replays(errand: Errand[In, Out]) -> Flow[bool]:
    """Find out whether the service replays keys.

    Raises:
        Unreachable: it cannot be asked; this is no reason to be uncertain for good, and concerns every errand.
    """
    try:
        return (yield from promises_replay(errand))
    except (TransportError, ServiceError, BadReply) as error:
        raise Unreachable(f"The service cannot be asked whether it replays keys: {error.message}") from error
