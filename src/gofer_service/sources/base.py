"""The protocol of a source: it names places where a paper may be.

Sources neither fetch nor check files. `gofer_service.retrieval` does both, in the same way for all sources.
"""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Protocol

from attrs import frozen


@frozen
class Paper:
    """The paper that is wanted. ``doi`` is normalised."""

    doi: str
    title: str | None = None
    authors: tuple[str, ...] = ()


@frozen
class Candidate:
    """A place where the paper may be. ``label`` is its name for callers; it contains no path of this machine."""

    path: Path
    label: str
    version: str | None = None
    licence: str | None = None


class Source(Protocol):
    """Names places, the best one first."""

    @property
    def name(self) -> str:
        """The name of the source in ``source`` and ``attempts``."""
        ...

    @property
    def needs_vpn(self) -> bool:
        """Whether the source is skipped while the VPN is down."""
        ...

    def candidates(self, paper: Paper) -> AsyncGenerator[Candidate, None]:
        """Name the places. Slow searches come last, since the caller may stop before."""
        ...
