"""The third leg: one file of the job, complete and verified, or nothing.

The body goes into a part file beside the target. A broken transfer is resumed where it stopped, if the service proves
that the file is still the same one (If-Range, RFC 9110, section 13.1.5); else it starts over. Only a part that has
been verified takes the target's place.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from attrs import evolve

from gofer.core import verbs
from gofer.core.commands import CheckTarget, Discard, Keep, Mark, Measure, Part, Put, Stored
from gofer.core.exchange import AnyErrand, Tries, follow_open, retry_or_raise
from gofer.core.judging import content_length, content_range, encoding_of, sha256_of, strong_etag
from gofer.core.names import with_format
from gofer.core.poll import poll_once
from gofer.core.results import read_results
from gofer.core.run import Flow
from gofer.core.table import Move
from gofer.core.target import Target
from gofer.errors import AnswerLost, NotSupported, TransportError, WrongFile
from gofer.events import Saved
from gofer.models import Fetched, ResultFile, State, Verified
from gofer.wire import Head, Request

WORTH_AGAIN = frozenset({"digest", "size", "range"})
"""Reasons of `WrongFile` that a second transfer, from the first byte, may cure; after a resume any reason may be."""

PAGES = frozenset({"text/html", "application/xhtml+xml", ""})
"""Media types of what may be a web page, as a proxy or a sign-in sends with status 200."""


def fetch(errand: AnyErrand, target: Target, file: ResultFile) -> Flow[Fetched]:
    """Download one file to a checked target, and report it under the name that the caller gave."""
    errand.move(Move.FETCH)
    saved = yield from save(errand, target.place, file)
    fetched = evolve(saved, path=target.path.with_name(saved.path.name) if target.open else target.path)
    errand.move(Move.STORED)
    promise = _promise(errand, file)
    yield from verbs.tell(errand, Saved(errand.job_id, fetched.path, fetched.size, fetched.verified, promise.format))
    return fetched


def save(errand: AnyErrand, target: Path, file: ResultFile) -> Flow[Fetched]:
    """Put one file at a path: content that the service sent along is written, any other file is downloaded."""
    if file.content is None:
        return (yield from to_file(errand, target, file))
    at = with_format(target, file.format)
    yield Put(at, file.content)
    return Fetched(at, len(file.content), Verified.LENGTH)


def to_file(errand: AnyErrand, target: Path, file: ResultFile) -> Flow[Fetched]:
    """Download a file of the job to `target`."""
    request = _request(file)
    source = hashlib.sha256(request.url.encode()).hexdigest()
    tries = Tries(errand, errand.rules.patience)
    reached, cured, page = 0, False, None
    while True:
        yield from _poll_after_page(errand, page)
        part = yield from verbs.ask(CheckTarget(target))
        if part is not None and (part.mark.source != source or part.mark.etag is None or part.size == 0):
            part = None
        if part is not None and part.size >= reached + errand.rules.crawl:
            tries.reset()  # the last tries made progress
            reached = part.size
        try:
            head = yield from follow_open(errand, _ranged(request, part))
            if head.status not in (200, 206, 416):
                yield from retry_or_raise(errand, head, tries)
                continue
            page = yield from _possible_page(errand, head)
            if page is not None:
                continue
            stored, total, named = yield from _transfer(errand, target, file, source, head, part)
            verified = _verify(errand, file, head, stored, total, named)
        except TransportError as error:
            yield from tries.back_off(error)
        except WrongFile as error:
            yield Discard(target)
            if cured or (part is None and error.reason not in WORTH_AGAIN):
                raise
            cured, reached = True, 0
        else:
            at = with_format(target, _promise(errand, file).format or head.media_type)
            yield Keep(target, at)
            return Fetched(at, stored.size, verified)
        errand.move(Move.RESUME)


def to_memory(errand: AnyErrand, max_bytes: int, file: ResultFile) -> Flow[bytes]:
    """Download a file of the job into memory, at most `max_bytes` bytes."""
    request = _request(file)
    tries = Tries(errand, errand.rules.patience)
    cured, page = False, None
    while True:
        yield from _poll_after_page(errand, page)
        try:
            head = yield from follow_open(errand, request)
            if head.status != 200:
                yield from retry_or_raise(errand, head, tries)
                continue
            page = yield from _possible_page(errand, head)
            if page is not None:
                continue
            body = yield from _read(errand, file, head, max_bytes)
        except TransportError as error:
            yield from tries.back_off(error)
        except WrongFile as error:
            if cured or error.reason not in WORTH_AGAIN:
                raise
            cured = True
        else:
            return body
        errand.move(Move.RESUME)


def _request(file: ResultFile) -> Request:
    if file.url is None or not file.url.startswith(("http://", "https://")):
        scheme = (file.url or "nothing").partition(":")[0]
        raise NotSupported(f"The file {file.name!r} cannot be fetched over HTTP: the service points to {scheme}:.")
    asked = {"accept-encoding": "identity", "want-repr-digest": "sha-256=10"}
    return Request(file.method, file.url, file.headers, file.body).with_headers(asked)


def _promise(errand: AnyErrand, file: ResultFile) -> ResultFile:
    """Return what the job's results, if they were read meanwhile, promise of the file."""
    return next((promised for promised in errand.record.files if promised.url == file.url), file)


def _ranged(request: Request, part: Part | None) -> Request:
    """Ask for the rest of a part, on the condition that the file is still the one it came from."""
    if part is None or part.mark.etag is None:
        return request
    return request.with_headers({"range": f"bytes={part.size}-", "if-range": part.mark.etag})


def _possible_page(errand: AnyErrand, head: Head) -> Flow[Head | None]:
    """Drop and return what may be a web page in the file's place, as long as the job itself has not been polled.

    Raises:
        WrongFile: the body is in an encoding that was not asked for; it is never unpacked.
    """
    encoding = encoding_of(head)
    if not encoding and (errand.record.seen is not None or head.media_type not in PAGES):
        return None
    yield from verbs.drop(errand)
    if encoding:
        raise WrongFile(f"The file came encoded ({encoding}) though asked plain.", reason="encoding")
    return head


def _poll_after_page(errand: AnyErrand, page: Head | None) -> Flow[None]:
    """Poll a job that was not polled before, if a possible page came: the results say what the file is to be.

    Raises:
        WrongFile: the job has no file, so what came is none.
        GoferError: the job cannot be polled; the page is not believed then.
    """
    if page is None or errand.record.seen is not None:
        return
    _ = yield from poll_once(errand, errand.rules.patience)
    if errand.record.status.state is not State.SUCCEEDED:
        came = page.media_type or "something of no type"
        raise WrongFile(f"This is not the file: {came} came, and the job is {errand.record.status}.")
    _ = yield from read_results(errand)


def _transfer(
    errand: AnyErrand, target: Path, file: ResultFile, source: str, head: Head, part: Part | None
) -> Flow[tuple[Stored, int | None, bytes | None]]:
    """Write the opened body to disk; return it with the size and the digest that were named for the complete file."""
    named = sha256_of(head) or (part.mark.digest if part is not None and head.status != 200 else None)
    if head.status == 200:
        offset, total = 0, content_length(head)
        mark = Mark(source, strong_etag(head), total, named)
    else:
        offset, total = _continues(head, part)
        if part is None or total is None or offset < 0:
            yield from verbs.drop(errand)
            raise WrongFile(f"The service's {head.status} does not continue what is here.", reason="range")
        mark = evolve(part.mark, total=total, digest=named)
    if total is not None and total > errand.rules.file_cap:
        yield from verbs.drop(errand)
        raise WrongFile(f"The file has {total} bytes, more than the cap of {errand.rules.file_cap}.", reason="too big")
    if head.status == 416:
        yield from verbs.drop(errand)
        return (yield from verbs.ask(Measure(target, hashed=named is not None))), total, named
    limit = errand.rules.file_cap if total is None else total
    size = (_promise(errand, file).size or 0) if total is None else total
    stored = yield from verbs.store(
        errand, target, offset, mark, limit=limit, hashed=named is not None, room=size - offset
    )
    if total is not None and stored.size < total:
        raise AnswerLost(f"The body ended after {stored.size} of {total} bytes.")
    return stored, total, named


def _read(errand: AnyErrand, file: ResultFile, head: Head, max_bytes: int) -> Flow[bytes]:
    """Read the opened body into memory and verify it."""
    length, named = content_length(head), sha256_of(head)
    total = length if length is not None else _promise(errand, file).size
    if total is not None and total > max_bytes:
        yield from verbs.drop(errand)
        raise WrongFile(f"The file has {total} bytes, more than max_bytes={max_bytes}.", reason="too big")
    read = yield from verbs.read(errand, max_bytes)
    if read.cut:
        raise WrongFile(f"The file has more than max_bytes={max_bytes}.", reason="too big")
    body = read.content
    if length is not None and len(body) != length:
        raise AnswerLost(f"The body ended after {len(body)} of {length} bytes.")
    stored = Stored(len(body), hashlib.sha256(body).digest() if named else None, body[:4096])
    _ = _verify(errand, file, head, stored, length, named)
    return body


def _continues(head: Head, part: Part | None) -> tuple[int, int | None]:
    """Compare a 206 or 416 with the part: (the offset where it resumes, the complete size), or (-1, None)."""
    span = content_range(head)
    if part is None or span is None:
        return -1, None
    total = span.total if span.total is not None else part.mark.total
    same_size = part.mark.total is None or total == part.mark.total
    same_file = strong_etag(head) in (None, part.mark.etag)
    starts = part.size == (total if head.status == 416 else span.first)
    return (part.size, total) if starts and same_size and same_file else (-1, None)


def _verify(
    errand: AnyErrand, file: ResultFile, head: Head, stored: Stored, total: int | None, named: bytes | None
) -> Verified:
    """Verify the complete file by the strongest means there is.

    Raises:
        WrongFile: it is not what was promised, or nothing was and `verify="require"`.
    """
    promise = _promise(errand, file)
    size, promised = promise.size, promise.format or head.media_type or None
    why = errand.contract.judge(promised, stored.head)
    if why is not None:
        raise WrongFile(f"This is not the file: {why}.", reason="format")
    if named is not None:
        if stored.digest != named:
            raise WrongFile("The file's SHA-256 is not the one the service named.", reason="digest")
        return Verified.DIGEST
    if size is not None:
        if stored.size != size:
            raise WrongFile(f"The file has {stored.size} bytes, the service named {size}.", reason="size")
        return Verified.SIZE
    if total is not None:
        return Verified.LENGTH
    if errand.rules.verify == "require":
        raise WrongFile("Nothing was named to check the file by, and verify='require'.", reason="unverified")
    return Verified.NONE
