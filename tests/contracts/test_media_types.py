"""What a result is: by what is read out of it, and by its media type, which is often wrong."""

import json

import pytest
from tenacity.stop import stop_after_delay
from tenacity.wait import wait_fixed

import gofer
from gofer.contracts.declared import toml
from support.declared import PLAIN, Answering, as_json, client_of, said
from support.raw_server import http

DECLARED = PLAIN + '[result]\nurl = "{base}/jobs/{id}/result"\n'

PAGE = http(200, "<!doctype html><html><body>Please sign in", content_type="text/html")
TIDY = http(200, "<html><body>Please sign in</body></html>", content_type="text/html")


def gives(reply, state="done"):
    """A service whose job has ended and gave this."""

    def answer(call):
        if call.method == "POST":
            return as_json({"id": "1", "state": state})
        return reply if call.path.endswith("/result") else as_json({"state": state})

    return answer


@pytest.mark.parametrize(
    "kind", ["application/x-amz-json-1.1", "text/plain", "application/octet-stream", "text/html; charset=utf-8"]
)
def test_a_result_of_which_something_is_asked_is_a_document(any_face, serve, kind):
    """Its value and its failure are read, whatever its media type."""
    server = serve(gives(http(200, '{"answer": 42}', content_type=kind)))
    asked = said(DECLARED + 'value = "/answer"\n')
    assert client_of(any_face, server.url, asked).run({}, timeout=10).value == 42
    with pytest.raises(gofer.JobFailed):
        client_of(any_face, server.url, said(DECLARED + 'failed = "/answer"\n')).run({}, timeout=10)


def test_any_kind_of_json_is_a_document(blocking, serve):
    """Also a vendor's; files are found in it."""
    links = json.dumps({"files": ["http://h.test/a", "http://h.test/b"]})
    server = serve(gives(http(200, links, content_type="application/vnd.api-json-1.1")))
    job = client_of(blocking, server.url, said(DECLARED + 'files = { under = "/files" }\n')).submit({})
    job.result(timeout=10)
    assert [file.name for file in job.files] == ["a", "b"]


@pytest.mark.parametrize("page", [PAGE, TIDY], ids=["untidy", "tidy"])
@pytest.mark.parametrize("asked", ["", 'value = "/answer"\n'], ids=["nothing", "a value"])
def test_a_page_in_the_place_of_a_result_ends_soon(virtual_face, asked, page):
    """It is requested again a few times, over ten seconds, and not for as long as `patience` says."""
    server, hour = Answering(gives(page)), gofer.Retry(wait_fixed(1.1), stop_after_delay(3600))
    client = client_of(virtual_face, server, said(DECLARED + asked), patience=hour)
    with pytest.raises(gofer.BadReply, match="text/html"):
        client.run({}, timeout=60)
    assert sum(call.path.endswith("/result") for call in server.calls) == 11


@pytest.mark.parametrize("asked", ['value = "/a"', 'failed = "/a"', 'files = { under = "/a" }'])
def test_of_a_file_nothing_is_read(asked):
    """`file = true` with a place in the document is a fault of the declaration."""
    with pytest.raises(gofer.DeclarationError, match=r"mine.toml:\d+: result.file"):
        toml.parse(DECLARED + "file = true\n" + asked, "mine.toml")


def test_a_text_body_has_no_optional_holes():
    """Without the variable all of the text would be left out, and an empty request sent."""
    text = DECLARED.replace('json = "{input}"', 'text = "<a>{input.must}<b>{input.may?}</b></a>"')
    with pytest.raises(gofer.DeclarationError, match="all of the text would be left out"):
        toml.parse(text, "mine.toml")


def test_a_cancelled_job_has_no_reason_to_be_asked_for(blocking, serve):
    """Only a failed one has."""
    reason = DECLARED + '[reason]\nurl = "{base}/jobs/{id}/log"\nerror = "text:"\n'
    for state, asked in (("stopped", 0), ("broken", 1)):
        server = serve(gives(PAGE, state))
        with pytest.raises(gofer.JobFailed):
            client_of(blocking, server.url, said(reason)).run({}, timeout=10)
        assert sum(call.path.endswith("/log") for call in server.calls) == asked


def test_a_services_words_are_shown_as_they_are(blocking, serve):
    """No dot of them is lost, and none is doubled at their end."""
    server = serve(lambda call: as_json({"error": "waiting... failed at a..b."}, 400))
    with pytest.raises(gofer.Rejected, match=r"answered 400: waiting\.\.\. failed at a\.\.b\.$"):
        client_of(blocking, server.url, said(DECLARED)).submit({})


def test_a_null_in_the_input_is_called_one(blocking, serve):
    """It is there, and is no value."""
    text = DECLARED.replace('json = "{input}"', 'json = { a = "{input.must}" }')
    server = serve(gives(PAGE))
    with pytest.raises(gofer.UsageError, match="it has a null in its place"):
        client_of(blocking, server.url, said(text)).submit({"must": None})
    assert not server.calls
