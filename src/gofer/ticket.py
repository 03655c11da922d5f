"""The ticket: a short string that finds a job again from any process.

It holds the contract's name, the service's address, where the job is and when it was submitted. It holds no deadline,
no idempotency key, no credential. Reading and writing it is all that lives here.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Mapping

from attrs import field, frozen

from gofer.errors import TicketError

_VERSION = "gofer1"


@frozen
class Ticket:
    """A ticket, read: `submitted` is wall time in seconds since the epoch, None when it is not known."""

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
            TicketError: it is cut short or garbled, or a newer gofer wrote it.
        """
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TicketError(f"A ticket is text, as job.ticket gives it, not {type(text).__name__}.")
        version, _, packed = text.strip().partition(".")
        if version != _VERSION:
            raise TicketError(f"This is no ticket that this gofer can read: it does not start with {_VERSION}.")
        try:
            raw = base64.b64decode(packed + "=" * (-len(packed) % 4), altchars=b"-_", validate=True)
            check, body = raw[:4], raw[4:]
            if zlib.crc32(body).to_bytes(4, "big") != check:
                raise TicketError("The ticket is damaged: its check sum is wrong. Copy it again, whole.")
            facts = json.loads(body)
            links = {str(name): str(value) for name, value in facts.get("l", {}).items()}
            return cls(str(facts["c"]), str(facts["o"]), str(facts.get("i", "")), links, facts.get("t"))
        except (binascii.Error, ValueError, KeyError, AttributeError) as error:
            if isinstance(error, TicketError):
                raise
            raise TicketError("The ticket cannot be read. Copy it again, whole.") from error
