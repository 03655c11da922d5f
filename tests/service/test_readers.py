"""What callers and files send is read in linear time: eight times the text takes about eight times as long."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.exceptions import HTTPException

from gofer.contracts.doi import MAX_LENGTH, normalize
from gofer_service.files import _disposition  # pyright: ignore[reportPrivateUsage]
from gofer_service.headers import read_key, read_prefer, read_range, read_tags, wants_sha256
from gofer_service.submissions import MAX_BODY, parse_submission
from support.linear import is_linear

READERS: dict[str, Callable[[str], object]] = {
    "Prefer": read_prefer,
    "Idempotency-Key": read_key,
    "If-None-Match": read_tags,
    "Range": lambda text: read_range(f"bytes={text}", 1000),
    "Want-Repr-Digest": wants_sha256,
    "doi": normalize,
    "body": lambda text: parse_submission(text.encode()),
    "doi in a body": lambda text: parse_submission(b'{"doi": "10.1000/%s"}' % text.encode()),
    "file name": _disposition,
}
PIECES = [
    "a",
    "1",
    "=",
    ",",
    ";",
    " ",
    '"',
    "\\",
    "/",
    ".",
    "-",
    ":",
    "(",
    ")",
    "[",
    "{",
    "%",
    "25",
    "2f",
    "W/",
    "\u0301",
    "\u0323",
]


@pytest.mark.parametrize("name", READERS)
def test_a_reader_takes_linear_time(name: str) -> None:
    """Whatever is repeated, a text of eight times the length is read in about eight times the time."""

    @settings(max_examples=25, deadline=None, database=None)
    @given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map("".join))
    def check(piece: str) -> None:
        assert is_linear(READERS[name], piece, HTTPException), f"{piece!r}, repeated, takes more than linear time"

    check()


@pytest.mark.parametrize("piece", ["a", ")", "%25", "\u0301\u0323", '"', "a=", " "])
@pytest.mark.parametrize("name", READERS)
def test_the_usual_traps_are_read_in_linear_time(name: str, piece: str) -> None:
    """Long runs of one character, brackets, nested encodings and combining marks take linear time in every reader."""
    assert is_linear(READERS[name], piece, HTTPException)


@pytest.mark.parametrize("piece", [")", "(", ".", "%2f", "\u0301\u0323", "x"])
def test_a_text_that_is_too_long_is_no_doi(piece: str) -> None:
    """A DOI has a greatest length; a longer text is refused, and the message shows its beginning only."""
    longest = "10.1000/" + "x" * (MAX_LENGTH - 8)
    assert normalize(longest) == longest
    with pytest.raises(ValueError, match="is not a DOI") as refusal:
        normalize("10.1000/" + piece * MAX_BODY)
    assert len(str(refusal.value)) < 1000


def test_brackets_at_the_end_are_counted_once() -> None:
    """Only the brackets that nothing opens are dropped, however many there are."""
    assert normalize("10.1000/a(b)" + ")" * 1000 + ".") == "10.1000/a(b)"
    assert normalize("10.1000/((a" + ")" * 5) == "10.1000/((a))"
