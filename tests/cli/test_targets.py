"""`--to` that leaves the name to gofer: a folder, and placeholders."""

import gzip
import json
import os
import shlex
from pathlib import Path
from typing import Any

import pytest

from support.raw_server import Call, http, raw_server

from .mine import SECRET, mine_server, written
from .shell import PAPER, attach_line, gofer, one_object

NAME = "10.5555_12345678"
PDF = "%PDF-1.7 a paper"
TARGETS = {
    "new/": f"new/{NAME}.pdf",
    "there": f"there/{NAME}.pdf",
    ".": f"{NAME}.pdf",
    "{doi}.{format}": f"{NAME}.pdf",
    "{title}/{doi}.pdf": f"On X/{NAME}.pdf",
    "{job_id}/": f"j1/{NAME}.pdf",
    "{{doi}}": "{doi}",
}


class Papers:
    """A service of one job, which breaks the file off until it is told to stop that."""

    def __init__(self) -> None:
        self.breaks = False

    def __call__(self, call: Call) -> list[object]:
        """Answer one request."""
        if call.path.endswith("/file"):
            start = int(call.headers.get("range", "bytes=0-")[6:-1])
            span = {"content_range": f"bytes {start}-{len(PDF) - 1}/{len(PDF)}"} if start else {}
            reply = http(206 if start else 200, PDF[start:], etag='"1"', content_type="application/pdf", **span)
            if self.breaks:
                return [reply[: 5 - len(PDF)]] if call.nth == 1 else []
            return [reply]
        return [http(200, json.dumps({"job_id": "j1", "status": "completed", "file_format": "pdf"}))]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the working directory, with a folder in it."""
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def get(url: str, to: str, *args: str) -> Any:
    """Get the paper."""
    return gofer("get", PAPER, "--title", "On X", "--to", to, *args, "--url", url)


@pytest.mark.parametrize("to", TARGETS)
def test_get_names_the_file(here: Path, to: str) -> None:
    """The path that was made is printed, and in the object."""
    with raw_server(Papers()) as server:
        ran = get(server.url, to)
        assert (ran.returncode, ran.stdout) == (0, f"{TARGETS[to]}\n"), ran.stderr
        assert one_object(get(server.url, to, "--json").stdout)["path"] == TARGETS[to]
    assert (here / TARGETS[to]).read_text() == PDF


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("to", TARGETS)
def test_the_attach_line_goes_on_with_the_same_file(here: Path, to: str) -> None:
    """It has the names of the request in it, which `attach` does not know, and continues the part that is there."""
    service = Papers()
    with raw_server(service) as server:
        service.breaks = True
        ran = get(server.url, to, "--timeout", "4")
        assert ran.returncode == 4
        service.breaks = False
        again = gofer(*shlex.split(attach_line(ran.stderr))[1:])
        assert (again.returncode, again.stdout) == (0, f"{TARGETS[to]}\n"), again.stderr
        assert server.calls[-1].headers["range"] == "bytes=5-"
    assert [path for path in here.rglob("*") if not path.is_dir()] == [here / TARGETS[to]]


def test_attach_names_the_file_by_the_job(here: Path) -> None:
    """It knows the job's id only; another placeholder is exit code 2 and lists what there is."""
    with raw_server(Papers()) as server:
        ticket = one_object(get(server.url, "a", "--json").stdout)["ticket"]
        for to, path in (("there", "there/j1.pdf"), ("{job_id}.{format}", "j1.pdf")):
            assert gofer("attach", ticket, "--to", to).stdout == f"{path}\n"
        ran = gofer("attach", ticket, "--to", "{doi}.pdf")
    assert ran.returncode == 2
    assert "There is {job_id}, and .{format}" in ran.stderr


def test_run_fills_in_the_input(here: Path) -> None:
    """A text or number of the input names the file; an unknown placeholder is exit code 2, and nothing is sent."""
    contract, request = written(here, "value")
    words = ("run", "--contract", contract, "--var", "region=north", "--input", request, "--to")
    with mine_server() as (server, _):
        ran = gofer(*words, "{task}.{format}", url=server.url, GOFER_VAR_API_KEY=SECRET)
        assert (ran.returncode, ran.stdout) == (0, "value.json\n"), ran.stderr
        sent = len(server.calls)
        ran = gofer(*words, "{other}.json", url=server.url, GOFER_VAR_API_KEY=SECRET)
        assert (ran.returncode, len(server.calls)) == (2, sent)
    assert "There is {job_id}, {task}, and .{format}" in ran.stderr


def test_a_file_that_comes_encoded_is_refused_or_kept(here: Path) -> None:
    """`--encoded keep` stores it as it comes; otherwise it is exit code 1. The attach line has the flag."""
    packed = gzip.compress(PDF.encode())
    document = json.dumps({"job_id": "j1", "status": "completed"})

    def answer(call: Call) -> list[object]:
        return [http(200, packed, content_encoding="gzip") if call.path.endswith("/file") else http(200, document)]

    with raw_server(answer) as server:
        assert get(server.url, "x").returncode == get(server.url, "x", "--encoded", "refuse").returncode == 1
        assert not Path("x").exists()
        assert get(server.url, "x", "--encoded", "keep").returncode == 0
        ticket = one_object(get(server.url, "y", "--encoded", "keep", "--json").stdout)["ticket"]
        assert gofer("attach", ticket, "--to", "z", "--encoded", "keep").returncode == 0
        assert gofer("attach", ticket, "--to", "other").returncode == 1
        os.mkfifo("j1.pdf")
        ran = get(server.url, "{job_id}.pdf", "--encoded", "keep")
        wrong = get(server.url, "x", "--encoded", "unpack")
    assert Path("x").read_bytes() == Path("y").read_bytes() == Path("z").read_bytes() == packed
    assert (wrong.returncode, "'unpack' is not one of" in wrong.stderr) == (2, True)
    assert attach_line(ran.stderr).endswith("--to '{job_id}.pdf' --encoded keep")
