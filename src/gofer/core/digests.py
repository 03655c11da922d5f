"""Digests of complete files: which reply names one, and how one is computed. Nothing here reads a file.

The fields are those of the standards and of the object stores. Other headers are `judging.py`'s.
"""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from collections.abc import Mapping
from typing import Protocol

from attrs import field, frozen
from attrs.validators import in_, instance_of

from gofer.wire import Head

LENGTHS: Mapping[str, int] = {"sha512": 64, "sha256": 32, "sha1": 20, "md5": 16, "crc32": 4}
"""The algorithms of digests that are verified, the strongest first, and how many bytes each gives."""


@frozen
class Digest:
    """A digest of a complete file: its algorithm, one of `LENGTHS`, and its value.

    Raises:
        ValueError: there is no such algorithm.
    """

    algorithm: str = field(validator=in_(LENGTHS))
    value: bytes = field(repr=False, validator=instance_of(bytes))


class Hasher(Protocol):
    """A digest that is being computed."""

    def update(self, data: bytes, /) -> None:
        """Take in the next bytes."""
        ...

    def digest(self) -> bytes:
        """Return the value for all bytes so far."""
        ...


class _Crc32:
    """zlib's CRC-32 in the form of hashlib's algorithms."""

    def __init__(self) -> None:
        self._sum = 0

    def update(self, data: bytes, /) -> None:
        self._sum = zlib.crc32(data, self._sum)

    def digest(self) -> bytes:
        return self._sum.to_bytes(4, "big")


def hasher(algorithm: str) -> Hasher:
    """Begin to compute a digest."""
    return _Crc32() if algorithm == "crc32" else hashlib.new(algorithm, usedforsecurity=False)


def digest_bytes(algorithm: str, data: bytes) -> bytes:
    """Compute the digest of bytes in memory."""
    made = hasher(algorithm)
    made.update(data)
    return made.digest()


# --- what replies name ---

_NAMES = {"sha-512": "sha512", "sha-256": "sha256", "sha": "sha1", "md5": "md5"}
"""The names that RFC 9530 registers for them. crc32c is missing: nothing that Python has computes it fast enough."""

_MEMBER = re.compile(r"""[ \t]*([\w*.-]+)((?:"(?:[^"\\]|\\.)*"|[^",])*)(?:,|$)""", re.ASCII)
"""A member of a dictionary field (RFC 8941, section 3.2): its key, and its value with its parameters."""

_LONGEST_FIELD = 4096


def digest_of(head: Head) -> Digest | None:
    """Return the strongest digest that a reply names for the complete file, or None.

    A 206 has only Repr-Digest for it (RFC 9530, section 3): what the other fields name there may be the part. An entity
    tag is never a digest, whatever it looks like.
    """
    fields = [_dictionary(head, "repr-digest")]
    if head.status != 206:
        fields += [_dictionary(head, "content-digest"), _stored_digests(head)]
    for algorithm, length in LENGTHS.items():
        for named in fields:
            if len(named.get(algorithm, b"")) == length:
                return Digest(algorithm, named[algorithm])
    return None


def _dictionary(head: Head, name: str) -> dict[str, bytes]:
    """Read a dictionary of digests: a repeated key's last member counts, and a malformed field has no member."""
    text, at = head.headers.get(name, "").rstrip(), 0
    named: dict[str, bytes] = {}
    while at < len(text) <= _LONGEST_FIELD:
        member = _MEMBER.match(text, at)
        if member is None:
            return {}
        value = re.match(r"=:([A-Za-z0-9+/=]*):[ \t]*(?:;|$)", member[2].rstrip())
        named[_NAMES.get(member[1].lower(), "")] = _base64(value[1] if value else "")
        at = member.end()
    return named


def _stored_digests(head: Head) -> dict[str, bytes]:
    """Read the digests that object stores name."""
    fields, named = head.headers, dict[str, bytes]()
    for algorithm in LENGTHS:
        named[algorithm] = _base64(fields.get(f"x-amz-checksum-{algorithm}", ""))
    if fields.get("x-goog-stored-content-encoding", "identity") == fields.get("content-encoding", "identity"):
        for member in fields.get("x-goog-hash", "")[:_LONGEST_FIELD].split(","):
            name, _, value = member.strip().partition("=")
            named["md5"] = _base64(value) if name == "md5" else named["md5"]
    named["md5"] = _base64(fields.get("content-md5", "")) or named["md5"]
    return named


def _base64(text: str) -> bytes:
    """Decode base64; empty for anything else, as for the digest of digests that a multipart upload has."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""
