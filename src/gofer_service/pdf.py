"""Opening PDFs with pypdf, while its own log is silent: its messages do not name the file."""

import logging
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import IO, Final

from pypdf import PdfReader

_log: Final = logging.getLogger("pypdf")
_lock: Final = threading.Lock()
_readers = 0
_level = logging.NOTSET


@contextmanager
def open_pdf(file: IO[bytes]) -> Generator[PdfReader]:
    """Give a reader of the PDF. pypdf's log is silent while any thread has a reader open."""
    global _readers, _level
    with _lock:
        if not _readers:
            _level = _log.level
            _log.setLevel(logging.CRITICAL + 1)
        _readers += 1
    try:
        yield PdfReader(file)
    finally:
        with _lock:
            _readers -= 1
            if not _readers:
                _log.setLevel(_level)
