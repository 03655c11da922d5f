"""The settings of the service: one attrs class for each table of its configuration file, which is read in `config`.

A validator says what is wrong with a value, in words for the operator; it never quotes a secret.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import Attribute, field, frozen
from attrs.validators import optional
from cattrs import AttributeValidationNote

from gofer.wire import base_url, may_be_sent, split
from gofer_service.fetch.wall import allowed


@frozen
class Secret:
    """A text that no ``repr`` shows, and the place that it is from."""

    text: str = field(repr=False)
    origin: str


@frozen
class Inline(Secret):
    """A secret that is in the configuration file itself."""


@frozen
class FromFile(Secret):
    """A secret that is in a file of its own."""


@frozen
class Tokens(Secret):
    """The tokens of callers that have names: a line for each, as ``name:token``."""

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The names and their tokens."""
        return tuple((name, token) for name, _, token in (line.partition(":") for line in self.text.split()))


def _checked(check: Callable[[Any], None]) -> Callable[[Any, "Attribute[Any]", Any], None]:
    """Make a validator whose error has the name of the key, where cattrs has it for other errors."""

    def validate(_: Any, attribute: "Attribute[Any]", value: Any) -> None:
        try:
            check(value)
        except ValueError as error:
            error.add_note(AttributeValidationNote("", attribute.name, attribute.type))
            raise

    return validate


def _between(least: float, most: float) -> Callable[[float], None]:
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


def _address(value: str | None) -> None:
    if value is not None:
        base_url(value)


def _bare(value: Any) -> Any:
    return value.rstrip("/") if isinstance(value, str) else value


def _email(value: str | None) -> None:
    if value is not None and not re.fullmatch(r"[!-?A-~]+@[!-?A-~]+", value):
        raise ValueError("expected an e-mail address")


def _contact(value: str | None) -> None:
    if value is not None and not (may_be_sent(value) and re.fullmatch(r"[^@]+@[^@]+|https?://.+", value)):
        raise ValueError("expected an e-mail or web address of one line, in ASCII")


def _entries(value: tuple[str, ...]) -> None:
    for entry in value:
        allowed(entry)


def _url(value: str | None) -> None:
    if value is not None and split(value).username is not None:
        raise ValueError("expected an address without a user's name")


def _networks(value: tuple[str, ...]) -> None:
    for text in value:
        ipaddress.ip_network(text)


def _interface(value: str) -> None:
    if not re.fullmatch(r"[!-.0-~]{1,15}", value):
        raise ValueError("expected the name of an interface, as in wg0")


def _proxy(value: "Inline | None") -> None:
    if value is None:
        return
    try:
        split(value.text)
    except ValueError:  # it may be a password that the message would show
        raise ValueError("expected the URL of a proxy, as in http://proxy.example.org:3128") from None


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
        tokens_file: more tokens, each with the name of its caller; the file has the path of a file with them. Each
            caller sees jobs of their own only.
        allow_hosts: names in ``Host`` that are accepted, besides ``localhost``, ``host`` and literal addresses.
        open: whether the service may listen beyond loopback without a token.
        log_requests: whether a line for each request is printed on stderr, by the logger ``gofer_service.requests``.
    """

    host: str = field(default="127.0.0.1", validator=_checked(_name))
    port: int = field(default=8000, validator=_checked(_between(0, 65535)))
    token_file: Secret | None = None
    tokens_file: Tokens | None = None
    allow_hosts: tuple[str, ...] = ()
    open: bool = False
    log_requests: bool = False

    @property
    def token(self) -> str | None:
        """The bearer token, or None."""
        return None if self.token_file is None else self.token_file.text

    @property
    def any_token(self) -> str | None:
        """One of the tokens, if any is needed."""
        return self.token or next((token for _, token in self.tokens), None)

    @property
    def tokens(self) -> tuple[tuple[str, str], ...]:
        """The names of callers and their tokens."""
        return () if self.tokens_file is None else self.tokens_file.pairs


def _base(default: str) -> Any:
    return field(default=default, converter=_bare, validator=_checked(_address))


def _gap(default: float | None) -> Any:
    return field(default=default, validator=optional(_checked(_between(0, 3600))))


def _one_secret(one: Secret | None, other: Secret | None) -> str | None:
    given = one or other
    return None if given is None else given.text


def _both(name: str) -> ValueError:
    error = ValueError(f"{name} and {name}_file are both set; keep one of them")
    error.add_note(AttributeValidationNote("", f"{name}_file", None))
    return error


@frozen
class ArxivSettings:
    """The table ``[sources.arxiv]``: where arXiv is, and seconds between two requests to it."""

    base: str = _base("https://arxiv.org")
    gap: float = _gap(3.0)


@frozen
class UnpaywallSettings:
    """The table ``[sources.unpaywall]``; the source is off without ``email``, which must be a real address."""

    email: str | None = field(default=None, validator=_checked(_email))
    base: str = _base("https://api.unpaywall.org")
    gap: float = _gap(0.1)


@frozen
class OpenAlexSettings:
    """The table ``[sources.openalex]``; the source is off without ``key`` or ``key_file``."""

    key: Inline | None = None
    key_file: FromFile | None = None
    base: str = _base("https://api.openalex.org")
    gap: float = _gap(0.1)

    def __attrs_post_init__(self) -> None:
        if self.key and self.key_file:
            raise _both("key")

    @property
    def secret(self) -> str | None:
        """The key, or None."""
        return _one_secret(self.key, self.key_file)


@frozen
class EuropePmcSettings:
    """The table ``[sources.europepmc]``."""

    base: str = _base("https://www.ebi.ac.uk/europepmc/webservices/rest")
    gap: float = _gap(0.1)


@frozen
class RemoteSettings:
    """The table ``[sources.remote]``: another service, and its token. The source is off without ``url``."""

    url: str | None = field(default=None, converter=_bare, validator=_checked(_address))
    token: Inline | None = None
    token_file: FromFile | None = None

    def __attrs_post_init__(self) -> None:
        if self.token and self.token_file:
            raise _both("token")

    @property
    def secret(self) -> str | None:
        """The token, or None."""
        return _one_secret(self.token, self.token_file)


@frozen
class CrossrefSettings:
    """The table ``[sources.crossref]``; ``email`` is the `Settings.contact` if it is not set."""

    email: str | None = field(default=None, validator=_checked(_email))
    base: str = _base("https://api.crossref.org")
    gap: float = _gap(0.1)
    needs_vpn: bool = True


@frozen
class LandingSettings:
    """The table ``[sources.landing]``; ``gap`` is that of ``[fetch]`` if it is not set."""

    base: str = _base("https://doi.org")
    gap: float | None = _gap(None)
    needs_vpn: bool = True


@frozen
class SourcesSettings:
    """The table ``[sources]``.

    Attributes:
        order: the sources that are asked, in this order. None means the library, and those with a table, in the usual
            order.
        arxiv: a table; None if there is none. The others likewise.
        others: the tables of sources of other packages, by name.
    """

    order: tuple[str, ...] | None = None
    arxiv: ArxivSettings | None = None
    unpaywall: UnpaywallSettings | None = None
    openalex: OpenAlexSettings | None = None
    europepmc: EuropePmcSettings | None = None
    remote: RemoteSettings | None = None
    crossref: CrossrefSettings | None = None
    landing: LandingSettings | None = None
    others: Mapping[str, Mapping[str, Any]] = field(
        factory=dict[str, Mapping[str, Any]], repr=lambda others: str(list(others))
    )


@frozen
class FetchSettings:
    """The table ``[fetch]``: how files and documents are fetched from the web.

    Attributes:
        allow: addresses that links may lead to although they are not public (`gofer_service.fetch.wall.allowed`).
        max_bytes: bytes of a file.
        gap: seconds between two requests to one host.
        per_host: requests to one host at a time.
        proxy: the URL of a proxy, which may have a password in it; None for none.
    """

    allow: tuple[str, ...] = field(default=(), validator=_checked(_entries))
    max_bytes: int = field(default=200 * 1024 * 1024, validator=_checked(_between(1, 2**50)))
    gap: float = _gap(1.0)
    per_host: int = field(default=1, validator=_checked(_between(1, 100)))
    proxy: Inline | None = field(default=None, validator=_checked(_proxy))


@frozen
class VpnSettings:
    """The table ``[vpn]``: how the service finds out whether the VPN is up.

    Attributes:
        probe: an address of the institution that answers with the address of its caller; None means that there is no
            VPN.
        addresses: addresses and networks of the institution, from which the service comes if the VPN is up.
        interface: the interface of the tunnel; None means that it is not looked at.
        every: seconds between two looks.
        timeout: seconds that the probe has for its answer.
    """

    probe: str | None = field(default=None, validator=_checked(_url))
    addresses: tuple[str, ...] = field(default=(), validator=_checked(_networks))
    interface: str | None = field(default=None, validator=optional(_checked(_interface)))
    every: float = field(default=5.0, validator=_checked(_between(0.1, 3600)))
    timeout: float = field(default=2.0, validator=_checked(_between(0.1, 60)))

    def __attrs_post_init__(self) -> None:
        for name in ("probe", "addresses"):
            if not getattr(self, name) and (self.probe or self.addresses or self.interface):
                error = ValueError("it is missing; [vpn] needs probe and addresses")
                error.add_note(AttributeValidationNote("", name, None))
                raise error


@frozen
class Settings:
    """All settings. Each part has a default.

    Attributes:
        contact: how the owners of hosts reach the operator; it is sent to them. None means that nothing is sent.
    """

    contact: str | None = field(default=None, validator=_checked(_contact))
    library: LibrarySettings = LibrarySettings()
    sources: SourcesSettings = SourcesSettings()
    fetch: FetchSettings = FetchSettings()
    vpn: VpnSettings = VpnSettings()
    jobs: JobSettings = JobSettings()
    serve: ServeSettings = ServeSettings()
