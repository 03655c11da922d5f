"""Selectors that could never find anything are mistakes, and are refused when they are read."""

import pytest

from gofer.contracts.declared.selectors import Selector

WRONG = {
    "header:location~/jobs/(.*)": "no blanks around its ~",
    "header:location~^x$": "no blanks around its ~",
    "header:content type": "is no selector",
    "header:x/y": "is no selector",
    "sent:PUT~/things": "is no selector",
    "/jobs/[id={id}]/state": "is a template",
    "/jobs/{values.at}": "is a template",
    "/{+input.path}": "is a template",
    "header:{links.name}": "is a template",
    "header:location ~ /jobs/{id}$": "is a template",
    "/jobs/[0]": "is no choice",
    "/jobs/[id]": "is no choice",
    "/a~b": "has a ~",
}
RIGHT = [
    "header:Location ~ /jobs/([^/]{1,20})$",
    "header:x-ms-request_id",
    "/jobs/[id=7]/state",
    "/jobs/[id=]",
    "/id ~ ^[a-f0-9]{32}$",
    "/a ~ {[a-z]+}",
    "sent:put",
    "",
]


@pytest.mark.parametrize("text", WRONG)
def test_a_selector_that_cannot_match_is_refused(text: str) -> None:
    """The error says what to write, or that it is no selector."""
    with pytest.raises(ValueError, match=WRONG[text]):
        Selector.parse(text)


@pytest.mark.parametrize("text", RIGHT)
def test_a_selector_that_looks_like_one_of_them_is_taken(text: str) -> None:
    """Braces and brackets that mean something else are left alone."""
    assert Selector.parse(text).text == text
