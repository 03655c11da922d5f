"""The ticket: a short string that identifies a job in any process.

It has the contract's name, the service's address, the job's id and links, and the time of the submission. It has no
deadline, no idempotency key and no credential. This module reads and writes tickets, and does nothing else.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping

from attrs import field, frozen

from gofer.errors import TicketError

_VERSION = "gofer1"


@frozen
class Ticket:
    """A ticket that was read; `submitted` is wall time in seconds since the epoch, None if the ticket has none."""

    contract: str
    base: str
    id: str
    links: Mapping[str, str] = field(factory=dict[str, str])
    submitted: float | None = None

    def __str__(self) -> str:
        facts = {"c": self.contract, "o": self.base, "i": self.id, "l": dict(self.links), "t": self.submitted}
        body = json.dumps({name: value for name, value in facts.items() if value}, separators=(",", ":")).encode()
        check = zlib.crc32(body).to_bytes(4, "big")
        return f"{_VERSION}.{base64.urlsafe_b64encode(check + body).rstrip(b'=').decode()}"

    @classmethod
    def parse(cls, text: str) -> Ticket:
        """Read a ticket.

        Raises:
            TicketError: it is cut short or damaged, or from a newer gofer.
        """
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TicketError(f"A ticket is text, the value of job.ticket, not {type(text).__name__}.")
        version, _, packed = text.strip().partition(".")
        if version != _VERSION:
            raise TicketError(f"This gofer cannot read this ticket: it does not start with {_VERSION}.")
        try:
            raw = base64.b64decode(packed + "=" * (-len(packed) % 4), altchars=b"-_", validate=True)
            check, body = raw[:4], raw[4:]
            if zlib.crc32(body).to_bytes(4, "big") != check:
                raise TicketError("The ticket is damaged: its checksum is wrong. Copy it again, whole.")
            facts = json.loads(body)
            links = {str(name): str(value) for name, value in facts.get("l", {}).items()}
            submitted = None if facts.get("t") is None else float(facts["t"])
            return cls(str(facts["c"]), str(facts["o"]), str(facts.get("i", "")), links, submitted)
        except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
            if isinstance(error, TicketError):
                raise
            raise TicketError("The ticket cannot be read. Copy it again, whole.") from error
