"""Signing a request with what the caller gave as `auth=`, and signing it anew after the service has refused that.

Flows only: a driver calls the caller's function (`Authorise`), which may block or wait. None of it takes a slot of the
client's, so that errands that hold all of them cannot keep each other from a new credential. Whatever goes wrong here,
the request itself was not sent.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from typing import Any, cast

from attrs import evolve, frozen

from gofer.core.commands import Authorise, AwaitTurn, Send
from gofer.core.credentials import Auth, End, Refused, RenewalTurn, Talk
from gofer.core.errand import Errand
from gofer.core.judging import as_document
from gofer.core.run import Flow, ask
from gofer.errors import Abandoned, GoferError, OutOfTime, Unauthorized, Unreachable, UsageError
from gofer.wire import Head, Reply, Request, Streamed, may_be_sent, split

AnyErrand = Errand[Any, Any]

MOST_REQUESTS = 10
"""Requests that one renewal, or one signature, may send."""

ANSWER_CAP = 1 << 20
"""Bytes that are read of the answer to one of them."""

_led = ContextVar[tuple[RenewalTurn, ...]]("led", default=())
"""The turns of the errands that renew around this one: it runs inside their `refresh`, and must not wait for them."""


@frozen
class Signed:
    """A signed request, and how often the credentials had been renewed by then."""

    request: Request
    count: int = 0


def sign(errand: AnyErrand, request: Request, refused: Refused | None = None) -> Flow[Signed]:
    """Sign a request to the service's own origin; a function of the caller's learns what was refused."""
    signer = errand.service.signer
    if not isinstance(signer, Auth):
        assert signer is not None, "nothing to sign with"  # noqa: S101  (a flow out of order)
        return Signed(_checked(errand, (yield from _called(errand, partial(signer, request, refused)))))
    for _ in range(2):
        count = signer.gofer_renewal.count
        signed = yield from _called(errand, partial(_sign_if_current, signer, request))
        if signed is not None:
            return Signed(_checked(errand, signed), count)
        yield from _renew(errand, signer, count, None)
    raise Unreachable("auth= is due for a renewal again, right after one. Nothing was sent.")


def sign_anew(errand: AnyErrand, request: Request, signed: Signed, reply: Head) -> Flow[Request | None]:
    """Sign a request again after its signature was refused; None if it would be the same signature as before."""
    signer, refused = errand.service.signer, Refused(signed.request, reply)
    if isinstance(signer, Auth):
        yield from _renew(errand, signer, signed.count, refused)
    again = (yield from sign(errand, request, refused)).request
    return None if again == signed.request else again


def are_refused(errand: AnyErrand, reply: Head) -> bool:
    """Tell whether a reply says that the credentials are not, or no longer, accepted.

    That is a 401, a 403 that says `invalid_token` (RFC 6750, section 3.1), or what the contract says.
    """
    if reply.status == 401 or (reply.status == 403 and "invalid_token" in reply.headers.get("www-authenticate", "")):
        return True
    if reply.status < 400 or not isinstance(reply, Reply):
        return False
    return errand.contract.refuses_credentials(reply.status, errand.contract.read_problem(reply).error_code)


def _sign_if_current(auth: Auth, request: Request) -> object:
    return None if auth.is_due() else auth.sign(request)


def _renew(errand: AnyErrand, auth: Auth, seen: int, refused: Refused | None) -> Flow[None]:
    """Have other credentials than the ones of the count `seen`: renew them, or wait for the errand that does."""
    renewal, led = auth.gofer_renewal, _led.get()
    if any(renewal.leads(one) for one in led):
        raise UsageError("auth= waits for itself: its refresh uses a client with this same auth=. Nothing was sent.")
    turn = renewal.queue(seen)
    if turn is None:
        return
    try:
        if not (yield from ask(AwaitTurn(turn, errand.deadline))):
            raise errand.late(Unreachable("Nothing was sent: the credentials were being renewed."))
        if turn.failure is not None:
            raise _twin(turn.failure)
        if renewal.leads(turn):
            _ = _led.set((*led, turn))
            try:
                _ = yield from _called(errand, partial(auth.refresh, refused))
            except (Unreachable, Unauthorized, UsageError) as failure:
                if isinstance(failure, Unreachable) and errand.left <= 0:
                    raise errand.late(failure) from failure  # the others may have more time: the next one renews
                renewal.settle(failure)
                raise
            finally:
                _ = _led.set(led)
            renewal.settle()
    finally:
        renewal.give_up(turn)


def _twin(failure: GoferError) -> GoferError:
    """Return the same failure for another errand, which writes on it; a caller's class may have any `__init__`."""
    twin = type(failure).__new__(type(failure))
    twin.args, twin.__cause__ = failure.args, failure.__cause__
    vars(twin).update(vars(failure))
    return twin


def _called(errand: AnyErrand, call: Callable[[], object]) -> Flow[object]:
    """Have the driver call a function of the caller's, and send what it yields; return what it returns."""
    said = yield from _asked(call, errand.deadline)
    if not isinstance(said, Generator | AsyncGenerator):
        return said
    talk = cast("Talk", said)
    try:
        said, sent = (yield from _asked(partial(_next, talk, None))), 0
        while not isinstance(said, End):
            if sent == MOST_REQUESTS:
                raise Unreachable(f"auth= asked for more than {MOST_REQUESTS} requests in a row, so nothing was sent.")
            reply = yield from _exchanged(errand, said)
            said, sent = (yield from _asked(partial(_next, talk, reply))), sent + 1
    except GoferError:  # it may have a lock that the next try needs
        with suppress(Unreachable, Unauthorized, UsageError):
            _ = yield from _asked(partial(_close, talk))
        raise
    return said.value


def _asked(call: Callable[[], object], until: float | None = None) -> Flow[object]:
    """Have the driver call it. Only what says that it cannot succeed is final; any other failure may pass.

    A step of a generator has no `until`: it may have a cancel scope of its own open, and scopes must nest.
    """
    try:
        return (yield from ask(Authorise(call, until)))
    except (UsageError, Unauthorized, Unreachable, Abandoned):
        raise
    except GoferError as error:
        raise Unreachable(f"auth= raised {type(error).__name__}, so nothing was sent.") from error


def _next(talk: Talk, reply: Reply | None) -> object:
    if isinstance(talk, AsyncGenerator):
        return _anext(talk, reply)
    try:
        return talk.send(cast("Reply", reply))  # None starts it
    except StopIteration as end:
        return End(end.value)


def _close(talk: Talk) -> object:
    if isinstance(talk, AsyncGenerator):
        return talk.aclose()
    talk.close()
    return None


async def _anext(talk: AsyncGenerator[Request, Reply], reply: Reply | None) -> object:
    try:
        said = await talk.asend(cast("Reply", reply))
    except StopAsyncIteration:
        return End(None)
    if isinstance(said, End):
        await talk.aclose()
    return said


def _exchanged(errand: AnyErrand, request: object) -> Flow[Reply]:
    """Send a request that `auth=` wants sent, as it is: anonymous, so that no adapter adds its own credentials."""
    if not isinstance(request, Request):
        raise UsageError(f"auth= must yield requests (gofer.Request), not {type(request).__name__}.")
    _check(request)
    if errand.left <= 0:
        raise errand.late()
    command = Send(evolve(request, anonymous=True), min(errand.rules.timeout, errand.left), ANSWER_CAP)
    try:
        return as_document((yield from ask(command)), ANSWER_CAP)
    except (Abandoned, OutOfTime, Unreachable, UsageError):
        raise
    except GoferError as error:
        raise Unreachable(f"The credentials could not be had ({error.message}), so nothing was sent.") from error


def _checked(errand: AnyErrand, signed: object) -> Request:
    if not isinstance(signed, Request):
        raise UsageError(f"auth= must return the signed request, not {type(signed).__name__}.")
    _check(signed)
    if not errand.service.owns(signed.url):
        raise UsageError("auth= has changed the request's origin. A signature is for the service's own origin only.")
    return signed


def _check(request: Request) -> None:
    """Check what a caller's function made, so that no adapter stumbles over it."""
    texts = isinstance(request.method, str) and isinstance(request.url, str)  # pyright: ignore[reportUnnecessaryIsInstance]
    if not texts or not isinstance(request.body, bytes | Streamed):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError("auth= made a request that cannot be sent: its method and url are str, and its body is bytes.")
    _ = split(request.url)
    for name, value in request.headers.items():
        if not may_be_sent(value):
            raise UsageError(f"auth= made a header {name!r} with a character that no header may have (not shown).")
