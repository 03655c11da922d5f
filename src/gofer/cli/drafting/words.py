"""What a service's words for states mean: by what is in the words, and which ones are usual.

Pure. A word that nothing here recognises is `unsure`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_MEANINGS = (
    ("unsure", re.compile(r"unknown|incomplete|partial$|^(un|not_?|non_?)(finish|complet|done|read|availab)", re.I)),
    (
        "failed",
        re.compile(r"un_?succe|fail|(?<!with[_ -])error|invalid|reject|expired|time[d_-]*out|crash|preempt", re.I),
    ),
    ("succeeded", re.compile(r"succe|complet|finish|done|ready|available|^(processed|ended|closed|ok)$", re.I)),
    ("cancelled", re.compile(r"cancel|abort|dismiss|stopped|terminated|killed|revoked|deleted", re.I)),
    ("pending", re.compile(r"pend|queue|accept|creat|submit|new|initial|wait|schedul|not_?started|receiv", re.I)),
    ("running", re.compile(r"^run|running|process|progress|start|active|work|execut|load|ing$", re.I)),
)
_UNDER_WAY = re.compile(r"(cancel+|abort|stopp|complet|finish|terminat|finaliz|delet|queue?|creat)ing", re.I)

USUAL = {
    "pending": ["pending", "queued", "created", "submitted", "accepted"],
    "running": ["running", "processing", "in_progress", "started"],
    "succeeded": ["succeeded", "success", "successful", "completed", "complete", "done", "finished"],
    "failed": ["failed", "failure", "error"],
    "cancelled": ["cancelled", "canceled", "aborted", "dismissed"],
}
"""The words of most services, for one whose document lists none."""


def meaning(word: str) -> str:
    """Return which of `[states]` a service's word for a state means, or `unsure`."""
    if _UNDER_WAY.search(word):
        return "running"
    return next((name for name, pattern in _MEANINGS if pattern.search(word)), "unsure")


def described(text: object) -> list[str]:
    """Return the words in quotes in a description, if they look like states."""
    words = re.findall(r"[`'\"]([A-Za-z][A-Za-z_-]{2,30})[`'\"]", text[:2000] if isinstance(text, str) else "")
    return [*dict.fromkeys(words)] if "succeeded" in map(meaning, words) and len(words) > 1 else []


def sorted_by_meaning(words: Sequence[str]) -> dict[str, list[str]]:
    """Sort words into `[states]`; what is unsure is running, but the last that sounds like an end if no word is one."""
    single = {word.casefold(): word for word in reversed(words)}  # the first of those that differ in case only
    means = {word: meaning(word) for word in reversed(single.values())}
    ends = [word for word, name in means.items() if name == "unsure" and re.search(r"(?<!us)(?<!eld)ed$", word)]
    end = ends[-1:] if "succeeded" not in means.values() else []
    found: dict[str, list[str]] = {name: [] for name in USUAL}
    for word, name in means.items():
        found["succeeded" if word in end else "running" if name == "unsure" else name].append(word)
    return found
