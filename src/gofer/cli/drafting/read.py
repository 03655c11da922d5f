"""What is read of a job, as tables of a page: its start, status, states and result; and its cancellation."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gofer.cli.drafting.choosing import Jobs, job_path, unstarted
from gofer.cli.drafting.openapi import Document, Operation, Place
from gofer.cli.drafting.sent import Names, by_link
from gofer.cli.drafting.texts import Line, Lines, listed, others, pointer, printable, quoted
from gofer.cli.drafting.words import USUAL, meaning, sorted_by_meaning

_ERRORS = ("error", "error_message", "errormessage", "message", "detail", "failure_reason", "exception", "reason")
_PROGRESS = ("progress", "percent", "percentage", "percentcomplete", "percent_complete", "progress_percent")
_URL = re.compile(r"(.*[_-])?(ur[il]|href|link)|\w*U(ri|RI|rl|RL)", re.ASCII)
_NOT_RESULT = re.compile(
    r"self|status|cancel|webhook|callback|thumb|poster|source|input|log|avatar|next|previous", re.I
)
_VALUES = ("result", "results", "output", "outputs", "response", "data", "documents", "artifacts")
_LISTS = re.compile(r"assets|files|outputs?|artifacts|results?|documents", re.I)


def polling(jobs: Jobs, names: Names) -> Lines:
    """Write the start, the status request, and what its answer has."""
    poll, status = jobs.poll, jobs.status
    if jobs.start is not None and status is not None:
        yield from (Line(""), Line("[start]"), Line(f"url = {names.of_job(jobs.start)}"))
        yield Line(f"when = {listed(unstarted(status))}", "that the job waits for this request then")
    yield from (Line(""), Line("[poll]"))
    yield from others(jobs.other_polls)
    if by_link(jobs) and jobs.link is not None:
        yield Line('url = "{links.status}"')
    elif poll is not None:
        yield Line(f"url = {names.of_job(poll)}", "" if jobs.sure_pair else "whether it is about what is submitted")
    else:
        yield Line('url = "{base}/jobs/{id}"', "nothing in the document looks like a status request")
    if poll is None and jobs.link is not None:
        yield Line('codes = { 202 = "running", 200 = "succeeded" }', "if its document has a state, declare [status]")
        yield from (Line(""), Line("[states]"), Line('running = "running"'), Line('succeeded = "succeeded"'))
        return
    waits = [one for one in (poll.parameters if poll else ()) if re.fullmatch("wait(_?seconds)?", str(one.get("name")))]
    if waits and jobs.document.at(waits[0].get("schema")).get("type") in ("number", "integer"):
        yield Line(f'hold = {{ query = {{ {waits[0]["name"]} = "{{hold}}" }} }}', "seconds of a long poll")
    yield from (Line(""), Line("[status]"))
    if poll is None or status is None:
        yield Line('state = "/status"', "where the state is")
        return
    yield Line(f"state = {quoted(pointer(status.place))}", "" if poll.places else "the document does not say")
    if status.is_flag:
        yield Line('absent = "false"')
    yield from _details(jobs.document, poll, status.place, is_flag=status.is_flag)
    if status.is_flag:
        yield from (Line(""), Line("[states]"), Line('running = "false"'), Line('succeeded = "true"'))
    else:
        yield from _states(status.words, described=status.described)


def _details(document: Document, poll: Operation, state: Place, *, is_flag: bool) -> Lines:
    """Write what there is beside the state: the progress, and the error."""
    beside = {one.name.lower(): one for one in reversed(poll.places) if one.way[:-1] == state.way[:-1]}
    progress = next((beside[name] for name in _PROGRESS if name in beside), None)
    if progress is not None and progress.node.get("type") in ("number", "integer"):
        most = progress.node.get("maximum")
        yield Line(f"progress = {quoted(pointer(progress))}")
        if most != 1:
            yield Line("of = 100", "" if most == 100 else "whether 100 or 1 is the end")
    error = next((beside[name] for name in _ERRORS if name in beside), None)
    if error is not None:
        inner = [name for name in ("message", "detail", "description") if name in document.members(error.node)]
        text = quoted(pointer(error) + "".join(f"/{name}" for name in inner[:1]))
        yield Line(f"error = {text}")
        yield from [Line(f"failed = {quoted(pointer(error))}")] if is_flag else []


def _states(words: Sequence[str], *, described: bool) -> Lines:
    if not words:
        yield from (Line(""), Line("[states]", "the document lists none: these are the usual ones"))
        yield from (Line(f"{name} = {listed(many)}") for name, many in USUAL.items())
        return
    yield from (Line(""), Line("[states]"))
    for name, many in sorted_by_meaning(words).items():
        doubts = [printable(word) for word in many if meaning(word) == "unsure"]
        doubt = f"what {', '.join(doubts)} means" if doubts else "from a description" if described else ""
        if many or name == "succeeded":
            yield Line(f"{name} = {listed(many or ['succeeded'])}", doubt if many else "no word looks like it")


def result(jobs: Jobs, names: Names) -> Lines:
    """Write where the result is: at an address of its own, or in the last status."""
    document, poll, asked = jobs.document, jobs.poll, jobs.result
    if asked is not None:
        yield from (Line(""), Line("[result]"))
        yield Line(f"url = {names.of_job(asked)}", "" if jobs.sure_result else "whether it is the result")
        yield from [Line("file = true")] if asked.is_binary else _listed_files(document, asked)
        return
    if poll is None or jobs.submit is None or jobs.status is None:
        return
    sent = {name for schema in jobs.submit.bodies.values() for name in document.members(schema)}
    first = {one.name for one in jobs.submit.places}
    near = [one for one in poll.places if one.way[:-1] == jobs.status.place.way[:-1] and one.name not in sent]
    links = [one for one in near if _URL.fullmatch(one.name) and one.is_text and not _NOT_RESULT.search(one.name)]
    links = [one for one in links if len(one.name) > 4 or one.name not in first]
    value = next((one for name in _VALUES for one in near if one.name.lower() == name), None)
    if links:
        yield from (Line(""), Line("[result.files]"))
        yield Line(f"under = {listed([pointer(one) for one in links[:3]])}", "whether it is the result")
    elif value is not None:
        yield from (Line(""), Line("[result]"), Line(f"value = {quoted(pointer(value))}", "it may be null"))


def _listed_files(document: Document, result: Operation) -> Lines:
    """Write where a result's document lists files: a list or a map whose entries have an address."""
    for place in result.places:
        entry = place.node.get("items", place.node.get("additionalProperties"))
        links = [one.name for one in document.places(entry, 1) if _URL.fullmatch(one.name)] if entry else []
        if links and _LISTS.fullmatch(place.name):
            yield from (Line(""), Line("[result.files]"), Line(f"under = {quoted(pointer(place))}", "files"))
            yield Line(f"url = {quoted(f'/{links[0]}')}")
            return


def cancellation(jobs: Jobs, names: Names) -> Lines:
    """Write the cancellation."""
    cancel, poll = jobs.cancel, jobs.poll
    if cancel is None or poll is None:
        return
    yield from (Line(""), Line("[cancel]"))
    if cancel.method != "delete":
        yield Line(f"method = {quoted(cancel.method.upper())}")
    deletes = cancel.method == "delete" and cancel.path == job_path(poll)
    yield Line(f"url = {names.of_job(cancel)}", "it may throw away the result too" if deletes else "")
