"""The entry point: help, version, missing extras, and what a terminal shows."""

import inspect
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import click
import pytest

from gofer import errors
from gofer.cli.commands import gofer as COMMANDS
from gofer.cli.exit_codes import ERRAND, code_of

from .shell import GOFER, PAPER, environment, gofer, waiting_service


def commands(group: click.Group, name: str = "") -> Iterator[str]:
    """Yield the name of every command and group, with its group's name in front."""
    for word, command in group.commands.items():
        yield f"{name} {word}".strip()
        if isinstance(command, click.Group):
            yield from commands(command, word)


@pytest.mark.parametrize("command", list(commands(COMMANDS)))
def test_help(command: str) -> None:
    """Every command's help has examples and exit codes."""
    ran = gofer(*command.split(), "--help")
    assert ran.returncode == 0
    assert f"  gofer {command}" in ran.stdout
    assert "Exit codes:\n" in ran.stdout


def test_every_command_is_in_the_reference() -> None:
    """The page on the command line has the help of each command."""
    page = (Path(__file__).parents[2] / "docs" / "reference" / "command-line.md").read_text(encoding="utf-8")
    assert {f"```{{command-help}} {name}\n" for name in commands(COMMANDS)} <= set(page.splitlines(keepends=True))


def test_every_error_has_its_exit_code() -> None:
    """Each error that gofer raises ends a command with a code that the help explains, and usage errors with 2."""
    raised = [getattr(errors, name) for name in dir(errors) if inspect.isclass(getattr(errors, name))]
    kinds = [kind for kind in raised if issubclass(kind, errors.GoferError)]
    explained = {code for code, _, _ in ERRAND}
    assert all(code_of(kind("words")) in explained - {0} for kind in kinds)
    assert {kind.__name__ for kind in kinds if code_of(kind("words")) == 2} == {
        *("UsageError", "TicketError", "DeclarationError", "TargetError", "TargetIsFolder", "JournalError"),
    }


def test_version() -> None:
    """--version names the installed version."""
    assert version("gofer") in gofer("--version").stdout


@pytest.mark.parametrize(
    ("missing", "args", "says"),
    [
        ("click", [], "gofer: the command line needs click and rich: pip install 'gofer[cli]'\n"),
        ("rich", [], "gofer: the command line needs click and rich: pip install 'gofer[cli]'\n"),
        ("uvicorn", ["serve"], "gofer: the service is not installed: pip install 'gofer[service]'\n"),
    ],
)
def test_missing_extras(missing: str, args: list[str], says: str) -> None:
    """Without an extra, one line says what to install, and the exit code is 2."""
    code = f"import sys; sys.modules[{missing!r}] = None; from gofer.cli import main; main()"
    ran = subprocess.run([sys.executable, "-c", code, *args], env=environment(), capture_output=True, text=True)
    assert (ran.returncode, ran.stdout, ran.stderr) == (2, "", says)


def test_the_library_does_without() -> None:
    """`import gofer` does not load the command line, and works without click and rich."""
    code = "import sys; sys.modules.update(click=None, rich=None); import gofer; print('gofer.cli' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"


def on_a_terminal(
    *args: str | Path, url: str, seen: Callable[[bytes], object] = lambda _: None
) -> tuple[int, str, str]:
    """Run a command whose stderr is a terminal; return its exit code, its stdout and what the terminal got.

    `seen` is called with all that the terminal has got so far.
    """
    ours, theirs = pty.openpty()
    words = [*GOFER, *map(str, args)]
    with subprocess.Popen(
        words, env=environment(SERVICE_URL=url, TERM="xterm"), stdout=subprocess.PIPE, stderr=theirs, text=True
    ) as run:
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 65536):
                shown += piece
                seen(shown)
        except OSError:  # what Linux raises when the other end is closed
            pass
        assert run.stdout is not None
        stdout = run.stdout.read()
    os.close(ours)
    return run.returncode, stdout, shown.decode()


def test_progress_on_a_terminal(tmp_path: Path) -> None:
    """On a terminal the state and the bytes are shown live on stderr, and stdout is the same as elsewhere."""
    target = tmp_path / "paper.pdf"
    with waiting_service(tmp_path / "data") as (url, finish):

        def finish_once_searching(shown: bytes) -> None:
            if b"searching" in shown:
                finish()

        code, stdout, shown = on_a_terminal("get", PAPER, "--to", target, url=url, seen=finish_once_searching)
    assert (code, stdout) == (0, f"{target}\n")
    assert "\x1b[" in shown
    assert "5.3 KiB of 5.3 KiB" in shown
    assert "verified: digest" in shown


def test_retries_on_a_terminal(tmp_path: Path) -> None:
    """A retry stays on the terminal, above the bar."""
    code, _, shown = on_a_terminal("get", PAPER, "--to", tmp_path / "x", url="http://127.0.0.1:9")
    assert code == 3
    assert "trying again in" in shown


def test_quiet_on_a_terminal(url: str, tmp_path: Path) -> None:
    """--quiet leaves a terminal untouched."""
    assert on_a_terminal("get", PAPER, "--to", tmp_path / "x", "--quiet", url=url)[2] == ""
