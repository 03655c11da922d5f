"""The directive `command-help`: the `--help` text of a command, made when the pages are built."""

from __future__ import annotations

from typing import Any, ClassVar

import click
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from gofer.cli.commands import gofer

WIDTH = 96


class CommandHelp(SphinxDirective):
    """Put a command's help into the page; without an argument, that of `gofer` itself."""

    optional_arguments: ClassVar[int] = 1
    final_argument_whitespace: ClassVar[bool] = True

    def run(self) -> list[nodes.Node]:
        """Make the node."""
        context = click.Context(gofer, info_name="gofer", terminal_width=WIDTH, max_content_width=WIDTH)
        command: click.Command = gofer
        for word in self.arguments[0].split() if self.arguments else ():
            assert isinstance(command, click.Group), f"{command.name} has no commands"
            command = command.commands[word]
            context = click.Context(command, info_name=word, parent=context, terminal_width=WIDTH)
        text = command.get_help(context)
        return [nodes.literal_block(text, text, language="none")]


def setup(app: Any) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("command-help", CommandHelp)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
