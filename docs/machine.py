"""Two directives: `machine-diagram` puts the state machine's drawing into a page, `machine-table` its transitions.

Both are made when the pages are built, so they always match the code.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from drawing import MEANING, diagram
from sphinx.util.docutils import SphinxDirective

from gofer.core.table import TABLE, Stage


class MachineDiagram(SphinxDirective):
    """Put the drawing into the page, inline, so that the page's colours apply to it."""

    def run(self) -> list[nodes.Node]:
        """Make the node."""
        return [nodes.raw("", f'<div class="machine-frame">{diagram()}</div>', format="html")]


class MachineTable(SphinxDirective):
    """Put every transition into a table."""

    def run(self) -> list[nodes.Node]:
        """Make the node."""
        entries = [(stage.value, move.value, there.value, MEANING[move]) for (stage, move), there in TABLE.items()]
        order = list(Stage)
        entries.sort(key=lambda entry: order.index(Stage(entry[0])))
        group = nodes.tgroup("", *(nodes.colspec(colwidth=width) for width in (2, 2, 2, 6)), cols=4)
        head = _row("stage", "move", "next stage", "meaning")
        group += nodes.thead("", head)
        group += nodes.tbody("", *(_row(*entry) for entry in entries))
        return [nodes.table("", group, classes=["machine-table"])]


def _row(*cells: str) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", cell)) for cell in cells))


def setup(app: Any) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("machine-diagram", MachineDiagram)
    app.add_directive("machine-table", MachineTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
