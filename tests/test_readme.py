"""The README's examples are run as they stand, against the real service."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gofer_service import embedded

README = Path(__file__).parents[1] / "README.md"


def blocks(kind: str) -> list[str]:
    """Give the blocks of one kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


SCRIPT, SERVICE, BATCH, ANY, TEST = blocks("python")
(DECLARATION,) = blocks("toml")


@pytest.fixture(scope="module")
def address() -> Iterator[dict[str, str]]:
    """Where an example finds the service: in its environment."""
    with embedded() as url:
        parts = urlsplit(url)
        yield {**os.environ, "SERVICE_HOST": parts.hostname or "", "SERVICE_PORT": str(parts.port)}


def run(example: str, folder: Path, environment: dict[str, str], *how: str) -> str:
    """Run an example in a folder of its own and give what it printed."""
    (folder / "test_example.py").write_text(example)
    command = [sys.executable, "-W", "error", *how, "test_example.py"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_script(tmp_path: Path, address: dict[str, str]) -> None:
    """The blocking example brings a paper and says how large it is."""
    assert run(SCRIPT, tmp_path, address) == "papers/paper.pdf: 5468 bytes from library\n"
    assert (tmp_path / "papers/paper.pdf").read_bytes().startswith(b"%PDF-")


def test_script_without_a_paper(tmp_path: Path, address: dict[str, str]) -> None:
    """The blocking example says why there is no paper."""
    said = run(SCRIPT.replace("10.5555/12345678", "10.5555/nothing"), tmp_path, address)
    assert said == "No paper: NOT_FOUND, no source has 10.5555/nothing\n"


def test_script_without_time(tmp_path: Path, address: dict[str, str]) -> None:
    """The blocking example says where the time went."""
    said = run(SCRIPT.replace("timeout=60", "timeout=0.000001"), tmp_path, address)
    assert said.startswith("Out of time at the submit leg")


def test_async_service(tmp_path: Path, address: dict[str, str]) -> None:
    """The async example brings every paper that is there, and says which one is not."""
    assert "no source has 10.5555/nothing" in run(SERVICE, tmp_path, address)
    assert len(list((tmp_path / "papers").glob("*.pdf"))) == 3


def test_many_errands(tmp_path: Path, address: dict[str, str]) -> None:
    """The batch brings what is there and says what is not; run again, it has nothing to do."""
    said = run(BATCH, tmp_path, address)
    assert "10.5555/nothing The job ended as failed with NOT_FOUND" in said
    assert len(list((tmp_path / "many").glob("*.pdf"))) == 2
    assert run(BATCH, tmp_path, address) == ""


def test_any_job_api(tmp_path: Path, address: dict[str, str]) -> None:
    """The declared example brings a paper from the service, by no more than its page of TOML."""
    (tmp_path / "papers.toml").write_text(DECLARATION)
    here = f"http://{address['SERVICE_HOST']}:{address['SERVICE_PORT']}"
    said = run(ANY.replace("http://localhost:8000", here), tmp_path, address)
    assert said == "paper.pdf, checked by its digest\n"
    assert (tmp_path / "paper.pdf").read_bytes().startswith(b"%PDF-")


def test_transport(tmp_path: Path, address: dict[str, str]) -> None:
    """The test example is a test that passes, with no service at all."""
    nowhere = {**address, "SERVICE_HOST": "gofer.invalid"}
    assert "1 passed" in run(TEST, tmp_path, nowhere, "-m", "pytest", "-p", "no:cacheprovider")


def test_links() -> None:
    """Every file that the README links to is there."""
    links = re.findall(r"\]\(([^)#:]+)\)", README.read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (README.parent / link).exists()] == []
