"""The tasks of the project, one session each: `nox -l` lists them, `nox -s tests` runs one.

Every session installs what it needs into an environment of its own; only Python and pip must be installed.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import nox

nox.needs_version = ">=2025.5.1"
nox.options.sessions = ["lint", "types", "tests", "docs"]
nox.options.default_venv_backend = "venv"
nox.options.reuse_venv = "yes"
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # each worker and child process would compile the project again

HERE = Path(__file__).parent
PROJECT = nox.project.load_toml("pyproject.toml")
EVERYTHING = "-e.[cli,service,httpx2]"
WORKERS = ["-n", "6", "--dist", "worksteal"]  # many tests only wait; neighbours share what their file sets up
SPIN = "import os; parent = os.getppid()\nwhile os.getppid() == parent: pass"  # ends also if nox is killed


def groups(*names: str) -> list[str]:
    """The packages of these dependency groups."""
    return nox.project.dependency_groups(PROJECT, *names)


@nox.session
def demo(session: nox.Session) -> None:
    """Run one errand by each face with the embedded service, and one for a paper of the stand-in web."""
    session.install("-q", "-e.[cli,service]")
    session.run("python", "-m", "gofer_service.demo", *session.posargs)
    session.run("python", "-m", "tests.scholarly_web.demo", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the default tests, in less than three minutes: real service, real sockets, cassettes replayed."""
    session.install("-q", EVERYTHING, *groups("tests"))
    session.run("pytest", *([] if session.posargs else WORKERS), *session.posargs)


@nox.session
def busy(session: nox.Session) -> None:
    """Run the default tests beside four busy processes for each processor, which shows verdicts that hang on time."""
    session.install("-q", EVERYTHING, *groups("tests"))
    with ExitStack() as stack:
        for _ in range(4 * (os.cpu_count() or 1)):
            load = stack.enter_context(subprocess.Popen([sys.executable, "-c", SPIN]))
            stack.callback(load.kill)
        session.run("pytest", *([] if session.posargs else WORKERS), *session.posargs)


@nox.session
def faults(session: nox.Session) -> None:
    """Run the widest matrices whole: every fault on all six drivers, more plans and errands than the default tests."""
    session.install("-q", EVERYTHING, *groups("tests"))
    session.env["EVERY_CASE"] = "1"
    wide = [
        "tests/faults/test_matrix.py",
        "tests/faults/test_leaks.py",
        "tests/faces/test_many_at_once.py",
        "tests/simulation",
        "tests/contracts/test_fuzz.py",
        "tests/batch/test_journal.py",
    ]
    session.run("pytest", *([] if session.posargs else WORKERS), *wide, *session.posargs)


@nox.session
def kills(session: nox.Session) -> None:
    """Kill a batch of 500 errands a hundred times with -9, on each face, and the service too: a quarter of an hour."""
    session.install("-q", EVERYTHING, *groups("tests"))
    session.env["MANY_KILLS"] = "1"
    session.run("pytest", *([] if session.posargs else WORKERS), "tests/batch/test_kills.py", *session.posargs)


@nox.session
def simulate(session: nox.Session) -> None:
    """Play a million errands with the model service, in virtual time: `nox -s simulate -- --seed 7`."""
    session.install("-q", EVERYTHING, *groups("tests"))
    session.run("python", "tests/simulation/simulate.py", *session.posargs)


@nox.session
def mutants(session: nox.Session) -> None:
    """Put 150 small faults into the core and the transports, one at a time, and see which ones the tests miss."""
    session.install("-q", EVERYTHING, *groups("tests"))
    session.run("python", "tests/mutants.py", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and layers."""
    session.install("-q", EVERYTHING, *groups("lint", "tests"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports", "--no-cache")
    session.run("shellcheck", "-x", ".ci/run", *map(str, sorted((HERE / "deploy").rglob("*.sh"))))
    # Debian keeps the versions of a release together; a fixed one would be gone with the next security update.
    session.run(
        "hadolint",
        "--ignore",
        "DL3008",
        *map(str, [*HERE.glob("deploy/*/Dockerfile"), *HERE.glob("tests/containers/*/Dockerfile")]),
    )
    session.run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "deploy/compose.yaml")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of src, strictly, twice."""
    session.install("-q", EVERYTHING, *groups("types"))
    session.run("mypy")
    session.run("pyright")


@nox.session
def record(session: nox.Session) -> None:
    """Record every cassette again from a fresh contract server; without a change there is no difference."""
    session.install("-q", EVERYTHING, *groups("tests"))
    session.run("python", "tests/record.py", *session.posargs)
    session.run("git", "diff", "--stat", "--", "cassettes", external=True)


@nox.session
def dialects(session: nox.Session) -> None:
    """Test the dialects with real servers, installed under .nox; `-- --record` records their cassettes again."""
    session.install("-q", EVERYTHING, *groups("tests"))
    session.env["DIALECTS_HOME"] = str(HERE / ".nox" / "dialects-home")
    arguments = list(session.posargs)
    if "--record" in arguments:
        arguments.remove("--record")
        recorder = ["--record-mode=rewrite", "tests/dialects/test_replayed.py::test_blocking"]
        session.run("pytest", "-q", *recorder, *arguments)
        session.run("git", "diff", "--stat", "--", "cassettes/dialects", external=True)
        return
    workers = [] if arguments else ["-n", "4", "--dist", "loadgroup"]
    session.run("pytest", *workers, "tests/dialects/test_live.py", *arguments)


@nox.session
def vpn(session: nox.Session) -> None:
    """Test the service behind a real WireGuard, between network namespaces; it needs root, and tools (tests/vpn)."""
    session.install("-q", EVERYTHING, *groups("tests"))
    session.run("pytest", "-v", "tests/vpn", *session.posargs, env={"VPN_LAB": "1"})


@nox.session
def containers(session: nox.Session) -> None:
    """Build and run the images of deploy/ with podman, by services.sh; it needs root, and tools (tests/containers)."""
    session.install("-q", EVERYTHING, *groups("tests", "containers"))
    session.run("pytest", "-v", "tests/containers", *session.posargs, env={"CONTAINERS": "1"})


@nox.session
def lock(session: nox.Session) -> None:
    """Choose the versions that the service's image is built of anew, with their hashes."""
    session.install("-q", *groups("lock"))
    choose = ["uv", "pip", "compile", "-q", "--upgrade", "--universal", "--python-version", "3.11", "--generate-hashes"]
    choose += ["--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
    folder = HERE / "deploy" / "service"
    session.run(*choose, "--extra", "service", "pyproject.toml", "--output-file", str(folder / "service.lock"))
    with TemporaryDirectory() as scratch:
        wanted = Path(scratch) / "build.in"
        wanted.write_text("\n".join([*PROJECT["build-system"]["requires"], "pip>=25"]))
        session.run(*choose, str(wanted), "--output-file", str(folder / "build.lock"))


@nox.session
def build(session: nox.Session) -> None:
    """Build the sdist and from it the wheel, check both, and run the demo from the wheel, away from the checkout."""
    session.install("-q", *groups("build"))
    dist = HERE / ".nox" / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(dist))
    (sdist,), (wheel,) = dist.glob("*.tar.gz"), dist.glob("*.whl")
    session.run("twine", "check", "--strict", str(sdist), str(wheel))

    with tarfile.open(sdist) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    tracked = str(session.run("git", "ls-files", external=True, silent=True)).splitlines()
    compare(session, sdist, packed - {"PKG-INFO"}, {name for name in tracked if not name.startswith(".ci/")})
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    compare(session, wheel, packed, {name.removeprefix("src/") for name in tracked if name.startswith("src/")})

    with TemporaryDirectory(prefix="gofer-") as outside, session.chdir(outside):
        session.run("python", "-m", "venv", "venv")
        session.run("venv/bin/python", "-m", "pip", "install", "-q", f"{wheel}[cli,service]", external=True)
        session.run("venv/bin/python", "-m", "gofer_service.demo", external=True, env={"PYTHONPATH": None})


def compare(session: nox.Session, archive: Path, packed: set[str], wanted: set[str]) -> None:
    """Fail unless exactly these files are packed."""
    if packed != wanted:
        session.error(f"{archive.name} lacks {sorted(wanted - packed)} and should not have {sorted(packed - wanted)}")
    session.log(f"{archive.name} has its {len(packed)} files and no others.")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into docs/_build; a warning is an error."""
    session.install("-q", EVERYTHING, *groups("docs"))
    shutil.rmtree(HERE / "docs" / "_build", ignore_errors=True)
    session.run("sphinx-build", "-W", "--keep-going", "-n", "-b", "html", "docs", "docs/_build", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Compare gofer with the code that people write today, in one run, and print the ratios."""
    session.install("-q", EVERYTHING, *groups("bench"))
    session.run("python", "bench/run.py", *session.posargs)
