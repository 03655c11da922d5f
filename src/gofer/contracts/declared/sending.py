"""From a declared call to a request: its address, its headers, its body and how they are encoded. Reads no reply."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode
from xml.sax.saxutils import escape

from gofer.contracts.declared.parts import Call, Templates
from gofer.contracts.declared.templates import Hole, Lookup, Template, fill_value, plain
from gofer.contracts.declared.urls import with_parameter
from gofer.contracts.payload import as_list, as_map
from gofer.errors import UsageError
from gofer.wire import FileInput, Request, Streamed, climbs, may_be_address

RESERVED = ":/?#[]@!$&'()*+,;="
"""What `{+name}` leaves as it is (RFC 3986, section 2.2), and % with it."""


def address(template: Template, lookup: Lookup) -> str:
    """Fill an address: values are percent-encoded, except {base}, links and what it starts with, which are addresses.

    Raises:
        Unfilled: a variable has no value.
        UsageError: a value would change the path.
        UnicodeEncodeError: a value has half a character (a lone surrogate).
    """
    url, base = template.fill(lookup, _for_address, _as_it_is) or "", str(lookup("base"))
    is_link = any(hole.name.startswith("links.") for hole in template.holes)
    if not is_link and url.startswith(base) and climbs(url[len(base) :].partition("?")[0]):
        raise UsageError(f"A value for {template.text!r} has a part that is . or .., which is another address.")
    return base + url[len(base) + 1 :] if url.startswith(f"{base}//") else url  # whether or not a path begins with /


def _as_it_is(text: str, _: Hole) -> str:
    return text


def _for_address(text: str, hole: Hole) -> str:
    if hole.name == "base" or hole.name.startswith("links."):
        return text
    if text.isalnum() and text.isascii():
        return text  # most ids: nothing to encode
    return quote(text, safe=f"{RESERVED}%" if hole.reserved else "")


def build_request(call: Call, url: str, lookup: Lookup, *, seed: str = "", set_later: Container[str] = ()) -> Request:
    """Build the request that a call declares.

    Args:
        call: the declared call.
        url: its address, filled.
        lookup: finds the variables.
        seed: what a multipart boundary is made of, so that every try has the same bytes.
        set_later: the names of the headers that `[every]` sets, so that they get no default here.

    Raises:
        Unfilled: a variable has no value.
        UsageError: the address, or a header's value, cannot be sent.
        UnicodeEncodeError: a value has half a character (a lone surrogate).
    """
    for name, template in call.query.items():
        value = template.fill(lookup)
        url = url if value is None else with_parameter(url, name, value)
    if not may_be_address(url):
        raise UsageError("The address is too long, or has characters that no address may have.")
    headers = dict(call.fixed)
    for name, template in call.varied.items():
        value = template.fill(lookup)
        if value is not None:
            headers[name] = header(name, value)
    method = (call.default_method if call.method is None else call.method.fill(lookup) or call.default_method).upper()
    body, kind = _body(call, lookup, seed)
    if not kind and method == "GET":
        headers.pop("content-type", None)
    if kind and "content-type" not in headers and "content-type" not in set_later:
        headers["content-type"] = kind
    if "accept" not in set_later:
        headers.setdefault("accept", "application/json, application/xml;q=0.9, */*;q=0.8")
    return Request(method, url, headers, body)


def header(name: str, value: str) -> str:
    """Return a header's value; one that could end its line is a `UsageError`."""
    if not value.isascii() or not value.isprintable():
        raise UsageError(f"The value for the header {name!r} has characters that no header may have.")
    return value


def _body(call: Call, lookup: Lookup, seed: str) -> tuple[bytes | Streamed, str | None]:
    if call.json is not None:
        value = fill_value(call.json.pattern, lookup)
        if value is None:
            return b"", None  # the body is one optional variable, without a value
        return json.dumps(value, separators=(",", ":")).encode(), "application/json"
    if call.form is not None:
        fields = {name: value for name, value in _fields(call.form, lookup).items() if value is not None}
        lists = {name: [value] if (many := as_list(value)) is None else many for name, value in fields.items()}
        pairs = [(name, plain(value)) for name, values in lists.items() for value in values]
        return urlencode(pairs).encode(), "application/x-www-form-urlencoded"
    if call.multipart is not None:
        return _multipart(call.multipart, lookup, seed)
    if call.text is not None:
        text = call.text.fill(lookup, lambda value, _: escape(value, {'"': "&quot;"}) if _is_xml(call) else value)
        return (text or "").encode(), "text/xml; charset=utf-8" if _is_xml(call) else "text/plain; charset=utf-8"
    if call.body is not None:
        value = fill_value(call.body, lookup)
        return (b"", None) if value is None else (_joined([_content(value)]), "application/octet-stream")
    return b"", None


def _is_xml(call: Call) -> bool:
    return call.text is not None and call.text.text.lstrip().startswith("<")


def _fields(form: Template | Templates, lookup: Lookup) -> Mapping[str, Any]:
    if isinstance(form, Template):
        fields = None if form.sole is None else as_map(form.sole.value(lookup))
        if fields is None:
            raise UsageError(f"A form is made of a map of fields, and {form.text} is none.")
        return fields
    return {name: fill_value(template, lookup) for name, template in form.items()}


def _multipart(fields: Templates, lookup: Lookup, seed: str) -> tuple[bytes | Streamed, str]:
    boundary = "gofer-" + hashlib.sha256(seed.encode()).hexdigest()[:32]
    pieces: list[bytes | FileInput] = []
    for name, template in fields.items():
        hole = template.sole
        value = fill_value(template, lookup)
        if value is None:
            continue
        if hole is not None and hole.each:
            files = as_map(value)
            if files is None:
                raise UsageError(f"{template.text} is a map of file names and contents, as in {{'a.txt': '…'}}.")
            for filename, content in files.items():
                pieces += _part(boundary, name, _content(content), filename)
        else:
            content = _content(value)
            pieces += _part(boundary, name, content, content.name if isinstance(content, FileInput) else None)
    return _joined([*pieces, f"--{boundary}--\r\n".encode()]), f"multipart/form-data; boundary={boundary}"


def _part(boundary: str, name: str, content: bytes | FileInput, filename: str | None) -> list[bytes | FileInput]:
    named = "" if filename is None else f'; filename="{_quoted(filename)}"'
    kind = "Content-Type: application/octet-stream\r\n" if filename is not None else ""
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"{named}\r\n{kind}\r\n'
    return [head.encode(), content, b"\r\n"]


def _content(value: Any) -> bytes | FileInput:
    """Return what a value is in a body: a path and an open file stand for a file, which is read when it is sent."""
    if isinstance(value, BytesIO):
        return value.getvalue()
    if isinstance(value, Path) or hasattr(value, "read"):
        return FileInput(value)
    return bytes(value) if isinstance(value, bytes | bytearray) else plain(value).encode()


def _joined(pieces: list[bytes | FileInput]) -> bytes | Streamed:
    """Return a body of these pieces, in memory if no file is among them."""
    raw = [piece for piece in pieces if isinstance(piece, bytes)]
    return b"".join(raw) if len(raw) == len(pieces) else Streamed(tuple(pieces))


def _quoted(text: str) -> str:
    """Write a name as browsers do in a part's head (HTML, section 4.10.21.8)."""
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
