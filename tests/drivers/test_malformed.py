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


@pytest.mark.parametrize("driver", list(itertools.product(MODES, FAMILIES)), ids="-".join)
@pytest.mark.parametrize("location", ["https:x", "x:y", "http:x"])
def test_a_submission_is_not_repeated_because_its_reply_has_a_location_that_is_none(driver, location):
    """HTTP libraries read Location by themselves; what they cannot read came in a reply, so the request was sent."""
    reply = http(303, location=location)
    with face(*driver) as made, raw_server(lambda call: [reply if call.method == "POST" else http(404)]) as server:
        with pytest.raises(gofer.SubmitUncertain):
            made.client(server.url, retry=FEW).retrieve("10.5555/12345678")
        assert [call.method for call in server.calls].count("POST") == 1


@pytest.mark.parametrize("mode", MODES)
def test_a_cookie_that_cannot_be_sent_back_costs_nothing(mode):
    """Not the redirect that it came with, nor a later request; other cookies are kept."""

    def service(call):
        if call.path == "/jobs/j1":
            return [b"HTTP/1.1 302 X\r\nlocation: /j\r\nset-cookie: a=\xe9\r\nset-cookie: b=1; path=/\r\n\r\n"]
        return [DONE]

    with face(mode, "httpx") as made, raw_server(service) as server:
        client = made.client(server.url)
        assert client.get_job_status("j1").status == "completed"
        assert server.calls[1].headers["cookie"] == "b=1"


@pytest.mark.parametrize("mode", MODES)
def test_a_flood_of_cookies_does_not_grow_for_ever(mode):
    """Each reply sets others, and a request carries some of them only; one that is very long is not kept."""

    def service(call):
        lines = [f"set-cookie: c{call.path[6:]}-{number}=1; path=/" for number in range(50)]
        head = "\r\n".join(
            ["HTTP/1.1 302 X", f"location: /jobs/{int(call.path[6:]) + 1}", *lines, f"set-cookie: l={'x' * 5000}"]
        )
        return [f"{head}\r\n\r\n".encode()]

    with face(mode, "httpx") as made, raw_server(service) as server:
        with pytest.raises(gofer.Rejected):
            made.client(server.url).get_job_status("0")
        sent = [call.headers.get("cookie", "").count("=") for call in server.calls]
        assert (len(sent), sent[1], max(sent) <= 64) == (11, 50, True)
        assert not any("l=x" in call.headers.get("cookie", "") for call in server.calls)


@pytest.mark.parametrize("driver", list(itertools.product(MODES, FAMILIES)), ids="-".join)
def test_an_address_elsewhere_that_no_library_can_ask_is_unreachable(driver, tmp_path):
    """It is the service's, so the caller is not told that the call was wrong."""

    def service(call):
        return [http(302, location="http://999.0.0.1/x") if call.path.endswith("/file") else DONE]

    with face(*driver) as made, raw_server(service) as server, pytest.raises(gofer.TransportError):
        made.client(server.url, patience=FEW).job("j1").download(tmp_path / "paper.pdf", timeout=20)


def test_an_error_can_be_printed_whatever_the_service_said():
    """Half a character in a service's text is written as an escape."""
    assert str(gofer.GoferError("no: \ud800")) == "no: \\ud800"
