"""A stand-in for the scholarly web on loopback: indexes, archives, publishers, and their bad days.

    with scholarly_web() as web:
        web.unpaywall("10.5555/gold", files=[web.at("pub/gold.pdf", pdf("On errands"))])

`server` runs it and knows the APIs, `resources` has what may stand at an address. Its own tests are in
`tests/service/test_scholarly_web.py`. `python -m tests.scholarly_web` serves a few papers for people.
"""

from tests.scholarly_web.server import ScholarlyWeb, scholarly_web

__all__ = ["ScholarlyWeb", "scholarly_web"]
