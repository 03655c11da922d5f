"""`gofer run` and `gofer attach` by any contract: their output and their exit codes."""

import json
import re
import shlex
import signal
import subprocess
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from gofer.cli.chosen_contract import contract_of_ticket
from gofer.cli.record import ErrandRecord
from gofer.cli.report import suffix_remark
from gofer.contracts.declared import shipped
from gofer.events import Saved
from gofer.models import Verified
from gofer.ticket import Ticket
from support.raw_server import Call, RawServer, http, raw_server

from .conftest import TOKEN
from .mine import SECRET, mine_server, written
from .shell import GOFER, PAPER, attach_line, environment, gofer, one_object, read_until, started

KEYS = {"GOFER_VAR_API_KEY": SECRET}
FIELDS = {
    *("status", "job_id", "path", "size", "format", "files", "value", "verified", "ticket", "key"),
    *("error_code", "error"),
}


@pytest.fixture
def mine() -> Generator[tuple[RawServer, threading.Event]]:
    """Run the server of the declaration; yield it, and the event that lets its waiting job finish."""
    with mine_server() as served:
        yield served


def run_mine(server: RawServer, folder: Path, task: str, *args: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a task to its end."""
    contract, request = written(folder, task)
    words = ("run", "--contract", contract, "--var", "region=north", "--input", request, *args)
    return gofer(*words, url=server.url, **KEYS)


def test_prints_a_value(mine: Any, tmp_path: Path) -> None:
    """Without --to the value is all of stdout, as ASCII JSON; progress is on stderr."""
    ran = run_mine(mine[0], tmp_path, "value")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == {"sum": 3, "words": "\x9b31m"}
    assert ran.stdout.isascii()
    assert "submitted" in ran.stderr


def test_writes_a_value(mine: Any, tmp_path: Path) -> None:
    """With --to the value is written there as JSON, and the path is all of stdout."""
    target = tmp_path / "value.json"
    ran = run_mine(mine[0], tmp_path, "value", "--to", target, "--quiet")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"{target}\n", "")
    assert json.loads(target.read_bytes())["sum"] == 3


def test_downloads_a_file(mine: Any, tmp_path: Path) -> None:
    """One file goes to the file that --to names."""
    ran = run_mine(mine[0], tmp_path, "one", "--to", tmp_path / "x.bin")
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "x.bin").read_bytes() == b"bytes of one"


def test_downloads_a_folder(mine: Any, tmp_path: Path) -> None:
    """Several files go into the folder that --to names, under safe names; --json lists them as the manifest does."""
    ran = run_mine(mine[0], tmp_path, "two", "--to", f"{tmp_path}/out/", "--json")
    assert ran.returncode == 0, ran.stderr
    document = one_object(ran.stdout)
    assert set(document) == FIELDS
    assert (document["status"], document["path"], document["error"]) == ("ready", str(tmp_path / "out"), None)
    assert [entry["file"] for entry in document["files"]] == ["a.bin", "b.bin"]
    assert document["files"] == json.loads((tmp_path / "out" / "manifest.json").read_bytes())["files"]
    assert (tmp_path / "out" / "b.bin").read_bytes() == b"bytes of two"
    assert [one.name for one in (tmp_path).iterdir() if one.name.startswith(("b.", ".out"))] == []


def test_json_has_the_value(mine: Any, tmp_path: Path) -> None:
    """With --json and without --to the value is in the object."""
    document = one_object(run_mine(mine[0], tmp_path, "value", "--json").stdout)
    assert (document["value"]["sum"], document["path"], document["files"]) == (3, None, None)


def test_no_value(mine: Any, tmp_path: Path) -> None:
    """A job without a value prints null and a command that downloads its files; that command works."""
    ran = run_mine(mine[0], tmp_path, "one", "--quiet")
    assert (ran.returncode, ran.stdout) == (0, "null\n")
    line = shlex.split(ran.stderr.splitlines()[-1])
    again = gofer(*line[1:], url=mine[0].url, cwd=tmp_path, **KEYS)
    assert (again.returncode, again.stdout) == (0, "out\n"), again.stderr
    assert (tmp_path / "out" / "a.bin").exists()


def test_a_media_type_is_no_misleading_name(tmp_path: Path) -> None:
    """A media type is not compared with the file's suffix."""
    record = ErrandRecord(str(tmp_path / "x.pdf"), any_contract=True)
    record(Saved("j1", tmp_path / "x.pdf", 3, Verified.SIZE, "application/pdf"))
    assert suffix_remark(record) is None


def test_sends_files_along(mine: Any, tmp_path: Path) -> None:
    """--attach puts files into a field of the input by their names, whatever bytes they have."""
    (tmp_path / "a.cwl").write_bytes(b"\x00\xff")
    (tmp_path / "b.cwl").write_bytes(b"second")
    attached = ("--attach", f"data={tmp_path}/a.cwl", "--attach", f"data={tmp_path}/b.cwl")
    assert run_mine(mine[0], tmp_path, "value", *attached).returncode == 0
    body = mine[0].calls[0].body
    assert b'name="data"; filename="a.cwl"' in body
    assert b"\r\n\r\n\x00\xff\r\n" in body
    assert b'filename="b.cwl"' in body


def test_reads_the_input_from_stdin(mine: Any, tmp_path: Path) -> None:
    """`--input -` is stdin."""
    contract, _ = written(tmp_path, "")
    words = [*GOFER, "run", "--contract", str(contract), "--var", "region=north", "--input", "-", "--url", mine[0].url]
    ran = subprocess.run(words, env=environment(**KEYS), input='{"task": "value"}', capture_output=True, text=True)
    assert json.loads(ran.stdout)["sum"] == 3


def test_variables(mine: Any, tmp_path: Path) -> None:
    """Variables come from --var or the environment, and a secret is sent and never printed."""
    contract, request = written(tmp_path, "value")
    words = ("run", "--contract", contract, "--input", request, "--json")
    ran = gofer(*words, url=mine[0].url, GOFER_VAR_REGION="south", **KEYS)
    assert ran.returncode == 0, ran.stderr
    assert SECRET not in ran.stdout + ran.stderr
    assert all("region=south" in call.path and call.headers["x-api-key"] == SECRET for call in mine[0].calls)


def test_says_what_is_not_sent(mine: Any, tmp_path: Path) -> None:
    """A member of the input that the declaration has no place for is named in a remark."""
    contract, request = written(tmp_path, "value", sise=3)
    ran = gofer("run", "--contract", contract, "--var", "region=x", "--input", request, url=mine[0].url, **KEYS)
    assert ran.returncode == 0
    assert "sise of the input is not sent" in ran.stderr


def test_failed_job(mine: Any, tmp_path: Path) -> None:
    """A job that fails is exit code 1 with the service's words, and there is no attach line."""
    ran = run_mine(mine[0], tmp_path, "broken", "--to", tmp_path / "x", "--json")
    assert ran.returncode == 1
    assert "out of paint" in one_object(ran.stdout)["error"]
    assert "gofer attach" not in ran.stderr


@pytest.mark.usefixtures("no_pauses")
def test_deadline_leaves_the_job(mine: Any, tmp_path: Path) -> None:
    """At the deadline the job is not cancelled (exit code 4); the attach line gets its folder, in any process."""
    server, free = mine
    ran = run_mine(server, tmp_path, "wait", "--to", f"{tmp_path}/out/", "--timeout", "5", "--json")
    assert ran.returncode == 4, ran.stderr
    document = one_object(ran.stdout)
    assert (document["status"], document["path"]) == ("working", None)
    assert {call.method for call in server.calls} == {"POST", "GET"}
    free.set()
    line = shlex.split(attach_line(ran.stderr))
    assert line[2:] == [document["ticket"], "--to", f"{tmp_path}/out/", *line[5:]]
    again = gofer(*line[1:], "--json", url=server.url, **KEYS)
    assert again.returncode == 0, again.stderr
    assert set(one_object(again.stdout)) == FIELDS
    assert (tmp_path / "out" / "manifest.json").exists()


def test_attach_brings_some_of_several_files(mine: Any, tmp_path: Path) -> None:
    """--only names them, and another call adds others; the attach line of a failure has it too."""
    contract, _ = written(tmp_path, "two")
    ticket = one_object(run_mine(mine[0], tmp_path, "two", "--json").stdout)["ticket"]
    line = ("attach", ticket, "--contract", contract, "--var", "region=north")
    out = tmp_path / "out"
    for only, there in (("a.*", ["a.bin"]), ("../b.bin", ["a.bin", "b.bin"])):
        ran = gofer(*line, "--to", out if out.exists() else f"{out}/", "--only", only, url=mine[0].url, **KEYS)
        assert ran.returncode == 0, ran.stderr
        assert sorted(path.name for path in out.iterdir()) == [*there, "manifest.json"]
    ran = gofer(*line, "--to", out, "--only", "c*", url=mine[0].url, **KEYS)
    assert ran.returncode == 2
    assert "There is 'a.bin', '../b.bin'" in ran.stderr
    ran = gofer(*line, "--only", "a.bin", url=mine[0].url, **KEYS)
    assert (ran.returncode, "name a file or a folder" in ran.stderr) == (2, True)
    (out / "mine").touch()
    ran = gofer(*line, "--to", out, "--only", "a.bin", "--only", "*b*", url=mine[0].url, **KEYS)
    assert ran.returncode != 0
    assert "--only a.bin --only '*b*'" in attach_line(ran.stderr)


@pytest.mark.usefixtures("no_pauses")
def test_a_secret_goes_only_where_the_person_says(mine: Any, tmp_path: Path) -> None:
    """The service of a ticket gets a secret variable only if it is the configured one, or --url names it."""
    server, free = mine
    contract, request = written(tmp_path, "wait")
    words = ("run", "--contract", contract, "--var", "region=x", "--input", request, "--timeout", "5")
    ran = gofer(*words, "--url", server.url, **KEYS)
    line = shlex.split(attach_line_without_target(ran.stderr))
    assert line[-2:] == ["--url", server.url]
    free.set()
    before = len(server.calls)
    refused = gofer(*line[1:-2], **KEYS)
    assert refused.returncode == 2
    assert f"pass --url {server.url}" in refused.stderr
    assert len(server.calls) == before
    again = gofer(*line[1:], **KEYS)
    assert (again.returncode, again.stdout) == (0, "null\n")


def attach_line_without_target(stderr: str) -> str:
    """Return the attach line of a job whose value is to be printed."""
    found = re.search(r"^gofer attach gofer1\.\S+.*$", stderr, re.MULTILINE)
    assert found, stderr
    return found[0]


def interrupted(server: Any, folder: Path, task: str) -> tuple[str, str]:
    """Press Ctrl-C while this task is at work; return what was printed on stdout and on stderr."""
    contract, request = written(folder, task)
    words = ("--contract", contract, "--var", "region=x", "--input", request, "--to", f"{folder}/out/", "--json")
    with started("run", *words, url=server.url, **KEYS) as run:
        read_until(run, "working")
        run.send_signal(signal.SIGINT)
        stdout, stderr = run.communicate(timeout=60)
    assert run.returncode == 130
    return stdout, stderr


def test_ctrl_c_cancels_the_job(mine: Any, tmp_path: Path) -> None:
    """Ctrl-C cancels the job by the declared request, says so, and ends with 130."""
    server, _ = mine
    stdout, stderr = interrupted(server, tmp_path, "wait")
    assert "The job is cancelled." in stderr
    assert "gofer attach" not in stderr
    assert one_object(stdout)["status"] == "stopped"
    assert any(call.method == "DELETE" for call in server.calls)


def test_ctrl_c_if_the_service_accepts_and_does_not_cancel(mine: Any, tmp_path: Path) -> None:
    """The status is the one the service shows afterwards, and the attach line is printed."""
    server, _ = mine
    stdout, stderr = interrupted(server, tmp_path, "deaf")
    assert "accepted the cancellation, but the last status it showed is working" in stderr
    assert "cancelled" not in stderr
    assert "gofer attach" in stderr
    assert one_object(stdout)["status"] == "working"


def test_ctrl_c_without_a_cancellation(tmp_path: Path) -> None:
    """If the declaration has no cancellation, the job is left as it is and the attach line is printed."""
    document = '{"name": "operations/7", "done": false}'
    request = tmp_path / "request.json"
    request.write_text('{"path": "things:make", "body": {}}')

    def no_cancel(call: Call) -> list[object]:
        return [http(404) if call.path.endswith(":cancel") else http(200, document, content_type="application/json")]

    with (
        raw_server(no_cancel) as server,
        started("run", "--contract", "aip-151", "--input", request, url=server.url) as run,
    ):
        read_until(run, "submitted")
        run.send_signal(signal.SIGINT)
        _, stderr = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "does not cancel jobs" in stderr
    assert attach_line_without_target(stderr)


@pytest.mark.usefixtures("no_pauses")
def test_uncertain_submission(mine: Any, tmp_path: Path) -> None:
    """A lost answer is exit code 3; if the contract replays no keys, there is no key to repeat it with."""
    ran = run_mine(mine[0], tmp_path, "lost")
    assert ran.returncode == 3
    assert "may make a second" in ran.stderr
    assert "--key " not in ran.stderr


def test_finished_at_once(tmp_path: Path) -> None:
    """A submission that is answered with the result is done, without a job id and a ticket."""
    request = tmp_path / "request.json"
    request.write_text('{"process": "sum"}')
    with raw_server(lambda _: [http(200, '{"sum": 3}', content_type="application/json")]) as server:
        ran = gofer("run", "--contract", "ogc-processes", "--input", request, "--json", url=server.url)
    document = one_object(ran.stdout)
    assert ran.returncode == 0, ran.stderr
    assert (document["value"], document["job_id"], document["ticket"]) == ({"sum": 3}, None, None)


def test_finished_at_once_without_a_value(tmp_path: Path) -> None:
    """A job without an id cannot be attached to, and no attach line is printed."""
    request = tmp_path / "request.json"
    request.write_text('{"process": "sum"}')
    words = ("run", "--contract", "ogc-processes", "--input", request, "--quiet")
    with raw_server(lambda _: [http(204)]) as server:
        ran = gofer(*words, url=server.url)
        kept = gofer(*words, "--to", tmp_path / "x", url=server.url)
    assert (ran.returncode, ran.stdout) == (0, "null\n")
    assert "no id to attach to" in ran.stderr
    assert kept.returncode == 1
    assert "gofer attach" not in ran.stderr + kept.stderr


def test_the_shipped_class(url: str, tmp_path: Path) -> None:
    """`--contract retrieve` works as well: its input has the DOI; the job's document is its value."""
    request = tmp_path / "request.json"
    request.write_text(json.dumps({"doi": PAPER, "title": "T"}))
    words = ("run", "--contract", "retrieve", "--input", request)
    assert json.loads(gofer(*words, url=url).stdout)["doi"] == PAPER
    ran = gofer(*words, "--to", tmp_path / "x.pdf", "--json", url=url)
    document = one_object(ran.stdout)
    assert (document["format"], document["value"]["source"], set(document)) == ("pdf", "library", FIELDS)
    printed = gofer("attach", document["ticket"])
    assert json.loads(printed.stdout)["job_id"] == document["job_id"]


@pytest.mark.parametrize("name", shipped.names())
def test_attach_knows_every_shipped_contract(name: str) -> None:
    """The ticket of any contract that comes with gofer is enough to find the contract."""
    declaration = shipped.shipped(name)
    ticket = Ticket(f"{name}@{declaration.digest}", "http://localhost", "j1")
    assert contract_of_ticket(ticket, None, ()).contract.name == ticket.contract


def test_attach_by_a_ticket_alone(tmp_path: Path) -> None:
    """The ticket of a shipped contract's job is enough to print its value."""
    document = '{"task-id": "t1", "state": "SUCCESS", "result": [3]}'
    ticket = Ticket(f"flower@{shipped.shipped('flower').digest}", "", "t1")
    with raw_server(lambda _: [http(200, document, content_type="application/json")]) as server:
        ran = gofer("attach", str(Ticket(ticket.contract, server.url, "t1")))
        kept = gofer("attach", str(Ticket(ticket.contract, server.url, "t1")), "--to", tmp_path / "x.json", "--json")
    assert json.loads(ran.stdout) == [3]
    assert one_object(kept.stdout)["value"] == [3]


@pytest.mark.parametrize(
    ("contract", "says"),
    [
        ("mine@12345678", "name its declaration, as in --contract mine.toml"),
        ("uws@12345678", "this gofer's 'uws' is 'uws@"),
    ],
)
def test_a_ticket_of_another_declaration(contract: str, says: str) -> None:
    """A ticket whose declaration is not gofer's own is refused with what to add, and nothing is sent."""
    ran = gofer("attach", str(Ticket(contract, "http://127.0.0.1:9", "j1")))
    assert (ran.returncode, ran.stdout) == (2, "")
    assert says in ran.stderr


MINE = ("--contract", "mine.toml", "--var", "region=x")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--contract", "ogc-proceses", "--input", "request.json"), "Did you mean 'ogc-processes'?"),
        (("--contract", "none/mine", "--input", "request.json"), "cannot be read"),
        (("--contract", "bad.toml", "--input", "request.json"), "bad.toml:2: sumbit: unknown key"),
        (
            ("--contract", "mine.toml", "--input", "request.json"),
            "--var region=VALUE, or in the environment, as GOFER_",
        ),
        ((*MINE, "--var", "zone=x", "--input", "request.json"), "no variable 'zone'"),
        ((*MINE, "--var", "api_key=x", "--input", "request.json"), "as GOFER_VAR_API_KEY"),
        ((*MINE, "--var", "x", "--input", "request.json"), "NAME=VALUE"),
        ((*MINE, "--input", "none.json"), "The input 'none.json' cannot be read"),
        ((*MINE, "--input", "broken.json"), "line 2, column 1"),
        ((*MINE, "--input", "list.json"), "must be a JSON object"),
        ((*MINE, "--input", "nan.json"), "NaN"),
        ((*MINE, "--input", "empty.json"), "The input has no 'task'"),
        ((*MINE, "--input", "request.json", "--attach", "x"), "FIELD=FILE"),
        ((*MINE, "--input", "request.json", "--attach", "files=list.json"), "mine sends no 'files'"),
        ((*MINE, "--input", "request.json", "--attach", "data=none"), "The file 'none' cannot be read"),
        ((*MINE, "--input", "request.json", "--attach", "task=list.json"), "has 'task' already"),
        ((*MINE, "--input", "request.json", "--to", "-"), "not written to stdout"),
        ((*MINE, "--input", "request.json", "--to", "full/"), "has something in it already"),
        (("--contract", "retrieve", "--input", "request.json"), "the contract 'retrieve' takes doi"),
        (("--contract", "retrieve", "--var", "a=b", "--input", "request.json"), "leave --var out"),
        (MINE, "--input"),
    ],
)
def test_bad_usage(mine: Any, tmp_path: Path, args: tuple[str, ...], says: str) -> None:
    """Bad usage is exit code 2, a message in the command line's words, and no request."""
    written(tmp_path, "value")
    files = {
        "bad.toml": 'name = "bad"\n[sumbit]\n',
        "broken.json": '{"task":\n}',
        "list.json": "[]",
        "nan.json": '{"task": NaN}',
        "empty.json": "{}",
        "full/x": "",
    }
    (tmp_path / "full").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    ran = gofer("run", *args, url=mine[0].url, cwd=tmp_path, **KEYS)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert says in " ".join(ran.stderr.split())
    assert mine[0].calls == []


def test_json_where_the_input_is_wrong(mine: Any, tmp_path: Path) -> None:
    """What is wrong with the input is in the object too."""
    contract, _ = written(tmp_path, "value")
    ran = gofer("run", "--contract", contract, "--input", tmp_path / "none", "--json", url=mine[0].url, **KEYS)
    assert ran.returncode == 2
    assert one_object(ran.stdout)["error"]


def test_the_token_is_sent_and_never_printed(mine: Any, tmp_path: Path) -> None:
    """SERVICE_TOKEN is the bearer token of a declared service too."""
    contract, request = written(tmp_path, "value")
    words = ("run", "--contract", contract, "--var", "region=x", "--input", request, "--json")
    ran = gofer(*words, url=mine[0].url, SERVICE_TOKEN=TOKEN, **KEYS)
    assert ran.returncode == 0
    assert TOKEN not in ran.stdout + ran.stderr
    assert mine[0].calls[0].headers["authorization"] == f"Bearer {TOKEN}"
