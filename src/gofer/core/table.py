"""The state machine as data: every stage of an errand, every event, and where each event leads.

Flows move through it (`Errand.move`), tests enumerate it, the documentation's diagram is drawn from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from gofer import errors


class Stage(StrEnum):
    """Where an errand is. The last ones have no way out."""

    NEW = "new"
    SUBMITTING = "submitting"
    POLLING = "polling"
    READY = "ready"
    DOWNLOADING = "downloading"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    ASKED = "asked"
    LOST = "lost"
    EXPIRED = "expired"
    UNCERTAIN = "uncertain"
    REFUSED = "refused"
    UNREACHED = "unreached"
    MISFETCHED = "misfetched"
    LATE = "late"
    ABANDONED = "abandoned"


class Move(StrEnum):
    """What can happen to an errand."""

    SUBMIT = "submit"
    ATTACH = "attach"
    FETCH = "fetch"
    ACCEPTED = "accepted"
    ACTIVE = "active"
    SUCCEEDED = "succeeded"
    FINISH = "finish"
    STORED = "stored"
    RESUME = "resume"
    FAILED = "failed"
    CANCELLED = "cancelled"
    ASKED = "asked"
    GONE = "gone"
    EXPIRED = "expired"
    UNSURE = "unsure"
    REFUSED = "refused"
    SILENT = "silent"
    MISFETCHED = "misfetched"
    LATE = "late"
    LEFT = "left"


_ANY_LEG = (Stage.SUBMITTING, Stage.POLLING, Stage.READY, Stage.DOWNLOADING)
_FROM_ANY_LEG = {
    Move.REFUSED: Stage.REFUSED,
    Move.SILENT: Stage.UNREACHED,
    Move.EXPIRED: Stage.EXPIRED,
    Move.LATE: Stage.LATE,
    Move.LEFT: Stage.ABANDONED,
}

TABLE: Mapping[tuple[Stage, Move], Stage] = MappingProxyType(
    {
        (Stage.NEW, Move.SUBMIT): Stage.SUBMITTING,
        (Stage.NEW, Move.ATTACH): Stage.POLLING,
        (Stage.NEW, Move.FETCH): Stage.DOWNLOADING,
        (Stage.SUBMITTING, Move.ACCEPTED): Stage.POLLING,
        (Stage.SUBMITTING, Move.UNSURE): Stage.UNCERTAIN,
        (Stage.POLLING, Move.ACTIVE): Stage.POLLING,
        (Stage.POLLING, Move.SUCCEEDED): Stage.READY,
        (Stage.POLLING, Move.FAILED): Stage.FAILED,
        (Stage.POLLING, Move.CANCELLED): Stage.CANCELLED,
        (Stage.POLLING, Move.ASKED): Stage.ASKED,
        (Stage.POLLING, Move.GONE): Stage.LOST,
        (Stage.POLLING, Move.SUBMIT): Stage.SUBMITTING,
        (Stage.POLLING, Move.FETCH): Stage.DOWNLOADING,
        (Stage.READY, Move.FINISH): Stage.DONE,
        (Stage.READY, Move.FAILED): Stage.FAILED,
        (Stage.READY, Move.GONE): Stage.LOST,
        (Stage.READY, Move.MISFETCHED): Stage.MISFETCHED,
        (Stage.READY, Move.FETCH): Stage.DOWNLOADING,
        (Stage.DOWNLOADING, Move.RESUME): Stage.DOWNLOADING,
        (Stage.DOWNLOADING, Move.STORED): Stage.DONE,
        (Stage.DOWNLOADING, Move.GONE): Stage.LOST,
        (Stage.DOWNLOADING, Move.MISFETCHED): Stage.MISFETCHED,
        **{(leg, move): end for leg in _ANY_LEG for move, end in _FROM_ANY_LEG.items()},
    }
)

LEGS: Mapping[Stage, str] = MappingProxyType(
    {
        Stage.SUBMITTING: "submit",
        Stage.POLLING: "poll",
        Stage.READY: "download",
        Stage.DOWNLOADING: "download",
    }
)

WAYS_OUT: tuple[tuple[type[BaseException], Move], ...] = (
    (errors.JobCancelled, Move.CANCELLED),
    (errors.JobFailed, Move.FAILED),
    (errors.NeedsInput, Move.ASKED),
    (errors.JobLost, Move.GONE),
    (errors.Expired, Move.EXPIRED),
    (errors.SubmitUncertain, Move.UNSURE),
    (errors.WrongFile, Move.MISFETCHED),
    (errors.TargetError, Move.MISFETCHED),
    (errors.OutOfTime, Move.LATE),
    (errors.JournalError, Move.LEFT),
    (errors.BatchStopped, Move.LEFT),
    (errors.NotReady, Move.REFUSED),
    (errors.ServiceError, Move.REFUSED),
    (errors.BadReply, Move.REFUSED),
    (errors.UsageError, Move.REFUSED),
    (errors.TransportError, Move.SILENT),
    (errors.Abandoned, Move.LEFT),
    (KeyboardInterrupt, Move.LEFT),
)
"""Which way out an error is, the first that fits."""
