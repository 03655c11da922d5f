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
    ENCRYPTED = "ENCRYPTED", "the PDF cannot be opened without a password"
    UNREACHABLE = "UNREACHABLE", "it could not be read, or its host did not answer"
    HTTP_ERROR = "HTTP_ERROR", "its host answered with an error"
    HOST_GIVEN_UP = "HOST_GIVEN_UP", "its host has failed several times, and is left alone for a while"
    TOO_BIG = "TOO_BIG", "the file is larger than the service takes"
    GONE = "GONE", "there is nothing at this address"
    NO_ACCESS = "NO_ACCESS", "the host gives it to its subscribers only"
    NO_LINK = "NO_LINK", "the page has no link to the paper"
    REFUSED_ADDRESS = "REFUSED_ADDRESS", "the service does not go to this address, which is private or unusual"
    UNKNOWN_DOI = "UNKNOWN_DOI", "it has no record of this DOI"
    SOURCE_DOWN = "SOURCE_DOWN", "the source did not answer as it should"
    SOURCE_REFUSED = "SOURCE_REFUSED", "the source refused to answer: its key or e-mail address may be wrong"
    VPN_DOWN = "VPN_DOWN", "it needs the VPN, which is down"

    def __new__(cls, value: str, words: str) -> "Flaw":
        """Make a flaw out of its code and its words."""
        self = str.__new__(cls, value)
        self._value_, self.words = value, words
        return self


def words_of(code: str | None) -> str | None:
    """Return the words for a code; None for one that this version does not have."""
    return next((flaw.words for flaw in Flaw if str(flaw) == code), None)
