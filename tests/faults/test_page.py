"""A sign-in page with status 200, in the place of a file that nobody had been promised anything of."""

import itertools
import json

import pytest
from tenacity.stop import stop_after_attempt
from tenacity.wait import wait_fixed

from gofer import WrongFile
from gofer.core.policies import Retry
from support.faces import FAMILIES, MODES, face
from support.raw_server import http, raw_server

PAPER = b"%PDF-1.7 " + bytes(20_000)
PAGE = http(200, "<!doctype html><html>Please sign in</html>", content_type="text/html")
TRIES = Retry(wait_fixed(0.01), stop_after_attempt(3))


@pytest.mark.parametrize("driver", list(itertools.product(MODES, FAMILIES)), ids="-".join)
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
