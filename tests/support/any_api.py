"""The pieces of the pages on any API: their declarations, and a service and a client to try them with."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from gofer import Client
from gofer.contracts.declared.contract import DeclaredContract
from gofer.contracts.declared.shipped import declared
from gofer.contracts.declared.toml import parse

PAGES = Path(__file__).parents[2] / "docs" / "howto"
TUTORIAL = (PAGES / "any-api.md").read_text(encoding="utf-8")
EXAMPLE = TUTORIAL.split("## The example", 1)[1]
COOKBOOK = (PAGES / "any-api-cookbook.md").read_text(encoding="utf-8")


def fenced(kind: str, text: str) -> list[str]:
    """Return the blocks of one kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


SMALLEST = fenced("toml", COOKBOOK)[0]
RECIPES = dict(re.findall(r"^### ([^\n]+)\n(?:(?!^##).)*?^```toml\n(.*?)^```$", COOKBOOK, re.DOTALL | re.MULTILINE))
_NONE = r"^### ([^\n]+)\n(?:(?!^##|^```toml).)*?contract=\"(.+?)\""
INCLUDED = dict(re.findall(_NONE, COOKBOOK, re.DOTALL | re.MULTILINE))
"""The recipes that write no declaration, but use one that is included."""


def merged(recipe: str) -> str:
    """Replace tables of the smallest declaration by a recipe's."""
    theirs = set(re.findall(r"^\[+(\w+)", recipe, re.MULTILINE))
    head, *tables = re.split(r"^(?=\[)", SMALLEST, flags=re.MULTILINE)
    kept = [table for table in tables if table[1:].split("]")[0] not in theirs]
    return head + "\n".join((*kept, recipe))


class Script:
    """A service that expects these requests in this order, and gives these answers."""

    def __init__(self, *exchanges: tuple[str, httpx.Response]) -> None:
        self.left, self.requests = list(exchanges), list[httpx.Request]()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        self.requests.append(request)
        wanted, answer = self.left.pop(0)
        assert f"{request.method} {request.url.raw_path.decode()}" == wanted
        return answer


def reply(status: int = 200, body: Any = None, **headers: str) -> httpx.Response:
    """Make an answer: bytes and text as they are, anything else as JSON."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is None or isinstance(body, bytes | str):
        return httpx.Response(status, content=body, headers=named)
    return httpx.Response(status, json=body, headers=named)


ONE, DONE = {"id": "1"}, {"id": "1", "status": "succeeded"}
MADE, ENDED = ("POST /jobs", reply(201, ONE)), ("GET /jobs/1", reply(200, DONE))
XML = {"content_type": "application/xml"}
WPS = """<w:ExecuteResponse xmlns:w="http://www.opengis.net/wps/1.0.0" statusLocation="/statuses/1.xml">
<w:Status creationTime="2026-01-01T00:00:00Z">{}</w:Status><w:ProcessOutputs><w:Output><w:Identifier>out</w:Identifier>
<w:LiteralData dataType="integer">42</w:LiteralData></w:Output></w:ProcessOutputs></w:ExecuteResponse>"""

ORDERS: dict[str, dict[str, Any]] = {
    "WPS 1.0: the link is an XML attribute": {"process": "add", "inputs": "a=1;b=2"},
    "GraphQL": {"region": "Utopia"},
    "Call a tool of an MCP server as a job": {"tool": "analyze", "arguments": {"dataset": "penguins"}},
    "The request body is XML": {"what": "a < b"},
    "Files are uploaded with the submission": {"params": {"n": 1}, "files": {"a.txt": "text", "b.bin": b"\x00"}},
    "A file is the body": {"name": "report", "file": Path(__file__)},
    "The file is uploaded first": {"name": "report", "file": Path(__file__)},
}


def client_of(title: str, service: Callable[[httpx.Request], httpx.Response]) -> Client[Any, Any]:
    """Make a client of a recipe."""
    if title in INCLUDED:
        declaration = declared(INCLUDED[title], None).declaration
    else:
        declaration = parse(merged(RECIPES[title]), f"{title}.toml")
    secrets = {name: "s3cret" for name, variable in declaration.variables.items() if variable.default is None}
    contract = DeclaredContract(declaration, secrets)
    transport = httpx.MockTransport(service)
    return Client("http://jobs.test", contract=contract, transport=transport, new_key=lambda: "k-1")
