"""How much the tests see: faults are put into the core and the transports one at a time, and the tests should fail.

    nox -s mutants -- --seed 7 --count 20

A mutant is the source with one small fault: a comparison, a number or a flag that is another one, a condition turned
round, a statement or a returned value that is missing. Texts, annotations, log calls and assertions are left alone. The
sample depends on the seed and the text of each fault only, so a change elsewhere in the source leaves most of it as it
was. Each mutant is made in a copy of the project. The tests that are most likely to see it run first, and the others
only if it lives. A time-out counts as seen, so a run wants a machine of its own, for an hour or two.

`mutants.toml` lists the mutants of the default sample that no test can tell from the source, and why. They are not run.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import hashlib
import itertools
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from attrs import field, frozen

ROOT = Path(__file__).parents[1]
LISTED = ROOT / "tests" / "mutants.toml"
PACKAGES = ("core", "transports")
AT_ONCE = 2
WANTED = 95.0  # per cent of the mutants that can be told apart

MATRIX = "tests/faults/test_matrix.py"  # slow
FIRST = {
    "core": ["tests/core"],
    "transports": ["tests/injection", "tests/drivers/test_quiet.py", "tests/faults/test_disk.py"],
}
THEN = [
    ["tests/injection", "tests/faults/test_targets.py", "tests/contracts/test_folder_targets.py"],
    ["tests/simulation", "tests/replay"],
    ["tests/drivers", "tests/faces"],
    ["tests/contracts"],
    ["tests/faults", f"--ignore={MATRIX}"],
    ["tests/cli", "tests/service", "tests/dialects", "tests/test_any_api.py", MATRIX],
]

_BOUNDARY = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
_OPPOSITE = {ast.Eq: ast.NotEq, ast.Is: ast.IsNot, ast.In: ast.NotIn, ast.Lt: ast.GtE, ast.Gt: ast.LtE}
_OPPOSITE |= {after: before for before, after in _OPPOSITE.items()}
_ARITHMETIC = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.FloorDiv: ast.Mult, ast.BitAnd: ast.BitOr}
_PLAIN = ast.Compare | ast.UnaryOp | ast.Constant  # turned round by a rule of their own


@frozen
class Mutant:
    """One fault: a module and a function in it, its text without and with the fault, and the lines that show it."""

    where: str
    source: bytes = field(repr=False)
    mutated: bytes = field(repr=False)
    before: str
    after: str

    @property
    def identity(self) -> tuple[str, str, str]:
        """What `mutants.toml` knows it by."""
        return self.where, self.before, self.after

    def number(self, seed: int) -> str:
        """Return what the sample is drawn by."""
        return hashlib.sha256(f"{seed} {self.identity}".encode()).hexdigest()

    @property
    def module(self) -> str:
        """The path of its module below `src`."""
        return self.where.partition(" ")[0]

    @property
    def diff(self) -> str:
        """The fault as a diff."""
        texts = (text.decode().splitlines(keepends=True) for text in (self.source, self.mutated))
        return "".join(difflib.unified_diff(*texts, self.module, self.module, n=2))


# --- making mutants ---


def replacements(node: ast.AST) -> Iterator[str]:
    """Return what may stand in a node's place."""
    match node:
        case ast.Compare(left, [operator], right):
            for table in (_BOUNDARY, _OPPOSITE):
                if type(operator) in table:
                    yield f"({ast.unparse(ast.Compare(left, [table[type(operator)]()], right))})"
        case ast.BoolOp(operator, values):
            yield f"({ast.unparse(ast.BoolOp(ast.And() if isinstance(operator, ast.Or) else ast.Or(), values))})"
        case ast.UnaryOp(ast.Not(), operand):
            yield f"({ast.unparse(operand)})"
        case ast.BinOp(left, operator, right) if type(operator) in _ARITHMETIC:
            yield f"({ast.unparse(ast.BinOp(left, _ARITHMETIC[type(operator)](), right))})"
        case ast.Constant(bool()):
            yield str(not node.value)
        case ast.Constant(int() | float()):
            yield repr(node.value + 1)
        case ast.Return(ast.expr()) if not isinstance(node.value, ast.Constant):
            yield "return None"
        case ast.Expr() | ast.Raise() | ast.AugAssign() | ast.Assign([ast.Attribute() | ast.Subscript()]):
            yield "pass"
        case ast.Continue() | ast.Break():
            yield "break" if isinstance(node, ast.Continue) else "continue"


def nodes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Walk through what may be mutated; return each node with the name of the function or class that it is in."""
    match node:
        case ast.JoinedStr() | ast.Assert() | ast.pattern() | ast.Expr(ast.Constant()) | ast.keyword("repr"):
            return
        case ast.Expr(ast.Call(ast.Attribute(ast.Name("_log")))) | ast.If(ast.Name("TYPE_CHECKING")):
            return
        case ast.FunctionDef(name="__repr__") | ast.ClassDef(bases=[ast.Name("Protocol"), *_]):
            return
        case ast.If(test) | ast.While(test) | ast.IfExp(test) if not isinstance(test, _PLAIN):
            yield "", ast.copy_location(ast.UnaryOp(ast.Not(), ast.UnaryOp(ast.Not(), test)), test)  # turned round
    yield "", node
    scope = f".{node.name}" if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) else ""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from ((scope + inner, found) for inner, found in nodes(child))


def mutants_of(path: Path) -> Iterator[Mutant]:
    """Make every mutant of a module."""
    source = path.read_bytes()
    starts = list(itertools.accumulate(map(len, source.splitlines(keepends=True)), initial=0))
    seen = {source}
    for scope, node in nodes(ast.parse(source)):
        for text in replacements(node):
            first, last = starts[node.lineno - 1], starts[node.end_lineno]
            begin, end = first + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset
            mutated = source[:begin] + text.encode() + source[end:]
            if mutated in seen:
                continue
            seen.add(mutated)
            shown = (source[first:last], source[first:begin] + text.encode() + source[end:last])
            before, after = (" ".join(one.decode().split()) for one in shown)
            yield Mutant(f"{path.relative_to(ROOT / 'src')} {scope[1:]}".strip(), source, mutated, before, after)


def every() -> list[Mutant]:
    """Make every mutant of the packages; of those in one function that read alike, one."""
    modules = (path for package in PACKAGES for path in sorted((ROOT / "src" / "gofer" / package).glob("*.py")))
    return list({mutant.identity: mutant for path in modules for mutant in mutants_of(path)}.values())


# --- running the tests ---


class Checkout:
    """A copy of the project in which a mutant is made and tested."""

    def __init__(self, home: Path) -> None:
        self.home = home
        shutil.copytree(ROOT, home, ignore=shutil.ignore_patterns(".*", "__pycache__", "_build"))

    def fails(self, tests: list[str], limit: float | None) -> bool:
        """Tell whether tests fail here, or take more than `limit` seconds."""
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
        if tests not in FIRST.values():
            command += ["-n", "2", "--dist", "worksteal"]
        env = {**os.environ, "PYTHONPATH": str(self.home / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
        unheard = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        with subprocess.Popen(command, cwd=self.home, env=env, start_new_session=True, **unheard) as process:
            try:
                return process.wait(limit) != 0
            except subprocess.TimeoutExpired:
                return True
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)


def limits_of(checkout: Checkout) -> dict[str, float]:
    """Test the source itself, which must pass; return how many seconds each stage may take with a fault in it."""
    limits: dict[str, float] = {}
    for stage in [*FIRST.values(), *THEN]:
        began = time.monotonic()
        if checkout.fails(stage, None):
            raise SystemExit(f"Without any fault, this fails: pytest {' '.join(stage)}")
        limits[str(stage)] = 30.0 + 3 * (took := time.monotonic() - began)
        print(f"Without any fault: {took:.0f} s for {' '.join(stage)}", flush=True)
    return limits


def lives(mutant: Mutant, checkouts: queue.SimpleQueue[Checkout], limits: dict[str, float]) -> bool:
    """Tell whether all tests pass with this fault in the source."""
    checkout = checkouts.get()
    place = checkout.home / "src" / mutant.module
    place.write_bytes(mutant.mutated)
    try:
        stages = [FIRST[place.parent.name], *THEN]
        return not any(checkout.fails(stage, limits[str(stage)]) for stage in stages)
    finally:
        place.write_bytes(mutant.source)
        checkouts.put(checkout)


def main() -> int:
    """Read the command line, test the sample, and print what lived."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=150)
    asked = parser.parse_args()
    made = every()
    alike = {(one["where"], one["before"], one["after"]) for one in tomllib.loads(LISTED.read_text())["alike"]}
    if gone := alike - {mutant.identity for mutant in made}:
        raise SystemExit(f"{LISTED.name} lists mutants that are not made any more: {sorted(gone)}")
    drawn = sorted(made, key=lambda mutant: mutant.number(asked.seed))[: asked.count]
    tested = [mutant for mutant in drawn if mutant.identity not in alike]
    print(f"{len(drawn)} of {len(made)} mutants, seed {asked.seed}; {len(drawn) - len(tested)} cannot be told apart.")
    checkouts: queue.SimpleQueue[Checkout] = queue.SimpleQueue()
    survivors: list[Mutant] = []
    with tempfile.TemporaryDirectory(prefix="gofer-") as home, ThreadPoolExecutor(AT_ONCE) as pool:
        for number in range(AT_ONCE):
            checkouts.put(checkout := Checkout(Path(home) / str(number)))
        limits = limits_of(checkout)
        under_way = {pool.submit(lives, mutant, checkouts, limits): mutant for mutant in tested}
        for number, future in enumerate(as_completed(under_way), 1):
            mutant, alive = under_way[future], future.result()
            survivors += [mutant] * alive
            print(f"{number:4} {'lives ' if alive else 'killed'} {mutant.where}: {mutant.after}", flush=True)

    for mutant in survivors:
        print(f"\n{mutant.diff}", end="")
    share = 100.0 * (1 - len(survivors) / max(1, len(tested)))
    print(f"\n{share:.1f} % of the {len(tested)} that can be told apart were killed; {len(survivors)} lived.")
    return int(share < WANTED)


if __name__ == "__main__":
    sys.exit(main())
