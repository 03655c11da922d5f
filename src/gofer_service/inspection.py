"""Inspecting files in a child process that is bounded in time, memory and output.

What is inspected, and how, is in the program `inspect_file`. The child is killed when its time is over, and when its
caller is cancelled: at the deadline of the job, and when the service stops.
"""

import json
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Final

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream
from attrs import frozen

from gofer.contracts.flaws import Flaw

SECONDS: Final = 20.0
"""Seconds for one file at most."""

BATCH: Final = 16
"""PDFs that one child reads at most; a child takes about 0.1 s to start."""

MAX_LINE: Final = 64 * 1024
"""Bytes of a line of the child's output at most."""

MAX_TITLE: Final = 4096
"""Characters of a title that are compared; an argument of a program has a greatest length."""

_PROGRAM: Final = Path(__file__).with_name("inspect_file.py")
_FLAWS: Final = {flaw.value: flaw for flaw in Flaw}


class Unfit(Exception):
    """Raised when a file cannot be the paper."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(f"{flaw.value}: {flaw.words}")
        self.flaw = flaw


@frozen
class PdfDoi:
    """What was read of a PDF: the DOI in it as it is written there, and whether it can be read at all."""

    path: Path
    doi: str | None = None
    readable: bool = False


async def check(path: Path, title: str | None = None, *, html: bool = False) -> str:
    """Return the format of the paper in ``path``.

    Args:
        path: the file.
        title: half of its words must be on the first pages of a PDF, if these pages have text.
        html: whether an HTML page can be the paper.

    Raises:
        Unfit: the file cannot be the paper, cannot be read, or takes too much time or memory to check.
    """
    async with aclosing(_lines("check", str(path), "html" if html else "", (title or "")[:MAX_TITLE])) as lines:
        async for line in lines:
            if flaw := _FLAWS.get(line):
                raise Unfit(flaw)
            return line
    raise Unfit(Flaw.TOO_COSTLY)


async def read_dois(paths: Sequence[Path]) -> AsyncGenerator[PdfDoi, None]:
    """Read the DOIs in the first `BATCH` PDFs. It ends after a PDF that takes too much time or memory."""
    left = list(paths[:BATCH])
    async with aclosing(_lines("dois", *map(str, left))) as lines:
        async for line in lines:
            yield PdfDoi(left.pop(0), **json.loads(line))
    if left:
        yield PdfDoi(left[0])


async def _lines(*args: str) -> AsyncGenerator[str, None]:
    """Run the program; yield its lines until it ends or takes more than `SECONDS` for one."""
    # Without -P the modules of this folder would hide those of other packages.
    command = [sys.executable, "-P", str(_PROGRAM), *args]
    async with await _opened(command) as process:
        assert process.stdout is not None  # noqa: S101 - it is a pipe by default
        output = BufferedByteReceiveStream(process.stdout)
        while True:
            line: bytes | None = None
            with anyio.move_on_after(SECONDS), suppress(anyio.IncompleteRead, anyio.DelimiterNotFound):
                line = await output.receive_until(b"\n", MAX_LINE)
            if line is None:
                break
            yield line.decode("utf-8", "replace")
        with anyio.move_on_after(0.5):
            await process.wait()
        if process.returncode is None:
            process.kill()


async def _opened(command: Sequence[str]) -> Process:
    # A cancelled start would leave a process that nobody ends.
    with anyio.CancelScope(shield=True):
        return await anyio.open_process(
            command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
    raise AssertionError("a shielded scope swallows nothing")


@frozen
class PageLinks:
    """Shim."""

    links: tuple[str, ...] = ()
    refresh: str | None = None


async def read_links(path: Path, url: str) -> PageLinks:
    """Shim."""
    import re
    from urllib.parse import urljoin

    text = path.read_text(errors="replace")
    found = re.findall(r'citation_pdf_url" content="([^"]+)"', text)
    again = re.search(r'http-equiv="refresh" content="0; *url=([^"]+)"', text)
    return PageLinks(tuple(urljoin(url, one) for one in found), urljoin(url, again[1]) if again else None)


async def close_inspector() -> None:
    """Shim."""


def page_flaw(body: bytes) -> Flaw | None:
    """Shim."""
    low = body[:65536].lower()
    return Flaw.BLOCKED if b"just a moment" in low or b"captcha" in low else None
