"""The server of the stand-in web, and the APIs of its indexes: each paper is listed where a test says."""

import socket
import threading
import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from math import inf
from typing import Any
from urllib.parse import quote

import uvicorn
from attrs import define, field, frozen
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send
from tests.scholarly_web.resources import Resource, answer, document, page

KEY = "openalex-key"
"""The key that OpenAlex takes here."""

PLACEHOLDERS = ("@example.com", "@email.com", "your_email")

_UNKNOWN = {
    "unpaywall": document({"HTTP_status_code": 404, "error": True, "message": "It isn't in Unpaywall."}, 404),
    "crossref": page("Resource not found.", 404, "text/plain"),
}
"""What indexes say of a DOI that they do not know."""


@frozen
class Asked:
    """A request that came, from the address ``peer``; ``at`` is by the monotonic clock."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    at: float
    peer: str

    @property
    def area(self) -> str:
        """The first part of the path: an API, ``pub``, ``repo``."""
        return self.path.partition("/")[0]


@define
class ScholarlyWeb:
    """One host. What stands where can be changed at any time; what was asked is in ``asked``.

    Attributes:
        host: name and port.
        entitled: whether the publisher gives what is below ``paywalled/`` to this caller.
        paywall: what others get there.
        most_in: the most requests that were under way at once, for each area.
        most: the same for the whole host.
    """

    host: str
    entitled: bool = True
    paywall: Resource = field(factory=lambda: answer(403))
    asked: list[Asked] = field(factory=list)
    most_in: Counter[str] = field(factory=Counter)
    most: int = 0
    _places: dict[str, Resource] = field(factory=dict)
    _under_way: list[Asked] = field(factory=list)

    @property
    def url(self) -> str:
        """The address."""
        return f"http://{self.host}"

    def base(self, name: str) -> str:
        """Return the base of a source."""
        return f"{self.url}/{'epmc' if name == 'europepmc' else 'doi' if name == 'landing' else name}"

    def at(self, path: str, resource: Resource) -> str:
        """Put something at a path; return its URL."""
        self._places[path] = resource
        return f"{self.url}/{quote(path, safe='/:')}"

    def clear(self) -> None:
        """Forget what was asked, and the counts; what stands where stays."""
        self.asked, self.most_in, self.most = [], Counter(), 0

    def paths(self) -> list[str]:
        """Return the paths that were asked for, in order."""
        return [one.path for one in self.asked]

    def unpaywall(self, doi: str, files: Sequence[str | None] = (), pages: Sequence[str] = (), **members: Any) -> None:
        """List a paper in Unpaywall; a page has no file there, as most have not."""
        common = {
            "evidence": "deprecated",
            "host_type": "repository",
            "license": "cc-by",
            "version": "publishedVersion",
        }
        places = [{**common, "url_for_pdf": url, "url_for_landing_page": None} for url in files]
        places += [{**common, "url_for_pdf": None, "url_for_landing_page": url} for url in pages]
        best = places[0] if places else None
        record = {"doi": doi, "is_oa": bool(places), "best_oa_location": best, "oa_locations": places, **members}
        self.at(f"unpaywall/v2/{doi}", document(record))

    def openalex(self, doi: str, files: Sequence[str | None] = (), pages: Sequence[str] = (), **members: Any) -> None:
        """List a paper in OpenAlex, which sends the members that are selected."""
        common = {"is_oa": True, "license": None, "version": "acceptedVersion"}
        places = [{**common, "pdf_url": url, "landing_page_url": None} for url in files]
        places += [{**common, "pdf_url": None, "landing_page_url": url} for url in pages]
        best = places[0] if places else None
        record = {"id": "W1", "doi": f"https://doi.org/{doi}", "best_oa_location": best, "locations": places, **members}

        async def selected(request: Request) -> Response:
            names = request.query_params.get("select", ",".join(record)).split(",")
            return JSONResponse({name: value for name, value in record.items() if name in names})

        self.at(f"openalex/works/doi:{doi}", selected)

    def epmc(self, doi: str, files: Sequence[str] = (), pmcid: str | None = None, xml: Resource | None = None) -> None:
        """List a paper in Europe PMC, with its full text as XML if there is some; short results name no files."""
        urls = [{"availabilityCode": "OA", "documentStyle": "pdf", "site": "x", "url": url} for url in files]
        found = {"doi": doi, "pmcid": pmcid, "isOpenAccess": "Y", "fullTextUrlList": {"fullTextUrl": urls}}

        async def results(request: Request) -> Response:
            core = request.query_params.get("resultType") == "core"
            shown = {name: value for name, value in found.items() if core or name != "fullTextUrlList"}
            return JSONResponse({"hitCount": 1, "resultList": {"result": [shown]}})

        self.at(f'epmc/search?DOI:"{doi}"', results)
        if xml is not None:
            self.at(f"epmc/{pmcid}/fullTextXML", xml)

    def crossref(self, doi: str, *links: tuple[str, str, str]) -> None:
        """List a paper in Crossref, with links: URL, media type, purpose. It is polite to say who one is."""
        found = [
            {"URL": url, "content-type": kind, "content-version": "vor", "intended-application": purpose}
            for url, kind, purpose in links
        ]
        message = {"DOI": doi, "link": found, "license": [{"URL": "https://example.org/licence"}]}
        content = {"status": "ok", "message-type": "work", "message": message}

        async def work(request: Request) -> Response:
            polite = "mailto" in request.query_params or "mailto:" in request.headers.get("user-agent", "")
            headers = {"x-rate-limit-limit": "50", "x-rate-limit-interval": "1s"}
            return JSONResponse(content, headers={**headers, "x-api-pool": "polite" if polite else "public"})

        self.at(f"crossref/works/{doi}", work)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        path = scope["path"].removeprefix("/")
        peer = scope["client"][0]
        asked = Asked(request.method, path, dict(request.query_params), dict(request.headers), time.monotonic(), peer)
        self.asked.append(asked)
        self._under_way.append(asked)
        self.most = max(self.most, len(self._under_way))
        self.most_in[asked.area] = max(
            self.most_in[asked.area], [one.area for one in self._under_way].count(asked.area)
        )
        try:
            await (await self._find(request, asked))(scope, receive, self._counting(asked, send))
        finally:
            self._end(asked)

    def _counting(self, asked: Asked, send: Send) -> Send:
        """Count a request until its last byte is sent: with that, its caller may send the next one."""
        left: float = inf

        async def counting(message: Message) -> None:
            nonlocal left
            if message["type"] == "http.response.start":
                left = float(dict(message["headers"]).get(b"content-length", inf))
            else:
                left -= len(message.get("body", b""))
                if left <= 0 or not message.get("more_body"):
                    self._end(asked)
            await send(message)

        return counting

    def _end(self, asked: Asked) -> None:
        # By identity: two requests may be equal.
        self._under_way = [one for one in self._under_way if one is not asked]

    async def _find(self, request: Request, asked: Asked) -> Response:
        path, query = asked.path, request.query_params
        if path.startswith("unpaywall/") and (
            "@" not in query.get("email", "") or any(one in query["email"].lower() for one in PLACEHOLDERS)
        ):
            return JSONResponse({"HTTP_status_code": 422, "error": True, "message": "Please use your own email"}, 422)
        if path.startswith("openalex/") and query.get("api_key") != KEY:
            return JSONResponse({"error": "Unauthorized", "message": "an api_key is required"}, 401)
        if path == "epmc/search" and query.get("format") != "json":
            return Response("<responseWrapper/>", media_type="application/xml")
        if path == "epmc/search":
            nothing = document({"hitCount": 0, "resultList": {"result": []}})
            return await self._places.get(f"{path}?{query.get('query')}", nothing)(request)
        if path.startswith("paywalled/") and not self.entitled:
            return await self.paywall(request)
        return await self._places.get(path, _UNKNOWN.get(asked.area, answer(404)))(request)


@contextmanager
def scholarly_web() -> Generator[ScholarlyWeb]:
    """Run a host on a free loopback port."""
    # With the protocol named, asyncio turns Nagle's algorithm off, which can delay a reply by 40 ms.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(200)
        web = ScholarlyWeb(f"127.0.0.1:{listener.getsockname()[1]}")
        config = uvicorn.Config(web, lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=0)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield web
        finally:
            server.should_exit = True
            thread.join(20)
