"""The commands that do one step: `submit`, `status`, `list` and `cancel`. Also `-v`, and completion in a shell."""

import json
import signal
import subprocess
from pathlib import Path

import pytest

from contract_server import contract_server
from gofer.ticket import Ticket
from support.raw_server import http, raw_server

from .mine import MINE, SECRET, mine_server, written
from .shell import GOFER, PAPER, attach_line, environment, gofer, one_object, started, wait_for

CANCEL_ME = "10.5555/cancelme"
FIELDS = {"status", "job_id", "state", "progress", "message", "ticket", "key", "error_code", "error"}


def submitted(url: str, doi: str = PAPER) -> tuple[str, str]:
    """Submit a job; return its id and its ticket."""
    ran = gofer("submit", doi, "--quiet", url=url)
    assert (ran.returncode, ran.stderr) == (0, "")
    job_id, _, ticket = ran.stdout.removesuffix("\n").partition("\t")
    return job_id, ticket


def test_a_job_step_by_step(url: str, tmp_path: Path) -> None:
    """`submit` prints the id and the ticket; the other commands take the ticket, and `status` the id too."""
    job_id, ticket = submitted(url)
    assert Ticket.parse(ticket).id == job_id
    assert gofer("attach", ticket, "--to", tmp_path / "x.pdf").returncode == 0
    for name in (ticket, job_id):
        ran = gofer("status", name, "--quiet", url=url)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert ran.stdout.startswith(f"{job_id}\tcompleted")
    assert f"{job_id}\tcompleted" in gofer("list", url=url).stdout
    assert gofer("cancel", ticket).stdout.startswith(f"{job_id}\tcompleted")


def test_the_object_has_one_shape(url: str) -> None:
    """`submit`, `status` and `cancel` print the same fields, after an error too; jobs of a list have most of them."""
    made = one_object(gofer("submit", PAPER, "--json", url=url).stdout)
    shown = one_object(gofer("status", made["ticket"], "--json").stdout)
    lost = one_object(gofer("status", "no-such-job", "--json", url=url).stdout)
    ended = one_object(gofer("cancel", made["job_id"], "--json", url=url).stdout)
    listed = one_object(gofer("list", "--json", url=url).stdout)
    assert set(made) == set(shown) == set(lost) == set(ended) == FIELDS
    assert shown["job_id"] == made["job_id"]
    assert (made["key"] is None, shown["key"]) == (False, None)
    assert (lost["ticket"] is None, "404" in lost["error"]) == (False, True)
    assert set(listed) == {"jobs", "next"}
    assert all(set(job) > FIELDS - {"key"} for job in listed["jobs"])


def test_a_failed_job_is_shown_and_is_no_failure_of_the_command(url: str) -> None:
    """The exit code of `status` says whether the job could be polled; line and object say why the job failed."""
    _, ticket = submitted(url, "10.5555/nothing")
    assert gofer("attach", ticket).returncode == 1
    ran = gofer("status", ticket)
    assert ran.returncode == 0
    assert "\tfailed (NOT_FOUND: " in ran.stdout
    document = one_object(gofer("status", ticket, "--json").stdout)
    assert (document["state"], document["error_code"], bool(document["error"])) == ("failed", "NOT_FOUND", True)


def test_cancel() -> None:
    """A job that is cancelled is called so in every line, although the service's word for it is "failed"."""
    with contract_server() as url:
        job_id, ticket = submitted(url, CANCEL_ME)
        ran = gofer("cancel", ticket)
        assert (ran.returncode, ran.stdout.partition(" ")[0]) == (0, f"{job_id}\tcancelled")
        assert f"{job_id}\tcancelled" in gofer("list", url=url).stdout
        assert gofer("status", ticket).stdout.startswith(f"{job_id}\tcancelled")
        assert one_object(gofer("status", ticket, "--json").stdout)["state"] == "cancelled"
        ended = gofer("attach", ticket)
    assert ended.returncode == 1
    assert "The job was cancelled" in ended.stderr
    assert "failed" not in ended.stderr


def test_a_plain_service_cannot_cancel_or_list() -> None:
    """Without these extensions the commands say so with exit code 1, and the job can be continued."""
    with contract_server(plain=True) as url:
        _, ticket = submitted(url, CANCEL_ME)
        cancelled, listed = gofer("cancel", ticket, "--json"), gofer("list", url=url)
    assert (cancelled.returncode, listed.returncode, listed.stdout) == (1, 1, "")
    assert "does not cancel jobs, so the job was left as it is" in one_object(cancelled.stdout)["error"]
    assert f"gofer attach {ticket}" in cancelled.stderr
    assert "does not offer that" in listed.stderr


def test_list_prints_pages(tmp_path: Path) -> None:
    """One page is printed, newest first, and stderr has the option for the next one."""
    with contract_server() as url:
        jobs = [submitted(url)[0] for _ in range(3)]
        first = gofer("list", "--limit", "2", url=url)
        option = first.stderr.partition(": ")[2].split()
        second = gofer("list", *option, url=url)
        none = gofer("list", "--status", "completed", "--json", url=url)
    assert [line.split("\t")[::2] for line in first.stdout.splitlines()] == [[job, PAPER] for job in jobs[:0:-1]]
    assert [line.split("\t")[0] for line in second.stdout.splitlines()] == jobs[:1]
    assert second.stderr == ""
    assert one_object(none.stdout) == {"jobs": [], "next": None}


def test_any_contract(tmp_path: Path) -> None:
    """A declaration's jobs are submitted, polled and cancelled with the same commands, and the declaration."""
    contract, request = written(tmp_path, "wait")
    named = ["--contract", contract, "--var", "region=north"]
    with mine_server() as (server, _):
        env = {"url": server.url, "GOFER_VAR_API_KEY": SECRET}
        made = gofer("submit", "--input", request, *named, **env)
        ticket = made.stdout.split()[1]
        lines = [
            gofer("status", ticket, *named, **env).stdout,
            gofer("status", "wait", *named, **env).stdout,
            gofer("cancel", ticket, *named, **env).stdout,
        ]
    assert lines == ["wait\tworking 40%\n", "wait\tworking 40%\n", "wait\tcancelled\n"]


@pytest.mark.parametrize(
    "args",
    [
        ["submit"],
        ["submit", "no-doi"],
        ["submit", PAPER, "--input", "request.json"],
        ["submit", PAPER, "--contract", "uws"],
        ["submit", "--input", "missing.json"],
        ["status", "gofer1.damaged"],
        ["status", ""],
        ["cancel", "gofer2.newer"],
        ["list", "--limit", "0"],
        ["list", "--url", "nowhere"],
    ],
    ids=" ".join,
)
def test_bad_usage(args: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong arguments are exit code 2, and nothing is sent."""
    monkeypatch.chdir(tmp_path)
    Path("request.json").write_text(json.dumps({"doi": PAPER}))
    with raw_server(lambda call: [http(500)]) as server:
        ran = gofer(*args, url=server.url)
    assert (ran.returncode, server.calls) == (2, [])
    assert "Traceback" not in ran.stderr


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("command", [["submit", PAPER], ["status", "j1"], ["cancel", "j1"], ["list"]], ids=" ".join)
def test_nobody_there(command: list[str]) -> None:
    """No answer is exit code 3."""
    assert gofer(*command, url="http://127.0.0.1:9").returncode == 3


def test_ctrl_c_during_submit() -> None:
    """Ctrl-C before the answer says that there may be a job, and prints the key that was sent."""
    with raw_server(lambda call: [30] if call.method == "POST" else [http(404)]) as server:
        with started("submit", PAPER, "--json", url=server.url) as run:
            wait_for(server, "POST")
            run.send_signal(signal.SIGINT)
            stdout, stderr = run.communicate(timeout=10)
        key = server.calls[0].headers["idempotency-key"].strip('"')
    assert run.returncode == 130
    assert "Interrupted. The submission was not answered.\nThe service may have made a job" in stderr
    assert stderr.endswith(f"\n--key {key}\n")
    assert (one_object(stdout)["key"], one_object(stdout)["error"]) == (key, "interrupted")


@pytest.mark.parametrize("command", ["run", "submit"])
def test_a_key_that_is_not_sent_is_refused(tmp_path: Path, command: str) -> None:
    """--key cannot repeat a submission that carries none: exit code 2, and nothing is sent."""
    contract, request = written(tmp_path, "value")
    args = [command, "--contract", contract, "--var", "region=x", "--input", request, "--key", "k"]
    with raw_server(lambda call: [http(500)]) as server:
        ran = gofer(*args, url=server.url, GOFER_VAR_API_KEY=SECRET)
    assert (ran.returncode, server.calls) == (2, [])
    assert "sends none" in ran.stderr


def test_a_key_that_may_not_be_replayed_is_explained(tmp_path: Path) -> None:
    """If the contract sends the key and promises nothing, --key sends it, and a note says what may happen."""
    contract, request = written(tmp_path, "value")
    contract.write_text(MINE.replace('id = "/id"', 'id = "/id"\nheaders = { x-key = "{key}" }', 1))
    args = ["submit", "--contract", contract, "--var", "region=x", "--input", request, "--key", "k", "--json"]
    with raw_server(lambda call: []) as server:
        ran = gofer(*args, url=server.url, GOFER_VAR_API_KEY=SECRET)
        assert server.calls[0].headers["x-key"] == "k"
    assert "this may make a second job" in ran.stderr
    assert one_object(ran.stdout)["key"] == "k"


@pytest.mark.parametrize("before", [True, False])
def test_verbose(before: bool, tmp_path: Path) -> None:
    """-v before or after the command shows each request with the code of its answer, and no secret."""
    contract, request = written(tmp_path, "value")
    run = ["run", "--contract", contract, "--var", "region=north", "--input", request]
    args = ["-v", *run] if before else [*run, "-v"]
    with mine_server() as (server, _):
        url = server.url
        ran = gofer(*args, url=url, GOFER_VAR_API_KEY=SECRET, SERVICE_TOKEN="t0ken")
        quiet = gofer(*run, url=url, GOFER_VAR_API_KEY=SECRET)
    assert ran.returncode == 0
    assert ran.stdout == quiet.stdout
    assert f"POST {url}/jobs" in ran.stderr
    assert "202" in ran.stderr
    assert not [secret for secret in (SECRET, "t0ken", "region=north") if secret in ran.stderr]
    assert "POST" not in quiet.stderr


@pytest.mark.parametrize("command", [["health"], ["list"], ["submit", PAPER], ["status", "j1"]], ids=" ".join)
def test_every_command_that_sends_can_be_verbose(url: str, command: list[str]) -> None:
    """-v shows the request of every command."""
    assert f"{url}/" in gofer(*command, "-v", url=url).stderr


def test_completion() -> None:
    """The help says how to get completion, and that line gives the shell a script that completes commands."""
    assert 'eval "$(_GOFER_COMPLETE=bash_source gofer)"' in gofer("--help").stdout
    env = environment(_GOFER_COMPLETE="bash_complete", COMP_WORDS="gofer sub", COMP_CWORD="1")
    ran = subprocess.run(GOFER, env=env, capture_output=True, text=True, timeout=20)
    assert ran.stdout == "plain,submit\n"


@pytest.mark.usefixtures("no_pauses")
def test_the_attach_line_after_a_failed_poll(url: str) -> None:
    """A job that could not be polled can be continued later."""
    ticket = str(Ticket("retrieve", "http://127.0.0.1:9", "j1"))
    ran = gofer("status", ticket)
    assert ran.returncode == 3
    assert f"gofer attach {ticket}" in ran.stderr
    with pytest.raises(AssertionError):
        attach_line(ran.stderr)  # there is no target
