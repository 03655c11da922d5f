"""Both entry points of the service, `gofer serve` and ``python -m gofer_service``: settings, errors, `--check`."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.scholarly_web import scholarly_web

import gofer_service.__main__ as module
from gofer_service import check
from gofer_service.settings import Settings
from gofer_service.sources.chosen import BUILT_IN

from .shell import environment, gofer, read_until, started

SECRET = "s3cret-t0ken"
CONFIG = """
[library]
folder = "papers"

[jobs]
data = "kept"
concurrency = 2

[serve]
host = "localhost"
port = 9000
token_file = "token"
allow_hosts = ["papers.example.org"]
"""

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder with a configuration and what it names."""
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "10.1234_abc.pdf").touch()
    (tmp_path / "token").write_text(SECRET)
    (tmp_path / "service.toml").write_text(CONFIG)
    return tmp_path


@pytest.fixture(params=["gofer serve", "python -m gofer_service"])
def command(
    request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Give each entry point as a function that runs it in this process, in a home of its own."""

    def run_module(*args: str | Path, **extra: str) -> subprocess.CompletedProcess[str]:
        words = ["gofer_service", *map(str, args)]
        with monkeypatch.context() as patch:
            patch.setattr("os.environ", environment(HOME=str(folder), **extra))
            patch.setattr("sys.argv", words)
            code = module.main()
        return subprocess.CompletedProcess(words, code, *capsys.readouterr())

    def run_command(*args: str | Path, **extra: str) -> subprocess.CompletedProcess[str]:
        return gofer("serve", *args, HOME=str(folder), **extra)

    return run_command if request.param == "gofer serve" else run_module


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """Collect the settings that the service would be started with."""
    settings: list[Settings] = []

    def serve(given: Settings, **_: Any) -> None:
        settings.append(given)

    monkeypatch.setattr("gofer_service.serve", serve)
    monkeypatch.setattr(module, "serve", serve)
    return settings


def test_each_place_goes_before_the_next(command: Command, folder: Path, served: list[Settings]) -> None:
    """The order is: the command line, the environment, the file, the default."""
    file = folder / "service.toml"
    options = ("--port", "0", "--host", "::1", "--data", folder, "--library", folder, "--allow-host", "a", "--open")
    for args, extra in (
        ((), {}),
        ((), {"GOFER_CONFIG": str(file)}),
        (("--config", file), {"SERVICE_TOKEN": "other", "GOFER_CONFIG": "missing.toml"}),
        (("--config", file, *options, "--allow-host", "b", "--log-requests"), {}),
    ):
        assert command(*args, **extra).returncode == 0
    default, configured, token, all_options = served
    assert (default.serve.host, default.serve.port, default.library.folder) == ("127.0.0.1", 8000, None)
    assert (default.serve.token, default.serve.allow_hosts, default.serve.open) == (None, (), False)
    assert (configured.serve.host, configured.serve.port, configured.jobs.data) == ("localhost", 9000, folder / "kept")
    assert configured.serve.allow_hosts == ("papers.example.org",)
    assert (configured.serve.token, token.serve.token) == (SECRET, "other")
    assert (all_options.serve.host, all_options.serve.port, all_options.serve.allow_hosts) == ("::1", 0, ("a", "b"))
    assert (all_options.serve.open, all_options.serve.log_requests) == (True, True)
    assert (all_options.library.folder, all_options.jobs.data) == (folder, folder)
    assert all_options.jobs.concurrency == configured.jobs.concurrency == 2


@pytest.mark.parametrize("extra", [(), ("--check",)])
def test_a_mistake_is_one_sentence(
    command: Command, folder: Path, served: list[Settings], extra: tuple[str, ...]
) -> None:
    """A wrong configuration is exit code 2 and one line that names the file, the line and the key; nothing starts."""
    file = folder / "service.toml"
    file.write_text('[library]\nfolder = "nowhere"\n')
    ran = command("--config", file, *extra)
    assert (ran.returncode, ran.stdout, served) == (2, "", [])
    assert ran.stderr.partition(": ")[2] == f"{file}:2: library.folder: there is no folder {folder / 'nowhere'}\n"


def test_a_port_that_is_none_is_refused(command: Command, served: list[Settings]) -> None:
    """A port out of range on the command line is exit code 2 and no traceback."""
    ran = command("--port", "70000")
    assert (ran.returncode, served) == (2, [])
    assert "65535" in ran.stderr


def test_check_says_what_is_on_and_why(command: Command, folder: Path, served: list[Settings]) -> None:
    """--check prints a line for each part, without secrets; it makes nothing, serves nothing and exits with 0."""
    ran = command("--config", folder / "service.toml", "--check")
    assert (ran.returncode, ran.stderr, served) == (0, "", [])
    assert ran.stdout.splitlines() == [
        f"config       on     {folder / 'service.toml'}",
        f"library      on     {folder / 'papers'} (1 paper)",
        *(f"{name:<12} off    there is no table [sources.{name}]" for name in BUILT_IN if name != "library"),
        "contact      off    contact is not set: the owners of hosts cannot reach you",
        "fetch        on     files up to 209715200 bytes, 1 at a time and 1 s apart for each host; "
        "public addresses only",
        f"data         on     {folder / 'kept'} (will be made at the start)",
        "jobs         on     2 at the same time, 1000 may wait, files are kept for 86400 s",
        "token        on     from serve.token_file: requests about jobs must carry it",
        "listen       on     localhost, port 9000: only this machine can reach it",
        "request log  off    serve.log_requests is false",
        "vpn          off    there is no table [vpn]",
    ]
    assert not (folder / "kept").exists()


@pytest.mark.parametrize(
    ("args", "part", "state", "words"),
    [
        ((), "config", "off", "there is no file"),
        ((), "library", "on", "the sample papers"),
        (("--library", "papers"), "library", "on", "papers (1 paper)"),
        (("--data", "papers"), "data", "on", "papers (can be written)"),
        (("--data", "token/data"), "data", "wrong", "token is no folder"),
        ((), "token", "off", "no request needs a token"),
        ((), "listen", "on", "127.0.0.1, port 8000: only this machine"),
        (("--port", "0"), "listen", "on", "127.0.0.1, port any: only this machine"),
        (("--host", "0.0.0.0"), "listen", "wrong", "everybody who can reach 0.0.0.0 could use it"),
        (("--host", "0.0.0.0", "--open"), "listen", "on", "other machines can reach it, and need no token"),
        (("--host", "box.example.org"), "listen", "on", "which needs a token unless"),
        (("--log-requests",), "request log", "on", "serve.log_requests is true"),
        ((), "vpn", "off", "there is no table [vpn]"),
    ],
)
def test_check_explains_each_part(
    command: Command,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    args: tuple[str, ...],
    part: str,
    state: str,
    words: str,
) -> None:
    """A part's line has its state and the reason; the exit code is 2 if one is wrong, since nothing could start."""
    monkeypatch.chdir(folder)
    ran = command("--check", *args)
    (line,) = [line for line in ran.stdout.splitlines() if line.startswith(part)]
    assert line.removeprefix(part).split()[0] == state
    assert words in line
    assert ran.returncode == (2 if state == "wrong" else 0)


SOURCES = """
contact = "library@example.org"
[sources]
order = ["arxiv", "unpaywall", "openalex", "remote", "crossref"]
[sources.arxiv]
base = "{arxiv}"
[sources.openalex]
key = "s3cret-t0ken"
[fetch]
allow = ["10.0.0.0/8"]
proxy = "http://me:s3cret-t0ken@proxy.example.org"
"""


def test_check_explains_each_source(command: Command, folder: Path) -> None:
    """Each source is on or off, with the reason; --check sends nothing, and shows no secret."""
    file = folder / "sources.toml"
    with scholarly_web() as web:
        file.write_text(SOURCES.format(arxiv=web.base("arxiv")))
        ran = command("--config", file, "--check")
    assert (ran.returncode, web.asked, SECRET in ran.stdout + ran.stderr) == (0, [], False)
    lines = {line.split()[0]: line.split(maxsplit=1)[1] for line in ran.stdout.splitlines()}
    assert lines["arxiv"] == f"on     {web.base('arxiv')}"
    assert lines["unpaywall"] == "off    sources.unpaywall.email is not set"
    assert lines["openalex"] == "on     https://api.openalex.org"
    assert lines["remote"] == "off    sources.remote.url is not set"
    assert lines["crossref"] == "off    https://api.crossref.org; it needs a VPN, and none is configured"
    assert lines["landing"] == lines["library"] == "off    sources.order does not name it"
    assert len(lines) == len(ran.stdout.splitlines())
    assert lines["contact"] == "on     library@example.org is sent to every host"
    assert lines["fetch"].endswith("besides public addresses 10.0.0.0/8; by a proxy")


def test_check_tells_of_sources_behind_the_vpn(command: Command, folder: Path) -> None:
    """A source that needs the VPN is on where one is configured, and left out while that is down."""
    file = folder / "vpn.toml"
    file.write_text('[sources.landing]\n[vpn]\nprobe = "https://ip.example.org"\naddresses = ["192.0.2.0/24"]\n')
    ran = command("--config", file, "--check")
    assert "landing      on     https://doi.org; it is left out while the VPN is down" in ran.stdout.splitlines()


def test_probe_asks_each_source(command: Command, folder: Path) -> None:
    """--check --probe also asks each source that is on whether it answers; the verdict does not depend on that."""
    file = folder / "sources.toml"
    with scholarly_web() as web:
        file.write_text(
            'contact = "library@example.org"\n'
            f'[sources.arxiv]\nbase = "{web.base("arxiv")}"\n[sources.landing]\nbase = "http://127.0.0.1:9"\n'
        )
        ran = command("--config", file, "--check", "--probe")
    assert (ran.returncode, web.paths()) == (0, ["arxiv"])
    assert web.asked[0].headers["user-agent"].endswith("(contact: library@example.org)")
    assert ran.stdout.splitlines()[-2:] == [
        "arxiv        answers (404)",
        "landing      does not answer (ConnectError)",
    ]


def test_probe_belongs_to_check(command: Command, served: list[Settings]) -> None:
    """--probe alone is exit code 2, and nothing starts."""
    ran = command("--probe")
    assert (ran.returncode, served) == (2, [])
    assert "--check" in ran.stderr


def test_the_sources_are_told_at_the_start(folder: Path) -> None:
    """When sources are configured, a line for each says at the start whether it is on, and why not."""
    file = folder / "sources.toml"
    file.write_text("[sources.arxiv]\n[sources.unpaywall]\n[sources.landing]\n")
    with started("serve", "--config", str(file), "--port", "0") as run:
        output = read_until(run, "Ctrl-C ends it.")
    assert "source library: on\n" in output
    assert "source arxiv: on\n" in output
    assert "source unpaywall: off, sources.unpaywall.email is not set\n" in output
    assert "source landing: off, it needs a VPN, and none is configured\n" in output
    assert "openalex" not in output


@pytest.mark.parametrize(("part", "mode"), [("library", "read"), ("data", "write")])
def test_check_finds_folders_that_are_closed(
    command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch, part: str, mode: str
) -> None:
    """A folder that this user may not use is wrong."""
    monkeypatch.setattr(check.os, "access", lambda path, _: path != folder / "papers")
    ran = command("--check", f"--{part}", folder / "papers")
    assert ran.returncode == 2
    (line,) = [line for line in ran.stdout.splitlines() if " wrong " in line]
    assert line.startswith(part)
    assert mode[:4] in line


@pytest.mark.parametrize("host", ["0.0.0.0", "box.example.org"])
def test_check_with_a_token_from_the_environment(command: Command, host: str) -> None:
    """With SERVICE_TOKEN, other machines may be served; the token is named by its place and not shown."""
    ran = command("--check", "--host", host, SERVICE_TOKEN=SECRET)
    assert ran.returncode == 0
    assert "from SERVICE_TOKEN" in ran.stdout
    assert "unless" not in ran.stdout
    assert SECRET not in ran.stdout


def test_check_goes_beside_a_running_service(folder: Path) -> None:
    """A service that is configured by its file alone runs; --check of the same file finds nothing wrong meanwhile."""
    file = folder / "service.toml"
    with started("serve", "--port", "0", GOFER_CONFIG=str(file)) as run:
        output = read_until(run, "Ctrl-C ends it.")
        assert f"Papers: {folder / 'papers'} (1 paper)\n" in output
        assert f"Records and results: {folder / 'kept'}\n" in output
        url = output[output.index("http://") :].split()[0]
        assert "401 UNAUTHORIZED" in gofer("get", "10.1234/abc", "--to", folder / "x", "--url", url).stderr
        port = url.rpartition(":")[2]
        assert gofer("serve", "--check", "--port", port, GOFER_CONFIG=str(file)).returncode == 0
