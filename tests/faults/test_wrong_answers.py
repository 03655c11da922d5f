"""What comes in an answer's place: sign-in pages with status 200, and bodies that something packed."""

import gzip
import itertools
import json

import pytest
from tenacity.stop import stop_after_attempt
from tenacity.wait import wait_fixed

from gofer import BadReply, Unauthorized, WrongFile
from gofer.core.policies import Retry
from support.faces import FAMILIES, MODES, face
from support.raw_server import http, raw_server

PAPER = b"%PDF-1.7 " + bytes(20_000)
PAGE = http(200, "<!doctype html><html>Please sign in</html>", content_type="text/html")
PACKED = {"body": gzip.compress(b"{}"), "content_encoding": "gzip"}
DRIVERS = list(itertools.product(MODES, FAMILIES))
TRIES = Retry(wait_fixed(0.01), stop_after_attempt(3))


@pytest.mark.parametrize("driver", DRIVERS, ids="-".join)
@pytest.mark.parametrize("times", [1, 9], ids=["once", "lasting"])
def test_a_page_is_not_the_file_of_a_job_that_is_known_by_its_id_only(driver, times, tmp_path):
    """The job is looked at, once, and what it promises is the file; a page never takes the target's place."""
    target = tmp_path / "paper.pdf"
    target.write_bytes(b"old")

    def service(call):
        if not call.path.endswith("/file"):
            return [http(200, json.dumps({"job_id": "j1", "status": "completed", "file_format": "pdf"}))]
        return [PAGE if call.nth <= times else http(200, PAPER, content_type="application/pdf")]

    with face(*driver) as made, raw_server(service) as server:
        client = made.client(server.url, retry=TRIES, patience=TRIES)
        if times == 1:
            client.download_file("j1", target)
        else:
            with pytest.raises(WrongFile, match="HTML"):
                client.download_file("j1", target)
        assert [call.path for call in server.calls] == ["/jobs/j1/file", "/jobs/j1", "/jobs/j1/file"]
    assert target.read_bytes() == (PAPER if times == 1 else b"old")
    assert [place.name for place in tmp_path.iterdir()] == ["paper.pdf"]


@pytest.mark.parametrize("driver", DRIVERS, ids="-".join)
def test_a_packed_document_is_asked_for_again_and_a_packed_refusal_is_one(driver):
    """What packs answers is not on the way of all, and a status code needs no unpacking."""
    document = http(200, json.dumps({"job_id": "j1", "status": "completed"}))
    answers = [http(200, **PACKED), http(503, **PACKED), document, http(401, **PACKED), *[http(200, **PACKED)] * 3]
    with face(*driver) as made, raw_server(lambda call: [answers[call.nth - 1]]) as server:
        client = made.client(server.url, retry=TRIES)
        assert client.get_job_status("j1").status == "completed"
        with pytest.raises(Unauthorized):
            client.get_job_status("j1")
        with pytest.raises(BadReply, match="gzip"):
            client.get_job_status("j1")
        assert len(server.calls) == len(answers)
