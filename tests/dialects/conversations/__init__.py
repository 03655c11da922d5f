"""What is said to each of the real servers: scripts that are held live, recorded, and replayed."""

# They enter their scripts in the table.
from . import with_autorest, with_flower, with_pygeoapi, with_spector, with_wes  # noqa: F401
from .script import CONVERSATIONS, PLENTY, SERVERS, aconverse, converse

__all__ = ["CONVERSATIONS", "PLENTY", "SERVERS", "aconverse", "converse"]
