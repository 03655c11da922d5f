"""A chunked body has no length: only its last, empty chunk says that it is complete."""

import itertools
import json

import pytest
from tenacity.stop import stop_after_attempt
from tenacity.wait import wait_fixed

from gofer import AnswerLost, WrongFile
from gofer.core.policies import Retry
from support.faces import FAMILIES, MODES, face
from support.raw_server import RESET, http, raw_server

PAPER = b"%PDF-1.7 " + bytes(range(256)) * 200
TRIES = Retry(wait_fixed(0.01), stop_after_attempt(3))
HEAD = b"HTTP/1.1 200 X\r\ncontent-type: application/pdf\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
HALF = len(PAPER) // 2


def chunk(data):
    """One chunk."""
    return b"%x\r\n%s\r\n" % (len(data), data)


BROKEN = {
    "between chunks": [HEAD + chunk(PAPER[:HALF])],
    "in a chunk": [HEAD + chunk(PAPER[:HALF])[:-500]],
    "by a reset": [HEAD + chunk(PAPER[:HALF]), 0.05, RESET],
    "before the last": [HEAD + chunk(PAPER)],
    "by garbage": [HEAD + chunk(PAPER[:HALF]) + b"not a size\r\n"],
}


@pytest.mark.parametrize("driver", list(itertools.product(MODES, FAMILIES)), ids="-".join)
@pytest.mark.parametrize("way", BROKEN)
def test_a_chunked_body_that_breaks_off_is_not_the_file(driver, way, tmp_path):
    """A chunked body that breaks off is fetched again; if every one does, AnswerLost is raised and no file is made."""
    target, lasting = tmp_path / "paper.pdf", tmp_path / "lasting.pdf"
    complete = [HEAD + chunk(PAPER) + b"0\r\n\r\n"]

    def service(call):
        if not call.path.endswith("/file"):
            return [http(200, json.dumps({"job_id": call.path[6:], "status": "completed"}))]
        return BROKEN[way] if call.nth == 1 or "lasting" in call.path else complete

    with face(*driver) as made, raw_server(service) as server:
        client = made.client(server.url, retry=TRIES, patience=TRIES)
        client.download_file("once", target)
        assert client.job("memory").read(1 << 20) == PAPER
        with pytest.raises(AnswerLost):
            client.download_file("lasting", lasting)
    assert target.read_bytes() == PAPER
    assert not lasting.exists()


@pytest.mark.parametrize("driver", list(itertools.product(MODES, FAMILIES)), ids="-".join)
def test_a_chunked_body_is_capped_while_it_arrives(driver, tmp_path):
    """A chunked body is refused when it exceeds `max_file_bytes`, and no part of it stays."""

    def service(call):
        return [HEAD + chunk(PAPER), *[chunk(PAPER)] * 20, b"0\r\n\r\n"]

    with face(*driver) as made, raw_server(service) as server:
        client = made.client(server.url, retry=TRIES, patience=TRIES, max_file_bytes=5 * len(PAPER))
        with pytest.raises(WrongFile):
            client.download_file("j1", tmp_path / "paper.pdf")
    assert list(tmp_path.iterdir()) == []
