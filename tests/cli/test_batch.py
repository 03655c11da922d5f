"""`gofer batch`: inputs, going on, reports, Ctrl-C, and exit codes."""

import csv
import json
import shlex
import signal
from pathlib import Path

import pytest

from gofer.cli.batch_input import LONGEST_LINE, read_requests
from gofer.errors import UsageError
from gofer_service import embedded

from .mine import SECRET, mine_server, written
from .shell import PAPER, gofer, one_object, started, waiting_service

DOIS = [PAPER, "10.5555/gofer.2026.4", "10.5555/no-such-paper"]
INPUTS = {
    "list.txt": "\n# papers\n" + "\n".join(DOIS) + "\n",
    "no-suffix": "\r\n".join(DOIS),
    "table.csv": "doi,title\n" + "".join(f'{doi},""\n' for doi in DOIS),
    "table.tsv": "doi\tauthors\n" + "".join(f"{doi}\t\n" for doi in DOIS),
    "tabs": "doi\ttitle\n" + "".join(f"{doi}\t\n" for doi in DOIS),
    "lines.jsonl": "".join(json.dumps({"doi": doi}) + "\n\n" for doi in DOIS),
    "objects": "".join(json.dumps({"doi": doi}) + "\n" for doi in DOIS),
    "bom.csv": "\ufeffdoi\n" + "\n".join(DOIS),
}


@pytest.mark.parametrize("name", INPUTS)
def test_every_kind_of_input_is_read(url: str, tmp_path: Path, name: str) -> None:
    """A list, CSV, TSV and JSON lines, by suffix or by their first line; one paper is missing, so the code is 1."""
    (tmp_path / name).write_text(INPUTS[name], encoding="utf-8")
    ran = gofer("batch", name, "--journal", "run.gofer", "--to", "out/{doi}.{format}", url=url, cwd=tmp_path)
    assert ran.returncode == 1, ran.stderr
    there = {str(tmp_path / "out" / one) for one in ("10.5555_12345678.pdf", "10.5555_gofer.2026.4.xml")}
    assert set(ran.stdout.splitlines()) == there
    assert "3 errands are new in run.gofer." in ran.stderr
    assert '3 failed: {"doi": "10.5555/no-such-paper"} The job ended as failed with NOT_FOUND' in ran.stderr
    advice = "What failed: gofer batch run.gofer --failed; to try it again: --retry failed"
    assert ran.stderr.endswith(f"2 done, 1 failed.\n{advice}\n")


def test_a_batch_is_gone_on_with_and_reported(url: str, tmp_path: Path) -> None:
    """The journal alone is enough to go on, to count, to list what failed, to report and to try again."""
    (tmp_path / "dois").write_text("\n".join(DOIS))

    def ran(*args: str) -> str:
        done = gofer("batch", *args, cwd=tmp_path)
        assert done.returncode == (0 if {"--status", "--failed", "--report"} & {*args} else 1), done.stderr
        return done.stdout

    gofer("batch", "dois", "--journal", "run.gofer", "--to", "out/{doi}.{format}", url=url, cwd=tmp_path)
    assert ran("run.gofer") == ""
    assert ran("run.gofer", "--status").splitlines()[2:4] == ["done\t2", "failed\t1"]
    assert one_object(ran("run.gofer", "--status", "--json"))["done"] == 2
    assert ran("run.gofer", "--failed").startswith('3\tfailed\t{"doi": "10.5555/no-such-paper"}\tJobFailed: ')
    ran("run.gofer", "--report", "report.csv")
    ran("run.gofer", "--report", "report.jsonl")
    with (tmp_path / "report.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    lines = [json.loads(line) for line in (tmp_path / "report.jsonl").read_text().splitlines()]
    assert [row["state"] for row in rows] == [line["state"] for line in lines] == ["done", "done", "failed"]
    assert [row["doi"] for row in rows] == DOIS
    assert rows[0]["path"] == lines[0]["path"] == str(tmp_path / "out" / "10.5555_12345678.pdf")
    again = one_object(ran("run.gofer", "--retry", "failed", "--json", "--quiet"))
    assert again == {
        "waiting": 0, "open": 0, "done": 2, "failed": 1, "uncertain": 0, "journal": "run.gofer", "error": None
    }  # fmt: skip


WRONG = {
    ("dois",): "Name a file for the journal",
    ("dois", "--journal", "dois"): "is no journal of gofer's",
    ("nowhere", "--journal", "r.gofer"): "There is neither an input nor a journal 'nowhere'",
    ("nowhere.gofer",): "There is neither an input nor a journal 'nowhere.gofer'",
    ("empty", "--journal", "r.gofer"): "is empty",
    ("dois", "--journal", "r.gofer", "--to", "x.pdf"): "Two errands would write to",
    ("dois", "--journal", "r.gofer", "--retry", "failed"): "--retry is for the errands of a journal",
    ("dois", "--status"): "is no journal of gofer's",
    ("nowhere", "--status"): "cannot be opened: No such file",
    ("bad.jsonl", "--journal", "r.gofer"): "line 2 is not JSON",
    ("array.jsonl", "--journal", "r.gofer"): "line 1 is no JSON object",
    ("long.csv", "--journal", "r.gofer"): "line 2 has 3 cells, and there are 2 columns",
    ("twice.csv", "--journal", "r.gofer"): "a name for each column",
    ("other.csv", "--journal", "r.gofer"): "has 'year'",
    ("latin", "--journal", "r.gofer"): "is not in UTF-8",
    ("dois", "--journal", "r.gofer", "--contract", "ogc-processes"): "is a list",
}


@pytest.mark.parametrize("words", WRONG)
def test_what_is_wrong_is_said_before_anything_is_sent(tmp_path: Path, words: tuple[str, ...]) -> None:
    """A wrong input, journal or option ends with 2 and a line that says what to do; there is no service here."""
    (tmp_path / "dois").write_text("\n".join(DOIS))
    (tmp_path / "empty").write_text("\n\n")
    (tmp_path / "bad.jsonl").write_text('{"doi": "10.5555/1"}\n{"doi"\n')
    (tmp_path / "array.jsonl").write_text("[1]\n")
    (tmp_path / "long.csv").write_text("doi,title\n10.5555/1,a,b\n")
    (tmp_path / "twice.csv").write_text("doi,doi\n")
    (tmp_path / "other.csv").write_text("doi,year\n10.5555/1,2026\n")
    (tmp_path / "latin").write_bytes(b"10.5555/\xfc\n")
    ran = gofer("batch", *words, url="http://127.0.0.1:9", cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert WRONG[words] in ran.stderr


def test_a_report_of_another_kind_is_refused(url: str, tmp_path: Path) -> None:
    """Only .csv and .jsonl are written."""
    (tmp_path / "dois").write_text(PAPER)
    gofer("batch", "dois", "--journal", "run.gofer", url=url, cwd=tmp_path)
    ran = gofer("batch", "run.gofer", "--report", "report.xlsx", cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (2, "gofer: --report writes .csv or .jsonl, not 'report.xlsx'.\n")


def test_a_cell_is_no_formula(url: str, tmp_path: Path) -> None:
    """A service's words that a spreadsheet would run are quoted."""
    from gofer.cli.batch_report import _cell

    assert [_cell(text) for text in ("=1+1", "@x", "-2", "plain", None)] == ["'=1+1", "'@x", "'-2", "plain", ""]


def test_a_line_without_end_is_refused(tmp_path: Path) -> None:
    """Lines are bounded, so that a file of one line does not fill the memory."""
    (tmp_path / "long").write_text("x" * (LONGEST_LINE + 2))
    with pytest.raises(UsageError, match="line 1 has more than"):
        list(read_requests(str(tmp_path / "long"), retrieves=True))


def test_a_declared_contract_is_named_again(tmp_path: Path) -> None:
    """A batch of a declaration needs `--contract` to go on; the message says so."""
    with mine_server() as (server, _):
        declaration, _ = written(tmp_path, "broken")
        (tmp_path / "rows.jsonl").write_text('{"task": "broken"}\n')
        words = ("--contract", declaration, "--var", "region=eu", "--journal", "run.gofer", "--to", "{task}.txt")
        secret = {"GOFER_VAR_API_KEY": SECRET}
        ran = gofer("batch", "rows.jsonl", *words, url=server.url, cwd=tmp_path, **secret)
        assert (ran.returncode, ran.stdout) == (1, ""), ran.stderr
        assert "out of paint" in ran.stderr
        assert SECRET.encode() not in (tmp_path / "run.gofer").read_bytes()
        lost = gofer("batch", "run.gofer", url=server.url, cwd=tmp_path, **secret)
        assert (lost.returncode, lost.stdout) == (2, "")
        assert "name its declaration, as in --contract mine.toml" in lost.stderr
        chosen = ("--contract", declaration, "--var", "region=eu")
        again = gofer("batch", "run.gofer", *chosen, url=server.url, cwd=tmp_path, **secret)
        assert again.returncode == 1, again.stderr


def test_ctrl_c_leaves_the_jobs_and_prints_the_line_that_goes_on(tmp_path: Path) -> None:
    """The jobs go on at the service; the printed line brings their files, and makes no job twice."""
    (tmp_path / "dois").write_text(f"{PAPER}\n10.5555/gofer.2026.2\n")
    with waiting_service(tmp_path / "data") as (url, free):
        words = [tmp_path / "dois", "--journal", tmp_path / "run.gofer", "--to", f"{tmp_path}/{{doi}}.{{format}}"]
        with started("batch", *words, url=url) as child:
            while len(one_object(gofer("list", "--json", url=url).stdout)["jobs"]) < 2:
                assert child.poll() is None
            child.send_signal(signal.SIGINT)
            _, err = child.communicate(timeout=60)
        assert child.returncode == 130, err
        assert "Interrupted. The jobs go on at the service." in err
        line = next(line for line in err.splitlines() if line.startswith("gofer batch "))
        free()
        ran = gofer(*shlex.split(line)[1:])
        assert ran.returncode == 0, ran.stderr
        assert len(ran.stdout.splitlines()) == 2
        assert len(one_object(gofer("list", "--json", url=url).stdout)["jobs"]) == 2


def test_a_batch_of_another_service_keeps_the_token(tmp_path: Path) -> None:
    """The token goes to the address that it is meant for, and not to any that a journal names."""
    (tmp_path / "dois").write_text(PAPER)
    with embedded() as url:
        gofer("batch", "dois", "--journal", "run.gofer", url=url, cwd=tmp_path)
        ran = gofer("batch", "run.gofer", cwd=tmp_path, SERVICE_TOKEN="t0ken")
        assert (ran.returncode, ran.stdout) == (2, "")
        assert f"pass --url {url} if it is" in ran.stderr
        assert gofer("batch", "run.gofer", "--url", url, cwd=tmp_path, SERVICE_TOKEN="t0ken").returncode == 0
