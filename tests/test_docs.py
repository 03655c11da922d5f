"""The documentation keeps up with the code: the diagram has all of the table, and the examples run."""

import importlib.util
import inspect
import os
import re
import shlex
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import pytest

from gofer.contracts.flaws import Flaw
from gofer.core.table import TABLE, Move, Stage
from gofer_service import embedded

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
BLOCK = re.compile(r"^(?:<!-- (\S+) -->\n)?```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks() -> Iterator[tuple[str, str | None, str]]:
    """Give every Python block of the pages: its place, its mark ("run", or the file it is pasted from), its text."""
    for page in sorted(DOCS.rglob("*.md")):
        if "_build" in page.parts:
            continue
        text = page.read_text(encoding="utf-8")
        for found in BLOCK.finditer(text):
            line = text.count("\n", 0, found.start(2)) + 1
            yield f"{page.relative_to(DOCS)}:{line}", found[1], found[2]


# All of the code; a text that is written in several pieces is in one.
SOURCE = re.sub(
    r'"\s*\n\s*f?"', "", "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "src").rglob("*.py")))
)
ALL = [pytest.param(place, text, id=place) for place, _, text in blocks()]
RUN = [pytest.param(place, text, id=place) for place, mark, text in blocks() if mark == "run"]
PASTED = [pytest.param(mark, text, id=mark) for _, mark, text in blocks() if mark not in (None, "run")]


@pytest.fixture(scope="module")
def drawing() -> ModuleType:
    """The module that draws the diagram; Sphinx is not needed for it."""
    spec = importlib.util.spec_from_file_location("drawing", DOCS / "drawing.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """The real service, on its sample library."""
    with embedded() as url:
        yield url


def test_diagram_has_every_stage(drawing: ModuleType) -> None:
    """Each stage of the machine is one box, and there is no other."""
    drawn = [node.get("data-stage") for node in ET.fromstring(drawing.diagram()).iter() if node.get("data-stage")]
    assert sorted(drawn) == sorted(Stage)


def test_diagram_has_every_transition(drawing: ModuleType) -> None:
    """Each transition of the table is one line with its move's name on it, and there is no other."""
    moves = [node for node in ET.fromstring(drawing.diagram()).iter() if node.get("data-move")]
    drawn = [(node.get("data-from"), node.get("data-move"), node.get("data-to")) for node in moves]
    assert sorted(drawn) == sorted((stage, move, there) for (stage, move), there in TABLE.items())
    assert all(node.get("data-move") in [child.text for child in node] for node in moves)


def test_diagram_boxes_stand_apart(drawing: ModuleType) -> None:
    """No box covers another, and none is cut off at the edge."""
    root = ET.fromstring(drawing.diagram())
    width, height = map(float, root.attrib["viewBox"].split()[2:])
    rects = [
        [float(node.attrib[name]) for name in ("x", "y", "width", "height")]
        for node in root.iter()
        if node.tag.endswith("rect")
    ]
    for number, (x, y, w, h) in enumerate(rects):
        assert x >= 0
        assert y >= 0
        assert x + w <= width
        assert y + h <= height
        for x2, y2, w2, h2 in rects[number + 1 :]:
            assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y


def test_every_move_is_explained(drawing: ModuleType) -> None:
    """The table of transitions says of each move what it means."""
    assert set(drawing.MEANING) == set(Move)


def test_design_names_every_command() -> None:
    """The design page's table has every command of the core."""
    from gofer.core.commands import Command

    page = (DOCS / "design.md").read_text(encoding="utf-8")
    missing = [kind.__name__ for kind in Command.__args__ if f"`{kind.__name__}(" not in page]
    assert not missing


def test_reference_has_every_public_name() -> None:
    """Each public name of gofer has its entry in the reference."""
    import gofer

    pages = "".join(page.read_text(encoding="utf-8") for page in (DOCS / "reference").glob("*.md"))
    entries = set(re.findall(r"^\.\. (?:auto\w+|py:data):: gofer\.(\w+)(?:\(\))?$", pages, re.MULTILINE))
    assert {name for name in gofer.__all__ if not name.startswith("_")} - entries == set()


def test_every_error_has_its_advice() -> None:
    """The how-to for errors says what to do about each error a caller can see."""
    import gofer

    page = (DOCS / "howto" / "errors.md").read_text(encoding="utf-8")
    abstract = {"GoferError", "TransportError", "ServiceError"}
    errors = {
        name
        for name in gofer.__all__
        if inspect.isclass(getattr(gofer, name)) and issubclass(getattr(gofer, name), gofer.GoferError)
    }
    assert {name for name in errors - abstract if f"`{name}`" not in page} == set()


def test_every_environment_variable_is_explained() -> None:
    """The page on environment variables has each one that gofer and its service name."""
    page = (DOCS / "reference" / "environment.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\b(SERVICE_(?:HOST|PORT|URL|TOKEN)\b|GOFER_VAR_|GOFER_CONFIG|XDG_[A-Z_]+)", SOURCE))
    assert len(named) >= 8
    assert {name for name in named if f"| `{name}" not in page} == set()


def test_every_message_of_the_troubleshooting_is_one() -> None:
    """What the page quotes from a message is in a message of gofer or its service."""
    page = (DOCS / "howto" / "troubleshooting.md").read_text(encoding="utf-8")
    quoted = re.findall(r'^\| (?:[^|]*: )?"([^"|]+)"', page, re.MULTILINE)
    assert len(quoted) > 30
    assert [words for words in quoted if words not in SOURCE] == []


def test_every_code_of_a_refused_file_is_explained() -> None:
    """The pages on papers have each code that `attempts` may have."""
    pages = "".join((DOCS / "howto" / name).read_text(encoding="utf-8") for name in ("your-papers.md", "open-web.md"))
    assert {f"| `{flaw.value}` |" for flaw in Flaw} <= set(re.findall(r"^\| `[A-Z_]+` \|", pages, re.MULTILINE))


@pytest.mark.parametrize(("place", "text"), ALL)
def test_example_compiles(place: str, text: str) -> None:
    """A Python block of the pages is Python."""
    compile(text, place, "exec")


@pytest.mark.parametrize(("file", "text"), PASTED)
def test_pasted_code_is_its_file(file: str, text: str) -> None:
    """A block that is pasted from a test of the project is that test, whole but for its module's docstring."""
    assert (ROOT / file).read_text(encoding="utf-8").split('"""\n\n', 1)[1] == text


def test_marks_are_found() -> None:
    """Every mark of the pages stands right above a Python block, and the code of all four doors is pasted."""
    pages = [page.read_text(encoding="utf-8") for page in DOCS.rglob("*.md") if "_build" not in page.parts]
    assert sum(len(re.findall(r"^(?:<!--|% run)", page, re.MULTILINE)) for page in pages) == len(RUN) + len(PASTED)
    assert len(PASTED) == len(list((ROOT / "tests" / "injection").glob("test_*.py")))


def test_links_have_words() -> None:
    """Every link has a text and leads to a file that is there, so that the pages can be read without being built."""
    for page in DOCS.rglob("*.md"):
        if "_build" in page.parts:
            continue
        for words, target in re.findall(r"\[([^\]]*)\]\(([^)#:\s]+)\)", page.read_text(encoding="utf-8")):
            assert words, f"{page.name}: {target}"
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize(("place", "text"), RUN)
def test_example_runs(place: str, text: str, service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block that is marked to be run does so against the real service, and the tests that are in it pass."""
    parts = urlsplit(service)
    monkeypatch.setenv("SERVICE_HOST", parts.hostname or "")
    monkeypatch.setenv("SERVICE_PORT", str(parts.port))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(text, place, "exec"), names)
    given = {"tmp_path": tmp_path, "papers": service}
    for name, test in list(names.items()):
        if name.startswith("test_"):
            test(**{wanted: given[wanted] for wanted in inspect.signature(test).parameters})


TUTORIAL = (DOCS / "tutorial.md").read_text(encoding="utf-8")
SCRIPTS = re.findall(
    r"^<!-- run -->\n```python\n(.*?)^```\n\n```console\n\$ python \w+\.py\n(.*?)^```", TUTORIAL, re.S | re.M
)
COMMANDS = re.findall(r"^\$ gofer ((?:health|get).*)\n((?:[^$`\n].*\n)+)", TUTORIAL, re.M)
PASSING = ("submitted", "searching", "downloading")
"""How lines begin that are there or not, by how fast the machine is."""


def settled(text: str) -> list[str]:
    """Give the lines of an output without what differs from run to run: ids, tickets, the address."""
    text = re.sub(r'\[job \S+\]|"job_id": "\S+"|"ticket": "\S+"|"key": "\S+"|http://[\w.]+:\d+', "...", text)
    return [line for line in text.splitlines() if not line.startswith(PASSING)]


def test_tutorial_has_its_examples() -> None:
    """The patterns below find what the tutorial shows."""
    assert (len(SCRIPTS), len(COMMANDS)) == (3, 4)


@pytest.mark.parametrize(("script", "shown"), SCRIPTS)
def test_tutorial_scripts_print_what_is_shown(
    script: str, shown: str, service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """A script of the tutorial prints what the page says it does."""
    test_example_runs("tutorial.md", script, service, tmp_path, monkeypatch)
    assert capsys.readouterr().out == shown


@pytest.mark.parametrize(("command", "shown"), COMMANDS)
def test_tutorial_commands_print_what_is_shown(command: str, shown: str, service: str, tmp_path: Path) -> None:
    """A command of the tutorial prints what the page says it does."""
    done = subprocess.run(
        [sys.executable, "-m", "gofer.cli", *shlex.split(command)],
        cwd=tmp_path,
        env={**os.environ, "SERVICE_URL": service},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert settled(done.stdout) == settled(shown)
