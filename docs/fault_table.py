"""The directive `fault-table`: how a call ends after each fault on one leg, from the table that the tests use."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.util.docutils import SphinxDirective

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from faults.table import ROWS, Ending, Leg


class FaultTable(SphinxDirective):
    """Put the results of the named legs into a table; if there are two legs, their results are the same."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Make the node."""
        leg, *same = (list(Leg).index(Leg[name.upper()]) for name in self.arguments[0].split())
        group = nodes.tgroup("", *(nodes.colspec(colwidth=width) for width in (6, 3, 3)), cols=3)
        group += nodes.thead("", _row("fault", "if it happens once", "if it happens every time"))
        body = nodes.tbody()
        for row in ROWS.values():
            assert all(row.once[leg] == row.once[other] and row.lasting[leg] == row.lasting[other] for other in same)
            body += _row(row.text, row.once[leg], row.lasting[leg])
        group += body
        return [nodes.table("", group, classes=["fault-table"])]


def _row(*cells: str | Ending) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", _content(cell))) for cell in cells))


def _content(cell: str | Ending) -> nodes.Node:
    if isinstance(cell, str):
        return nodes.Text(cell)
    if cell is None:
        return nodes.Text("succeeds")
    literal = nodes.literal(cell.__name__, cell.__name__, classes=["py"])
    return pending_xref("", literal, refdomain="", reftype="name", reftarget=cell.__name__)


def setup(app: Any) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("fault-table", FaultTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
