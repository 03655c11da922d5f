"""The options of a client: the type, the default and the documentation of each, once, for all four clients.

`ClientOptions` is the source. `Options` repeats its names and types, because type checkers cannot read keywords from a
class; a test compares the two. What an option's value must be is checked in `gofer.setup`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping
from inspect import Parameter, cleandoc, signature
from typing import Any, Literal, TypedDict, TypeVar

from attrs import define, fields
from tenacity.wait import wait_base

from gofer.core.credentials import Auth, HttpxAuth, Signer
from gofer.core.policies import OnAbandon, Retry
from gofer.transports.base import Listener

Init = TypeVar("Init", bound=Callable[..., None])

Credentials = str | Signer | Auth | HttpxAuth
"""What `auth=` takes."""

TIMEOUT = 30.0
"""Seconds for one request, by default."""


@define(kw_only=True, repr=False, eq=False)
class ClientOptions:
    """The options that all four clients have.

    Attributes:
        timeout: seconds for one request. The `timeout` of a verb is the total of the verb.
        auth: a bearer token; a function that takes a request and returns the signed one (an awaited client awaits what
            it returns); an `httpx.Auth`; or a `gofer.Auth`, which can renew its credentials: `gofer.auth` has some.
            After a refusal it is asked once more. It signs requests to the service's own origin only.
        headers: sent with every request to the service's own origin.
        retry: when to retry a failed submission; by default four tries.
        patience: when to retry a failed poll or download; by default for five minutes of failures in a row. A failure
            that time does not cure, such as a sign-in page, is raised after ten in a row over 10 s or more.
        poll: the polling interval, as a tenacity wait strategy, if the service does not support long polling; by
            default it grows from 0.5 s to 60 s. An unchanged job is polled after 0.25 s at the earliest, and no earlier
            than a Retry-After of the service asks for (120 s at most).
        grace: seconds that a job may stay in a status that the contract does not have; then `BadReply` is raised. By
            default the contract's own: 600 for the retrieval service, and 60 for a declaration that sets none.
        hold: seconds that the service may hold a request (long polling); 0 turns long polling off.
        stall: seconds that a download may pause. It is a pause too if less than 1 KiB arrives in this time.
        on_abandon: what to do with the job after a timeout, Ctrl-C or a cancellation: "cancel", "leave" (the job keeps
            running), or "cancel-if-interrupted" (a timeout leaves it). By default `run` cancels the job, and the verbs
            of a handle leave it.
        verify: "require" refuses a file if the service sent no digest, size or length to check it by.
        encoded: what to do with a file that comes encoded, as by gzip, although gofer asks for it plain: "refuse"
            raises `WrongFile`, "keep" stores it as it comes. A file that is in this encoding by itself, as
            `table.csv.gz` is, is always stored as it is.
        discard: whether to throw a job away at the service after its result was brought, if its contract says how; jobs
            whose files were not downloaded stay.
        allow_hosts: the hosts that links and redirects of the service may lead to, besides its own origin: names
            (`files.example.org`), all names below one (`*.example.org`) and addresses (`10.0.0.7`), on any port. A
            link elsewhere raises `BadReply`, and nothing is sent there. An empty list allows the service's own origin
            only. None allows every host. For a server that must not be led into its own network.
        max_file_bytes: a file with more bytes is refused; by default 1 TiB.
        max_connections: requests that the client may have under way at the same time. At most half of them are held
            (long polling), and some are kept free for submissions and downloads. Further requests wait, within the
            budget of their verb.
        progress: True for a line on a terminal's stderr, or a function that receives events. The service is then asked
            to hold a submission for 1 s at most, so that events arrive early.
        rng: the source of jitter; pass a seeded one in tests.
        new_key: makes the idempotency keys; by default random UUIDs.
    """

    timeout: float = TIMEOUT
    auth: Credentials | None = None
    headers: Mapping[str, str] | None = None
    retry: Retry | None = None
    patience: Retry | None = None
    poll: wait_base | None = None
    grace: float | None = None
    hold: int = 20
    stall: float = 60.0
    on_abandon: OnAbandon | None = None
    verify: Literal["auto", "require"] = "auto"
    encoded: Literal["refuse", "keep"] = "refuse"
    discard: bool = False
    allow_hosts: Collection[str] | None = None
    max_file_bytes: int = 1 << 40
    max_connections: int = 100
    progress: bool | Listener = False
    rng: random.Random | None = None
    new_key: Callable[[], str] | None = None


class Options(TypedDict, total=False):
    """The keywords of every client's constructor, for type checkers: all of `ClientOptions` but `timeout`.

    A subclass with a constructor of its own can pass them on as `**options: Unpack[gofer.Options]`.
    """

    auth: Credentials | None
    headers: Mapping[str, str] | None
    retry: Retry | None
    patience: Retry | None
    poll: wait_base | None
    grace: float | None
    hold: int
    stall: float
    on_abandon: OnAbandon | None
    verify: Literal["auto", "require"]
    encoded: Literal["refuse", "keep"]
    discard: bool
    allow_hosts: Collection[str] | None
    max_file_bytes: int
    max_connections: int
    progress: bool | Listener
    rng: random.Random | None
    new_key: Callable[[], str] | None


def shows_options(init: Init) -> Init:
    """Put every option into the signature and the docstring of a constructor that takes `**options`."""
    taken = signature(init)
    own = [one for one in taken.parameters.values() if one.kind is not Parameter.VAR_KEYWORD]
    more = [
        Parameter(option.name, Parameter.KEYWORD_ONLY, default=option.default, annotation=option.type)
        for option in fields(ClientOptions)
        if option.name not in taken.parameters
    ]
    vars(init)["__signature__"] = taken.replace(parameters=[*own, *more])
    # cleaned, because Python 3.13 strips the indentation of docstrings and its forerunners do not
    entries = cleandoc(ClientOptions.__doc__ or "").partition("Attributes:\n")[2].rstrip()
    init.__doc__ = cleandoc(init.__doc__ or "").replace("    options: see `ClientOptions`.", entries)
    return init


def options_of(face: type, timeout: float, options: Options) -> ClientOptions:
    """Return the options that a constructor was called with.

    Raises:
        TypeError: a keyword is none of them.
    """
    for name in options:
        if name not in Options.__annotations__:
            raise _unexpected(face, name)
    return ClientOptions(timeout=timeout, **options)


def _unexpected(face: type[Any], name: str) -> TypeError:
    """Make the error for a keyword that no option has, with the nearest one that there is."""
    from difflib import get_close_matches  # needed for a mistake only

    nearest = get_close_matches(name, {**Options.__annotations__, **signature(face).parameters}, 1)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    return TypeError(f"{face.__name__}() got an unexpected keyword argument {name!r}.{hint}")
