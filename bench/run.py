"""Compare gofer with the code that people write today, in one run, and print one table (`hops` only counts).

python bench/run.py [hops] [imports] [declared] [cpu] [many] [batches] [papers] [lag] [download] [--quick]
"""

import argparse
import importlib
import time

from figures import Figure, table

NAMES = ("hops", "imports", "declared", "cpu", "many", "batches", "papers", "lag", "download")


def main() -> None:
    """Run the named benchmarks, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="name", help=f"one of {', '.join(NAMES)}; all by default")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, smaller files")
    args = parser.parse_intermixed_args()
    unknown = set(args.names) - set(NAMES)
    if unknown:
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}; the names are {', '.join(NAMES)}")
    figures: list[Figure] = []
    for name in args.names or NAMES:
        began = time.monotonic()
        print(f"{name} ...", end=" ", flush=True)
        found = importlib.import_module(name).measure(quick=args.quick)
        print(f"{time.monotonic() - began:.0f} s", flush=True)
        figures += [Figure(f"{name}: {f.name}", f.measured, f.target, f.ok) for f in found]
    print(f"\nmedians of interleaved rounds (least .. greatest)\n\n{table(figures)}")


if __name__ == "__main__":
    main()
