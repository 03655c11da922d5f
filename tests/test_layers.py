"""The picture of the house stays true: which floor may import which."""

from pathlib import Path

from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports


def test_the_layers_hold(monkeypatch):
    """The core opens nothing, each floor rests on those below it, and the SDK does not know the service."""
    monkeypatch.chdir(Path(__file__).parent.parent)
    assert lint_imports(no_cache=True) == EXIT_STATUS_SUCCESS
