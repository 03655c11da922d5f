"""Declarations are a wing of their own: contract classes do without it, and the dialects are shipped with it."""

import subprocess
import sys
from importlib.resources import files

from gofer.contracts.declared import shipped


def test_a_client_of_a_class_does_not_import_declarations() -> None:
    """`import gofer` and a client of the retrieval contract leave the package of declarations alone."""
    code = "import sys, gofer; gofer.Client('http://localhost:1'); print('gofer.contracts.declared' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


def test_every_dialect_beside_the_code_is_shipped() -> None:
    """The `.toml` files of the package are the names that callers can pass."""
    found = {one.name.removesuffix(".toml") for one in files("gofer.contracts.declared").iterdir()}
    assert (
        found
        >= set(shipped.names())
        >= {
            *(
                "a2a",
                "aip-151",
                "azure-lro",
                "fhir-bulk",
                "flower",
                "mcp",
                "ogc-processes",
                "openai-batches",
                "openeo",
                "uws",
                "wes",
            )
        }
    )
