"""`python -m tests.scholarly_web`: serve a few papers until Ctrl-C; print a configuration that points gofer there."""

import logging
import sys
import threading

from tests.scholarly_web.resources import JATS, WALL, cut, file, links_to, page, pdf, pdf_bytes
from tests.scholarly_web.server import KEY, ScholarlyWeb, scholarly_web

CONFIGURATION = """\
contact = "library@example.org"

[sources.arxiv]
base = "{url}/arxiv"

[sources.unpaywall]
email = "library@example.org"
base = "{url}/unpaywall"

[sources.openalex]
key = "{key}"
base = "{url}/openalex"

[sources.europepmc]
base = "{url}/epmc"

[sources.crossref]
base = "{url}/crossref"
needs_vpn = false

[sources.landing]
base = "{url}/doi"
needs_vpn = false

[fetch]
allow = ["{host}"]
gap = 0
"""


def fill(web: ScholarlyWeb) -> dict[str, str]:
    """Put the papers there; return what each of them is."""
    web.at("arxiv/pdf/2101.00001", pdf("A preprint"))
    web.unpaywall("10.5555/open", [web.at("pub/open.pdf", pdf("An open paper"))])
    web.openalex("10.5555/green", [web.at("pub/wall.pdf", page(WALL)), web.at("repo/green.pdf", pdf("A green copy"))])
    web.epmc("10.5555/life", [], "PMC7", file(JATS, "application/xml"))
    web.crossref(
        "10.5555/subscribed", (web.at("paywalled/a.pdf", pdf("For readers")), "application/pdf", "text-mining")
    )
    web.at("doi/10.5555/landing", links_to(web.at("pub/landing.pdf", pdf("A paper behind a page"))))
    web.unpaywall("10.5555/broken", [web.at("pub/broken.pdf", cut(pdf_bytes("A paper that breaks off"), 700))])
    web.unpaywall("10.5555/blocked", [web.at("pub/blocked.pdf", page(WALL, 403))])
    web.unpaywall("10.5555/nowhere")
    web.openalex("10.5555/nowhere")
    web.crossref("10.5555/nowhere")
    web.at("doi/10.5555/nowhere", links_to("", "nothing"))
    return {
        "arXiv:2101.00001": "a preprint",
        "10.5555/open": "an open copy",
        "10.5555/green": "a copy in a repository, after a bot wall",
        "10.5555/life": "the full text as XML",
        "10.5555/subscribed": "a file of the publisher, for those who are entitled",
        "10.5555/landing": "a file that its page names",
        "10.5555/broken": "a file that breaks off once",
        "10.5555/blocked": "nothing but a bot wall",
        "10.5555/nowhere": "records without a copy",
    }


def main() -> None:
    """Serve."""
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # it reports each file that breaks off
    with scholarly_web() as web:
        papers = fill(web)
        print(CONFIGURATION.format(url=web.url, host=web.host, key=KEY), flush=True)
        for doi, what in papers.items():
            print(f"# {doi}: {what}", file=sys.stderr, flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
