"""The commands a flow yields and the outcomes it is sent: the whole vocabulary between core and drivers.

Two closed unions of frozen values. `Command` says what to do, `Outcome` what came of it: `Answered` with the command's
answer, or `Failed` with a gofer error, already translated. A driver performs commands and decides nothing.

    Send(request, timeout, cap)      -> Reply          one small exchange; `timeout` is total, the body is capped
    Sleep(seconds)                   -> None
    Look(target)                     -> Part | None    what a former try left beside the target
    Open(request, timeout, ...)      -> Head           the head of a streamed reply; then exactly one of the next three
    Store(target, ...)               -> Stored         its body into the part file; bytes never pass through the core
    Read(cap, until)                 -> bytes          its body in memory
    Drop()                           -> None           its body is not wanted
    Weigh(target, hashed)            -> Stored         the part file as it is, for one that was whole already
    Keep(target)                     -> None           part file synced to disk and put in the target's place
    Discard(target)                  -> None           part file removed
    Put(target, content)             -> None           a small file, whole, in one step
    Muster(folder, staging)          -> bytes | None   whether a folder can be filled, and what a former try left
    Assemble(staging, folder)        -> None           the staging folder put in the folder's place, in one step
    Tell(event)                      -> None           best-effort progress
"""

from __future__ import annotations

from pathlib import Path
from typing import Generic, TypeVar

from attrs import field, frozen

from gofer.errors import GoferError
from gofer.events import Event
from gofer.wire import Head, Reply, Request

T = TypeVar("T")


MANIFEST = "manifest.json"
"""The file in a folder of results that lists the others."""


@frozen
class Now:
    """One reading of the driver's clocks, in seconds: `mono` for deadlines, `wall` (Unix time) for dates."""

    mono: float
    wall: float


# --- commands ---


@frozen
class Send:
    """Send a request and bring the whole reply, within `timeout` seconds in all and `cap` bytes of body."""

    request: Request
    timeout: float
    cap: int


@frozen
class Sleep:
    """Let so many seconds pass."""

    seconds: float


@frozen
class Look:
    """See whether a part file lies beside the target, and whether the target can be written at all (`TargetError`)."""

    target: Path


@frozen
class Open:
    """Send a request and bring the reply's head within `timeout` seconds.

    Its body may pause `stall` seconds, and fewer than `least` bytes in so many seconds are a pause too.
    """

    request: Request
    timeout: float
    stall: float
    least: int


@frozen
class Mark:
    """What is written beside a part file, so that another process can go on with it.

    Attributes:
        source: a hash of the URL the bytes came from.
        etag: the strong entity tag of the whole (RFC 9110, section 8.8.3), None without one.
        total: the size of the whole in bytes, if known.
        digest: the SHA-256 the service named for the whole, if it did.
    """

    source: str
    etag: str | None = None
    total: int | None = None
    digest: bytes | None = field(default=None, repr=False)


@frozen
class Store:
    """Write the opened body into the target's part file, from byte `offset` on.

    Attributes:
        mark: is beside the part before the first byte is in it.
        limit: more bytes than this in the whole file end the transfer with `WrongFile`.
        until: monotonic time at which the transfer must end, None without a deadline.
        hashed: whether the SHA-256 of the whole is wanted; a kept prefix is then read again from disk.
        job_id: for the progress events.
    """

    target: Path
    offset: int
    mark: Mark
    limit: int
    until: float | None
    hashed: bool
    job_id: str | None


@frozen
class Read:
    """Bring the opened body as bytes; more than `cap` of them is `WrongFile`, past `until` is `AnswerLost`."""

    cap: int
    until: float | None


@frozen
class Drop:
    """Close the opened reply unread."""


@frozen
class Weigh:
    """Measure the part file as it lies there."""

    target: Path
    hashed: bool


@frozen
class Keep:
    """Sync the part file to disk and put it in the target's place in one step."""

    target: Path


@frozen
class Discard:
    """Remove the part file and what lies beside it."""

    target: Path


@frozen
class Put:
    """Write these bytes to the target, synced to disk and in one step; folders are made as needed."""

    target: Path
    content: bytes = field(repr=lambda content: f"<{len(content)} bytes>")


@frozen
class Muster:
    """See whether the folder is empty or absent and can be made (`TargetError`), and read the staging's manifest."""

    folder: Path
    staging: Path | None


@frozen
class Assemble:
    """Put the staging folder in the place of the empty or absent folder."""

    staging: Path
    folder: Path


@frozen
class Tell:
    """Report an event to whoever listens."""

    event: Event


Command = Send | Sleep | Look | Open | Store | Read | Drop | Weigh | Keep | Discard | Put | Muster | Assemble | Tell


# --- answers ---


@frozen
class Part:
    """A part file: its size in bytes and the mark beside it."""

    size: int
    mark: Mark


@frozen
class Stored:
    """A body on disk: the part's size in bytes, its SHA-256 if it was wanted, and its first bytes (up to 4 KiB)."""

    size: int
    digest: bytes | None
    head: bytes


Answer = Reply | Head | Part | Stored | bytes | None


@frozen
class Answered:
    """The command was carried out."""

    now: Now
    answer: Answer


@frozen
class Failed:
    """The command failed; `error` is thrown into the flow."""

    now: Now
    error: GoferError


Outcome = Answered | Failed


@frozen
class Done(Generic[T]):
    """The flow has ended well."""

    value: T
