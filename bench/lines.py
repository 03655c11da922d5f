"""Count the lines of code in src, per package, and list every file of more than 400 lines in all.

python bench/lines.py [--per-file] [src]

A line of code is not blank and has a token other than a comment. Lines inside a string count too, except blank ones.
Strings that are a statement of their own do not count: docstrings, and those below an attribute.
"""

import argparse
import ast
import tokenize
from pathlib import Path

SRC = Path(__file__).parents[1] / "src"
LONG = 400
NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "src", nargs="?", type=Path, default=SRC, help="the folder of the packages; the project's src by default"
    )
    parser.add_argument("--per-file", action="store_true", help="print a row for every file")
    args = parser.parse_args()
    print("   code   lines")
    total = 0
    for package in sorted(place.parent for place in args.src.glob("*/__init__.py")):
        counts = {file: counted(file) for file in sorted(package.rglob("*.py"))}
        code, lines = (sum(column) for column in zip(*counts.values(), strict=True))
        total += code
        print(f"{code:7,} {lines:7,}  {package.name}, {len(counts)} files")
        for file, (code, lines) in counts.items():
            if args.per_file or lines > LONG:
                print(f"{code:7,} {lines:7,}    {file.relative_to(args.src)}{'  LONG' * (lines > LONG)}")
    print(f"{total:7,}          in total")


def counted(file: Path) -> tuple[int, int]:
    """Return a file's lines of code, and all its lines."""
    with tokenize.open(file) as text:
        source = text.read()
    written = source.splitlines()
    code: set[int] = set()
    for token in tokenize.generate_tokens(iter(source.splitlines(keepends=True)).__next__):
        if token.type not in NO_CODE:
            code.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            code.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return sum(1 for number in code if written[number - 1].strip()), len(written)


if __name__ == "__main__":
    main()
