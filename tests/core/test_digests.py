"""Which digest of the complete file a reply names, and that it is computed right."""

import base64
import hashlib
import zlib

import pytest

from gofer.core.digests import LENGTHS, Digest, digest_bytes, digest_of
from gofer.wire import Head

DATA = b"%PDF-1.7 a file"


def b64(algorithm, data=DATA):
    """A digest as header fields write it."""
    return base64.b64encode(digest_bytes(algorithm, data)).decode()


def named(status=200, **fields):
    """The algorithm of the digest that these fields name; it must be the file's."""
    head = Head("http://a.test", status, {name.replace("_", "-"): text for name, text in fields.items()})
    digest = digest_of(head)
    if digest is None:
        return None
    assert digest.value == digest_bytes(digest.algorithm, DATA)
    return digest.algorithm


SHA256, SHA512 = f"sha-256=:{b64('sha256')}:", f"sha-512=:{b64('sha512')}:"
WRONG = f"sha-256=:{b64('sha256', b'other')}:"


@pytest.mark.parametrize(
    ("fields", "algorithm"),
    [
        ({"repr_digest": SHA256}, "sha256"),
        ({"repr_digest": SHA512}, "sha512"),
        ({"repr_digest": f"{SHA256}, {SHA512}"}, "sha512"),
        ({"repr_digest": f"SHA-256{SHA256[7:]}"}, "sha256"),
        ({"repr_digest": f'{SHA256};q=1;note="a, b=c"'}, "sha256"),
        ({"repr_digest": f'new="x, sha-512=:AAAA:", list=(1 2);p, {SHA256}'}, "sha256"),
        ({"repr_digest": f"{WRONG},{SHA256}"}, "sha256"),
        ({"repr_digest": f"sha-256=:AAAA:, md5=:{b64('md5')}:"}, "md5"),
        ({"content_digest": SHA512}, "sha512"),
        ({"content_digest": WRONG, "repr_digest": SHA256}, "sha256"),
        ({"content_md5": b64("md5")}, "md5"),
        ({"x_goog_hash": f"crc32c=AAAAAA==, md5={b64('md5')}"}, "md5"),
        ({"x_amz_checksum_sha256": b64("sha256")}, "sha256"),
        ({"x_amz_checksum_sha1": b64("sha1")}, "sha1"),
        ({"x_amz_checksum_crc32": b64("crc32")}, "crc32"),
        ({"x_amz_checksum_crc32c": "AAAAAA==", "x_amz_checksum_crc32": b64("crc32")}, "crc32"),
        ({"x_amz_checksum_crc64nvme": "AAAAAAAAAAA=", "x_amz_checksum_sha256": b64("sha256")}, "sha256"),
        ({"repr_digest": f"crc32c=:AAAAAA==:, {SHA256}"}, "sha256"),
    ],
    ids=str,
)
def test_the_strongest_named_digest_counts(fields, algorithm):
    """A digest is read from the fields of RFC 9530, from Content-MD5 and from those of the object stores."""
    assert named(**fields) == algorithm


@pytest.mark.parametrize(
    "fields",
    [
        {"etag": f'"{hashlib.md5(DATA).hexdigest()}"'},
        {"etag": f'"{b64("sha256")}"'},
        {"repr_digest": "sha-256=:AAAA:"},
        {"repr_digest": f"sha-256={b64('sha256')}"},
        {"repr_digest": f"sha-256=:{b64('sha256')}"},
        {"repr_digest": f'{SHA256}, new="not closed'},
        {"repr_digest": f'"{SHA256}"'},
        {"repr_digest": f"sha-256=:{b64('sha256')}:é"},
        {"content_md5": hashlib.md5(DATA).hexdigest()},
        {"content_md5": "é"},
        {"x_amz_checksum_sha256": f"{b64('sha256')}-3"},
        {"x_amz_checksum_crc32c": "AAAAAA=="},
        {"x_amz_checksum_crc64nvme": "AAAAAAAAAAA="},
        {"x_amz_checksum_crc32": f"{b64('crc32')}-2"},
        {"x_goog_hash": "crc32c=AAAAAA=="},
        {"repr_digest": "crc32c=:AAAAAA==:"},
        {"x_goog_hash": f"md5={b64('md5')}", "x_goog_stored_content_encoding": "gzip"},
        {},
    ],
    ids=str,
)
def test_what_is_no_digest_of_the_file_is_not_taken_for_one(fields):
    """An entity tag, a malformed field, a digest of other bytes, and an algorithm that is not verified name nothing."""
    assert named(**fields) is None


def test_a_206_names_the_complete_file_by_repr_digest_only():
    """Content-Digest and Content-MD5 of a 206 are those of the part."""
    assert named(206, content_digest=SHA256, content_md5=b64("md5")) is None
    assert named(206, repr_digest=SHA256, content_md5=b64("md5", b"part")) == "sha256"


@pytest.mark.parametrize("piece", ['"', '"\\', ";", ",", "a=", 'a="', "a=(", ":", "=:", " ", "é"])
def test_a_long_field_is_read_soon(piece):
    """A field of any content and length is read without a search that grows with its square."""
    for size in (1000, 300_000):
        assert digest_of(Head("http://a.test", 200, {"repr-digest": "a" + piece * size, "x-goog-hash": piece})) is None


def test_every_algorithm_gives_its_length():
    """The table of lengths says what each algorithm gives; crc32 is zlib's."""
    assert {name: len(digest_bytes(name, DATA)) for name in LENGTHS} == LENGTHS
    assert digest_bytes("crc32", DATA) == zlib.crc32(DATA).to_bytes(4, "big")


def test_an_algorithm_that_does_not_exist_is_a_value_error():
    """A digest of a damaged note is refused when it is read."""
    with pytest.raises(ValueError, match="algorithm"):
        Digest("sha3", b"")
