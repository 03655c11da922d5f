"""The tables of docs/contract.md have, row by row and cell by cell, what the OpenAPI document and the client have.

The page stays plain Markdown. Where a test fails, it shows the row as it has to be.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

import gofer
from gofer.contracts.payload import Problem
from gofer.contracts.retrieve import RetrieveContract
from gofer.core.judging import is_transient_code, refusal
from gofer.models import RetrieveRequest, RetrieveResult
from gofer.wire import Head
from gofer_service.files import MEDIA_TYPES
from gofer_service.health import CAPABILITIES, CONTRACT
from gofer_service.openapi import DESCRIPTION
from gofer_service.problems import PROBLEMS
from gofer_service.schemas import ERROR_CODES, HEALTH, SCHEMAS, STATUSES

PAGE = (Path(__file__).parents[2] / "docs" / "contract.md").read_text(encoding="utf-8")
PATHS = DESCRIPTION["paths"]

Rows = list[list[str]]


def tables(page: str) -> dict[str, Rows]:
    """Find the tables of a page: `Section: first column` with the rows below the head."""
    found: dict[str, Rows] = {}
    section, rows = "", None
    for line in page.splitlines():
        if heading := re.fullmatch(r"#+ (.+?)(: .+)?", line):
            section = heading[1]
        if not line.startswith("|"):
            rows = None
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if rows is None:
            rows = found.setdefault(f"{section}: {cells[0]}", [])
        elif not re.fullmatch("[-|]+", line):
            rows.append(cells)
    return found


TABLES = tables(PAGE)


def row(cells: list[str]) -> str:
    """Write a row as the page has it."""
    return "|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|"


def kind(schema: dict[str, Any]) -> str:
    """Say the type and the range of a field in words."""
    types = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    inner = f"array of {'strings' if 'type' in schema.get('items', {}) else 'objects'}"
    *others, last = [inner if each == "array" else each for each in types]
    words = f"{', '.join(others)} or {last}" if others else last
    if "format" in schema:
        words += ", a time"
    if "const" in schema:
        words += f', `"{schema["const"]}"`'
    if "exclusiveMinimum" in schema:
        return f"{words}, above {schema['exclusiveMinimum']} and up to {schema['maximum']}"
    if "minimum" in schema:
        return f"{words}, {schema['minimum']} " + (f"to {schema['maximum']}" if "maximum" in schema else "or more")
    return words


def field_rows(schema: str, *, base: bool) -> Rows:
    """Give the fields of a document that belong to the base, or to the extensions."""
    return [
        [f"`{name}`", kind(field), field["description"].partition("\n")[0]]
        for name, field in SCHEMAS[schema]["properties"].items()
        if field.get("x-base", False) is base
    ]


def word_rows(words: Mapping[str, str]) -> Rows:
    """Give words with their meanings."""
    return [[f"`{word}`", meaning] for word, meaning in words.items()]


def fields_in_short(schema: str, required: list[str]) -> str:
    """Write the base fields of a document, with `?` after those that may be missing."""
    fields = [name for name, field in SCHEMAS[schema]["properties"].items() if "x-base" in field]
    return f"`{{{', '.join(name if name in required else f'{name}?' for name in fields)}}}`"


def base_endpoints() -> Rows:
    """Give the endpoints of the base: what the client always sends, and what it needs in the reply."""
    sent = RetrieveContract().build_submission("", RetrieveRequest("10.5555/1"), key="", budget=None, hold=0)
    needed = [each.name for each in attrs.fields(RetrieveResult) if each.default is attrs.NOTHING]
    rows = [
        ["`GET /health`", "", fields_in_short("Health", SCHEMAS["Health"]["required"])],
        [
            "`POST /retrieve`",
            f"JSON {fields_in_short('Submission', [*json.loads(sent.body)])}",
            f"`{{{', '.join(needed)}}}`",
        ],
        ["`GET /jobs/{job_id}`", "", fields_in_short("Job", SCHEMAS["Job"]["required"])],
        ["`GET /jobs/{job_id}/file`", "", "the file"],
    ]
    assert {name for name, *_ in rows} == {name for name, *_ in endpoints(base=True)}
    return rows


def endpoints(*, base: bool) -> Rows:
    """Give the endpoints that belong to the base, or to the extensions."""
    return [
        [f"`{method.upper()} {path}`", operation["summary"]]
        for path, item in PATHS.items()
        for method, operation in item.items()
        if method != "parameters" and operation.get("x-base", False) is base
    ]


EXPECTED: dict[str, Rows] = {
    "The base: endpoint": base_endpoints(),
    "Submit: field": field_rows("Submission", base=True),
    "Poll: `status`": word_rows(STATUSES),
    "Poll: `error_code`": word_rows(ERROR_CODES),
    "Poll: field": field_rows("Job", base=True),
    "Poll: `file_format`": [[f"`{name}`", f"`{media_type}`"] for name, media_type in MEDIA_TYPES.items()],
    "Health: field": field_rows("Health", base=True),
    "Health: `status`": word_rows(HEALTH),
    "The extensions: endpoint": endpoints(base=False),
    "More about the job: field": field_rows("Job", base=False),
    "More about the job: field of an attempt": field_rows("Attempt", base=False),
    "List: parameter": [
        [f"`{each['name']}`", kind(each["schema"]), each["description"]] for each in PATHS["/jobs"]["get"]["parameters"]
    ],
    "List: field": field_rows("JobPage", base=False),
    "More about health: field": field_rows("Health", base=False),
    "More about health: capability": word_rows(CAPABILITIES),
    "Errors: field": field_rows("Problem", base=False),
    "Errors: `error_code`": [[f"`{code}`", str(status), meaning] for status, (code, meaning) in PROBLEMS.items()],
}


@pytest.mark.parametrize("table", EXPECTED)
def test_a_table_is_that_of_the_description(table: str) -> None:
    """Each row of the table is as the description has it, and none is missing or in excess."""
    assert table in TABLES, f"docs/contract.md has no table {table!r}"
    page, expected = ([row(cells) for cells in rows] for rows in (TABLES[table], EXPECTED[table]))
    faults = [f"lacks {each}" for each in expected if each not in page]
    faults += [f"has in excess {each}" for each in page if each not in expected]
    assert not faults, "\n".join(["docs/contract.md", *faults])
    assert page == expected, "the rows stand in another sequence"


def test_the_errors_of_the_client_are_those_it_raises() -> None:
    """Each status leads to the class of the table, and is retried where the table says so."""
    listed: set[int] = set()
    for statuses, raised, retried in TABLES["Errors: status"]:
        codes = {int(status) for status in re.findall(r"\b\d{3}\b", statuses)}
        codes |= set(range(500, 600)) - listed if "5xx" in statuses else set()
        listed |= codes
        for status in codes:
            error = refusal(Head("http://service.test/", status, {}), Problem(), 0.0)
            assert f"`{type(error).__name__}`" == raised, status
            transient, if_asked = (is_transient_code(status, asked_to_wait=asked) for asked in (False, True))
            assert retried == ("yes" if transient else "with `Retry-After`" if if_asked else "no"), status
    transient_codes = {code for code in range(400, 600) if is_transient_code(code, asked_to_wait=True)}
    assert (PROBLEMS.keys() | transient_codes) - {416} <= listed  # the client reads a 416 as a part of its download


def test_every_header_is_on_the_page() -> None:
    """The page names each header of the description, and no other but those of every request and reply."""
    headers = {name.lower() for name in DESCRIPTION["components"]["headers"]}
    operations = [operation for item in PATHS.values() for name, operation in item.items() if name != "parameters"]
    headers |= {
        each["name"].lower() for one in operations for each in one.get("parameters", ()) if each["in"] == "header"
    }
    named = set(re.findall(r"`([A-Z][a-z]+(?:-[A-Z][a-z]+)*|ETag|WWW-Authenticate)[`:]", PAGE))
    named = {name.lower() for name in named if name not in vars(gofer)}
    unlisted = {"accept-encoding", "authorization", "content-type", "date", "host"}
    assert (named - unlisted) ^ headers == set()


def test_the_page_is_of_this_version() -> None:
    """The page says which version of the contract it describes."""
    assert f"\nVersion {CONTRACT}. " in PAGE
