"""The codes of `attempts[]`, each with its words: why a place that the retrieval service tried did not have the paper.

The service writes the codes, and the command line prints the words. Nothing else of the contract lives here.
"""

from enum import StrEnum


class Flaw(StrEnum):
    """One reason, as the service sends it; `words` says it to people."""

    words: str

    EMPTY = "EMPTY", "the file is empty"
    NOT_THE_FILE = "NOT_THE_FILE", "not a PDF, EPUB, XML or saved HTML page"
    LOGIN_PAGE = "LOGIN_PAGE", "a web page that asks for a login or a payment"
    BLOCKED = "BLOCKED", "a web page that wants to know whether a robot is asking"
    METADATA_ONLY = "METADATA_ONLY", "an XML file without <body>: it describes the paper and has no text"
    TRUNCATED = "TRUNCATED", "the PDF breaks off: its end mark %%EOF is missing"
    BROKEN_PDF = "BROKEN_PDF", "the PDF cannot be read, or has no pages"
    BROKEN_EPUB = "BROKEN_EPUB", "the EPUB is damaged"
    WRONG_PAPER = "WRONG_PAPER", "its first pages do not have the title that was asked for"
    TOO_COSTLY = "TOO_COSTLY", "checking it takes too much time or memory"
    UNREACHABLE = "UNREACHABLE", "the file cannot be read"
    VPN_DOWN = "VPN_DOWN", "it needs the VPN, which is down"

    def __new__(cls, value: str, words: str) -> "Flaw":
        """Make a flaw out of its code and its words."""
        self = str.__new__(cls, value)
        self._value_, self.words = value, words
        return self


def words_of(code: str | None) -> str | None:
    """Return the words for a code; None for one that this version does not have."""
    return next((flaw.words for flaw in Flaw if str(flaw) == code), None)
