"""What a job gave, put where the caller wants it: a file, a folder, or memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gofer.contracts.base import Snapshot
from gofer.core.download import fetch, to_memory
from gofer.core.exchange import AnyErrand
from gofer.core.folder import to_folder
from gofer.core.run import Flow
from gofer.core.table import Move
from gofer.core.target import Target, check_target
from gofer.errors import NotSupported, UsageError, WrongFile
from gofer.models import Fetched, ResultFile


def deliver(errand: AnyErrand, results: Snapshot[Any], target: Target) -> Flow[tuple[Path, tuple[Fetched, ...]]]:
    """Put the results of a job at a checked target; return the path and what is there."""
    named = target.of_job(errand.ref.id)
    if named is not None:
        target = yield from check_target(named)
    files = _files(errand, results)
    if target.kind == "folder" or len(files) > 1:
        if target.kind == "file":
            raise UsageError(f"The job gave {len(files)} files ({_names(files)}): name a folder for them.")
        return (yield from to_folder(errand, target, files))
    if not files:
        raise NotSupported("The job gave no file, and no value that could be written into one.")
    fetched = yield from fetch(errand, target, files[0])
    return fetched.path, (fetched,)


def deliver_file(errand: AnyErrand, target: Target, file: ResultFile) -> Flow[Fetched]:
    """Put a file of a job at a target, whatever the state of the job."""
    target = yield from check_target(target)
    return (yield from fetch(errand, target, file))


def deliver_to_memory(errand: AnyErrand, results: Snapshot[Any], max_bytes: int) -> Flow[bytes]:
    """Return the job's only file as bytes."""
    files = _files(errand, results)
    if len(files) > 1:
        raise UsageError(f"The job gave several files ({_names(files)}): download them into a folder.")
    if not files:
        raise NotSupported("The job gave no file, and no value that could be one.")
    errand.move(Move.FETCH)
    content = files[0].content
    if content is None:
        content = yield from to_memory(errand, max_bytes, files[0])
    elif len(content) > max_bytes:
        raise WrongFile(f"The file has {len(content)} bytes, more than {max_bytes=}.", reason="too big")
    errand.move(Move.STORED)
    return content


def _files(errand: AnyErrand, results: Snapshot[Any]) -> Sequence[ResultFile]:
    """Return the job's files, or its value as one."""
    value = None if results.files else errand.contract.file_of_value(results)
    return results.files if value is None else (value,)


def _names(files: Sequence[ResultFile]) -> str:
    names = [repr(file.name) for file in files[:5]]
    return ", ".join(names) + (", …" if len(files) > 5 else "")
