"""How the documentation is built: `nox -s docs`, strictly and without a network."""

from __future__ import annotations

import re
import sys
from enum import Enum
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

import attrs
from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.domains.python import PyObject

sys.path.insert(0, str(Path(__file__).parent))

project = "gofer"
author = "the gofer authors"
project_copyright = author
release = version_of("gofer")
version = release

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "machine",
    "command_help",
    "fault_table",
    "declaration_rules",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"gofer {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False

# The button copies the commands of a console block, without their prompts and their output.
copybutton_prompt_text = "$ "
copybutton_line_continuation_character = "\\"

myst_enable_extensions = ["deflist", "fieldlist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
python_use_unqualified_type_names = True
maximum_signature_line_length = 120
napoleon_use_ivar = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
default_role = "name"

PLACES = (
    "gofer",
    "gofer_service",
    "gofer.options",
    "gofer.setup",
    "gofer.wire",
    "gofer.core.commands",
    "gofer.contracts.base",
    "gofer.transports.base",
)
"""Modules whose pages document the public names; the first with a name is linked."""

# Names of other libraries have no page here, and the build asks no other site for theirs.
nitpick_ignore_regex = [
    (r"py:.*", r"(collections|pathlib|os|random|enum|types|typing|contextlib|datetime|abc|threading)(\..*)?"),
    (r"py:.*", r"(httpx|httpx2|tenacity|attrs|attr|anyio|starlette|uvicorn|cattrs)(\..*)?"),
    (r"py:.*", r"(Path|PathLike|Mapping|Sequence|Iterator|Generator|AsyncIterator|AsyncGenerator|Callable|Starlette)"),
    (r"py:.*", r"gofer\.transports\.a?httpx_io\.(Async)?HttpxBody"),
    (r"py:.*", r"(.*\.)?(In|Out|T|In_contra|Unpack|Self|wait_base)"),
    (r"py:.*", r"gofer\.contracts\.declared\.(declaration\.Declaration|shipped\.Kind)"),  # a page, and a class of it
    (r"py:.*", r"gofer\.ticket\.Ticket"),  # users have tickets as text
]


def name_role(
    _name: str, _raw: str, text: str, _line: int, _inliner: Any, _options: Any = None, _content: Any = None
) -> tuple[list[nodes.Node], list[nodes.Node]]:
    """Format a docstring's single backquotes as code, with a link if it is a public name."""
    literal = nodes.literal(text, text, classes=["py"])
    if text == "gofer.errors":
        page = {"refdomain": "std", "reftype": "doc", "reftarget": "/reference/errors", "refexplicit": True}
        return [pending_xref("", literal, **page)], []
    if not re.fullmatch(r"(\w+\.)*[A-Z]\w*(\.\w+)?", text):
        return [literal], []
    return [pending_xref("", literal, refdomain="", reftype="name", reftarget=text)], []


def resolve(app: Any, env: Any, node: Any, contnode: nodes.Node) -> nodes.Node | None:
    """Find the page of a name: signatures have the module that defines it, the pages the public one."""
    target: str = node.get("reftarget", "")
    domain = env.get_domain("py")
    words = target.split(".")
    for place in PLACES:
        for short in (target, words[-1], ".".join(words[-2:])):
            if f"{place}.{short}" in domain.objects:
                name = f"{place}.{short}"
                return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", name, node, contnode)
    return contnode if node.get("reftype") == "name" else None


def plain_signature(
    _app: Any, what: str, _name: str, subject: Any, _options: Any, signature: str | None, returned: str | None
) -> tuple[str | None, str | None] | None:
    """Show the defaults of attrs classes, which their generated code hides, and no arguments for enums."""
    if what != "class" or signature is None:
        return None
    if issubclass(subject, Enum):
        return "", None
    if attrs.has(subject):
        for name, field in attrs.fields_dict(subject).items():
            default = "..." if isinstance(field.default, attrs.Factory) else repr(field.default)
            signature = signature.replace(f"attr_dict['{name}'].default", default)
        signature = signature.replace("= NOTHING", "= ...").replace("=NOTHING", "=...")
    return signature, returned


def setup(app: Any) -> None:
    """Register the role, the resolver and the rest."""
    app.connect("autodoc-process-signature", plain_signature)
    for field in PyObject.doc_field_types:
        if "ivar" in field.names:
            field.label = "Attributes"
    app.add_role("name", name_role)
    app.connect("missing-reference", resolve)
