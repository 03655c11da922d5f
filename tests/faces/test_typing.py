"""What a type checker says about code that uses gofer: mypy, strict, on probe files. `# E: words` marks a mistake."""

import os
import re
import subprocess
import sys
from pathlib import Path

import gofer

PROBES = {
    "every public name": f"""\
from gofer import {", ".join(gofer.__all__)}
""",
    "misspelt names": """\
from gofer import RetreiveClient  # E: RetreiveClient
from gofer import AsyncRetreiveClient  # E: AsyncRetreiveClient
import gofer
x = gofer.NoSuchThing  # E: NoSuchThing
""",
    "handles": """\
from gofer import AsyncRetrieveClient, AsyncRetrieveJob, RetrieveClient, RetrieveJob, RetrieveRequest
from gofer import RetrieveJobResponse, Status
c = RetrieveClient()
one: RetrieveJob = c.job("1")
two: RetrieveJob = c.attach("t")
three: RetrieveJob = c.submit(RetrieveRequest("10.5555/1"))
four: RetrieveJobResponse = c.retrieve("10.5555/1")
ids: list[str] = [one.job_id, two.job_id, three.job_id, four.job_id]
status: Status = four.status
where: tuple[str, int, str, float] = (c.host, c.port, c.base_url, c.timeout)

async def main() -> None:
    a = AsyncRetrieveClient()
    one: AsyncRetrieveJob = a.job("1")
    two: AsyncRetrieveJob = a.attach("t")
    three: AsyncRetrieveJob = await a.submit(RetrieveRequest("10.5555/1"))
    four: RetrieveJobResponse = await a.retrieve("10.5555/1")
    ids: list[str] = [one.job_id, two.job_id, three.job_id, four.job_id]
    where: tuple[str, int, str, float] = (a.host, a.port, a.base_url, a.timeout)
""",
    "wrong arguments": """\
import httpx
from gofer import AsyncClient, AsyncRetrieveClient, Client, RetrieveClient
Client("u", hodl=3)  # E: "hodl"
Client("u", timeout="x")  # E: "timeout"
Client("u", hold="x")  # E: "hold"
Client("u", contract=3)  # E: "contract"
Client("u", transport=httpx.AsyncHTTPTransport())  # E: "transport"
AsyncClient("u", hodl=3)  # E: "hodl"
AsyncClient("u", timeout="x")  # E: "timeout"
AsyncClient("u", transport=httpx.HTTPTransport())  # E: "transport"
RetrieveClient(hodl=3)  # E: "hodl"
RetrieveClient(timeout="x")  # E: "timeout"
RetrieveClient(contract="ogc-processes")  # E: "contract"
AsyncRetrieveClient(hodl=3)  # E: "hodl"
AsyncRetrieveClient(on_abandon="stop")  # E: "on_abandon"
""",
    "contracts": """\
from typing import Any
from gofer import AsyncClient, AsyncJob, Client, Contract, Job, RetrieveRequest, RetrieveResult

def of(contract: Contract[int, bytes]) -> None:
    client = Client("u", contract=contract)
    job: Job[bytes] = client.submit(1)
    client.submit("1")  # E: "submit"
    awaited: AsyncClient[int, bytes] = AsyncClient("u", contract=contract)
    handle: AsyncJob[bytes] = awaited.job("1")

named: Client[Any, Any] = Client("u", contract="ogc-processes")
named.run({"x": 1}).value.anything
chosen: Client[RetrieveRequest, RetrieveResult] = Client("u")
chosen.run({"x": 1})  # E: "run"
with Client("u", contract="ogc-processes") as unannotated:
    unannotated.run({"x": 1}).value.anything
Client("u").run(RetrieveRequest("10.5555/1"))
""",
    "a subclass": """\
from typing import Unpack
from gofer import Options, RetrieveClient

class Papers(RetrieveClient):
    def __init__(self, host: str = "papers.test", **options: Unpack[Options]) -> None:
        super().__init__(host, **options)

Papers(hold=5, max_connections=3)
Papers(hodl=5)  # E: "hodl"
""",
}


def mistakes(text):
    """The lines of a probe that are marked, each with the words that its error must have."""
    found = ((number, re.search(r"# E: (.+)$", line)) for number, line in enumerate(text.splitlines(), 1))
    return {number: match[1] for number, match in found if match}


def test_what_mypy_says(tmp_path):
    """It accepts what is right; of what is wrong it names the argument or the name, in the line where it is."""
    files = {f"{name.replace(' ', '_')}.py": text for name, text in PROBES.items()}
    for file, text in files.items():
        (tmp_path / file).write_text(text)
    ran = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--hide-error-context", *files],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(gofer.__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    assert ran.stderr == ""
    said = re.findall(r"^(\w+\.py):(\d+): error: (.*)$", ran.stdout, re.MULTILINE)
    for file, text in files.items():
        expected = mistakes(text)
        errors = {int(line): words for name, line, words in said if name == file}
        assert errors.keys() == expected.keys(), (file, errors)
        assert all(words in errors[line] for line, words in expected.items()), (file, errors)
