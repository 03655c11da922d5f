"""What a job gave: the document that tells it, and its files put where the caller wants them.

One file goes to a path. Several go into a folder, all or nothing: they are gathered in a staging folder beside it, each
whole and verified and noted in a manifest, and the staging folder then takes the folder's place in one step.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from attrs import evolve, frozen

from gofer.contracts import formats
from gofer.contracts.base import Snapshot
from gofer.core import poll, verbs
from gofer.core.commands import MANIFEST
from gofer.core.download import bear, to_file, to_memory
from gofer.core.exchange import AnyErrand, Tries, accept, follow, follow_open, passes, whole
from gofer.core.poll import Absence
from gofer.core.run import Flow
from gofer.core.table import Move
from gofer.errors import (
    BadReply,
    NotReady,
    NotSupported,
    OutOfTime,
    ServiceError,
    TargetIsFolder,
    TransportError,
    UsageError,
    WrongFile,
)
from gofer.events import Saved
from gofer.models import Fetched, ResultFile, State, Verified
from gofer.wire import Head, Reply, Request, shown

REASON_SECONDS = 10.0
"""Seconds that a service has to tell why a job failed."""

_log = logging.getLogger("gofer")

STRENGTH = (Verified.NONE, Verified.LENGTH, Verified.SIZE, Verified.DIGEST)


@frozen
class Target:
    """Where results go: a file, a folder, or "either": what is there, and what the job gave, decide."""

    path: Path
    kind: Literal["file", "folder", "either"] = "file"

    def staging(self, errand: AnyErrand) -> Path:
        """Where this job's files are gathered before the folder is whole."""
        where = json.dumps([errand.service.base, errand.ref.id, sorted(errand.ref.links.items())])
        tag = hashlib.sha256(where.encode()).hexdigest()[:12]
        return self.path.with_name(f".{self.path.name[:200]}.{tag}.parts")


def survey(target: Target) -> Flow[Target]:
    """See that the target can be written, before anything depends on it; return it with its kind, where that shows."""
    if target.kind != "folder":
        try:
            _ = yield from verbs.look(target.path)
        except TargetIsFolder:
            if target.kind == "file":
                raise
        else:
            return target
    _ = yield from verbs.muster(target.path)
    return evolve(target, kind="folder")


def conclude(errand: AnyErrand) -> Flow[None]:
    """Bring what a job that has ended gave: its value and the list of its files.

    Raises:
        JobFailed, JobCancelled: it ended without a result, or its result says that it has failed after all.
    """
    snapshot, contract = errand.known.snapshot, errand.contract
    assert snapshot is not None  # noqa: S101  (a job that has ended was seen)
    if snapshot.status.state is not State.SUCCEEDED:
        yield from _reason(errand, snapshot)
        raise poll.failure(errand)
    errand.move(Move.SUCCEEDED)
    if not errand.known.told:
        asked = contract.build_results(errand.service.base, snapshot)
        if isinstance(asked, Request):
            asked = yield from _ask(errand, asked, snapshot)
        errand.known.snapshot, errand.known.told = asked, asked.status.state is State.SUCCEEDED
    if not errand.known.told:
        raise poll.failure(errand)


def _reason(errand: AnyErrand, snapshot: Snapshot[Any]) -> Flow[None]:
    """Ask once why a job has failed, where its status does not say; what goes wrong with that is no matter."""
    request = errand.contract.build_reason(errand.service.base, snapshot)
    if request is None or errand.known.told or snapshot.status.state is not State.FAILED:
        return
    errand.known.told = True
    try:
        reply = accept(errand, (yield from follow(errand, request, min(errand.rules.timeout, REASON_SECONDS))))
        errand.known.snapshot = errand.contract.read_reason(snapshot, reply)
    except (OutOfTime, TransportError, ServiceError, BadReply) as error:
        _log.debug("Why the job failed could not be learned: %s", error)


def _ask(errand: AnyErrand, request: Request, snapshot: Snapshot[Any]) -> Flow[Snapshot[Any]]:
    """Bring the result document and read it."""
    tries, absence = Tries(errand, errand.rules.patience), Absence(errand)
    garbled = Tries(errand, errand.rules.retry)  # what is no document now will hardly be one in five minutes
    while True:
        try:
            head = yield from follow_open(errand, request, "result")
            if not errand.contract.reads("result", head.status):
                yield from bear(errand, head, tries, absence)
                continue
            reply = yield from _document(errand, head)
            return errand.contract.read_results(errand.service.base, snapshot, reply)
        except (TransportError, NotReady) as error:
            yield from tries.rest(error, at_least=poll.CLOSEST)
        except BadReply as error:
            if not passes(error):
                raise
            yield from garbled.rest(error)


def _document(errand: AnyErrand, head: Head) -> Flow[Reply]:
    """Read an opened document; the body is left alone where it is the file itself."""
    if errand.contract.may_be_file("result") and not errand.contract.is_document(errand.ref, "result", head):
        yield from verbs.drop()
        return Reply(head.url, head.status, head.headers)
    return (yield from whole(errand, head, errand.rules.result_cap))


def bring(errand: AnyErrand, target: Target) -> Flow[tuple[Path, tuple[Fetched, ...]]]:
    """Put what the job gave where it is wanted; return the path and what is there."""
    files = errand.known.files
    if target.kind == "folder" or len(files) > 1:
        if target.kind == "file":
            raise UsageError(f"The job gave {len(files)} files ({_names(files)}): name a folder for them.")
        return (yield from _to_folder(errand, target))
    file = _only(errand)
    if file is None:
        raise NotSupported("The job gave no file, and no value that could be written into one.")
    fetched = yield from fetch(errand, target.path, file)
    return fetched.path, (fetched,)


def fetch(errand: AnyErrand, target: Path, file: ResultFile) -> Flow[Fetched]:
    """Bring one file to a path."""
    errand.move(Move.FETCH)
    fetched = yield from _one(errand, target, file)
    errand.move(Move.STORED)
    known = next((known for known in errand.known.files if known.url == file.url), file)
    yield from verbs.tell(errand, Saved(errand.job_id, target, fetched.size, fetched.verified, known.format))
    return fetched


def in_memory(errand: AnyErrand, max_bytes: int) -> Flow[bytes]:
    """Bring the job's only file as bytes."""
    if len(errand.known.files) > 1:
        raise UsageError(f"The job gave several files ({_names(errand.known.files)}): download them into a folder.")
    file = _only(errand)
    if file is None:
        raise NotSupported("The job gave no file, and no value that could be one.")
    errand.move(Move.FETCH)
    if file.content is None:
        content = yield from to_memory(errand, max_bytes, file)
    elif len(file.content) > max_bytes:
        raise WrongFile(f"The file has {len(file.content)} bytes, more than {max_bytes=}.", reason="too big")
    else:
        content = file.content
    errand.move(Move.STORED)
    return content


def _only(errand: AnyErrand) -> ResultFile | None:
    """Return the job's file, or its value as one; None where it gave neither."""
    snapshot = errand.known.snapshot
    assert snapshot is not None  # noqa: S101  (its results were learned)
    return snapshot.files[0] if snapshot.files else errand.contract.file_of_value(snapshot)


def _one(errand: AnyErrand, target: Path, file: ResultFile) -> Flow[Fetched]:
    if file.content is None:
        return (yield from to_file(errand, target, file))
    yield from verbs.put(target, file.content)
    return Fetched(target, len(file.content), Verified.LENGTH)


def _to_folder(errand: AnyErrand, target: Target) -> Flow[tuple[Path, tuple[Fetched, ...]]]:
    """Bring every file of the job into a folder: all of them, or none."""
    folder, staging = target.path, target.staging(errand)
    errand.move(Move.FETCH)
    noted = _noted((yield from verbs.muster(folder, staging)))
    snapshot = errand.known.snapshot
    packed = None if snapshot is None else errand.contract.file_of_value(snapshot)
    wanted = errand.known.files or (() if packed is None else (packed,))
    fetched: list[Fetched] = []
    entries: list[Mapping[str, Any]] = []
    for file, name in zip(wanted, safe_names(wanted), strict=True):
        entry: dict[str, Any] | None = noted.get(name)
        if entry is None:
            one = yield from _one(errand, staging / name, file)
            entry = {"file": name, "name": file.name, "size": one.size, "verified": one.verified}
            entry |= {} if file.url is None else {"from": shown(file.url)}
        entries.append(entry)
        yield from verbs.put(staging / MANIFEST, _manifest(errand, entries))
        fetched.append(Fetched(folder / name, entry["size"], Verified(entry["verified"])))
        errand.move(Move.RESUME)
    if not wanted:
        yield from verbs.put(staging / MANIFEST, _manifest(errand, entries))
    yield from verbs.assemble(staging, folder)
    errand.move(Move.STORED)
    yield from verbs.tell(errand, Saved(errand.job_id, folder, sum(one.size for one in fetched), weakest(fetched)))
    return folder, tuple(fetched)


def weakest(fetched: list[Fetched] | tuple[Fetched, ...]) -> Verified:
    """Return the weakest check among these files; NONE where there is no file."""
    return min((one.verified for one in fetched), key=STRENGTH.index, default=Verified.NONE)


def _manifest(errand: AnyErrand, entries: list[Mapping[str, Any]]) -> bytes:
    return json.dumps({"job": errand.job_id, "service": errand.service.base, "files": entries}, indent=2).encode()


def _noted(manifest: bytes | None) -> dict[str, dict[str, Any]]:
    """Read what a former try of this very job has brought already: the entries by the file's name."""
    try:
        files = json.loads(manifest or b"{}").get("files", [])
        return {entry["file"]: entry for entry in files if Verified(entry["verified"]) and entry["size"] >= 0}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _names(files: tuple[ResultFile, ...]) -> str:
    names = [repr(file.name) for file in files[:5]]
    return ", ".join(names) + (", …" if len(files) > 5 else "")


_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")


def safe_names(files: tuple[ResultFile, ...]) -> list[str]:
    """Make a file name of each server-given one: no path, nothing hidden or reserved, no two alike in any case."""
    taken, names = {MANIFEST}, list[str]()
    for file in files:
        last = re.split(r"[/\\]", file.name)[-1]
        name = "".join(char if char.isprintable() and char not in '<>:"|?*' else "_" for char in last).strip(" .")
        name = f"_{name}" if not name or _RESERVED.fullmatch(name) else name
        while len(name.encode()) > 200:
            name = name[1:]
        if "." not in name:
            name += formats.suffix_of(file.format)
        stem, dot, suffix = name.rpartition(".")
        number, unique = 1, name
        while unique.casefold() in taken:
            number += 1
            unique = f"{stem or suffix}-{number}{dot if stem else ''}{suffix if stem else ''}"
        taken.add(unique.casefold())
        names.append(unique)
    return names
