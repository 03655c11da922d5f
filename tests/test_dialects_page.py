"""The reference of the shipped dialects keeps up with their declarations: names, inputs, variables, examples."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from gofer import BadReply, Client, Rejected
from gofer.contracts.declared.inputs import needs
from gofer.contracts.declared.shipped import names, shipped

PAGE = (Path(__file__).parents[1] / "docs" / "reference" / "dialects.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## ([a-z0-9-]+)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))


def listed(name: str, head: str) -> set[str]:
    """Give the names in the first column of a section's table."""
    found = re.search(rf"^\| {head} \| \|\n\|---\|---\|\n((?:\|.*\n)+)", SECTIONS[name], re.MULTILINE)
    rows = found[1].splitlines() if found is not None else []
    return {named for row in rows for named in re.findall(r"`(\w+)`", row.split(" | ")[0])}


def test_every_dialect_has_its_section() -> None:
    """And its rows in both tables."""
    assert set(SECTIONS) == set(names())
    for name in names():
        assert len(re.findall(rf"^\| \[?`{name}`", PAGE, re.MULTILINE)) == 2


@pytest.mark.parametrize("name", names())
def test_a_section_lists_input_and_variables(name: str) -> None:
    """All that the input must and may have, where it is not sent as it is, and every variable."""
    said = shipped(name)
    wanted = {one for part in needs(said) for one in part} - {""}
    assert listed(name, "input") == wanted
    assert listed(name, "variable") == set(said.variables)


@pytest.mark.parametrize("name", names())
def test_an_example_sends_a_submission(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each example is whole: it gets as far as its first request."""
    (example,) = re.findall(r"^```python\n(.*?)^```$", SECTIONS[name], re.DOTALL | re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "main.cwl").write_text("a workflow")
    sent: list[httpx.Request] = []

    def refuse(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(400, json={"message": "not now"})

    def client(url: str, **options: Any) -> Client[Any, Any]:
        return Client(url, transport=httpx.MockTransport(refuse), **options)

    monkeypatch.setattr("gofer.Client", client)
    with pytest.raises((Rejected, BadReply)):
        exec(compile(example, f"dialects.md: {name}", "exec"), {"__name__": "__main__"})
    assert [request.method for request in sent] == [{"azure-lro": "PUT", "fhir-bulk": "GET"}.get(name, "POST")]
