"""A first declaration out of an OpenAPI document: the page, with `# ?` and a reason where it may be wrong."""

from __future__ import annotations

import re

from attrs import frozen

from gofer.cli.drafting.choosing import find
from gofer.cli.drafting.openapi import Document
from gofer.cli.drafting.read import cancellation, polling, result
from gofer.cli.drafting.sent import Names, every, head, submission


@frozen
class Draft:
    """A page, and what of it is a placeholder because nothing in the document looks like it."""

    text: str
    missing: tuple[str, ...]


def guess(root: object) -> Draft:
    """Write a first declaration for an OpenAPI document, given as what JSON makes of it.

    Raises:
        UsageError: it is no OpenAPI document of version 3.
    """
    jobs = find(Document(root))
    names = Names(jobs)
    parts = (head(jobs), every(jobs, names), submission(jobs, names), polling(jobs, names), result(jobs, names))
    lines = [str(line) for part in (*parts, cancellation(jobs, names)) for line in part]
    wanted = (("the submission", jobs.submit), ("the status request", jobs.poll or jobs.link))
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"
    return Draft(text, tuple(name for name, there in wanted if there is None))
