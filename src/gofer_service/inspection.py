"""Inspecting files in child processes that are bounded in time, memory and output.

What is inspected, and how, is in the program `inspect_file`. A child is killed when its time is over, and when its
caller is cancelled: at the deadline of the job, and when the service stops. Within `inspecting`, a child that has done
its task is kept for the next one, as it takes 0.1 s to start; otherwise each task has a child of its own.
"""

import json
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import anyio
from anyio.abc import Process
from anyio.lowlevel import RunVar
from anyio.streams.buffered import BufferedByteReceiveStream
from attrs import frozen

from gofer.contracts.flaws import Flaw
from gofer_service import inspect_file

SECONDS: Final = 20.0
"""Seconds for one file at most."""

BATCH: Final = 16
"""PDFs that one task reads at most."""

MAX_LINE: Final = 64 * 1024
"""Bytes of a line of the child's output at most."""

MAX_TITLE: Final = 4096
"""Characters of a title that are compared; an argument of a program has a greatest length."""

FORMATS: Final = frozenset({"pdf", "epub", "xml", "html"})
"""The formats of papers."""

_PROGRAM: Final = Path(inspect_file.__file__)

MAX_IDLE: Final = 2
"""Children that are kept for the next task."""

_BROKEN: Final = (anyio.IncompleteRead, anyio.DelimiterNotFound, anyio.BrokenResourceError, anyio.ClosedResourceError)
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


@frozen
class PageLinks:
    """What a landing page says of the paper: links to it, the best first, and the page that it refreshes to, if any."""

    links: tuple[str, ...] = ()
    refresh: str | None = None


@asynccontextmanager
async def inspecting() -> AsyncGenerator[None]:
    """Keep children for the next task, until the block is left."""
    children: list[_Child] = []
    _idle.set(children)
    try:
        yield
    finally:
        _idle.set(None)
        for child in children:
            await child.end()


async def check(path: Path, title: str | None = None, *, html: bool = False) -> str:
    """Return the format of the paper in ``path``.

    Args:
        path: the file.
        title: half of its words must be on the first pages of a PDF, if these pages have text.
        html: whether an HTML page can be the paper.

    Raises:
        Unfit: the file cannot be the paper, cannot be read, or takes too much time or memory to check.
    """
    verdict = ""
    task = ("check", str(path), "html" if html else "", (title or "")[:MAX_TITLE])
    async with aclosing(_lines(*task)) as lines:
        async for line in lines:
            verdict = line if line in FORMATS or line in _FLAWS else ""
            if not verdict:
                break  # a file may have taken the child over: it is ended, and its words go into no name of a file
    if verdict not in FORMATS:
        raise Unfit(_FLAWS.get(verdict, Flaw.TOO_COSTLY))
    return verdict


async def read_links(path: Path, url: str) -> PageLinks:
    """Read the landing page in ``path``, which came from ``url``.

    Raises:
        Unfit: it takes too much time or memory to read.
    """
    lines = [line async for line in _lines("links", str(path), url)]
    if not lines:
        raise Unfit(Flaw.TOO_COSTLY)
    found = json.loads(lines[0])
    return PageLinks(tuple(found["links"]), found["refresh"])


async def read_dois(paths: Sequence[Path]) -> AsyncGenerator[PdfDoi, None]:
    """Read the DOIs in the first `BATCH` PDFs. It ends after a PDF that takes too much time or memory."""
    left = list(paths[:BATCH])
    async with aclosing(_lines("dois", *map(str, left))) as lines:
        async for line in lines:
            yield PdfDoi(left.pop(0), **json.loads(line))
    if left:
        yield PdfDoi(left[0])


def page_flaw(page: bytes) -> Flaw | None:
    """Return the flaw of a web page in the place of a paper, as far as its beginning shows one."""
    code = inspect_file.page_flaw(page)
    return None if code is None else _FLAWS[code]


@frozen
class _Child:
    process: Process
    output: BufferedByteReceiveStream

    async def end(self) -> None:
        """Kill it, and wait for its end."""
        with anyio.CancelScope(shield=True):
            if self.process.returncode is None:
                self.process.kill()
            await self.process.aclose()


_idle: RunVar[list[_Child] | None] = RunVar("_idle", None)


async def _lines(*task: str) -> AsyncGenerator[str, None]:
    """Have a child do a task; yield its lines until it is done or takes more than `SECONDS` for one."""
    idle = _idle.get()
    child = idle.pop() if idle else await _started()
    last: bytes | None = None
    try:
        await _asked(child, task)
        while True:
            last = None
            with anyio.move_on_after(SECONDS), suppress(*_BROKEN):
                last = await child.output.receive_until(b"\n", MAX_LINE)
            if last is None or last in inspect_file.ENDS:
                break
            yield last.decode("utf-8", "replace")
    finally:
        kept = _idle.get()
        if last == inspect_file.DONE and kept is not None and len(kept) < MAX_IDLE:
            kept.append(child)
        else:
            await child.end()


async def _asked(child: _Child, task: Sequence[str]) -> None:
    assert child.process.stdin is not None  # noqa: S101 - it is a pipe by default
    with suppress(*_BROKEN):  # it has died meanwhile, and has no answer
        await child.process.stdin.send(json.dumps(task).encode() + b"\n")


async def _started() -> _Child:
    # Without -P the modules of this folder would hide those of other packages.
    command = [sys.executable, "-P", str(_PROGRAM)]
    # A cancelled start would leave a process that nobody ends.
    with anyio.CancelScope(shield=True):
        process = await anyio.open_process(command, stderr=subprocess.DEVNULL, start_new_session=True)
        assert process.stdout is not None  # noqa: S101 - it is a pipe by default
        return _Child(process, BufferedByteReceiveStream(process.stdout))
    raise AssertionError("a shielded scope swallows nothing")
