"""From XML bytes to the same plain values that JSON gives, so that one way of pointing reads both.

An element becomes its text where it has nothing else, and else an object: its children by local name (a list where
they repeat), its attributes as `@name`, its own text as `#text`. Namespaces are dropped. Document types are refused,
and with them every entity but XML's own five: nothing here expands or is fetched.
"""

from __future__ import annotations

from typing import Any
from xml.parsers import expat

from attrs import define, field

Value = Any

DEEPEST = 64
"""Elements within elements; a deeper document is refused."""


@define
class _Element:
    name: str
    content: dict[str, Value] = field(factory=dict[str, Any])
    text: list[str] = field(factory=list[str])

    def value(self) -> Value:
        words = "".join(self.text).strip()
        if not self.content:
            return words
        if words:
            self.content["#text"] = words
        return self.content


class _Builder:
    """Builds the tree from expat's events, without recursion."""

    def __init__(self) -> None:
        self.open: list[_Element] = [_Element("")]

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self.open) > DEEPEST:
            raise ValueError(f"more than {DEEPEST} elements within one another")
        local = {f"@{_local(key)}": value for key, value in attributes.items() if not _declares(key)}
        self.open.append(_Element(_local(name), local))

    def end(self, _: str) -> None:
        done = self.open.pop()
        around, value = self.open[-1].content, done.value()
        if done.name not in around:
            around[done.name] = value
        elif isinstance(around[done.name], list):
            around[done.name].append(value)
        else:
            around[done.name] = [around[done.name], value]

    def data(self, text: str) -> None:
        self.open[-1].text.append(text)


def _local(name: str) -> str:
    return name.rpartition(":")[2]


def _declares(name: str) -> bool:
    return name == "xmlns" or name.startswith("xmlns:")


def _refuse(*_: object) -> None:
    raise ValueError("it declares a document type")


def parse(body: bytes) -> tuple[str, Value]:
    """Parse a document into its root's name and the root's value; raise `ValueError` where that cannot be done."""
    parser, builder = expat.ParserCreate(), _Builder()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse
    parser.StartElementHandler, parser.EndElementHandler = builder.start, builder.end
    parser.CharacterDataHandler = builder.data
    try:
        _ = parser.Parse(body, True)
    except (expat.ExpatError, LookupError) as error:  # the second: no such encoding
        raise ValueError(str(error)) from error
    ((name, value),) = builder.open[0].content.items()
    return name, value
