"""The how-to for any API is true: its worked example runs as it stands, each variant speaks to a service."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from dialects.servers.processes import free_port
from gofer import Client, JobFailed, Rejected, Request
from gofer.contracts.declared import DeclaredContract
from gofer.contracts.toml import parse

PAGE = (Path(__file__).parents[1] / "docs" / "howto" / "any-api.md").read_text(encoding="utf-8")
EXAMPLE, OTHERS = PAGE.split("## A worked example", 1)[1].split("## Common variants", 1)
VARIED = OTHERS.split("## What cannot be said", 1)[0]
PORT = "18080"


def fenced(kind: str, text: str) -> list[str]:
    """Give the blocks of one kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


ATLAS = "\n".join(fenced("toml", EXAMPLE))
SERVER, FETCH, TESTED = fenced("python", EXAMPLE)
SMALLEST = fenced("toml", VARIED)[0]
VARIANTS = dict(re.findall(r"^### (.+?)\n.*?^```toml\n(.*?)^```$", VARIED, re.DOTALL | re.MULTILINE))

# --- the worked example ---

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
    """Run the page's server; give a folder with the page's files, and the server's port."""
    folder, port = tmp_path_factory.mktemp("atlas"), str(free_port())
    (folder / "atlas.py").write_text(SERVER)
    (folder / "atlas.toml").write_text(ATLAS)
    (folder / "fetch.py").write_text(FETCH.replace(PORT, port))
    (folder / "curl").write_text(CURL.format(python=sys.executable))
    (folder / "curl").chmod(0o755)
    with subprocess.Popen([sys.executable, "atlas.py", port], cwd=folder) as server:
        try:
            for _ in range(100):
                try:
                    httpx.get(f"http://localhost:{port}/v2/drawings/none")
                    break
                except httpx.TransportError:
                    time.sleep(0.05)
            yield folder, port
        finally:
            server.terminate()


def steps() -> list[tuple[str, str]]:
    """Give each command of the page that is to be run, and what it shows."""
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


def test_the_worked_example_goes_as_the_page_says(atlas: tuple[Path, str]) -> None:
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


def test_the_test_of_the_page_passes(atlas: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's own test runs without a server."""
    monkeypatch.chdir(atlas[0])
    names: dict[str, Any] = {"__name__": "page"}
    exec(compile(TESTED, "any-api.md", "exec"), names)
    names["test_the_sheets_are_brought"](tmp_path)


# --- the variants ---


def merged(variant: str) -> str:
    """Put a variant's tables in the place of the smallest declaration's."""
    theirs = set(re.findall(r"^\[+(\w+)", variant, re.MULTILINE))
    head, *tables = re.split(r"^(?=\[)", SMALLEST, flags=re.MULTILINE)
    kept = [table for table in tables if table[1:].split("]")[0] not in theirs]
    return head + "\n".join((*kept, variant))


class Script:
    """A service that is asked for these things in this order, and gives these answers."""

    def __init__(self, *exchanges: tuple[str, httpx.Response]) -> None:
        self.left, self.requests = list(exchanges), list[httpx.Request]()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        self.requests.append(request)
        wanted, answer = self.left.pop(0)
        assert f"{request.method} {request.url.raw_path.decode()}" == wanted
        return answer


def reply(status: int = 200, body: Any = None, **headers: str) -> httpx.Response:
    """Make an answer: bytes and text as they are, anything else as JSON."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is None or isinstance(body, bytes | str):
        return httpx.Response(status, content=body, headers=named)
    return httpx.Response(status, json=body, headers=named)


ONE, DONE = {"id": "1"}, {"id": "1", "status": "succeeded"}
MADE, ENDED = ("POST /jobs", reply(201, ONE)), ("GET /jobs/1", reply(200, DONE))
XML = {"content_type": "application/xml"}
FILES: dict[str, Any] = {"outputs": {"map": {"href": "/f/1"}, "log": {"url": "s3://b/log"}}}
RPC = {"status": {"result": {"state": "succeeded", "answer": 42}}}

TALKS: dict[str, tuple[Script, Any]] = {
    "The id is only in a link": (Script(("POST /jobs", reply(201, location="/jobs/1")), ENDED), DONE),
    "The service hands out links": (
        Script(
            ("POST /jobs", reply(201, {"id": "1", "urls": {"get": "/where?job=1", "cancel": "/stop?job=1"}})),
            ("GET /where?job=1", reply(200, DONE)),
        ),
        DONE,
    ),
    "It depends on the answer which link is asked": (
        Script(
            ("POST /jobs", reply(202, location="/place/1")),
            ("GET /place/1", reply(202)),
            ("GET /place/1", reply(200, {"a": 1})),
            ("GET /place/1", reply(200, {"a": 1})),
        ),
        {"a": 1},
    ),
    "The caller chooses the id": (Script(("PUT /jobs/k-1", reply(201)), ("GET /jobs/k-1", reply(200, DONE))), DONE),
    "The service knows idempotency keys": (Script(("POST /jobs", reply(503)), MADE, ENDED), DONE),
    "A second request starts the job": (
        Script(
            ("POST /jobs", reply(201, {"id": "1", "status": "created"})),
            ("POST /jobs/1/start", reply(200)),
            ("GET /jobs/1", reply(200, {"id": "1", "status": "finished"})),
        ),
        {"id": "1", "status": "finished"},
    ),
    "It may be finished at once": (Script(("POST /jobs", reply(200, {"answer": 42}))), {"answer": 42}),
    "The state is a header": (
        Script(MADE, ("HEAD /jobs/1", reply(200, x_job_state="succeeded")), ("GET /jobs/1", reply(200, {"a": 1}))),
        {"a": 1},
    ),
    "The state is the HTTP code": (
        Script(MADE, ("GET /jobs/1", reply(200, {"a": 1})), ("GET /jobs/1", reply(200, {"a": 1}))),
        {"a": 1},
    ),
    "The state is the name of an XML element": (
        Script(
            ("POST /jobs", reply(200, '<j:Job xmlns:j="u" id="1"><j:Status><j:Finished/></j:Status></j:Job>', **XML))
        ),
        {"@id": "1", "Status": {"Finished": ""}},
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
    "States of the application's own": (
        Script(
            MADE,
            ("GET /jobs/1", reply(200, {"status": "stirring"})),
            ("GET /jobs/1", reply(200, {"status": "SUCCESS"})),
        ),
        {"status": "SUCCESS"},
    ),
    "The service holds the request until there is news": (
        Script(
            MADE,
            ("GET /jobs/1?wait=20", reply(200, {"status": "running"}, x_waited="20")),
            ("GET /jobs/1?wait=20", reply(200, DONE)),
        ),
        DONE,
    ),
    "The reason of a failure is at another address": (
        Script(
            MADE,
            ("GET /jobs/1", reply(200, {"status": "failed"})),
            ("GET /jobs/1/log", reply(200, {"stderr": "no luck"})),
        ),
        JobFailed("no luck"),
    ),
    "The result says that it is a failure": (
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
    "The result is the answer itself, whatever its type": (
        Script(MADE, ENDED, ("GET /jobs/1/result", reply(200, {"a": 1}))),
        None,
    ),
    "There is no result": (Script(MADE, ENDED), None),
    "A key, a version or a cookie on every address": (
        Script(
            ("POST /jobs?api-version=2024-01", reply(201, ONE, set_cookie="session=s3; Path=/")),
            ("GET /jobs/1?api-version=2024-01", reply(200, DONE)),
        ),
        DONE,
    ),
    "Everything is a POST to one address": (
        Script(("POST /", reply(200, {"result": {"job": 1}})), ("POST /", reply(200, RPC["status"]))),
        42,
    ),
    "The body is XML": (
        Script(
            ("POST /", reply(200, "<Envelope><Body><submitResponse><job>1</job></submitResponse></Body></Envelope>")),
            ENDED,
        ),
        DONE,
    ),
    "Files go with the submission": (Script(MADE, ENDED), DONE),
}

ORDERS: dict[str, dict[str, Any]] = {
    "The body is XML": {"what": "a < b"},
    "Files go with the submission": {"params": {"n": 1}, "files": {"a.txt": "text", "b.bin": b"\x00"}},
}


def client_of(title: str, service: Callable[[httpx.Request], httpx.Response]) -> Client[Any, Any]:
    """Make a client of a variant."""
    declaration = parse(merged(VARIANTS[title]), f"{title}.toml")
    given = {name: "s3cret" for name, variable in declaration.variables.items() if variable.default is None}
    contract = DeclaredContract(declaration, given)
    transport = httpx.MockTransport(service)
    return Client("http://jobs.test", contract=contract, transport=transport, new_key=lambda: "k-1")


def test_every_variant_is_tried() -> None:
    """The talks below are the variants of the page, one for one."""
    assert list(TALKS) == list(VARIANTS)


@pytest.mark.parametrize("title", VARIANTS)
def test_a_variant_speaks_to_its_service(title: str) -> None:
    """The declaration of the page makes these requests, and this is what comes of their answers."""
    script, outcome = TALKS[title]
    with client_of(title, script) as client:
        if isinstance(outcome, JobFailed):
            with pytest.raises(JobFailed, match=outcome.message):
                client.run(ORDERS.get(title, {}), timeout=30)
        else:
            assert client.run(ORDERS.get(title, {}), timeout=30).value == outcome
    assert script.left == []
    match title:
        case "The body is XML":
            assert b"<what>a &lt; b</what>" in script.requests[0].content
            assert script.requests[0].headers["content-type"].startswith("text/xml")
        case "A key, a version or a cookie on every address":
            assert [request.headers.get("cookie") for request in script.requests] == [None, "session=s3"]
            assert script.requests[1].headers["authorization"] == "Key s3cret"
        case "Files go with the submission":
            assert b'filename="b.bin"' in script.requests[0].content


def test_files_are_what_the_variants_say() -> None:
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


def test_a_refusal_with_200_is_one() -> None:
    """What the page says of `[refusal]`."""
    answer = {"error": {"message": "no such method", "code": -32601}}
    with (
        client_of("Everything is a POST to one address", lambda _: reply(200, answer)) as client,
        pytest.raises(Rejected, match="no such method"),
    ):
        client.submit({})


# --- what cannot be said ---


def test_a_signature_over_the_body_is_the_clients() -> None:
    """`auth=` gets the whole request, as it is sent: its final address and its body."""
    seen: list[tuple[str, bytes]] = []

    def sign(request: Request) -> Request:
        seen.append((request.url, request.body))
        return request.with_headers({"x-signature": str(len(request.body))})

    script = Script(
        ("POST /jobs?api-version=2024-01", reply(201, ONE)), ("GET /jobs/1?api-version=2024-01", reply(200, DONE))
    )
    title = "A key, a version or a cookie on every address"
    contract = DeclaredContract(parse(merged(VARIANTS[title]), "page.toml"), {"api_key": "s3cret"})
    with Client("http://jobs.test", contract=contract, transport=httpx.MockTransport(script), auth=sign) as client:
        client.run({"a": 1}, timeout=10)
    assert seen == [(str(request.url), request.content) for request in script.requests]
    assert [request.headers["x-signature"] for request in script.requests] == ["7", "0"]


@pytest.mark.parametrize(("url", "names"), [("", ["a"]), ('url = ""', ["a", "b"])], ids=["absolute", "relative"])
def test_bare_links_are_files(url: str, names: list[str]) -> None:
    """Without `url` absolute ones, with an empty one relative ones too."""
    text = re.sub(r"^url = \[.*$", url, merged(VARIANTS["The result is several files"]), flags=re.MULTILINE)
    answers = {
        "/jobs": reply(201, ONE),
        "/jobs/1": reply(200, DONE),
        "/jobs/1/result": reply(200, {"outputs": ["http://jobs.test/f/a", "/f/b"]}),
    }
    transport = httpx.MockTransport(lambda request: answers[request.url.path])
    with Client("http://jobs.test", contract=DeclaredContract(parse(text, "page.toml")), transport=transport) as client:
        job = client.submit({})
        job.result(timeout=30)
        assert [file.name for file in job.files] == names
