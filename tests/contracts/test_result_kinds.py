"""Results whose shape goes by their media type, event streams, and bodies of several parts."""

import json

import pytest

import gofer
from gofer.contracts.declared.streams import last_event
from support.declared import PLAIN, Answering, as_json, client_of, path_of, said, sent_to
from support.raw_server import http

RESULT = PLAIN + '[result]\nurl = "{base}/jobs/{id}/results"\n'
EITHER = (
    PLAIN
    + """
[[result]]
url = "{base}/jobs/{id}/results"
type = ["application/json", "application/problem+json"]
value = "/rows"
[[result]]
url = "{base}/jobs/{id}/results"
type = ["application/zip", "image/*"]
file = true
"""
)
ZIP = b"PK\x03\x04" + bytes(1_000_000)


def giving(reply):
    """A service whose job is done and has this reply as its result."""

    def answer(call):
        if path_of(call) == "/jobs/7/results":
            return reply
        return as_json({"id": "7", "state": "waiting" if call.method == "POST" else "done"}, 200)

    return Answering(answer)


@pytest.mark.parametrize("kind", ["application/zip", "image/png"])
def test_the_media_type_chooses_how_a_result_is_read(virtual_face, tmp_path, kind):
    """JSON has the value, anything else there is the file; either is asked for once."""
    server = giving(as_json({"rows": [1]}))
    assert client_of(virtual_face, server, said(EITHER)).run({}, timeout=20).value == [1]
    assert len(sent_to(server, "/jobs/7/results")) == 1
    server = giving(http(200, ZIP, content_type=kind))
    outcome = client_of(virtual_face, server, said(EITHER)).run({}, to=str(tmp_path / "x"), timeout=20)
    assert outcome.path.read_bytes() == ZIP
    assert len(sent_to(server, "/jobs/7/results")) == 1


def test_a_media_type_that_no_result_is_for_is_an_error(virtual_face, tmp_path):
    """It names the type that came and those that are declared."""
    client = client_of(virtual_face, giving(http(200, "a,b", content_type="text/csv")), said(EITHER))
    with pytest.raises(gofer.BadReply, match="text/csv"):
        client.run({}, to=str(tmp_path / "x"), timeout=20)


def stream(*events, **headers):
    """An event stream that ends."""
    return http(200, "".join(events), content_type="text/event-stream; charset=utf-8", **headers)


def test_an_event_stream_that_ends_is_its_last_event(virtual_face):
    """The value is found in its data, the failure by its name."""
    text = RESULT + 'value = "/data/rows"\nfailed = "/event ~ ^error$"\nerror = "/data"\n'
    events = ("event: progress\ndata: 1\n\n", ": a comment\n\n", 'event: complete\ndata: {"rows":\ndata: [1]}\n\n')
    assert client_of(virtual_face, giving(stream(*events)), said(text)).run({}, timeout=20).value == [1]
    failed = giving(stream(*events[:1], "event: error\ndata: out of memory\n\n"))
    with pytest.raises(gofer.JobFailed, match="out of memory"):
        client_of(virtual_face, failed, said(text)).run({}, timeout=20)


def test_a_stream_can_answer_a_submission_and_a_status_request(virtual_face):
    """As a JSON document can: the job is found in its last event."""

    def answer(call):
        state = "waiting" if call.method == "POST" else "done"
        document = json.dumps({"id": "7", "state": state})
        return stream('data: {"id": "other"}\n\n', f"data: {document}\n\n")

    text = PLAIN.replace('id = "/id"', 'id = "/data/id"').replace('"/state"', '"/data/state"')
    assert client_of(virtual_face, Answering(answer), said(text)).run({}, timeout=20).job_id == "7"


@pytest.mark.parametrize("streams", [("submit",), ("poll",), ("result",), ("submit", "poll", "result")])
def test_one_declaration_reads_a_document_and_the_event_stream_of_it(virtual_face, streams):
    """A service may answer with either: pointers find in the last event's data what they find in the document."""

    def answer(call):
        leg = "submit" if call.method == "POST" else "result" if path_of(call).endswith("results") else "poll"
        document = {"id": "7", "state": "waiting" if leg == "submit" else "done", "event": {"rows": [1]}}
        return stream(f"data: {json.dumps(document)}\n\n") if leg in streams else as_json(document, 200)

    text = RESULT + 'value = "/event/rows"\n'
    assert client_of(virtual_face, Answering(answer), said(text)).run({}, timeout=20).value == [1]


def test_only_what_went_wrong_has_an_error(virtual_face):
    """A text that says why a job failed may say other things of one that did not."""
    server = Answering(lambda call: as_json({"id": "7", "state": "done", "why": "all is well"}, 200))
    job = client_of(virtual_face, server, said(PLAIN.replace("[states]", 'code = "/why"\n[states]'))).submit({})
    assert job.wait(timeout=20) == "done"
    assert (job.status.error, job.status.error_code) == (None, None)


@pytest.mark.parametrize(
    ("body", "event"),
    [
        (b"data: 1\r\n\r\n", {"event": "message", "data": 1}),
        (b"\xef\xbb\xbfdata:a\rdata: b\r\r", {"event": "message", "data": "a\nb"}),
        (b"event: x\ndata: 1\n\nevent: y\n\n", {"event": "x", "data": 1}),
        (b"event: x\ndata: no blank line", {"event": "x", "data": "no blank line"}),
        (b"data", {"event": "message", "data": ""}),
        (b": nothing\n\nretry: 3\n\n", None),
        (b"", None),
    ],
)
def test_the_last_event_with_data_counts(body, event):
    """Fields are read as the standard says (HTML, section 9.2.6)."""
    assert last_event(body) == event


PARTS = (
    b"before\r\n--x\r\nContent-Type: application/json\r\nContent-ID: <meta>\r\n\r\n{}\r\n"
    b'--x\r\nContent-Type: image/png\r\nContent-Disposition: attachment; filename="a.png"\r\n\r\n'
    b"\x89PNG\r\n\n\r\x00\r\n"
    b"--x\r\nContent-Transfer-Encoding: base64\r\n\r\nYWJj\r\n"
    b"--x\r\nContent-Location: /f/far\r\nContent-ID: far\r\n\r\n\r\n--x--\r\nafter"
)


def test_the_parts_of_a_multipart_result_are_its_files(virtual_face, tmp_path):
    """By their names, byte for byte; a part that is only a link is fetched."""
    reply = http(200, PARTS, content_type='multipart/related; boundary="x"')

    def answer(call):
        return http(200, "far away") if path_of(call) == "/f/far" else giving(reply).answer(call)

    client = client_of(virtual_face, Answering(answer), said(RESULT))
    outcome = client.run({}, to=f"{tmp_path}/out/", timeout=20)
    assert {file.path.name: file.path.read_bytes() for file in outcome.files} == {
        "meta.json": b"{}",
        "a.png": b"\x89PNG\r\n\n\r\x00",
        "part-3": b"abc",
        "far": b"far away",
    }


def test_a_multipart_result_can_be_kept_as_it_is(virtual_face, tmp_path):
    """With `file = true`, as any other answer."""
    client = client_of(
        virtual_face,
        giving(http(200, PARTS, content_type="multipart/related; boundary=x")),
        said(RESULT + "file = true"),
    )
    assert client.run({}, to=str(tmp_path / "x"), timeout=20).path.read_bytes() == PARTS


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (PARTS, "multipart/related"),
        (PARTS[: PARTS.index(b"--x--")], "multipart/mixed; boundary=x"),
        (b"no part", "multipart/mixed; boundary=x"),
        (b"\r\n--x\r\n\r\n" * 10_002, "multipart/mixed; boundary=x"),
    ],
    ids=["no boundary", "no end", "no part", "too many"],
)
def test_a_multipart_result_that_is_not_whole_is_a_bad_reply(virtual_face, tmp_path, body, kind):
    """No part of it is taken for the whole."""
    client = client_of(virtual_face, giving(http(200, body, content_type=kind)), said(RESULT))
    with pytest.raises(gofer.BadReply):
        client.run({}, to=f"{tmp_path}/out/", timeout=30)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Disposition: attachment; filename*=idna'en'a%ff",
        b"Content-Disposition: attachment; filename*=undefined''a",
        b"Content-Disposition: attachment" + b";" * 400_000,
        b"Content-Transfer-Encoding: uuencode",
    ],
)
def test_a_part_with_a_hostile_head_is_a_bad_reply(virtual_face, tmp_path, head):
    """No other error escapes, and no long head is read."""
    body = b"--x\r\n" + head + b"\r\n\r\nabc\r\n--x--"
    client = client_of(virtual_face, giving(http(200, body, content_type="multipart/mixed; boundary=x")), said(RESULT))
    with pytest.raises(gofer.BadReply):
        client.run({}, to=f"{tmp_path}/out/", timeout=30)


def test_a_quoted_part_is_decoded(virtual_face, tmp_path):
    """The file has its bytes, not their quotation."""
    body = b"--x\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nx=3D1\r\n--x--"
    client = client_of(virtual_face, giving(http(200, body, content_type="multipart/mixed; boundary=x")), said(RESULT))
    assert client.run({}, to=f"{tmp_path}/out/", timeout=20).files[0].path.read_bytes() == b"x=1"


def test_the_data_of_an_event_is_read_as_the_document_is(virtual_face):
    """Also where it has a member `data` of its own."""
    text = RESULT + 'value = "/data"\n'
    for reply in (as_json({"data": [1]}), stream('data: {"data": [1]}\n\n')):
        assert client_of(virtual_face, giving(reply), said(text)).run({}, timeout=20).value == [1]
