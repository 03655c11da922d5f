"""What a job gave, put where the caller wants it: a file, a folder, or memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from gofer.contracts.base import Snapshot
from gofer.core.download import fetch, to_memory
from gofer.core.exchange import AnyErrand
from gofer.core.folder import own_folder, safe_names, to_folder
from gofer.core.run import Flow
from gofer.core.table import Move
from gofer.core.target import Target, check_target
from gofer.errors import NotSupported, UsageError, WrongFile
from gofer.models import Fetched, ResultFile, State

Only = tuple[str, ...] | None
"""Names of files, or patterns of them as in a shell; each is to match at least one. None is all files."""


def deliver(
    errand: AnyErrand, results: Snapshot[Any], target: Target, only: Only = None
) -> Flow[tuple[Path, tuple[Fetched, ...]]]:
    """Put the results of a job, or some of its files, at a checked target; return the path and what came."""
    so_far = None if results.status.state is State.SUCCEEDED else results.status
    named = target.of_job(errand.ref.id)
    if named is not None:
        target = yield from check_target(named, own_folder(errand, so_far))
    given = _files(errand, results) if only is None else results.files
    wanted = _chosen(dict(zip(safe_names(given), given, strict=True)), only)
    files = list(wanted.values())
    if target.kind == "folder" or len(files) > 1:
        if target.kind == "file":
            raise UsageError(f"The job gave {len(files)} files ({_names(files)}): name a folder for them.")
        return (yield from to_folder(errand, target, wanted, so_far, *([] if only is None else sorted(wanted))))
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


def _chosen(files: Mapping[str, ResultFile], only: Only) -> Mapping[str, ResultFile]:
    """Return the files that `only` names, with their names in a folder of all, which no choice changes.

    Raises:
        UsageError: a name or a pattern is none of theirs.
    """
    if only is None:
        return files
    for one in only:
        if not any(_fits(file, one) for file in files.values()):
            there = f"There is {_names(list(files.values()), 50)}" if files else "It names none"
            raise UsageError(f"only= has {one!r}, and the job has no such file. {there}.")
    return {at: file for at, file in files.items() if any(_fits(file, one) for one in only)}


def _fits(file: ResultFile, name: str) -> bool:
    return file.name == name or fnmatchcase(file.name, name)


def _names(files: Sequence[ResultFile], most: int = 5) -> str:
    names = [repr(file.name) for file in files[:most]]
    return ", ".join(names) + (", …" if len(files) > most else "")
