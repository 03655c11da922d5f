"""The words of the project: the glossary is in order, and what it replaced has not come back."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
GONE = r"(?i)\b(trip|known|told|vouched|strange|glimpse|muster|weigh|bear)\b"


def test_words_that_were_replaced_stay_away() -> None:
    """No private word of before, nor its ordinary sense, is in the library's code, comments or messages."""
    files = [path for kind in ("*.py", "*.toml") for path in sorted((ROOT / "src" / "gofer").rglob(kind))]
    assert len(files) > 80
    found = [(path.name, word[0]) for path in files for word in re.finditer(GONE, path.read_text(encoding="utf-8"))]
    assert found == []


def test_the_glossary_is_in_order_and_short() -> None:
    """Each entry is one line, and the entries are in alphabetical order: a word that needs more is the wrong word."""
    page = (ROOT / "docs" / "design.md").read_text(encoding="utf-8").partition("## Glossary")[2]
    entries = re.findall(r"^(\S.*)\n: (.+)$", page, re.MULTILINE)
    assert len(entries) > 30
    assert [word for word, _ in entries] == sorted(word for word, _ in entries)
    assert len(entries) == len(re.findall(r"^: ", page, re.MULTILINE))
    assert all(len(line) < 120 for _, line in entries)
