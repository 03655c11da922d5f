"""How fast the requests of many errands may leave for one service: a rate of the caller's, and the service's own words.

A refusal that asks to come later slows everybody, and speed comes back by degrees. Numbers only: nothing waits here.
"""

from __future__ import annotations

import math
import re

from gofer.core.judging import retry_after
from gofer.wire import Head

FIRST_GAP = 0.05
"""Seconds between two requests after the first refusal that asked to come later; each further one doubles them."""

LONGEST_GAP = 10.0
"""Seconds between two requests at most, whatever the service refuses."""

LONGEST_PAUSE = 120.0
"""Seconds for which all requests stop at most, whatever the service asks for."""

QUICKER = 0.9
"""What the gap is multiplied by after each good answer, until the caller's own rate is reached."""


class Pace:
    """The pace of one batch; times are monotonic seconds."""

    def __init__(self, per_second: float | None = None) -> None:
        self._least = 0.0 if per_second is None else 1.0 / per_second
        self._gap = self._least
        self._slowed = -math.inf
        self.free_at = -math.inf
        """When the next request may leave."""

    def sent(self, now: float) -> None:
        """Note that a request leaves now."""
        self.free_at = max(now, self.free_at) + self._gap

    def heard(self, head: Head, now: float, wall: float) -> None:
        """Take in what an answer says about the pace."""
        asked = retry_after(head, wall)
        if head.status == 429 or (head.status in (503, 529) and asked is not None):
            pause = min(1.0 if asked is None else asked, LONGEST_PAUSE)
            if now >= self._slowed:  # many that left together are refused together, and count once
                self._slowed = now + max(pause, self._gap)
                self._gap = min(max(2 * self._gap, FIRST_GAP), LONGEST_GAP)
            self.free_at = max(self.free_at, now + pause)
        elif head.status < 400:
            self._gap = max(self._least, self._gap * QUICKER if self._gap > FIRST_GAP / 8 else 0.0)
            self.free_at = max(self.free_at, now + min(_until_reset(head), LONGEST_PAUSE))


def _until_reset(head: Head) -> float:
    """Return the seconds until more requests are allowed, if none is left; else 0.

    The fields of the IETF's draft (draft-ietf-httpapi-ratelimit-headers): `RateLimit: "name";r=0;t=30`, and the older
    pair `RateLimit-Remaining` and `RateLimit-Reset`, both in seconds.
    """
    policy = head.headers.get("ratelimit", "")[:1000]
    left, reset = re.search(r";\s*r=([0-9]{1,9})", policy), re.search(r";\s*t=([0-9]{1,6})", policy)
    if left is not None and reset is not None:
        return float(reset[1]) if int(left[1]) == 0 else 0.0
    remaining, seconds = head.headers.get("ratelimit-remaining", ""), head.headers.get("ratelimit-reset", "")
    if re.fullmatch(r"0{1,9}", remaining.strip()) and re.fullmatch(r"[0-9]{1,6}", seconds.strip()):
        return float(seconds)
    return 0.0
