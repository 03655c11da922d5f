"""`hops`: how many functions and files of gofer one errand enters. It measures no time and has no target.

One blocking `retrieve_and_download` runs with a transport in memory, after one that fills the caches. The
service holds no request. It prints four rows:

- for a job that has ended at the first poll, and for one that has ended at the second: the functions of gofer that the
  errand enters, the files they are in, and the calls. Lambdas and comprehensions do not count. Each time that a
  generator resumes counts as a call.
- the frames of gofer on the stack, from the verb down, when the driver writes the first byte into the part file; and
  when the flow yields the command to write it.
"""

import inspect
import io
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import httpx

import gofer
from figures import Figure
from gofer import RetrieveClient

DOI = "10.5555/12345678"
FILE = b"%PDF-1.7\n" + bytes(4096)
FILES = (io.FileIO, io.BufferedWriter, io.BufferedRandom)
PACKAGE = str(Path(gofer.__file__).parent) + os.sep


def measure(*, quick: bool) -> list[Figure]:  # noqa: ARG001  (it is always quick)
    """Count an errand of one poll, and one of two."""
    one, two = _counted(polls=1), _counted(polls=2)
    return [
        Figure("an errand of one poll enters", one.entered()),
        Figure("an errand of two polls enters", two.entered()),
        Figure("frames from the verb to the write of the first byte", str(one.to_write)),
        Figure("frames from the verb to the flow's command to write it", str(one.to_flow)),
    ]


class Count:
    """A profiler of one errand."""

    def __init__(self) -> None:
        self.calls: Counter[CodeType] = Counter()
        self.writes: dict[int, tuple[int, int]] = {}  # by inode, at the first write: frames to it, and to the flow
        self.to_write = self.to_flow = 0
        self._yielded: object = None
        self._frames = 0  # when the flow yielded that

    def __call__(self, frame: FrameType, event: str, arg: Any) -> None:
        """Take one event of `sys.setprofile`."""
        if event == "c_call":
            if arg.__name__ == "write" and isinstance(arg.__self__, FILES):
                inode = os.fstat(arg.__self__.fileno()).st_ino
                _ = self.writes.setdefault(inode, (_frames(frame), self._frames))
        elif event == "call" and _ours(frame):
            self.calls[frame.f_code] += not frame.f_code.co_name.startswith("<")
        elif event == "return" and _ours(frame) and frame.f_code.co_flags & inspect.CO_GENERATOR:  # or a yield
            self._yields(frame, arg)

    def _yields(self, frame: FrameType, value: object) -> None:
        """Note where a flow yields an object of a class of gofer's; every `yield from` above then yields it again."""
        if type(value).__module__.startswith("gofer.") and value is not self._yielded:
            self._yielded, self._frames = value, _frames(frame)

    def entered(self) -> str:
        """Format how many functions, files and calls there were."""
        entered = +self.calls
        files = {code.co_filename for code in entered}
        return f"{len(entered)} functions in {len(files)} files, {entered.total()} calls"


def _counted(polls: int) -> Count:
    count = Count()
    transport = httpx.MockTransport(Service(polls))
    with tempfile.TemporaryDirectory() as folder, RetrieveClient("service.test", transport=transport) as client:
        paper = Path(folder) / "paper.pdf"
        _ = client.retrieve_and_download(DOI, paper.with_name("first.pdf"))
        sys.setprofile(count)
        try:
            _ = client.retrieve_and_download(DOI, paper)
        finally:
            sys.setprofile(None)
        assert paper.read_bytes() == FILE
        count.to_write, count.to_flow = count.writes[paper.stat().st_ino]  # the part was renamed: its inode stays
    return count


class Service:
    """The four endpoints, for one job at a time."""

    def __init__(self, polls: int) -> None:
        self.polls, self.left = polls, 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        if request.url.path.endswith("/file"):
            return httpx.Response(200, headers={"content-type": "application/pdf"}, content=FILE)
        if request.method == "POST":
            self.left = self.polls
            return httpx.Response(202, json={"job_id": "1", "status": "pending"})
        self.left -= 1
        job = {"job_id": "1", "status": "searching" if self.left else "completed", "file_size": len(FILE)}
        return httpx.Response(200, json=job)


def _ours(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(PACKAGE)


def _frames(frame: FrameType | None) -> int:
    """Count the frames of gofer from here up."""
    count = 0
    while frame is not None:
        count += _ours(frame)
        frame = frame.f_back
    return count
