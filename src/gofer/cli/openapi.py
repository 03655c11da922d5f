"""An OpenAPI document, read as far as a guess needs it: its operations, their answers, and the members of schemas.

Pure, and linear in the document. Whatever has another shape than the specification says is passed over: the document
is somebody else's. References are followed within the document only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from attrs import frozen

from gofer.contracts.payload import as_list, as_map
from gofer.errors import UsageError

METHODS = ("get", "put", "post", "delete", "patch")

MOST = 2_000
"""Operations that are looked at."""

_HOPS = 20
"""References to references that are followed."""

Node = Mapping[str, Any]
_NONE: Node = {}


class Document:
    """One document.

    Raises:
        UsageError: it is no OpenAPI document of version 3.
    """

    def __init__(self, root: object) -> None:
        self.root = as_map(root) or _NONE
        self._members = dict[tuple[int, int], dict[str, Node]]()  # by schema and depth: many operations share one
        version = self.root.get("openapi")
        if not (isinstance(version, str) and version.startswith("3.")):
            raise UsageError(
                "This is no OpenAPI document of version 3: it has no member openapi with such a number. A document of "
                "version 2 (swagger) can be converted with the tools of openapis.org."
            )

    def at(self, value: object) -> Node:
        """Return an object, or the one that its reference points at; an empty one where there is none."""
        for _ in range(_HOPS):
            node = as_map(value) or _NONE
            link = node.get("$ref")
            if not isinstance(link, str):
                return node
            value = self._find(link)
        return _NONE

    def _find(self, link: str) -> object:
        value: object = self.root
        for step in link[2:].split("/") if link.startswith("#/") else ():
            name = step.replace("~1", "/").replace("~0", "~")
            value = (as_map(value) or _NONE).get(name)
        return None if value is self.root else value

    def nodes(self, value: object) -> Iterator[Node]:
        """Yield the objects of a list, references followed."""
        return (self.at(one) for one in (as_list(value) or [])[:MOST])

    @cached_property
    def title(self) -> str:
        """What the API is called."""
        return _text(self.at(self.root.get("info")).get("title"))

    @cached_property
    def servers(self) -> list[str]:
        """The addresses where it is."""
        return [_text(one.get("url")) for one in self.nodes(self.root.get("servers")) if one.get("url")]

    @cached_property
    def operations(self) -> list[Operation]:
        """All of its operations."""
        found: list[Operation] = []
        for path, item in self.at(self.root.get("paths")).items():
            node = self.at(item)
            shared = list(self.nodes(node.get("parameters")))
            for method in METHODS:
                operation = as_map(node.get(method))
                if operation is not None and len(found) < MOST and path.startswith("/"):
                    found.append(Operation(self, method, path, operation, tuple(shared)))
        return found

    def members(self, schema: object, depth: int = 2) -> dict[str, Node]:
        """Return the members of an object's schema, those of its parts (`allOf` and the like) with them."""
        node = self.at(schema)
        seen = self._members.get((id(node), depth))
        if seen is not None:
            return seen
        found = {name: self.at(one) for name, one in self.at(node.get("properties")).items()}
        for part in ("allOf", "anyOf", "oneOf") if depth else ():
            for one in _some(node, part):
                found = {**self.members(one, depth - 1), **found}
        self._members[id(node), depth] = found
        return found

    def words(self, schema: Node) -> list[str]:
        """Return the texts that a schema allows: its `enum`, also of one of its parts."""
        for one in (schema, *(self.at(part) for name in ("anyOf", "oneOf", "allOf") for part in _some(schema, name))):
            values = as_list(one.get("enum")) or []
            if values:
                return [value for value in values if isinstance(value, str)]
        return []


@frozen(eq=False)
class Operation:
    """One operation: its method and its path, and what the document says about it."""

    document: Document
    method: str
    path: str
    node: Node
    shared: tuple[Node, ...]

    def __str__(self) -> str:
        return f"{self.method.upper()} {self.path}"

    @cached_property
    def parameters(self) -> list[Node]:
        """Its parameters."""
        return [*self.shared, *self.document.nodes(self.node.get("parameters"))]

    @cached_property
    def holes(self) -> list[str]:
        """The names in its path, from left to right."""
        return re.findall(r"\{([^{}/]*)\}", self.path)

    @cached_property
    def responses(self) -> Mapping[str, Node]:
        """Its answers by their HTTP codes."""
        found = self.document.at(self.node.get("responses"))
        return {str(code): self.document.at(one) for code, one in found.items()}

    @cached_property
    def success(self) -> Node:
        """The first of its answers that mean success."""
        return next((one for code, one in sorted(self.responses.items()) if code.startswith("2")), _NONE)

    def headers(self, code: str) -> list[str]:
        """Return the headers of an answer."""
        return list(self.document.at(self.responses.get(code, _NONE).get("headers")))

    @cached_property
    def types(self) -> list[str]:
        """The media types of its success."""
        return list(self.document.at(self.success.get("content")))

    @cached_property
    def schema(self) -> Node:
        """The schema of the document that its success is."""
        content = self.document.at(self.success.get("content"))
        kinds = [kind for kind in content if "json" in kind]
        return self.document.at(self.document.at(content[kinds[0]]).get("schema")) if kinds else _NONE

    @cached_property
    def members(self) -> dict[str, Node]:
        """The members of the document that its success is."""
        return self.document.members(self.schema)

    @cached_property
    def is_binary(self) -> bool:
        """Whether its success is a file."""
        if self.schema.get("format") == "binary":
            return True
        return bool(self.types) and not any("json" in kind or kind in ("*/*", "text/html") for kind in self.types)

    @cached_property
    def bodies(self) -> Mapping[str, Node]:
        """The schemas of its body by media type."""
        content = self.document.at(self.document.at(self.node.get("requestBody")).get("content"))
        return {kind: self.document.at(self.document.at(one).get("schema")) for kind, one in content.items()}


def _some(schema: Node, name: str) -> list[Any]:
    return (as_list(schema.get(name)) or [])[:10]


def _text(value: object) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""
