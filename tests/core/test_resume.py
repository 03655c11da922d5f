"""Which part files are gone on with, from where, and by which proof that the file is still the same one."""

import hashlib
from itertools import pairwise

import pytest

from core.test_download import TARGET, download, fails
from gofer.core.commands import Mark, Part
from gofer.core.digests import Digest
from gofer.core.resume import OVERLAP, mark_of, resume_of
from gofer.errors import WrongFile
from gofer.wire import Head, Request
from support.files import BOOK, SOURCE, Files, cut_after, digest
from support.world import BASE, reply

URL = f"{BASE}/jobs/j1/file"
DATE, LATER = "Tue, 21 Oct 2025 07:28:00 GMT", "Tue, 21 Oct 2025 07:28:01 GMT"
KEPT = 30_000
CHANGED = BOOK[: KEPT - 10] + b"0123456789" + BOOK[KEPT:]


def resume(*, kept=KEPT, url=URL, **headers):
    """How a request goes on with a part whose first reply had these headers: the first byte, and If-Range."""
    head = Head(URL, 200, {name.replace("_", "-"): text for name, text in headers.items()})
    found = resume_of(Request("GET", url), Part(kept, mark_of(Request("GET", URL), head)))
    return None if found is None else (found.start, found.condition)


@pytest.mark.parametrize(
    ("headers", "how"),
    [
        ({"etag": '"v1"'}, (KEPT, '"v1"')),
        ({"etag": '"v 1"', "last_modified": DATE, "date": DATE}, (KEPT, '"v 1"')),
        ({"last_modified": DATE, "date": LATER}, (KEPT, DATE)),
        ({"last_modified": DATE, "date": DATE}, (KEPT - OVERLAP, None)),
        ({"last_modified": DATE}, (KEPT - OVERLAP, None)),
        ({"last_modified": "yesterday", "date": LATER}, (KEPT - OVERLAP, None)),
        ({"etag": 'W/"v1"', "last_modified": DATE, "date": LATER}, (KEPT - OVERLAP, None)),
        ({"etag": "v1", "last_modified": DATE, "date": LATER}, (KEPT - OVERLAP, None)),
        ({"etag": '"é"'}, (KEPT - OVERLAP, None)),
        ({"etag": '"a\nb"'}, (KEPT - OVERLAP, None)),
        ({"repr_digest": digest(BOOK)}, (KEPT - OVERLAP, None)),
        ({"date": LATER}, None),
        ({}, None),
    ],
    ids=str,
)
def test_what_the_first_reply_said_decides_how_a_part_is_gone_on_with(headers, how):
    """A strong tag or date is sent as If-Range; a weak one, or a digest, for an overlap; without one it starts over."""
    assert resume(**headers) == how


def test_a_part_that_is_shorter_than_the_overlap_starts_over():
    """There is nothing to gain by comparing all of a part."""
    assert resume(etag='W/"v1"', kept=OVERLAP) is None
    assert resume(etag='W/"v1"', kept=OVERLAP + 1) == (1, None)


def test_a_part_is_found_again_by_origin_and_path_and_not_by_a_signature():
    """Another query is still the same file, if a tag or a comparison says so: a date alone does not."""
    assert resume(etag='"v1"', url=f"{URL}?sig=2") == (KEPT, '"v1"')
    assert resume(last_modified=DATE, date=LATER, url=f"{URL}?sig=2") == (KEPT - OVERLAP, None)
    assert resume(etag='"v1"', url=f"{URL}/2") is None
    assert resume(etag='"v1"', url=URL.replace("http:", "https:")) is None


def test_a_part_of_another_method_or_body_is_another_files():
    """A file that is asked for by POST is known by what was posted, too."""
    asked = Request("POST", URL, body=b"file=1")
    part = Part(KEPT, mark_of(asked, Head(URL, 200, {"etag": '"v1"'})))
    assert resume_of(asked, part) is not None
    assert resume_of(Request("POST", URL, body=b"file=2"), part) is None
    assert resume_of(Request("GET", URL), part) is None


def ranges(world):
    """The first bytes that the requests for the file asked for, and whether If-Range was sent."""
    asked = [request.headers for request in world.requests if request.url.endswith("/file")]
    return [(int(sent.get("range", "bytes=0-")[6:-1]), "if-range" in sent) for sent in asked]


VALIDATORS = {
    "strong date": {"etag": "", "last-modified": DATE, "date": LATER},
    "weak date": {"etag": "", "last-modified": DATE},
    "weak tag": {"etag": 'W/"v1"'},
    "tag that is not ASCII": {"etag": '"é"'},
}


@pytest.mark.parametrize("name", VALIDATORS)
def test_a_transfer_that_is_cut_again_and_again_goes_on_from_the_part(name):
    """Every request continues the part: from its end with a strong date, else from the overlap before it."""
    service = Files(BOOK, headers=VALIDATORS[name])
    service.faults = [cut_after(lambda: Files(BOOK, headers=VALIDATORS[name]), 10_000)] * 3
    _, world = download(service)
    overlap = 0 if name == "strong date" else OVERLAP
    assert world.files[TARGET] == BOOK
    assert [conditional for _, conditional in ranges(world)] == [False] + [not overlap] * 3
    assert all(later - early == 10_000 - overlap for (early, _), (later, _) in pairwise(ranges(world)[1:]))


def left(**mark):
    """A part that an earlier try left."""
    known = {"etag": 'W/"v1"', "total": len(BOOK)} | mark
    return {TARGET: (BOOK[:KEPT], Mark(SOURCE, **known))}


def rest(start=KEPT - OVERLAP, data=BOOK, **headers):
    """A 206 from a byte on."""
    span = f"bytes {start}-{len(data) - 1}/{len(data)}"
    return reply(206, data[start:], **{"etag": 'W/"v1"', "content_range": span} | headers)


@pytest.mark.parametrize(
    ("answer", "mark"),
    [
        (rest(data=CHANGED), {}),
        (rest(etag='W/"v2"'), {}),
        (rest(etag=""), {}),
        (rest(last_modified=DATE), {}),
        (rest(last_modified=LATER), {"modified": DATE}),
        (rest(data=BOOK + b"more"), {}),
        (rest(content_range=f"bytes {KEPT - OVERLAP}-{len(BOOK) - 1}/*"), {}),
        (rest(start=KEPT), {}),
        (rest(data=BOOK[: KEPT - 100]), {"total": None}),
        (rest(content_encoding="gzip"), {}),
        (rest(), {"coding": "gzip"}),
        (reply(416, content_range=f"bytes */{KEPT}"), {"total": KEPT}),
        (rest(start=KEPT, etag='"v2"'), {"etag": '"v1"'}),
        (rest(start=KEPT, etag='"v1"', last_modified=LATER), {"etag": '"v1"', "modified": DATE}),
        (rest(start=KEPT, etag='"v1"', content_encoding="gzip"), {"etag": '"v1"'}),
        (
            rest(start=KEPT, etag='"v1"', repr_digest=f"sha-256=:{'A' * 43}=:"),
            {"etag": '"v1"', "digest": Digest("sha256", hashlib.sha256(BOOK).digest())},
        ),
    ],
    ids=range(16),
)
def test_a_reply_that_shows_another_version_is_never_used(answer, mark):
    """Other bytes in the overlap, or another tag, date, size, encoding or digest, start the file over."""
    _, world = download(Files(BOOK, answer), parts=left(**mark))
    assert world.files[TARGET] == BOOK
    assert [start for start, _ in ranges(world)][1:] == [0]


@pytest.mark.parametrize("shown", [{"etag": '"v1"'}, {"etag": ""}, {"etag": 'W/"v1"'}])
def test_after_if_range_the_reply_need_not_repeat_the_validator(shown):
    """A 206 to If-Range is used if it shows the same tag, weakened or not, or none."""
    _, world = download(Files(BOOK, rest(start=KEPT, **shown)), parts=left(etag='"v1"'))
    assert (world.files[TARGET], len(ranges(world))) == (BOOK, 1)


def test_an_overlap_that_breaks_off_keeps_the_part():
    """A body that ends within the overlap has added nothing, and taken nothing away."""
    cut = [cut_after(lambda: Files(BOOK, headers=VALIDATORS["weak tag"]), 100)]
    _, world = download(Files(BOOK, *cut, headers=VALIDATORS["weak tag"]), parts=left())
    assert (world.files[TARGET], ranges(world)) == (BOOK, [(KEPT - OVERLAP, False)] * 2)


def test_a_part_that_was_not_compared_to_its_end_is_not_complete():
    """A complete part is accepted only when all of the overlap came."""
    short = rest(start=len(BOOK) - OVERLAP, content_range=f"bytes {len(BOOK) - OVERLAP}-{len(BOOK) - 1}/{len(BOOK)}")
    parts = {TARGET: (BOOK, Mark(SOURCE, 'W/"v1"', len(BOOK)))}
    service = Files(BOOK, reply(206, short.body[:10], **dict(short.headers.items())), headers=VALIDATORS["weak tag"])
    _, world = download(service, parts=parts)
    assert (world.files[TARGET], len(ranges(world))) == (BOOK, 2)


@pytest.mark.parametrize("named", [None, BOOK], ids=["by its tag", "by its digest"])
def test_a_complete_part_is_not_fetched_again_from_a_service_without_ranges(named):
    """A 200 that shows the version of the part, which is complete, is closed unread."""
    service = Files(BOOK, named=named)
    mark = Mark(SOURCE, service.headers["etag"], len(BOOK))
    if named:
        service.headers = {"etag": ""}
        mark = Mark(SOURCE, None, len(BOOK), Digest("sha256", hashlib.sha256(BOOK).digest()))
    complete = service.file(Request("GET", URL))
    answer = reply(200, complete.body, **dict(complete.headers.items()))
    _, world = download(Files(BOOK, answer), parts={TARGET: (BOOK, mark)})
    assert world.files[TARGET] == BOOK
    assert [type(command).__name__ for command in world.commands][-4:-1] == ["Drop", "Measure", "Keep"]


def test_a_file_that_changes_at_every_try_is_an_error():
    """A second difference is WrongFile."""
    service = Files(BOOK, headers={"etag": 'W/"v1"'})
    service.faults = [rest(data=CHANGED), cut_after(lambda: service, KEPT), rest(data=CHANGED)]
    error, _ = fails(service, WrongFile, parts=left())
    assert error.reason == "range"
