"""The directive `declaration-rules`: what is checked in a declaration, from the table that the check itself goes by."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from gofer.contracts.declared.checks import RULES


class Dots:
    """What a message has from one declaration, shown as three dots."""

    def __getattr__(self, _: str) -> Dots:
        return self

    def __getitem__(self, _: int) -> Dots:
        return self

    def __str__(self) -> str:
        return "…"

    def __repr__(self) -> str:
        return "'…'"


class DeclarationRules(SphinxDirective):
    """Put the rules into a table: the place in a declaration, and what the error says where a rule is broken."""

    def run(self) -> list[nodes.Node]:
        """Make the node."""
        group = nodes.tgroup("", *(nodes.colspec(colwidth=width) for width in (3, 9)), cols=2)
        group += nodes.thead("", _row(nodes.Text("place"), nodes.Text("what the error says")))
        words = [(rule.where, rule.words.replace("{0.hint}", "").format(Dots())) for rule in RULES]
        group += nodes.tbody("", *(_row(nodes.Text(where), nodes.literal(text, text)) for where, text in words))
        return [nodes.table("", group, classes=["declaration-rules"])]


def _row(*cells: nodes.Node) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", cell)) for cell in cells))


def setup(app: Any) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("declaration-rules", DeclarationRules)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
