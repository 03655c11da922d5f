"""What a declared job gives: one file, several, a value, nothing; where it goes, and that it is all or nothing."""

import io
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from tenacity.stop import stop_after_attempt
from tenacity.wait import wait_fixed

import gofer
from support.declared import as_json, client_of, path_of, said, sent_to
from support.raw_server import RawServer, http

DECLARED = """
name = "mine"
[submit]
url = "{base}/jobs"
id = "/id"
[poll]
url = "{base}/jobs/{id}"
[status]
state = "/state"
[result]
value = ["/out", "none:"]
[result.files]
under = ["/files", "none:"]
url = ["/href", ""]
name = "/title"
size = "/size"
format = "/type"
"""


class Results:
    """A service that finishes every job at the second poll, with the result that it was made with."""

    def __init__(self, **given):
        self.given = given
        self.broken = set()

    def __call__(self, call):
        """Answer one request."""
        if call.method == "POST":
            return as_json({"id": "j1", "state": "running"}, 201)
        if path_of(call) == "/jobs/j1":
            return as_json({"state": "succeeded", **self.given})
        if path_of(call) in self.broken:
            return http(403)
        return http(200, f"content of {path_of(call)}", content_type="text/plain", etag='"1"')


def start(face, server):
    """Submit a job."""
    return client_of(face, server.url, said(DECLARED)).submit({})


def inside(folder):
    """The files of a folder and what is in them, except the manifest."""
    return {path.name: path.read_text() for path in Path(folder).iterdir() if path.name != "manifest.json"}


SHAPES = {
    "a list of links": (["/f/a.txt", "/f/b.txt"], {"a.txt", "b.txt"}),
    "a map of links": ({"left": "/f/a.txt", "right": "/f/b.txt"}, {"left", "right"}),
    "a list of maps": ([{"href": "/f/a", "title": "x.txt"}, {"href": "/f/b", "title": "y.txt"}], {"x.txt", "y.txt"}),
    "a map of maps": ({"x": {"href": "/f/a"}, "y": {"href": "/f/b"}}, {"x", "y"}),
    "nested": ({"deep": [{"er": {"p": {"href": "/f/a"}}}, {"q": [{"href": "/f/b"}]}]}, {"p", "q"}),
    "clashing": ([{"href": "/1/a.txt"}, {"href": "/2/a.txt"}, {"href": "/3/A.TXT"}], {"a.txt", "a-2.txt", "A-3.TXT"}),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_files_are_found_in_any_shape(blocking, serve, tmp_path, shape):
    """Lists, maps, nested ones; names come from the document, or from the addresses."""
    files, names = SHAPES[shape]
    job = start(blocking, serve(Results(files=files)))
    folder = job.download(f"{tmp_path}/out/", timeout=10)
    assert set(inside(folder)) == names
    assert len(job.files) == len(names)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert {entry["file"] for entry in manifest["files"]} == names
    assert manifest["job"] == "j1"


UNSAFE = [
    "../../evil",
    "/etc/passwd",
    "..",
    ".",
    "",
    "a/b\\c.txt",
    ".bashrc",
    "nul.txt",
    "manifest.json",
    "x" * 300,
    "a\0b",
]


def test_unsafe_names_are_made_safe(any_face, serve, tmp_path):
    """No name leaves the folder, hides, is reserved, or takes another's place; the manifest has the given ones."""
    files = [{"href": f"/f/{number}", "title": name} for number, name in enumerate(UNSAFE)]
    folder = start(any_face, serve(Results(files=files))).download(f"{tmp_path}/deep/out/", timeout=10)
    found = inside(folder)
    assert len(found) == len(UNSAFE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep"]
    assert not any(name.startswith(".") or "/" in name or len(name.encode()) > 255 for name in found)
    entries = json.loads((folder / "manifest.json").read_text())["files"]
    assert {entry["file"]: f"content of /f/{number}" for number, entry in enumerate(entries)} == found


def test_one_file_goes_to_a_path_or_into_a_folder(any_face, serve, tmp_path):
    """A slash at the end, or a folder that is there, asks for a folder; folders are made as needed."""
    job = start(any_face, serve(Results(files=[{"href": "/f/a.txt", "title": "a.txt"}])))
    assert job.download(tmp_path / "new" / "b.txt", timeout=10).read_text() == "content of /f/a.txt"
    assert inside(job.download(f"{tmp_path}/into/deeper/", timeout=10)) == {"a.txt": "content of /f/a.txt"}
    (tmp_path / "there").mkdir()
    assert inside(job.download(tmp_path / "there", timeout=10)) == {"a.txt": "content of /f/a.txt"}


def test_one_file_can_be_read_and_poured(any_face, serve):
    """`read()` gives its bytes; `download_into` writes them into what is open."""
    job = start(any_face, serve(Results(files=["/f/a.txt"])))
    assert job.read(100, timeout=10) == b"content of /f/a.txt"
    with pytest.raises(gofer.WrongFile):
        job.read(3)
    target = io.BytesIO()
    assert job.download_into(target) == len(target.getvalue()) == 19


def test_several_files_want_a_folder(any_face, serve, tmp_path):
    """Neither memory nor an open file takes several; a path becomes a folder."""
    job = start(any_face, serve(Results(files=["/f/a", "/f/b"])))
    with pytest.raises(gofer.UsageError, match="several"):
        job.read(100, timeout=10)
    with pytest.raises(gofer.UsageError, match="folder"):
        job.download_into(io.BytesIO())
    assert set(inside(job.download(tmp_path / "out"))) == {"a", "b"}


@pytest.mark.parametrize(
    ("value", "name", "content"),
    [
        ({"a": [1, "ü"]}, "result.json", '{\n  "a": [\n    1,\n    "ü"\n  ]\n}'),
        ("just words", "result.txt", "just words"),
        (0, "result.json", "0"),
        (False, "result.json", "false"),
        ("", "result.txt", ""),
    ],
)
def test_an_inline_value_is_a_value_and_can_be_a_file(any_face, serve, tmp_path, value, name, content):
    """Also an empty or false one, which is not the same as nothing."""
    job = start(any_face, serve(Results(out=value)))
    assert job.result(timeout=10) == value
    assert inside(job.download(f"{tmp_path}/out/")) == {name: content}
    assert job.download(tmp_path / "f").read_text() == content
    assert job.read(1000) == content.encode()


def test_nothing_is_nothing(any_face, serve, tmp_path):
    """Success without a result: None, no file, and an empty folder with a manifest where one was asked for."""
    job = start(any_face, serve(Results()))
    assert job.result(timeout=10) is None
    assert job.files == ()
    with pytest.raises(gofer.NotSupported):
        job.download(tmp_path / "f")
    with pytest.raises(gofer.NotSupported):
        job.read(10)
    folder = job.download(f"{tmp_path}/out/")
    assert [path.name for path in folder.iterdir()] == ["manifest.json"]


def test_a_failing_third_file_leaves_no_folder_and_a_rerun_fetches_only_the_rest(any_face, serve, tmp_path):
    """The folder is all or nothing; what came is kept beside it, and the next try does not download it again."""
    model = Results(files=["/f/a", "/f/b", "/f/c"])
    model.broken = {"/f/c"}
    server = serve(model)
    job = start(any_face, server)
    with pytest.raises(gofer.Unauthorized):
        job.download(f"{tmp_path}/out/", timeout=10)
    assert not (tmp_path / "out").exists()
    model.broken = set()
    again = client_of(any_face, server.url, said(DECLARED)).attach(job.ticket)
    assert set(inside(again.download(f"{tmp_path}/out/", timeout=10))) == {"a", "b", "c"}
    assert [len(sent_to(server, f"/f/{name}")) for name in "abc"] == [1, 1, 2]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_kill_between_two_files_costs_neither(tmp_path, blocking):
    """After kill -9 in the second of three files, another process goes on: the first is not fetched again."""
    model = Results(files=["/f/a", "/f/b", "/f/c"])
    first = True

    def script(call):
        if path_of(call) == "/f/b" and first:
            return [
                http(200, length=False, content_length="19", content_type="text/plain", etag='"1"') + b"content of",
                20,
            ]
        return [model(call)]

    server = RawServer(script)
    declared = tmp_path / "mine.toml"
    declared.write_text(DECLARED)
    code = """
        import sys, gofer, pathlib
        job = gofer.Client(sys.argv[1], contract=pathlib.Path(sys.argv[2])).submit({})
        print(job.ticket, flush=True)
        job.download(sys.argv[3])
    """
    try:
        command = [sys.executable, "-c", textwrap.dedent(code), server.url, str(declared), f"{tmp_path}/out/"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            ticket = process.stdout.readline().strip()
            while not sent_to(server, "/f/b"):
                assert process.poll() is None
            os.kill(process.pid, signal.SIGKILL)
        assert not (tmp_path / "out").exists()
        first = False
        job = client_of(blocking, server.url, declared).attach(ticket)
        assert inside(job.download(f"{tmp_path}/out/", timeout=10))["b"] == "content of /f/b"
        assert len(sent_to(server, "/f/a")) == 1
    finally:
        server.close()


def test_a_ticket_is_all_that_a_download_needs(any_face, serve, tmp_path):
    """Another client that is attached to the job polls it, reads which files there are, and downloads them."""
    server = serve(Results(files=["/f/a", "/f/b"]))
    ticket = start(any_face, server).ticket
    job = client_of(any_face, server.url, said(DECLARED)).attach(ticket)
    assert set(inside(job.download(f"{tmp_path}/out/", timeout=10))) == {"a", "b"}
    assert [call.method for call in server.calls].count("POST") == 1


def test_a_folder_with_something_in_it_is_refused_before_anything_is_sent(any_face, serve, tmp_path):
    """Nothing in it is touched, and no job is made for it."""
    server = serve(Results(files=["/f/a", "/f/b"]))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    client = client_of(any_face, server.url, said(DECLARED))
    for to in (f"{tmp_path}/out/", str(tmp_path / "out")):
        with pytest.raises(gofer.TargetError, match="something in it"):
            client.run({}, to=to, timeout=10)
    assert (server.calls, inside(tmp_path / "out")) == ([], {"mine": "mine"})


def test_a_file_where_the_folder_should_go_is_refused(any_face, serve, tmp_path):
    """With a slash before anything is sent; without one when it shows that there are several files."""
    server = serve(Results(files=["/f/a", "/f/b"]))
    (tmp_path / "out").write_text("mine")
    client = client_of(any_face, server.url, said(DECLARED))
    with pytest.raises(gofer.TargetError):
        client.run({}, to=f"{tmp_path}/out/", timeout=10)
    assert server.calls == []
    with pytest.raises(gofer.TargetError, match="is a file"):
        client.run({}, to=str(tmp_path / "out"), timeout=10)
    assert (tmp_path / "out").read_text() == "mine"


def test_a_size_that_does_not_fit_is_a_wrong_file(blocking, serve, tmp_path):
    """What the document says of a file counts; neither target nor folder appears."""
    server = serve(Results(files=[{"href": "/f/a"}, {"href": "/f/b", "size": 4}]))
    with pytest.raises(gofer.WrongFile, match="named 4"):
        start(blocking, server).download(f"{tmp_path}/out/", timeout=10)
    assert not (tmp_path / "out").exists()


def test_a_link_that_is_not_to_be_had_over_http_is_no_file(blocking, serve):
    """It stays in the value."""
    job = start(blocking, serve(Results(out=1, files=[{"href": "gs://b/o"}, {"href": "file:///etc/passwd"}, "/f/a"])))
    assert job.result(timeout=10) == 1
    assert [file.name for file in job.files] == ["a"]


@pytest.mark.parametrize("missing", ["value", "files"])
def test_a_pointer_that_finds_nothing_names_file_line_and_key(blocking, serve, missing):
    """The job is polled again, and then it is an error, unless the declaration says that there may be nothing."""
    text = DECLARED.replace('["/out", "none:"]', '"/out"') if missing == "value" else DECLARED
    text = text.replace('["/files", "none:"]', '"/files"') if missing == "files" else text
    server = serve(Results())
    key, line = ("value", 11) if missing == "value" else ("files.under", 13)
    with pytest.raises(gofer.NoResult, match=rf"mine.toml:{line}: result.{key}: ") as bad:
        client_of(blocking, server.url, said(text)).run({}, timeout=10)
    assert bad.value.field == f"result.{key}"
    assert [call.method for call in server.calls] == ["POST", "GET", "GET", "GET"]


NAMED = """
name = "named"
[submit]
url = "{base}/jobs"
id = "/id"
[poll]
url = "{base}/jobs/{id}"
[status]
state = "/state"
"""
IN_AN_ADDRESS = '[status.values]\nout = "/out"\n[result]\nurl = "{base}/files/{values.out}"\nfile = true\n'
IN_A_LIST = '[result.files]\nunder = "/out"\nurl = "/href"\n'
IN_A_DOCUMENT = '[result]\nurl = "{base}/jobs/{id}/result"\n' + IN_A_LIST
LATE = {
    "address": (IN_AN_ADDRESS, None, "f1"),
    "list": (IN_A_LIST, [], [{"href": "/files/f1"}]),
    "document": (IN_A_DOCUMENT, [], [{"href": "/files/f1"}]),
    "value": ('[result]\nvalue = "/out"\n', ..., "content"),
}


class Late:
    """A service that shows the end of a job before it shows what the job made."""

    def __init__(self, early, there, looks):
        self.early, self.there, self.looks, self.asked = early, there, looks, {}

    def __call__(self, call):
        """Answer one request."""
        path = path_of(call)
        if call.method == "POST":
            return as_json({"id": "j1", "state": "running"}, 201)
        if path.startswith("/files/"):
            return http(200, "content", content_type="text/plain")
        self.asked[path] = self.asked.get(path, 0) + 1
        out = self.there if self.asked[path] > self.looks else self.early
        return as_json({"state": "succeeded"} | ({} if out is ... else {"out": out}))


@pytest.mark.parametrize("kind", LATE)
def test_a_result_that_is_named_late_comes(any_face, serve, tmp_path, kind):
    """The job is looked at again where it has succeeded and names nothing yet."""
    text, early, there = LATE[kind]
    client = client_of(any_face, serve(Late(early, there, 2)).url, said(NAMED + text))
    client.run({}, to=tmp_path / "x", timeout=20)
    assert (tmp_path / "x").read_bytes() == b"content"


@pytest.mark.parametrize("kind", LATE)
def test_a_job_that_names_no_result_is_an_error(any_face, serve, tmp_path, kind):
    """The error names the key, the target keeps what it had, and the status document is not taken for the result."""
    text, early, there = LATE[kind]
    (tmp_path / "x").write_bytes(b"old")
    client = client_of(any_face, serve(Late(early, there, 99)).url, said(NAMED + text))
    with pytest.raises(gofer.NoResult, match=r"^mine.toml:1[0-9]: result.*: the job has succeeded, and "):
        client.run({}, to=tmp_path / "x", timeout=20)
    assert (tmp_path / "x").read_bytes() == b"old"


def test_a_declaration_may_say_that_there_is_no_file(any_face, serve):
    """With `none:` an empty list is a result without files."""
    text = NAMED + IN_A_LIST.replace('"/out"', '["/out", "none:"]')
    server = serve(Late([], [], 0))
    assert client_of(any_face, server.url, said(text)).run({}, timeout=20).files == ()
    assert len(server.calls) == 2


BY_TEXT = """
name = "text"
[submit]
url = "{base}/jobs"
id = "/id"
[poll]
url = "{base}/jobs/{id}"
[status]
state = 'text: ~ ^(\\w+)'
[result]
"""


@pytest.mark.parametrize(
    "value",
    ["'text: ~ ^SUCCEEDED (.*)'", "'header:x-answer'", "['none:', 'header:x-answer']"],
    ids=["text", "header", "or"],
)
def test_a_value_in_the_text_or_headers_of_the_last_answer_is_read(any_face, serve, value):
    """Without `url` the whole last answer is read, and not its JSON alone."""

    def answer(call):
        if call.method == "POST":
            return as_json({"id": "j1"}, 201)
        return http(200, "SUCCEEDED 42", content_type="text/plain", x_answer="42")

    client = client_of(any_face, serve(answer).url, said(BY_TEXT + f"value = {value}\n"))
    assert client.run({}, timeout=20).value == "42"


BY_CODE = """
name = "by-code"
[submit]
url = "{base}/jobs"
links = { location = "header:location" }
[poll]
url = "{links.location}"
codes = { 202 = "running", 200 = "succeeded", 204 = "succeeded" }
"""
BODIES = {
    "whole": ("", {"answer": 42}, {"answer": 42}),
    "part": ('[result]\nvalue = "/answer"\n', {"answer": 42}, 42),
    "none": ('[result]\nvalue = ["/answer", "none:"]\n', {}, None),
    "list": ("", [1, 2], [1, 2]),
}


@pytest.mark.parametrize("kind", BODIES)
def test_the_answer_whose_code_means_success_is_the_result(any_face, serve, kind):
    """Where the HTTP code is the state, the document that comes with it is kept as the value."""
    tail, body, value = BODIES[kind]

    def answer(call):
        if call.method == "POST":
            return http(202, location="/jobs/7")
        return http(202) if call.nth < 3 else as_json(body)

    assert client_of(any_face, serve(answer).url, said(BY_CODE + tail)).run({}, timeout=20).value == value


REASON = '[reason]\nurl = "{base}/jobs/{id}/log"\nerror = ["/error", "text:"]\ncode = ["/code", "none:"]\n'


@pytest.mark.parametrize("status", [200, 400, 404, 409, 422, 500, 501])
def test_why_a_job_failed_may_come_with_an_error_status(any_face, serve, status):
    """Servers answer the question for a failed job's result with an error that has the reason in it."""

    def answer(call):
        if path_of(call).endswith("/log"):
            return as_json({"error": "no such field", "code": "E7"}, status)
        return as_json({"id": "j1", "state": "failed" if call.method == "GET" else "running"})

    with pytest.raises(gofer.JobFailed, match="E7: no such field") as failed:
        client_of(any_face, serve(answer).url, said(NAMED + REASON)).run({}, timeout=20)
    assert (failed.value.error, failed.value.error_code) == ("no such field", "E7")


@pytest.mark.parametrize("status", [401, 403, 429, 502, 503, 504])
def test_what_concerns_the_caller_or_the_service_is_no_reason(any_face, serve, status):
    """A token that has expired is not why the job failed, nor is a gateway that does not reach its server."""

    def answer(call):
        if path_of(call).endswith("/log"):
            return as_json({"error": "come back later"}, status)
        return as_json({"id": "j1", "state": "failed" if call.method == "GET" else "running"})

    with pytest.raises(gofer.JobFailed) as failed:
        client_of(any_face, serve(answer).url, said(NAMED + REASON)).run({}, timeout=20)
    assert failed.value.error is None


def test_results_are_given_up_with_a_patience_of_their_own(blocking, serve):
    """A transient refusal of a file is retried, as for any download."""
    model = Results(files=["/f/a"])

    def flaky(call):
        return http(503) if path_of(call) == "/f/a" and call.nth < 3 else model(call)

    server = serve(flaky)
    four = gofer.Retry(wait_fixed(0.01), stop_after_attempt(4))
    job = client_of(blocking, server.url, said(DECLARED), patience=four).submit({})
    assert job.read(100, timeout=10) == b"content of /f/a"
    assert len(sent_to(server, "/f/a")) == 3
