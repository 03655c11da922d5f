"""`gofer get`: its output and its exit codes."""

import json
import re
import shlex
import subprocess
from pathlib import Path

import httpx
import pytest

from contract_server import contract_server
from gofer.contracts.flaws import Flaw, words_of
from gofer_service import sample_library
from support.raw_server import Call, http, raw_server

from .shell import GOFER, PAPER, attach_line, environment, gofer, one_object

FIELDS = {"status", "job_id", "path", "size", "format", "source", "verified", "ticket", "key", "error_code", "error"}


def test_downloads_the_file(url: str, tmp_path: Path) -> None:
    """The file is written, its path is all of stdout, and stderr lists the steps in plain lines."""
    target = tmp_path / "new" / "paper.pdf"
    ran = gofer("get", PAPER, "--to", target, url=url)
    assert (ran.returncode, ran.stdout) == (0, f"{target}\n")
    assert target.read_bytes() == (sample_library() / "10.5555_12345678.pdf").read_bytes()
    lines = ran.stderr.splitlines()
    assert lines[0].startswith("submitted")
    assert lines[-1] == f"saved {target} (5.3 KiB, pdf, verified: digest)"
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", ran.stderr)


def test_json(url: str, tmp_path: Path) -> None:
    """With --json stdout is one object with the documented fields."""
    target = tmp_path / "paper.pdf"
    ran = gofer("get", PAPER, "--to", target, "--title", "T", "--author", "A", "--author", "B", "--json", url=url)
    assert ran.returncode == 0
    document = one_object(ran.stdout)
    assert set(document) == FIELDS
    assert (document["status"], document["path"], document["size"]) == ("completed", str(target), target.stat().st_size)
    assert (document["format"], document["source"]) == ("pdf", "library")
    assert (document["verified"], document["error_code"], document["error"]) == ("digest", None, None)
    assert document["ticket"].startswith("gofer1.")
    assert httpx.get(f"{url}/jobs/{document['job_id']}").json()["doi"] == PAPER


def test_sends_title_and_authors(tmp_path: Path) -> None:
    """Title, authors and nine tenths of the timeout are in the submission."""
    with raw_server(lambda _: [http(400, "{}", content_type="application/json")]) as server:
        ran = gofer(
            *("get", PAPER, "--to", tmp_path / "p", "--title", "T", "--author", "A", "--author", "B"),
            *("--timeout", "50", "--url", server.url),
        )
    assert ran.returncode == 1
    assert json.loads(server.calls[0].body) == {
        "doi": PAPER,
        "title": "T",
        "authors": ["A", "B"],
        "timeout_seconds": 45,
    }


def test_quiet(url: str, tmp_path: Path) -> None:
    """With --quiet no progress is printed."""
    ran = gofer("get", PAPER, "--to", tmp_path / "paper.pdf", "--quiet", url=url)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_closed_streams(url: str, tmp_path: Path) -> None:
    """A shell that closes stdout or stderr still gets the file and exit code 0."""
    for closed in ("1", "2"):
        target = tmp_path / closed
        line = shlex.join([*GOFER, "get", PAPER, "--to", str(target)])
        ran = subprocess.run(
            ["/bin/sh", "-c", f"exec {line} {closed}>&-"], env=environment(SERVICE_URL=url), timeout=60
        )
        assert ran.returncode == 0
        assert target.exists()


def test_a_reader_of_stderr_that_leaves(url: str, tmp_path: Path) -> None:
    """If nobody reads stderr any more, the file is still downloaded and its path printed."""
    target = tmp_path / "paper.pdf"
    words = [*GOFER, "get", "10.5555/gofer.2026.4", "--to", str(target), "--url", url]
    with subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        run.stderr.close()
        assert run.stdout.read() == f"{target}\n"
    assert run.returncode == 0
    assert target.exists()


def test_failed_job(tmp_path: Path) -> None:
    """A job that fails is exit code 1, with the service's code and words, what it tried, and no attach line."""
    with contract_server() as url:
        ran = gofer("get", "10.5555/downloadfailed", "--to", tmp_path / "paper.pdf", "--json", url=url)
    assert ran.returncode == 1
    document = one_object(ran.stdout)
    assert (document["status"], document["error_code"], document["path"]) == ("failed", "DOWNLOAD_FAILED", None)
    assert "no copy of it is sound" in document["error"]
    assert "tried script, first.pdf: TRUNCATED (the PDF breaks off: its end mark %%EOF is missing)\n" in ran.stderr
    assert "gofer attach" not in ran.stderr
    assert list(tmp_path.iterdir()) == []


def test_cancelled_job(tmp_path: Path) -> None:
    """A job that somebody cancelled is exit code 1, and there is no attach line."""
    document = {"job_id": "j1", "status": "failed", "error_code": "CANCELLED", "error": "by its owner"}
    with raw_server(lambda _: [http(200, json.dumps(document))]) as server:
        ran = gofer("get", PAPER, "--to", tmp_path / "x", "--json", url=server.url)
    assert ran.returncode == 1
    assert one_object(ran.stdout)["error_code"] == "CANCELLED"
    assert "gofer attach" not in ran.stderr


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["get", "no-doi", "--to", "x"], "is not a DOI"),
        (["get", PAPER, "--to", "file/"], "is not a directory"),
        (["get", PAPER, "--to", "{title}"], "There is {job_id}, {doi}, and .{format} at the end"),
        (["get", PAPER, "--to", "file/x"], "is not a directory"),
        (["get", PAPER], "--to"),
        (["get", PAPER, "--to", "-"], "not written to stdout"),
        (["get", PAPER, "--to", "x", "--timeout", "0"], "--timeout"),
        (["get", PAPER, "--to", "x", "--timeout", "abc"], "'abc' is not a valid number of seconds"),
        (["get", PAPER, "--to", "x", "--timeout", "nan"], "'nan' is not a valid number of seconds"),
        (["get", PAPER, "--to", "x", "--key", 'a"b'], "key="),
        (["get", PAPER, "--to", "x", "--url", "localhost:8000"], "http://"),
        (["fetch", PAPER], "No such command"),
    ],
)
def test_bad_usage(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: list[str], says: str) -> None:
    """Bad usage is exit code 2 and says what is wrong, and no job is made."""
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    before = httpx.get(f"{url}/jobs").json()
    ran = gofer(*args, url=url)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert says in ran.stderr
    assert httpx.get(f"{url}/jobs").json() == before


def test_json_where_the_doi_is_wrong(url: str, tmp_path: Path) -> None:
    """What the client refuses is in the object too; only options that are wrong leave stdout empty."""
    ran = gofer("get", "no-doi", "--to", tmp_path / "x", "--json", url=url)
    assert ran.returncode == 2
    assert "is not a DOI" in one_object(ran.stdout)["error"]


def test_a_misleading_name(url: str, tmp_path: Path) -> None:
    """A file whose name says another format is downloaded, and a remark says what it is."""
    ran = gofer("get", "10.5555/gofer.2026.4", "--to", tmp_path / "paper.pdf", url=url)
    assert ran.returncode == 0
    assert ran.stderr.endswith("Note: the file is XML, not PDF as its name says.\n")
    for name in ("paper.xml", "paper", "10.5555_gofer.2026"):
        assert "Note" not in gofer("get", "10.5555/gofer.2026.4", "--to", tmp_path / name, url=url).stderr


def test_every_failure_has_its_words() -> None:
    """The command line explains each code that the reference service sends, and adds nothing to any other."""
    assert [words_of(flaw.value) for flaw in Flaw] == [flaw.words for flaw in Flaw]
    assert words_of("NEW_CODE") is words_of(None) is None


def test_unwritable_target(url: str, tmp_path: Path) -> None:
    """A target that cannot be written is exit code 2, before a job is made."""
    (tmp_path / "file").write_text("no folder")
    before = httpx.get(f"{url}/jobs").json()
    assert gofer("get", PAPER, "--to", tmp_path / "file" / "x", url=url).returncode == 2
    assert httpx.get(f"{url}/jobs").json() == before


@pytest.mark.usefixtures("no_pauses")
def test_unreachable(tmp_path: Path) -> None:
    """No service at the address is exit code 3; each retry is a line, and the first gives the reason."""
    ran = gofer("get", PAPER, "--to", tmp_path / "x", "--json", url="http://127.0.0.1:9")
    assert ran.returncode == 3
    first, *others = re.findall(r"^trying again in .*$", ran.stderr, re.MULTILINE)
    assert ": " in first
    assert others
    assert all(re.fullmatch(r"trying again in \d+\.\d s", line) for line in others)
    assert one_object(ran.stdout)["job_id"] is None


def test_refused(guarded_url: str, tmp_path: Path) -> None:
    """A refusal is exit code 1; a missing token names its environment variable."""
    ran = gofer("get", PAPER, "--to", tmp_path / "x", url=guarded_url)
    assert ran.returncode == 1
    assert "SERVICE_TOKEN" in ran.stderr


@pytest.mark.usefixtures("no_pauses")
def test_deadline_leaves_the_job(tmp_path: Path) -> None:
    """At the deadline the job is not cancelled (exit code 4), and the attach line downloads its file."""
    target, ready = tmp_path / "with a blank" / "paper.pdf", False

    def answer(call: Call) -> list[object]:
        document = {"job_id": "j1", "status": "completed" if ready else "searching"}
        return [http(200, "%PDF-1.4" if call.path.endswith("/file") else json.dumps(document))]

    with raw_server(answer) as server:
        ran = gofer("get", PAPER, "--to", target, "--json", url=server.url)
        assert ran.returncode == 4
        document = one_object(ran.stdout)
        assert document["status"] == "searching"
        assert {call.method for call in server.calls} == {"POST", "GET"}
        ready = True
        line = shlex.split(attach_line(ran.stderr))
        assert line[0] == "gofer"
        assert line[2] == document["ticket"]
        again = gofer(*line[1:])  # SERVICE_URL is not set: the ticket says where
    assert (again.returncode, again.stdout) == (0, f"{target}\n")
    assert target.read_bytes() == b"%PDF-1.4"


@pytest.mark.usefixtures("no_pauses")
def test_deadline_during_the_download(tmp_path: Path) -> None:
    """A deadline in the middle of the download is exit code 4; the object has the ended job, and stderr the line."""
    document = '{"job_id": "j1", "status": "completed", "file_format": "pdf"}'

    def stop_halfway(call: Call) -> list[object]:
        if not call.path.endswith("/file"):
            return [http(200, document)]
        return [http(200, "%PDF-", content_length="8")] if call.nth == 1 else []

    with raw_server(stop_halfway) as server:
        ran = gofer("get", PAPER, "--to", tmp_path / "x", "--timeout", "4", "--json", url=server.url)
    assert ran.returncode == 4
    printed = one_object(ran.stdout)
    assert (printed["status"], printed["path"]) == ("completed", None)
    assert attach_line(ran.stderr)
    assert {call.method for call in server.calls} == {"POST", "GET"}


def test_failed_download(tmp_path: Path) -> None:
    """A completed job whose file is wrong leaves no file, and an attach line."""

    def lie(call: Call) -> list[object]:
        if call.path.endswith("/file"):
            return [http(200, "<html>please log in</html>", content_type="application/pdf")]
        return [http(200, json.dumps({"job_id": "j1", "status": "completed", "file_format": "pdf"}))]

    with raw_server(lie) as server:
        ran = gofer("get", PAPER, "--to", tmp_path / "x", url=server.url)
    assert ran.returncode == 1
    assert "an HTML page" in ran.stderr
    assert attach_line(ran.stderr)
    assert list(tmp_path.iterdir()) == []


def test_uncertain_submission(tmp_path: Path) -> None:
    """A lost answer from a service that replays no keys is exit code 3; --key as printed repeats that submission."""
    jobs = {"job_id": "j1", "status": "completed"}

    def lose(call: Call) -> list[object]:
        if call.method == "POST":
            return [] if call.nth == 1 else [http(200, json.dumps(jobs))]
        if call.path == "/health":
            return [http(200, '{"status": "healthy"}')]
        return [http(200, "%PDF-1.4")]

    with raw_server(lose) as server:
        ran = gofer("get", PAPER, "--to", tmp_path / "x", url=server.url)
        assert ran.returncode == 3
        hint = re.search(r"^--key \S+$", ran.stderr, re.MULTILINE)
        assert hint, ran.stderr
        again = gofer("get", PAPER, "--to", tmp_path / "x", *hint[0].split(), url=server.url)
        assert again.returncode == 0, again.stderr
        first, second = (call for call in server.calls if call.method == "POST")
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert first.body == second.body


def test_rude_words(tmp_path: Path) -> None:
    """Control characters of a service never reach the terminal, and markup is shown as it is."""
    error = "\x1b]0;owned\x07 [bold]not found[/bold]\r\nexit 0 \u202e\x9b31m"
    document = {"job_id": "j1", "status": "failed", "error": error, "error_code": "NOT\x1b[31m_FOUND"}
    with raw_server(lambda _: [http(200, json.dumps(document))]) as server:
        ran = gofer("get", PAPER, "--to", tmp_path / "x", "--json", url=server.url)
    assert ran.returncode == 1
    assert "[bold]not found[/bold]" in ran.stderr
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", ran.stdout + ran.stderr)
    assert one_object(ran.stdout)["error_code"] == "NOT\x1b[31m_FOUND"
