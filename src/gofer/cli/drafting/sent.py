"""What is sent to submit a job, as tables of a page: variables, what every request carries, the submission."""

from __future__ import annotations

import re

from gofer.cli.drafting.choosing import SURE_LINKS, Jobs, id_of, job_path
from gofer.cli.drafting.openapi import Document, Node, Operation
from gofer.cli.drafting.texts import (
    Line,
    Lines,
    address,
    inline,
    is_name,
    is_type,
    key,
    others,
    pointer,
    printable,
    quoted,
)
from gofer.contracts.declared.variables import OWN

FAMILIES = (
    ("ogc-processes", re.compile(r"/processes/[^/]+/execution$")),
    ("wes", re.compile(r"^(/ga4gh/wes/v\d+)?/runs/\{[^{}]*\}/cancel$")),
    ("openeo", re.compile(r"/udf_runtimes$")),
    ("openai-batches", re.compile(r"/batches/\{[^{}]*\}/cancel$")),
    ("fhir-bulk", re.compile(r"\$export$")),
    ("a2a", re.compile(r"/message:send$")),
)
"""Declarations that gofer includes, and an address by which their services are recognised."""


class Names:
    """What the names in the addresses of a job's operations are: its id, parts of the input, variables of the caller.

    Attributes:
        kept: names that are in the submission's address too, and are kept of the input.
        holes: the others, which are variables.
        parameters: what the later requests must have beside; it is the same for all, so the input is no place for it.
    """

    def __init__(self, jobs: Jobs) -> None:
        later = [one for one in (jobs.poll, jobs.start, jobs.result, jobs.cancel) if one is not None]
        names = dict.fromkeys(name for one in later for name in one.holes[:-1])
        there = set[str]() if jobs.submit is None else {*filter(is_name, jobs.submit.holes)}
        self.kept = [name for name in names if name in there]
        self.holes = [name for name in names if name not in there and is_name(name) and name not in (*OWN, "input")]
        needed = [one for operation in later for one in _needed(operation)]
        self.parameters = {str(one["name"]): one for one in needed}

    def of_job(self, one: Operation) -> str:
        """Write an address about a job: the last name in it is the id; those before are kept, or variables."""
        names = {name: f"values.{name}" for name in self.kept} | {name: name for name in self.holes}
        return address(one, names | dict.fromkeys(one.holes[-1:], "id"))


def _needed(one: Operation) -> list[Node]:
    """Return the parameters that an operation must have, except those in its path and those that gofer sends."""
    own = ("authorization", "accept", "content-type")
    named = [node for node in one.parameters if is_name(node.get("name")) and node.get("required") is True]
    return [node for node in named if node.get("in") in ("query", "header") and str(node["name"]).lower() not in own]


def head(jobs: Jobs) -> Lines:
    """Write the name, and what helps to use the page."""
    document = jobs.document
    name = re.sub(r"[^a-z0-9]+", "-", document.title.lower())[:40].strip("-") or "my-service"
    yield Line(f"name = {quoted(name)}")
    yield Line(f"about = {quoted(f'{document.title[:200]}. Guessed from its OpenAPI document.')}")
    families = [family for family, path in FAMILIES if any(path.search(one.path) for one in document.operations)]
    marks = (one.node.get("x-ms-long-running-operation") is True for one in document.operations)
    for family in [*families, *(["azure-lro"] if any(marks) else [])]:
        yield Line(f"# ? gofer includes a declaration for this family of services: gofer contract show {family}")
    for server in document.servers[:3]:
        yield Line(f"# pass this as the client's url: {printable(server)}")


def every(jobs: Jobs, names: Names) -> Lines:
    """Write the variables, and what every request carries."""
    schemes, doubt = _schemes(jobs)
    variables: dict[str, tuple[str, str]] = dict.fromkeys(
        names.holes, ('{ about = "a part of addresses" }', "where it comes from")
    )
    entries: dict[str, dict[str, str]] = {"query": {}, "headers": {}, "cookies": {}}
    places = {"header": "headers", "query": "query", "cookie": "cookies"}
    for name, scheme in schemes.items():
        if scheme.get("type") == "apiKey" and str(scheme.get("in")) in places and is_name(scheme.get("name")):
            own = "api_key" if "api_key" not in variables else f"api_key_{len(variables)}"
            variables[own] = ("{ secret = true }", doubt)
            entries[places[scheme["in"]]][scheme["name"]] = f"{{{own}}}"
        else:
            kind = printable(str(scheme.get("type")))
            yield Line(f"# {printable(name)} ({kind}): pass auth= with a token, or an object of gofer.auth")
    for name, node in names.parameters.items():
        own, table = re.sub(r"\W", "_", name), entries[places[node["in"]]]
        text, fixed = _default(jobs.document, node)
        if own in (*OWN, "input") or name.lower() in map(str.lower, table):
            continue
        table[name] = text if fixed else f"{{{own}}}"
        if not fixed:
            about = f"{{ default = {quoted(text)} }}" if text else f'{{ about = "the parameter {name}" }}'
            variables.setdefault(own, (about, "what its value is"))
    if variables:
        yield from (Line(""), Line("[variables]"))
        yield from (Line(f"{key(name)} = {text}", why) for name, (text, why) in variables.items())
    if any(entries.values()):
        yield from (Line(""), Line("[every]"))
        yield from (Line(f"{kind} = {inline(one)}") for kind, one in entries.items() if one)


def _schemes(jobs: Jobs) -> tuple[dict[str, Node], str]:
    """Return the security schemes that the submission needs, and the doubt about them."""
    every, security = jobs.document.schemes, None if jobs.submit is None else jobs.submit.security
    if security is None:
        return every, "which security scheme the service wants" if len(every) > 1 else ""
    first = next((one for one in security if one), None)
    return {name: every[name] for name in first or () if name in every}, "one of several" if len(security) > 1 else ""


def _default(document: Document, node: Node) -> tuple[str, bool]:
    """Return the value of a parameter that the document names, and whether there is no other."""
    schema = document.at(node.get("schema"))
    words = document.words(schema)
    value = schema.get("default", words[0] if words else schema.get("example", node.get("example")))
    text = value if isinstance(value, str) and re.fullmatch(r"[\w.:/-]{1,80}", value, re.ASCII) else ""
    return text, bool(text) and len(words) == 1


def submission(jobs: Jobs, names: Names) -> Lines:
    """Write the submission, and where its answer has the job."""
    yield from (Line(""), Line("[submit]"))
    submit = jobs.submit
    if submit is None:
        yield Line('url = "{base}/jobs"', "nothing in the document looks like a submission")
        yield from (Line('json = "{input}"'), Line('id = "/id"'))
        return
    yield from others(jobs.other_submits)
    if submit.method != "post":
        yield Line(f"method = {quoted(submit.method.upper())}")
    yield Line(f"url = {address(submit, {name: f'input.{name}' for name in submit.holes if is_name(name)})}")
    if names.kept:
        yield Line(f"keep = {inline({name: f'{{input.{name}}}' for name in names.kept})}")
    yield from _job_found(jobs, submit)
    yield from _inputs(jobs.document, submit, names)


def _job_found(jobs: Jobs, submit: Operation) -> Lines:
    """Write where the answer to the submission has the job."""
    place = None if jobs.poll is None else id_of(submit, jobs.poll)
    if jobs.link is not None and by_link(jobs):
        yield Line(f"links = {{ status = {quoted(jobs.link)} }}")
    elif jobs.poll is not None and submit.path == job_path(jobs.poll):
        yield Line(f"id = {quoted(f'sent:{submit.method.upper()} ~ ([^/?#]+)/?(?:[?#]|$)')}")
    elif place is not None:
        yield Line(f"id = {quoted(pointer(place))}")
    elif submit.schema.get("type") == "string":
        yield Line('id = ""', "the answer is the id")
    elif jobs.link is not None:
        yield Line(f"id = {quoted(f'{jobs.link} ~ ([^/?#]+)/?(?:[?#]|$)')}")
    else:
        yield Line('id = "/id"', "the document does not say where the job's id is")


def by_link(jobs: Jobs) -> bool:
    """Tell whether the status is asked for at an address of the service's: there is no other way, or a surer one."""
    return jobs.poll is None or jobs.link in SURE_LINKS


def _inputs(document: Document, submit: Operation, names: Names) -> Lines:
    """Write what the submission carries."""
    given = [one for one in submit.parameters if is_name(one.get("name")) and one["name"] not in names.parameters]
    query = [one for one in given if one.get("in") == "query"][:20]
    headers = {str(one["name"]): "{key}" for one in given if one.get("in") == "header" and _is_key(one)}
    keyed = bool(headers)
    headers |= {
        str(one["name"]): f"{{input.{one['name']}}}"
        for one in _needed(submit)
        if one in given and one.get("in") == "header" and not _is_key(one)
    }
    if any(str(one["name"]).lower() == "prefer" and _may_be_async(document, one) for one in given):
        headers["prefer"] = "respond-async"
    kinds = sorted(submit.bodies, key=lambda kind: re.search("json|multipart|form", kind) is None)
    kind = next(iter(kinds), None)
    if kind is not None and not re.search("json|multipart|form", kind):
        headers.setdefault("content-type", kind.partition(";")[0] if is_type(kind) else "application/octet-stream")
    if query:
        yield Line(f"query = {inline({str(one['name']): _input(one) for one in query})}")
    if headers:
        yield Line(f"headers = {inline(headers)}")
    if keyed:
        yield Line("idempotent = true", "the same key gives the same job")
    if kind is not None:
        alone = not (submit.holes or query or any("{input" in text for text in headers.values()))
        yield from _body(document, kind, submit.bodies[kind], alone=alone)


def _body(document: Document, kind: str, schema: Node, *, alone: bool) -> Lines:
    """Write the body: all of the input if it is `alone`, and otherwise the members that the document names."""
    needed = document.required(schema)
    members = {name: one for name, one in document.members(schema).items() if one.get("readOnly") is not True}
    entries = {
        name: f"{{input.{name}{'*' if _is_files(document, one) else ''}{'' if name in needed else '?'}}}"
        for name, one in members.items()
        if is_name(name)
    }
    unsent = ", ".join(printable(name) for name in members if name not in entries)
    if not re.search("json|multipart|form", kind):
        yield Line('body = "{input.body}"', f"a file or bytes: {printable(kind)}")
    elif "json" in kind and alone:
        yield Line('json = "{input}"')
    elif ("json" in kind or "multipart" in kind) and entries:
        table = "json" if "json" in kind else "multipart"
        if len(entries) < 4:
            yield Line(f"{table} = {inline(entries)}", f"not sent: {unsent}" if unsent else "")
        else:
            yield from (Line(""), Line(f"[submit.{table}]", f"not sent: {unsent}" if unsent else ""))
            yield from (Line(f"{key(name)} = {quoted(text)}") for name, text in entries.items())
    elif "json" in kind:
        yield Line('json = "{input.body}"', "the document lists no members: pass them as the member body")
    elif "multipart" in kind:
        yield Line('multipart = { file = "{input.file}" }', "the document lists no fields")
    else:
        yield Line(f'form = "{"{input}" if alone else "{input.form}"}"')


def _input(parameter: Node) -> str:
    return f"{{input.{parameter['name']}{'' if parameter.get('required') is True else '?'}}}"


def _is_key(parameter: Node) -> bool:
    return re.search("idempoten", str(parameter.get("name")), re.I) is not None


def _may_be_async(document: Document, parameter: Node) -> bool:
    """Tell whether a parameter may ask for a job in place of an answer (RFC 7240, section 4.1)."""
    schema = document.at(parameter.get("schema"))
    texts = (*document.words(schema), schema.get("default"), parameter.get("description"), parameter.get("example"))
    return any("respond-async" in text for text in texts if isinstance(text, str))


def _is_files(document: Document, schema: Node) -> bool:
    """Tell whether a field of a form is a list of files; a single one is sent as a part by itself."""
    item = document.at(schema.get("items"))
    return item.get("format") == "binary" or "contentMediaType" in item
