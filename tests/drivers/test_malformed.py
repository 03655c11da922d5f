"""What breaks the rules of HTTP is distinguished from what is only cut off, on every face and HTTP family."""

import itertools
import json

import pytest
from tenacity.stop import stop_after_attempt
from tenacity.wait import wait_fixed

import gofer
from support.faces import FAMILIES, MODES, face
from support.raw_server import http, raw_server

FEW = gofer.Retry(wait_fixed(0.01), stop_after_attempt(3))
DONE = http(200, json.dumps({"job_id": "j1", "status": "completed"}))
LENGTHS = b"HTTP/1.1 200 X\r\ncontent-length: 300\r\ncontent-length: 200\r\n\r\n" + bytes(300)
CHUNKS = b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nab\r\n0\r\n\r\n"
HEADER = b"HTTP/1.1 200 X\r\nno colon\r\n\r\n"
NO_HTTP = b"SSH-2.0-OpenSSH_9.2\r\n\r\n"
SHORT = b"HTTP/1.1 200 X\r\ncontent-length: 300\r\n\r\n" + bytes(3)
HALF_HEAD = b"HTTP/1.1 200 X\r\ncontent-le"
ANSWERS = {"two lengths": LENGTHS, "chunks": CHUNKS, "a header": HEADER, "no HTTP": NO_HTTP}
CUT = {"in the body": SHORT, "in the head": HALF_HEAD, "at once": b""}


@pytest.mark.parametrize("driver", list(itertools.product(MODES, FAMILIES)), ids="-".join)
@pytest.mark.parametrize(("answer", "malformed"), [*((one, True) for one in ANSWERS), *((one, False) for one in CUT)])
def test_malformed_http_is_distinguished_from_a_cut(driver, answer, malformed, tmp_path):
    """AnswerLost says which it was, and names the address; the target is not made."""
    raw = (ANSWERS | CUT)[answer]
    target = tmp_path / "paper.pdf"
    with face(*driver) as made, raw_server(lambda call: [raw if call.path.endswith("/file") else DONE]) as server:
        with pytest.raises(gofer.AnswerLost, match="/jobs/j1/file") as lost:
            made.client(server.url, patience=FEW).job("j1").download(target, timeout=20)
        assert lost.value.malformed is malformed
    assert not target.exists()
