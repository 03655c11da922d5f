"""What both faces do with their arguments before anything is sent: checks, defaults, and the service made of them.

No I/O here, and nothing that only one face needs.
"""

from __future__ import annotations

import math
import os
import random
import re
import uuid
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Literal, TypedDict, TypeVar, get_args

from attrs import evolve
from tenacity.stop import stop_after_attempt, stop_after_delay
from tenacity.wait import wait_base, wait_fixed

from gofer.contracts.base import Contract
from gofer.contracts.retrieve import RetrieveContract
from gofer.core.policies import OnAbandon, Retry, Rules, wait_full_jitter, wait_retry_after, wait_share
from gofer.core.service import Service, Signer
from gofer.core.target import Target
from gofer.errors import UsageError
from gofer.progress import ProgressLine
from gofer.transports.base import Listener
from gofer.wire import Request, base_url

In = TypeVar("In")
Out = TypeVar("Out")

Auth = str | Callable[[Request], Request]


class Options(TypedDict, total=False):
    """The keyword options that every client takes beyond `timeout`; each is described at `Client`."""

    auth: Auth | None
    headers: Mapping[str, str] | None
    retry: Retry | None
    patience: Retry | None
    poll: wait_base | None
    hold: int
    stall: float
    on_abandon: OnAbandon | None
    verify: Literal["auto", "require"]
    max_file_bytes: int
    progress: bool | Listener
    rng: random.Random | None
    new_key: Callable[[], str]


RETRIEVE = RetrieveContract()
"""The contract of a client that is given none."""

HEALTH_SECONDS = 5.0
"""Seconds a health check may take, in all."""


def random_key() -> str:
    """Mint an idempotency key from the operating system's randomness, so that no two processes share one."""
    return str(uuid.uuid4())


def service_of(
    url: str,
    contract: Contract[In, Out],
    *,
    auth: Auth | None,
    headers: Mapping[str, str] | None,
    timeout: float,
    retry: Retry | None,
    patience: Retry | None,
    poll: wait_base | None,
    hold: int,
    stall: float,
    on_abandon: OnAbandon | None,
    verify: Literal["auto", "require"],
    max_file_bytes: int,
    rng: random.Random | None,
) -> Service[In, Out]:
    """Check a client's options and make the service of them, or raise `UsageError`."""
    rng = random.Random() if rng is None else rng  # noqa: S311  (jitter, no secret)
    wait = wait_retry_after(wait_full_jitter(rng))
    if on_abandon is not None and on_abandon not in get_args(OnAbandon):
        raise UsageError(f"on_abandon is one of {get_args(OnAbandon)}, not {on_abandon!r}.")
    if verify not in ("auto", "require"):
        raise UsageError(f'verify is "auto" or "require", not {verify!r}.')
    for name, given in (("retry", retry), ("patience", patience)):
        if given is not None and not isinstance(given, Retry):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(f"{name}= is a gofer.Retry(wait, stop) of tenacity's strategies, not {given!r}.")
    if poll is not None and not callable(poll):
        raise UsageError(f"poll= is a tenacity wait strategy, not {poll!r}; for a fixed pause tenacity.wait_fixed(2).")
    rules = Rules(
        retry=Retry(wait, stop_after_attempt(4)) if retry is None else retry,
        patience=Retry(wait, stop_after_delay(300)) if patience is None else patience,
        poll=wait_share(rng) if poll is None else poll,
        hold=int(positive(hold, "hold", zero=True)),
        timeout=positive(timeout, "timeout"),
        stall=positive(stall, "stall"),
        file_cap=int(positive(max_file_bytes, "max_file_bytes")),
        on_abandon=on_abandon,
        verify=verify,
    )
    return Service(contract, base_url(url), rules, *credentials(auth, headers))


def contract_of(
    given: Contract[Any, Any] | str | Path | None, variables: Mapping[str, str] | None
) -> Contract[Any, Any]:
    """Return the contract that `contract=` names: one, a shipped name, a declaration's file, or the default."""
    if isinstance(given, str | Path) and given != RETRIEVE.name:
        from gofer.contracts.declared.shipped import declared  # most clients have no declaration to pay for

        return declared(given, variables)
    if variables:
        raise UsageError("variables= go with a declared contract, one that is named or read from a file.")
    if given is None or isinstance(given, str | Path):
        return RETRIEVE
    if not isinstance(getattr(given, "name", None), str) or not callable(getattr(given, "reads", None)):
        raise UsageError(
            f"contract= is a name, as in 'ogc-processes', a Path, or an object of a class derived from "
            f"gofer.Contract, not {given!r}."
        )
    return given


def polling_every(service: Service[In, Out], seconds: float) -> Service[In, Out]:
    """Return the service with a fixed pause between looks, where it does not hold requests."""
    return evolve(service, rules=evolve(service.rules, poll=wait_fixed(positive(seconds, "poll_interval"))))


def credentials(auth: Auth | None, headers: Mapping[str, str] | None) -> tuple[Mapping[str, str], Signer | None]:
    """Check the caller's headers and credentials; return the headers, and the function that signs, if there is one."""
    extra = {str(name).lower(): value for name, value in (headers or {}).items()}
    if isinstance(auth, str):
        extra["authorization"] = f"Bearer {auth}"
    elif auth is not None and not callable(auth):
        raise UsageError("auth= is a token, or a function that takes a request and returns the signed one.")
    for name, value in extra.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9a-z-]+", name) or not _plain(value):
            raise UsageError(f"The header {name!r} is no header: both are text, of plain characters (value not shown).")
    return extra, auth if callable(auth) else None


def _plain(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isprintable()


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


def target_of(to: str | PathLike[str], *, folders: bool = False) -> Target:
    """Check a target; `folders` tells whether it may be a folder."""
    text = os.fspath(to) if isinstance(to, str | PathLike) else None  # pyright: ignore[reportUnnecessaryIsInstance]
    if not isinstance(text, str) or not text or "\0" in text:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError("The target must be the path of a file, as in 'papers/paper.pdf'.")
    if not text.endswith(("/", os.sep)):
        return Target(Path(text), "either" if folders else "file")
    if not folders:
        raise UsageError(f"The target {text!r} is a folder; name the file to write, as in {text}paper.pdf.")
    return Target(Path(text), "folder")


def key_of(key: str | None, new_key: Callable[[], str]) -> str:
    """Check the caller's idempotency key, or mint one."""
    if key is None:
        return new_key()
    if not re.fullmatch(r"[!#-\[\]-~]{1,255}", key):
        raise UsageError("key= must be 1 to 255 printable ASCII characters without quotes, blanks and backslashes.")
    return key


def listeners_of(progress: bool | Listener) -> tuple[Listener, ...]:
    """Make the listeners that `progress=` asks for: a line on a terminal, the caller's own, or none."""
    if progress is True:
        line = ProgressLine()
        return (line,) if line.visible else ()
    if progress is not False and not callable(progress):
        raise UsageError(f"progress= is True, False, or a function that takes events, not {progress!r}.")
    return (progress,) if callable(progress) else ()


def one_door(**doors: object) -> None:
    """Refuse more than one way of injecting a transport."""
    used = [f"{name}=" for name, given in doors.items() if given is not None]
    if len(used) > 1:
        raise UsageError(f"{' and '.join(used)} exclude each other; pass one.")


def address(
    host: str | None,
    port: int | None,
    host_env_var: str,
    port_env_var: str,
    host_default: str,
    port_default: int,
    whole: str | None,
) -> str:
    """Find a service's address: arguments, else the environment, else the defaults; `whole` excludes the others."""
    if whole is not None:
        if host is not None or port is not None:
            raise UsageError("base_url= is the whole address; pass it, or host and port.")
        return whole
    name = host or os.environ.get(host_env_var) or host_default
    if "/" in name:
        raise UsageError(f"host is a name or an address, not {name!r}; pass a whole URL as base_url=.")
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
