"""Which operations of an OpenAPI document are those of a job: submission, start, status, result, cancellation.

Pure. Every candidate gets points for what it looks like; a submission and a status request are chosen as a pair, since
one answers with what the other asks for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from attrs import frozen

from gofer.cli.drafting.openapi import Document, Operation, Place
from gofer.cli.drafting.words import described, meaning

LINKS = ("operation-location", "azure-asyncoperation", "location", "content-location")
"""Headers with the address of a job, the surest first."""

SURE_LINKS = ("header:operation-location", "header:azure-asyncoperation")
"""Those with nothing else than a job's address."""

_JOB = re.compile(
    r"job|task|run|execut|batch|async|process|predict|export|convert|request|operation|crawl|transcri|render|train|tun|analy[sz]",
    re.I,
)
_NO_JOB = re.compile(
    r"cancel|abort|stop|login|auth|token|webhook|callback|search|health|validat|retry|update|delete|(?<!a)sync\b", re.I
)
_STATE = re.compile(r"(.*[a-z_-])?(status|state|phase|stage)", re.I)
_PLAIN = re.compile(r"((job|task|run)[_-]?)?(status|state|phase|stage)", re.I)
_DONE = re.compile(r"(is_?)?(done|finished|completed?|ready)", re.I)
_ENVELOPE = re.compile(
    r"data|attributes|response|result|body|payload|job|task|run|operation|item|properties|meta", re.I
)
_WATCH = re.compile(r"(status|poll(ing)?|monitor|check)_?(ur[il]|href|link)", re.I)
_STOPS = re.compile(r"(request)?[_-]?(cancel|abort|stop|terminate|dismiss|kill)", re.I)
_STARTS = re.compile(r"(start|run|execute|submit|queue|launch|commit|results)", re.I)
_UNSTARTED = re.compile(r"created|new|draft|initial(ized)?|uploaded|not_?started", re.I)
_OUTCOMES = (
    (6, re.compile(r"results?|outputs?|response", re.I)),
    (5, re.compile(r"transcripts?|reports?|artifacts?|assets?|download|.*results?|(get|fetch|download)[_-].*", re.I)),
    (4, re.compile(r"files?|content|document|images?|videos?|audio|pdf|archive|join", re.I)),
    (2, re.compile(r"data", re.I)),
)
_ASIDE = re.compile(r"logs?|events?|status|history|metadata|inputs?|stream|source|thumbnail|text", re.I)

_BEST_OF = 60
"""Candidates that are looked at in pairs."""


@frozen
class Status:
    """Where an answer has the job's state: the place, the words that it may have there, and how sure that is.

    Attributes:
        place: where.
        words: the words that the document lists.
        points: how much it looks like the state of a job.
        described: whether the words were found in its description only.
    """

    place: Place
    words: Sequence[str]
    points: int
    described: bool = False

    @property
    def is_flag(self) -> bool:
        """Whether it is true or false."""
        return self.place.node.get("type") == "boolean"


@frozen
class Jobs:
    """The operations of a job, as far as they were found; `others` are those that might be meant in their place."""

    document: Document
    submit: Operation | None = None
    poll: Operation | None = None
    status: Status | None = None
    link: str | None = None
    start: Operation | None = None
    result: Operation | None = None
    sure_result: bool = True
    cancel: Operation | None = None
    sure_pair: bool = True
    other_submits: Sequence[Operation] = ()
    other_polls: Sequence[Operation] = ()


def find(document: Document) -> Jobs:
    """Choose the operations of a job."""
    gets = [one for one in document.operations if one.method == "get" and one.holes]
    states = {one: state for one in gets if (state := state_of(one) or _assumed(one)) is not None}
    jobs = {job_path(one) for one in states}
    made = {job.rpartition("/")[0] for job in jobs}  # the paths at which such jobs are made
    polls = _best({one: _as_status(one, state) for one, state in states.items()})
    submits = _best({one: _as_submission(one, jobs, made) for one in document.operations})
    about = {one: _about(document, one) for one in polls}
    pairs: dict[tuple[Operation, Operation], int] = {}
    for poll, points in polls.items():
        cancel = _cancellation_of(about[poll], poll)
        points += _result_of(about[poll], poll) is not None
        points += 0 if cancel is None else 1 if cancel.path == job_path(poll) else 3
        for submit, more in submits.items():
            fits = _fit(submit, poll) if _found_with(submit, poll) else 0
            if fits > 0:
                pairs[submit, poll] = points + more + fits
    if not pairs:
        likely = [one for one, points in submits.items() if points > 2]
        if not likely:
            return Jobs(document)
        stopped = [one for one in polls if _JOB.search(one.path) and _cancellation_of(about[one], one)]
        if not stopped or link_of(likely[0]) is not None:
            return Jobs(document, likely[0], link=link_of(likely[0]), other_submits=likely[1:4])
        pairs[likely[0], stopped[0]] = 0
    submit, poll = max(pairs, key=lambda pair: (pairs[pair], -len(pair[0].path), -len(pair[1].path)))
    ranked = sorted(pairs, key=lambda pair: -pairs[pair])
    starts = [one for one in about[poll] if _is_start(one, poll, states[poll])]
    result = _result_of(about[poll], poll)
    return Jobs(
        document,
        submit,
        poll,
        states[poll],
        link_of(submit),
        next(iter(starts), None),
        result,
        result is None or _outcome(result, poll) > 3,
        _cancellation_of(about[poll], poll, next(iter(starts), None)),
        pairs[submit, poll] > 0,
        [one for one in dict.fromkeys(pair[0] for pair in ranked) if one is not submit][:3],
        [one for one in dict.fromkeys(pair[1] for pair in ranked if pair[0] is submit) if one not in (poll, result)][
            :3
        ],
    )


def job_path(poll: Operation) -> str:
    """Return the path of the job itself, without what comes behind its id."""
    return poll.path[: poll.path.rfind("}") + 1]


def link_of(submit: Operation) -> str | None:
    """Return the selector of the job's address in the answer to a submission."""
    names = [name.lower() for name in submit.headers]
    header = next((f"header:{name}" for name in LINKS if name in names), None)
    return header or next(
        (f"/{one.name}" for one in submit.places if _WATCH.fullmatch(one.name) and len(one.way) == 1), None
    )


def state_of(one: Operation) -> Status | None:
    """Return where an operation's answer has the state of a job, if it has one."""
    found: list[Status] = []
    for place in one.places:
        depth = len(place.way) - 1
        enveloped = all(_ENVELOPE.fullmatch(name) for name in place.way[:-1])
        if _STATE.fullmatch(place.name) and place.is_text:
            words = one.document.words(place.node)
            from_text = [] if words else described(place.node.get("description"))
            meanings = {meaning(word) for word in words or from_text}
            points = 1 + 4 * ("succeeded" in meanings) + 2 * ("failed" in meanings) + bool(words)
            points += 2 * bool(_PLAIN.fullmatch(place.name)) - 2 * depth
            if depth == 0 or (enveloped and points > 0) or points > 4:
                found.append(Status(place, words or from_text, points, bool(from_text)))
        elif depth == 0 and _DONE.fullmatch(place.name) and place.node.get("type") == "boolean":
            found.append(Status(place, (), 2))
    return max(found, key=lambda status: status.points, default=None)


def _assumed(one: Operation) -> Status | None:
    """Return the usual place of the state in an answer that the document does not describe, if it is about a job."""
    about_a_job = not one.places and one.path == job_path(one) and _JOB.search(one.path)
    return Status(Place(("status",), {}), (), 1) if about_a_job else None


def id_of(submit: Operation, poll: Operation | None) -> Place | None:
    """Return where the answer to a submission has the job's id, if it says so: by the name that the poll has for it."""
    hole = _folded(poll.holes[-1]) if poll is not None and poll.holes else "jobid"
    names = (hole, "id", "jobid", "taskid", "runid", "requestid", "uuid", "guid", "sid", "name", "token", "ref")
    places = [one for one in submit.places if one.is_text or one.node.get("type") == "integer"]
    for depth in (1, 2, 3):
        near = [one for one in places if len(one.way) == depth]
        near = [one for one in near if depth == 1 or all(_ENVELOPE.fullmatch(name) for name in one.way[:-1])]
        by_name = {_folded(one.name): one for one in reversed(near)}
        found = next((by_name[name] for name in names if name in by_name), None)
        if found is not None and (depth < 3 or found.name != "name"):
            return found
    return next((one for one in places if _folded(one.name) == hole), None)


def _folded(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


# --- points ---


def _best(points: Mapping[Operation, int]) -> dict[Operation, int]:
    """Return those with points, the best first; of equal ones those with the shortest path."""
    ranked = sorted(points, key=lambda one: (-points[one], len(one.path)))
    return {one: points[one] for one in ranked[:_BEST_OF] if points[one] > 0}


def _as_submission(one: Operation, jobs: set[str], made: set[str]) -> int:
    marked = one.node.get("x-ms-long-running-operation") is True
    if one.method in ("get", "delete") or (one.method == "patch" and not marked):
        return 0
    accepted, link = "202" in one.responses, link_of(one)
    points = 10 * marked + 5 * accepted + 3 * (link is not None) + 2 * (link in SURE_LINKS)
    if one.method == "post":
        points += 2 * (id_of(one, None) is not None) + 2 * (state_of(one) is not None) + 1
        points += 3 * bool(re.search("async", one.path, re.I))
        points += bool(_JOB.search(one.path)) + bool(_JOB.search(one.verb))
    points += 6 * (one.method == "put" and one.path in jobs and state_of(one) is not None)
    parts = one.path.split("/")
    inside = any("/".join(parts[:at]) in jobs for at in range(2, len(parts) + (one.method != "put")))
    inside = inside and one.path.rstrip("/") not in made
    return points - 8 * bool(_NO_JOB.search(one.verb)) - 12 * inside - 3 * (one.node.get("deprecated") is True)


def _as_status(one: Operation, state: Status) -> int:
    last = one.segments[-1]
    if not (last.endswith("}") or re.search("status|state|poll", last, re.I)):
        return 0
    return state.points + bool(_JOB.search(one.path)) + 2 * _asks(one)


def _fit(submit: Operation, poll: Operation) -> int:
    """Return how well a status request asks for what a submission makes."""
    path = job_path(poll)
    place = id_of(submit, poll)
    points = 4 * (place is not None and _folded(place.name) == _folded(poll.holes[-1]))
    points += 4 * bool(submit.schema and submit.schema is poll.schema)
    if path.startswith(f"{submit.path.rstrip('/')}/"):
        points += 5 + 2 * (len(poll.holes) == len(submit.holes) + 1)
    elif path == submit.path:
        points += 5 * (submit.method == "put")
    else:
        at = 0
        while at < min(len(submit.segments), len(poll.segments)) and submit.segments[at] == poll.segments[at]:
            at += 1
        words = {_stem(one) for one in submit.segments} & {_stem(one) for one in poll.segments if "{" not in one}
        points += min(at, 2) * bool(points) + 2 * bool(words - {_stem(one) for one in submit.segments[:at]})
        points += 3 * (link_of(submit) is not None and bool(_JOB.search(poll.path)))
        points += 3 * (_asks(poll) and len(poll.holes) == len(submit.holes) + 1)
    unkept = [name for name in poll.holes[:-1] if name not in submit.holes]
    return points - 3 * len(unkept)


def _asks(poll: Operation) -> bool:
    """Tell whether a path says that it asks for the status."""
    return bool(re.search("status|state|poll", re.sub(r"{[^{}]*}", "", poll.path), re.I))


def _stem(segment: str) -> str:
    return segment.lower().rstrip("s")


def _found_with(submit: Operation, poll: Operation) -> bool:
    """Tell whether the answer to a submission may have what a status request needs."""
    is_put = submit.method == "put" and submit.path == job_path(poll)
    unclear = not submit.places  # a text, or nothing that the document describes
    return is_put or unclear or link_of(submit) is not None or id_of(submit, poll) is not None


# --- what else there is about a job ---


def _about(document: Document, poll: Operation) -> list[Operation]:
    """Return the other operations with the same names in their path."""
    return [one for one in document.operations if one is not poll and one.holes == poll.holes]


def _tail(one: Operation, poll: Operation) -> str | None:
    """Return the one part of a path below the job's; None where there is none, or more."""
    path = job_path(poll)
    tail = one.path[len(path) :].strip("/:") if one.path.startswith(path) else ""
    return tail if tail and "/" not in tail else None


def _is_beside(one: Operation, poll: Operation) -> bool:
    """Tell whether a path ends in the job's id too, as in /status/{id} and /result/{id}."""
    return one.segments[-1] == poll.segments[-1] and "{" in one.segments[-1] and _asks(poll)


def _outcome(one: Operation, poll: Operation) -> int:
    """Return how much an operation looks like the one with a job's result."""
    tail = _tail(one, poll)
    name = tail if tail is not None else one.verb if _is_beside(one, poll) else None
    if name is None or one.method != "get":
        return 0
    points = next((points for points, pattern in _OUTCOMES if pattern.fullmatch(name)), 0)
    unclear = points == 0 and (tail is None or _ASIDE.search(name) or not one.is_binary)
    return 0 if unclear else points + one.is_binary


def _result_of(about: Iterable[Operation], poll: Operation) -> Operation | None:
    ranked = sorted(about, key=lambda one: -_outcome(one, poll))
    return ranked[0] if ranked and _outcome(ranked[0], poll) > 0 else None


def _cancellation_of(about: Sequence[Operation], poll: Operation, start: Operation | None = None) -> Operation | None:
    """Return the operation that stops a job: one named so, the opposite of its start, or the one that deletes it."""
    changing = [one for one in about if one.method != "get"]
    stops = [one for one in changing if _STOPS.match(_tail(one, poll) or "")]
    stops += [one for one in changing if _STOPS.match(one.verb) and _is_beside(one, poll)]
    deletes = [one for one in changing if one.method == "delete"]
    opposite = [one for one in deletes if start is not None and one.path == start.path]
    return next(iter([*stops, *opposite, *(one for one in deletes if one.path == job_path(poll))]), None)


def unstarted(status: Status) -> list[str]:
    """Return the words for a job that has not been started."""
    return [word for word in status.words if _UNSTARTED.fullmatch(word)]


def _is_start(one: Operation, poll: Operation, status: Status) -> bool:
    return one.method == "post" and bool(unstarted(status) and _STARTS.fullmatch(_tail(one, poll) or ""))
