"""What must hold after every call, whatever befell it. A `Violation` names the rule that was broken."""

from __future__ import annotations

import hashlib
import itertools
from itertools import pairwise
from typing import TYPE_CHECKING

from gofer.core.commands import Open, Send, Sleep
from gofer.core.flows import FAREWELL
from gofer.core.table import Stage
from gofer.errors import (
    Abandoned,
    GoferError,
    JobFailed,
    JobLost,
    OutOfTime,
    SubmitUncertain,
)
from gofer.models import Fetched, Outcome, Verified
from simulation.model import sha256_field, version
from simulation.plan import Plan
from simulation.wire import Sent, Wire

if TYPE_CHECKING:
    from simulation.world import Call, End

CLOSEST = 0.25
LONGEST = 120.0
PER_MINUTE = 300
SLACK = 1e-6


class Violation(AssertionError):
    """Something happened that must never happen."""


def check(plan: Plan, wire: Wire, name: str, call: Call, end: End, before: bytes | None, after: bytes | None) -> None:
    """Hold every invariant against one call that has ended; `before` and `after` it, the target held this."""
    sent = [one for one in wire.sent if one.call == wire.model.call]
    _one_job(wire)
    _clean_wire(wire)
    _in_time(call, end)
    _no_hammering(sent)
    _no_oversleeping(end)
    _gives_up(sent)
    if end.error is not None:
        _tells_how_to_go_on(wire, sent, call, end)
    _honest_ending(wire, name, call, end)
    if end.how == "ended" and end.error is None:
        _right_file(plan, wire, name, end.value, after)
    elif after != before:
        _replaced_at_the_last_moment(plan, wire, end, after)
    if end.how == "left" and (call.errand.submission is not None or call.errand.record.ref is not None):
        _job_cancelled(plan, wire, name, end)


def _one_job(wire: Wire) -> None:
    if wire.model.too_many is not None:
        raise Violation(wire.model.too_many)


def _clean_wire(wire: Wire) -> None:
    if wire.wrong:
        raise Violation("; ".join(wire.wrong))


def _in_time(call: Call, end: End) -> None:
    """A call ends within its budget; the farewell has a little more."""
    took = end.ended - end.started
    if call.errand.timeout is not None and took > call.errand.timeout + FAREWELL + SLACK:
        raise Violation(f"the call took {took} of {call.errand.timeout} seconds")
    if (
        isinstance(end.value, Outcome | Fetched)
        and call.errand.timeout is not None
        and took > call.errand.timeout + SLACK
    ):
        raise Violation(f"the call succeeded after {took} of {call.errand.timeout} seconds")


def _no_hammering(sent: list[Sent]) -> None:
    """Looks keep their distance unless the last one brought something new, and nothing is asked without end.

    What becomes of a cancelled job may be seen at once.
    """
    after = {id(two) for one, two in pairwise(sent) if one.request.method == "DELETE"}
    looks = [one for one in sent if one.route == "look" and id(one) not in after]
    if any(one.status == 303 for one in sent):
        looks = []  # the first of them fetch the answer to the submission
    last: Sent | None = None
    word, new = None, False
    for one in looks:
        if one.hops == 0:
            near = last is not None and one.at - last.at < CLOSEST - SLACK and one.request.url == last.request.url
            if near and not new:
                raise Violation(f"looks less than {CLOSEST} s apart, and nothing was new")
            last, new = one, False
        if one.word is not None:
            word, new = one.word, one.word != word
    for early, late in zip(sent, sent[PER_MINUTE:], strict=False):
        if late.at - early.at < 60:
            raise Violation(f"{PER_MINUTE} requests in {late.at - early.at:.1f} s")


def _no_oversleeping(end: End) -> None:
    """No pause is longer than what is heeded of a Retry-After."""
    longest = max((command.seconds for command in end.commands if isinstance(command, Sleep)), default=0.0)
    if longest > LONGEST:
        raise Violation(f"a pause of {longest} s")


def _gives_up(sent: list[Sent]) -> None:
    """Redirects are followed five times in a row, a submission is tried four times, and once more in the farewell."""
    hops = max((one.hops for one in sent), default=0)
    if hops > 5:
        raise Violation(f"{hops} redirects in a row were followed")
    for route, row in itertools.groupby(sent, key=lambda one: one.route):
        tries = sum(one.hops == 0 for one in row)
        if route == "post" and tries > 5:
            raise Violation(f"{tries} submissions in a row")


def _tells_how_to_go_on(wire: Wire, sent: list[Sent], call: Call, end: End) -> None:
    """Every error is gofer's and says where the errand was, what it cost, and how to go on."""
    error, errand = end.error, call.errand
    assert isinstance(error, GoferError)
    if errand.record.ref is not None and (error.job_id != errand.record.ref.id or error.ticket is None):
        raise Violation(f"{error!r} does not name the job")
    made = sum(isinstance(command, Send | Open) for command in end.commands)
    if error.attempts != made:
        raise Violation(f"{error!r} counts {error.attempts} exchanges, and {made} were made")
    if sent and not isinstance(error, Abandoned) and error.leg not in ("submit", "poll", "download"):
        raise Violation(f"{error!r} names the leg {error.leg}")
    if error.leg is not None and abs(sum(error.spent.values()) - (end.ended - end.started)) > SLACK:
        raise Violation(f"{error!r} books {dict(error.spent)} of {end.ended - end.started} s")
    if sent and not isinstance(error, Abandoned) and errand.stage not in ENDED:
        raise Violation(f"{error!r} leaves the errand at {errand.stage}")
    unknown = errand.record.ref is None and any(job.call == wire.model.call for job in wire.model.jobs.values())
    if unknown and not isinstance(error, Abandoned) and getattr(error, "key", None) is None:
        raise Violation(f"{error!r}: a job was made, and neither ticket nor key is here")
    if isinstance(error, SubmitUncertain | OutOfTime) and error.leg == "submit" and error.key is None:
        raise Violation(f"{error!r} has no key")
    if isinstance(error, JobLost) and sum(one.status == 404 for one in sent) < 3:
        raise Violation("JobLost after fewer than three 404s")


ENDED = frozenset(stage for stage in Stage if stage not in ("new", "submitting", "polling", "ready", "downloading"))


def _honest_ending(wire: Wire, name: str, call: Call, end: End) -> None:
    """A job that is said to have ended has ended so."""
    job = wire.model.jobs.get(call.errand.job_id or "")
    if job is None or job.lost or name == "start" or end.how != "ended":
        return
    word = wire.model.word(job, wire.mono)
    if isinstance(end.error, JobFailed) and word not in ("failed", "cancelled"):
        raise Violation(f"{end.error!r}, and the job is {word}")
    if end.error is None and word != "completed":
        raise Violation(f"success, and the job is {word}")


def _right_file(plan: Plan, wire: Wire, name: str, value: object, found: bytes | None) -> None:
    """Success means one whole version of the file, checked by what the service named."""
    if isinstance(value, bytes):
        _one_whole(plan, wire, value, None)
        return
    if name not in ("run", "download"):
        return
    if not isinstance(value, Outcome | Fetched) or value.path is None or found is None:
        raise Violation(f"success, and no file: {value!r}")
    _one_whole(plan, wire, found, value.verified)


def _one_whole(plan: Plan, wire: Wire, data: bytes, verified: Verified | None) -> None:
    versions = [version(number, plan.file_bytes) for number in range(1, wire.model.file_version + 1)]
    by = {"digest": sha256_field(data), "size": len(data), "length": len(data)}
    if verified is not None and verified is not Verified.NONE and (str(verified), by[verified]) not in wire.named:
        raise Violation(f"verified by {verified}, which nobody named")
    if verified is Verified.NONE and plan.verify == "require":
        raise Violation("an unverified file was taken")
    sizes = {kind for kind, _ in wire.named} & {"size"}
    checked = wire.promised | sizes if verified is None else {str(verified)} - {"none"}
    if data in versions or (not checked and any(_one_begins(data, whole) for whole in versions)):
        return
    raise Violation(f"the file is none: {len(data)} bytes, {hashlib.sha256(data).hexdigest()[:8]}, {verified}")


def _one_begins(data: bytes, whole: bytes) -> bool:
    """Tell whether one is the beginning of the other: all that can be said of a file nobody has named anything of."""
    shorter = min(len(data), len(whole))
    return data[:shorter] == whole[:shorter]


def _replaced_at_the_last_moment(plan: Plan, wire: Wire, end: End, found: bytes | None) -> None:
    """Only a call that was broken off may have replaced the target without a word, and then by the whole file."""
    if end.how == "ended" or found is None:
        raise Violation(f"the target was touched, and the call ended as {end.error!r}")
    _one_whole(plan, wire, found, None)


def _job_cancelled(plan: Plan, wire: Wire, name: str, end: End) -> None:
    """A caller who leaves leaves no job behind, where that can be helped."""
    policy = plan.on_abandon or ("cancel" if name in ("run", "document") else "leave")
    able = plan.keys == "replay" and plan.cancels != "none" and name != "start"
    if policy == "leave" or not able or not end.calm or not isinstance(end.error, Abandoned):
        return
    for job in wire.model.jobs.values():
        if not job.lost and not wire.model.ended(job, wire.mono):
            raise Violation(f"the caller left, and {job.id} is still {wire.model.word(job, wire.mono)}")
