"""Have bytes and names on the disk itself, as far as the file system can: whenever the power fails, no file is torn."""

from __future__ import annotations

import errno
import os
from pathlib import Path

_CANNOT = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
"""What file systems answer that cannot sync a file or a folder, as CIFS, vboxsf and some of FUSE."""


def sync(handle: int) -> None:
    """Sync an open file or folder."""
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise


def sync_folder(folder: Path) -> None:
    """Sync the names in a folder; one that may be written to but not read is left to the system."""
    if os.name != "posix":
        return  # other systems cannot open a folder to sync it
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError:
        return
    try:
        sync(handle)
    finally:
        os.close(handle)
