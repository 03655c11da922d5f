"""`gofer contract check --reply`: a declaration tried on recorded replies."""

import re
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

from gofer.cli.commands import gofer as command
from gofer.contracts.declared.recordings import recorded
from gofer.errors import UsageError
from support.raw_server import http, raw_server

from .checking import BASE, check, contract, reply, section

pytestmark = pytest.mark.usefixtures("in_a_folder")


def test_reads_recorded_replies() -> None:
    """What each reply means is printed in the order of the legs, with the requests between them."""
    ran = check(
        *("--reply", f"result={reply('r.txt', {'files': [{'at': '/b/1', 'called': '../x'}], 'value': 3})}"),
        *("--reply", f"poll={reply('p1.txt', {'id': 'j 1', 'state': 'working', 'done': 30})}"),
        *("--reply", f"poll={reply('p2.txt', {'id': 'j 1', 'state': 'ready'})}"),
        *("--reply", f"submit={reply('s.txt', {'id': 'j 1', 'state': 'queued'}, 202)}"),
        *("--reply", f"cancel={reply('c.txt', {'id': 'j 1', 'state': 'stopped'})}"),
    )
    assert ran.exit_code == 0, ran.output
    legs = re.findall(r"^(\w+): .*\.txt$", ran.stdout, re.MULTILINE)
    assert legs == ["submit", "poll", "poll", "result", "cancel"]
    assert section(ran.stdout, "submit: s.txt") == (" code 202\n id j 1\n status 'queued', which means pending\n")
    assert " status 'working', which means running\n progress 30%\n" in section(ran.stdout, "poll: p1.txt")
    assert " not there progress\n" in section(ran.stdout, "poll: p2.txt")
    result = section(ran.stdout, "result: r.txt")
    assert f" to GET {BASE}/jobs/j%201/result?region=north\n" in result
    assert f" value 3\n file '../x' from {BASE}/b/1\n" in result
    assert " status 'stopped', which means cancelled\n" in section(ran.stdout, "cancel: c.txt")


def test_says_what_comes_next() -> None:
    """After the last reply the request that would follow is named."""
    ran = check("--reply", f"poll={reply('p.txt', {'id': 'j1', 'state': 'ready'})}")
    assert section(ran.stdout, "next") == f" to GET {BASE}/jobs/JOB-ID/result?region=north\n"


def test_reads_a_result_without_a_request() -> None:
    """A result in the status document is read out of the last recorded poll."""
    ran = contract("check", "flower", "--reply", f"poll={reply('p.txt', {'state': 'SUCCESS', 'result': [3]})}")
    assert ran.exit_code == 0
    assert section(ran.stdout, "result: in the last answer") == " value [3]\n"


def test_reads_a_job_that_was_finished_at_once() -> None:
    """A submission whose answer is the result is shown as finished."""
    ran = contract("check", "ogc-processes", "--reply", f"submit={reply('s.txt', {'sum': 3})}")
    assert ran.exit_code == 0
    assert " job none: it was finished at once\n status" in section(ran.stdout, "submit: s.txt")
    assert ' value {"sum": 3}\n' in section(ran.stdout, "submit: s.txt")


def test_reads_links_and_needs_the_submission_for_them() -> None:
    """Links are read from the submission's headers; without it, a job that is found by them is not."""
    header = {"Operation-Location": "/operations/7"}
    poll = ("--reply", f"poll={reply('p.txt', {'status': 'Running'})}")
    words = ("check", "azure-lro", "--url", BASE, *poll)
    ran = contract(*words, "--reply", f"submit={reply('s.txt', {}, 202, **header)}")
    assert ran.exit_code == 0, ran.output
    assert f" links.operation {BASE}/operations/7\n" in section(ran.stdout, "submit: s.txt")
    alone = contract(*words)
    assert alone.exit_code == 1
    assert "--reply submit=FILE" in alone.stdout


def test_a_submission_by_put_is_read_with_its_input() -> None:
    """What a reply means may depend on the request, which --input gives."""
    Path("put.json").write_text('{"method": "PUT", "path": "things/7"}')
    made = reply("s.txt", {"properties": {"provisioningState": "Creating"}}, 201)
    ran = contract("check", "azure-lro", "--url", BASE, "--input", "put.json", "--reply", f"submit={made}")
    assert ran.exit_code == 0, ran.output
    assert f" links.original {BASE}/things/7\n" in section(ran.stdout, "submit: s.txt")


def test_reads_xml_and_a_job_that_must_be_started() -> None:
    """A redirect that is the answer, XML and an idle job are read as the errand reads them; the start comes next."""
    Path("s.txt").write_bytes(b"HTTP/1.1 303 See Other\r\nLocation: /tap/async/7?a=b\r\n\r\n")
    words = ("check", "uws", "--url", f"{BASE}/tap/async", "--reply", "submit=s.txt")
    ran = contract(*words)
    assert ran.exit_code == 0, ran.output
    submitted = section(ran.stdout, "submit: s.txt")
    assert " id 7\n status 'PENDING', which means pending\n" in submitted
    assert " next the job waits to be started by a second request\n" in submitted
    assert section(ran.stdout, "next") == f" to POST {BASE}/tap/async/7/phase\n"
    error = "<j:errorSummary type='fatal'><j:message>no such table</j:message></j:errorSummary>"
    document = f"<j:job xmlns:j='x'><j:jobId>7</j:jobId><j:phase>ERROR</j:phase>{error}</j:job>"
    Path("p.txt").write_text(f"HTTP/1.1 200 OK\nContent-Type: text/xml\n\n{document}")
    failed = section(contract(*words, "--reply", "poll=p.txt").stdout, "poll: p.txt")
    assert " status 'ERROR', which means failed\n error no such table\n error_code fatal\n" in failed


def test_reads_why_a_job_has_failed() -> None:
    """The document that says why a job has failed is requested, and read if its reply is recorded."""
    words = ("check", "wes", "--reply", f"poll={reply('p.txt', {'run_id': '7', 'state': 'EXECUTOR_ERROR'})}")
    assert section(contract(*words, "--url", BASE).stdout, "next") == f" to GET {BASE}/runs/7\n"
    output = contract(*words, "--reply", f"reason={reply('r.txt', {'run_log': {'stderr': 'no paint'}})}").stdout
    assert " error no paint\n" in section(output, "reason: r.txt")


def test_a_result_that_is_the_file() -> None:
    """A result that is not a document is shown as a file."""
    Path("r.txt").write_bytes(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 4\r\n\r\n\x89PNG")
    ran = contract("check", "ogc-processes", "--url", BASE, "--reply", "result=r.txt")
    result = section(ran.stdout, "result: r.txt")
    assert f" file 'results', 4 bytes, image/png from {BASE}/jobs/JOB-ID/results\n" in result


def test_a_poll_whose_answer_is_the_file() -> None:
    """If the HTTP code says that the job is done, the answer may be the file, and is not read as a document."""
    made = reply("s.txt", {}, 202, Location="/things/7")
    Path("p.txt").write_bytes(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n\x89PNG")
    ran = contract("check", "azure-lro", "--url", BASE, "--reply", f"submit={made}", "--reply", "poll=p.txt")
    assert ran.exit_code == 0, ran.output
    assert " status 'Succeeded', which means succeeded\n" in section(ran.stdout, "poll: p.txt")
    assert section(ran.stdout, "result: in the last answer") == f" file '7', image/png from {BASE}/things/7\n"


def test_a_refusal_is_read_as_one() -> None:
    """A reply that the contract does not read is shown as a refusal or a redirect."""
    refused = reply("s.txt", {"detail": "no such task"}, 422)
    moved = reply("p.txt", {}, 303, Location="/elsewhere")
    ran = check("--reply", f"submit={refused}", "--reply", f"poll={moved}")
    assert ran.exit_code == 0
    assert " reads as a refusal\n words no such task\n" in section(ran.stdout, "submit: s.txt")
    assert " reads as a redirect: gofer would follow it to /elsewhere\n" in section(ran.stdout, "poll: p.txt")


@pytest.mark.parametrize(
    ("leg", "document", "says"),
    [
        ("submit", {"job": 7}, "mine.toml:16: submit.id: nothing was found in the answer"),
        ("poll", {"status": "ready"}, "mine.toml:22: status.state: nothing was found in the answer"),
        ("poll", {"state": "shiny"}, "mine.toml:27: states: the word 'shiny' is not among the states"),
    ],
)
def test_an_unreadable_reply(leg: str, document: object, says: str) -> None:
    """A reply that cannot be read is exit code 1; the error names the declaration's line and key."""
    ran = check("--reply", f"{leg}={reply('x.txt', document)}")
    assert ran.exit_code == 1
    assert f" ERROR {says}" in section(ran.stdout, f"{leg}: x.txt")


def test_a_link_that_leaves_the_origin() -> None:
    """A status address on another origin is an error of the dry run, as it would be of the errand."""
    made = reply("s.txt", {}, 202, **{"Operation-Location": "https://evil.example.net/7"})
    poll = reply("p.txt", {"status": "Running"})
    ran = contract("check", "azure-lro", "--url", BASE, "--reply", f"submit={made}", "--reply", f"poll={poll}")
    assert ran.exit_code == 1
    assert "https://evil.example.net:443, which is not its own origin" in ran.stdout


def test_recorded_replies_of_any_make() -> None:
    """What curl prints is read with any line ends, with interim and followed replies before the last, and repeats."""
    plain = recorded(b'HTTP/2 200 \nLink: <a>\nlink: <b>\n\n{"a": 1}\n\n', BASE, "x")
    assert (plain.status, plain.headers["link"], plain.body) == (200, "<a>, <b>", b'{"a": 1}\n\n')
    several = (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 303 See Other\r\nLocation: /x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"
    )
    last = recorded(several, BASE, "x")
    assert (last.status, last.body, dict(last.headers)) == (204, b"", {})
    assert recorded(b"HTTP/1.1 204 No Content\r\n", BASE, "x").status == 204


@pytest.mark.parametrize("raw", [b"", b'{"state": "ready"}', b'HTTP/1.1 200 OK\r\n{"state": "ready"}'])
def test_no_recorded_reply(raw: bytes) -> None:
    """What is not as curl -i prints it is refused, with what is missing."""
    with pytest.raises(UsageError, match="no recorded reply"):
        recorded(raw, BASE, "x")


def test_a_recording_of_a_real_conversation() -> None:
    """What a server sends, kept byte by byte, is read as it is."""
    answer = http(200, '{"id": "j1", "state": "ready"}', content_type="application/json")
    with raw_server(lambda _: [answer]) as server:
        parts = urlsplit(server.url)
        with socket.create_connection((parts.hostname, parts.port)) as line, line.makefile("rb") as came:
            line.sendall(b"GET /jobs/j1 HTTP/1.1\r\nHost: x\r\n\r\n")
            Path("p.txt").write_bytes(came.read())
    assert "which means succeeded" in check("--reply", "poll=p.txt").stdout


def test_the_example_of_the_documentation() -> None:
    """The page on the command line shows what a dry run of its example prints."""
    page = (Path(__file__).parents[2] / "docs" / "reference" / "command-line.md").read_text(encoding="utf-8")
    blocks = dict(re.findall(r"^```(toml|http|console)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE))
    Path("mine.toml").write_text(blocks["toml"])
    Path("poll.txt").write_text(blocks["http"])
    line, _, printed = blocks["console"].partition("\n...\n")
    ran = CliRunner().invoke(command, line.removeprefix("$ gofer "))
    assert ran.exit_code == 1
    assert ran.stdout.endswith(f"\n\n{printed}")
