"""The settings of the service: one attrs class for each table of its configuration file, which is read in `config`.

A validator says what is wrong with a value, in words for the operator; it never quotes a secret.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import Attribute, field, frozen
from cattrs import AttributeValidationNote


@frozen
class Secret:
    """A text that no ``repr`` shows, and the place that it is from."""

    text: str = field(repr=False)
    origin: str


def _checked(check: Callable[[Any], None]) -> Callable[[Any, "Attribute[Any]", Any], None]:
    """Make a validator whose error has the name of the key, where cattrs has it for other errors."""

    def validate(_: Any, attribute: "Attribute[Any]", value: Any) -> None:
        try:
            check(value)
        except ValueError as error:
            error.add_note(AttributeValidationNote("", attribute.name, attribute.type))
            raise

    return validate


def _between(least: int, most: int) -> Callable[[float], None]:
    def check(value: float) -> None:
        if not least <= value <= most:  # so that nan is refused, too
            raise ValueError(f"expected {least} to {most}, got {value}")

    return check


def _folder(value: Path | None) -> None:
    try:
        there = value is None or value.is_dir()
    except OSError as error:
        raise ValueError(f"{value} cannot be reached: {error.strerror}") from error
    if not there:
        raise ValueError(f"there is no folder {value}")


def _name(value: str) -> None:
    if not value or any(map(str.isspace, value)):
        raise ValueError("expected a name or an address")


@frozen
class LibrarySettings:
    """The table ``[library]``.

    Attributes:
        folder: the folder of papers; None means the sample library.
    """

    folder: Path | None = field(default=None, validator=_checked(_folder))


@frozen
class JobSettings:
    """The table ``[jobs]``.

    Attributes:
        data: the folder for records and results, which is created.
        concurrency: how many jobs run at the same time.
        max_pending: how many jobs may wait; more submissions are answered 429.
        retention: seconds for which an ended job keeps its file.
    """

    data: Path = Path("gofer-data")
    concurrency: int = field(default=4, validator=_checked(_between(1, 1000)))
    max_pending: int = field(default=1000, validator=_checked(_between(1, 1_000_000)))
    retention: float = field(default=86400.0, validator=_checked(_between(1, 1_000_000_000)))


@frozen
class ServeSettings:
    """The table ``[serve]``: who can reach the service, and what it asks of them.

    Attributes:
        host: the address or name to listen on.
        port: the port; 0 takes a free one.
        token_file: the bearer token that job requests must carry; the file has the path of a file with it. None means
            that they need no token.
        allow_hosts: names in ``Host`` that are accepted, besides ``localhost``, ``host`` and literal addresses.
        open: whether the service may listen beyond loopback without a token.
        log_requests: whether a line for each request is printed on stderr, by the logger ``gofer_service.requests``.
    """

    host: str = field(default="127.0.0.1", validator=_checked(_name))
    port: int = field(default=8000, validator=_checked(_between(0, 65535)))
    token_file: Secret | None = None
    allow_hosts: tuple[str, ...] = ()
    open: bool = False
    log_requests: bool = False

    @property
    def token(self) -> str | None:
        """The bearer token, or None."""
        return None if self.token_file is None else self.token_file.text


@frozen
class Settings:
    """All settings. Each part has a default."""

    library: LibrarySettings = LibrarySettings()
    jobs: JobSettings = JobSettings()
    serve: ServeSettings = ServeSettings()
