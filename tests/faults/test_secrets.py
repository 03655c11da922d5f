"""No secret gets into a log of any library, a repr, an error, an event, a ticket, or a file on disk."""

import contextlib
import json
import logging
import random
import ssl
import traceback

import pytest
import trustme
from tenacity.stop import stop_after_attempt
from tenacity.wait import wait_fixed

import gofer
from gofer.core.policies import Retry
from support.faces import FAMILIES, MODES, face
from support.raw_server import RESET, http, raw_server

DOI = "10.5555/12345678"
PAPER = b"%PDF-1.7 " + random.Random(1).randbytes(50_000)
SECRETS = ("t0ken-of-mine", "h3ader-of-mine", "c00kie-of-mine", "p4ssword-of-mine", "bWU6cDRzc3dvcmQtb2YtbWluZQ")
SIGNATURE = "s1gned-by-the-service"
QUICK = Retry(wait_fixed(0.01), stop_after_attempt(2))


@pytest.fixture(params=[(mode, family) for mode in MODES for family in FAMILIES], ids="-".join)
def driver(request):
    """Give one of the six."""
    with face(*request.param) as made:
        yield made


def doc(status):
    """A job's document."""
    return http(200, json.dumps({"job_id": "j1", "status": status}), set_cookie="session=of-the-service")


def texts_of(error):
    """All texts of an error: its message, repr and fields, and those of its causes."""
    texts = []
    while error is not None:
        texts += [str(error), repr(error), repr(vars(error))]
        error = error.__cause__ or error.__context__
    return texts


def test_no_secret_is_written_anywhere(driver, tmp_path, caplog):
    """No secret is in any text or file after success, refusals, lost answers and a redirect to another origin."""
    caplog.set_level(logging.DEBUG)
    written, events = [], []
    phase = {"file": lambda elsewhere: [http(302, location=f"{elsewhere}/blob?signature={SIGNATURE}")]}

    def sign(request):
        written.append(repr(request))
        return request

    def script(call):
        if call.method == "POST":
            return [doc("pending")]
        if not call.path.endswith("/file"):
            return [RESET] if call.nth == 1 else [doc("completed")]
        return phase["file"](elsewhere.url)

    def blob(call):
        complete = http(200, PAPER, etag='"one"')
        return [complete[:20_000], 0.05, RESET] if call.nth == 1 else [http(403, '{"detail":"no"}')]

    with raw_server(blob) as elsewhere, raw_server(script) as server:
        inner = driver.http_client(cookies={"c": SECRETS[2]}, auth=("me", SECRETS[3]))
        options = {"headers": {"x-key": SECRETS[1]}, "progress": events.append, "retry": QUICK, "patience": QUICK}
        client = driver.client(server.url, http_client=inner, auth=sign, hold=0, **options)
        signed = driver.client(server.url, auth=SECRETS[0], hold=0, **options)
        for number, one in enumerate((client, signed)):
            job = one.retrieve(DOI)
            written += [job.ticket, repr(job), repr(one)]
            with pytest.raises(gofer.GoferError) as caught:  # cut once, then refused: a part file stays
                job.download(tmp_path / f"{number}.pdf", timeout=60)
            written += [*texts_of(caught.value), caught.value.ticket, "".join(traceback.format_exception(caught.value))]
            phase["file"] = lambda _: [http(401, '{"detail":"who are you"}')]
            with pytest.raises(gofer.Unauthorized) as caught:
                job.download(tmp_path / "refused.pdf", timeout=60)
            written += texts_of(caught.value)
            phase["file"] = lambda _: [http(200, PAPER)]
            written.append(repr(one.run(gofer.RetrieveRequest(DOI), to=tmp_path / "complete.pdf", timeout=60)))
            phase["file"] = lambda _: [RESET]
            with pytest.raises(gofer.TransportError) as caught:
                job.download(tmp_path / "lost.pdf", timeout=60)
            written += texts_of(caught.value)
        sent = {value for call in server.calls for value in call.headers.values()}
        assert any(SECRETS[0] in value for value in sent)
        assert any(SECRETS[2] in value for value in sent)
        assert not any(secret in str(call.headers) for call in elsewhere.calls for secret in SECRETS)
    written += [str(event) + repr(event) for event in events]
    written += [record.getMessage() + str(record.args) + str(record.exc_text) for record in caplog.records]
    written += [place.read_bytes().decode("latin-1") for place in tmp_path.iterdir()]
    assert any(place.name.endswith(".part.json") for place in tmp_path.iterdir())
    assert [line for line in written for secret in SECRETS if secret in line] == []
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("gofer")]
    assert ours
    others = {record.getMessage() for record in caplog.records} - set(ours)
    assert [line for line in written if SIGNATURE in line and not any(line.startswith(other) for other in others)] == []


def test_a_redirect_from_https_to_http_is_refused(driver, tmp_path):
    """A redirect of a document or a file from https to http is rejected, and nothing is sent there."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with contextlib.ExitStack() as stack:
        plain = stack.enter_context(raw_server(lambda call: [http(200, PAPER, content_type="application/pdf")]))
        server = stack.enter_context(raw_server(lambda call: [http(302, location=f"{plain.url}/blob")], context))
        client = driver.client(server.url, http_client=driver.http_client(verify=trusting))
        for call, args in ((client.download_file, ("j1", tmp_path / "x.pdf")), (client.get_job_status, ("j1",))):
            with pytest.raises(gofer.Rejected, match="from https to http"):
                call(*args)
        assert plain.calls == []


def test_a_redirect_loop_ends(driver, tmp_path):
    """A redirect loop is rejected after eleven requests, for a document and for a file."""
    with raw_server(lambda call: [http(307, location=call.path)]) as server:
        client = driver.client(server.url)
        for count, (call, args) in enumerate(
            ((client.get_job_status, ("j1",)), (client.download_file, ("j1", tmp_path / "x.pdf"))), 1
        ):
            with pytest.raises(gofer.Rejected, match="redirected more than 10 times"):
                call(*args)
            assert len(server.calls) == 11 * count
    assert list(tmp_path.iterdir()) == []
