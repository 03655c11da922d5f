"""Record the cassettes again, each from a fresh contract server by the blocking client in virtual time.

An unchanged service and client give the same bytes again, so `git diff cassettes` shows what a change did to the
requests and replies.

    python tests/record.py [-k PART_OF_A_NAME]
"""

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from contract_server import contract_server
from replay.test_replay import CONVERSATIONS

HERE = Path(__file__).parent


def record(name: str) -> subprocess.CompletedProcess[str]:
    """Record one conversation with a server of its own."""
    node = f"{HERE / 'replay' / 'test_replay.py'}::test_blocking[{name}]"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--record-mode=rewrite", node]
    # A base of its own: pytest cleans the common one, and two at once disturb each other.
    with contract_server(**CONVERSATIONS[name].server) as url, TemporaryDirectory() as base:
        command.append(f"--basetemp={base}/pytest")
        environment = {**os.environ, "CONTRACT_URL": url}
        return subprocess.run(command, env=environment, cwd=HERE.parent, capture_output=True, text=True, check=False)


def main() -> int:
    """Record the named conversations; return 1 if one did not go as its script says."""
    parser = argparse.ArgumentParser(description="Record the cassettes again.")
    parser.add_argument("-k", default="", metavar="PART", help="only conversations with this in their name")
    asked = parser.parse_args().k
    names = [name for name in CONVERSATIONS if asked in name]
    if not asked:
        for former in (HERE.parent / "cassettes").glob("*.yaml"):
            former.unlink()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = dict(zip(names, pool.map(record, names), strict=True))
    for name, run in runs.items():
        print(f"{'recorded' if run.returncode == 0 else 'FAILED'} {name}")
        if run.returncode:
            print(run.stdout, run.stderr)
    return 0 if runs and not any(run.returncode for run in runs.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
