"""Credentials that change while a job runs: the class that callers derive, what was refused, and who renews.

Nothing here calls a caller's function, or waits: a driver calls it, and the flow that asks for it is in `signing.py`.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Any, Protocol, cast

from attrs import frozen

from gofer.core.slots import Turn
from gofer.errors import GoferError, UsageError
from gofer.wire import Head, Reply, Request

Talk = Generator[Request, Reply, Any] | AsyncGenerator[Any, Reply]
"""Yields requests that gofer sends to get a credential, unsigned, and receives the replies."""

Signer = Callable[..., Request | Awaitable[Request]]
"""A caller's function: it takes a request and returns the signed one. A parameter `refused` gets what was refused."""


class HttpxAuth(Protocol):
    """What is used of an `httpx.Auth` or `httpx2.Auth`."""

    def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        """Yield the requests to send, and receive their responses."""
        ...

    def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
        """Yield the requests to send, and receive their responses."""
        ...


Sign = Callable[[Request, "Refused | None"], object]
"""How the core has a caller's function called; it returns a request, an awaitable of one, or a `Talk` that ends so."""


@frozen
class End:
    """The end of a `Talk`, and what it comes to. An async generator yields it last, as it cannot return a value."""

    value: object


@frozen
class Refused:
    """What the service has refused.

    Attributes:
        request: the request, as it was signed.
        reply: the head of the refusal: its status and headers, as `WWW-Authenticate`.
    """

    request: Request
    reply: Head


class Auth:
    """Credentials that can be renewed: derive a class from it, and pass an object of that class as `auth=`.

    One object may serve many clients, blocking and awaited, in any thread and event loop. However many requests were
    refused, `refresh` runs once for all of them, and their errands wait for it. An exception of these methods counts as
    a request that was not sent: it is tried again within the retry policy. Raise `gofer.Unauthorized` or
    `gofer.UsageError` where that cannot help. `sign` and `refresh` may be coroutines if only awaited clients use the
    object. A copy, also a pickled one, is renewed by itself.
    """

    gofer_renewal: Renewal  # a name that no class of the caller's has

    def __new__(cls, *_: Any, **__: Any) -> Auth:  # a class of the caller's need not call `super().__init__`
        """Make the object, and with it the one place where its errands wait for a renewal."""
        made = super().__new__(cls)
        object.__setattr__(made, "gofer_renewal", Renewal())
        return made

    def __getstate__(self) -> object:
        """Leave out who waits for a renewal: a copy has other credentials from then on."""
        state = super().__getstate__()  # a pair if there are slots too
        kept = {name: value for name, value in vars(self).items() if name != "gofer_renewal"}
        return (kept, cast("tuple[object, object]", state)[1]) if isinstance(state, tuple) else kept

    def sign(self, request: Request) -> Request | Awaitable[Request]:  # noqa: ARG002
        """Return the request, signed with the present credential. It is called before every try."""
        raise UsageError(f"{type(self).__name__} has no method sign(self, request), which every gofer.Auth needs.")

    def refresh(self, refused: Refused | None) -> Talk | Awaitable[None] | None:  # noqa: ARG002
        """Get another credential, for `sign` to use from now on.

        It may do I/O of its own. It may also be a generator that yields requests: gofer sends them over the client's
        own connection, unsigned, and sends the replies back into the generator. That works on both faces.

        Args:
            refused: what the service refused; None where `is_due` asked for the renewal.
        """
        return None

    def is_due(self) -> bool:
        """Tell whether to call `refresh` before the next request: there is no credential yet, or it is about to expire.

        It is called before every request, so it must be quick.
        """
        return False


class RenewalTurn(Turn):
    """An errand that waits until credentials are renewed; with `failure` that has gone wrong."""

    failure: GoferError | None = None


class Renewal:
    """Who renews the credentials of one `Auth`: one errand at a time, for all that wait, first come, first served.

    `count` says how often they were renewed: who was refused with older ones just takes the present ones.
    """

    def __init__(self) -> None:
        self.count = 0
        self.reset()

    def reset(self) -> None:
        """Forget who waits: a fork has none of its parent's errands."""
        self._lock = threading.Lock()  # held for a few steps; another thread may have had the parent's
        self._queue = list[RenewalTurn]()  # the first of them renews

    def queue(self, seen: int) -> RenewalTurn | None:
        """Wait for other credentials than the ones of this count; None if they are there already."""
        turn = RenewalTurn()
        with self._lock:
            if self.count != seen:
                return None
            self._queue.append(turn)
            leads = len(self._queue) == 1
        if leads:
            turn.grant()
        return turn

    def leads(self, turn: RenewalTurn) -> bool:
        """Tell whether the errand of this turn has to renew; if not, another one has done it for all."""
        return turn in self._queue[:1]

    def settle(self, failure: GoferError | None = None) -> None:
        """Note what came of it, and wake all who wait."""
        with self._lock:
            waiting, self._queue = self._queue, []
            self.count += failure is None
        for turn in waiting:
            turn.failure = failure
            turn.grant()

    def give_up(self, turn: RenewalTurn) -> None:
        """Leave the queue; if this turn's errand was to renew, the next one is."""
        with self._lock:
            led = self.leads(turn)
            if turn in self._queue:
                self._queue.remove(turn)
            heirs = self._queue[:1] if led else []
        for heir in heirs:
            heir.grant()
