"""The reference of declarations keeps up with the code: every key with its type and default, selectors, variables."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_type_hints

import attrs
import pytest

from gofer import DeclarationError
from gofer.contracts.declared import parts as shape
from gofer.contracts.declared import selectors, templates
from gofer.contracts.declared.declaration import Declaration
from gofer.contracts.declared.selectors import Places
from gofer.contracts.declared.templates import Template
from gofer.contracts.declared.toml import parse

PAGE = (Path(__file__).parents[1] / "docs" / "reference" / "declarations.md").read_text(encoding="utf-8")

TABLES: dict[str, type[Any]] = {
    "The file": Declaration,
    "Variables": shape.Variable,
    "Every": shape.Every,
    "Requests": shape.Call,
    "Upload": shape.Upload,
    "Submit": shape.Submit,
    "Start": shape.Start,
    "Poll": shape.Poll,
    "Many": shape.Many,
    "Hold": shape.Hold,
    "Status": shape.StatusDocument,
    "States": shape.States,
    "Result": shape.Result,
    "Files": shape.Files,
    "Reason": shape.Reason,
    "Cancel": shape.Cancel,
    "Token": shape.Token,
    "Refusal": shape.Refusal,
    "Later": shape.Refusals,
    "Unauthorized": shape.Refusals,
}

PLAIN = (shape.Answer, shape.Discard)
"""Requests without keys of their own."""

TYPES: list[tuple[Any, str]] = [
    (str, "text"),
    (str | None, "text"),
    (float, "number"),
    (int, "whole number"),
    (bool, "true or false"),
    (bool | None, "true or false"),
    (Places, "selectors"),
    (tuple[str, ...], "words"),
    (tuple[int, ...], "HTTP codes"),
    (Mapping[int, str], "words by HTTP code"),
    (Mapping[str, Places], "selectors by name"),
    (Mapping[str, shape.Variable], "tables by name"),
    (shape.Templates, "templates by name"),
    (shape.Templates | None, "templates by name"),
    (Template | None, "template"),
    (Template | shape.Templates | None, "template, or templates by name"),
    (shape.Json | None, "any value"),
    (Mapping[str, shape.Json], "values by name"),
    (tuple[shape.Poll, ...], "table, or a list of tables"),
    (tuple[shape.Result, ...], "table, or a list of tables"),
    (tuple[shape.Refusal, ...], "table, or a list of tables"),
    (shape.Conditions, "words"),
    (tuple[shape.Files, ...], "table, or a list of tables"),
    (tuple[shape.Upload, ...], "table, or a list of tables"),
]


def section(title: str) -> str:
    """Give what is below a heading, up to the next."""
    found = re.search(rf"^##+ {title}\n(.*?)(?=^##|\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None, title
    return found[1]


def rows(title: str, table: int = 0) -> list[list[str]]:
    """Give the rows of a table below a heading, without its head."""
    lines = re.findall(r"((?:^\|.*\n)+)", section(title), re.MULTILINE)[table].splitlines()
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def typed(hint: Any) -> str:
    """Say a type in the page's words."""
    return next((words for kind, words in TYPES if kind == hint), "table")


def default(field: Any, words: str) -> str:
    """Say a key's default in the page's words."""
    given = field.default
    if isinstance(given, attrs.Factory):  # type: ignore[arg-type]
        return "empty" if attrs.has(given.factory) else "none"
    if given is attrs.NOTHING:
        return "required"
    if given is None or given == ():
        return "nothing" if words == "selectors" else "none"
    if isinstance(given, str):
        return f'`"{given}"`'
    return "`false`" if given is False else f"`{given:g}`"


@pytest.mark.parametrize("title", TABLES)
def test_every_key_is_in_the_page(title: str) -> None:
    """Each key of the model has its row, with its type and its default, and there is no other row."""
    model = TABLES[title]
    inherited = set(attrs.fields_dict(shape.Call)) if model is not shape.Call else set()
    inherited = inherited if issubclass(model, shape.Call) else set()
    hints = get_type_hints(model)
    expected = []
    for field in attrs.fields(model):
        if field.name not in inherited and (model is not Declaration or field.name not in ("source", "text")):
            words = typed(hints[field.name])
            expected.append([f"`{field.name}`", words, default(field, words)])
    assert sorted(row[:3] for row in rows(title)) == sorted(expected)
    assert all(len(row) == 4 and row[3] for row in rows(title))


def test_every_model_has_its_table() -> None:
    """No class of the model is without a section; a cancellation is a request like any other, a choice two rows."""
    models = {
        one
        for one in vars(shape).values()
        if isinstance(one, type) and attrs.has(one) and one.__module__ == shape.__name__
    }
    assert models - set(TABLES.values()) == {
        shape.Json,
        shape.Answer,
        shape.Discard,
        shape.Choice,
        shape.Condition,
    }


def test_every_selector_is_in_the_page() -> None:
    """Each kind that the module of selectors names has its row, and what the page shows is one."""
    shown = [row[0].strip("`") for row in rows("Selectors")]
    kinds = {re.match(r"[a-z]*:?", one)[0] for one in shown}  # type: ignore[index]
    named = set(re.findall(r"^    ([a-z]+:)", selectors.__doc__ or "", re.MULTILINE))
    assert named <= kinds
    for one in shown:
        selectors.Selector.parse(one.strip('"'))


def test_every_template_is_in_the_page() -> None:
    """Each kind that the module of templates names has its row."""
    named = set(re.findall(r"^    (\{[^{}]+\})", templates.__doc__ or "", re.MULTILINE))
    assert named <= {row[0].strip("`") for row in rows("Templates")}


FIRST = '[[upload]]\nurl = "{base}"\nlinks = { x = "/x" }\nvalues = { x = "/x" }\n'
PLACES = {
    "every": '[every]\nquery = { q = "HOLE" }',
    "upload": '[[upload]]\nurl = "{base}"\nquery = { q = "HOLE" }',
    "submit": FIRST + '[submit]\nurl = "{base}"\nquery = { q = "HOLE" }\nlinks = { x = "/x" }\nvalues = { x = "/x" }',
    "start": '[start]\nurl = "{base}"\nquery = { q = "HOLE" }',
    "poll": '[poll]\nurl = "{base}"\nquery = { q = "HOLE" }',
    "poll.many": '[poll]\nurl = "{base}"\n[poll.many]\nurl = "{base}"\nid = "/i"\nquery = { q = "HOLE" }',
    "result": '[result]\nurl = "{base}"\nquery = { q = "HOLE" }',
    "result.files.link": '[result]\nfiles = { link = "{base}/HOLE" }',
    "reason": '[reason]\nurl = "{base}"\nquery = { q = "HOLE" }',
    "cancel": '[cancel]\nurl = "{base}"\nquery = { q = "HOLE" }',
    "discard": '[discard]\nurl = "{base}"\nquery = { q = "HOLE" }',
    "token": '[token]\ntoken = "/t"\nurl = "{base}"\nsends = { q = "HOLE" }',
    "answer": '[answer]\nurl = "{base}"\nquery = { q = "HOLE" }',
}
LEAST = {
    "submit": PLACES["submit"].replace("HOLE", ""),
    "poll": PLACES["poll"].replace("HOLE", ""),
    "status": '[status]\nstate = "/s"',
    "variables": '[variables]\nmine = "1"',
}
VARIABLES = {"your own": "{mine}"}


def is_known(hole: str, place: str) -> bool:
    """Tell whether a declaration with this variable in this place is accepted."""
    tables = {**LEAST, place.partition(".")[0]: PLACES[place].replace("HOLE", hole)}
    try:
        parse('name = "page"\n' + "\n".join(tables.values()), "page.toml")
    except DeclarationError as error:
        known = not re.search("is no variable here|only the submission has", str(error))
        if known:
            raise
        return False
    return True


@pytest.mark.parametrize("row", rows("Templates", 1), ids=lambda row: row[0])
def test_variables_are_known_where_the_page_says(row: list[str]) -> None:
    """A declaration that uses one elsewhere is refused."""
    named, places = row[0].replace("`", ""), row[2]
    known = set(PLACES) if places == "all" else set(places.split(", "))
    for hole in VARIABLES.get(named, named).split(", "):
        assert {place for place in PLACES if is_known(hole, place)} == known, hole


def test_a_word_that_waits_for_a_start_means_pending() -> None:
    """Any other would never be started."""
    states = '[states]\nrunning = "CREATED"\nsucceeded = "DONE"'
    start = '[start]\nwhen = "CREATED"\nurl = "{base}/start"'
    with pytest.raises(DeclarationError, match=r"page.toml:\d+: start.when: the word 'CREATED' does not mean pending"):
        parse('name = "page"\n' + "\n".join((*LEAST.values(), start, states)), "page.toml")
