"""A program: read files of unknown origin, and say what they are. `inspection` runs it as a child process.

Everything that unpacks or parses a file is here, because a small file can take any time and memory. The program limits
its own memory and CPU time. It imports nothing of this project, so that it starts quickly.

    python inspect_file.py check PATH WANTED TITLE    prints the format of the paper, or the code of its flaw
    python inspect_file.py dois PATH...               prints a line of JSON for each PDF: doi, readable

The format and the flaw follow from the bytes of the file alone. File names, headers and what a source promises do not
count: login pages arrive as ``application/pdf``, and papers as ``application/octet-stream``.
"""

import errno
import json
import logging
import mmap
import re
import resource
import sys
import unicodedata
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pypdf import PdfReader

MEMORY: Final = 1024**3
"""Bytes of address space."""

CPU_SECONDS: Final = 30
"""Seconds of CPU time. It ends a child whose parent was killed; the parent's own limit is shorter."""

MAX_UNPACKED: Final = 1024**3
"""Bytes of an unpacked EPUB at most."""

MAX_TEXT: Final = 1024 * 1024
"""Characters of a PDF's text that are compared at most."""

_CHALLENGE: Final = (b"just a moment", b"captcha", b"cf-challenge", b"are you a robot", b"verify you are human")
_LOGIN: Final = (b"sign in", b"log in", b"login", b"purchase", b"institutional access", b'type="password"')
_MARKUP: Final = (b"<!doctype html", b"<html", b"<head", b"<body", b"<script", b"<!--")
_DOI: Final = re.compile(r"10\.\d{4,9}/[^\s\"<>]+")
_PRISM: Final = re.compile(r"prism:doi\s*(?:=\s*[\"']|>)\s*([^\"'<]+)")


class Unfit(Exception):
    """Raised when a file cannot be the paper; ``code`` is a `gofer.contracts.flaws.Flaw`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


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


def check(path: Path, title: str, *, html: bool) -> str:
    """Return the format of the paper in ``path``.

    Args:
        path: the file.
        title: half of its words must be on the first pages of a PDF, if these pages have text. It may be empty.
        html: whether an HTML page can be the paper.

    Raises:
        Unfit: the file cannot be the paper.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(64 * 1024)
    kind = sniff(head[:2048])
    match kind:
        case "pdf":
            _check_pdf(path, title)
        case "epub":
            _check_epub(path)
        case "xml":
            _check_xml(path)
        case "html":
            _check_html(head.lower(), wanted=html)
        case "empty":
            raise Unfit("EMPTY")
        case _:
            raise Unfit("NOT_THE_FILE")
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
        raise Unfit("BLOCKED")
    if any(word in page for word in _LOGIN):
        raise Unfit("LOGIN_PAGE")
    if not wanted:
        raise Unfit("NOT_THE_FILE")


def _check_xml(path: Path) -> None:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content.find(b"<body") < 0:
            raise Unfit("METADATA_ONLY")


def _check_epub(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as book:
            # zipfile unpacks no more of an entry than the size that the directory states.
            if sum(entry.file_size for entry in book.infolist()) > MAX_UNPACKED:
                raise Unfit("TOO_COSTLY")
            intact = book.testzip() is None
    except (Unfit, OSError, MemoryError):
        raise
    except Exception:  # noqa: BLE001 - zipfile, zlib, bz2 and lzma have errors of their own
        intact = False
    if not intact:
        raise Unfit("BROKEN_EPUB")


def _check_pdf(path: Path, title: str) -> None:
    from pypdf import PdfReader
    from pypdf.errors import DependencyError

    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 2048))
        if b"%%EOF" not in file.read():
            raise Unfit("TRUNCATED")
        try:
            reader = PdfReader(file)
            pages = len(reader.pages)
            text = "".join(page.extract_text() for page in reader.pages[:2])[:MAX_TEXT] if title else ""
        except DependencyError:
            return  # it is encrypted in a way that needs another package, so it cannot be checked
        except (OSError, MemoryError):
            raise
        except Exception as error:
            raise Unfit("BROKEN_PDF") from error
    if not pages:
        raise Unfit("BROKEN_PDF")
    # Scans have no text to compare with.
    if title and len(text) > 200 and not _about(title, text):
        raise Unfit("WRONG_PAPER")


def _about(title: str, text: str) -> bool:
    wanted = {word for word in _words(title) if len(word) > 2}
    return not wanted or 2 * len(wanted & set(_words(text))) >= len(wanted)


def _words(text: str) -> list[str]:
    """Split into words, in lower case and without accents."""
    folded = unicodedata.normalize("NFKD", text).lower()
    return re.findall(r"\w+", "".join(char for char in folded if not unicodedata.combining(char)))


def find_doi(path: Path) -> str | None:
    """Find a DOI in the metadata or on the first page of a PDF; any exception means that it cannot be read as one."""
    from pypdf import PdfReader

    with path.open("rb") as file:
        for text in _texts(PdfReader(file)):
            if found := _DOI.search(text):
                return found[0]
    return None


def _texts(reader: "PdfReader") -> Iterator[str]:
    """Yield the texts that may contain the DOI, the most reliable one first."""
    about: Any = reader.metadata or {}
    for key in ("/doi", "/DOI", "/Subject", "/Keywords", "/Title"):
        yield str(about.get(key, ""))
    root: Any = reader.root_object
    if "/Metadata" in root:
        xmp = root["/Metadata"].get_data().decode("utf-8", "replace")
        yield from _PRISM.findall(xmp)
    if reader.pages:
        yield reader.pages[0].extract_text()


def _checked(path: str, wanted: str, title: str) -> str:
    try:
        return check(Path(path), title, html=wanted == "html")
    except Unfit as unfit:
        return unfit.code
    except OSError as error:
        return "TOO_COSTLY" if error.errno == errno.ENOMEM else "UNREACHABLE"
    except MemoryError:
        return "TOO_COSTLY"


def _found(path: str) -> dict[str, object]:
    try:
        return {"doi": find_doi(Path(path)), "readable": True}
    except Exception:  # noqa: BLE001 - pypdf raises exceptions of any type for a broken file
        return {"doi": None, "readable": False}


def main(what: str, *args: str) -> None:
    """Do one task; see the module's description."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    logging.disable()  # pypdf's messages do not name the file
    if what == "check":
        print(_checked(*args))
        return
    for path in args:
        print(json.dumps(_found(path)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
