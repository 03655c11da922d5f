"""A program: read files of unknown origin, and say what they are. `inspection` runs it as a child process.

Everything that unpacks or parses a file is here, because a small file can take any time and memory. The program limits
its own memory and CPU time. It imports nothing of this project, so that it starts quickly.

It reads tasks from its standard input, each of them a JSON list in one line, and prints lines:

    ["check", PATH, WANTED, TITLE]    the format of the paper, or the code of its flaw
    ["dois", PATH, ...]               a line of JSON for each PDF: doi, readable
    ["links", PATH, URL]              a line of JSON for the landing page from URL: links, refresh

The line after the last one of a task is ``done``, or ``worn`` if the program ends now: it has grown, or it has done
many tasks.

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
from urllib.parse import urljoin, urlsplit

if TYPE_CHECKING:
    from pypdf import PdfReader

MEMORY: Final = 1024**3
"""Bytes of address space."""

CPU_SECONDS: Final = 30
"""Seconds of CPU time. It ends a child whose parent was killed; the parent's own limit is shorter."""

HEAD: Final = 64 * 1024
"""Bytes at the beginning of a file that are looked at for words."""

MAX_PAGE: Final = 2 * 1024 * 1024
"""Bytes of a landing page that are read."""

MAX_LINKS: Final = 3
MAX_URL: Final = 4096
"""Links that are taken from a landing page, and characters of a link."""

GROWN: Final = 256 * 1024 * 1024
"""Bytes of memory from which on the program ends after its task."""

MANY: Final = 500
"""Tasks after which it ends."""

DONE: Final = b"done"
WORN: Final = b"worn"
ENDS: Final = (DONE, WORN)
"""The lines that end a task."""

MAX_UNPACKED: Final = 1024**3
"""Bytes of an unpacked EPUB at most."""

MAX_TEXT: Final = 1024 * 1024
"""Characters of a PDF's text that are compared at most."""

_CHALLENGE: Final = (b"just a moment", b"captcha", b"cf-challenge", b"are you a robot", b"verify you are human")
_LOGIN: Final = (b"sign in", b"log in", b"login", b"purchase", b"institutional access", b'type="password"')
_MARKUP: Final = (b"<!doctype html", b"<html", b"<head", b"<body", b"<script", b"<!--")
_FILES: Final = ("application/pdf", "application/epub+zip", "application/xml")
_WORKS: Final = ("ScholarlyArticle", "MedicalScholarlyArticle", "Article", "Report", "Thesis", "MediaObject")
_TAG: Final = re.compile(rb"<(meta|link|base|script)\b[^<>]*>", re.IGNORECASE)
MAX_NODES: Final = 1000
"""Objects and lists of a page's JSON-LD that are looked at."""

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
        head = file.read(HEAD)
    kind = sniff(head[:2048])
    match kind:
        case "pdf":
            _check_pdf(path, title)
        case "epub":
            _check_epub(path)
        case "xml":
            _check_xml(path)
        case "html":
            _check_html(head, wanted=html)
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


def page_flaw(page: bytes) -> str | None:
    """Return the flaw of a web page that its first 64 KiB show: BLOCKED, LOGIN_PAGE or None."""
    page = page[:HEAD].lower()
    if any(word in page for word in _CHALLENGE):
        return "BLOCKED"
    return "LOGIN_PAGE" if any(word in page for word in _LOGIN) else None


def _check_html(page: bytes, *, wanted: bool) -> None:
    if flaw := page_flaw(page):
        raise Unfit(flaw)
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
    from pypdf.errors import DependencyError, FileNotDecryptedError

    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 2048))
        if b"%%EOF" not in file.read():
            raise Unfit("TRUNCATED")
        try:
            reader = PdfReader(file)
            pages = len(reader.pages)
            text = "".join(page.extract_text() for page in reader.pages[:2])[:MAX_TEXT] if title else ""
        except FileNotDecryptedError as error:
            raise Unfit("ENCRYPTED") from error
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


def page_links(page: bytes, url: str) -> dict[str, object]:
    """Return the links to the paper on a landing page from ``url``, the best first, and where it refreshes to."""
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(_flat(page[:MAX_PAGE]))
    base = next((node.attributes.get("href") for node in tree.css("base[href]")), None)
    start = _joined(url, base) or url
    found: list[str | None] = []
    refresh: str | None = None
    metas = [(node.attributes.get("name") or "", node.attributes) for node in tree.css("meta[content]")]
    found += [each.get("content") for name, each in metas if name.lower() == "citation_pdf_url"]
    for node in tree.css("link[rel][href]"):
        if "alternate" in (node.attributes["rel"] or "").lower().split() and node.attributes.get("type") in _FILES:
            found.append(node.attributes["href"])
    for node in tree.css('script[type="application/ld+json"]'):
        found += _content_urls(node.text())
    found += [each.get("content") for name, each in metas if name.lower() == "citation_xml_url"]
    for _, each in metas:
        if refresh is None and (each.get("http-equiv") or "").lower() == "refresh":
            refresh = _joined(start, _refreshed(each.get("content") or ""))
    links = dict.fromkeys(link for one in found if (link := _joined(start, one)))
    return {"links": list(links)[:MAX_LINKS], "refresh": refresh}


def _flat(page: bytes) -> bytes:
    """Return the elements of a page that are read, one after the other: deep pages take a parser quadratic time."""
    found: list[bytes] = []
    position = 0
    while match := _TAG.search(page, position):
        position = match.end()
        if match[1].lower() == b"script":
            end = page.find(b"</script", position)
            if end < 0:
                break
            position = end
            found += (match[0], page[match.end() : end], b"</script>") if b"ld+json" in match[0].lower() else ()
        else:
            found.append(match[0])
    return b"".join(found)


def _joined(base: str, reference: str | None) -> str | None:
    """Return an absolute http(s) URL without credentials, or None."""
    if not reference or len(reference) > MAX_URL:
        return None
    try:
        url = urljoin(base, reference.strip())
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.username is None
    except ValueError:
        return None
    url = url.partition("#")[0]
    return url if usable and len(url) <= MAX_URL and url.isprintable() and " " not in url else None


def _refreshed(content: str) -> str | None:
    """Return the URL of a refresh, as in ``0; url='/next'``."""
    if len(content) > MAX_URL:
        return None
    _, separator, rest = content.partition(";")
    name, equals, target = rest.partition("=")
    return target.strip().strip("\"'") if separator and equals and name.strip().lower() == "url" else None


def _content_urls(text: str) -> list[str | None]:
    """Return what JSON-LD of schema.org says of the files of scholarly works."""
    try:
        document: Any = json.loads(text)
    except (ValueError, RecursionError):
        return []
    urls: list[str | None] = []
    waiting: list[Any] = [document]
    for _ in range(MAX_NODES):
        if not waiting:
            break
        one = waiting.pop()
        if isinstance(one, list):
            several: list[Any] = one  # pyright: ignore[reportUnknownVariableType]
            waiting += reversed(several[:MAX_NODES])
        elif isinstance(one, dict):
            members: dict[str, Any] = one  # pyright: ignore[reportUnknownVariableType]
            kinds: Any = members.get("@type")  # one, or a list
            is_work = isinstance(kinds, str | list) and any(work in kinds for work in _WORKS)
            if is_work and isinstance(members.get("contentUrl"), str):
                urls.append(members["contentUrl"])
            waiting += [members.get("@graph"), members.get("mainEntity"), members.get("encoding")]
    return urls


def _printed_links(path: str, url: str) -> str:
    try:
        with Path(path).open("rb") as file:
            return json.dumps(page_links(file.read(MAX_PAGE), url))
    except OSError:
        return json.dumps({"links": [], "refresh": None})


def do(what: str, *args: str) -> None:
    """Do one task; see the module's description."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(used.ru_utime + used.ru_stime) + CPU_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
    if what == "check":
        print(_checked(*args))
    elif what == "links":
        print(_printed_links(*args))
    else:
        for path in args:
            print(json.dumps(_found(path)), flush=True)


def _memory() -> int:
    """Return the bytes of memory in use; 0 where the system does not tell. `ru_maxrss` would count the parent's."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    except OSError:
        return 0


def main() -> None:
    """Do tasks until there are no more."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    logging.disable()  # pypdf's messages do not name the file
    for number, line in enumerate(sys.stdin.buffer, 1):
        do(*json.loads(line))
        worn = number >= MANY or _memory() > GROWN
        print((WORN if worn else DONE).decode(), flush=True)
        if worn:
            return


if __name__ == "__main__":
    main()
