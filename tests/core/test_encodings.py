"""Bodies that come encoded though asked plain: documents are unpacked within their cap, files never are."""

import gzip
import json
import random
import tracemalloc
import zlib

import pytest

from core.test_download import TARGET, download, fails
from gofer.core.commands import Mark
from gofer.core.judging import as_document, encoding_of, is_stored_in
from gofer.errors import BadReply, WrongFile
from gofer.models import Verified
from gofer.wire import Head
from support.files import BOOK, PAPER, SOURCE, Files, completed, cut_after
from support.world import reply

CAP = 10_000
DOCUMENT = json.dumps({"a": list(range(500))}).encode()
PACKED = gzip.compress(DOCUMENT)


def packed(body=PACKED, status=200, label="gzip", **headers):
    """A reply that is labelled as encoded."""
    return reply(status, body, content_encoding=label, **headers)


@pytest.mark.parametrize("label", ["gzip", "GZIP", "x-gzip", "gzip, identity", "aws-chunked,gzip"])
def test_a_document_in_gzip_is_unpacked(label):
    """The document is read as if it had come plain, and nothing says any more that it was encoded."""
    read = as_document(packed(label=label, content_length=str(len(PACKED))), CAP)
    assert (read.body, read.cut, set(read.headers)) == (DOCUMENT, False, set())


@pytest.mark.parametrize(
    "label", ["", "identity", "none", "binary", "utf-8", "UTF-8", "8bit", "aws-chunked", "none, 8bit"]
)
def test_a_label_that_is_no_coding_is_identity(label):
    """What servers write there by mistake says nothing about the bytes."""
    assert as_document(packed(DOCUMENT, label=label), CAP).body == DOCUMENT
    assert encoding_of(Head("http://a.test", 200, {"content-encoding": label})) == ""


def test_a_document_that_is_only_labelled_is_read():
    """Something on the way has unpacked the body and left the label."""
    assert as_document(packed(DOCUMENT), CAP).body == DOCUMENT


@pytest.mark.parametrize("more", [CAP - len(DOCUMENT) + 1, 50_000_000])
def test_a_document_that_unpacks_to_more_than_the_cap_is_refused(more):
    """No more than the cap is unpacked; the error names the document, so it is not asked for again."""
    answer = packed(gzip.compress(DOCUMENT + b" " * more))
    tracemalloc.start()
    with pytest.raises(BadReply, match="larger than 10000 bytes") as caught:
        as_document(answer, CAP)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (caught.value.field, peak < 1_000_000) == ("$", True)
    assert as_document(packed(gzip.compress(DOCUMENT + b" " * (CAP - len(DOCUMENT)))), CAP).body.strip() == DOCUMENT


@pytest.mark.parametrize(
    "answer",
    [
        packed(PACKED[:-20]),
        packed(PACKED[:40] + b"?" + PACKED[41:]),
        packed(PACKED * 2),
        packed(PACKED, label="gzip, gzip"),
        packed(zlib.compress(DOCUMENT), label="deflate"),
        packed(b"?", label="br"),
    ],
    ids=["breaks off", "damaged", "more follows", "twice", "deflate", "br"],
)
def test_a_document_that_cannot_be_unpacked_is_asked_for_again(answer):
    """Another encoding, or a gzip that is not complete, is a failure that may pass: no field is named."""
    with pytest.raises(BadReply, match="encoded as") as caught:
        as_document(answer, CAP)
    assert caught.value.field is None


@pytest.mark.parametrize("body", [PACKED, PACKED[:-20], b"?", gzip.compress(DOCUMENT + b" " * 50_000_000)])
def test_a_refusal_counts_by_its_status_whatever_its_encoding(body):
    """What can be read of a refusal is read; nothing else is raised in its place."""
    read = as_document(packed(body, status=503), CAP)
    assert read.status == 503
    assert len(read.body) <= max(CAP, len(body))
    assert read.body == DOCUMENT or body != PACKED


@pytest.mark.parametrize(
    ("coding", "kind", "name", "by_itself"),
    [
        ("gzip", "text/csv", "table.csv.gz", True),
        ("gzip", "", "T.TGZ", True),
        ("gzip", "application/x-gzip", "data", True),
        ("bzip2", "", "dump.sql.bz2", True),
        ("zstd", "application/zstd", "", True),
        ("br", "", "a.gz", False),
        ("gzip", "text/csv", "table.csv", False),
        ("gzip, gzip", "", "table.csv.gz", False),
    ],
)
def test_a_file_is_in_an_encoding_by_its_name_or_type(coding, kind, name, by_itself):
    """A file whose ending or media type is that of the encoding is in it, whatever is asked for."""
    assert is_stored_in(coding, kind, [name]) is by_itself


GZ = {"content-encoding": "gzip", "content-type": "application/x-gzip"}


def test_a_file_that_is_in_the_encoding_by_itself_is_stored_as_it_is():
    """The bytes arrive as they are on the service, over a cut too, and no promise of their content is checked."""
    data = gzip.compress(random.Random(5).randbytes(20_000))
    service = Files(data, headers=GZ, status=completed(file_format="pdf", file_size=7))
    service.faults = [cut_after(lambda: Files(data, headers=GZ), 5000)]
    fetched, world = download(service)
    assert (world.files[TARGET], fetched.verified) == (data, Verified.LENGTH)
    assert world.requests[-1].headers["range"] == "bytes=5000-"


def test_any_other_file_that_comes_encoded_is_refused_or_kept():
    """The option decides; the file is never unpacked."""
    data = gzip.compress(PAPER)
    error, world = fails(Files(data, headers={"content-encoding": "gzip"}), WrongFile)
    assert (error.reason, world.parts) == ("encoding", {})
    assert "encoded='keep'" in str(error)
    _, world = download(Files(data, headers={"content-encoding": "gzip"}), encoded="keep")
    assert world.files[TARGET] == data


def test_a_file_with_a_label_that_is_no_coding_is_stored():
    """The file is the same one as without the label."""
    _, world = download(Files(headers={"content-encoding": "none"}))
    assert world.files[TARGET] == PAPER


def test_a_file_that_is_relabelled_between_two_tries_is_not_joined():
    """A part of the plain file is not continued by the encoded one, nor the other way round."""
    relabelled = Files(BOOK, headers={"content-encoding": "gzip"})
    mark = Mark(SOURCE, relabelled.headers["etag"], len(BOOK))
    answer = reply(206, BOOK[9000:], **GZ, content_range=f"bytes 9000-{len(BOOK) - 1}/{len(BOOK)}")
    _, world = download(Files(BOOK, answer), parts={TARGET: (BOOK[:9000], mark)}, encoded="keep")
    assert (world.files[TARGET], "range" in world.requests[-1].headers) == (BOOK, False)
