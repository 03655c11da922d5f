"""A service whose tokens expire, an `Auth` that renews them, and an errand with it on any face."""

import itertools
import threading

import anyio
import httpx
from tenacity.stop import stop_after_attempt
from tenacity.wait import wait_fixed

import gofer

DOI = "10.5555/12345678"
PAPER = b"%PDF-1.7 paper"
FACES = ("blocking", "asyncio", "trio")
AT_ONCE = gofer.Retry(wait_fixed(0), stop_after_attempt(4))
QUICK = {"base_url": "http://h", "poll": wait_fixed(0), "hold": 0, "retry": AT_ONCE, "patience": AT_ONCE}


class Service:
    """Takes one token at a time; `rotates` is called with each request and may set another."""

    def __init__(self, rotates=lambda service, request: None, refusal=None):
        self.valid, self.seen, self.refusals = "t0", [], 0
        self.rotates, self.refusal = rotates, refusal or {"status_code": 401}
        self.lock = threading.Lock()

    def __call__(self, request):
        """Answer one request."""
        with self.lock:
            self.seen.append(request)
            self.rotates(self, request)
            if request.url.path == "/token":
                return httpx.Response(200, json={"access_token": self.valid})
            if request.headers.get("authorization") != f"Bearer {self.valid}":
                self.refusals += 1
                return httpx.Response(**self.refusal)
        if request.url.path.endswith("/file"):
            return httpx.Response(200, content=PAPER, headers={"content-type": "application/pdf"})
        if request.method == "POST":
            return httpx.Response(202, json={"job_id": "1", "status": "pending"})
        return httpx.Response(200, json={"job_id": "1", "status": "completed"})

    def paths(self, path):
        """Return the requests for this path."""
        return [request for request in self.seen if request.url.path == path]


class Token(gofer.Auth):
    """A token that is had from the service by a generator; it counts the renewals."""

    def __init__(self, token="t0"):
        self.token, self.told = token, []

    def sign(self, request):
        """Sign with the present token."""
        return request.with_headers({"authorization": f"Bearer {self.token}"})

    def refresh(self, refused):
        """Ask for another token."""
        self.told.append(refused)
        reply = yield gofer.Request("GET", "http://h/token")
        self.token = httpx.Response(200, content=reply.body).json()["access_token"]


def rotating_at(path, count=1):
    """Return what sets another token with the first `count` requests for a path."""
    left = itertools.chain(range(count))

    def rotates(service, request):
        if request.url.path.endswith(path) and next(left, None) is not None:
            service.valid = f"t{int(service.valid[1:]) + 1}"

    return rotates


def fetch(face, transport, auth, to, budget=120.0, **options):
    """Fetch a paper on a face within `budget` seconds; raise what it raises."""
    options = {**QUICK, "transport": transport, "auth": auth, **options}
    if face == "blocking":
        return gofer.RetrieveClient(**options).retrieve_and_download(DOI, to, timeout=budget)

    async def awaited():
        return await gofer.AsyncRetrieveClient(**options).retrieve_and_download(DOI, to, timeout=budget)

    return anyio.run(awaited, backend=face)
