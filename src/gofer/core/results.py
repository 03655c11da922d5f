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
from gofer.core.exchange import AnyTrip, Tries, accept, follow, follow_open, passes, whole
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

    def staging(self, trip: AnyTrip) -> Path:
        """Where this job's files are gathered before the folder is whole."""
        where = json.dumps([trip.service.base, trip.ref.id, sorted(trip.ref.links.items())])
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


def conclude(trip: AnyTrip) -> Flow[None]:
    """Bring what a job that has ended gave: its value and the list of its files.

    Raises:
        JobFailed, JobCancelled: it ended without a result, or its result says that it has failed after all.
    """
    snapshot, contract = trip.known.snapshot, trip.contract
    assert snapshot is not None  # noqa: S101  (a job that has ended was seen)
    if snapshot.status.state is not State.SUCCEEDED:
        yield from _reason(trip, snapshot)
        raise poll.failure(trip)
    trip.move(Move.SUCCEEDED)
    if not trip.known.told:
        asked = contract.results(trip.service.base, snapshot)
        if isinstance(asked, Request):
            asked = yield from _ask(trip, asked, snapshot)
        trip.known.snapshot, trip.known.told = asked, asked.status.state is State.SUCCEEDED
    if not trip.known.told:
        raise poll.failure(trip)


def _reason(trip: AnyTrip, snapshot: Snapshot[Any]) -> Flow[None]:
    """Ask once why a job has failed, where its status does not say; what goes wrong with that is no matter."""
    request = trip.contract.reason(trip.service.base, snapshot)
    if request is None or trip.known.told or snapshot.status.state is not State.FAILED:
        return
    trip.known.told = True
    try:
        reply = accept(trip, (yield from follow(trip, request, min(trip.rules.timeout, REASON_SECONDS))))
        trip.known.snapshot = trip.contract.reasoned(snapshot, reply)
    except (OutOfTime, TransportError, ServiceError, BadReply) as error:
        _log.debug("Why the job failed could not be learned: %s", error)


def _ask(trip: AnyTrip, request: Request, snapshot: Snapshot[Any]) -> Flow[Snapshot[Any]]:
    """Bring the result document and read it."""
    tries, absence = Tries(trip, trip.rules.patience), Absence(trip)
    garbled = Tries(trip, trip.rules.retry)  # what is no document now will hardly be one in five minutes
    while True:
        try:
            head = yield from follow_open(trip, request, "result")
            if not trip.contract.reads("result", head.status):
                yield from bear(trip, head, tries, absence)
                continue
            reply = yield from _document(trip, head)
            return trip.contract.resulted(trip.service.base, snapshot, reply)
        except (TransportError, NotReady) as error:
            yield from tries.rest(error, at_least=poll.CLOSEST)
        except BadReply as error:
            if not passes(error):
                raise
            yield from garbled.rest(error)


def _document(trip: AnyTrip, head: Head) -> Flow[Reply]:
    """Read an opened document; the body is left alone where it is the file itself."""
    if trip.contract.peeks("result") and not trip.contract.is_document(trip.ref, "result", head):
        yield from verbs.drop()
        return Reply(head.url, head.status, head.headers)
    return (yield from whole(trip, head, trip.rules.result_cap))


def bring(trip: AnyTrip, target: Target) -> Flow[tuple[Path, tuple[Fetched, ...]]]:
    """Put what the job gave where it is wanted; return the path and what is there."""
    files = trip.known.files
    if target.kind == "folder" or len(files) > 1:
        if target.kind == "file":
            raise UsageError(f"The job gave {len(files)} files ({_names(files)}): name a folder for them.")
        return (yield from _to_folder(trip, target))
    file = _only(trip)
    if file is None:
        raise NotSupported("The job gave no file, and no value that could be written into one.")
    fetched = yield from fetch(trip, target.path, file)
    return fetched.path, (fetched,)


def fetch(trip: AnyTrip, target: Path, file: ResultFile) -> Flow[Fetched]:
    """Bring one file to a path."""
    trip.move(Move.FETCH)
    fetched = yield from _one(trip, target, file)
    trip.move(Move.STORED)
    known = next((known for known in trip.known.files if known.url == file.url), file)
    yield from verbs.tell(trip, Saved(trip.job_id, target, fetched.size, fetched.verified, known.format))
    return fetched


def in_memory(trip: AnyTrip, max_bytes: int) -> Flow[bytes]:
    """Bring the job's only file as bytes."""
    if len(trip.known.files) > 1:
        raise UsageError(f"The job gave several files ({_names(trip.known.files)}): download them into a folder.")
    file = _only(trip)
    if file is None:
        raise NotSupported("The job gave no file, and no value that could be one.")
    trip.move(Move.FETCH)
    if file.content is None:
        content = yield from to_memory(trip, max_bytes, file)
    elif len(file.content) > max_bytes:
        raise WrongFile(f"The file has {len(file.content)} bytes, more than {max_bytes=}.", reason="too big")
    else:
        content = file.content
    trip.move(Move.STORED)
    return content


def _only(trip: AnyTrip) -> ResultFile | None:
    """Return the job's file, or its value as one; None where it gave neither."""
    snapshot = trip.known.snapshot
    assert snapshot is not None  # noqa: S101  (its results were learned)
    return snapshot.files[0] if snapshot.files else trip.contract.packed(snapshot)


def _one(trip: AnyTrip, target: Path, file: ResultFile) -> Flow[Fetched]:
    if file.content is None:
        return (yield from to_file(trip, target, file))
    yield from verbs.put(target, file.content)
    return Fetched(target, len(file.content), Verified.LENGTH)


def _to_folder(trip: AnyTrip, target: Target) -> Flow[tuple[Path, tuple[Fetched, ...]]]:
    """Bring every file of the job into a folder: all of them, or none."""
    folder, staging = target.path, target.staging(trip)
    trip.move(Move.FETCH)
    noted = _noted((yield from verbs.muster(folder, staging)))
    snapshot = trip.known.snapshot
    packed = None if snapshot is None else trip.contract.packed(snapshot)
    wanted = trip.known.files or (() if packed is None else (packed,))
    fetched: list[Fetched] = []
    entries: list[Mapping[str, Any]] = []
    for file, name in zip(wanted, safe_names(wanted), strict=True):
        entry: dict[str, Any] | None = noted.get(name)
        if entry is None:
            one = yield from _one(trip, staging / name, file)
            entry = {"file": name, "name": file.name, "size": one.size, "verified": one.verified}
            entry |= {} if file.url is None else {"from": shown(file.url)}
        entries.append(entry)
        yield from verbs.put(staging / MANIFEST, _manifest(trip, entries))
        fetched.append(Fetched(folder / name, entry["size"], Verified(entry["verified"])))
        trip.move(Move.RESUME)
    if not wanted:
        yield from verbs.put(staging / MANIFEST, _manifest(trip, entries))
    yield from verbs.assemble(staging, folder)
    trip.move(Move.STORED)
    yield from verbs.tell(trip, Saved(trip.job_id, folder, sum(one.size for one in fetched), weakest(fetched)))
    return folder, tuple(fetched)


def weakest(fetched: list[Fetched] | tuple[Fetched, ...]) -> Verified:
    """Return the weakest check among these files; NONE where there is no file."""
    return min((one.verified for one in fetched), key=STRENGTH.index, default=Verified.NONE)


def _manifest(trip: AnyTrip, entries: list[Mapping[str, Any]]) -> bytes:
    return json.dumps({"job": trip.job_id, "service": trip.service.base, "files": entries}, indent=2).encode()


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
