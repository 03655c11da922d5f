"""The format of a file, and whether it can be the paper: both follow from its bytes alone.

File names, headers and what a source promises do not count: login pages arrive as ``application/pdf``, and papers as
``application/octet-stream``. Everything here blocks; call `check` from a thread.
"""

import re
import unicodedata
import zipfile
from pathlib import Path
from typing import Final

from pypdf.errors import DependencyError

from gofer.contracts.flaws import Flaw
from gofer_service.pdf import open_pdf

_CHALLENGE: Final = (b"just a moment", b"captcha", b"cf-challenge", b"are you a robot", b"verify you are human")
_LOGIN: Final = (b"sign in", b"log in", b"login", b"purchase", b"institutional access", b'type="password"')
_MARKUP: Final = (b"<!doctype html", b"<html", b"<head", b"<body", b"<script", b"<!--")


class Unfit(Exception):
    """Raised when a file cannot be the paper."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(f"{flaw.value}: {flaw.words}")
        self.flaw = flaw


def sniff(head: bytes) -> str:
    """Return the kind of a file from its first 2 KiB: a format, or ``empty zip gzip text unknown``."""
    if not head:
        return "empty"
    if b"%PDF-" in head[:1024]:  # leading junk is legal
        return "pdf"
    if head.startswith(b"PK\x03\x04"):
        return "epub" if head[30:58] == b"mimetypeapplication/epub+zip" else "zip"
    if head.startswith(b"\x1f\x8b"):
        return "gzip"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip(b"\0 \t\r\n").lower()
    html_doctype = start.startswith(b"<!doctype html")
    if start.startswith((b"<?xml", b"<article")) or (start.startswith(b"<!doctype") and not html_doctype):
        return "html" if b"<html" in start[:2048] else "xml"  # login pages come as XHTML
    if start.startswith(_MARKUP):
        return "html"
    return "text" if _is_text(head) else "unknown"


def check(path: Path, title: str | None = None, *, html: bool = False) -> str:
    """Return the format of the paper in ``path``; blocks while it reads.

    Args:
        path: the file.
        title: half of its words must be on the first pages of a PDF, if these pages have text.
        html: whether an HTML page can be the paper.

    Raises:
        Unfit: the file cannot be the paper.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(2048)
    kind = sniff(head)
    match kind:
        case "pdf":
            _check_pdf(path, title)
        case "epub":
            _check_epub(path)
        case "xml":
            if b"<body" not in path.read_bytes():
                raise Unfit(Flaw.METADATA_ONLY)
        case "html":
            _check_html(path.read_bytes()[: 64 * 1024].lower(), wanted=html)
        case "empty":
            raise Unfit(Flaw.EMPTY)
        case _:
            raise Unfit(Flaw.NOT_THE_FILE)
    return kind


def _is_text(head: bytes) -> bool:
    try:
        head.decode()
    except UnicodeDecodeError as error:
        # The head may end within a character.
        return error.start > len(head) - 4 and error.reason == "unexpected end of data"
    return True


def _check_html(page: bytes, *, wanted: bool) -> None:
    if any(word in page for word in _CHALLENGE):
        raise Unfit(Flaw.BLOCKED)
    if any(word in page for word in _LOGIN):
        raise Unfit(Flaw.LOGIN_PAGE)
    if not wanted:
        raise Unfit(Flaw.NOT_THE_FILE)


def _check_epub(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as book:
            intact = book.testzip() is None
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError):
        intact = False
    if not intact:
        raise Unfit(Flaw.BROKEN_EPUB)


def _check_pdf(path: Path, title: str | None) -> None:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 2048))
        if b"%%EOF" not in file.read():
            raise Unfit(Flaw.TRUNCATED)
        try:
            with open_pdf(file) as reader:
                pages = len(reader.pages)
                text = "".join(page.extract_text() for page in reader.pages[:2]) if title else ""
        except DependencyError:
            return  # it is encrypted in a way that needs another package, so it cannot be checked
        except OSError:
            raise
        except Exception as error:
            raise Unfit(Flaw.BROKEN_PDF) from error
    if not pages:
        raise Unfit(Flaw.BROKEN_PDF)
    # Scans have no text to compare with.
    if title and len(text) > 200 and not _about(title, text):
        raise Unfit(Flaw.WRONG_PAPER)


def _about(title: str, text: str) -> bool:
    wanted = {word for word in _words(title) if len(word) > 2}
    return not wanted or 2 * len(wanted & set(_words(text))) >= len(wanted)


def _words(text: str) -> list[str]:
    """Split into words, in lower case and without accents."""
    folded = unicodedata.normalize("NFKD", text).lower()
    return re.findall(r"\w+", "".join(char for char in folded if not unicodedata.combining(char)))
