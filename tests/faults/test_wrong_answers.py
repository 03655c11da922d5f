"""Answers of a proxy in place of the service's: sign-in pages with status 200, and compressed bodies."""

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
COMPRESSED = {"body": b"\x0b\x00\x80{}\x03", "content_encoding": "br"}
DRIVERS = list(itertools.product(MODES, FAMILIES))
TRIES = Retry(wait_fixed(0.01), stop_after_attempt(3))


@pytest.mark.parametrize("driver", DRIVERS, ids="-".join)
@pytest.mark.parametrize("times", [1, 9], ids=["once", "lasting"])
def test_a_page_is_not_accepted_as_the_file_if_only_the_id_is_available(driver, times, tmp_path):
    """The job is polled once for the format that it promises, and a page never takes the target's place."""
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
def test_a_compressed_document_is_retried_and_a_compressed_refusal_counts(driver, monkeypatch):
    """A compressed document is requested again, and a compressed refusal counts by its status."""
    monkeypatch.setattr("gofer.core.poll.CLOSEST", 0.01)
    document = http(200, json.dumps({"job_id": "j1", "status": "completed"}))
    answers = [
        http(200, **COMPRESSED),
        http(503, **COMPRESSED),
        document,
        http(401, **COMPRESSED),
        *[http(200, **COMPRESSED)] * 3,
    ]
    with face(*driver) as made, raw_server(lambda call: [answers[call.nth - 1]]) as server:
        client = made.client(server.url, retry=TRIES)
        assert client.get_job_status("j1").status == "completed"
        with pytest.raises(Unauthorized):
            client.get_job_status("j1")
        with pytest.raises(BadReply, match="br"):
            client.get_job_status("j1")
        assert len(server.calls) == len(answers)
