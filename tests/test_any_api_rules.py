"""The pages on any API are true: the methods, what becomes of answers, and the limits."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from tenacity.stop import stop_after_attempt
from tenacity.wait import wait_fixed

from gofer import BadReply, Client, DeclarationError, Job, Rejected, Request, Retry
from gofer.contracts.declared.contract import DeclaredContract
from gofer.contracts.declared.toml import parse
from support.any_api import (
    DONE,
    ENDED,
    MADE,
    ONE,
    ORDERS,
    RECIPES,
    SMALLEST,
    TUTORIAL,
    WPS,
    XML,
    Script,
    client_of,
    merged,
    reply,
)

# --- what becomes of answers ---

REFUSALS = {
    "JSON-RPC: every request is a POST to one URL": reply(200, {"error": {"message": "no such job", "code": -32601}}),
    "GraphQL": reply(200, {"errors": [{"message": "no such job"}], "data": None}),
    "WPS 1.0: the link is an XML attribute": reply(
        200, "<ExceptionReport><Exception><ExceptionText>no such job</ExceptionText></Exception></ExceptionReport>"
    ),
}


@pytest.mark.parametrize("title", REFUSALS)
def test_a_refusal_with_200_is_one(title: str) -> None:
    """A submission is `Rejected`, and so is a question for an unknown job, which is no `NotFound` then."""
    with client_of(title, lambda _: REFUSALS[title]) as client:
        with pytest.raises(Rejected, match="no such job"):
            client.submit(ORDERS.get(title, {}))
        if "WPS" not in title:  # its jobs are known by their links
            with pytest.raises(Rejected, match="no such job"):
                client.job("none").refresh()


def test_an_empty_list_of_errors_is_a_find() -> None:
    """So `/errors` is a refusal then, and `/errors/0` is none."""
    made = reply(200, {"data": {"draw": {"id": "d1", "state": "pending"}}, "errors": []})
    text = merged(RECIPES["GraphQL"])
    with client_of("GraphQL", lambda _: made) as client, pytest.raises(Rejected):
        client.submit({})
    contract = DeclaredContract(parse(text.replace('when = "/errors"', 'when = "/errors/0"'), "page.toml"))
    with Client("http://jobs.test", contract=contract, transport=httpx.MockTransport(lambda _: made)) as client:
        assert client.submit({}).id == "d1"


def test_files_that_need_not_be_there() -> None:
    """`{name*?}` sends no file where there is no map."""
    text = merged(RECIPES["Files are uploaded with the submission"]).replace("files*}", "files*?}")
    sent: list[bytes] = []

    def service(request: httpx.Request) -> httpx.Response:
        sent.append(request.content)
        return reply(201, ONE)

    contract = DeclaredContract(parse(text, "page.toml"))
    with Client("http://jobs.test", contract=contract, transport=httpx.MockTransport(service)) as client:
        client.submit({"params": {}})
        client.submit({"params": {}, "files": {"a.txt": "text"}})
    assert [b"filename" in body for body in sent] == [False, True]


def test_an_element_with_attributes_gives_its_text() -> None:
    """Where a text is wanted, as for the message."""
    started = WPS.format('<w:ProcessStarted percentCompleted="5">On it</w:ProcessStarted>')
    title = "WPS 1.0: the link is an XML attribute"
    with client_of(title, lambda _: reply(200, started, **XML)) as client:
        status = client.submit(ORDERS[title]).status
    assert (str(status), status.progress, status.message) == ("ProcessStarted", 0.05, "On it")


# --- the methods ---


def test_every_method_is_in_the_tutorial() -> None:
    """The table has every public member of a client and of a job, methods with brackets and properties without."""
    shown = dict(re.findall(r"^\| `((?:client|job)\.\w+)(\(?)", TUTORIAL, re.MULTILINE))
    for owner, kind, inner in (("client", Client, {"close"}), ("job", Job, {"known"})):
        for name in {one for one in dir(kind) if not one.startswith("_")} - inner:
            assert shown[f"{owner}.{name}"] == ("" if isinstance(getattr(kind, name), property) else "("), name


@pytest.mark.parametrize("code", [404, 405, 501])
def test_no_cancellation_is_false(code: int) -> None:
    """Where the service answers so, where none is declared; an ended job is True without a request."""
    title = "The service returns links to poll and cancel"
    answers = {"/jobs": reply(201, {"id": "1", "urls": {"get": "/1", "cancel": "/stop"}}), "/stop": reply(code)}
    answers["/1"] = reply(200, {"status": "running"})
    with client_of(title, lambda request: answers[request.url.path]) as client:
        assert client.submit({}).cancel() is False
    with client_of("There is no result", Script(MADE, MADE, ENDED)) as client:
        assert client.submit({}).cancel() is False
        job = client.submit({})
        assert (job.refresh(), job.done, job.cancel()) == ("succeeded", True, True)


def test_a_cancellation_shows_what_is() -> None:
    """A service that takes the request and goes on gives True, and its word afterwards."""
    title = "The service returns links to poll and cancel"
    made, running = {"id": "1", "urls": {"get": "/1", "cancel": "/stop"}}, {"status": "running"}
    answers = {"/jobs": reply(201, made), "/stop": reply(200), "/1": reply(200, running)}
    with client_of(title, lambda request: answers[request.url.path]) as client:
        job = client.submit({})
        assert (job.cancel(), job.status, job.done) == (True, "running", False)


# --- the limits ---


def finished(result: str, answer: httpx.Response, asked: list[str] | None = None) -> Job[Any]:
    """Give a job of the smallest declaration whose result request has this answer; `asked` takes the paths."""
    answers = {"/jobs": reply(201, ONE), "/jobs/1": reply(200, DONE), "/jobs/1/result": answer}
    text = f'{SMALLEST}\n[result]\nurl = "{{base}}/jobs/{{id}}/result"\n{result}'

    def service(request: httpx.Request) -> httpx.Response:
        if asked is not None:
            asked.append(request.url.path)
        return answers[request.url.path]

    few = Retry(wait=wait_fixed(0.01), stop=stop_after_attempt(3))
    contract = DeclaredContract(parse(text, "page.toml"))
    transport = httpx.MockTransport(service)
    client = Client("http://jobs.test", contract=contract, transport=transport, retry=few, patience=few)
    return client.submit({})


def test_limits_are_what_the_page_says() -> None:
    """`[name=value]` finds the first, a list of one element is none, an entry gives one file."""
    both = reply(200, [{"rel": "out", "n": 1}, {"rel": "out", "n": 2}])
    assert finished('value = "/[rel=out]/n"', both).result(timeout=10) == 1
    one, two = (reply(200, f"<r>{'<item>a</item>' * count}</r>", **XML) for count in (1, 2))
    assert finished("", one).result(timeout=10) == {"item": "a"}
    assert finished("", two).result(timeout=10) == {"item": ["a", "a"]}
    job = finished('files = { url = ["/data", "/log"] }', reply(200, [{"data": "/f/a", "log": "/f/b"}]))
    job.result(timeout=10)
    assert [file.name for file in job.files] == ["a"]


@pytest.mark.parametrize("key", ["value", "failed", "files"])
def test_a_file_has_no_places_in_it(key: str) -> None:
    """`file` together with what is read out of a document is an error."""
    given = '{ url = "/a" }' if key == "files" else '"/a"'
    with pytest.raises(DeclarationError, match="file"):
        parse(f"{SMALLEST}\n[result]\nfile = true\n{key} = {given}", "page.toml")


def test_a_text_has_nothing_optional() -> None:
    """An XML body with an optional variable is an error."""
    with pytest.raises(DeclarationError, match=r"submit\.text"):
        parse(merged(RECIPES["The request body is XML"]).replace("{input.what}", "{input.what?}"), "page.toml")


def test_a_result_with_places_is_a_document() -> None:
    """Whatever its type, if `value` points into it; without places its type tells."""
    answer = reply(200, b'{"a": 1}', content_type="text/plain")
    assert finished('value = "/a"', answer).result(timeout=10) == 1
    assert finished("", answer).read(100, timeout=10) == b'{"a": 1}'
    typed = reply(200, b'{"a": 1}', content_type="application/geo+json")
    assert finished("", typed).result(timeout=10) == {"a": 1}


def test_several_files_make_their_folder(tmp_path: Path) -> None:
    """A target that is not there yet becomes the folder."""
    answer = reply(200, ["http://jobs.test/jobs/1", "http://jobs.test/jobs/1/result"])
    folder = finished("files = {}", answer).download(tmp_path / "new", timeout=10)
    assert {file.name for file in folder.iterdir()} == {"1", "result", "manifest.json"}


def test_a_signature_over_the_body_is_the_clients() -> None:
    """`auth=` gets the whole request, as it is sent: its final address and its body."""
    seen: list[tuple[str, bytes]] = []

    def sign(request: Request) -> Request:
        seen.append((request.url, request.body))
        return request.with_headers({"x-signature": str(len(request.body))})

    script = Script(
        ("POST /jobs?api-version=2024-01", reply(201, ONE)), ("GET /jobs/1?api-version=2024-01", reply(200, DONE))
    )
    title = "Every request needs a key, a version or a cookie"
    contract = DeclaredContract(parse(merged(RECIPES[title]), "page.toml"), {"api_key": "s3cret"})
    with Client("http://jobs.test", contract=contract, transport=httpx.MockTransport(script), auth=sign) as client:
        client.run({"a": 1}, timeout=10)
    assert seen == [(str(request.url), request.content) for request in script.requests]
    assert [request.headers["x-signature"] for request in script.requests] == ["7", "0"]


@pytest.mark.parametrize(("url", "names"), [("", ["a"]), ('url = ""', ["a", "b"])], ids=["absolute", "relative"])
def test_bare_links_are_files(url: str, names: list[str]) -> None:
    """Without `url` absolute ones, with an empty one relative ones too."""
    text = re.sub(r"^url = \[.*$", url, merged(RECIPES["The result is several files"]), flags=re.MULTILINE)
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


def test_a_web_page_is_asked_for_again_a_few_times() -> None:
    """By the client's `patience`, and then it is an error; with `file` it is the file."""
    page = reply(200, "<!doctype html><html></html>", content_type="text/html")
    for result in ("", 'value = "/a"'):
        asked: list[str] = []
        with pytest.raises(BadReply):
            finished(result, page, asked).result(timeout=10)
        assert asked.count("/jobs/1/result") == 3
    assert finished("file = true", page).read(100, timeout=10) == b"<!doctype html><html></html>"
