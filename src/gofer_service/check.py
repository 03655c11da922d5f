"""What a service with these settings would have on and off, and why: ``--check``.

It looks at folders, and asks nobody but for `probe`. It does not open the port or the records, which a running service
may be using.
"""

import os
from pathlib import Path
from typing import Final

import anyio
import httpx
from attrs import frozen

from gofer.wire import shown
from gofer_service.fetch.web import user_agent
from gofer_service.hosts import Exposed, is_literal, is_loopback, refuse_exposure
from gofer_service.server import sample_library
from gofer_service.settings import FetchSettings, JobSettings, LibrarySettings, ServeSettings, Settings, VpnSettings
from gofer_service.sources.chosen import Choice, chosen
from gofer_service.sources.library import Library

PROBE_SECONDS: Final = 5.0
"""Seconds that a source has for its answer to `probe`."""


@frozen
class Part:
    """A part of the service: whether it is ``on``, ``off``, or ``wrong``, so that the service cannot start; and why."""

    name: str
    state: str
    why: str

    def __str__(self) -> str:
        return f"{self.name:<12} {self.state:<6} {self.why}"


def parts(file: Path | None, settings: Settings) -> list[Part]:
    """Return what the settings mean for each part of the service, without starting it.

    Args:
        file: the configuration file that they are from, if there is one.
        settings: what `gofer_service.config.load` returned.
    """
    serve, library = settings.serve, settings.library.folder or sample_library()
    return [
        Part("config", "off", "there is no file") if file is None else Part("config", "on", str(file)),
        *(
            _library(settings.library) if choice.name == "library" and choice.source else _source(choice, settings.vpn)
            for choice in chosen(settings, library)
        ),
        _contact(settings),
        _fetch(settings.fetch),
        _data(settings.jobs.data),
        _jobs(settings.jobs),
        _token(serve),
        _listen(serve),
        Part(
            "request log",
            "on" if serve.log_requests else "off",
            f"serve.log_requests is {str(serve.log_requests).lower()}",
        ),
        _vpn(settings.vpn),
    ]


def _library(library: LibrarySettings) -> Part:
    if library.folder is None:
        return Part("library", "on", "the sample papers; library.folder names your own folder")
    if not os.access(library.folder, os.R_OK | os.X_OK):
        return Part("library", "wrong", f"{library.folder} cannot be read by this user")
    return Part("library", "on", f"{library.folder} ({Library(library.folder).overview().count_in_words})")


def _source(choice: Choice, vpn: VpnSettings) -> Part:
    if choice.source is None:
        return Part(choice.name, "wrong" if choice.broken else "off", choice.why)
    where = choice.source.base or "asks by itself"
    if why := choice.unasked(vpn=vpn.probe is not None):
        return Part(choice.name, "off", f"{where}; {why}")
    waits = "; it is left out while the VPN is down" if choice.source.needs_vpn else ""
    return Part(choice.name, "on", f"{where}{waits}")


def _contact(settings: Settings) -> Part:
    if settings.contact is None:
        return Part("contact", "off", "contact is not set: the owners of hosts cannot reach you")
    return Part("contact", "on", f"{settings.contact} is sent to every host")


def _fetch(fetch: FetchSettings) -> Part:
    limits = f"files up to {fetch.max_bytes} bytes, {fetch.per_host} at a time and {fetch.gap:g} s apart for each host"
    allowed = f"; besides public addresses {', '.join(fetch.allow)}" if fetch.allow else "; public addresses only"
    return Part("fetch", "on", limits + allowed + ("; by a proxy" if fetch.proxy else ""))


def _vpn(vpn: VpnSettings) -> Part:
    if vpn.probe is None:
        return Part("vpn", "off", "there is no table [vpn]")
    where = f" over {vpn.interface}" if vpn.interface else ""
    return Part("vpn", "on", f"up while {shown(vpn.probe)}{where} says one of {', '.join(vpn.addresses)}")


async def probe(settings: Settings) -> list[str]:
    """Ask each source that has an address for its first page, also one that waits for a VPN; return a line for each."""
    lines: dict[str, str] = {}

    async def ask(name: str, base: str) -> None:
        try:
            reply = await client.get(base)
            lines[name] = f"{name:<12} answers ({reply.status_code})"
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            lines[name] = f"{name:<12} does not answer ({type(error).__name__})"

    library = settings.library.folder or sample_library()
    sources = [choice.source for choice in chosen(settings, library) if choice.source and choice.source.base]
    headers = {"user-agent": user_agent(settings.contact)}
    client = httpx.AsyncClient(trust_env=False, timeout=PROBE_SECONDS, headers=headers)
    async with client, anyio.create_task_group() as tasks:
        for source in sources:
            tasks.start_soon(ask, source.name, source.base)
    return [lines[source.name] for source in sources]


def _data(folder: Path) -> Part:
    nearest = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
    if not nearest.is_dir():
        return Part("data", "wrong", f"{nearest} is no folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        return Part("data", "wrong", f"this user cannot write in {nearest}")
    return Part("data", "on", f"{folder} ({'can be written' if nearest is folder else 'will be made at the start'})")


def _jobs(jobs: JobSettings) -> Part:
    why = f"{jobs.concurrency} at the same time, {jobs.max_pending} may wait, files are kept for {jobs.retention:.0f} s"
    return Part("jobs", "on", why)


def _token(serve: ServeSettings) -> Part:
    named = f"{len(serve.tokens)} with names from serve.tokens_file" if serve.tokens else ""
    if serve.token_file is None:
        if named:
            return Part("token", "on", f"{named}: requests about jobs must carry one, and see their caller's jobs only")
        return Part("token", "off", "neither SERVICE_TOKEN nor serve.token_file is set: no request needs a token")
    more = f", and {named}" if named else ""
    return Part("token", "on", f"from {serve.token_file.origin}{more}: requests about jobs must carry it")


def _listen(serve: ServeSettings) -> Part:
    where = f"{serve.host}, port {serve.port or 'any'}"
    if serve.host.lower() == "localhost":
        return Part("listen", "on", f"{where}: only this machine can reach it")
    if not is_literal(serve.host):  # it is not looked up: that would ask a server
        safe = (
            "" if serve.any_token or serve.open else ", which needs a token unless the name is this machine's loopback"
        )
        return Part("listen", "on", f"{where}{safe}")
    try:
        refuse_exposure(serve.host, token=serve.any_token, open_to_all=serve.open)
    except Exposed as error:
        return Part("listen", "wrong", str(error))
    if is_loopback(serve.host):
        return Part("listen", "on", f"{where}: only this machine can reach it")
    needed = "need the token" if serve.any_token else "need no token, as serve.open is true"
    return Part("listen", "on", f"{where}: other machines can reach it, and {needed}")
