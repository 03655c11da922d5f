"""`imports`: the CPU time of `import gofer`, compared with the packages that it imports, each in a fresh process."""

import os
import subprocess
import sys
import tempfile
from functools import partial

from figures import Figure, at_most, interleaved, ratios

DEPENDENCIES = "httpx, attrs, cattrs, tenacity, anyio"


def measure(*, quick: bool) -> list[Figure]:
    """Compare the CPU time of the import statements only, without the start of the interpreter."""
    with tempfile.TemporaryDirectory() as cache:
        # The byte code of both is cached there, whatever the environment says, as for an installed package.
        env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        env["PYTHONPYCACHEPREFIX"] = cache
        variants = {names: partial(_seconds, names, env) for names in (DEPENDENCIES, "gofer")}
        for variant in variants.values():
            _ = variant()  # fills the cache
        took = interleaved(variants, 7 if quick else 21)
    return [at_most(f"import gofer / import {DEPENDENCIES}", ratios(took["gofer"], took[DEPENDENCIES]), 1.25)]


def _seconds(names: str, env: dict[str, str]) -> float:
    code = f"import time; began = time.process_time(); import {names}; print(time.process_time() - began)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    return float(done.stdout)
