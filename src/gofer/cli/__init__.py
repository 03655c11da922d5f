"""The command line, `gofer` (extra `cli`). It shows what the blocking face does and decides nothing about errands.

Only the entry point is here: `main`, and what it prints if the extra is not installed. Nothing else in gofer imports
this package.
"""

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit."""
    try:
        from gofer.cli.commands import gofer
    except KeyboardInterrupt:  # pressed before a command has started
        sys.exit(130)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("click", "rich"):
            raise
        print("gofer: the command line needs click and rich: pip install 'gofer[cli]'", file=sys.stderr)
        sys.exit(2)
    gofer(prog_name="gofer")
