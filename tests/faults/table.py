"""How a call ends after each fault on each leg, as data: `test_matrix.py` tests it, the documentation shows it.

One exchange of a leg meets the fault (`once`), or all of them do (`lasting`). An ending is DONE or an error class.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from attrs import frozen

from gofer.errors import (
    AnswerLost,
    BadReply,
    GoferError,
    OutOfTime,
    RateLimited,
    SubmitUncertain,
    Unavailable,
    Unreachable,
    UntrustedCertificate,
    WaitTimeout,
    WrongFile,
)


class Leg(StrEnum):
    """A leg of an errand, and whether requests are held and keys replayed."""

    SUBMIT = "submit"
    RUN = "submit, held until the job has ended"
    KEYLESS = "submit, keys not replayed"
    HELD = "held poll"
    PLAIN = "poll"
    DOWNLOAD = "download"


DONE = None
Ending = type[GoferError] | None


@frozen
class Row:
    """One fault.

    Attributes:
        text: what happens, for the documentation.
        once: the ending if one exchange of the leg meets the fault; one ending for each leg.
        lasting: the ending if every exchange of the leg meets it.
        endless: whether the exchange would never end without a timeout.
    """

    text: str
    once: tuple[Ending, ...]
    lasting: tuple[Ending, ...]
    endless: bool = False


def _row(text: str, *endings: tuple[Ending, Ending], endless: bool = False) -> Row:
    """Make a row from (once, lasting) of each leg; a held request ends like one that is not held."""
    submit, keyless, poll, download = endings
    once, lasting = zip(submit, submit, keyless, poll, poll, download, strict=True)
    return Row(text, once, lasting, endless)


_LOST = ((DONE, SubmitUncertain), (SubmitUncertain, SubmitUncertain), (DONE, AnswerLost))
_REFUSED = ((DONE, SubmitUncertain), (SubmitUncertain, SubmitUncertain), (DONE, Unavailable), (DONE, Unavailable))
_ENDLESS = ((DONE, OutOfTime), (SubmitUncertain, OutOfTime), (DONE, WaitTimeout))

ROWS: Mapping[str, Row] = {
    # no connection, or none that can be trusted: nothing was sent
    "refused": _row("the connection is refused", *[(DONE, Unreachable)] * 4),
    "untrusted": _row(
        "the certificate is not trusted",
        *[(UntrustedCertificate, UntrustedCertificate)] * 2,
        *[(DONE, UntrustedCertificate)] * 2,
    ),
    "no tls": _row("the server answers the TLS handshake with plain HTTP", *[(DONE, Unreachable)] * 4),
    # the answer is lost
    "closed at once": _row("the connection is accepted and closed", *_LOST, (DONE, AnswerLost)),
    "reset before": _row("the connection is reset before the service has the request", *_LOST, (DONE, AnswerLost)),
    "reset after": _row("the connection is reset after the service has acted", *_LOST, (DONE, AnswerLost)),
    "closed after": _row("the connection is closed after the service has acted", *_LOST, (DONE, AnswerLost)),
    "reset in head": _row("the connection is reset in the reply's head", *_LOST, (DONE, AnswerLost)),
    "closed in head": _row("the connection is closed in the reply's head", *_LOST, (DONE, AnswerLost)),
    "reset in body": _row("the connection is reset in the reply's body", *_LOST, (DONE, DONE)),
    "closed in body": _row("the connection is closed in the reply's body", *_LOST, (DONE, DONE)),
    "tls garbage": _row("TLS breaks in the reply's body", *_LOST, (DONE, DONE)),
    # something else comes in place of the answer
    "garbage": _row("the answer is not HTTP", *_LOST, (DONE, AnswerLost)),
    "html": _row("the answer is a web page with status 200", *_LOST[:2], (DONE, BadReply), (WrongFile, WrongFile)),
    "gzip": _row("the body is compressed", *[(DONE, DONE)] * 3, (WrongFile, WrongFile)),
    "502": _row("the answer is 502", *_REFUSED),
    "503": _row("the answer is 503", *_REFUSED),
    "504": _row("the answer is 504", *_REFUSED),
    "503 later": _row("the answer is 503 with Retry-After", *[(DONE, Unavailable)] * 4),
    "429": _row("the answer is 429", *[(DONE, RateLimited)] * 4),
    # the exchange does not end
    "stall": _row("no answer comes, and the connection stays open", *_ENDLESS, (DONE, OutOfTime), endless=True),
    "stall in body": _row("the body stops, and the connection stays open", *_ENDLESS, (DONE, OutOfTime), endless=True),
    "drip": _row("the reply comes one byte at a time", *_ENDLESS, (DONE, OutOfTime), endless=True),
    "drip in body": _row("the body comes one byte at a time", *_ENDLESS, (DONE, OutOfTime), endless=True),
}


@frozen
class Cell:
    """One cell of the matrix: a fault on a leg, once or lasting."""

    leg: Leg
    fault: str
    lasting: bool

    @property
    def ending(self) -> Ending:
        """How the errand ends."""
        row = ROWS[self.fault]
        return (row.lasting if self.lasting else row.once)[list(Leg).index(self.leg)]

    @property
    def endless(self) -> bool:
        """Whether only a timeout ends the exchange."""
        return ROWS[self.fault].endless
