"""Folders of results on disk: how one is found fit for them, and how the staging folder becomes it.

A folder that is not there yet appears complete, in one step. One that is there stays what it is (a mount point, a
working directory, somebody's permissions): the files are moved into it from a staging folder inside, the manifest last.
So are files that are added to those of the same job; nothing that is there is overwritten but the manifest.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from gofer.core.commands import MANIFEST, STAGING
from gofer.errors import TargetError
from gofer.transports.parts import writing
from gofer.transports.private import is_ours, read_private
from gofer.transports.sync import sync_folder
from gofer.transports.targets import check_makeable, check_writable


def check_folder(folder: Path, staging: Path | None, job: Mapping[str, object] | None) -> bytes | None:
    """Check a folder, and make the staging folder for it where one is named; return the manifest in either."""
    with writing(folder):
        own = None
        if not folder.is_dir():
            if folder.exists():
                raise TargetError(f"{folder} is a file; name a folder for the files of this job.")
            check_makeable(folder)
        else:
            own = _own(folder, job)
            if others := _others(folder) - {MANIFEST if own else "", *_listed(own)}:
                what = " (other results, or partial ones)" if MANIFEST in others else ""
                raise TargetError(
                    f"{folder} has something in it already{what}; name an empty folder, or one to be made."
                )
            check_writable(folder, folder)
        if staging is None:
            return own
        staging.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            staging.mkdir()
        _check_staging(staging)
        manifest = _manifest(staging)
        listed = _listed(manifest)
        return (
            manifest
            if listed and all(any((at / name).is_file() for at in (staging, folder)) for name in listed)
            else None
        )


def assemble(staging: Path, folder: Path, job: Mapping[str, object] | None) -> None:
    """Put the files of a staging folder into their folder, or the staging folder in its place if there is none."""
    with writing(folder):
        if not folder.is_dir():
            staging.rename(folder)
            sync_folder(folder.parent)
            return
        replaced = {MANIFEST} if _own(folder, job) else set[str]()
        if _others(folder) - replaced:
            raise TargetError(f"{folder} has something in it that was put there meanwhile; name another folder.")
        files = sorted(staging.iterdir(), key=lambda file: file.name == MANIFEST)
        for place in (folder / file.name for file in files if file.name not in replaced):
            if os.path.lexists(place):
                raise TargetError(f"{place} was put there meanwhile; name another folder.")
        for file in files:
            file.replace(folder / file.name)
        staging.rmdir()
        sync_folder(folder)


def _others(folder: Path) -> set[str]:
    """Return the names in a folder that are not gofer's: no staging folder, and nothing moved out of one."""
    names = {entry.name for entry in folder.iterdir()}
    stagings = {name for name in names if STAGING.fullmatch(name)}
    moved = {name for staging in stagings for name in _listed(_manifest(folder / staging))}
    return names - stagings - moved


def _own(folder: Path, job: Mapping[str, object] | None) -> bytes | None:
    """Return the manifest of a folder of this job, with the files that are there as it says; None of any other.

    A service may use an id again, so that the time of the submission counts too, where both have it.
    """
    if job is None:
        return None
    try:
        manifest = json.loads(read_private(folder / MANIFEST))
        times = {manifest.get("submitted"), job.get("submitted")} - {None}
        if len(times) > 1 or {**manifest, "files": 0, "submitted": 0} != {**job, "files": 0, "submitted": 0}:
            return None
        found = (entry for entry in os.scandir(folder) if entry.is_file(follow_symlinks=False))
        sizes = {entry.name: entry.stat(follow_symlinks=False).st_size for entry in found}
        manifest["files"] = [one for one in manifest["files"] if sizes.get(one["file"]) == one["size"]]
        return json.dumps(manifest).encode()
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def _check_staging(staging: Path) -> None:
    found = staging.lstat()
    if not stat.S_ISDIR(found.st_mode) or not is_ours(found, staging.parent):
        raise TargetError(f"gofer gathers files in {staging}, and what is there is no folder of its own. Remove it.")


def _manifest(staging: Path) -> bytes | None:
    try:
        _check_staging(staging)
        return read_private(staging / MANIFEST)
    except OSError:
        return None


def _listed(manifest: bytes | None) -> list[str]:
    try:
        names = [str(entry["file"]) for entry in json.loads(manifest or b"{}")["files"]]
        return [name for name in names if len(os.fsencode(name)) <= 255]  # more bytes no file system takes
    except (ValueError, KeyError, TypeError, RecursionError):
        return []
