"""The idempotency key: what a person and a program get to repeat a submission whose fate is in doubt."""

import signal
from pathlib import Path

import pytest

from support.raw_server import Call, RawServer, http, raw_server

from .mine import MINE, SECRET, written
from .shell import PAPER, gofer, one_object, started, wait_for

ENVIRONMENT = {"GOFER_VAR_API_KEY": SECRET}
KEYED = MINE.replace('id = "/id"', 'id = "/id"\nidempotent = true\nheaders = { idempotency-key = "{key}" }', 1)


def arguments(folder: Path, command: str) -> list[str | Path]:
    """Return a command line that submits: `get`, `run` by a contract that replays keys, or `run` by one without."""
    if command == "get":
        return ["get", PAPER, "--to", folder / "x", "--json"]
    contract, request = written(folder, "value")
    if command == "run":
        contract.write_text(KEYED)
    return ["run", "--contract", contract, "--var", "region=x", "--input", request, "--json"]


def submitted_key(server: RawServer) -> str:
    """Return the one key of all submissions."""
    (key,) = {call.headers["idempotency-key"].strip('"') for call in server.calls if call.method == "POST"}
    return key


@pytest.mark.parametrize("command", ["get", "run"])
@pytest.mark.parametrize(("answer", "timeout", "code"), [([], "60", 3), ([60], "4", 4)], ids=["lost", "out of time"])
def test_json_has_the_key(tmp_path: Path, command: str, answer: list[object], timeout: str, code: int) -> None:
    """After a lost answer, and after a deadline during the submission, the key is in the object and on stderr."""

    def never_accept(call: Call) -> list[object]:
        return answer if call.method == "POST" else [http(404)]

    with raw_server(never_accept) as server:
        ran = gofer(*arguments(tmp_path, command), "--timeout", timeout, url=server.url, **ENVIRONMENT)
        key = submitted_key(server)
    assert ran.returncode == code, ran.stderr
    assert one_object(ran.stdout)["key"] == key
    assert ran.stderr.endswith(f"\n--key {key}\n")


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("command", ["get", "run"])
def test_the_key_repeats_the_submission(tmp_path: Path, command: str) -> None:
    """The same command with the object's key sends the same submission, and prints the same key."""
    with raw_server(lambda call: [] if call.method == "POST" else [http(404)]) as server:
        first = one_object(gofer(*arguments(tmp_path, command), url=server.url, **ENVIRONMENT).stdout)
        again = gofer(*arguments(tmp_path, command), "--key", first["key"], url=server.url, **ENVIRONMENT)
        bodies = {call.body.replace(call.headers.get("content-type", "").encode(), b"") for call in server.calls}
    assert submitted_key(server) == first["key"] == one_object(again.stdout)["key"]
    assert command == "run" or len(bodies - {b""}) == 1


@pytest.mark.parametrize("command", ["get", "run"])
def test_ctrl_c_during_the_submission(tmp_path: Path, command: str) -> None:
    """Ctrl-C before the submission is answered says that there may be a job, and prints the key for it."""
    with raw_server(lambda call: [30] if call.method == "POST" else [http(404)]) as server:
        with started(*arguments(tmp_path, command), url=server.url, **ENVIRONMENT) as run:
            wait_for(server, "POST")
            run.send_signal(signal.SIGINT)
            stdout, stderr = run.communicate(timeout=60)
        key = submitted_key(server)
    assert run.returncode == 130
    assert "Interrupted. The submission was not answered.\nThe service may have made a job" in stderr
    assert one_object(stdout)["key"] == key
    assert stderr.endswith(f"\n--key {key}\n")


@pytest.mark.parametrize(
    ("answer", "timeout", "code"),
    [([], "60", 3), ([60], "4", 3), ([60], "60", 130)],
    ids=["lost", "out of time", "Ctrl-C"],
)
def test_no_key_where_none_is_replayed(tmp_path: Path, answer: list[object], timeout: str, code: int) -> None:
    """If the contract replays no keys, the object has none, and stderr advises against a repetition."""
    with (
        raw_server(lambda _: answer) as server,
        started(*arguments(tmp_path, "run without"), "--timeout", timeout, url=server.url, **ENVIRONMENT) as run,
    ):
        wait_for(server, "POST")
        if code == 130:
            run.send_signal(signal.SIGINT)
        stdout, stderr = run.communicate(timeout=60)
    assert run.returncode == code, stderr
    assert one_object(stdout)["key"] is None
    assert "may make a second job" in stderr
    assert "--key" not in stderr


@pytest.mark.parametrize(("doi", "target"), [("no-doi", "x"), (PAPER, "{title}"), (PAPER, "file/x")])
def test_no_key_where_nothing_was_submitted(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, doi: str, target: str
) -> None:
    """If the DOI or the target is wrong, nothing is submitted, and the object has no key."""
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    assert one_object(gofer("get", doi, "--to", target, "--json", url=url).stdout)["key"] is None
