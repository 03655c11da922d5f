"""The state of a job: read from an HTTP code, or from where the declaration says that a document has it."""

from __future__ import annotations

import contextlib
import math
import re
from typing import Any

from gofer.contracts.base import Ref, Snapshot
from gofer.contracts.declared.declaration import Declaration
from gofer.contracts.declared.media import is_data, is_file
from gofer.contracts.declared.parts import Poll
from gofer.contracts.declared.selectors import MISSING, Places, Reading, first, first_text
from gofer.errors import BadReply
from gofer.models import State, Status
from gofer.wire import Head


def status_in(declaration: Declaration, reading: Reading, places: Places, absent: str | None = None) -> Status | None:
    """Read a status out of a document; None where neither a word nor a sign of failure or cancellation is there.

    Args:
        declaration: says where everything but the word is.
        reading: the reply.
        places: where the word is.
        absent: the word where a document has none. An empty answer is no document.
    """
    document = declaration.status
    word = first_text(places, reading)
    if word is None and not (places and reading.empty):
        word = absent
    failed = bool(document.failed) and first(document.failed, reading) is not MISSING
    cancelled = bool(document.cancelled) and first(document.cancelled, reading) is not MISSING
    succeeded = bool(document.succeeded) and first(document.succeeded, reading) is not MISSING
    if word is None and not (failed or cancelled or succeeded):
        return None
    state = declaration.meaning(word or "")
    if cancelled:
        state = State.CANCELLED
    elif failed and state is not State.CANCELLED:
        state = State.FAILED
    elif succeeded and not state.ended:
        state = State.SUCCEEDED
    wrong = state in (State.FAILED, State.CANCELLED)
    question = first(document.question, reading) if state is State.WAITING else MISSING
    return Status(
        word or state.value,
        state,
        question=None if question is MISSING else question,
        progress=_share(_shown(document.progress, reading), document.of),
        message=_shown(document.message, reading),
        error=_shown(document.error, reading) if wrong else None,
        error_code=first_text(document.code, reading) if wrong else None,
    )


def status_of_code(declaration: Declaration, reading: Reading, word: str) -> Status:
    """Make the status of an HTTP code that stands for a word, with what else the answer says."""
    status = None
    if not (reading.reply.body and is_file(reading.reply)):
        if reading.reply.body and is_data(reading.reply) and declaration.meaning(word) is State.SUCCEEDED:
            with contextlib.suppress(BadReply):  # the answer may be the result
                _ = reading.document
        with contextlib.suppress(BadReply):  # a body that is no document: the code is enough
            status = status_in(declaration, reading, (), word)
    return status or Status(word, declaration.meaning(word))


def may_be_result(declaration: Declaration, poll: Poll, head: Head) -> bool:
    """Tell whether an answer is to be left unread, as it may be the result itself and large.

    Its HTTP code means success, nothing is read out of it, and it is no short document.
    """
    word, document = poll.codes.get(head.status), declaration.status
    if word is None or declaration.meaning(word) is not State.SUCCEEDED:
        return False
    length = head.headers.get("content-length", "")
    if (is_data(head) or head.media_type == "text/plain") and re.fullmatch("[0-9]{1,6}", length):
        return False
    read = (result for result in declaration.result if result.url is None and (result.asks or result.files))
    if (is_data(head) or not head.media_type) and any(read):
        return False
    return not any(
        place.in_document for many in (*document.links.values(), *document.values.values()) for place in many
    )


def snapshot_of(declaration: Declaration, ref: Ref, status: Status, reading: Reading) -> Snapshot[Any]:
    """Make the snapshot of a job with this status."""
    start = declaration.start
    idle = (
        start is not None
        and status.state is State.PENDING
        and (not start.when or status.casefold() in [word.casefold() for word in start.when])
    )
    value = None if reading.tree is MISSING else reading.tree
    interval = _number(_shown(declaration.status.interval, reading)) if declaration.status.interval else None
    pause = None if interval is None else max(0.0, interval / declaration.status.interval_of)
    answer = reading.reply if status.state is State.SUCCEEDED and reading.reply.body and not reading.unread else None
    url = reading.reply.url
    return Snapshot(ref, status, value, idle=idle, url=url, answer=answer, pause=pause)


def _shown(places: Places, reading: Reading) -> str | None:
    """Return what is found for people to see; None where it cannot be read, since that must not cost the job."""
    try:
        return first_text(places, reading)
    except BadReply:
        return None


def _number(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        number = float(text.rstrip("% "))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _share(text: str | None, of: float) -> float | None:
    number = _number(text)
    return None if number is None else min(1.0, max(0.0, number / of))
