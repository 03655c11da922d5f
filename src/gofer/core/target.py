"""Where a caller wants results to go, and the check that something can be written there. No bytes are written here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from attrs import Factory, evolve, field, frozen

from gofer.core.commands import CheckFolder, CheckTarget, Locate
from gofer.core.exchange import AnyErrand
from gofer.core.names import FORMAT, JOB_ID, safe_name, with_format
from gofer.core.run import Flow, ask


def _path(target: Target) -> Path:
    return target.path


@frozen
class Target:
    """Where results go.

    Attributes:
        path: as the caller named it.
        kind: a file, a folder, or "either": what is there, and what the job gave, decide.
        stem: how the file is named, up to its suffix, if a folder is there and the job gives one file; None if none may
            be.
        place: where that really is, once it was checked: everything is written there.
        is_there: whether it is a folder that is there already; it stays, and the files are moved into it.
    """

    path: Path
    kind: Literal["file", "folder", "either"] = "file"
    stem: str | None = None
    place: Path = field(default=Factory(_path, takes_self=True))
    is_there: bool = False

    @property
    def open(self) -> bool:
        """Whether the format that comes decides on the suffix; the job is to give one file then."""
        return self.kind == "file" and self.path.name.endswith(FORMAT)

    def of_job(self, id: str) -> Target | None:
        """Return the target with the job's id in it, to be checked; None if it has no place for one."""
        named = str(self.path).replace(JOB_ID, safe_name(id))
        return None if named == str(self.path) else Target(Path(named), self.kind, self.stem)

    def staging(self, errand: AnyErrand, *which: str) -> Path:
        """Return where this job's files, or those of this choice, are gathered before the folder is complete."""
        where = json.dumps([errand.service.base, errand.ref.id, sorted(errand.ref.links.items()), *which])
        tag = hashlib.sha256(where.encode()).hexdigest()[:12]
        if self.is_there:
            return self.place / f".{tag}.parts"
        name = self.place.name.encode(errors="replace")[:200].decode(errors="ignore")  # file systems count bytes
        return self.place.with_name(f".{name}.{tag}.parts")


def check_target(target: Target, job: Mapping[str, object] | None = None) -> Flow[Target]:
    """Check that the target can be written, before anything depends on it; return it with its place and kind.

    `job` is what the manifest of a folder says that the job may have already (`folder.own_folder`), to be added to.

    Raises:
        TargetError: it cannot be written, or is a folder where a file is wanted.
    """
    found = yield from ask(Locate(target.path))
    if found.is_folder and target.stem is not None:
        target = evolve(target, path=target.path / f"{target.stem}{FORMAT}")
        found = yield from ask(Locate(target.path))
    if target.kind == "folder" or (target.kind == "either" and found.is_folder):
        _ = yield from ask(CheckFolder(found.path, job=job))
        return evolve(target, kind="folder", place=found.path, is_there=found.is_folder)
    _ = yield from ask(CheckTarget(found.path))
    return evolve(target, place=found.path)


def check_name(place: Path, kind: str | None) -> Flow[Path]:
    """Return the place that a file of this format takes, checked as a target where the format has completed its name.

    Raises:
        TargetError: nothing can be written there.
    """
    at = with_format(place, kind)
    if at != place:
        found = yield from ask(Locate(at))
        _ = yield from ask(CheckTarget(found.path))
    return at
