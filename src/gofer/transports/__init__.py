"""The drivers and what they drive with: clocks, connections and the disk. No decision about an errand is made here.

What a wire of one's own needs (`Client(url, io=...)`) is named here: the two protocols and the values they exchange.
"""

from gofer.core.commands import Now
from gofer.transports.base import IO, AsyncBody, AsyncIO, Body
from gofer.wire import Head, Reply, Request

__all__ = ["IO", "AsyncBody", "AsyncIO", "Body", "Head", "Now", "Reply", "Request"]
