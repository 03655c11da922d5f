"""What happens for each fault on each leg, as data: the matrix tests it on every driver, the docs show it.

A fault meets one exchange of a leg (`once`) or all of them (`lasting`). An ending is DONE or the error that is raised.
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
    """A leg of an errand, and how the service and the caller do it."""

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
        words: what happens, in a few words for people.
        once: the ending where it happens to one exchange of the leg, in the order of the legs.
        lasting: the ending where it happens to every one.
        endless: left alone, the exchange would not end; the caller's budget ends it.
    """

    words: str
    once: tuple[Ending, ...]
    lasting: tuple[Ending, ...]
    endless: bool = False


def _row(words: str, *endings: tuple[Ending, Ending], endless: bool = False) -> Row:
    """Write a row leg by leg, each as (once, lasting); what is held ends as what is not."""
    submit, keyless, poll, download = endings
    once, lasting = zip(submit, submit, keyless, poll, poll, download, strict=True)
    return Row(words, once, lasting, endless)


_LOST = ((DONE, SubmitUncertain), (SubmitUncertain, SubmitUncertain), (DONE, AnswerLost))
_REFUSED = ((DONE, SubmitUncertain), (SubmitUncertain, SubmitUncertain), (DONE, Unavailable), (DONE, Unavailable))
_ENDLESS = ((DONE, OutOfTime), (SubmitUncertain, OutOfTime), (DONE, WaitTimeout))

ROWS: Mapping[str, Row] = {
    # no connection, or none to be trusted: nothing was sent
    "refused": _row("the connection is refused", *[(DONE, Unreachable)] * 4),
    "untrusted": _row(
        "the certificate is not trusted",
        *[(UntrustedCertificate, UntrustedCertificate)] * 2,
        *[(DONE, UntrustedCertificate)] * 2,
    ),
    "no tls": _row("the TLS handshake is answered with something else", *[(DONE, Unreachable)] * 4),
    # the answer is lost
    "closed at once": _row("the connection is accepted and closed", *_LOST, (DONE, AnswerLost)),
    "reset before": _row("it is reset before the service has the request", *_LOST, (DONE, AnswerLost)),
    "reset after": _row("it is reset after the service has acted", *_LOST, (DONE, AnswerLost)),
    "closed after": _row("it is closed after the service has acted", *_LOST, (DONE, AnswerLost)),
    "reset in head": _row("it is reset in the reply's head", *_LOST, (DONE, AnswerLost)),
    "closed in head": _row("it is closed in the reply's head", *_LOST, (DONE, AnswerLost)),
    "reset in body": _row("it is reset in the reply's body", *_LOST, (DONE, DONE)),
    "closed in body": _row("it is closed in the reply's body", *_LOST, (DONE, DONE)),
    "tls garbage": _row("TLS breaks in the reply's body", *_LOST, (DONE, DONE)),
    # something else is in its place
    "garbage": _row("bytes that are not HTTP come instead", *_LOST, (DONE, AnswerLost)),
    "html": _row("a web page comes instead, with status 200", *_LOST[:2], (DONE, BadReply), (WrongFile, WrongFile)),
    "gzip": _row("the body comes packed", *_LOST[:2], (DONE, BadReply), (WrongFile, WrongFile)),
    "502": _row("502 comes instead", *_REFUSED),
    "503": _row("503 comes instead", *_REFUSED),
    "504": _row("504 comes instead", *_REFUSED),
    "503 later": _row("503 comes instead, with Retry-After", *[(DONE, Unavailable)] * 4),
    "429": _row("429 comes instead", *[(DONE, RateLimited)] * 4),
    # it does not end
    "stall": _row("no answer comes, the connection stays open", *_ENDLESS, (DONE, OutOfTime), endless=True),
    "stall in body": _row("the reply's body stops coming", *_ENDLESS, (DONE, OutOfTime), endless=True),
    "drip": _row("the reply comes a byte at a time, head first", *_ENDLESS, (DONE, OutOfTime), endless=True),
    "drip in body": _row("its body comes a byte at a time", *_ENDLESS, (DONE, OutOfTime), endless=True),
}


@frozen
class Cell:
    """One square of the matrix: a fault on a leg, once or lasting."""

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
        """Whether only the caller's patience ends the exchange."""
        return ROWS[self.fault].endless
