"""The layers of docs/design.md hold: what is pure opens nothing, and nothing imports upwards."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"


def test_the_layers_hold() -> None:
    """Every contract of import-linter in pyproject.toml is kept."""
    # In a process of its own: import-linter configures logging, and so silences every logger that there is.
    ran = subprocess.run([sys.executable, "-c", LINT, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    # The contracts first: pytest's summary shows the first line, and import-linter's output begins with an empty one.
    broken = [line for line in ran.stdout.splitlines() if " BROKEN" in line]
    assert ran.returncode == 0, f"{'; '.join(broken) or 'import-linter failed'}\n{ran.stdout}{ran.stderr}"
