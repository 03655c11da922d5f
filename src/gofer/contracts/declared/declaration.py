"""A declaration: a contract as data, made of the tables in `parts.py`, and what follows from all of them together.

`toml.py` reads a declaration into this shape and `checks.py` checks it. No request is built here, and no reply is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property

from attrs import field, frozen

from gofer.contracts.declared.parts import (
    Answer,
    Call,
    Cancel,
    Discard,
    Every,
    Hold,
    Many,
    Poll,
    Reason,
    Refusal,
    Refusals,
    Result,
    Start,
    States,
    StatusDocument,
    Submit,
    Token,
    Upload,
    Variable,
    templates_of,
)
from gofer.contracts.declared.positions import line_of
from gofer.contracts.declared.selectors import Places, Reading
from gofer.contracts.declared.templates import Hole, Template
from gofer.contracts.faults import Key, dotted
from gofer.errors import BadReply, DeclarationError, NoResult
from gofer.models import State


@frozen
class Declaration:
    """A contract as data."""

    name: str
    submit: Submit
    poll: tuple[Poll, ...]
    about: str = ""
    docs: str = ""
    origins: tuple[str, ...] = ()
    grace: float = 60.0
    variables: Mapping[str, Variable] = field(factory=dict[str, Variable])
    every: Every = field(factory=Every)
    upload: tuple[Upload, ...] = ()
    start: Start | None = None
    status: StatusDocument = field(factory=StatusDocument)
    states: States | None = None
    result: tuple[Result, ...] = ()
    reason: Reason | None = None
    cancel: Cancel | None = None
    answer: Answer | None = None
    discard: Discard | None = None
    token: Token | None = None
    refusal: tuple[Refusal, ...] = ()
    later: Refusals = field(factory=Refusals)
    unauthorized: Refusals = field(factory=Refusals)
    source: str = field(default="", eq=False)
    text: str = field(default="", eq=False, repr=False)

    @property
    def digest(self) -> str:
        """A short hash of what gives a ticket its meaning: where the job's id, links and values were read.

        Everything else may be corrected, and a ticket from before stays valid.
        """
        submit, status = self.submit, self.status
        places = {"id": submit.id, **submit.links, **submit.values, **status.links, **status.values}
        texts = sorted((name, [place.text for place in many]) for name, many in places.items())
        texts += sorted((name, [template.text]) for name, template in submit.keep.items())
        return hashlib.sha256(repr(texts).encode()).hexdigest()[:8]

    @property
    def links(self) -> set[str]:
        """The names of every link and value that replies are read for, as templates write them."""
        links = {f"links.{name}" for name in (*self.submit.links, *self.status.links)}
        return links | {f"values.{name}" for name in (*self.submit.keep, *self.submit.values, *self.status.values)}

    @property
    def input_holes(self) -> Iterator[Hole]:
        """Every hole of the requests that have the input."""
        return (hole for call in (*self.upload, self.submit) for hole in call.holes)

    @cached_property
    def words(self) -> Mapping[str, State]:
        """Every declared word, case folded, and what it means; without `[states]` the words are gofer's own."""
        if self.states is None:
            return {state.value: state for state in State if state is not State.UNKNOWN}
        return {word.casefold(): state for word, state in reversed([*self.states.meanings()])}  # the first one counts

    def meaning(self, word: str) -> State:
        """Return what one of the service's words means, in whatever case it is written."""
        state = self.words.get(word.casefold())
        if state is not None:
            return state
        return State.UNKNOWN if self.states is None or self.states.other is None else State(self.states.other)

    @cached_property
    def proofs(self) -> Places:
        """What in an answer proves that the service holds status requests."""
        return tuple(place for poll in self.poll if poll.hold is not None for place in poll.hold.proof)

    @cached_property
    def holds(self) -> bool:
        """Whether some status request says for how long it may be held."""
        return any(poll.hold is not None or any(hole.name == "hold" for hole in poll.holes) for poll in self.poll)

    @cached_property
    def code_may_succeed(self) -> bool:
        """Whether the code of some status request may mean success, so that its answer may be the file itself."""
        return any(self.meaning(word) is State.SUCCEEDED for poll in self.poll for word in poll.codes.values())

    @cached_property
    def codes(self) -> Mapping[str, Collection[int]]:
        """The HTTP codes that are read on each leg although they are not 2xx."""
        onward = (301, 302, 303)  # the answer to a POST often points at the job
        return {
            "submit": (*self.submit.codes, *self.submit.finished),
            "poll": [code for poll in self.poll for code in poll.codes],
            "result": [code for result in self.result for code in result.codes],
            "start": onward,
            "cancel": (*onward, *(self.cancel.codes if self.cancel else ())),
        }

    def calls(self) -> Iterator[tuple[Key, Call]]:
        """Yield every request with its key, which has a number for one of several status requests or results."""
        for name in ("token", "upload", "submit", "start", "poll", "result", "reason", "cancel", "answer", "discard"):
            part: Call | tuple[Call, ...] | None = getattr(self, name)
            if isinstance(part, tuple):
                yield from (((name, at) if len(part) > 1 else (name,), call) for at, call in enumerate(part))
            elif part is not None:
                yield (name,), part

    def templates(self) -> Iterator[tuple[Key, str, str, Template]]:
        """Yield every template with its key, the place whose variables it has ("poll.hold") and its part ("url")."""
        parts: list[tuple[Key, str, Call | Hold | Every]] = [(("every",), "every", self.every)]
        for key, call in self.calls():
            parts.append((key, str(key[0]), call))
            if isinstance(call, Poll) and call.hold is not None:
                parts.append(((*key, "hold"), "poll.hold", call.hold))
            if isinstance(call, Poll) and call.many is not None:
                parts.append(((*key, "many"), "poll.many", call.many))
            for at, files in call.lists if isinstance(call, Result) else ():
                if files.link is not None:
                    yield (*key, *at, "link"), "result.files.link", "link", files.link
        for key, place, part in parts:
            yield from (((*key, *more), place, str(more[0]), template) for more, template in templates_of(part))

    @cached_property
    def many(self) -> tuple[Key, Many] | None:
        """The look at many jobs, with its key; the first one that there is."""
        looks = (((*key, "many"), call.many) for key, call in self.calls() if isinstance(call, Poll))
        return next(((key, many) for key, many in looks if many is not None), None)

    def key_of(self, call: Call) -> Key:
        """Return the key of a request, or of one that was made of it: both have the same template as `url`."""
        return next(key for key, other in self.calls() if other.url is call.url)

    def fault(self, message: str, *key: str | int) -> DeclarationError:
        """Make the error for a fault at this key."""
        return DeclarationError(message, source=self.source, line=line_of(self.text, key), key=dotted(key))

    def bad_reply(self, message: str, *key: str | int) -> BadReply:
        """Make the error for an answer that does not agree with what is declared at this key."""
        return BadReply(f"{self.place(*key)}: {message}", field=dotted(key))

    def no_result(self, shown: str, *key: str | int) -> NoResult:
        """Make the error for a job that has succeeded and shows nothing for what is declared at this key."""
        return NoResult(f"{self.place(*key)}: the job has succeeded, and {shown}.", field=dotted(key))

    def nothing_found(self, reading: Reading, *key: str | int) -> BadReply:
        """Make the error for an answer in which the selectors at this key find nothing."""
        return self.bad_reply(f"nothing was found in the answer, which has {reading.contents}.", *key)

    def place(self, *key: str | int) -> str:
        """Say where a key is, as in `mine.toml:12: status.state`."""
        line = line_of(self.text, key)
        return f"{self.source}{'' if line is None else f':{line}'}: {dotted(key)}"
