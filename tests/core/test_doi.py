"""The spellings of a DOI, and texts that are not DOIs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gofer.contracts.doi import normalize

SICI = "10.1002/(SICI)1097-0258(19980815)17:15/16<1661::AID-SIM968>3.0.CO;2-2"


@pytest.mark.parametrize(
    "text",
    [
        "10.1000/Abc",
        "  10.1000/ABC \n",
        "doi:10.1000/abc",
        "DOI: 10.1000/abc",
        "DOI 10.1000/abc",
        "info:doi/10.1000/abc",
        "https://doi.org/10.1000/abc",
        "http://dx.doi.org/10.1000/ABC?utm=1#top",
        "https://www.doi.org/10.1000%2Fabc",
        "10.1000%2Fabc",
        "10.1000/abc.",
        "10.1000/abc),",
        "１０.1000/abc",
    ],
)
def test_one_paper_has_one_spelling(text: str) -> None:
    """Every way to write the same DOI gives the same text."""
    assert normalize(text) == "10.1000/abc"


@pytest.mark.parametrize(
    ("text", "doi"),
    [
        (SICI, SICI.lower()),
        (f"https://doi.org/{SICI}", SICI.lower()),
        ("10.1016/S0140-6736(05)67889-0", "10.1016/s0140-6736(05)67889-0"),
        ("10.1016/0140-6736(05)", "10.1016/0140-6736(05)"),
        ("10.1000/what?ever#1", "10.1000/what?ever#1"),
        ("10.1000.10/x", "10.1000.10/x"),
    ],
)
def test_legal_characters_survive(text: str, doi: str) -> None:
    """Brackets, semicolons and question marks of a DOI are kept."""
    assert normalize(text) == doi


@pytest.mark.parametrize(
    ("text", "doi"),
    [
        ("arXiv:2101.00001v2", "10.48550/arxiv.2101.00001"),
        ("arxiv: 2101.00001", "10.48550/arxiv.2101.00001"),
        ("arXiv:hep-th/9901001", "10.48550/arxiv.hep-th/9901001"),
        ("10.48550/arXiv.2101.00001", "10.48550/arxiv.2101.00001"),
    ],
)
def test_an_arxiv_identifier_becomes_its_doi(text: str, doi: str) -> None:
    """An arXiv identifier is read as the DOI that arXiv registers for it, without the version."""
    assert normalize(text) == doi


@pytest.mark.parametrize(
    "text", ["", "hello", "10.1000", "10.1000/", "10.1000/.", "10.1/abc", "10.1000/a b", "11.1000/abc", "10.1000/a\0b"]
)
def test_a_text_that_is_no_doi_is_refused(text: str) -> None:
    """A text that is no DOI raises a ValueError with an example of one."""
    with pytest.raises(ValueError, match=r"looks like 10\.1000/182"):
        normalize(text)


@given(st.text(max_size=60))
def test_normalizing_twice_changes_nothing(tail: str) -> None:
    """A normalized DOI is normalized to itself."""
    try:
        once = normalize("10.1000/" + tail)
    except ValueError:
        return
    assert normalize(once) == once
