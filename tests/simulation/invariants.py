"""What must be true after every call, whatever faults it met. A `Violation` names the rule that was broken."""

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
    """Check every invariant after a call has ended; `before` and `after` are the target's bytes around it."""
    sent = [one for one in wire.sent if one.call == wire.model.call]
    _one_job(wire)
    _requests_are_correct(wire)
    _within_budget(call, end)
    _requests_keep_their_distance(sent)
    _pauses_are_limited(end)
    _tries_are_limited(sent)
    if end.error is not None:
        _error_says_how_to_continue(wire, sent, call, end)
    _reported_end_is_true(wire, name, call, end)
    if end.how == "ended" and end.error is None:
        _file_is_correct(plan, wire, name, end.value, after)
    elif after != before:
        _replaced_by_one_version(plan, wire, end, after)
    if end.how == "left" and (call.errand.submission is not None or call.errand.record.ref is not None):
        _job_cancelled(plan, wire, name, end)


def _one_job(wire: Wire) -> None:
    if wire.model.second_job is not None:
        raise Violation(wire.model.second_job)


def _requests_are_correct(wire: Wire) -> None:
    if wire.wrong:
        raise Violation("; ".join(wire.wrong))


def _within_budget(call: Call, end: End) -> None:
    """A call ends within its budget; cancelling the job has a little more."""
    took = end.ended - end.started
    if call.errand.timeout is not None and took > call.errand.timeout + FAREWELL + SLACK:
        raise Violation(f"the call took {took} of {call.errand.timeout} seconds")
    if (
        isinstance(end.value, Outcome | Fetched)
        and call.errand.timeout is not None
        and took > call.errand.timeout + SLACK
    ):
        raise Violation(f"the call succeeded after {took} of {call.errand.timeout} seconds")


def _requests_keep_their_distance(sent: list[Sent]) -> None:
    """Polls keep their distance unless the last one showed something new, and requests have an upper rate.

    A job may be polled at once after its cancellation.
    """
    after = {id(two) for one, two in pairwise(sent) if one.request.method == "DELETE"}
    polls = [one for one in sent if one.route == "poll" and id(one) not in after]
    if any(one.status == 303 for one in sent):
        polls = []  # the first of them fetch the answer to the submission
    last: Sent | None = None
    body, new = None, False
    for one in polls:
        if one.hops == 0:
            near = last is not None and one.at - last.at < CLOSEST - SLACK and one.request.url == last.request.url
            if near and not new:
                raise Violation(f"polls less than {CLOSEST} s apart, and nothing was new")
            last, new = one, False
        if one.body is not None:
            body, new = one.body, one.body != body
    for early, late in zip(sent, sent[PER_MINUTE:], strict=False):
        if late.at - early.at < 60:
            raise Violation(f"{PER_MINUTE} requests in {late.at - early.at:.1f} s")


def _pauses_are_limited(end: End) -> None:
    """No pause is longer than the longest Retry-After that is obeyed."""
    longest = max((command.seconds for command in end.commands if isinstance(command, Sleep)), default=0.0)
    if longest > LONGEST:
        raise Violation(f"a pause of {longest} s")


def _tries_are_limited(sent: list[Sent]) -> None:
    """Redirects are followed five times in a row, a submission is tried four times, and once more to cancel its job."""
    hops = max((one.hops for one in sent), default=0)
    if hops > 10:
        raise Violation(f"{hops} redirects in a row were followed")
    for route, row in itertools.groupby(sent, key=lambda one: one.route):
        tries = sum(one.hops == 0 for one in row)
        if route == "post" and tries > 5:
            raise Violation(f"{tries} submissions in a row")


def _error_says_how_to_continue(wire: Wire, sent: list[Sent], call: Call, end: End) -> None:
    """Every error is gofer's and says where the errand was, what it cost, and how to continue."""
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
        raise Violation(f"{error!r}: a job was made, and the error has neither ticket nor key")
    if isinstance(error, SubmitUncertain | OutOfTime) and error.leg == "submit" and error.key is None:
        raise Violation(f"{error!r} has no key")
    if isinstance(error, JobLost) and sum(one.status == 404 for one in sent) < 3:
        raise Violation("JobLost after fewer than three 404s")


ENDED = frozenset(stage for stage in Stage if stage not in ("new", "submitting", "polling", "ready", "downloading"))


def _reported_end_is_true(wire: Wire, name: str, call: Call, end: End) -> None:
    """If a call says how the job ended, the job has ended like that."""
    job = wire.model.jobs.get(call.errand.job_id or "")
    if job is None or job.lost or name == "start" or end.how != "ended":
        return
    status = wire.model.status(job, wire.mono)
    if isinstance(end.error, JobFailed) and status not in ("failed", "cancelled"):
        raise Violation(f"{end.error!r}, and the job is {status}")
    if end.error is None and status != "completed":
        raise Violation(f"success, and the job is {status}")


def _file_is_correct(plan: Plan, wire: Wire, name: str, value: object, found: bytes | None) -> None:
    """Success means one complete version of the file, verified by what the service named."""
    if isinstance(value, bytes):
        _is_one_version(plan, wire, value, None)
        return
    if name not in ("run", "download"):
        return
    if not isinstance(value, Outcome | Fetched) or value.path is None or found is None:
        raise Violation(f"success, and no file: {value!r}")
    _is_one_version(plan, wire, found, value.verified)


def _is_one_version(plan: Plan, wire: Wire, data: bytes, verified: Verified | None) -> None:
    versions = [version(number, plan.file_bytes) for number in range(1, wire.model.file_version + 1)]
    by = {"digest": sha256_field(data), "size": len(data), "length": len(data)}
    if verified is not None and verified is not Verified.NONE and (str(verified), by[verified]) not in wire.named:
        raise Violation(f"verified by {verified}, which the service did not name")
    if verified is Verified.NONE and plan.verify == "require":
        raise Violation("an unverified file was taken")
    sizes = {kind for kind, _ in wire.named} & {"size"}
    checked = wire.checks | sizes if verified is None else {str(verified)} - {"none"}
    if data in versions or (not checked and any(_one_is_a_prefix(data, one) for one in versions)):
        return
    raise Violation(f"the file is no version: {len(data)} bytes, {hashlib.sha256(data).hexdigest()[:8]}, {verified}")


def _one_is_a_prefix(data: bytes, other: bytes) -> bool:
    """Tell whether one is the beginning of the other; nothing more can be checked if the service named nothing."""
    shorter = min(len(data), len(other))
    return data[:shorter] == other[:shorter]


def _replaced_by_one_version(plan: Plan, wire: Wire, end: End, found: bytes | None) -> None:
    """Only a call that was broken off may replace the target without saying so, and then by the complete file."""
    if end.how == "ended" or found is None:
        raise Violation(f"the target was changed, and the call ended as {end.error!r}")
    _is_one_version(plan, wire, found, None)


def _job_cancelled(plan: Plan, wire: Wire, name: str, end: End) -> None:
    """A caller who leaves leaves no running job behind, if the service lets it be cancelled."""
    policy = plan.on_abandon or ("cancel" if name in ("run", "document") else "leave")
    able = plan.keys == "replay" and plan.cancels != "none" and name != "start"
    if policy == "leave" or not able or not end.no_faults_left or not isinstance(end.error, Abandoned):
        return
    for job in wire.model.jobs.values():
        if not job.lost and not wire.model.ended(job, wire.mono):
            raise Violation(f"the caller left, and {job.id} is still {wire.model.status(job, wire.mono)}")
