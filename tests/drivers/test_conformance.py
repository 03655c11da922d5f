"""What every driver must do, tested on real sockets against a server that misbehaves."""

import base64
import gzip
import hashlib
import io
import json
import random
import ssl
import threading
import time
import zlib

import pytest
import trustme
from tenacity.stop import stop_after_attempt
from tenacity.wait import wait_fixed

import gofer
from gofer import (
    AnswerLost,
    BadReply,
    Expired,
    OutOfTime,
    Rejected,
    SubmitUncertain,
    Unavailable,
    Unreachable,
    UntrustedCertificate,
    WaitTimeout,
    WrongFile,
)
from gofer.core.policies import Retry, wait_retry_after
from gofer.transports.parts import part_of
from support.raw_server import RESET, http, raw_server

DOI = "10.5555/12345678"
PAPER = b"%PDF-1.7 " + random.Random(1).randbytes(300_000)
ETAG = '"paper-1"'
FEW = Retry(wait_retry_after(wait_fixed(0.01)), stop_after_attempt(4))
QUICK = {"retry": FEW, "patience": FEW, "poll": wait_fixed(0.05)}


@pytest.fixture(autouse=True)
def brisk(monkeypatch):
    """Let failed polls follow one another closely."""
    monkeypatch.setattr("gofer.core.poll.CLOSEST", 0.01)


def doc(status="completed", **more):
    """A job document."""
    return json.dumps({"job_id": "j1", "status": status, "doi": DOI, **more})


def service(**special):
    """A service with one completed job; `special` maps submit, poll, file, cancel, health to scripts of their own."""

    def script(call):
        kind = {"POST": "submit", "DELETE": "cancel"}.get(call.method)
        kind = kind or ("health" if call.path == "/health" else "file" if call.path.endswith("/file") else "poll")
        if kind in special:
            pieces = special[kind](call)
            if pieces is not None:
                return pieces
        if kind == "file":
            return [file_reply(call)]
        if kind == "health":
            return [http(200, '{"status":"healthy","vpn_connected":true,"vpn_ip":"203.0.113.7"}')]
        return [http(202 if kind == "submit" else 200, doc())]

    return script


def file_reply(call, data=PAPER, **more):
    """The reply with the file, or with the range that was requested."""
    headers = {"etag": ETAG, "content_type": "application/pdf", **more}
    version = headers["etag"] or headers.get("last_modified", "")
    if "range" not in call.headers or call.headers.get("if-range", version) != version:
        return http(200, data, **headers)
    start = int(call.headers["range"].removeprefix("bytes=").removesuffix("-"))
    return http(206, data[start:], content_range=f"bytes {start}-{len(data) - 1}/{len(data)}", **headers)


def test_an_errand_downloads_the_file(driver, tmp_path):
    """The right bytes are at the target, and nothing else is beside it."""
    with raw_server(service()) as server:
        path, result = driver.client(server.url).retrieve_and_download(DOI, tmp_path / "deep" / "paper.pdf")
    assert (tmp_path / "deep" / "paper.pdf").read_bytes() == PAPER
    assert (path, result.status) == (str(tmp_path / "deep" / "paper.pdf"), "completed")
    assert [place.name for place in (tmp_path / "deep").iterdir()] == ["paper.pdf"]


def test_a_file_replaces_the_one_that_was_there(driver, tmp_path):
    """The target is replaced in one step."""
    (tmp_path / "paper.pdf").write_bytes(b"old")
    with raw_server(service()) as server:
        driver.client(server.url).download_file("j1", tmp_path / "paper.pdf")
    assert (tmp_path / "paper.pdf").read_bytes() == PAPER


def test_a_refused_connection_is_unreachable(driver):
    """If nothing listens, Unreachable is raised and asks whether the service is running."""
    with raw_server(service()) as server:
        url = server.url
    with pytest.raises(Unreachable, match="running"):
        driver.client(url, **QUICK).retrieve(DOI)


@pytest.mark.parametrize(
    "answer",
    [[RESET], [], [b"HTTP/1.1 200 OK\r\ncontent-le"], [b"garbage\r\n\r\n"], [http(502)], [http(504)]],
    ids=["reset", "closed", "half a head", "garbage", "502", "504"],
)
def test_a_lost_answer_to_a_submission_is_uncertain(driver, answer):
    """However the answer is lost, the submission is not sent again unless the service promises to replay keys."""
    with (
        raw_server(service(submit=lambda call: answer)) as server,
        pytest.raises(SubmitUncertain) as caught,
    ):
        driver.client(server.url, **QUICK).retrieve(DOI)
    assert [call.method for call in server.calls] == ["POST", "GET"]
    assert caught.value.key == server.calls[0].headers["idempotency-key"].strip('"')


def test_a_silent_service_ends_with_the_request_timeout(driver):
    """The timeout of a request covers a service that accepts the connection and does not answer."""
    late = service(submit=lambda call: [60, http(202, doc())])
    with raw_server(late) as server, pytest.raises(SubmitUncertain):
        driver.client(server.url, timeout=1, **QUICK).retrieve(DOI)


def test_failed_polls_are_retried(driver):
    """Polls that are reset, closed or refused do not lose the job."""
    faults = {1: [RESET], 2: [], 3: [http(503)], 4: [http(200, doc("searching"))]}
    with raw_server(service(poll=lambda call: faults.get(call.nth))) as server:
        result = driver.client(server.url, **QUICK).wait_for_completion("j1", poll_interval=0.05)
    assert result.status == "completed"
    assert len(server.calls) == 5


def test_a_wait_ends_with_its_budget(driver):
    """WaitTimeout is raised when the budget ends, although the service would hold the request longer."""
    with raw_server(service(poll=lambda call: [http(200, doc("searching"))] if call.nth == 1 else [60])) as server:
        job = driver.client(server.url, **QUICK).job("j1")
        job.refresh()
        with pytest.raises(WaitTimeout) as caught:
            job.wait(timeout=0.5)
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.status == "searching"


@pytest.mark.parametrize("end", [RESET, b""], ids=["reset", "closed"])
def test_a_cut_download_resumes_where_it_stopped(driver, tmp_path, end):
    """The second request asks for the missing bytes only, and the file is complete."""

    def cut(call):
        answer = file_reply(call)
        return [answer[: len(answer) // 2], 0.05, end] if call.nth == 1 else None

    with raw_server(service(file=cut)) as server:
        driver.client(server.url, **QUICK).download_file("j1", tmp_path / "paper.pdf")
    assert (tmp_path / "paper.pdf").read_bytes() == PAPER
    first, second = server.calls
    assert "range" not in first.headers
    assert second.headers["if-range"] == ETAG
    assert int(second.headers["range"].removeprefix("bytes=").removesuffix("-")) > 0


def test_a_resumed_file_is_verified_by_its_digest(driver, tmp_path):
    """The digest covers the bytes that were kept, so a file that was cut twice is accepted without starting over."""
    right = base64.b64encode(hashlib.sha256(PAPER).digest()).decode()

    def cut(call):
        answer = file_reply(call, repr_digest=f"sha-256=:{right}:")
        return [answer[:100_000], 0.05, RESET] if call.nth < 3 else [answer]

    with raw_server(service(file=cut)) as server:
        driver.client(server.url, **QUICK).download_file("j1", tmp_path / "paper.pdf")
    assert (tmp_path / "paper.pdf").read_bytes() == PAPER
    assert ["range" in call.headers for call in server.calls] == [False, True, True]


VERSIONS = {
    "weak tag": {"etag": 'W/"1"'},
    "tag that is not ASCII": {"etag": '"r\xe9sum\xe9"'},
    "strong date": {
        "etag": "",
        "last_modified": "Tue, 21 Oct 2025 07:28:00 GMT",
        "date": "Tue, 21 Oct 2025 07:28:01 GMT",
    },
    "weak date": {"etag": "", "last_modified": "Tue, 21 Oct 2025 07:28:00 GMT"},
}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_cut_download_resumes_without_a_strong_tag(driver, tmp_path, version):
    """With a strong date the rest is sent; without one some bytes more, which are compared with those on disk."""

    def cut(call):
        answer = file_reply(call, **VERSIONS[version])
        return [answer[:100_000], 0.05, RESET] if call.nth < 3 else [answer]

    with raw_server(service(file=cut)) as server:
        driver.client(server.url, **QUICK).download_file("j1", tmp_path / "paper.pdf")
    assert (tmp_path / "paper.pdf").read_bytes() == PAPER
    assert [call.headers.get("if-range") for call in server.calls] == (
        [None, *[VERSIONS[version]["last_modified"]] * 2] if version == "strong date" else [None] * 3
    )
    assert all(int(call.headers["range"][6:-1]) > 80_000 * nth for nth, call in enumerate(server.calls[1:], 1))


def test_a_file_that_changed_under_a_weak_tag_is_noticed_by_the_overlap(driver, tmp_path):
    """No byte of the new file is added to the old one's: the file starts over."""
    new = PAPER[:9] + random.Random(2).randbytes(len(PAPER) - 9)

    def changes(call):
        if call.nth == 1:
            return [file_reply(call, etag='W/"1"')[:100_000], 0.05, RESET]
        return [file_reply(call, new, etag='W/"1"')]

    with raw_server(service(file=changes)) as server:
        driver.client(server.url, **QUICK).download_file("j1", tmp_path / "paper.pdf")
    assert (tmp_path / "paper.pdf").read_bytes() == new
    assert ["range" in call.headers for call in server.calls] == [False, True, False]


def test_a_stalled_download_is_resumed(driver, tmp_path):
    """A body that pauses for longer than `stall` is requested again from where it stopped."""

    def stall(call):
        answer = file_reply(call)
        return [answer[:100_000], 3] if call.nth == 1 else None

    with raw_server(service(file=stall)) as server:
        driver.client(server.url, stall=0.3, **QUICK).download_file("j1", tmp_path / "paper.pdf")
    assert (tmp_path / "paper.pdf").read_bytes() == PAPER
    assert "range" in server.calls[1].headers


def test_a_download_that_outlives_the_budget_is_out_of_time_and_keeps_its_part(driver, tmp_path):
    """A body that drips ends with the budget, and the next call resumes the part."""
    dripping = threading.Event()
    dripping.set()

    def drip(call):
        answer = file_reply(call)
        return [answer[:100_000], *[b"", 0.1] * 600] if dripping.is_set() else [answer]

    with raw_server(service(file=drip)) as server:
        job = driver.client(server.url, **QUICK).job("j1")
        while not part_of(tmp_path / "paper.pdf").exists():  # on a busy machine one budget may be too short for it
            with pytest.raises(OutOfTime):
                job.download(tmp_path / "paper.pdf", timeout=0.5)
        assert not (tmp_path / "paper.pdf").exists()
        dripping.clear()
        job.download(tmp_path / "paper.pdf", timeout=60)
    assert (tmp_path / "paper.pdf").read_bytes() == PAPER
    assert "range" in server.calls[-1].headers


NAMED = {
    "sha-512": lambda data: {"repr_digest": f"sha-512=:{base64.b64encode(hashlib.sha512(data).digest()).decode()}:"},
    "Content-MD5": lambda data: {"content_md5": base64.b64encode(hashlib.md5(data).digest()).decode()},
    "CRC-32": lambda data: {"x_amz_checksum_crc32": base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()},
}


@pytest.mark.parametrize("name", NAMED)
def test_a_file_is_verified_by_other_digests_also_over_a_resume(driver, tmp_path, name):
    """The right bytes are accepted, after a cut too, and others of the same length are refused."""

    def cut(call):
        answer = file_reply(call, **NAMED[name](PAPER))
        return [answer[:100_000], 0.05, RESET] if call.nth == 1 else [answer]

    with raw_server(service(file=cut)) as server:
        driver.client(server.url, **QUICK).download_file("j1", tmp_path / "paper.pdf")
    assert (tmp_path / "paper.pdf").read_bytes() == PAPER
    assert "range" in server.calls[-1].headers
    other = PAPER[:-1] + bytes([PAPER[-1] ^ 1])
    with (
        raw_server(service(file=lambda call: [file_reply(call, **NAMED[name](other))])) as server,
        pytest.raises(WrongFile, match="is not the one"),
    ):
        driver.client(server.url, **QUICK).download_file("j1", tmp_path / "other.pdf")
    assert not (tmp_path / "other.pdf").exists()


@pytest.mark.parametrize(
    "fields",
    [
        {"x_amz_checksum_crc32c": "AAAAAA=="},
        {"x_amz_checksum_crc64nvme": "AAAAAAAAAAA="},
        {"x_amz_checksum_crc32": "AAAAAA==-2"},
        {"x_goog_hash": "crc32c=AAAAAA=="},
    ],
    ids=str,
)
@pytest.mark.parametrize("require", [True, False])
def test_a_checksum_that_is_not_verified_counts_as_none(driver, tmp_path, fields, require):
    """It is not compared, so it is no error and no verification; the length of the reply counts instead."""
    verify = "require" if require else "auto"
    request = gofer.RetrieveRequest(DOI)
    with raw_server(service(file=lambda call: [file_reply(call, **fields)])) as server:
        outcome = driver.client(server.url, verify=verify, **QUICK).run(request, to=tmp_path / "paper.pdf")
    assert (outcome.path.read_bytes(), outcome.verified) == (PAPER, gofer.Verified.LENGTH)
    with raw_server(service(file=lambda call: [http(200, PAPER, length=False, **fields)])) as server:
        client = driver.client(server.url, verify=verify, **QUICK)
        if require:
            with pytest.raises(WrongFile, match="verify='require'"):
                client.run(request, to=tmp_path / "other.pdf")
        else:
            assert client.run(request, to=tmp_path / "other.pdf").verified is gofer.Verified.NONE


def test_a_wrong_digest_leaves_what_was_there(driver, tmp_path):
    """The target keeps its old bytes, and no part stays behind."""
    wrong = base64.b64encode(hashlib.sha256(b"another").digest()).decode()
    (tmp_path / "paper.pdf").write_bytes(b"old")
    with (
        raw_server(service(file=lambda call: [file_reply(call, repr_digest=f"sha-256=:{wrong}:")])) as server,
        pytest.raises(WrongFile),
    ):
        driver.client(server.url, **QUICK).download_file("j1", tmp_path / "paper.pdf")
    assert (tmp_path / "paper.pdf").read_bytes() == b"old"
    assert [place.name for place in tmp_path.iterdir()] == ["paper.pdf"]


def test_a_body_in_an_encoding_that_was_not_requested_is_refused(driver, tmp_path):
    """A gzip bomb is never decompressed as a file, and no further than the cap as a document."""
    bomb = gzip.compress(bytes(10_000_000))
    special = {
        "file": lambda call: [http(200, bomb, content_encoding="gzip")],
        "poll": lambda call: [http(200, bomb, content_encoding="gzip")],
    }
    with raw_server(service(**special)) as server:
        client = driver.client(server.url, **QUICK)
        with pytest.raises(WrongFile):
            client.download_file("j1", tmp_path / "paper.pdf")
        with pytest.raises(BadReply, match="larger"):
            client.get_job_status("j1")
        assert all(call.headers["accept-encoding"] == "identity" for call in server.calls)


def test_a_long_document_is_refused(driver):
    """A status document of more than a mebibyte is refused."""
    with (
        raw_server(service(poll=lambda call: [http(200, b" " * 2_000_000)])) as server,
        pytest.raises(BadReply, match="larger"),
    ):
        driver.client(server.url, **QUICK).get_job_status("j1")


def test_a_refusal_of_any_length_counts_by_its_status(driver, tmp_path):
    """A page of two mebibytes with status 503 is a transient refusal, for a poll and for a file."""
    page = http(503, b" " * 2_000_000, content_type="text/html")
    files = [[page], [http(200, PAPER, content_type="application/pdf")]]
    with raw_server(service(poll=lambda call: [page], file=lambda call: files.pop(0))) as server:
        client = driver.client(server.url, **QUICK)
        with pytest.raises(Unavailable):
            client.get_job_status("j1")
        client.download_file("j1", tmp_path / "paper.pdf")
        assert (tmp_path / "paper.pdf").read_bytes() == PAPER


def test_reading_into_memory_is_capped(driver):
    """`read` returns a file that fits its cap, and refuses a larger one."""
    with raw_server(service()) as server:
        job = driver.client(server.url, **QUICK).job("j1")
        assert job.read(400_000) == PAPER
        with pytest.raises(WrongFile):
            job.read(1000)


def test_credentials_go_to_the_services_own_origin_only(driver, tmp_path):
    """A redirect to another origin gets neither the token nor the caller's headers; one on its own origin gets both."""
    with (
        raw_server(lambda call: [http(200, PAPER)]) as elsewhere,
        raw_server(
            service(
                file=lambda call: [http(302, location=f"{elsewhere.url}/blob")],
                poll=lambda call: [http(307, location="/jobs/j1?moved")] if "moved" not in call.path else None,
            )
        ) as server,
    ):
        client = driver.client(server.url, auth="s3cret", headers={"x-team": "blue"}, **QUICK)
        client.job("j1").download(tmp_path / "paper.pdf")
    assert {call.headers.get("authorization") for call in server.calls} == {"Bearer s3cret"}
    assert {call.headers.get("x-team") for call in server.calls} == {"blue"}
    assert len(elsewhere.calls) == 1
    assert not {"authorization", "x-team", "cookie"} & elsewhere.calls[0].headers.keys()
    assert (tmp_path / "paper.pdf").read_bytes() == PAPER


def test_a_borrowed_clients_credentials_go_to_the_services_own_origin_only(driver, tmp_path):
    """Its default headers, cookies and auth are sent to the service, and not to another origin."""
    borrowed = driver.http_client(headers={"x-secret": "1"}, cookies={"c": "1"}, auth=("user", "word"))
    with (
        raw_server(lambda call: [http(200, PAPER)]) as elsewhere,
        raw_server(service(file=lambda call: [http(302, location=f"{elsewhere.url}/blob")])) as server,
    ):
        driver.client(server.url, http_client=borrowed, **QUICK).job("j1").download(tmp_path / "paper.pdf")
    assert {"x-secret", "cookie", "authorization"} <= server.calls[0].headers.keys()
    assert not {"x-secret", "cookie", "authorization"} & elsewhere.calls[0].headers.keys()


def test_a_borrowed_client_is_not_closed(driver):
    """Closing gofer's client leaves a borrowed client open."""
    borrowed = driver.http_client()
    with raw_server(service()) as server:
        client = driver.client(server.url, http_client=borrowed)
        client.get_job_status("j1")
        client.close()
    assert not borrowed.is_closed


def test_a_closed_client_opens_again_on_use(driver):
    """`close` may be called twice, and a call after it opens the client again."""
    with raw_server(service()) as server:
        client = driver.client(server.url)
        client.get_job_status("j1")
        client.close()
        client.close()
        assert client.get_job_status("j1").status == "completed"


def test_an_untrusted_certificate_is_an_error_of_its_own(driver):
    """A certificate that the client does not trust raises UntrustedCertificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with raw_server(service(), context) as server, pytest.raises(UntrustedCertificate):
        driver.client(server.url, **QUICK).get_job_status("j1")


@pytest.mark.parametrize(("status", "kind"), [(410, Expired), (422, Rejected)])
def test_refusals_reach_the_caller(driver, tmp_path, status, kind):
    """The service's message is in the error."""
    problem = json.dumps({"error_code": "X", "detail": "because"})
    with (
        raw_server(service(file=lambda call: [http(status, problem)])) as server,
        pytest.raises(kind, match="because"),
    ):
        driver.client(server.url, **QUICK).download_file("j1", tmp_path / "paper.pdf")


def test_health_never_raises(driver):
    """The health is True or False, and None if the answer is no document or does not come."""
    with raw_server(service()) as server:
        client = driver.client(server.url)
        assert client.health_check() is True
        assert client.get_health_status().can_run
    assert client.health_check() is False
    assert client.get_health_status() is None
    with raw_server(service(health=lambda call: [http(200, "<html>")])) as server:
        assert driver.client(server.url).get_health_status() is None


def test_watching_yields_each_new_status(driver):
    """`watch` yields each new status and ends with the job."""
    statuses = ["pending", "searching", "downloading", "completed"]
    with raw_server(service(poll=lambda call: [http(200, doc(statuses[min(call.nth, 4) - 1]))])) as server:
        job = driver.client(server.url, **QUICK).job("j1")
        seen = [str(event.status) for event in job.watch() if isinstance(event, gofer.Changed)]
    assert seen == statuses
    assert job.done


def test_a_ticket_continues_with_the_job(driver, tmp_path):
    """`attach` in another client finds the job, and downloads its file."""
    with raw_server(service()) as server:
        ticket = driver.client(server.url).retrieve(DOI).ticket
        driver.client(server.url).attach(ticket).download(tmp_path / "paper.pdf")
    assert (tmp_path / "paper.pdf").read_bytes() == PAPER


def test_a_listener_that_raises_does_no_harm(driver, tmp_path, caplog):
    """A progress function that raises is logged once, and the errand continues."""

    def listener(event):
        raise RuntimeError("my fault")

    with raw_server(service()) as server:
        client = driver.client(server.url, progress=listener)
        client.retrieve_and_download(DOI, tmp_path / "paper.pdf")
    assert caplog.text.count("progress listener raised") == 1


def test_a_failed_request_for_the_file_is_retried(driver, tmp_path):
    """Faults before the head of the file are retried."""
    with raw_server(service(file=lambda call: {1: [RESET], 2: [http(503)]}.get(call.nth))) as server:
        driver.client(server.url, **QUICK).download_file("j1", tmp_path / "paper.pdf")
    assert len(server.calls) == 3


def test_the_last_error_is_chained(virtual_driver):
    """OutOfTime has the last failure as its cause."""

    def broken(request):
        raise virtual_driver.family.ReadError("broken off")

    transport = virtual_driver.family.MockTransport(broken)
    client = virtual_driver.client("http://service.test", http_client=virtual_driver.http_client(transport=transport))
    with pytest.raises(OutOfTime) as caught:
        client.wait_for_completion("j1", timeout=3)
    assert isinstance(caught.value.__cause__, AnswerLost)


def test_two_errands_with_one_target_never_mix(driver, tmp_path):
    """While one errand writes a target, another with the same target is refused before it submits a job."""
    writing, rest = threading.Event(), threading.Event()

    def slow(call):
        answer = file_reply(call)
        writing.set()
        return [answer[:100_000], rest, answer[100_000:]]

    with raw_server(service(file=slow)) as server:
        client = driver.client(server.url, **QUICK)
        first = threading.Thread(target=client.download_file, args=("j1", tmp_path / "paper.pdf"))
        first.start()
        assert writing.wait(60)
        part = part_of(tmp_path / "paper.pdf")
        while not (part.exists() and part.stat().st_size):  # it is locked before its first byte
            time.sleep(0.01)
        with pytest.raises(gofer.TargetError, match="another errand"):
            client.retrieve_and_download(DOI, tmp_path / "paper.pdf")
        rest.set()
        first.join(60)
        assert not any(call.method == "POST" for call in server.calls)
    assert (tmp_path / "paper.pdf").read_bytes() == PAPER
    assert [place.name for place in tmp_path.iterdir()] == ["paper.pdf"]


def test_a_file_object_is_filled_after_verification(driver):
    """`download_into` writes the complete, verified file or nothing."""
    wrong = base64.b64encode(hashlib.sha256(b"another").digest()).decode()
    lie = {"file": lambda call: [file_reply(call, repr_digest=f"sha-256=:{wrong}:")] if "lie" in call.headers else None}
    filled = io.BytesIO()
    with raw_server(service(**lie)) as server:
        assert driver.client(server.url, **QUICK).job("j1").download_into(filled) == len(PAPER)
        with pytest.raises(WrongFile):
            driver.client(server.url, headers={"lie": "1"}, **QUICK).job("j1").download_into(filled)
    assert filled.getvalue() == PAPER
