"""Parsing request headers."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gofer_service.headers import Preferences, Unsatisfiable, read_key, read_prefer, read_range, read_tags


@pytest.mark.parametrize(
    ("field", "read"),
    [
        ("", Preferences(respond_async=False, wait=None)),
        ("wait=5", Preferences(respond_async=False, wait=5)),
        ("respond-async, wait=10", Preferences(respond_async=True, wait=10)),
        ("Respond-Async;x=1,WAIT = 7", Preferences(respond_async=True, wait=7)),
        ('wait="3"', Preferences(respond_async=False, wait=3)),
        ("wait=3, wait=9", Preferences(respond_async=False, wait=3)),
        ("wait=0", Preferences(respond_async=False, wait=0)),
        ("wait=99999999999999999999", Preferences(respond_async=False, wait=20)),
        ("handling=lenient; wait=4, return=minimal", Preferences(respond_async=False, wait=None)),
    ],
)
def test_preferences_are_read(field: str, read: Preferences) -> None:
    """Names are case-insensitive, the first of two counts, parameters are not preferences, and waits are cut."""
    assert read_prefer(field) == read


@pytest.mark.parametrize(
    ("field", "key"),
    [('"a b"', "a b"), ("8e03978e-40d5", "8e03978e-40d5"), (r'"a\"b\\c"', r"a\"b\c".replace(r"\"", '"'))],
)
def test_keys_are_strings_or_tokens(field: str, key: str) -> None:
    """A structured-field string is unescaped; a token without quotes stands for itself."""
    assert read_key(field) == key


@pytest.mark.parametrize(
    ("field", "tags"), [("", set()), ("*", {"*"}), ('"a"', {"a"}), ('W/"a", "b,c"', {"a", "b,c"}), ("a", set())]
)
def test_tags_are_read_weak_or_strong(field: str, tags: set[str]) -> None:
    """If-None-Match compares weakly, so the mark of weakness is dropped."""
    assert read_tags(field) == tags


@given(st.text(max_size=30), st.integers(1, 1000))
def test_a_range_is_within_the_file_or_none(text: str, size: int) -> None:
    """Whatever Range says, what is read lies inside the file."""
    try:
        span = read_range(f"bytes={text}", size)
    except Unsatisfiable:
        return
    assert span is None or (0 <= span.start < size and 0 < span.length <= size - span.start)


@given(st.text(max_size=100))
def test_any_text_is_read_without_a_fault(text: str) -> None:
    """No header value makes the readers fail, except for a key that is refused."""
    wait = read_prefer(text).wait
    assert wait is None or 0 <= wait <= 20
    read_tags(text)
    with suppress(ValueError):
        assert read_key(text)
