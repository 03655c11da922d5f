"""An OpenAPI document, read as far as a guess needs it: its operations, their answers, and the members of schemas.

Pure, and linear in the document. Whatever has another shape than the specification says is passed over: the document
is somebody else's. References are followed within the document only, and nothing is fetched.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Any
from urllib.parse import unquote

from attrs import frozen

from gofer.contracts.payload import as_list, as_map
from gofer.errors import UsageError

METHODS = ("get", "put", "post", "delete", "patch")

MOST = 2_000
"""Operations that are looked at."""

_PLACES = 200
"""Members of a schema that are looked at, those of its members with them; and of any other object or list."""

_LONGEST = 500
"""Characters of a path and of a reference."""

_HOPS = 20
"""References to references that are followed."""

_NAME = re.compile(r"[\w.@$ -]+", re.ASCII)
"""Names of members that selectors can have."""

Node = Mapping[str, Any]
_NONE: Node = {}


@frozen
class Place:
    """A member of a document: the way to it, and its schema."""

    way: tuple[str, ...]
    node: Node

    @property
    def name(self) -> str:
        """Its own name."""
        return self.way[-1]

    @property
    def is_text(self) -> bool:
        """Whether it may be a text."""
        kinds = as_list(self.node.get("type")) or [self.node.get("type")]
        return "properties" not in self.node and ("string" in kinds or kinds == [None])


class Document:
    """One document.

    Raises:
        UsageError: it is no OpenAPI document of version 3.
    """

    def __init__(self, root: object) -> None:
        self.root, self._members = as_map(root) or _NONE, dict[int, dict[str, Node]]()
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
        for step in link[2:].split("/") if link.startswith("#/") and len(link) <= _LONGEST else ():
            name = unquote(step).replace("~1", "/").replace("~0", "~")
            value = (as_map(value) or _NONE).get(name)
        return None if value is self.root else value

    def nodes(self, value: object) -> Iterator[Node]:
        """Yield the objects of a list, references followed."""
        return (self.at(one) for one in (as_list(value) or [])[:_PLACES])

    def members_of(self, value: object) -> dict[str, Node]:
        """Return the objects in an object, references followed."""
        return {name: self.at(one) for name, one in islice(self.at(value).items(), _PLACES)}

    @cached_property
    def title(self) -> str:
        """What the API is called."""
        return _text(self.at(self.root.get("info")).get("title"))

    @cached_property
    def servers(self) -> list[str]:
        """The addresses where it is, with the defaults of their variables."""
        found: list[str] = []
        for one in self.nodes(self.root.get("servers")):
            address = _text(one.get("url"))
            for name, variable in self.members_of(one.get("variables")).items():
                address = address.replace(f"{{{name}}}", _text(variable.get("default")) or f"{{{name}}}")
            found += [address] if address else []
        return found

    @cached_property
    def operations(self) -> list[Operation]:
        """All of its operations."""
        found: list[Operation] = []
        for path, item in self.at(self.root.get("paths")).items():
            node = self.at(item) if path.startswith("/") and "#" not in path and len(path) <= _LONGEST else _NONE
            for method in METHODS:
                operation = as_map(node.get(method))
                if operation is not None and len(found) < MOST:
                    shared = tuple(self.nodes(node.get("parameters")))
                    found.append(Operation(self, method, path, operation, shared))
        return found

    @cached_property
    def schemes(self) -> dict[str, Node]:
        """The security schemes by name."""
        components = self.at(self.root.get("components"))
        return self.members_of(components.get("securitySchemes"))

    def parts(self, schema: object) -> list[Node]:
        """Return a schema and those that it is made of: `allOf`, `anyOf`, `oneOf`."""
        found, waiting = list[Node](), deque[object]([schema])
        while waiting and len(found) < _HOPS:
            node = self.at(waiting.popleft())
            found.append(node)
            for name in ("allOf", "anyOf", "oneOf"):
                waiting.extend((as_list(node.get(name)) or [])[:_HOPS])
        return found

    def members(self, schema: object) -> dict[str, Node]:
        """Return the members of an object's schema."""
        node = self.at(schema)
        if id(node) not in self._members:  # the root holds every node, so no id is given twice
            found: dict[str, Node] = {}
            for part in self.parts(node):
                found |= {
                    name: one for name, one in self.members_of(part.get("properties")).items() if name not in found
                }
            self._members[id(node)] = found
        return self._members[id(node)]

    def required(self, schema: object) -> set[str]:
        """Return the names of the members that an object must have."""
        names = (name for part in self.parts(schema) for name in (as_list(part.get("required")) or [])[:_PLACES])
        return {name for name in names if isinstance(name, str)}

    def places(self, schema: object, depth: int = 3) -> list[Place]:
        """Return the members of an object's schema and of these, those that are less deep first."""
        found, waiting = list[Place](), deque[tuple[tuple[str, ...], object]]([((), schema)])
        while waiting and len(found) < _PLACES:
            way, node = waiting.popleft()
            inner = [Place((*way, name), one) for name, one in self.members(node).items() if _NAME.fullmatch(name)]
            found += inner
            waiting.extend((one.way, one.node) for one in inner if len(one.way) < depth)
        return found[:_PLACES]

    def words(self, schema: object) -> list[str]:
        """Return the texts that a schema allows: its `enum`, or the constants that it chooses from."""
        several = ([*(as_list(one.get("enum")) or [])[:_PLACES], one.get("const")] for one in self.parts(schema))
        return [*dict.fromkeys(value for values in several for value in values if isinstance(value, str))]


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
        """Its parameters, those of its path first; the others replace these."""
        every = [*self.shared, *self.document.nodes(self.node.get("parameters"))]
        return [*{(str(one.get("in")), str(one.get("name"))): one for one in every}.values()]

    @cached_property
    def segments(self) -> list[str]:
        """The parts of its path."""
        return self.path.strip("/").split("/")

    @cached_property
    def holes(self) -> list[str]:
        """The names in its path, from left to right."""
        return re.findall(r"\{([^{}/]*)\}", self.path)

    @cached_property
    def verb(self) -> str:
        """The last part of its path that is no name in braces; of `/jobs/{id}:cancel` it is `cancel`."""
        return next((bare for one in reversed(self.segments) if (bare := re.sub(r"\{[^{}]*\}:?", "", one))), "")

    @cached_property
    def responses(self) -> dict[str, Node]:
        """Its answers that mean success, by their HTTP codes: first those that are the answer of a job."""
        found = self.document.members_of(self.node.get("responses"))
        return {code: found[code] for code in sorted(found, key=_rank) if code.startswith("2")}

    @cached_property
    def headers(self) -> list[str]:
        """The headers of its success."""
        return [name for one in self.responses.values() for name in self.document.members_of(one.get("headers"))]

    @cached_property
    def content(self) -> dict[str, Node]:
        """Its success by media type."""
        every = (self.document.members_of(one.get("content")) for one in self.responses.values())
        return next((one for one in every if one), dict[str, Node]())

    @cached_property
    def schema(self) -> Node:
        """The schema of the document that its success is."""
        kinds = [kind for kind in self.content if "json" in kind] or [kind for kind in self.content if kind == "*/*"]
        return self.document.at(self.content[kinds[0]].get("schema")) if kinds else _NONE

    @cached_property
    def places(self) -> list[Place]:
        """The members of the document that its success is."""
        return self.document.places(self.schema)

    @cached_property
    def is_binary(self) -> bool:
        """Whether its success is a file."""
        kinds = [kind for kind in self.content if not ("json" in kind or kind in ("*/*", "text/html"))]
        return self.schema.get("format") == "binary" or (bool(kinds) and len(kinds) == len(self.content))

    @cached_property
    def bodies(self) -> dict[str, Node]:
        """The schemas of its body by media type."""
        content = self.document.members_of(self.document.at(self.node.get("requestBody")).get("content"))
        return {kind: self.document.at(one.get("schema")) for kind, one in content.items()}

    @cached_property
    def security(self) -> Sequence[Node] | None:
        """Its alternatives of security schemes; None where the document does not say."""
        value = as_list(self.node.get("security", self.document.root.get("security")))
        return None if value is None else [node for one in value[:_PLACES] if (node := as_map(one)) is not None]


def _rank(code: str) -> str:
    """Order codes: that of a job that is under way, that of one that was made, the others."""
    return {"202": "0", "201": "1"}.get(code, code)


def _text(value: object) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""
