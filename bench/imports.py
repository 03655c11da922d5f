"""`imports`: what `import gofer` costs beyond the packages it stands on. Every import happens in a fresh process."""

import os
import subprocess
import sys
import tempfile
from functools import partial

from figures import Figure, at_most, interleaved, ratios

GROUND = "httpx, attrs, cattrs, tenacity, anyio"


def measure(*, quick: bool) -> list[Figure]:
    """Time the import statements themselves, so that the start of the interpreter flatters no one.

    In CPU time: with the files in memory it is the wall time less what the neighbours on the machine take.
    """
    with tempfile.TemporaryDirectory() as cache:
        # Byte code of both sides is cached there, whatever the environment says: an installed package has its own.
        env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        env["PYTHONPYCACHEPREFIX"] = cache
        variants = {names: partial(_seconds, names, env) for names in (GROUND, "gofer")}
        for variant in variants.values():
            _ = variant()  # fills the cache
        took = interleaved(variants, 7 if quick else 21)
    return [at_most(f"import gofer / import {GROUND}", ratios(took["gofer"], took[GROUND]), 1.25)]


def _seconds(names: str, env: dict[str, str]) -> float:
    code = f"import time; began = time.process_time(); import {names}; print(time.process_time() - began)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    return float(done.stdout)
