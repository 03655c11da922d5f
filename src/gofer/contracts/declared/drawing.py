"""A drawing of the requests of a declaration, in characters."""

from __future__ import annotations

from gofer.contracts.declared.declaration import Declaration
from gofer.contracts.declared.layout import Lines


def drawing(declaration: Declaration) -> Lines:
    """Draw the way of a job as a line, with what branches off it."""
    has_request = any(result.url is not None for result in declaration.result)
    ends = "files" if any(result.files or result.file for result in declaration.result) else "value"
    there = {"upload": declaration.upload, "submit": True, "start": declaration.start, "poll": True}
    stations = [name for name, part in (there | {"result": has_request}).items() if part]
    stations.append("file or value" if has_request and ends == "value" else ends)
    line = "  " + " ---> ".join(stations)
    if declaration.submit.finished:
        start, end = line.index("submit") + 2, line.rindex(stations[-1]) + 1
        yield " " * start + "." + " finished ".center(end - start - 1, "-") + "."
        yield " " * start + "|" + " " * (end - start - 1) + "v"
    yield line
    indent = " " * (line.index("poll") + 1)
    held = ", held by the service" if any(poll.hold for poll in declaration.poll) else ""
    yield f"{indent}|  ^"
    yield f"{indent}+--'  until a word ends the job{held}"
    branches = ["reason, where it has failed"] if declaration.reason else []
    branches += ["cancel"] if declaration.cancel else []
    for branch in branches:
        yield f"{indent}|"
        yield f"{indent}{chr(39) if branch == branches[-1] else '+'}---> {branch}"
