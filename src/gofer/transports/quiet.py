"""What the HTTP library may log of gofer's requests: nothing that may be a secret, at any level.

httpx logs each address, with its query, and httpcore each header. Here every logger of theirs gets a filter that acts
on the records of gofer's own requests only; other programs' records pass untouched. To see each request of gofer, use
the logger "gofer" at DEBUG.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar
from functools import cache

from gofer.wire import shown

ours = ContextVar("ours", default=False)
"""Whether a request of gofer's is under way here."""

_LOGGERS = (
    *("httpx", "httpx2", "h11", "h2", "hpack", "hpack.hpack", "hpack.table"),
    *(
        f"{core}.{part}"
        for core in ("httpcore", "httpcore2")
        for part in ("connection", "http11", "http2", "proxy", "socks")
    ),
)


def _without_secrets(record: logging.LogRecord) -> bool:
    """Drop a record of gofer's own request, or take the query out of its address."""
    if not ours.get():
        return True
    if record.name not in ("httpx", "httpx2") or not isinstance(record.args, tuple):
        return False
    record.args = tuple(shown(str(one)) if "://" in str(one) else one for one in record.args)
    return True


@cache
def hush() -> None:
    """Lay the filter on every logger of the HTTP libraries, once: a filter on a parent does not see its children's."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_without_secrets)
