"""What a misspelt name was probably meant to be."""

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return the sentence that names the choice most like this word, with a space before it; "" where none is."""
    close = difflib.get_close_matches(word, list(choices), 1)
    return f" Did you mean {close[0]!r}?" if close else ""


def hint(word: str, choices: Iterable[str]) -> str:
    """Return what `did_you_mean` says; where nothing is like the word, the sentence that names every choice."""
    choices = sorted(choices)
    return did_you_mean(word, choices) or f" There are: {', '.join(choices) or 'none'}."
