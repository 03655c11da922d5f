"""What a source is: it names places where a paper may be, the best one first.

Sources neither download nor check files: `gofer_service.retrieval` does both, in the same way for all sources. A source
that has to ask a server first asks through the `Web` that it is given, which keeps to the limits of that server.
"""

from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any, Protocol

from attrs import field, frozen

from gofer.aretrieve import AsyncRetrieveClient
from gofer.contracts.flaws import Flaw
from gofer.transports.base import Listener


@frozen
class Paper:
    """The paper that is wanted. ``doi`` is normalised."""

    doi: str
    title: str | None = None
    authors: tuple[str, ...] = ()


@frozen
class LocalFile:
    """A file on this machine. ``label`` is its name for callers; it contains no path of this machine."""

    path: Path
    label: str
    version: str | None = None
    licence: str | None = None


@frozen
class Link:
    """An address on the web.

    Attributes:
        url: the address, as the source has it.
        landing: whether it is a page that links to the paper. It may turn out to be the paper.
        version: ``submittedVersion``, ``acceptedVersion``, ``publishedVersion`` or None.
        licence: as the source has it, or None.
        ours: whether the address is made of the base that the operator configured. Only such an address may be a
            private one; what a server says never is.
        referer: the page that the link is from, or None.
    """

    url: str
    landing: bool = False
    version: str | None = None
    licence: str | None = None
    ours: bool = False
    referer: str | None = None


@frozen
class OtherService:
    """Another service of the same contract, which looks for the paper in its own sources.

    Attributes:
        label: its host.
        connect: makes a client whose errands tell this listener; leaving the client closes no connections.
    """

    label: str
    connect: Callable[[Listener], AsyncRetrieveClient] = field(repr=False)


Candidate = LocalFile | Link | OtherService


class NoRecord(Exception):
    """Raised when a server answers that it has no record of the paper."""


class SourceFailed(Exception):
    """Raised when a source could not be asked."""

    def __init__(self, flaw: Flaw, why: str) -> None:
        super().__init__(why)
        self.flaw = flaw


class Web(Protocol):
    """How a source asks a server."""

    async def json(self, url: str) -> Any:
        """Get a JSON document, of 8 MiB at most.

        Raises:
            NoRecord: the server answered 404 or 410. Sources need not catch it.
            SourceFailed: it did not answer, or with something else. Sources need not catch it.
        """
        ...


class Source:
    """A source; each is a class derived from this one.

    Attributes:
        name: its name in the configuration, in ``source`` and in ``attempts``.
        needs_vpn: whether it is left out while the VPN is down.
        local: whether it looks at files of this machine only.
        is_index: whether its `NoRecord` means that there is no such paper anywhere.
        base: the configured address below which its requests are; "" if it sends none.
        gap: seconds between two requests to that address; None means the gap for all hosts.
    """

    name: str
    needs_vpn: bool = False
    local: bool = False
    is_index: bool = False
    base: str = ""
    gap: float | None = None

    def candidates(self, paper: Paper, web: Web) -> AsyncGenerator[Candidate, None]:
        """Name the places. Slow searches come last, since the caller may stop before."""
        raise NotImplementedError
