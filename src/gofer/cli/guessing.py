"""A first declaration out of an OpenAPI document: which operation is which, and a page that says where it guessed.

Pure. What is not certain gets the comment `# ?` with the reason; the page is always one that `gofer contract check`
accepts. How an OpenAPI document is read is `openapi.py`'s.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from attrs import frozen

from gofer.cli.openapi import Document, Node, Operation
from gofer.contracts.declared.variables import OWN
from gofer.contracts.payload import as_list

_JOB = re.compile("job|task|run|execut|batch|async|process|predict|export|request|operation|crawl|transcri|order", re.I)
_NOT = re.compile(r"cancel|abort|stop|login|auth|token|webhook|search|/health", re.I)
_LINKS = ("operation-location", "azure-asyncoperation", "location", "content-location")
_IDS = ("job_id", "jobId", "jobID", "id", "task_id", "taskId", "run_id", "runId", "request_id", "uuid", "name")
_STATES = ("status", "state", "phase", "job_status", "jobStatus", "task_status", "lifecycle_state")
_ERRORS = ("error", "error_message", "errorMessage", "message", "detail", "failure_reason", "exception", "reason")
_PROGRESS = ("progress", "percent", "percentage", "percentComplete", "percent_complete")
_OUTCOMES = re.compile(r"^(results?|outputs?|download|files?|content|data|artifacts?|document|report)$", re.I)
_STOPS = re.compile(r"^(cancel|abort|stop|terminate|dismiss|kill)$", re.I)
_MEANINGS = (
    ("succeeded", re.compile("succe|complet|finish|done|ready|available|^ok$", re.I)),
    ("cancelled", re.compile("cancel|abort|dismiss|stopped|terminated|killed|revoked", re.I)),
    ("failed", re.compile("fail|error|invalid|reject|expired|timed?_?out|crash|partial", re.I)),
    ("pending", re.compile("pend|queue|accept|creat|submit|new|initial|waiting|schedul|not_?started|receiv", re.I)),
    ("running", re.compile("^run|running|process|progress|start|active|work|execut|download", re.I)),
)
_ENDING = re.compile(r"(cancel+|abort|stopp|complet|finish|terminat|finaliz)ing", re.I)


@frozen
class Draft:
    """A page, and what of it is a placeholder because nothing in the document looks like it."""

    text: str
    missing: tuple[str, ...]


@frozen
class _Line:
    """A line of the page; `doubt` is why it may be wrong."""

    text: str
    doubt: str = ""

    def __str__(self) -> str:
        return f"{self.text}  # ? {self.doubt}" if self.doubt else self.text


def guess(root: object) -> Draft:
    """Write a first declaration for an OpenAPI document, given as what JSON makes of it.

    Raises:
        UsageError: it is no OpenAPI document of version 3.
    """
    document = Document(root)
    gets = [one for one in document.operations if one.method == "get"]
    submits = _best([one for one in document.operations if one.method != "get"], lambda one: _as_submission(gets, one))
    submit = submits[0] if submits else None
    link = None if submit is None else next((one for one in _headers_of(submit) if one.lower() in _LINKS), None)
    polls = _best(gets, lambda one: _as_status(one, submit, link))
    poll = polls[0] if polls else None
    result, cancel = _result_of(gets, poll), _cancellation_of(document, poll)
    later = [one for one in (poll, result, cancel) if one is not None]
    kept = set[str]() if submit is None or poll is None else {*filter(_is_name, submit.holes)} - {poll.holes[-1]}
    unkept = [name for one in later for name in one.holes[:-1] if name not in kept]
    missing = tuple(
        name for name, there in (("the submission", submit), ("the status request", poll or link)) if there is None
    )
    lines = [
        *_head(document),
        *_security(document, list(dict.fromkeys(filter(_may_be_variable, unkept)))),
        *_submission(document, submit, poll, link, submits[1:4], kept),
        *_status(document, poll, link, polls[1:4], kept),
        *_result(poll, result, kept),
        *_cancellation(cancel, kept),
    ]
    return Draft("\n".join(map(str, lines)).strip() + "\n", missing)


# --- which operation is which ---


def _best(operations: Sequence[Operation], score: Callable[[Operation], int]) -> list[Operation]:
    """Return the operations with a score above 0, the best first; of equal ones the one with the shortest path."""
    scored = sorted(((score(one), one) for one in operations), key=lambda pair: (-pair[0], len(pair[1].path)))
    return [one for points, one in scored if points > 0]


def _as_submission(gets: Sequence[Operation], one: Operation) -> int:
    points = 10 * (one.node.get("x-ms-long-running-operation") is True) + 5 * ("202" in one.responses)
    points += 3 * any(name.lower() in _LINKS for name in _headers_of(one))
    if one.method == "post":
        under = (other for other in gets if _is_below(other.path, one.path))
        points += 4 * any(_found(_STATES, other.members) is not None for other in under)
        points += 2 * (_id_of(one.members) is not None) + 2 * (_found(_STATES, one.members) is not None)
    points += bool(points) * (1 if _JOB.search(one.path) else 0)
    return points - 8 * bool(_NOT.search(one.path))


def _as_status(one: Operation, submit: Operation | None, link: str | None) -> int:
    last = one.path.rsplit("/", 1)[-1]
    if not one.holes or not (last.startswith("{") or re.search("stat|state", last, re.I)):
        return 0
    state = _found(_STATES, one.members)
    points = 0 if state is None else 4 + 3 * bool(one.document.words(one.members[state]))
    if submit is not None and _is_below(one.path, submit.path):
        points += 4 - (len(one.holes) != len(submit.holes) + 1)
    return (points + bool(_JOB.search(one.path))) if points >= (4 if link is None else 5) else 0


def _result_of(gets: Sequence[Operation], poll: Operation | None) -> Operation | None:
    """Return the operation below the status request, or beside it, that gives the result."""
    if poll is None:
        return None
    job = _job_path(poll)
    below = (one for one in gets if one is not poll and _is_below(one.path, job) and one.holes == poll.holes)
    return next((one for one in below if _OUTCOMES.fullmatch(one.path.rsplit("/", 1)[-1])), None)


def _cancellation_of(document: Document, poll: Operation | None) -> Operation | None:
    """Return the operation that stops the job, else the one that deletes it."""
    if poll is None:
        return None
    job = _job_path(poll)
    stops = (one for one in document.operations if one.method != "get" and one.path.startswith(job))
    found = [one for one in stops if _STOPS.fullmatch(one.path[len(job) :].lstrip("/:"))]
    deletes = [one for one in document.operations if one.method == "delete" and one.path == job]
    return next(iter([*found, *deletes]), None)


def _job_path(poll: Operation) -> str:
    """Return the path of the job itself, without what comes behind its id."""
    return poll.path if poll.path.endswith("}") else poll.path.rsplit("/", 1)[0]


def _is_below(path: str, parent: str) -> bool:
    return path.startswith(f"{parent.rstrip('/')}/")


def _headers_of(one: Operation) -> list[str]:
    return [name for code in ("202", "201", "200") for name in one.headers(code)]


def _found(names: Sequence[str], members: Mapping[str, Node]) -> str | None:
    """Return the first of these names that there is, in whatever case."""
    folded = {member.casefold(): member for member in members}
    return next((folded[name.casefold()] for name in names if name.casefold() in folded), None)


def _id_of(members: Mapping[str, Node]) -> str | None:
    return _found(_IDS, members)


# --- the tables ---


def _head(document: Document) -> Iterator[_Line]:
    name = re.sub(r"[^a-z0-9]+", "-", document.title.lower()).strip("-")[:40] or "my-service"
    yield _Line(f"name = {_quoted(name)}")
    yield _Line(f"about = {_quoted(f'{document.title[:200]}. Guessed from its OpenAPI document.')}")
    for server in document.servers[:3]:
        yield _Line(f"# pass this as the client's url: {_printable(server)}")


def _security(document: Document, unkept: Sequence[str]) -> Iterator[_Line]:
    """Write what every request carries, and the variables; `unkept` are parts of addresses that no input has."""
    schemes = document.at(document.at(document.root.get("components")).get("securitySchemes"))
    keys = {name: one for name, one in ((n, document.at(s)) for n, s in schemes.items()) if one.get("type") == "apiKey"}
    for name, scheme in schemes.items():
        kind = document.at(scheme).get("type")
        if kind in ("http", "oauth2", "openIdConnect"):
            yield _Line(f"# {_printable(name)} ({kind}): pass auth= with a token, or an object of gofer.auth")
    places = {"header": "headers", "query": "query", "cookie": "cookies"}
    usable = [one for one in keys.values() if one.get("in") in places and _is_name(one.get("name"))]
    if usable or unkept:
        yield from (_Line(""), _Line("[variables]"))
        yield from (_Line(f'{name} = {{ about = "a part of addresses" }}', "where it comes from") for name in unkept)
    for one in usable[:1]:
        yield _Line("api_key = { secret = true }", "which key the service wants" if len(usable) > 1 else "")
        yield from (_Line(""), _Line("[every]"), _Line(f'{places[one["in"]]} = {{ {one["name"]} = "{{api_key}}" }}'))


def _submission(
    document: Document,
    submit: Operation | None,
    poll: Operation | None,
    link: str | None,
    others: Sequence[Operation],
    kept: Collection[str],
) -> Iterator[_Line]:
    yield from (_Line(""), _Line("[submit]"))
    if submit is None:
        yield _Line('url = "{base}/jobs"', "nothing in the document looks like a submission")
        yield from (_Line('json = "{input}"'), _Line('id = "/id"'))
        return
    yield from _others(others)
    if submit.method != "post":
        yield _Line(f"method = {_quoted(submit.method.upper())}")
    yield _Line(f"url = {_address(submit, {name: f'input.{name}' for name in submit.holes if _is_name(name)})}")
    yield from _inputs(document, submit)
    name = _id_of(submit.members)
    if poll is not None:
        hole = poll.holes[-1]
        name = _found((hole, *_IDS), submit.members)
        pairs = [f'{name} = "{{input.{name}}}"' for name in sorted(kept)]
        if pairs:
            yield _Line(f"keep = {{ {', '.join(pairs)} }}")
    if link is not None and poll is None:
        yield _Line(f'links = {{ status = "header:{link.lower()}" }}')
    elif name is not None:
        yield _Line(f"id = {_quoted(_pointer(name))}", "" if submit.schema else "the document does not say")
    elif link is not None:
        yield _Line(f"id = {_quoted(f'header:{link.lower()} ~ ([^/?#]+)/?$')}")
    else:
        yield _Line('id = "/id"', "the document does not say where the job's id is")


def _inputs(document: Document, submit: Operation) -> Iterator[_Line]:
    """Write what the submission carries."""
    query = [_entry(one) for one in submit.parameters if one.get("in") == "query" and _is_name(one.get("name"))]
    if query:
        yield _Line(f"query = {{ {', '.join(query[:20])} }}")
    keys = [one for one in submit.parameters if re.search("idempoten", str(one.get("name")), re.I)]
    if keys and keys[0].get("in") == "header":
        yield _Line(f'headers = {{ {_key(str(keys[0]["name"]))} = "{{key}}" }}')
        yield _Line("idempotent = true", "the same key gives the same job")
    for kind, schema in submit.bodies.items():
        needed = as_list(schema.get("required")) or []
        names = [name for name in document.members(schema) if _is_name(name)]
        entries = [f'{_key(name)} = "{{input.{name}{"" if name in needed else "?"}}}"' for name in names]
        if "json" in kind and (not submit.holes or not entries or len(entries) > 20):
            yield _Line('json = "{input}"', "the input has members that are in the address too" if submit.holes else "")
        elif "json" in kind or "multipart" in kind:
            table = "json" if "json" in kind else "multipart"
            yield from [_Line(f"{table} = {{ {', '.join(entries)} }}")] if entries else [_Line('json = "{input}"')]
        elif "form" in kind:
            yield _Line('form = "{input}"')
        else:
            continue
        return


def _entry(parameter: Node) -> str:
    name = str(parameter["name"])
    return f'{_key(name)} = "{{input.{name}{"" if parameter.get("required") is True else "?"}}}"'


def _status(
    document: Document, poll: Operation | None, link: str | None, others: Sequence[Operation], kept: Collection[str]
) -> Iterator[_Line]:
    yield from (_Line(""), _Line("[poll]"))
    if poll is None and link is not None:
        yield _Line('url = "{links.status}"')
        yield _Line('codes = { 202 = "running", 200 = "succeeded" }', "if its document has a state, declare [status]")
        yield from (_Line(""), _Line("[states]"), _Line('running = "running"'), _Line('succeeded = "succeeded"'))
        return
    if poll is None:
        yield _Line('url = "{base}/jobs/{id}"', "nothing in the document looks like a status request")
        yield from (_Line(""), _Line("[status]"), _Line('state = "/status"', "where the state is"))
        return
    yield from _others(others)
    yield _Line(f"url = {_of_job(poll, kept)}")
    yield from (_Line(""), _Line("[status]"))
    members, state = poll.members, _found(_STATES, poll.members)
    yield _Line(f"state = {_quoted(_pointer(state or 'status'))}", "" if state else "the document does not say")
    progress = _found(_PROGRESS, members)
    if progress is not None:
        most = members[progress].get("maximum")
        yield _Line(f"progress = {_quoted(_pointer(progress))}")
        if most != 1:
            yield _Line("of = 100", "" if most == 100 else "whether 100 or 1 is the end")
    error = _found(_ERRORS, members)
    if error is not None:
        inner = _found(("message", "detail", "description"), document.members(members[error]))
        yield _Line(f"error = {_quoted(_pointer(error) + ('' if inner is None else _pointer(inner)))}")
    yield from _states(document.words(members[state]) if state else [])


def _states(words: Sequence[str]) -> Iterator[_Line]:
    if not words:
        yield _Line("# ? the document lists no states: without [states] they are gofer's own, such as succeeded")
        return
    sorted_: dict[str, list[str]] = {"pending": [], "running": [], "succeeded": [], "failed": [], "cancelled": []}
    unsure: list[str] = []
    for word in dict.fromkeys(words):
        meaning = next((name for name, pattern in _MEANINGS if pattern.search(word)), None)
        if word.casefold() in {other.casefold() for many in sorted_.values() for other in many}:
            continue
        unsure += [word] if meaning is None else []
        sorted_["running" if meaning is None or _ENDING.search(word) else meaning].append(word)
    yield from (_Line(""), _Line("[states]"))
    for name, many in sorted_.items():
        if many or name == "succeeded":
            doubts = [word for word in many if word in unsure]
            yield _Line(
                f"{name} = [{', '.join(map(_quoted, many or ['succeeded']))}]",
                f"what {_printable(', '.join(doubts))} means" if doubts else "" if many else "no word looks like it",
            )


def _result(poll: Operation | None, result: Operation | None, kept: Collection[str]) -> Iterator[_Line]:
    if result is not None:
        yield from (_Line(""), _Line("[result]"), _Line(f"url = {_of_job(result, kept)}"))
        if result.is_binary:
            yield _Line("file = true")
        return
    members = {} if poll is None else poll.members
    links = [name for name in members if re.search("result|output|download|file", name, re.I)]
    links = [name for name in links if re.search("ur[il]|href|link", name, re.I)]
    value = next((name for name in members if _OUTCOMES.fullmatch(name)), None)
    if links:
        yield from (_Line(""), _Line("[result.files]"), _Line(f"under = {_quoted(_pointer(links[0]))}", "it is a file"))
    elif value is not None:
        yield from (_Line(""), _Line("[result]"), _Line(f"value = {_quoted(_pointer(value))}", "it may be null"))


def _cancellation(cancel: Operation | None, kept: Collection[str]) -> Iterator[_Line]:
    if cancel is None:
        return
    yield from (_Line(""), _Line("[cancel]"))
    if cancel.method != "delete":
        yield _Line(f"method = {_quoted(cancel.method.upper())}")
    deletes = cancel.path.endswith("}")
    yield _Line(f"url = {_of_job(cancel, kept)}", "it may throw away the result too" if deletes else "")


def _others(others: Sequence[Operation]) -> Iterator[_Line]:
    if others:
        yield _Line(f"# ? or {', '.join(_printable(str(one)) for one in others)}")


# --- texts ---


def _of_job(one: Operation, kept: Collection[str]) -> str:
    """Write an address about a job: the last name in it is the id; those before are kept with the job, or variables."""
    names = {name: f"values.{name}" if name in kept else name for name in one.holes[:-1] if _is_name(name)}
    return _address(one, names | dict.fromkeys(one.holes[-1:], "id"))


def _address(one: Operation, names: Mapping[str, str]) -> str:
    """Write an address as a template; a name that no variable can have, and any other brace, stands as it is."""
    parts: list[str] = []
    for text in re.split(r"(\{[^{}/]*\})", one.path):
        name = names.get(text[1:-1]) if text.startswith("{") else None
        parts.append(text.replace("{", "{{").replace("}", "}}") if name is None else f"{{{name}}}")
    return _quoted("{base}" + "".join(parts))


def _may_be_variable(name: str) -> bool:
    return _is_name(name) and name not in (*OWN, "input")


def _is_name(name: object) -> bool:
    return isinstance(name, str) and re.fullmatch(r"[A-Za-z_][\w-]*", name, re.ASCII) is not None


def _pointer(name: str) -> str:
    return "/" + name.replace("~", "~0").replace("/", "~1")


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _quoted(name)


def _quoted(text: str) -> str:
    """Write a text as TOML does, which takes what JSON writes."""
    return json.dumps(_printable(text), ensure_ascii=False).replace("\x7f", "")


def _printable(text: str) -> str:
    plain = text.encode(errors="replace").decode()
    return "".join(sign for sign in plain if sign.isprintable())
