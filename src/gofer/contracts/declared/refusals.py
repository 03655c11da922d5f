"""Which answers are refusals, what they mean and what they say: by the declared places first, then the usual names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gofer.contracts import payload
from gofer.contracts.base import Leg
from gofer.contracts.declared.declaration import Declaration
from gofer.contracts.declared.parts import Refusal
from gofer.contracts.declared.selectors import MISSING, Reading, first, first_text
from gofer.contracts.payload import Problem, as_list, as_map
from gofer.errors import BadReply, Expired, NotFound, Rejected, ServiceError, Unavailable
from gofer.wire import Reply

_KINDS: Mapping[str, type[ServiceError]] = {
    "rejected": Rejected,
    "missing": NotFound,
    "ended": Expired,
    "later": Unavailable,
    "exists": Rejected,
}
"""The error that a refusal is raised as, by what it means."""

MEANINGS = tuple(_KINDS)


def refusal_in(declaration: Declaration, leg: Leg, reading: Reading) -> Refusal | None:
    """Return the first declared refusal that an answer on this leg is."""
    return next((one for one in declaration.refusal if _is(one, leg, reading)), None)


def _is(refusal: Refusal, leg: Leg, reading: Reading) -> bool:
    status = reading.reply.status
    if (refusal.on and leg not in refusal.on) or not (
        status in refusal.codes if refusal.codes else refusal.words or 200 <= status < 300
    ):
        return False
    try:
        if refusal.when and first(refusal.when, reading) is MISSING:
            return False
        usual = payload.read_problem(reading.reply).error_code
        code = first_text(refusal.code, reading) if refusal.code else usual
    except BadReply:
        if status < 400:
            raise
        return False
    return not refusal.words or (code or "").casefold() in [word.casefold() for word in refusal.words]


def kind_of(refusal: Refusal) -> tuple[type[ServiceError], bool]:
    """Return the error for a refusal, and whether it is for now only."""
    return _KINDS[refusal.means], refusal.means == "later"


def raise_refusal(declaration: Declaration, leg: Leg, reading: Reading) -> None:
    """Raise the error that is declared for an answer that is a refusal in spite of its 2xx status."""
    refusal = refusal_in(declaration, leg, reading) if declaration.refusal else None
    if refusal is None:
        return
    kind, later = kind_of(refusal)
    detail, code = first_text(refusal.message, reading), first_text(refusal.code, reading)
    error = kind(
        f"The service refused{f' with {code}' if code else ''}{f': {detail}' if detail else '.'}",
        status_code=reading.reply.status,
        error_code=code,
        detail=detail,
    )
    error.later = later
    raise error


def read_problem(declaration: Declaration, reply: Reply) -> Problem:
    """Read an error answer; never raises."""
    reading, usual, status = Reading(reply), payload.read_problem(reply), declaration.status
    messages = tuple(place for refusal in declaration.refusal for place in refusal.message)
    codes = tuple(place for refusal in declaration.refusal for place in refusal.code)
    try:
        document = reading.document
        detail = first_text(messages, reading) or first_text(status.error, reading) or usual.detail
        code = first_text(codes, reading) or first_text(status.code, reading)
    except BadReply:
        return usual
    if detail is None and reading.root:
        detail = _longest_text(document)
    return Problem(code or usual.error_code, detail)


def _longest_text(value: Any, depth: int = 0) -> str | None:
    """Find the longest text of an XML error document: each service has other elements around its message."""
    if isinstance(value, str):
        return value or None
    members = as_map(value) or {}
    inner = as_list(value) or [member for name, member in members.items() if not name.startswith("@")]
    if depth > 16:
        return None
    texts = [text for member in inner if (text := _longest_text(member, depth + 1))]
    return max(texts, key=len, default=None)
