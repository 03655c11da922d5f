"""The configuration file of the service: each key, each mistake in it, and where the file is looked for."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import attrs
import pytest

from gofer_service.config import ConfigError, config_file, load
from gofer_service.settings import (
    ArxivSettings,
    CrossrefSettings,
    EuropePmcSettings,
    FetchSettings,
    FromFile,
    Inline,
    JobSettings,
    LandingSettings,
    LibrarySettings,
    OpenAlexSettings,
    RemoteSettings,
    Secret,
    ServeSettings,
    Settings,
    SourcesSettings,
    Tokens,
    UnpaywallSettings,
    VpnSettings,
)

SECRET = "s3cret-t0ken"

COMPLETE = """
contact = "library@example.org"

[library]
folder = "papers"

[sources]
order = ["library", "arxiv", "unpaywall", "openalex", "europepmc", "remote", "crossref", "landing"]

[sources.arxiv]
base = "http://127.0.0.1:9000/arxiv/"
gap = 4

[sources.unpaywall]
email = "me@example.org"
base = "http://127.0.0.1:9000/unpaywall"
gap = 0.5

[sources.openalex]
key_file = "token"
base = "http://127.0.0.1:9000/openalex"
gap = 0

[sources.europepmc]
base = "http://127.0.0.1:9000/epmc"
gap = 1

[sources.remote]
url = "https://vpn.example.org:8000"
token = "s3cret-t0ken"

[sources.crossref]
email = "you@example.org"
base = "http://127.0.0.1:9000/crossref"
gap = 2
needs_vpn = false

[sources.landing]
base = "http://127.0.0.1:9000/doi"
gap = 3
needs_vpn = false

[fetch]
allow = ["127.0.0.1:9000", "10.0.0.0/8"]
max_bytes = 1000
gap = 0.5
per_host = 2
proxy = "http://me:s3cret-t0ken@proxy.example.org:3128"

[vpn]
probe = "https://library.example.org/ip?x=1"
addresses = ["192.0.2.0/24", "2001:db8::7"]
interface = "wg0"
every = 10
timeout = 1.5

[jobs]
data = "kept/data"
concurrency = 8
max_pending = 20
retention = 3600

[serve]
host = "0.0.0.0"
port = 9000
token_file = "token"
tokens_file = "tokens"
allow_hosts = ["papers.example.org", "papers"]
open = true
log_requests = true
"""

TEXT = (3, "", "~nobody-here-has-this-name/x", "a\\u0000b", ["x"])
ADDRESS = (3, "", "example.org", "ftp://example.org", "http://", f"http://me:{SECRET}@example.org", "http://x/?y=1")
OF_SOURCES: dict[str, tuple[Any, ...]] = {
    "email": (3, "", "me", "me@", "@example.org", "me @example.org"),
    "key": (3, "", f"{SECRET}\\n", f"{SECRET}\u00e9"),
    "key_file": (*TEXT, "nowhere", "papers", "empty", "two", "bytes"),
    "token": (3, "", f"{SECRET}\\n", f"{SECRET}\u00e9"),
    "token_file": (*TEXT, "nowhere", "papers", "empty", "two", "bytes"),
    "url": ADDRESS,
    "base": ADDRESS,
    "gap": ("1 s", -1, 3601, float("nan"), True),
    "needs_vpn": ("yes", 0),
}
WRONG: dict[str, tuple[Any, ...]] = {
    "contact": (3, "", "me", "two\\nlines", "M\u00fcller"),
    "library.folder": (*TEXT, "nowhere", "token"),
    "sources.order": ("arxiv", [1], [""], ["nobody"], ["arxiv", "arxiv"]),
    **{
        f"sources.{name}.{key}": OF_SOURCES[key]
        for name, tables in {
            "arxiv": ("base", "gap"),
            "unpaywall": ("email", "base", "gap"),
            "openalex": ("key", "key_file", "base", "gap"),
            "europepmc": ("base", "gap"),
            "remote": ("url", "token", "token_file"),
            "crossref": ("email", "base", "gap", "needs_vpn"),
            "landing": ("base", "gap", "needs_vpn"),
        }.items()
        for key in tables
    },
    "fetch.allow": ("127.0.0.1", [1], ["a b"], ["10.0.0.1/8"], ["x:0"]),
    "fetch.max_bytes": ("1 MB", 0, -1, 1.5, True),
    "fetch.gap": ("1 s", -1, float("nan"), True),
    "fetch.per_host": ("1", 0, 101, 1.5),
    "fetch.proxy": (3, "", "proxy.example.org:3128", f"me:{SECRET}@proxy"),
    "vpn.probe": (3, "", "example.org", "ftp://example.org", f"http://me:{SECRET}@example.org/ip"),
    "vpn.addresses": ("192.0.2.7", [1], ["one"], ["192.0.2.7/24"], []),
    "vpn.interface": (3, "", "two words", "a/b", "x" * 16),
    "vpn.every": ("1", 0, -1, 3601, float("nan")),
    "vpn.timeout": ("1", 0, -1, 61),
    "jobs.data": TEXT,
    "jobs.concurrency": ("4", 4.0, True, 0, -1, 1001),
    "jobs.max_pending": ("4", 4.5, 0, 1_000_001),
    "jobs.retention": ("1 day", True, 0, -1, float("nan"), float("inf"), 10**400),
    "serve.host": (3, "", "two words", "line\\nbreak"),
    "serve.port": ("8000", 80.0, -1, 65536, False),
    "serve.token_file": (*TEXT, "nowhere", "papers", "empty", "two", "bytes"),
    "serve.tokens_file": (*TEXT, "nowhere", "papers", "empty", "two", "token", "bytes", "alike"),
    "serve.allow_hosts": ("papers.example.org", [1], [""], {"a": 1}),
    "serve.open": ("yes", 1),
    "serve.log_requests": ("yes", 0),
}
"""Wrong values of each key."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder for a configuration, with what it may name, and an environment without gofer's variables."""
    for name in ("SERVICE_TOKEN", "SERVICE_REMOTE", "GOFER_CONFIG", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "papers").mkdir()
    (tmp_path / "token").write_text(f"{SECRET}\n")
    (tmp_path / "tokens").write_text(f"ann:{SECRET}1\nbob:{SECRET}2\n")
    (tmp_path / "alike").write_text(f"ann:{SECRET}\nbob:{SECRET}\n")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "two").write_text(f"{SECRET} {SECRET}")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    return tmp_path


def written(folder: Path, text: str) -> Path:
    """Write a configuration; return its path."""
    file = folder / "service.toml"
    file.write_text(text)
    return file


def toml(value: Any) -> str:
    """Write a value as TOML does."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key} = {toml(member)}' for key, member in value.items())}}}"
    return f'"{value}"' if isinstance(value, str) else repr(value)


def refused(file: Path | None, **tables: Any) -> str:
    """Return the message of a configuration that must be wrong, and is one line."""
    with pytest.raises(ConfigError) as error:
        load(file, tables)
    assert str(error.value).isprintable()
    return str(error.value)


def keys() -> list[str]:
    """Return every key there is."""
    return [*_keys(Settings)]


def _keys(kind: type[Any], within: str = "") -> Iterator[str]:
    for member in attrs.fields(attrs.resolve_types(kind)):
        table = next((one for one in (member.type, *get_args(member.type)) if attrs.has(one)), None)
        if table is not None and not issubclass(table, Secret):
            yield from _keys(table, f"{within}{member.name}.")
        elif member.name != "others":
            yield within + member.name


def test_every_key_is_read(folder: Path) -> None:
    """A file with every key gives every setting; relative paths start from the file's folder."""
    assert load(written(folder, COMPLETE), {}) == Settings(
        contact="library@example.org",
        library=LibrarySettings(folder=folder / "papers"),
        sources=SourcesSettings(
            order=("library", "arxiv", "unpaywall", "openalex", "europepmc", "remote", "crossref", "landing"),
            arxiv=ArxivSettings("http://127.0.0.1:9000/arxiv", 4.0),
            unpaywall=UnpaywallSettings("me@example.org", "http://127.0.0.1:9000/unpaywall", 0.5),
            openalex=OpenAlexSettings(None, FromFile(SECRET, "a file"), "http://127.0.0.1:9000/openalex", 0.0),
            europepmc=EuropePmcSettings("http://127.0.0.1:9000/epmc", 1.0),
            remote=RemoteSettings("https://vpn.example.org:8000", Inline(SECRET, "the configuration")),
            crossref=CrossrefSettings("you@example.org", "http://127.0.0.1:9000/crossref", 2.0, needs_vpn=False),
            landing=LandingSettings("http://127.0.0.1:9000/doi", 3.0, needs_vpn=False),
        ),
        fetch=FetchSettings(
            ("127.0.0.1:9000", "10.0.0.0/8"),
            1000,
            0.5,
            2,
            Inline(f"http://me:{SECRET}@proxy.example.org:3128", "the configuration"),
        ),
        vpn=VpnSettings("https://library.example.org/ip?x=1", ("192.0.2.0/24", "2001:db8::7"), "wg0", 10.0, 1.5),
        jobs=JobSettings(data=folder / "kept" / "data", concurrency=8, max_pending=20, retention=3600.0),
        serve=ServeSettings(
            host="0.0.0.0",
            port=9000,
            token_file=Secret(SECRET, "serve.token_file"),
            tokens_file=Tokens(f"ann:{SECRET}1 bob:{SECRET}2", "serve.tokens_file"),
            allow_hosts=("papers.example.org", "papers"),
            open=True,
            log_requests=True,
        ),
    )
    left_out = {"sources.openalex.key", "sources.remote.token_file"}  # each stands beside another
    assert all(f"{key.rpartition('.')[2]} = " in COMPLETE for key in keys() if key not in left_out)


@pytest.mark.parametrize("path", ["~/papers", "{folder}/home/papers"])
def test_a_path_may_begin_with_the_home_or_the_root(folder: Path, path: str) -> None:
    """A path with ~ starts from the home folder, and an absolute one stays as it is."""
    (folder / "home" / "papers").mkdir(parents=True)
    file = written(folder, f'[library]\nfolder = "{path.format(folder=folder)}"')
    assert load(file, {}).library.folder == folder / "home" / "papers"


def test_relative_paths_do_not_depend_on_the_current_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The paths of a file that is named by a relative path are complete, so a later change of folder moves nothing."""
    written(folder, COMPLETE)
    monkeypatch.chdir(folder)
    assert load(Path("service.toml"), {}).library.folder == folder / "papers"


def test_without_a_file_there_are_defaults(folder: Path) -> None:
    """No file, and an empty one, give the defaults; the command may have a data folder of its own as the default."""
    assert load(None, {}) == load(written(folder, ""), {}) == Settings()
    assert load(None, {}, data=folder).jobs.data == folder
    assert load(written(folder, COMPLETE), {}, data=folder).jobs.data == folder / "kept" / "data"


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in WRONG.items() for value in values])
def test_a_wrong_value_is_named_with_its_line(folder: Path, key: str, value: Any) -> None:
    """A value of the wrong kind or range is an error with the file, the line and the key."""
    table, _, name = key.rpartition(".")
    rest = {"vpn.probe": 'addresses = ["192.0.2.7"]'}.get(key, 'probe = "http://example.org"' if table == "vpn" else "")
    rest += '\naddresses = ["192.0.2.7"]' if table == "vpn" and name not in ("probe", "addresses") else ""
    text = f"# a comment\n{f'[{table}]' if table else ''}\n\n{name} = {toml(value)}\n{rest}\n"
    file = written(folder, text)
    message = refused(file)
    assert message.startswith(f"{file}:4: {key}: ")
    assert SECRET not in message


def test_every_key_has_wrong_values() -> None:
    """The table above has each key of the settings, and no other."""
    assert list(WRONG) == keys()


def test_every_key_is_explained() -> None:
    """The page for operators has each key in its table, in this order, and no other."""
    page = (Path(__file__).parents[2] / "docs" / "howto" / "configure-the-service.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `((?:\w+\.)*\w+)` \|", page, re.MULTILINE) == keys()


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("[jobs]\nconcurency = 3", 2, "jobs.concurency: unknown key. Did you mean 'concurrency'?"),
        (f'[serve]\ntoken = "{SECRET}"', 2, "serve.token: unknown key. Did you mean 'token_file'?"),
        ("[libary]\nfolder = 3", 1, "libary: unknown key. Did you mean 'library'?"),
        ('\n[sources.mine]\nemail = "x"', 2, "sources.mine: unknown key. There are: arxiv, "),
        (
            '[sources]\norder = ["library", "arxif"]',
            2,
            "sources.order: there is no source 'arxif'. Did you",
        ),
        ('[sources]\norder = ["arxiv", "arxiv"]', 2, "sources.order: 'arxiv' is there twice"),
        (
            '[sources.openalex]\nkey = "a"\nkey_file = "token"',
            3,
            "sources.openalex.key_file: key and ",
        ),
        (
            '[sources.remote]\ntoken = "a"\ntoken_file = "token"',
            3,
            "sources.remote.token_file: token and ",
        ),
        ('[vpn]\nprobe = "http://example.org/ip"', 1, "vpn.addresses: it is missing; [vpn] needs probe and addresses"),
        ('[vpn]\ninterface = "wg0"', 1, "vpn.probe: it is missing; [vpn] needs probe and addresses"),
        ("port = 3", 1, "port: unknown key."),
        ("jobs = 3", 1, "jobs: expected a table, got int"),
        ("[[serve]]\nport = 3", 1, "serve: expected a table, got list"),
        ("[jobs]\nretention = 5\n[jobs]\n", 3, "it is no TOML: "),
        ('[serve]\nhost = "a\n', 2, "it is no TOML: "),
    ],
)
def test_what_is_no_setting_is_named_with_its_line(folder: Path, text: str, line: int, words: str) -> None:
    """An unknown key or table is an error that names the nearest one; so is what is no table, or no TOML."""
    file = written(folder, text)
    message = refused(file)
    assert message.startswith(f"{file}:{line}: {words}")
    assert SECRET not in message


def test_a_file_that_cannot_be_read_is_an_error(folder: Path) -> None:
    """A missing file, a folder, brackets without end, and bytes that are no UTF-8, with their line, are errors."""
    missing = folder / "missing.toml"
    assert refused(missing) == f"{missing}: the configuration cannot be read: No such file or directory"
    assert refused(folder) == f"{folder}: the configuration cannot be read: Is a directory"
    assert "it is no TOML: " in refused(written(folder, f"x = {'[' * 5000}"))
    file = folder / "latin.toml"
    file.write_bytes(b'[serve]\n# M\xfcnchen\nhost = "::1"\n')
    assert refused(file) == f"{file}:2: the configuration is not in UTF-8"


def test_a_secret_that_was_written_in_place_of_its_file_is_not_quoted(folder: Path) -> None:
    """A token that stands where its file's name should be is in no message and in no cause of it."""
    with pytest.raises(ConfigError) as error:
        load(written(folder, f'[serve]\ntoken_file = "{SECRET}"'), {})
    shown: BaseException | None = error.value
    while shown is not None:
        assert SECRET not in f"{shown!r}{shown}"
        shown = shown.__cause__


@pytest.mark.parametrize("name", ["empty", "two", "bytes"])
def test_what_a_token_file_has_is_not_quoted(folder: Path, name: str) -> None:
    """A file that is no token is an error that says what it must have, and nothing of what it has."""
    message = refused(written(folder, f'[serve]\ntoken_file = "{name}"'))
    assert message.endswith(": the file that it names must have one word of ASCII characters in it, the secret")


def test_secrets_are_in_no_repr(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token from a file or the environment is not in the repr of the settings."""
    file = written(folder, COMPLETE)
    assert SECRET not in repr(load(file, {}))
    monkeypatch.setenv("SERVICE_TOKEN", SECRET)
    settings = load(file, {})
    assert settings.serve.token == SECRET
    assert SECRET not in repr(settings)


def test_the_environment_goes_before_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SERVICE_TOKEN goes before the token of the file; an empty one counts as not set."""
    file = written(folder, COMPLETE)
    monkeypatch.setenv("SERVICE_TOKEN", "other")
    assert load(file, {}).serve.token_file == Secret("other", "SERVICE_TOKEN")
    monkeypatch.setenv("SERVICE_TOKEN", "")
    assert load(file, {}).serve.token == SECRET
    assert load(None, {}).serve.token is None


def test_the_other_service_of_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SERVICE_REMOTE goes before sources.remote.url and keeps its token; empty it is not set, and wrong it is named."""
    (folder / "token").write_text("secret")
    table = '[sources.remote]\nurl = "http://file.example.org"\ntoken_file = "token"'
    file = written(folder, table)
    monkeypatch.setenv("SERVICE_REMOTE", "http://vpn:8000/")
    remote = load(file, {}).sources.remote
    assert remote is not None
    assert (remote.url, remote.secret) == ("http://vpn:8000", "secret")
    alone = load(None, {}).sources.remote
    assert alone is not None
    assert alone.url == "http://vpn:8000"
    monkeypatch.setenv("SERVICE_REMOTE", "vpn")
    with pytest.raises(ConfigError, match=r"^environment: SERVICE_REMOTE: "):
        load(file, {})
    monkeypatch.setenv("SERVICE_REMOTE", "")
    kept = load(file, {}).sources.remote
    assert kept is not None
    assert kept.url == "http://file.example.org"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("library.folder", Path()),
        ("jobs.data", Path("elsewhere")),
        ("serve.host", "::1"),
        ("serve.port", 0),
        ("serve.allow_hosts", ("one",)),
        ("serve.open", False),
        ("serve.log_requests", False),
    ],
)
def test_the_command_line_goes_before_the_file(folder: Path, key: str, value: Any) -> None:
    """An option replaces the file's value, and leaves the others; None is an option that was not passed."""
    table, _, name = key.partition(".")
    file = written(folder, COMPLETE)
    before, after = (attrs.asdict(load(file, {table: {name: given}}), recurse=False) for given in (None, value))
    assert getattr(after[table], name) == value != getattr(before[table], name)
    assert attrs.evolve(after[table], **{name: getattr(before[table], name)}) == before[table]
    assert {**after, table: before[table]} == before


def test_a_wrong_option_is_named() -> None:
    """A wrong value of the command line is an error with the key."""
    assert refused(None, serve={"port": 70000}) == "command line: serve.port: expected 0 to 65535, got 70000"


def test_the_file_is_checked_also_where_an_option_goes_before(folder: Path) -> None:
    """A wrong value in the file is an error even if an option replaces it."""
    assert "serve.port" in refused(written(folder, "[serve]\nport = -1"), serve={"port": 8000})


def test_where_the_file_is_looked_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--config goes before GOFER_CONFIG, then the XDG folder, then ~/.config; the last two need not have a file."""
    assert config_file(None) is None
    places = [folder / "home" / ".config", folder / "xdg"]
    for place in places:
        place.mkdir(parents=True)
        (place / "gofer-service.toml").touch()
    assert config_file(None) == places[0] / "gofer-service.toml"
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    assert config_file(None) == places[0] / "gofer-service.toml"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(places[1]))
    assert config_file(None) == places[1] / "gofer-service.toml"
    monkeypatch.setenv("GOFER_CONFIG", "")
    assert config_file(None) == places[1] / "gofer-service.toml"
    monkeypatch.setenv("GOFER_CONFIG", "named.toml")
    assert config_file(None) == Path("named.toml")
    assert config_file(Path("option.toml")) == Path("option.toml")


def test_a_user_without_a_home_has_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no home folder can be found, as in a container, there is no file of the XDG folder, and no error."""

    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    assert config_file(None) is None
