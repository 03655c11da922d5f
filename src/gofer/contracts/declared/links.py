"""The links and values that are kept with a job, for the addresses of later requests."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve

from gofer.contracts.base import Ref
from gofer.contracts.declared.parts import StatusDocument, Submit, Upload
from gofer.contracts.declared.selectors import Reading, first_text
from gofer.contracts.declared.urls import last_part, resolve, without


def links_in(reading: Reading, secret: frozenset[str], *parts: Upload | Submit | StatusDocument) -> dict[str, str]:
    """Read the links that parts of a declaration name, absolute and without the parameters in `secret`; and values."""
    found: dict[str, str] = {}
    for part in parts:
        for name, places in part.links.items():
            if link := first_text(places, reading):
                found[name] = without(resolve(reading.reply.url, link), secret)
        for name, places in part.values.items():
            if (value := first_text(places, reading)) is not None:
                found[f"values.{name}"] = value
    return found


def with_links(ref: Ref, links: Mapping[str, str]) -> Ref:
    """Add links that a later document has; a new address takes the place of the old one."""
    return evolve(ref, links={**ref.links, **links}) if links else ref


def id_of_link(links: Mapping[str, str]) -> str:
    """Make an id out of the first link, for a service that names none."""
    return last_part(next((link for name, link in links.items() if not name.startswith("values.")), ""))
