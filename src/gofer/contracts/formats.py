"""What a file's first bytes say about its format. The list is short: a format that is not on it is believed."""

from __future__ import annotations

import re
from collections.abc import Iterable

from gofer.wire import media_type


def unlike(promised: str | None, head: bytes) -> str | None:
    """Compare a file's first bytes with its promised format ("pdf", "application/pdf"): why they differ, or None."""
    kind = media_type(promised).removeprefix("application/")
    if _fits(kind, head):
        return None
    return f"the service promised {kind}, and {'an HTML page' if is_page(head) else 'other bytes'} came"


_SUFFIXES = {
    "application/epub+zip": ".epub",
    "application/geo+json": ".geojson",
    "application/gzip": ".gz",
    "application/json": ".json",
    "application/pdf": ".pdf",
    "application/x-netcdf": ".nc",
    "application/x-votable+xml": ".xml",
    "application/xml": ".xml",
    "application/zip": ".zip",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/tiff": ".tif",
    "text/csv": ".csv",
    "text/html": ".html",
    "text/plain": ".txt",
    "text/xml": ".xml",
}


def suffix_of(kind: str | None) -> str:
    """Return the ending that files of a format usually have ("application/pdf", "pdf"); "" where the list has none."""
    format = media_type(kind)
    return f".{format}" if f".{format}" in _SUFFIXES.values() else _SUFFIXES.get(format, "")


_DATA = re.compile(
    "7z|arrow|avi|bam|bin|bz2|csv|dat|db|docx?|epub|feather|fits|geojson|gif|gpkg|grb2?|grib|gz|h5|hdf5?|iso|jpe?g|jsonl?"
    "|kmz|la[sz]|mat|mov|mp[34]|nc|ndjson|np[yz]|od[st]|parquet|pdf|pkl|png|pptx?|rar|rtf|shp|sql|sqlite|tar|tgz|tiff?"
    "|toml|tsv|txt|vcf|wav|webp|xlsx?|xz|ya?ml|zip|zst"
)
"""Endings of file names that no web page has."""


def is_html(kind: str) -> bool:
    """Tell whether a media type or format is that of a web page."""
    return kind.rpartition("/")[2] in ("html", "xhtml+xml", "xhtml", "htm")


def is_page_instead(name: str, kinds: Iterable[str | None], head: bytes) -> bool:
    """Tell whether a file begins as a web page, though its name says that it is none, or else the first of its types.

    A general type says nothing.
    """
    if not (_begins_as_markup(head) and is_page(head)):
        return False
    ending = name.rpartition(".")[2].lower() if "." in name else ""
    if _DATA.fullmatch(ending) or is_html(ending):
        return not is_html(ending)
    said = (media_type(kind) for kind in kinds)
    first = next((kind for kind in said if kind not in _GENERAL), "html")
    return not is_html(first)


_GENERAL = ("", "application/octet-stream", "binary/octet-stream", "text/plain", "text/xml", "application/xml")


def _begins_as_markup(head: bytes) -> bool:
    return head.removeprefix(b"\xef\xbb\xbf").lstrip(b"\x00 \t\r\n").startswith(b"<")


def is_page(head: bytes) -> bool:
    """Tell whether these are the first bytes of an HTML page."""
    return b"<html" in head[:2048].lower() or b"<!doctype html" in head[:64].lower()


def _fits(kind: str, head: bytes) -> bool:
    """Tell whether a file of this format may begin so; an unknown format is believed."""
    markup = _begins_as_markup(head)
    match kind:
        case "pdf":
            return b"%PDF-" in head[:1024]
        case "epub" | "epub+zip" | "zip":
            return head.startswith(b"PK")
        case "xml":
            return markup and b"<html" not in head[:2048].lower()
        case "html":
            return markup
        case "json" | "geo+json" | "netcdf" | "x-netcdf" | "x-hdf5" | "gzip" | "x-tar":
            return not (markup and is_page(head))
        case _:
            image = kind.startswith(("image/", "audio/", "video/")) and kind != "image/svg+xml"
            return not (image and markup and is_page(head))
