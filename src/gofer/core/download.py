"""The third leg: one file of the job, complete and verified, or nothing.

The body goes into a part file beside the target. A broken transfer is resumed where it stopped, if the file is still
the same one (`resume.py`); else it starts over. Only a part that has been verified takes the target's place.
"""

from __future__ import annotations

from pathlib import Path

from attrs import evolve

from gofer.contracts import formats
from gofer.core import verbs
from gofer.core.commands import CheckTarget, Discard, Keep, Mark, Measure, Put, Stored
from gofer.core.digests import digest_bytes, digest_of
from gofer.core.exchange import AnyErrand, Tries, follow_open, retry_or_raise
from gofer.core.journal import Keeping
from gofer.core.judging import encoding_of, is_stored_in
from gofer.core.names import with_format
from gofer.core.poll import poll_once
from gofer.core.results import read_results, renew_link
from gofer.core.resume import Resume, continues, is_complete, mark_of, ranged, resume_of
from gofer.core.run import Flow, ask
from gofer.core.table import Move
from gofer.core.target import Target, check_name
from gofer.errors import AnswerLost, NotSupported, TransportError, WrongFile
from gofer.events import Saved
from gofer.models import Fetched, ResultFile, State, Verified
from gofer.wire import Head, Reply, Request

WORTH_AGAIN = frozenset({"digest", "size", "range"})
"""Reasons of `WrongFile` that a second transfer, from the first byte, may cure; after a resume any reason may be."""

RECOGNISED_BY = "sha256"
"""The digest by which a journal recognises a file that is in its place already."""

EXPIRED = frozenset({401, 403, 404, 410})
"""Status codes of a link that is good no more; the job's document may have a new one."""

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


def save(errand: AnyErrand, target: Path, file: ResultFile, *, last: bool = True) -> Flow[Fetched]:
    """Put one file at a path: content that the service sent along is written, any other file is downloaded.

    `last` says that the errand has its result with this file, so that a journal is to know of it before.
    """
    if file.content is None:
        return (yield from to_file(errand, target, file, last=last))
    at = yield from check_name(target, file.format)
    if last:
        yield from note_keeping(errand, at, at, len(file.content), sha256(file.content), Verified.LENGTH)
    yield Put(at, file.content)
    return Fetched(at, len(file.content), Verified.LENGTH)


def sha256(content: bytes) -> bytes:
    """Return the digest by which a journal recognises a file."""
    return digest_bytes(RECOGNISED_BY, content)


def note_keeping(errand: AnyErrand, at: Path, path: Path, size: int, digest: bytes, verified: Verified) -> Flow[None]:
    """Write into the journal that what is at `path` is complete, which the file at `at` will tell."""
    yield from verbs.note(errand, Keeping(str(at), str(path), size, digest.hex(), verified))


def to_file(errand: AnyErrand, target: Path, file: ResultFile, *, last: bool = True) -> Flow[Fetched]:
    """Download a file of the job to `target`."""
    tries = Tries(errand, errand.rules.patience)
    reached, cured, renewed, page, kind = 0, False, False, None, ""
    while True:
        request = _request(file)
        yield from _poll_after_page(errand, page)
        resume = resume_of(request, (yield from ask(CheckTarget(target))))
        if resume is not None and resume.part.size >= reached + errand.rules.crawl:
            tries.reset()  # the last tries made progress
            reached, renewed = resume.part.size, False
        kind = kind or ("" if resume is None else resume.part.mark.kind)
        try:
            head = _opened(errand, file, resume) or (yield from follow_open(errand, ranged(request, resume)))
            if head.status in EXPIRED and file.linked and not renewed:
                renewed, old = True, file.url
                head, file = yield from _renewed(errand, file, head)
                if file.url != old:
                    continue
            if head.status not in (200, 206, 416):
                yield from retry_or_raise(errand, head, tries)
                continue
            yield from _refuse_page(errand, head, kind)
            kind = kind or head.media_type
            yield from _refuse_encoded(errand, file, head, target)
            page = yield from _possible_page(errand, head)
            if page is not None:
                continue
            stored, mark = yield from _transfer(errand, target, file, request, head, resume)
            verified = _verify(errand, file, stored, mark)
        except TransportError as error:
            yield from tries.back_off(error)
        except WrongFile as error:
            yield Discard(target)
            if cured or (resume is None and error.reason not in WORTH_AGAIN):
                raise
            cured, reached = True, 0
        else:
            at = with_format(target, _format(errand, file, mark))
            if last and errand.entry is not None:
                digest = stored.digest
                if digest is None or (mark.digest is not None and mark.digest.algorithm != RECOGNISED_BY):
                    digest = (yield from ask(Measure(target, RECOGNISED_BY))).digest
                yield from note_keeping(errand, at, at, stored.size, digest or b"", verified)
            yield Keep(target, at)
            return Fetched(at, stored.size, verified)
        errand.move(Move.RESUME)


def to_memory(errand: AnyErrand, max_bytes: int, file: ResultFile) -> Flow[bytes]:
    """Download a file of the job into memory, at most `max_bytes` bytes."""
    tries = Tries(errand, errand.rules.patience)
    cured, renewed, page, kind = False, False, None, ""
    while True:
        request = _request(file)
        yield from _poll_after_page(errand, page)
        try:
            head = _opened(errand, file, None) or (yield from follow_open(errand, request))
            if head.status in EXPIRED and file.linked and not renewed:
                renewed, old = True, file.url
                head, file = yield from _renewed(errand, file, head)
                if file.url != old:
                    continue
            if head.status != 200:
                yield from retry_or_raise(errand, head, tries)
                continue
            yield from _refuse_page(errand, head, kind)
            kind = kind or head.media_type
            yield from _refuse_encoded(errand, file, head, None)
            page = yield from _possible_page(errand, head)
            if page is not None:
                continue
            body = yield from _read(errand, file, mark_of(request, head), max_bytes)
        except TransportError as error:
            yield from tries.back_off(error)
        except WrongFile as error:
            if cured or error.reason not in WORTH_AGAIN:
                raise
            cured = True
        else:
            return body
        errand.move(Move.RESUME)


def _renewed(errand: AnyErrand, file: ResultFile, head: Head) -> Flow[tuple[Reply, ResultFile]]:
    """Read the job's document again after its link was refused; return the refusal, and the file with its link now."""
    refusal = yield from verbs.read_document(errand, head)
    return refusal, (yield from renew_link(errand, file))


def _opened(errand: AnyErrand, file: ResultFile, resume: Resume | None) -> Head | None:
    """Return the head of a reply that is open already, if it is this file from its first byte."""
    if errand.opened is None or resume is not None:
        return None
    request, head = errand.opened
    same = (request.method, request.url, request.body) == (file.method, file.url, file.body)
    if head.status != 200 or encoding_of(head) or not same:
        return None
    errand.opened = None
    return head


def _request(file: ResultFile) -> Request:
    if file.url is None or not file.url.startswith(("http://", "https://")):
        scheme = (file.url or "nothing").partition(":")[0]
        raise NotSupported(f"The file {file.name!r} cannot be fetched over HTTP: the service points to {scheme}:.")
    asked = {"accept-encoding": "identity", "want-repr-digest": "sha-256=10"}
    return Request(file.method, file.url, file.headers, file.body).with_headers(asked)


def _promise(errand: AnyErrand, file: ResultFile) -> ResultFile:
    """Return what the job's results, if they were read meanwhile, promise of the file."""
    return next((promised for promised in errand.record.files if promised.url == file.url), file)


def _format(errand: AnyErrand, file: ResultFile, mark: Mark) -> str:
    """Return the format of the file, as the results promise it, or else the reply."""
    return _promise(errand, file).format or mark.kind


def _refuse_page(errand: AnyErrand, head: Head, kind: str) -> Flow[None]:
    """Refuse a web page between the replies of a file whose first one had this other media type.

    Raises:
        AnswerLost: it is one. What is here of the file stays, since the next reply may be the file's again.
    """
    if head.status != 416 and kind and formats.is_html(head.media_type) and not formats.is_html(kind):
        yield from verbs.drop(errand)
        raise AnswerLost(f"A web page came in place of the file, which is {kind}.")


def _refuse_encoded(errand: AnyErrand, file: ResultFile, head: Head, target: Path | None) -> Flow[None]:
    """Refuse a body in an encoding that was not asked for, unless the file is in it by itself, or the caller keeps it.

    Raises:
        WrongFile: it is refused; it is never unpacked.
    """
    coding = encoding_of(head)
    names = (file.name, head.url.partition("?")[0], "" if target is None else target.name)
    if not coding or errand.rules.encoded == "keep" or is_stored_in(coding, head.media_type, names):
        return
    yield from verbs.drop(errand)
    raise WrongFile(
        f"The file came encoded ({coding}) though asked plain; pass encoded='keep' to store it as it comes.",
        reason="encoding",
    )


def _possible_page(errand: AnyErrand, head: Head) -> Flow[Head | None]:
    """Drop and return what may be a web page in the file's place, as long as the job itself has not been polled."""
    if errand.record.seen is not None or head.media_type not in PAGES:
        return None
    yield from verbs.drop(errand)
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
    errand: AnyErrand, target: Path, file: ResultFile, request: Request, head: Head, resume: Resume | None
) -> Flow[tuple[Stored, Mark]]:
    """Write the opened body to disk; return it with what the service said of the complete file."""
    if head.status == 200:
        mark, offset, overlap = mark_of(request, head), 0, 0
    else:
        total = None if resume is None else continues(head, resume)
        if resume is None or total is None:
            yield from verbs.drop(errand)
            raise WrongFile(f"The service's {head.status} does not continue what is here.", reason="range")
        offset, overlap = resume.start, resume.part.size - resume.start
        named = resume.part.mark.digest or (digest_of(head) if head.status == 206 else None)
        mark = evolve(resume.part.mark, total=total, digest=named)
    unnamed = None if errand.entry is None else RECOGNISED_BY
    cap, hashed = errand.rules.file_cap, unnamed if mark.digest is None else mark.digest.algorithm
    if mark.total is not None and mark.total > cap:
        yield from verbs.drop(errand)
        raise WrongFile(f"The file has {mark.total} bytes, more than the cap of {cap}.", reason="too big")
    _ = yield from check_name(target, _format(errand, file, mark))
    if head.status == 416 or (head.status == 200 and resume is not None and is_complete(mark, resume)):
        yield from verbs.drop(errand)
        return (yield from ask(Measure(target, hashed))), mark
    limit = cap if mark.total is None else mark.total
    size = (_promise(errand, file).size or 0) if mark.total is None else mark.total
    stored = yield from verbs.store(
        errand, target, offset, mark, overlap=overlap, limit=limit, hashed=hashed, room=size - offset
    )
    if mark.total is not None and stored.size < mark.total:
        raise AnswerLost(f"The body ended after {stored.size} of {mark.total} bytes.")
    return stored, mark


def _read(errand: AnyErrand, file: ResultFile, mark: Mark, max_bytes: int) -> Flow[bytes]:
    """Read the opened body into memory and verify it."""
    total = mark.total if mark.total is not None else _promise(errand, file).size
    if total is not None and total > max_bytes:
        yield from verbs.drop(errand)
        raise WrongFile(f"The file has {total} bytes, more than max_bytes={max_bytes}.", reason="too big")
    read = yield from verbs.read(errand, max_bytes)
    if read.cut:
        raise WrongFile(f"The file has more than max_bytes={max_bytes}.", reason="too big")
    body = read.content
    if mark.total is not None and len(body) != mark.total:
        raise AnswerLost(f"The body ended after {len(body)} of {mark.total} bytes.")
    digest = None if mark.digest is None else digest_bytes(mark.digest.algorithm, body)
    _ = _verify(errand, file, Stored(len(body), digest, body[:4096]), mark)
    return body


def _verify(errand: AnyErrand, file: ResultFile, stored: Stored, mark: Mark) -> Verified:
    """Verify the complete file by the strongest means there is.

    Raises:
        WrongFile: it is not what was promised, or nothing was and `verify="require"`.
    """
    promise = _promise(errand, file)
    size, promised = promise.size, promise.format or mark.kind or None
    if mark.coding:
        size, promised = None, None  # they are promised of the file without its encoding
    why = errand.contract.judge(promised, stored.head)
    if why is None and formats.is_page_instead(promise.name, (promise.format, mark.kind), stored.head):
        why = f"an HTML page came, and {promise.name!r} is none"
    if why is not None:
        raise WrongFile(f"This is not the file: {why}.", reason="format")
    if mark.digest is not None:
        if stored.digest != mark.digest.value:
            algorithm = mark.digest.algorithm
            raise WrongFile(f"The file's {algorithm} digest is not the one the service named.", reason="digest")
        return Verified.DIGEST
    if size is not None:
        if stored.size != size:
            raise WrongFile(f"The file has {stored.size} bytes, the service named {size}.", reason="size")
        return Verified.SIZE
    if mark.total is not None:
        return Verified.LENGTH
    if errand.rules.verify == "require":
        raise WrongFile("Nothing was named to check the file by, and verify='require'.", reason="unverified")
    return Verified.NONE
