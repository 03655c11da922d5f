"""What is said to each of the real servers: scripts that are held live, recorded, and replayed."""

from . import (  # noqa: F401  (they enter their scripts in the table)
    with_a2a,
    with_autorest,
    with_fastmcp,
    with_flower,
    with_openeo,
    with_pygeoapi,
    with_sekmet,
    with_spector,
    with_wes,
)
from .script import CONVERSATIONS, PLENTY, SERVERS, aconverse, converse

__all__ = ["CONVERSATIONS", "PLENTY", "SERVERS", "aconverse", "converse"]
