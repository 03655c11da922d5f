"""A result that is a file is asked for once: what its first answer shows decides, and the same answer is stored."""

import pytest

import gofer
from support.declared import BY_CODE, PLAIN, Answering, as_json, client_of, path_of, said, sent_to
from support.raw_server import http

RESULT = PLAIN + '[result]\nurl = "{base}/jobs/{id}/file"\n'
KINDS = [("file = true\n", "application/json"), ("", "application/octet-stream")]
CONTENT = b'{"a": 1}' * 500_000


def once(kind, first=None):
    """A service whose file can be had once; `first` is what it answers before that."""
    left, given = [first] if first else [], []

    def answer(call):
        if path_of(call).endswith("/file"):
            if left:
                return left.pop(0)
            given.append(call)
            return http(200, CONTENT, content_type=kind) if len(given) == 1 else http(410)
        return as_json({"id": "7", "state": "waiting" if call.method == "POST" else "done", "me": "/file"}, 200)

    return Answering(answer)


@pytest.mark.parametrize(("more", "kind"), KINDS)
def test_a_file_that_can_be_had_once_comes(virtual_face, tmp_path, more, kind):
    """In a run, into memory, and into a folder."""
    for verb in ("run", "read", "folder"):
        server = once(kind)
        client = client_of(virtual_face, server, said(RESULT + more))
        if verb == "read":
            assert client.submit({}).read(len(CONTENT), timeout=20) == CONTENT
        else:
            to = tmp_path / "x.bin" if verb == "run" else f"{tmp_path}/all/"
            outcome = client.run({}, to=str(to), timeout=20)
            assert outcome.files[0].path.read_bytes() == CONTENT
        assert len(sent_to(server, "/jobs/7/file")) == 1


def test_a_file_that_comes_with_the_end_is_asked_for_once(virtual_face, tmp_path):
    """The answer to the last poll is the file itself."""
    server = Answering(lambda call: as_json({"me": "/file"}, 202) if call.method == "POST" else once_more(call))
    given = []

    def once_more(call):
        given.append(call)
        return http(200, CONTENT, content_type="image/png") if len(given) == 1 else http(410)

    outcome = client_of(virtual_face, server, said(BY_CODE)).run({}, to=str(tmp_path / "x"), timeout=20)
    assert outcome.path.read_bytes() == CONTENT


@pytest.mark.parametrize("first", [http(202), http(503), http(200, "<html>", content_type="text/html")])
def test_an_answer_that_is_not_yet_the_file_is_asked_again(virtual_face, tmp_path, first):
    """It is closed, and what comes later is stored."""
    server = once("application/octet-stream", first)
    outcome = client_of(virtual_face, server, said(RESULT)).run({}, to=str(tmp_path / "x"), timeout=30)
    assert outcome.path.read_bytes() == CONTENT
    assert len(sent_to(server, "/jobs/7/file")) == 2


@pytest.mark.parametrize("more", [RESULT, BY_CODE], ids=["result", "poll"])
def test_a_file_that_nobody_wants_is_closed_at_once(virtual_face, more):
    """It stays at the service, and its only connection is free for what comes next."""

    def answer(call):
        if path_of(call).endswith("/file"):
            return http(200, CONTENT, content_type="image/png")
        return as_json({"id": "7", "state": "waiting" if call.method == "POST" else "done", "me": "/file"}, 200)

    client = client_of(virtual_face, Answering(answer), said(more), max_connections=1)
    for _ in range(3):
        assert client.run({}, timeout=20).value is None
    assert client.submit({}).wait(timeout=20).done


def test_a_part_is_continued_in_place_of_the_open_answer(any_face, serve, tmp_path):
    """What is on the disk is not fetched again: the open answer is closed, and the rest is asked for."""
    tag = {"etag": '"1"', "accept_ranges": "bytes", "content_type": "application/octet-stream"}
    half, ready, to = len(CONTENT) // 2, [], tmp_path / "x.bin"

    def answer(call):
        if not path_of(call).endswith("/file"):
            return as_json({"id": "7", "state": "waiting" if call.method == "POST" else "done"})
        if "range" not in call.headers:
            return http(200, CONTENT[: None if ready else half], content_length=str(len(CONTENT)), **tag)
        if not ready:
            return http(503)
        at = int(call.headers["range"].removeprefix("bytes=").removesuffix("-"))
        place = f"bytes {at}-{len(CONTENT) - 1}/{len(CONTENT)}"
        return http(206, CONTENT[at:], content_range=place, **tag)

    server = serve(answer)
    client = client_of(any_face, server.url, said(RESULT))
    with pytest.raises(gofer.GoferError):
        client.run({}, to=str(to), timeout=20)
    ready.append(True)
    client.run({}, to=str(to), timeout=20)
    assert to.read_bytes() == CONTENT
    assert "range" in sent_to(server, "/jobs/7/file")[-1].headers
