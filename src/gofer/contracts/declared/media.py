"""Which answers, by their media type, are documents to be read, web pages, plain text, several parts, or files."""

from __future__ import annotations

import re

from gofer.wire import Head, Reply


def is_data(head: Head) -> bool:
    """Tell whether a body is JSON, XML or an event stream; a picture or an office document of XML is none."""
    pattern = r"(application|text)/(xml|[\w.+-]+\+xml|([\w.+-]+[+.-])?json([+.-][\w.+-]+)?)"
    return is_stream(head) or bool(re.fullmatch(pattern, head.media_type))


def is_stream(head: Head) -> bool:
    """Tell whether a body is an event stream, of which the last event is the document."""
    return head.media_type == "text/event-stream"


def is_multipart(head: Head) -> bool:
    """Tell whether a body has several parts, each of which is a file."""
    return head.media_type.startswith("multipart/")


def is_page(head: Head) -> bool:
    """Tell whether a body is a web page, as a proxy or a sign-in sends with status 200."""
    return head.media_type in ("text/html", "application/xhtml+xml")


def is_file(head: Head) -> bool:
    """Tell whether a body is neither data nor a page nor plain text: it can only be a file."""
    return head.media_type not in ("", "text/plain") and not is_data(head) and not is_page(head)


def is_plain_text(reply: Reply) -> bool:
    """Tell whether a body is plain text, and no document that is only labelled so."""
    return reply.media_type == "text/plain" and reply.body.lstrip()[:1] not in (b"{", b"[", b"<")
