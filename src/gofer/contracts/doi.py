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


def normalize(text: str) -> str:
    """Give the DOI that ``text`` holds, in lower case and without decoration.

    Resolver addresses, ``doi:`` and ``info:doi/`` labels, percent-encoding and trailing punctuation are taken
    off; an arXiv identifier becomes its DOI, without the version.

    Raises:
        ValueError: the text is no DOI; the message shows one.
    """
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
        raise ValueError(
            f"{text[:80]!r} is not a DOI; a DOI looks like 10.1000/182, with four digits or more after its 10."
        )
    return doi


def _undecorate(doi: str) -> str:
    """Drop the punctuation of the sentence around; a bracket stays when its partner is inside (SICI names)."""
    while doi and (doi[-1] in ".,;:'\"" or (doi[-1] == ")" and doi.count(")") > doi.count("("))):
        doi = doi[:-1]
    return doi
