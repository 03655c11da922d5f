"""Where a caller wants results to go, and the check that something can be written there. No bytes are written here."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Literal

from attrs import evolve, frozen

from gofer.core import verbs
from gofer.core.commands import CheckFolder, CheckTarget
from gofer.core.exchange import AnyErrand
from gofer.core.run import Flow
from gofer.errors import TargetIsFolder


@frozen
class Target:
    """Where results go: a file, a folder, or "either": what is there, and what the job gave, decide."""

    path: Path
    kind: Literal["file", "folder", "either"] = "file"

    def staging(self, errand: AnyErrand) -> Path:
        """Return where this job's files are gathered before the folder is complete."""
        where = json.dumps([errand.service.base, errand.ref.id, sorted(errand.ref.links.items())])
        tag = hashlib.sha256(where.encode()).hexdigest()[:12]
        return self.path.with_name(f".{self.path.name[:200]}.{tag}.parts")


def check_target(target: Target) -> Flow[Target]:
    """Check that the target can be written, before anything depends on it; return it with its kind, where that shows.

    Raises:
        TargetError: it cannot be written, or is a folder where a file is wanted.
    """
    if target.kind != "folder":
        try:
            _ = yield from verbs.ask(CheckTarget(target.path))
        except TargetIsFolder:
            if target.kind == "file":
                raise
        else:
            return target
    _ = yield from verbs.ask(CheckFolder(target.path))
    return evolve(target, kind="folder")
