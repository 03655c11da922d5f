"""What a source is: something that names places.

Sources download nothing and judge nothing; `gofer_service.retrieval` does both, the same way for all of them.
"""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Protocol

from attrs import frozen


@frozen
class Paper:
    """What is looked for. ``doi`` is normalised."""

    doi: str
    title: str | None = None
    authors: tuple[str, ...] = ()


@frozen
class Candidate:
    """A place where the paper may be. ``label`` names it to the caller and shows nothing of our disk."""

    path: Path
    label: str
    version: str | None = None
    licence: str | None = None


class Source(Protocol):
    """Names places, best first. ``needs_vpn``: it is only of use while the VPN is up."""

    @property
    def name(self) -> str:
        """The word that stands for it in ``source`` and ``attempts``."""
        ...

    @property
    def needs_vpn(self) -> bool:
        """Whether it is skipped while the VPN is down."""
        ...

    def candidates(self, paper: Paper) -> AsyncGenerator[Candidate, None]:
        """Name places; work that a caller may not need comes late."""
        ...
