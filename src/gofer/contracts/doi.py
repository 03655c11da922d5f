"""One spelling for a DOI: what people paste goes in, the lower-case name comes out.

Pure text, standard library only. Nothing is requested here: whether a DOI exists, only a service can say.
"""

import re
import unicodedata
from typing import Final
from urllib.parse import unquote

_RESOLVER: Final = re.compile(r"https?://(?:(?:dx|www)\.)?doi\.org/", re.IGNORECASE)
_LABEL: Final = re.compile(r"(?:info:doi/|doi:|doi\s)\s*", re.IGNORECASE)
_ARXIV: Final = re.compile(r"arxiv:\s*(\d{4}\.\d{4,5}|[a-z.-]+/\d{7})(?:v\d+)?", re.IGNORECASE)
_DOI: Final = re.compile(r"10\.\d{4,9}(?:\.\d+)*/\S+")

MAX_LENGTH: Final = 2048
"""Characters of a text that may be a DOI. Unicode normalization and nested percent-encoding take more than linear time,
so a longer text is refused unread."""


def normalize(text: str) -> str:
    """Give the DOI that ``text`` holds, in lower case and without decoration.

    Resolver addresses, ``doi:`` and ``info:doi/`` labels, percent-encoding and trailing punctuation are taken
    off; an arXiv identifier becomes its DOI, without the version.

    Raises:
        ValueError: the text is no DOI, or longer than `MAX_LENGTH`; the message shows one.
    """
    if len(text) > MAX_LENGTH:
        raise _not_a_doi(text)
    doi = unicodedata.normalize("NFKC", text).strip()
    if arxiv := _ARXIV.fullmatch(doi):
        return f"10.48550/arxiv.{arxiv[1]}".lower()
    if resolver := _RESOLVER.match(doi):
        # Only an address has a query or a fragment: both characters are legal inside a DOI.
        doi = re.split(r"[?#]", doi[resolver.end() :], maxsplit=1)[0]
    elif label := _LABEL.match(doi):
        doi = doi[label.end() :]
    while "%2f" in doi.lower():
        doi = unquote(doi)
    doi = _undecorate(doi).lower()
    if not _DOI.fullmatch(doi) or not doi.isprintable():
        raise _not_a_doi(text)
    return doi


def _not_a_doi(text: str) -> ValueError:
    return ValueError(
        f"{text[:80]!r} is not a DOI; a DOI looks like 10.1000/182, with four digits or more after its 10."
    )


def _undecorate(doi: str) -> str:
    """Drop the punctuation of the sentence around; a bracket stays when its partner is inside (SICI names)."""
    surplus = doi.count(")") - doi.count("(")
    end = len(doi)
    while end and (doi[end - 1] in ".,;:'\"" or (doi[end - 1] == ")" and surplus > 0)):
        end -= 1
        surplus -= doi[end] == ")"
    return doi[:end]
