"""`gofer contract` run in this process, replies as `curl -i` prints them, and sections of what was printed."""

import json
import re
from pathlib import Path

from click.testing import CliRunner, Result

from gofer.cli.commands import gofer as command

BASE = "https://jobs.example.org"


def contract(*args: str, **env: str) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(command, ["contract", *args], env=env)


def check(*args: str, **env: str) -> Result:
    """Check the declaration with its variable set."""
    return contract("check", "mine.toml", "--var", "region=north", "--url", BASE, *args, **env)


def section(output: str, title: str) -> str:
    """Return the lines under a title, with runs of blanks as one blank."""
    found = re.search(rf"^{re.escape(title)}\n((?:  .*\n)+)", output, re.MULTILINE)
    assert found, output
    return re.sub(" +", " ", found[1])


def reply(name: str, document: object, status: int = 200, **headers: str) -> str:
    """Write a reply as `curl -i` prints it; return the file's name."""
    lines = [f"HTTP/1.1 {status} X", "Content-Type: application/json"]
    lines += [f"{field}: {value}" for field, value in headers.items()]
    Path(name).write_bytes("\r\n".join([*lines, "", json.dumps(document)]).encode())
    return name
