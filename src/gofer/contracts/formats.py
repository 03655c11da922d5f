"""What a file's first bytes say about its format. The list is short: a format that is not on it is believed."""

from __future__ import annotations

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


def is_page(head: bytes) -> bool:
    """Tell whether these are the first bytes of an HTML page."""
    return b"<html" in head[:2048].lower() or b"<!doctype html" in head[:64].lower()


def _fits(kind: str, head: bytes) -> bool:
    """Tell whether a file of this format may begin so; an unknown format is believed."""
    markup = head.removeprefix(b"\xef\xbb\xbf").lstrip(b"\x00 \t\r\n").startswith(b"<")
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
