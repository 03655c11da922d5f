"""Several files of a job, downloaded into a folder: all that are wanted, or none.

They are gathered in a staging folder, each complete and verified and noted in a manifest. The staging folder lies
beside the target and then takes its place in one step; it lies in the target where that is a folder already, and the
files are moved into it then. A later try of the same job finds the staging folder again, and does not fetch again what
its manifest lists. Neither does it what the folder's own manifest lists, so that files are added to those of the same
job. What a job has that has not succeeded is marked in the manifest, and no folder has both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gofer.contracts import formats
from gofer.core import verbs
from gofer.core.commands import MANIFEST, Assemble, CheckFolder, Put
from gofer.core.download import note_keeping, save, sha256
from gofer.core.exchange import AnyErrand
from gofer.core.names import safe_name
from gofer.core.run import Flow, ask
from gofer.core.table import Move
from gofer.core.target import Target
from gofer.events import Saved
from gofer.models import Fetched, ResultFile, Status, Verified
from gofer.wire import shown

STRENGTH = (Verified.NONE, Verified.LENGTH, Verified.SIZE, Verified.DIGEST)


def to_folder(
    errand: AnyErrand, target: Target, files: Mapping[str, ResultFile], so_far: Status | None, *which: str
) -> Flow[tuple[Path, tuple[Fetched, ...]]]:
    """Download these files into a folder, by their names there; return the folder and what came.

    `which` sets a choice of the job's files apart from others, and `so_far` is the status of a job without success.
    """
    folder, job, own = target.path, _in_manifest(errand, so_far), own_folder(errand, so_far)
    staging = target.staging(errand, *which, *([] if so_far is None else [so_far]))
    errand.move(Move.FETCH)
    there = _noted((yield from ask(CheckFolder(target.place, job=own))))
    noted = _noted((yield from ask(CheckFolder(target.place, staging, own)))) | there
    fetched: list[Fetched] = []
    entries: dict[str, dict[str, Any]] = {}
    for name, file in files.items():
        entry: dict[str, Any] | None = noted.get(name)
        if entry is None or entry.get("name") != file.name:
            one = yield from save(errand, staging / name, file, last=False)
            entry = {"file": name, "name": file.name, "size": one.size, "verified": one.verified}
            entry |= {} if file.url is None else {"from": shown(file.url)}
        entries[name] = entry
        yield Put(staging / MANIFEST, _manifest(job, entries))
        fetched.append(Fetched(folder / name, entry["size"], Verified(entry["verified"])))
        errand.move(Move.RESUME)
    manifest, at = _manifest(job, there | entries), target.place / MANIFEST
    if there or not files:
        yield Put(staging / MANIFEST, manifest)
    if errand.entry is not None:
        yield from note_keeping(errand, at, folder, len(manifest), sha256(manifest), weakest(fetched))
    yield Assemble(staging, target.place, own)
    errand.move(Move.STORED)
    yield from verbs.tell(errand, Saved(errand.job_id, folder, sum(one.size for one in fetched), weakest(fetched)))
    return folder, tuple(fetched)


def weakest(fetched: Sequence[Fetched]) -> Verified:
    """Return the weakest check among these files; NONE where there is no file."""
    return min((one.verified for one in fetched), key=STRENGTH.index, default=Verified.NONE)


def own_folder(errand: AnyErrand, so_far: Status | None = None) -> Mapping[str, object] | None:
    """Return what the manifest of a folder says besides its files, if more files of the job may be added to them.

    That takes an id by which the job is recognised, and files that change no more.
    """
    return _in_manifest(errand, so_far) if errand.job_id and (so_far is None or so_far.done) else None


def _in_manifest(errand: AnyErrand, so_far: Status | None) -> Mapping[str, object]:
    more: dict[str, object] = {} if so_far is None else {"partial": True, "status": str(so_far)}
    if (submitted := errand.record.submitted) is not None:
        more["submitted"] = submitted
    return {"job": errand.job_id, "service": errand.service.base, **more}


def _manifest(job: Mapping[str, object], entries: Mapping[str, Any]) -> bytes:
    return json.dumps({**job, "files": list(entries.values())}, indent=2).encode()


def _noted(manifest: bytes | None) -> dict[str, dict[str, Any]]:
    """Read which files an earlier try of this very job has stored already: the manifest's entries by file name."""
    try:
        files = json.loads(manifest or b"{}").get("files", [])
        return {one["file"]: one for one in files if Verified(one["verified"]) and _is_size(one["size"])}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _is_size(value: object) -> bool:
    return type(value) is int and value >= 0


def safe_names(files: Sequence[ResultFile]) -> list[str]:
    """Make safe file names of the service's: no path, nothing hidden or reserved, no two alike in any case."""
    taken, names, last = {MANIFEST}, list[str](), dict[str, int]()
    for file in files:
        name = safe_name(re.split(r"[/\\]", file.name)[-1])
        if "." not in name:
            name += formats.suffix_of(file.format)
        stem, dot, suffix = name.rpartition(".")
        number, unique = last.get(name.casefold(), 1), name
        while unique.casefold() in taken:
            number += 1
            unique = f"{stem or suffix}-{number}{dot if stem else ''}{suffix if stem else ''}"
        last[name.casefold()] = number  # the next one of this name need not try the numbers before
        taken.add(unique.casefold())
        names.append(unique)
    return names
