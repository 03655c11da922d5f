"""Which answers are refusals, and what a refusal says: read by the declared places first, then by the usual names."""

from __future__ import annotations

from typing import Any

from gofer.contracts import payload
from gofer.contracts.declared.declaration import Declaration, Refusal
from gofer.contracts.declared.selectors import MISSING, Reading, first, first_text
from gofer.contracts.payload import Problem, as_list, as_map
from gofer.errors import BadReply, Rejected
from gofer.wire import Reply


def raise_refusal(declaration: Declaration, reading: Reading) -> None:
    """Raise `Rejected` where an answer is a refusal in spite of its 2xx status."""
    refusal = declaration.refusal
    if refusal is None or first(refusal.when, reading) is MISSING:
        return
    detail, code = first_text(refusal.message, reading), first_text(refusal.code, reading)
    raise Rejected(
        f"The service refused{f' with {code}' if code else ''}{f': {detail}' if detail else '.'}",
        status_code=reading.reply.status,
        error_code=code,
        detail=detail,
    )


def read_problem(declaration: Declaration, reply: Reply) -> Problem:
    """Read an error answer; never raises."""
    reading, usual = Reading(reply), payload.read_problem(reply)
    status, refusal = declaration.status, declaration.refusal or Refusal(())
    try:
        document = reading.document
        detail = first_text(refusal.message, reading) or first_text(status.error, reading) or usual.detail
        code = first_text(refusal.code, reading) or first_text(status.code, reading)
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
