"""The commands a flow yields and the outcomes it is sent: all that core and drivers say to each other.

Two closed unions of frozen values. `Command` says what to do, `Outcome` what came of it: `Answered` with the command's
answer, or `Failed` with a gofer error, already translated. A driver performs commands and decides nothing. Each command
names the type of its answer, so that a flow gets it typed (`run.ask`).

    Authorise(call, until)           -> object         what a function of the caller's returns, for credentials
    Send(request, timeout, ...)      -> Reply          one exchange; of the reply's body `cap` bytes are read
    Open(request, timeout, ...)      -> Head           the head of a streamed reply; then exactly one of the next three
    Store(target, ...)               -> Stored         its body into the part file; bytes never pass through the core
    Read(cap, until)                 -> Body           its body in memory, up to `cap` bytes
    Drop()                           -> None           its body is not wanted
    Sleep(seconds)                   -> None
    AwaitNews(seconds)               -> Snapshot | None  of a batch: what its feed shows of the job, if it does in time
    AwaitTurn(turn, until)           -> bool           a slot, or renewed credentials; False when it is too late
    Tell(event)                      -> None           best-effort progress
    Wake(jobs)                       -> None           of a batch: those that wait for news of these jobs go on
    Listening()                      -> tuple          of a batch: the jobs that news is waited for, the first first
    Note(number, fact)               -> None           a fact about an errand of a batch, in the journal and on the disk

The disk performs the others (`DiskCommand`), all behind one method:

    Locate(target)                   -> Place          where it really is: absolute, links followed
    CheckTarget(target)              -> Part | None    whether it can be written; the part file that an earlier try left
    CheckFolder(folder, staging, ..) -> bytes | None   whether it can be filled; the manifest of what came before
    Measure(target, hashed)          -> Stored         the part file as it is, where it is complete already
    Keep(target, at)                 -> None           the part file is synced and takes its place, in one step
    Discard(target)                  -> None           the part file is removed
    Put(target, content)             -> None           a small file, complete, in one step
    Assemble(staging, folder)        -> None           the files in the staging folder are in the folder
    Recognise(at, size, digest)      -> bool           whether this file is there, byte for byte
    Examine(body, hashed)            -> Streamed       the body with the sizes and versions of its files
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from attrs import field, frozen
from attrs.validators import instance_of, optional

from gofer.contracts.base import Snapshot
from gofer.core.digests import Digest
from gofer.core.journal import Fact
from gofer.core.slots import Turn
from gofer.errors import GoferError
from gofer.events import Event
from gofer.wire import Head, Reply, Request, Streamed

A = TypeVar("A")
T = TypeVar("T")


MANIFEST = "manifest.json"
"""The file in a folder of results that lists the others."""

STAGING = re.compile(r"\..*\.parts", re.DOTALL)
"""How the folders are named in which files are gathered before their folder is complete."""


class Now(NamedTuple):
    """One reading of the driver's clocks, in seconds: `mono` for deadlines, `wall` (Unix time) for dates."""

    mono: float
    wall: float


class Asks(Generic[A]):
    """What every command is: something whose answer is an `A`."""

    __slots__ = ()


# --- answers ---


@frozen
class Mark:
    """What is written beside a part file, so that another process can go on with it.

    Attributes:
        source: a hash of the method, origin and path the bytes came from.
        etag: the entity tag of the complete file (RFC 9110, section 8.8.3), None without one.
        total: the size of the complete file in bytes, None if the service did not name it.
        digest: the digest that the service named for the complete file, if it did.
        modified: Last-Modified as it came, None without one.
        dated: whether that date is a strong validator.
        query: a hash of the URL's query, "" without one.
        coding: the Content-Encoding, "" for none.
        kind: the media type, "" for none.

    Raises:
        TypeError: a member is of another type, as in a note that something has damaged.
    """

    source: str = field(validator=instance_of(str))
    etag: str | None = field(default=None, validator=optional(instance_of(str)))
    total: int | None = field(default=None, validator=optional(instance_of(int)))
    digest: Digest | None = field(default=None, repr=False)
    modified: str | None = field(default=None, validator=optional(instance_of(str)))
    dated: bool = field(default=False, validator=instance_of(bool))
    query: str = field(default="", validator=instance_of(str))
    coding: str = field(default="", validator=instance_of(str))
    kind: str = field(default="", validator=instance_of(str))


@frozen
class Place:
    """Where a target really is: its absolute path, links followed; and whether a folder is there already."""

    path: Path
    is_folder: bool


@frozen
class Part:
    """A part file: its size in bytes and the mark beside it."""

    size: int
    mark: Mark


@frozen
class Stored:
    """A body on disk: the part's size in bytes, its digest if one was wanted, and its first bytes (up to 4 KiB)."""

    size: int
    digest: bytes | None
    head: bytes


@frozen
class Body:
    """A body in memory; `cut` says that more bytes follow."""

    content: bytes = field(repr=lambda content: f"<{len(content)} bytes>")
    cut: bool = False


# --- commands of the wire and the clock ---


@frozen
class Authorise(Asks[object]):
    """Call a function of the caller's that has to do with credentials; it may block, or return an awaitable.

    An awaitable is cancelled at `until`, a monotonic time, or None; what blocks cannot be.
    """

    call: Callable[[], object] = field(repr=False, eq=False)  # two of one errand's are the same step
    until: float | None = field(default=None, eq=False)


@frozen
class Send(Asks[Reply]):
    """Send a request and read the reply, within `timeout` seconds in all; at most `cap` bytes of the body are read.

    The seconds count anew with each piece of a streamed body, but never beyond `until`, a monotonic time, or None.
    """

    request: Request
    timeout: float
    cap: int
    until: float | None = None


@frozen
class Open(Asks[Head]):
    """Send a request and read the reply's head within `timeout` seconds.

    Its body may pause `stall` seconds, and fewer than `least` bytes in that time count as a pause too.
    """

    request: Request
    timeout: float
    stall: float
    least: int


@frozen
class Store(Asks[Stored]):
    """Write the opened body into the target's part file, from byte `offset` on.

    Attributes:
        mark: is beside the part before the first byte is in it.
        limit: more bytes than this in the complete file end the transfer with `WrongFile`.
        until: monotonic time at which the transfer must end, None without a deadline.
        overlap: bytes from `offset` on that the part has already: they are compared, and a difference is `WrongFile`.
        hashed: the algorithm of the digest that is wanted of the complete file, None for no digest; a kept prefix is
            then read again from disk.
        job_id: for the progress events.
        room: bytes that are still to come, as far as their number was named: without room for them none is written.
    """

    target: Path
    offset: int
    overlap: int
    mark: Mark
    limit: int
    until: float | None
    hashed: str | None
    job_id: str | None
    room: int = 0


@frozen
class Read(Asks[Body]):
    """Read the opened body into memory, at most `cap` bytes of it; past `until` it is `AnswerLost`."""

    cap: int
    until: float | None


@frozen
class Drop(Asks[None]):
    """Close the opened reply unread."""


@frozen
class Sleep(Asks[None]):
    """Wait for a number of seconds."""

    seconds: float


@frozen
class AwaitNews(Asks["Snapshot[Any] | None"]):
    """Wait until the feed of a batch names the job, for a number of seconds at most; the schedule obeys it itself.

    The answer is the job as the feed has shown it, None where it has not.
    """

    seconds: float


@frozen
class AwaitTurn(Asks[bool]):
    """Wait until a turn is granted; False if it was not by `until`, a monotonic time, or None without a deadline."""

    turn: Turn
    until: float | None


@frozen
class Tell(Asks[None]):
    """Report an event to whoever listens."""

    event: Event


@frozen
class Wake(Asks[None]):
    """Have the errands of a batch go on that wait for news: of these jobs, with what was shown of them, or of all.

    The schedule obeys it itself; no driver sees one.
    """

    jobs: Mapping[str, Snapshot[Any] | None] | None


@frozen
class Listening(Asks[tuple[str, ...]]):
    """Return the jobs of which the errands of a batch wait for news; the schedule answers itself."""


@frozen
class Note(Asks[None]):
    """Write a fact about an errand into the journal of its batch, and have it on the disk (`JournalError`)."""

    number: int
    fact: Fact


# --- commands of the disk ---


@frozen
class Locate(Asks[Place]):
    """Find where a target really is; `TargetError` if anything but a file or a folder is there."""

    target: Path


@frozen
class CheckTarget(Asks[Part | None]):
    """Check that the target can be written (`TargetError`), and return the part file beside it, if there is one."""

    target: Path


@frozen
class CheckFolder(Asks[bytes | None]):
    """Check that the folder can be filled (`TargetError`): it is empty or absent, or has nothing but files of this job.

    Where a staging folder is named, it is made, and the manifest that an earlier try left in it is returned. Else the
    answer is the folder's own manifest, without the files that are not there any more.

    Attributes:
        job: what the manifest of a folder of this very job says besides its files; None if no folder can be its own.
    """

    folder: Path
    staging: Path | None = None
    job: Mapping[str, object] | None = None


@frozen
class Measure(Asks[Stored]):
    """Measure the part file as it is; `hashed` is the algorithm of the digest that is wanted, or None."""

    target: Path
    hashed: str | None


@frozen
class Keep(Asks[None]):
    """Sync the part file of a target to disk and put it at the place `at`, beside the part, in one step."""

    target: Path
    at: Path


@frozen
class Discard(Asks[None]):
    """Remove the part file and the mark beside it."""

    target: Path


@frozen
class Put(Asks[None]):
    """Write these bytes to the target, synced to disk and in one step; folders are made as needed."""

    target: Path
    content: bytes = field(repr=lambda content: f"<{len(content)} bytes>")


@frozen
class Assemble(Asks[None]):
    """Put the files of the staging folder into the folder; a folder that is absent appears complete, in one step.

    `job` is that of `CheckFolder`: the manifest of a folder of this very job is replaced.
    """

    staging: Path
    folder: Path
    job: Mapping[str, object] | None = None


@frozen
class Recognise(Asks[bool]):
    """Tell whether a file of this size and SHA-256 (hexadecimal digits) is at this place."""

    at: Path
    size: int
    digest: str


@frozen
class Examine(Asks[Streamed]):
    """Look at the files of a body, and read them for its digest if that is wanted (`UsageError`)."""

    body: Streamed
    hashed: bool


DiskCommand = Locate | CheckTarget | CheckFolder | Measure | Keep | Discard | Put | Assemble | Recognise | Examine
BatchCommand = AwaitNews | Wake | Listening | Note
Command = Authorise | Send | Open | Store | Read | Drop | Sleep | AwaitTurn | Tell | BatchCommand | DiskCommand


# --- outcomes ---

DiskAnswer = Place | Part | Stored | Streamed | bytes | bool | None
Answer = object


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
