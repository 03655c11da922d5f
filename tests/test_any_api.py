"""The pages on any API are true: the tutorial runs as it stands, each recipe of the cookbook speaks to a service."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from dialects.servers.processes import free_port
from gofer import JobFailed, NeedsInput
from support.any_api import (
    COOKBOOK,
    DONE,
    ENDED,
    EXAMPLE,
    INCLUDED,
    MADE,
    ONE,
    ORDERS,
    RECIPES,
    WPS,
    XML,
    Script,
    client_of,
    fenced,
    reply,
)

PORT = "18080"
ATLAS = "\n".join(fenced("toml", EXAMPLE))
SERVER, FETCH, TESTED = fenced("python", EXAMPLE)

# --- the tutorial ---

CURL = """\
#!{python}
import http.client, sys
from urllib.parse import urlsplit
args, headers, body, url = sys.argv[1:], {{}}, None, ""
while args:
    arg = args.pop(0)
    if arg == "-H":
        name, _, value = args.pop(0).partition(": ")
        headers[name] = value
    elif arg == "-d":
        body = open(args.pop(0)[1:]).read()
    elif arg not in ("-s", "-i"):
        url = urlsplit("http://" + arg)
connection = http.client.HTTPConnection(url.netloc)
connection.request("GET" if body is None else "POST", url.path, body, headers)
answer = connection.getresponse()
print(f"HTTP/1.1 {{answer.status}} {{answer.reason}}")
print("".join(f"{{name}}: {{value}}\\n" for name, value in answer.getheaders()))
print(answer.read().decode(), end="")
"""


@pytest.fixture(scope="module")
def atlas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """Run the tutorial's server; give a folder with the tutorial's files, and the server's port."""
    folder, port = tmp_path_factory.mktemp("atlas"), str(free_port())
    (folder / "atlas.py").write_text(SERVER)
    (folder / "atlas.toml").write_text(ATLAS)
    (folder / "fetch.py").write_text(FETCH.replace(PORT, port))
    (folder / "curl").write_text(CURL.format(python=sys.executable))
    (folder / "curl").chmod(0o755)
    with subprocess.Popen([sys.executable, "atlas.py", port], cwd=folder) as server:
        try:
            for _ in range(1200):
                try:
                    httpx.get(f"http://localhost:{port}/v2/drawings/none")
                    break
                except httpx.TransportError:
                    time.sleep(0.05)
            yield folder, port
        finally:
            server.terminate()


def steps() -> list[tuple[str, str]]:
    """Give each command of the tutorial that is to be run, and what it shows."""
    found: list[tuple[str, str]] = []
    for block in fenced("console", EXAMPLE):
        for command, shown in re.findall(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
            if not command.startswith("python atlas.py"):
                found.append((command, shown))
    return found


def settled(text: str) -> list[str]:
    """Give the lines of an output without what differs: lines that are there or not by the machine's speed, hashes."""
    lines = (re.sub(r"@[0-9a-f]{8}$", "@...", line.rstrip()) for line in text.splitlines())
    return [line for line in lines if not line.startswith("downloading")]


def agrees(said: list[str], shown: list[str]) -> bool:
    """Tell whether an output is what is shown, where `...` is any number of lines."""
    pattern = "".join(r"(?:.*\n)*" if line == "..." else re.escape(line) + r"\n" for line in shown)
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in said)) is not None


def test_the_tutorial_goes_as_it_says(atlas: tuple[Path, str]) -> None:
    """Every command, in its order, prints what is shown below it."""
    folder, port = atlas
    path = f"{folder}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path}
    assert len(steps()) >= 15
    for command, shown in steps():
        if command.startswith("export "):
            environment |= dict(pair.split("=", 1) for pair in command.replace(PORT, port).split()[1:])
            continue
        done = subprocess.run(
            ["bash", "-c", command.replace(PORT, port)],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        said = settled(done.stdout.replace(port, PORT))
        assert agrees(said, settled(shown)), f"$ {command}\n" + "\n".join(said)


def test_the_test_of_the_tutorial_passes(
    atlas: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tutorial's own test runs without a server."""
    monkeypatch.chdir(atlas[0])
    names: dict[str, Any] = {"__name__": "page"}
    exec(compile(TESTED, "any-api.md", "exec"), names)
    names["test_the_sheets_are_downloaded"](tmp_path)


# --- the recipes ---


FILES: dict[str, Any] = {"outputs": {"map": {"href": "/f/1"}, "log": {"url": "s3://b/log"}}}
IMAGES: dict[str, Any] = {**DONE, "images": [{"title": "a.png", "data": "iVBORw=="}]}
AWS = {"Job": {"Status": "SUCCEEDED"}}
RPC = {"status": {"result": {"state": "succeeded", "answer": 42}}}

WPS_ASKED = (
    "GET /?service=WPS&version=1.0.0&request=Execute&identifier=add&DataInputs=a%3D1%3Bb%3D2"
    "&storeExecuteResponse=true&status=true"
)

TALKS: dict[str, tuple[Script, Any]] = {
    "The job's id is only in a link": (Script(("POST /jobs", reply(201, location="/jobs/1")), ENDED), DONE),
    "The service returns links to poll and cancel": (
        Script(
            ("POST /jobs", reply(201, {"id": "1", "urls": {"get": "/where?job=1", "cancel": "/stop?job=1"}})),
            ("GET /where?job=1", reply(200, DONE)),
        ),
        DONE,
    ),
    "The link to poll depends on the answer": (
        Script(
            ("POST /jobs", reply(202, location="/place/1")),
            ("GET /place/1", reply(202)),
            ("GET /place/1", reply(200, {"a": 1})),
            ("GET /place/1", reply(200, {"a": 1})),
        ),
        {"a": 1},
    ),
    "The client chooses the job's id": (
        Script(("PUT /jobs/k-1", reply(201)), ("GET /jobs/k-1", reply(200, DONE))),
        DONE,
    ),
    "The service accepts idempotency keys": (Script(("POST /jobs", reply(503)), MADE, ENDED), DONE),
    "A second request starts the job": (
        Script(
            ("POST /jobs", reply(201, {"id": "1", "status": "created"})),
            ("POST /jobs/1/start", reply(200)),
            ("GET /jobs/1", reply(200, {"id": "1", "status": "finished"})),
        ),
        {"id": "1", "status": "finished"},
    ),
    "The answer to the submission may be the result": (
        Script(("POST /jobs", reply(200, {"answer": 42}))),
        {"answer": 42},
    ),
    "The state is in a header": (
        Script(MADE, ("HEAD /jobs/1", reply(200, x_job_state="succeeded")), ("GET /jobs/1", reply(200, {"a": 1}))),
        {"a": 1},
    ),
    "The state is the HTTP status code": (
        Script(MADE, ("GET /jobs/1", reply(200, {"a": 1})), ("GET /jobs/1", reply(200, {"a": 1}))),
        {"a": 1},
    ),
    "The state is the name of an XML element": (
        Script(
            ("POST /jobs", reply(200, '<j:Job xmlns:j="u" id="1"><j:Status><j:Finished/></j:Status></j:Job>', **XML))
        ),
        {"@id": "1", "Status": {"Finished": ""}},
    ),
    "WPS 1.0: the link is an XML attribute": (
        Script(
            (WPS_ASKED, reply(200, WPS.format("<w:ProcessAccepted>Accepted</w:ProcessAccepted>"), **XML)),
            (
                "GET /statuses/1.xml",
                reply(200, WPS.format('<w:ProcessStarted percentCompleted="5">On</w:ProcessStarted>')),
            ),
            ("GET /statuses/1.xml", reply(200, WPS.format("<w:ProcessSucceeded>Done</w:ProcessSucceeded>"), **XML)),
        ),
        {"Output": {"Identifier": "out", "LiteralData": {"@dataType": "integer", "#text": "42"}}},
    ),
    "The answers are plain text": (
        Script(
            ("POST /jobs", reply(200, "1\n")),
            ("GET /jobs/1", reply(200, "FINISHED\n")),
            ("GET /jobs/1/out", reply(200, "forty-two", content_type="text/plain")),
        ),
        "forty-two",
    ),
    "The state is true or false": (Script(MADE, ("GET /jobs/1", reply(200, {"done": True}))), {"done": True}),
    "The application defines its own states": (
        Script(
            MADE,
            ("GET /jobs/1", reply(200, {"status": "stirring"})),
            ("GET /jobs/1", reply(200, {"status": "SUCCESS"})),
        ),
        {"status": "SUCCESS"},
    ),
    "The service supports long polling": (
        Script(
            MADE,
            ("GET /jobs/1?wait=20", reply(200, {"status": "running"}, x_waited="20")),
            ("GET /jobs/1?wait=20", reply(200, DONE)),
        ),
        DONE,
    ),
    "The reason for a failure is at another URL": (
        Script(
            MADE,
            ("GET /jobs/1", reply(200, {"status": "failed"})),
            ("GET /jobs/1/log", reply(200, {"stderr": "no luck"})),
        ),
        JobFailed("no luck"),
    ),
    "The result document can report a failure": (
        Script(MADE, ENDED, ("GET /jobs/1/result", reply(200, {"error": {"message": "no luck", "type": "Luck"}}))),
        JobFailed("failed|succeeded with Luck: no luck"),
    ),
    "The result is a value in the status document": (
        Script(MADE, ("GET /jobs/1", reply(200, {**DONE, "output": [1, 2]}))),
        [1, 2],
    ),
    "The result is several files": (Script(MADE, ENDED, ("GET /jobs/1/result", reply(200, FILES))), FILES),
    "A file is named by an id": (
        Script(MADE, ("GET /jobs/1", reply(200, {**DONE, "output_file_id": "file-9"}))),
        {**DONE, "output_file_id": "file-9"},
    ),
    "The response body is the result, whatever its type": (
        Script(MADE, ENDED, ("GET /jobs/1/result", reply(200, {"a": 1}))),
        None,
    ),
    "There is no result": (Script(MADE, ENDED), None),
    "Every request needs a key, a version or a cookie": (
        Script(
            ("POST /jobs?api-version=2024-01", reply(201, ONE, set_cookie="session=s3; Path=/")),
            ("GET /jobs/1?api-version=2024-01", reply(200, DONE)),
        ),
        DONE,
    ),
    "JSON-RPC: every request is a POST to one URL": (
        Script(("POST /", reply(200, {"result": {"job": 1}})), ("POST /", reply(200, RPC["status"]))),
        42,
    ),
    "Call a tool of an MCP server as a job": (
        Script(
            ("POST /", reply(200, {"result": {"taskId": "1", "status": "working", "pollIntervalMs": 10}})),
            ("POST /", reply(200, {"result": {"status": "completed", "result": {"structuredContent": {"mass": 42}}}})),
        ),
        {"mass": 42},
    ),
    "GraphQL": (
        Script(
            ("POST /graphql", reply(200, {"data": {"draw": {"id": "d1", "state": "pending"}}})),
            ("POST /graphql", reply(200, {"data": {"drawing": {"id": "d1", "state": "succeeded", "answer": 42}}})),
        ),
        42,
    ),
    "AWS: the operation is in a header": (
        Script(("POST /", reply(200, {"JobId": "1"})), ("POST /", reply(200, AWS))),
        AWS,
    ),
    "The request body is XML": (
        Script(
            ("POST /", reply(200, "<Envelope><Body><submitResponse><job>1</job></submitResponse></Body></Envelope>")),
            ENDED,
        ),
        DONE,
    ),
    "Files are uploaded with the submission": (Script(MADE, ENDED), DONE),
    "The job waits for an answer of its caller": (
        Script(MADE, ("GET /jobs/1", reply(200, {"status": "input_required", "asks": "Which one?"}))),
        NeedsInput("input_required"),
    ),
    "The result is on several pages": (
        Script(
            MADE,
            ENDED,
            ("GET /jobs/1/rows", reply(200, {"rows": [1, 2], "next_cursor": "c2"})),
            ("GET /jobs/1/rows?cursor=c2", reply(200, {"rows": [3], "next_cursor": None})),
        ),
        [1, 2, 3],
    ),
    "The result is JSON or a file, by its type": (
        Script(MADE, ENDED, ("GET /jobs/1/result", reply(200, {"rows": [1]}))),
        [1],
    ),
    "A file is in the document, in Base64": (
        Script(MADE, ("GET /jobs/1", reply(200, IMAGES))),
        IMAGES,
    ),
    "A token is needed first": (
        Script(("POST /login", reply(200, {"access": "t1", "expires_in": 60})), MADE, ENDED),
        DONE,
    ),
    "Errors mean something of their own": (
        Script(
            ("POST /jobs", reply(503, {"code": "QUEUE_FULL"})),
            ("POST /jobs", reply(409, ONE)),
            ENDED,
        ),
        DONE,
    ),
    "A file is the body": (Script(("POST /jobs?name=report", reply(201, ONE)), ENDED), DONE),
    "The file is uploaded first": (
        Script(
            ("POST /files", reply(201, {"upload_url": "https://storage.test/up?sig=1", "id": "h-1"})),
            ("PUT /up?sig=1", reply(200)),
            MADE,
            ENDED,
        ),
        DONE,
    ),
}


def test_every_recipe_is_tried() -> None:
    """The talks above are the recipes of the cookbook, one for one, and no two recipes have the same title."""
    assert sorted(TALKS) == sorted(re.findall("^### (.+)$", COOKBOOK, re.MULTILINE))


@pytest.mark.parametrize("title", [*RECIPES, *INCLUDED])
def test_a_recipe_speaks_to_its_service(title: str) -> None:
    """The declaration of the recipe makes these requests, and this is what comes of their answers."""
    script, outcome = TALKS[title]
    with client_of(title, script) as client:
        if isinstance(outcome, JobFailed | NeedsInput):
            with pytest.raises(type(outcome), match=outcome.message):
                client.run(ORDERS.get(title, {}), timeout=30)
        else:
            assert client.run(ORDERS.get(title, {}), timeout=30).value == outcome
    assert script.left == []
    match title:
        case "The request body is XML":
            assert b"<what>a &lt; b</what>" in script.requests[0].content
            assert script.requests[0].headers["content-type"].startswith("text/xml")
        case "Every request needs a key, a version or a cookie":
            assert [request.headers.get("cookie") for request in script.requests] == [None, "session=s3"]
            assert script.requests[1].headers["authorization"] == "Key s3cret"
        case "GraphQL":
            first, second = (json.loads(request.content) for request in script.requests)
            assert first["query"] == "mutation($order: Order!) { draw(order: $order) { id state } }"
            assert (first["variables"], second["variables"]) == ({"order": {"region": "Utopia"}}, {"id": "d1"})
        case "AWS: the operation is in a header":
            assert {request.headers["content-type"] for request in script.requests} == {"application/x-amz-json-1.1"}
            targets = [request.headers["x-amz-target"] for request in script.requests]
            assert targets == ["Jobs.StartJob", "Jobs.DescribeJob"]
        case "Files are uploaded with the submission":
            assert b'filename="b.bin"' in script.requests[0].content
        case "A file is the body":
            assert script.requests[0].content == ORDERS[title]["file"].read_bytes()
            assert script.requests[0].headers["content-type"] == "application/pdf"
        case "The file is uploaded first":
            assert script.requests[1].url.host == "storage.test"
            assert script.requests[1].content == ORDERS[title]["file"].read_bytes()
            assert json.loads(script.requests[2].content) == {"file": "h-1"}


def test_files_are_what_the_recipes_say() -> None:
    """Links of other schemes are no files, a map's keys are names, an id becomes an address."""
    for title, names, urls in (
        ("The result is several files", ["map"], ["http://jobs.test/f/1"]),
        ("A file is named by an id", ["file-9"], ["http://jobs.test/files/file-9/content"]),
    ):
        answers = {
            "/jobs": reply(201, ONE),
            "/jobs/1": reply(200, {**DONE, "output_file_id": "file-9"}),
            "/jobs/1/result": reply(200, FILES),
        }
        with client_of(title, lambda request, answers=answers: answers[request.url.path]) as client:
            job = client.submit({})
            job.result(timeout=30)
            assert ([file.name for file in job.files], [file.url for file in job.files]) == (names, urls)
