"""The server of the stand-in web, and the APIs of its indexes: each paper is listed where a test says."""

import socket
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import uvicorn
from attrs import define, field, frozen
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send
from tests.scholarly_web.resources import Resource, answer, document

KEY = "openalex-key"
"""The key that OpenAlex takes here."""

PLACEHOLDERS = ("@example.com", "@email.com", "your_email")


@frozen
class Asked:
    """A request that came."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]


@define
class ScholarlyWeb:
    """One host. What stands where can be changed at any time; what was asked is in ``asked``.

    Attributes:
        host: name and port.
        entitled: whether the publisher gives files to this caller.
        most: the most requests that were under way at once.
    """

    host: str
    entitled: bool = True
    asked: list[Asked] = field(factory=list)
    most: int = 0
    _places: dict[str, Resource] = field(factory=dict)
    _under_way: int = 0

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
        """List a paper in OpenAlex."""
        common = {"is_oa": True, "license": None, "version": "acceptedVersion"}
        places = [{**common, "pdf_url": url, "landing_page_url": None} for url in files]
        places += [{**common, "pdf_url": None, "landing_page_url": url} for url in pages]
        best = places[0] if places else None
        record = {"id": "W1", "doi": f"https://doi.org/{doi}", "best_oa_location": best, "locations": places, **members}
        self.at(f"openalex/works/doi:{doi}", document(record))

    def epmc(self, doi: str, files: Sequence[str] = (), pmcid: str | None = None, xml: Resource | None = None) -> None:
        """List a paper in Europe PMC, with its full text as XML if there is some."""
        urls = [{"availabilityCode": "OA", "documentStyle": "pdf", "site": "x", "url": url} for url in files]
        found = {"doi": doi, "pmcid": pmcid, "isOpenAccess": "Y", "fullTextUrlList": {"fullTextUrl": urls}}
        self.at(f'epmc/search?DOI:"{doi}"', document({"hitCount": 1, "resultList": {"result": [found]}}))
        if xml is not None:
            self.at(f"epmc/{pmcid}/fullTextXML", xml)

    def crossref(self, doi: str, *links: tuple[str, str, str]) -> None:
        """List a paper in Crossref, with links: URL, media type, purpose."""
        found = [
            {"URL": url, "content-type": kind, "content-version": "vor", "intended-application": purpose}
            for url, kind, purpose in links
        ]
        message = {"DOI": doi, "link": found, "license": [{"URL": "https://example.org/licence"}]}
        headers = {"x-rate-limit-limit": "50", "x-rate-limit-interval": "1s", "x-api-pool": "polite"}
        self.at(f"crossref/works/{doi}", document({"message-type": "work", "message": message}, **headers))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        path = scope["path"].removeprefix("/")
        self.asked.append(Asked(path, dict(request.query_params), dict(request.headers)))
        self._under_way += 1
        self.most = max(self.most, self._under_way)
        try:
            await (await self._find(request, path))(scope, receive, send)
        finally:
            self._under_way -= 1

    async def _find(self, request: Request, path: str) -> Response:
        query = request.query_params
        if path.startswith("unpaywall/") and (
            "@" not in query.get("email", "") or any(one in query["email"].lower() for one in PLACEHOLDERS)
        ):
            return JSONResponse({"HTTP_status_code": 422, "error": True, "message": "Please use your own email"}, 422)
        if path.startswith("openalex/") and query.get("api_key") != KEY:
            return JSONResponse({"error": "Unauthorized", "message": "an api_key is required"}, 401)
        if path == "epmc/search":
            nothing = document({"hitCount": 0, "resultList": {"result": []}})
            return await self._places.get(f"{path}?{query.get('query')}", nothing)(request)
        if path.startswith("paywalled/") and not self.entitled:
            return Response(status_code=403)
        return await self._places.get(path, answer(404))(request)


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
