"""Hostile texts: those that have broken something before, by kind, and strategies that mix them with any others."""

from __future__ import annotations

import json
import os

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

MANY = int(os.environ.get("HOSTILE_EXAMPLES", "0"))
"""Random examples for each place, in place of the few of a default run."""

BASE = "http://service.test"
DEEP = 900
"""Lists within one another: Python's parser goes about so deep."""


class Text(str):
    """A text whose repr is short, whatever its length."""

    def __repr__(self) -> str:
        return str.__repr__(self) if len(self) < 200 else f"<{len(self)} characters: {self[:20]!r}...>"


ODD = ["", " ", "\0", "\x7f", "\t", "\r\nx: y", "\x1b[31m", "é", "\u202e", "\ud800", "²", "..", ".", "/", "../../evil"]
ODD += ["\\..\\evil", "a/b", "%2e%2e", "%", "?", "#", "ROOT/evil", "/etc/passwd", "~", "nul", ";", ",", '"', "''", "="]
ODD += ["{format}", "a" * 300, "é" * 300, "(" * 2000, "9" * 5000, "-1", "0", "1e999", "nan"]
URLS = [
    "//",
    "http://",
    "https://",
    "http:///x",
    "https:x",
    "x:y",
    "http://[",
    "http://[::1",
    "http://[v1.x]/",
    "?",
    "#x",
]
URLS += ["http://x:99999/", "http://x:y/", "//user:pw@elsewhere.test/x", "http://u:p@service.test/x", "http://a b/"]
URLS += [
    "http://\ud800/",
    "http://é.test/",
    "http://xn--/",
    "http://a..b/",
    "http://-a.test/",
    "http://.",
    "http://%zz/",
]
URLS += ["http://1.2.3/", "http://999.0.0.1/", "http://0x7f.1/", "http://[::1%25x]/", f"http://{'é' * 70}.test/"]
URLS += [
    "javascript:alert(1)",
    "file:///etc/passwd",
    "ftp://x/",
    "/é",
    "/\ud800",
    "/x\ty",
    "/%",
    "/../..",
    f"{BASE}/\0",
]
URLS += [f"{BASE}/\ud800", f"{BASE}/\x7f", f"{BASE}/ x", f"{BASE}:80", "http://SERVICE.test/f/a.csv", "\nhttp://x/"]
URLS += ["http:\n//service.test/x", "http://service.test\\@evil.test/", f"http://{'a' * 70_000}", f"/{'b' * 70_000}"]
DATES = ["Thu, 01 Jan 1970 00:00:00 GMT", "Thu, 01 Jan 0001 00:00:00 +2359", "Thu, 31 Dec 9999 23:59:59 -2359"]
DATES += ["Thu, 32 Foo 2020 99:99:99 GMT", "Thu, 01 Jan 2020 00:00:00 +99999999", "1 Jan 0 0:0:0"]
DATES += [f"Thu, 01 Jan {'9' * 5000} 00:00:00 GMT", "Thu, 01 Jan 2020 00:00:00 -0000", "Sun Nov  6 08:49:37 1994"]
FIELDS = ['W/"x"', '"a\\"b"', '"é"', "sha-256=:AAAA:", "sha-256=::", f"sha-256=:{'A' * 43}=:", 'x="\\', "md5=,md5=AAAA"]
FIELDS += ["bytes 0-0/1", "bytes 5-1/3", "bytes */*", "bytes 0-5/10240", "bytes 99999999999999999-0/0", "gzip", "br"]
FIELDS += [
    "x-gzip, br",
    "identity",
    "attachment; filename=..",
    "attachment; filename*=utf-8''%00%ff..%2f..",
    "text/html",
]
FIELDS += ["application/json", 'text/html; charset="', "application/xml", "application/octet-stream", "image/png"]
FIELDS += ["multipart/x; boundary=", 'Bearer error="invalid_token', "a=b", "a=é", f"a=b; expires={DATES[6]}"]
FIELDS += [
    f"a=b; domain=.; path=..; max-age={'9' * 5000}",
    'a=b; version=x; port="x',
    "wait",
    "wait=x",
    "<x>; rel=next",
]
FIELDS += ["<", "<" * 50, "0x10", "1" * 18, "+1", "1, 2", "chunked"]
RAW = [
    "NaN",
    "-Infinity",
    "1e999",
    "9" * 4000,
    "9" * 5000,
    "-1",
    "0",
    "1.5",
    "true",
    "null",
    "[]",
    "{}",
    "[{}]",
    '""',
    "x",
]
RAW += ["[" * DEEP + "]" * DEEP, '{"a":' * DEEP + "1" + "}" * DEEP, '{"#text":' * DEEP + '"x"' + "}" * DEEP, '"a"]', ""]
RAW += ["[" * 100_000, '{"#text":{"#text":1}}', '[{"href":"/x"},{"location":"/x"}]']
MARKUP = ["<a>", "</a>", "&lt;", "&x;", "<!DOCTYPE a>", "<a/>" * 50, "<a>" * 70 + "</a>" * 70, "<![CDATA[]]>", "<?x?>"]
MARKUP += ["&#0;", "&#xd800;", "<x:y/>"]


def _listed(texts: list[str]) -> st.SearchStrategy[str]:
    return st.sampled_from([Text(one) for one in texts])


headers = (
    _listed(ODD + URLS + DATES + FIELDS)
    | st.text(max_size=12)
    | st.lists(_listed(ODD + URLS + FIELDS), min_size=2, max_size=3).map("".join).map(Text)
)
"""For headers, and wherever else any text may stand."""

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | headers,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["#text", "href", "location", "0"]) | headers, inner, max_size=3)
    ),
    max_leaves=6,
)
"""Anything that JSON can have."""

raw = _listed(RAW) | headers.map(json.dumps).map(Text) | values.map(json.dumps).map(Text)
"""For a place in a JSON document, written as it stands there; it need not be JSON."""

marked = _listed(MARKUP) | headers
"""For a place in an XML document."""

# Each place gets these on every run.
SHARP_RAW = [
    '"\\ud800"',
    '".."',
    '""',
    "null",
    "-1",
    "1e999",
    "[{}]",
    '"https://"',
    '"http://999.0.0.1/"',
    '"/\\u0000"',
]
SHARP_RAW += ['{"#text":' * DEEP + '"x"' + "}" * DEEP, '"9999-12-31"']
SHARP_MARKUP = ["..", "", "&x;", "<a>" * 70 + "</a>" * 70, "https://", "http://999.0.0.1/", "\x7f", "é\ud800"]
SHARP_HEADERS = [
    ("é", None),
    ("..", None),
    ("9" * 5000, 503),
    (DATES[1], 503),
    ("x:y", 303),
    ("https://", 302),
    ("", 202),
]
SHARP_HEADERS += [("http://999.0.0.1/", 307), (f"{BASE}/\x7f", 302), ("a=é", 302), ("gzip", None), ("\ud800", None)]


def examples(few: int) -> settings:
    """Return settings for `few` examples, always the same ones; or for many, drawn anew, as the environment says."""
    return settings(
        max_examples=MANY or few,
        derandomize=not MANY,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink] if MANY else [Phase.generate],
    )
