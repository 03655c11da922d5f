"""What both faces do with their arguments before anything is sent: they check them and make the `Service` from them.

No I/O here, and nothing that only one face needs. The options themselves are in `gofer.options`.
"""

from __future__ import annotations

import inspect
import math
import os
import random
import re
import uuid
import weakref
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from attrs import evolve
from tenacity.stop import stop_after_attempt, stop_after_delay
from tenacity.wait import wait_fixed

from gofer.contracts.base import Contract
from gofer.contracts.retrieve import RetrieveContract
from gofer.core.credentials import Auth, HttpxAuth, Refused, Renewal, Sign, Signer
from gofer.core.deliver import Only
from gofer.core.hosts import pattern
from gofer.core.names import FORMAT, JOB_ID, filled, safe_name
from gofer.core.policies import OnAbandon, Retry, Rules, wait_full_jitter, wait_retry_after, wait_share
from gofer.core.service import Service
from gofer.core.slots import Slots
from gofer.core.target import Target
from gofer.errors import UsageError
from gofer.options import ClientOptions, Credentials
from gofer.transports.base import Listener
from gofer.wire import Request, base_url, may_be_sent

if TYPE_CHECKING:
    from typing_extensions import TypeVar  # only this one has defaults before Python 3.13 (PEP 696)

    In = TypeVar("In", default=Any)
    Out = TypeVar("Out", default=Any)
else:
    from typing import TypeVar

    In = TypeVar("In")
    Out = TypeVar("Out")

RETRIEVE = RetrieveContract()
"""The contract of a client without `contract=`."""

_SHARED = weakref.WeakSet[Slots | Renewal]()

if hasattr(os, "register_at_fork"):  # a child has none of its parent's requests, and nobody there renews for it
    os.register_at_fork(after_in_child=lambda: [each.reset() for each in _SHARED])

HEALTH_SECONDS = 5.0
"""Seconds that a health check may take in total."""


def random_key() -> str:
    """Make an idempotency key from the operating system's random source: forked processes never share one."""
    return str(uuid.uuid4())


def service_of(
    url: str, contract: Contract[In, Out], options: ClientOptions, *, awaited: bool = False
) -> Service[In, Out]:
    """Check a client's options and make the service from them, or raise `UsageError`."""
    rng = random.Random() if options.rng is None else options.rng  # noqa: S311  (jitter, no secret)
    wait = wait_retry_after(wait_full_jitter(rng))
    retry, patience, poll = options.retry, options.patience, options.poll
    if options.on_abandon is not None and options.on_abandon not in get_args(OnAbandon):
        raise UsageError(f"on_abandon is one of {get_args(OnAbandon)}, not {options.on_abandon!r}.")
    if options.verify not in ("auto", "require"):
        raise UsageError(f'verify is "auto" or "require", not {options.verify!r}.')
    if options.encoded not in ("refuse", "keep"):
        raise UsageError(f'encoded is "refuse" or "keep", not {options.encoded!r}.')
    for name, policy in (("retry", retry), ("patience", patience)):
        if policy is not None and not isinstance(policy, Retry):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(f"{name}= is a gofer.Retry(wait, stop) of tenacity's strategies, not {policy!r}.")
    if poll is not None and not callable(poll):
        raise UsageError(f"poll= is a tenacity wait strategy, not {poll!r}; for a fixed one tenacity.wait_fixed(2).")
    rules = Rules(
        retry=Retry(wait, stop_after_attempt(4)) if retry is None else retry,
        patience=Retry(wait, stop_after_delay(300)) if patience is None else patience,
        poll=wait_share(rng) if poll is None else poll,
        grace=None if options.grace is None else positive(options.grace, "grace"),
        hold=int(positive(options.hold, "hold", zero=True)),
        timeout=positive(options.timeout, "timeout"),
        stall=positive(options.stall, "stall"),
        file_cap=int(positive(options.max_file_bytes, "max_file_bytes")),
        on_abandon=options.on_abandon,
        verify=options.verify,
        encoded=options.encoded,
        discard=options.discard,
        hosts=None if options.allow_hosts is None else hosts_of(options.allow_hosts),
    )
    slots = Slots(int(positive(options.max_connections, "max_connections")))
    _SHARED.add(slots)
    base = base_url(url)
    signer = signer_of(options.auth, awaited=awaited)
    if options.auth is None and contract.build_token(base) is not None:
        from gofer.auth import ContractToken  # most contracts have none

        signer = ContractToken(base, contract)
    if isinstance(signer, Auth):
        _SHARED.add(signer.gofer_renewal)
    return Service(contract, base, rules, headers_of(options.auth, options.headers), signer, slots)


def contract_of(
    contract: Contract[Any, Any] | str | Path | None, variables: Mapping[str, str] | None
) -> Contract[Any, Any]:
    """Return the contract that `contract=` means: an object, a shipped name, a declaration's file, or the default."""
    if isinstance(contract, str | Path) and contract != RETRIEVE.name:
        from gofer.contracts.declared.shipped import declared  # most clients need no declaration

        return declared(contract, variables)
    if variables:
        raise UsageError("variables= are for a declaration: pass its name or its path as contract= too.")
    if contract is None or isinstance(contract, str | Path):
        return RETRIEVE
    if not isinstance(getattr(contract, "name", None), str) or not callable(getattr(contract, "reads", None)):
        raise UsageError(
            f"contract= is a name, for example 'ogc-processes', a Path, or an object of a subclass of gofer.Contract, "
            f"not {contract!r}."
        )
    return contract


def polling_every(service: Service[In, Out], seconds: float) -> Service[In, Out]:
    """Return the service with a fixed polling interval, for services without long polling."""
    return evolve(service, rules=evolve(service.rules, poll=wait_fixed(positive(seconds, "poll_interval"))))


def headers_of(auth: Credentials | None, headers: Mapping[str, str] | None) -> Mapping[str, str]:
    """Check the caller's headers, and return them with the token, if there is one."""
    if headers is not None and not isinstance(headers, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"headers= is a mapping of names and values, not {type(headers).__name__}.")
    extra = {str(name).lower(): value for name, value in (headers or {}).items()}
    if isinstance(auth, str):
        extra["authorization"] = f"Bearer {auth}"
    for name, value in extra.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9a-z-]+", name) or not may_be_sent(value):
            raise UsageError(f"The header {name!r} is not valid: both parts are printable ASCII (value not shown).")
    return extra


def signer_of(auth: Credentials | None, *, awaited: bool) -> Auth | Sign | None:
    """Return what signs requests: an `Auth` as it is, or one function of a request and what was refused.

    Raises:
        UsageError: it is nothing that can sign, or a blocking client would have to await it.
    """
    if auth is None or isinstance(auth, str):
        return None
    if isinstance(auth, type):
        raise UsageError(f"auth= is the class {auth.__name__}; pass an object of it: {auth.__name__}(...).")
    if isinstance(auth, Auth) and inspect.iscoroutinefunction(auth.is_due):
        raise UsageError("is_due of auth= is a coroutine function; it must answer at once.")
    if not awaited:
        for part in (auth, *(getattr(auth, name, None) for name in ("__call__", "sign", "refresh"))):
            if inspect.iscoroutinefunction(part) or inspect.isasyncgenfunction(part):
                name = getattr(part, "__qualname__", type(auth).__name__)
                raise UsageError(f"auth= has to be awaited ({name}), which a blocking client cannot do.")
    if isinstance(auth, Auth):
        return auth
    if hasattr(auth, "sync_auth_flow"):
        from gofer.transports.httpx_auth import signing_by, signing_by_awaiting  # most clients have none

        return partial(signing_by_awaiting if awaited else signing_by, cast("HttpxAuth", auth))
    if not callable(auth):
        raise UsageError(
            "auth= is a token, a function that takes a request and returns the signed one, an httpx.Auth, or a "
            f"gofer.Auth, not {type(auth).__name__}."
        )
    return _with_refused(auth)


def _with_refused(sign: Signer) -> Sign:
    """Return a function that also takes what was refused; the caller's own gets it if it has a parameter for it."""
    try:
        wants = "refused" in inspect.signature(sign).parameters
    except (TypeError, ValueError):  # a function of C's, without a signature
        wants = False

    def sign_with(request: Request, refused: Refused | None) -> object:
        return sign(request, refused=refused) if wants else sign(request)

    return sign_with


def hosts_of(allowed: Collection[str]) -> frozenset[str]:
    """Check the hosts that links and redirects may lead to."""
    if isinstance(allowed, str) or not isinstance(allowed, Collection):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"allow_hosts= is a list of hosts, as in ['files.example.org'], not {allowed!r}.")
    patterns: set[str] = set()
    for text in allowed:
        one = pattern(text) if isinstance(text, str) else None  # pyright: ignore[reportUnnecessaryIsInstance]
        if one is None:
            raise UsageError(
                f"allow_hosts= has {text!r}, which is no host. An entry is a name (files.example.org), all names below "
                "one (*.example.org) or a complete address (10.0.0.7), without scheme and port; other letters than "
                "ASCII are written as xn--…"
            )
        patterns.add(one)
    return frozenset(patterns)


def positive(value: Any, name: str, *, zero: bool = False) -> float:
    """Return a finite number above 0 (or from 0 on), or raise `UsageError` that names it."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise UsageError(f"{name} must be a number, not {value!r}.")
    if value < 0 or (value == 0 and not zero):
        raise UsageError(f"{name} must be {'0 or more' if zero else 'above 0'}, not {value!r}.")
    return value


def budget(timeout: float | None) -> float | None:
    """Check a verb's `timeout`: seconds above 0, or None for no deadline."""
    return None if timeout is None else positive(timeout, "timeout")


def target_of(to: str | PathLike[str], contract: Contract[In, Any], request: In) -> Target:
    """Check the target of a request, and fill in what the request says."""
    stem = _stem(contract, request)
    return _target(_named(path_of(to), contract, contract.fields(request), stem), contract, stem)


def target_of_job(to: str | PathLike[str], contract: Contract[Any, Any], job_id: str) -> Target:
    """Check the target of a job without its request, and fill in its id."""
    stem = safe_name(job_id)
    return _target(_named(path_of(to), contract, {"job_id": job_id}, stem), contract, stem)


def named(to: str | PathLike[str], contract: Contract[In, Any], request: In) -> str:
    """Fill into a target what the request says; what is left of placeholders can do without the request."""
    return _named(path_of(to), contract, contract.fields(request), _stem(contract, request))


def only_of(only: str | Iterable[str] | None) -> Only:
    """Check which files are wanted, by names or patterns; None is all of them."""
    if only is None:
        return None
    names = (only,) if isinstance(only, str) else tuple(only) if isinstance(only, Iterable) else ()  # pyright: ignore[reportUnnecessaryIsInstance]
    if not names or not all(isinstance(name, str) and name for name in names):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"only= is the name of a file, or several, as in ['a.csv', '*.txt'], not {only!r:.60}.")
    return names


def path_of(to: str | PathLike[str]) -> str:
    """Check that a target is a path that a file can have."""
    text = os.fspath(to) if isinstance(to, str | PathLike) else None  # pyright: ignore[reportUnnecessaryIsInstance]
    if not isinstance(text, str) or not text or "\0" in text:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError("The target must be the path of a file, for example 'papers/paper.pdf'.")
    try:
        _ = os.fsencode(text)
    except UnicodeEncodeError as error:
        raise UsageError(f"The target {text!r} has characters that no file name can have.") from error
    return text


def _stem(contract: Contract[In, Any], request: In) -> str:
    stem = contract.stem(request)
    return JOB_ID if stem is None else safe_name(stem)


def _named(text: str, contract: Contract[Any, Any], fields: Mapping[str, object], stem: str) -> str:
    text = os.path.expanduser(text)  # noqa: PTH111  (before values come in; a name that is no user's stays as it is)
    text = filled(text, fields)
    return text if contract.folders or not _is_folder(text) else f"{text.rstrip('/')}/{stem}{FORMAT}"


def _target(text: str, contract: Contract[Any, Any], stem: str) -> Target:
    text = text.replace("{{", "{").replace("}}", "}")
    if not contract.folders:
        return Target(Path(text), stem=stem)
    if _is_folder(text):
        return Target(Path(text), "folder")
    return Target(Path(text), "file" if text.endswith(FORMAT) else "either")


def _is_folder(text: str) -> bool:
    return os.path.basename(text) in ("", ".", "..")  # noqa: PTH119  (a Path drops the slash at the end)


def key_of(key: str | None, new_key: Callable[[], str]) -> str:
    """Check the caller's idempotency key, or make one."""
    chosen = new_key() if key is None else key
    if not isinstance(chosen, str) or not re.fullmatch(r"[!#-\[\]-~]{1,255}", chosen):  # pyright: ignore[reportUnnecessaryIsInstance]
        what = "What new_key= returns" if key is None else "key="
        raise UsageError(f"{what} must be 1 to 255 printable ASCII characters without quotes, spaces and backslashes.")
    return chosen


def listeners_of(progress: bool | Listener) -> tuple[Listener, ...]:
    """Return the listeners that `progress=` means: a line on a terminal, the caller's function, or none."""
    if progress is True:
        from gofer.progress import ProgressLine  # most clients show none, and none should pay for it

        line = ProgressLine()
        return (line,) if line.visible else ()
    if progress is not False and not callable(progress):
        raise UsageError(f"progress= is True, False, or a function that receives events, not {progress!r}.")
    return (progress,) if callable(progress) else ()


def one_door(**doors: object) -> None:
    """Refuse more than one way to inject a transport."""
    used = [f"{name}=" for name, door in doors.items() if door is not None]
    if len(used) > 1:
        raise UsageError(f"{' and '.join(used)} exclude each other; pass one of them.")


def address(
    host: str | None,
    port: int | None,
    host_env_var: str,
    port_env_var: str,
    host_default: str,
    port_default: int,
    complete: str | None,
) -> str:
    """Find a service's address: the arguments, else the environment, else the defaults; or `complete` alone."""
    if complete is not None:
        if host is not None or port is not None:
            raise UsageError("base_url= is the complete address; pass either it, or host and port.")
        return complete
    name = host or os.environ.get(host_env_var) or host_default
    if "/" in name:
        raise UsageError(f"host is a name or an address, not {name!r}; pass a complete URL as base_url=.")
    if ":" in name and not name.startswith("["):
        name = f"[{name}]"  # RFC 3986, section 3.2.2
    number = os.environ.get(port_env_var) or port_default if port is None else port
    try:
        checked = int(number)
    except ValueError:
        checked = 0
    if not 0 < checked < 65536:
        raise UsageError(f"The port must be a number from 1 to 65535, not {number!r}.")
    return f"http://{name}:{checked}"


class Address:
    """Where a retrieval client's service is, and how long one request may take. Read-only."""

    _service: Service[Any, Any]

    @property
    def base_url(self) -> str:
        """The service's address, without a slash at its end."""
        return self._service.base

    @property
    def host(self) -> str:
        """The host name in lower case, or the IP address; an IPv6 address has no brackets."""
        return self._service.origin[1]

    @property
    def port(self) -> int:
        """The port; if the address has none, 80 for http and 443 for https."""
        return self._service.origin[2]

    @property
    def timeout(self) -> float:
        """Seconds for one request."""
        return self._service.rules.timeout
